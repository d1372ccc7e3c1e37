//! What a plan tells of a transaction.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::offered::is_named;
use super::package::{Change, Transaction};
use super::tool::{Available, Tool};
use super::{keep, merged, release};
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
pub fn conffiles(
    place: &Place,
    mirror: &Mirror,
    offer: &Offer,
    tool: &dyn Tool,
    merged: &merged::Changes,
) -> Option<Section> {
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
    for path in merged.keys() {
        rows.insert(path.clone(), "merged: your changes stay, and the release's come in".into());
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
        (_, _) if is_merged => "merged key by key: .env above".into(),
        (None, None) => "new".into(),
        (None, Some(_)) => "stays away: it was removed here".into(),
        (Some(here), Some(base)) if here == *base => "replaced: nobody edited it here".into(),
        (Some(_), _) => format!("kept: it was edited here; the release's is put beside it as *{beside}"),
    })
}

/// A line of a configuration file without anything that may be a secret: its indentation, what it is called, and `***`.
pub fn redacted(line: &str) -> String {
    let text = line.trim_end();
    let start = text.len() - text.trim_start_matches([' ', '\t', '-', '#', ';', '/', '"', '\'', '<', '{', '[']).len();
    let (lead, rest) = text.split_at(start);
    if rest.is_empty() || lead.ends_with('[') && rest.ends_with(']') && rest[..rest.len() - 1].chars().all(is_of_name) {
        return text.to_owned();
    }
    let name = &rest[..rest.find(|c| !is_of_name(c)).unwrap_or(rest.len())];
    let after = rest[name.len()..].trim_start_matches(['"', '\'']);
    let value = after.trim_start().trim_start_matches(['=', ':']);
    // Padding at the end of what is encoded is no value, and a word alone may be a secret itself.
    let is_called = match after.trim_start().starts_with(['=', ':']) {
        true => !value.trim().is_empty(),
        false => after.starts_with([' ', '\t']) && name.chars().all(|c| c.is_ascii_alphabetic() || "_-.".contains(c)),
    };
    match is_called && !name.is_empty() {
        true => format!("{lead}{name} ***"),
        false => format!("{lead}***"),
    }
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_configuration_file_is_shown_by_its_name_and_never_by_what_may_be_a_secret() {
        for (line, shown) in [
            ("password = hunter2", "password ***"),
            ("  - api_key: \"hunter2\"", "  - api_key ***"),
            ("# token=hunter2", "# token ***"),
            ("auth hunter2 now", "auth ***"),
            ("<Directory /srv/hunter2>", "<Directory ***"),
            ("\"secret\": \"hunter2\",", "\"secret ***"),
            ("[database]", "[database]"),
            ("[hunter2 x]", "[***"),
            ("hunter2", "***"),
            ("hunter2aHVudGVyMg==", "***"),
            ("hunter2 is a word with a digit", "***"),
            ("https://me:hunter2@example.org/", "https ***"),
            ("", ""),
            ("}", "***"),
        ] {
            assert_eq!(redacted(line), shown, "{line}");
        }
    }
}
