//! What a plan tells of a transaction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::offered::is_named;
use super::package::{Change, Transaction};
use super::tool::{Available, Tool};
use super::{keep, release};
use crate::manifest::PackagesSource;
use crate::source::git::Mirror;
use crate::source::{Offer, Place, Section};
use crate::text::harmless;

/// A line for each package: what it goes from and to, what is downloaded, and why it is touched at all.
pub fn packages(
    source: &PackagesSource,
    tool: &dyn Tool,
    place: &Place,
    transaction: &Transaction,
    available: &[Available],
) -> Section {
    let needs = |one: &Change, name: &String| {
        available.iter().any(|other| other.package == one.to && other.needs.contains(name))
    };
    let why = |change: &Change| {
        if is_named(source, &change.name) {
            return String::new();
        }
        let by = transaction.changes.iter().find(|one| needs(one, &change.name));
        by.map_or_else(|| "needed by the others".to_owned(), |one| format!("needed by {}", one.to.words()))
    };
    let size = |change: &Change| {
        let known = available.iter().find(|one| one.package == change.to).map(|one| one.size);
        let kept = keep::file(place, tool, &change.to).and_then(|file| file.metadata().ok()).map(|meta| meta.len());
        match (kept, known) {
            (Some(size), _) => format!("{} (at hand)", bytes(size)),
            (None, Some(size)) => bytes(size),
            (None, None) => String::new(),
        }
    };
    let row = |change: &Change| {
        let from = change.from.as_ref().map_or_else(|| "new".to_owned(), |from| from.version.clone());
        [change.name.clone(), from, "->".into(), change.to.version.clone(), size(change), why(change)]
            .map(|cell| harmless(&cell))
            .to_vec()
    };
    let (named, others): (Vec<&Change>, Vec<&Change>) =
        transaction.changes.iter().partition(|change| is_named(source, &change.name));
    Section { title: "packages".into(), rows: named.into_iter().chain(others).map(row).collect() }
}

/// The packages' configuration files of which the release brings another version, and what becomes of each.
pub fn conffiles(place: &Place, mirror: &Mirror, offer: &Offer, tool: &dyn Tool) -> Option<Section> {
    let mut rows = BTreeMap::new();
    for component in &place.install.components {
        let old = release::conffiles(mirror, &offer.from.revision, component);
        let new = release::conffiles(mirror, &offer.to.revision, component);
        let is_merged = |path: &Path| {
            component.env.iter().any(|env| place.install.root.join(env.file.below(&component.path).as_str()) == path)
        };
        for (path, theirs) in &new {
            if let Some(becomes) = becomes(path, old.get(path), theirs, is_merged(path), tool.beside()) {
                rows.insert(path.clone(), becomes);
            }
        }
    }
    let row = |(path, becomes): (PathBuf, String)| vec![harmless(&path.display().to_string()), becomes];
    (!rows.is_empty())
        .then(|| Section { title: "configuration files of packages".into(), rows: rows.into_iter().map(row).collect() })
}

fn becomes(path: &Path, base: Option<&Vec<u8>>, theirs: &[u8], is_merged: bool, beside: &str) -> Option<String> {
    if base.is_some_and(|base| base == theirs) {
        return None;
    }
    let here = std::fs::read(path).ok();
    Some(match (here, base) {
        (Some(here), _) if here == theirs => return None,
        (_, _) if is_merged => "merged key by key, see below".into(),
        (None, None) => "new".into(),
        (None, Some(_)) => "stays away: it was removed here".into(),
        (Some(here), Some(base)) if here == *base => "replaced: nobody edited it here".into(),
        (Some(_), _) => format!("kept: it was edited here; the release's is put beside it as *{beside}"),
    })
}

/// As apt-get tells sizes.
fn bytes(size: u64) -> String {
    match size {
        0..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{:.1} kB", size as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}
