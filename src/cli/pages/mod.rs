//! The manual pages and completion scripts of a package, from the command line and the manifest's schema themselves, so that
//! they cannot disagree with the program.

mod manifest;
mod prose;
mod verb;

use std::path::Path;

use clap::CommandFactory;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use super::{Cli, complete};
use crate::error::{Context, Result};

/// Writes `man/*.[15]`, `bash/relift`, `zsh/_relift` and `fish/relift.fish` below `directory`.
pub fn write(directory: &Path) -> Result<()> {
    let pages = all().into_iter().map(|(name, page)| (format!("man/{name}"), page));
    let scripts = complete::scripts().into_iter().map(|(name, text)| (name.to_owned(), text));
    for (name, text) in pages.chain(scripts) {
        let path = directory.join(name);
        let parent = path.parent().unwrap_or(directory);
        std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(())
}

/// Every page by its file's name, as roff.
fn all() -> Vec<(String, String)> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    let mut pages = vec![("relift.1".to_owned(), verb::overview(&command, &verbs))];
    pages.extend(verbs.iter().map(|one| (format!("relift-{}.1", one.get_name()), verb::page(one))));
    pages.push(("relift.toml.5".to_owned(), manifest::page()));
    pages
}

/// The heading of a page, man(7).
fn title(roff: &mut Roff, name: &str, section: &str) {
    let version = format!("relift {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", [name.to_uppercase().as_str(), section, &date(), &version, "Relift"]);
    // Words that are broken or stretched cannot be copied.
    roff.control("nh", []).control("ad", ["l"]);
}

/// The date of the sources, which a package is built with (reproducible-builds.org/specs/source-date-epoch).
fn date() -> String {
    let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|text| text.parse().ok());
    let time = epoch.and_then(|epoch| jiff::Timestamp::from_second(epoch).ok());
    time.map(|time| time.strftime("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// Paragraphs, divided by empty lines; what stands in backticks is bold.
fn paragraphs(roff: &mut Roff, text: &str) {
    for (number, paragraph) in text.trim().split("\n\n").enumerate() {
        if number > 0 {
            roff.control("PP", []);
        }
        roff.text(inline(&paragraph.replace('\n', " ")));
    }
}

/// A text with what stands in backticks bold.
fn inline(text: &str) -> Vec<Inline> {
    let pieces = text.split('`').enumerate();
    pieces.map(|(number, piece)| if number % 2 == 1 { bold(piece) } else { roman(piece) }).collect()
}

/// Words with their meaning below.
fn terms<'a>(roff: &mut Roff, terms: impl IntoIterator<Item = (&'a str, &'a str)>) {
    for (word, meaning) in terms {
        roff.control("TP", []);
        roff.text([bold(word)]);
        roff.text(inline(meaning));
    }
}

/// A section of references, in the order that they are given.
fn see_also(roff: &mut Roff, pages: &[&str]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line = Vec::new();
    for (number, page) in pages.iter().enumerate() {
        let (name, section) = page.split_once('(').unwrap_or((page, "1)"));
        line.extend([bold(name), roman(format!("({section}"))]);
        line.push(roman(if number + 1 < pages.len() { ", " } else { "" }));
    }
    roff.text(line);
}

#[cfg(test)]
mod tests;
