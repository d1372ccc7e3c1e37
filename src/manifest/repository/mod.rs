//! The repository's own manifest, `relift.toml` at the top of a revision, below the host's: the host's file wins key by key.
//!
//! It is read only where the host asks for it (`[source.git] manifest = true`), and what it may say is what a release may
//! decide about itself: components with their steps, checks, configuration, user units and probes, and what must be
//! compatible. Everything that says where things are, whom to trust, what root does or what becomes of the host's data is the
//! host's alone; `rules` has the list with the reasons.

mod changes;
mod merge;
mod rules;
mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::document::{Document, Key};
use super::problem::{Fault, Problem};
use super::{Install, Problems, StepUndo, shape, validate};
use crate::plan::abbreviate;

pub use changes::changes;
pub use shown::{shown, sources};

/// The name of the file, at the top of the repository.
pub const NAME: &str = "relift.toml";
/// No repository's manifest is longer, in bytes.
pub const LONGEST: usize = 256 << 10;

/// A repository's manifest as a revision has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryManifest {
    /// The commit, full hex.
    pub revision: String,
    /// Its text.
    pub text: String,
}

/// What is known of the repository's manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Layer {
    /// Nothing yet: what the host's file leaves open stays open.
    #[default]
    Unknown,
    /// The revision has none: the host's file says it all.
    Absent,
    /// This one.
    Known(RepositoryManifest),
}

/// Which file a key is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The host's.
    Host,
    /// The repository's.
    Repository,
}

/// What an install has from its repository.
#[derive(Debug, Clone)]
pub struct Layered {
    /// The repository's manifest.
    pub manifest: RepositoryManifest,
    /// The keys of the whole, and the file that each is from.
    pub(super) keys: BTreeMap<String, Side>,
}

/// The keys of the whole, each with the file that it is from and its key there.
type Origins = BTreeMap<String, (Side, Key)>;

impl RepositoryManifest {
    /// What it is called in messages: `relift.toml at 1a2b3c4d5e`.
    pub fn title(&self) -> String {
        format!("{NAME} at {}", abbreviate(&self.revision))
    }
}

/// Whether the host's file asks for the repository's.
pub(super) fn is_asked(host: &Document<'_>) -> bool {
    let source = host.tree.get_ref().get("source").and_then(|value| value.get_ref().as_table());
    let git = source.and_then(|source| source.get("git")).and_then(|value| value.get_ref().as_table());
    git.and_then(|git| git.get("manifest")).and_then(|value| value.get_ref().as_bool()) == Some(true)
}

/// The install that a host's file and the repository's declare together.
pub(super) fn layered(name: &str, file: &Path, host: &Document<'_>, layer: &Layer) -> Result<Install, Problems> {
    let of_host = |list: Vec<Problem>| Problems::new(file, host.shown(), list);
    // What is missing in a component may be in the other file.
    let shape = shape::check_part(host, |key, name| key.shape().is_empty() && name != "component" || is_source(key));
    if !shape.is_empty() {
        return Err(of_host(shape));
    }
    let host_table = table(host).map_err(|problem| of_host(vec![problem]))?;
    let Layer::Known(manifest) = layer else {
        let mut merge = merge::Merge::default();
        let merged = merge.tables(Some(&host_table), None);
        return validated(name, file, &merge::without_open_ends(merged), &merge.origins, host, None);
    };
    let upstream = Document::parse(&manifest.text);
    let of_repository = |list: Vec<Problem>| upstream_problems(manifest, &upstream, list);
    if manifest.text.len() > LONGEST {
        let fault = Fault::new(format!("is longer than {} KiB", LONGEST >> 10));
        return Err(of_repository(vec![Problem::at(String::new(), 0..0, "", fault)]));
    }
    if !upstream.syntax.is_empty() {
        return Err(of_repository(upstream.syntax.clone()));
    }
    if let Some(problem) = super::other_format(&upstream) {
        return Err(of_repository(vec![problem]));
    }
    let refused = rules::check(&upstream, &host_table);
    if !refused.is_empty() {
        return Err(of_repository(refused));
    }
    let shape = shape::check_part(&upstream, |_, _| false);
    if !shape.is_empty() {
        return Err(of_repository(shape));
    }
    let repository_table = table(&upstream).map_err(|problem| of_repository(vec![problem]))?;
    let mut merge = merge::Merge::default();
    let merged = merge.tables(Some(&host_table), Some(&repository_table));
    let mut install = validated(name, file, &merged, &merge.origins, host, Some((manifest, &upstream)))?;
    for (at, component) in install.components.iter_mut().enumerate() {
        let is_upstream = merge.side(&format!("component[{at}].health")) == Some(Side::Repository);
        component.health.iter_mut().for_each(|health| health.loopback_only = is_upstream);
    }
    let keys = merge.origins.iter().map(|(key, (side, _))| (key.clone(), *side)).collect();
    install.layered = Some(Layered { manifest: manifest.clone(), keys });
    Ok(install)
}

fn is_source(key: &Key) -> bool {
    matches!(key.shape().as_str(), "install" | "source" | "source.git")
}

fn table(document: &Document<'_>) -> Result<toml::Table, Problem> {
    toml::from_str(document.text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        Problem::at(String::new(), span, document.text, Fault::new(error.message()))
    })
}

/// Validates the whole; what is wrong is told of the file that it is in.
fn validated(
    name: &str,
    file: &Path,
    merged: &toml::Table,
    origins: &Origins,
    host: &Document<'_>,
    upstream: Option<(&RepositoryManifest, &Document<'_>)>,
) -> Result<Install, Problems> {
    let text = toml::to_string(merged).unwrap_or_default();
    let whole = Document::parse(&text);
    let wrong = |list: Vec<Problem>| told(list, origins, (file, host), upstream);
    let shape = shape::check(&whole);
    if !shape.is_empty() {
        return Err(wrong(shape));
    }
    let raw = whole
        .read()
        .map_err(|error| wrong(vec![Problem::at(String::new(), 0..0, &text, Fault::new(error.message()))]))?;
    validate::install(name, file, &whole, &raw).map_err(wrong)
}

/// The problems of the whole as those of the files that it was made from; the repository's alone where it has any.
fn told(
    list: Vec<Problem>,
    origins: &Origins,
    (file, host): (&Path, &Document<'_>),
    upstream: Option<(&RepositoryManifest, &Document<'_>)>,
) -> Problems {
    let (mut of_host, mut of_upstream) = (Vec::new(), Vec::new());
    for problem in list {
        let fault = Fault { what: problem.what.clone(), help: problem.help.clone() };
        match (origin(&problem.key, origins), upstream) {
            (Some((Side::Repository, key)), Some((_, document))) => of_upstream.push(document.problem(key, fault)),
            (Some((_, key)), _) => of_host.push(host.problem(key, fault)),
            (None, _) => of_host.push(host.problem(&Key::default(), fault)),
        }
    }
    match upstream.filter(|_| !of_upstream.is_empty()) {
        Some((manifest, document)) => upstream_problems(manifest, document, of_upstream),
        None => Problems::new(file, host.shown(), of_host),
    }
}

/// The nearest key, at or above `key`, that a file has.
fn origin<'o>(key: &str, origins: &'o Origins) -> Option<&'o (Side, Key)> {
    let mut key = key;
    loop {
        if let Some(found) = origins.get(key) {
            return Some(found);
        }
        key = &key[..key.rfind(['.', '['])?];
    }
}

fn upstream_problems(manifest: &RepositoryManifest, document: &Document<'_>, list: Vec<Problem>) -> Problems {
    let mut problems = Problems::new(&PathBuf::from(manifest.title()), document.shown(), list);
    problems.is_upstream = true;
    problems
}

/// The install of a run that was made with this repository's manifest, or with none: never with a newer one.
pub fn of_run(install: &Install, recorded: Option<RepositoryManifest>) -> crate::error::Result<Install> {
    match (install.source.reads_repository_manifest(), recorded) {
        (false, _) => Ok(install.clone()),
        (true, recorded) => super::at(&install.file, &recorded.map_or(Layer::Absent, Layer::Known)),
    }
}

impl Install {
    /// The same for the way back from `present`: what the release undid by a command, or cannot undo, its own manifest says;
    /// what is run again there, that of the release that is gone back to.
    pub fn going_back(mut self, present: &Install) -> Install {
        for component in &mut self.components {
            let Some(newer) = present.components.iter().find(|newer| newer.name == component.name) else { continue };
            let mut steps = newer.steps.clone();
            steps.retain(|step| step.undo != StepUndo::Rerun);
            let is_known = |name: &str, steps: &[super::Step]| steps.iter().any(|step| step.name == name);
            let own = component.steps.drain(..).filter(|step| !is_known(&step.name, &steps)).collect::<Vec<_>>();
            steps.extend(own);
            component.steps = steps;
        }
        // What ran for the newer release is undone as that says.
        self.migrations = present.migrations.clone();
        self
    }
}

#[cfg(test)]
mod tests;
