//! The manifest: raw TOML becomes a validated [`Install`]; nothing downstream sees raw input.
//!
//! A text is read in three stages, and each tells all that it finds: is it TOML (`document`), are its keys and types
//! known (`shape`), do its values mean something (`validate`). The keys are the public interface of DESIGN section 3.

mod document;

mod effective;
mod files;
mod install;
pub mod notify;
mod probes;
mod problem;
mod raw;
mod repository;
pub mod robust;
#[cfg(test)]
mod schema;
mod shape;
mod template;
mod validate;
mod window;
mod words;

use std::path::Path;

pub use effective::effective;
pub use files::{all, at, each, file_of, files, load, named, read, readable, writers_of};
pub use install::*;
pub use notify::{Notify, Topic, Way};
pub use problem::{Problem, Problems};
pub use repository::{
    LONGEST as REPOSITORY_MANIFEST_LONGEST, Layer, Layered, NAME as REPOSITORY_MANIFEST, RepositoryManifest, changes,
    of_run, shown, sources,
};
pub use shape::schema;
pub use window::{Calendar, Schedule, Span};
pub(crate) use words::is_install_name;

/// The one format that this version reads.
const SCHEMA: i64 = 1;

/// Parses and validates the text of the manifest of the install called `name`. `file` is where the text is from, for
/// messages. All problems of the first stage that has any are told.
pub fn parse(name: &str, file: &Path, text: &str) -> Result<Install, Problems> {
    parse_at(name, file, text, &Layer::Unknown)
}

/// The same with the repository's own manifest, where the text asks for it.
pub fn parse_at(name: &str, file: &Path, text: &str, layer: &Layer) -> Result<Install, Problems> {
    let document = document::Document::parse(text);
    let wrong = |list| Problems::new(file, document.shown(), list);
    if !document.syntax.is_empty() {
        return Err(wrong(document.syntax.clone()));
    }
    if let Some(problem) = other_format(&document) {
        return Err(wrong(vec![problem]));
    }
    if *layer != Layer::Absent && repository::is_asked(&document) {
        return repository::layered(name, file, &document, layer);
    }
    let read = document.read();
    // The schema takes longer to make than all else that is done with a manifest: it is made where something may be wrong.
    if !read.as_ref().is_ok_and(|raw| shape::is_as_read(&document, raw)) {
        let shape = shape::check(&document);
        if !shape.is_empty() {
            return Err(wrong(shape));
        }
    }
    let raw = read.map_err(|error| {
        let fault = problem::Fault::new(error.message());
        wrong(vec![Problem::at(String::new(), error.span().unwrap_or(0..0), text, fault)])
    })?;
    validate::install(name, file, &document, &raw).map_err(wrong)
}

/// A manifest of another format may have other keys: nothing else is said about it.
fn other_format(document: &document::Document<'_>) -> Option<Problem> {
    let value = document.tree.get_ref().get("schema")?.get_ref().as_integer()?;
    let number = i64::from_str_radix(value.as_str(), value.radix()).ok();
    let fault = problem::Fault::new(format!("this relift reads schema {SCHEMA}, not {}", value.as_str()))
        .help(format!("write schema = {SCHEMA}, or install a relift that reads this one"));
    (number != Some(SCHEMA)).then(|| document.problem(&document::Key::default().name("schema"), fault))
}

/// Whether a manifest may pin this URL; else why not.
pub(crate) fn check_git_url(url: &str) -> std::result::Result<(), String> {
    words::git_url(url).map(|_| ()).map_err(|fault| fault.what)
}
