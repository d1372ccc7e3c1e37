//! Whether a backup holds what it lists: its files as they were written, restored into a scratch place and compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::listing::{Entry, Kind, Listing, Name, OfVolume};
use super::restore::{Part, Restore, restore};
use super::walk::{Nowhere, walk};
use super::{pack, store};
use crate::error::{Error, Result};
use crate::host::fs::{Rooted, free_bytes, make_private};
use crate::text::bytes;

/// How many differences are named.
const NAMED: usize = 5;

/// Reads the list of a backup and proves it; the list, where everything holds.
pub fn verify(directory: &Path) -> Result<Listing> {
    let listing = store::open(directory)?;
    prove(directory, &listing).map_err(|error| {
        error
            .while_(format!("the backup {} is damaged, and nothing of it is restored", listing.id))
            .hint(format!("look for one that holds: relift backup list {0}; relift backup verify {0}", listing.install))
    })?;
    Ok(listing)
}

/// Proves a backup whose list was read.
pub(super) fn prove(directory: &Path, listing: &Listing) -> Result<()> {
    for archive in &listing.archives {
        pack::check(directory, archive)?;
    }
    let parent = directory.parent().unwrap_or(directory);
    let free = free_bytes(parent)?;
    if free < listing.size() {
        return Err(Error::failed(format!(
            "to restore it in a scratch place, {} are needed on the filesystem of {}, and {} are free",
            bytes(listing.size()),
            parent.display(),
            bytes(free)
        ))
        .hint(format!("make room: df -h {}", parent.display())));
    }
    let scratch = parent.join(format!("{}{}", store::SCRATCH, listing.id));
    store::remove(&scratch)?;
    make_private(&scratch, 0o700)?;
    let compared = compare_in(&scratch, directory, listing);
    let removed = store::remove(&scratch);
    compared.and(removed)
}

fn compare_in(scratch: &Path, directory: &Path, listing: &Listing) -> Result<()> {
    let parts = std::iter::once(listing.part()).chain(listing.volumes.iter().map(OfVolume::part));
    let mut differences = Vec::new();
    for (number, part) in parts.enumerate() {
        let place = scratch.join(number.to_string());
        make_private(&place, 0o700)?;
        differences.extend(compare(&place, directory, part)?);
    }
    if differences.is_empty() {
        return Ok(());
    }
    let more = differences.len().saturating_sub(NAMED);
    let error = Error::failed("what was restored in a scratch place is not what was backed up");
    let error = differences.iter().take(NAMED).fold(error, Error::because);
    Err(if more > 0 { error.because(format!("{more} more differ")) } else { error })
}

/// Restores a part, and tells what is not as it was listed.
fn compare(place: &Path, directory: &Path, part: Part<'_>) -> Result<Vec<String>> {
    let rooted = Rooted::open(place)?;
    let order = Restore { directory, part, only: &[] };
    restore(&order, &rooted)?;
    let part = &order.part;
    let mut tops = if part.entries.is_empty() { Vec::new() } else { part.paths.clone() };
    tops.extend(part.databases.iter().filter(|path| !part.paths.iter().any(|top| path.starts_with(top))).cloned());
    let found = walk(&rooted, &tops, &|_| false, &mut Nowhere)?;
    Ok(differences(part.entries, &found.entries))
}

/// What differs between what was listed and what was restored, a line each.
fn differences(listed: &[Entry], restored: &[Entry]) -> Vec<String> {
    let wanted: BTreeMap<PathBuf, &Entry> = by_path(listed.iter().filter(|entry| entry.kind != Kind::NotKept));
    let there: BTreeMap<PathBuf, &Entry> = by_path(restored.iter());
    let mut found = Vec::new();
    for (path, entry) in &wanted {
        match there.get(path) {
            None => found.push(format!("{} is missing", entry.path)),
            Some(other) if alike(entry) != alike(other) => found.push(format!("{} differs", entry.path)),
            Some(_) => {}
        }
    }
    let listed = |path: &Path| wanted.keys().any(|known| known.starts_with(path));
    found.extend(there.keys().filter(|path| !listed(path)).map(|path| format!("{} was not listed", Name::of(path))));
    found
}

fn by_path<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<PathBuf, &'a Entry> {
    entries.map(|entry| (entry.path.path(), entry)).collect()
}

/// An entry without what is another on another day: where the filesystem puts holes, and what a database is kept in.
fn alike(entry: &Entry) -> Entry {
    let mut entry = entry.clone();
    match &mut entry.kind {
        Kind::File { data, .. } => *data = None,
        Kind::Database { size, sha256, .. } => {
            entry.kind = Kind::File { size: *size, sha256: sha256.clone(), data: None };
        }
        _ => {}
    }
    entry
}
