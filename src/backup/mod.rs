//! Backups of an install's data: taken, proven by restoring them into a scratch place, listed, restored, pruned.
//!
//! `/var/lib/relift/NAME/backups/ULID/` holds `files.tar.zst`, `db-N.zst` for each SQLite database, and `manifest.json`,
//! which lists everything with its hash and is written last. Root reads and writes the owner's tree through
//! [`Rooted`](crate::host::fs::Rooted) alone; SQLite runs as the owner.

mod listing;
mod pack;
mod restore;
mod sqlite;
mod store;
mod take;
mod verify;
mod walk;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::host::fs::{NodeKind, Rooted, sync_filesystem};

pub use listing::{Archive, Entry, Kind, Listing, Name, Reason};
pub use sqlite::copy as copy_database;
pub use store::{Stored, find, list, open, prune, surplus};
pub use take::{Order, Taken, take};
pub use verify::verify;

/// What belongs to a backup, relative to the checkout.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// SQLite databases, which are left out of `paths`.
    pub databases: Vec<PathBuf>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// What everything takes on the disk, bytes.
    pub bytes: u64,
    /// How many files and databases there are.
    pub files: u64,
    /// The length of the largest database with its log, bytes.
    pub largest_database: u64,
}

/// What a plan is told about backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// What belongs to a backup.
    pub scope: Scope,
    /// Where they are kept.
    pub store: PathBuf,
    /// Where the owner may be given a directory.
    pub cache: PathBuf,
    /// How much there is.
    pub measured: Measured,
    /// The runs that have a backup, and its id, oldest first.
    pub of_runs: Vec<(String, String)>,
}

impl Scope {
    /// What a backup was taken of.
    pub fn of(listing: &Listing) -> Scope {
        let paths = |names: &[Name]| names.iter().map(Name::path).collect();
        Scope { paths: paths(&listing.paths), databases: paths(&listing.databases) }
    }

    /// Whether a path is a database's or that of something which SQLite keeps beside one.
    fn is_of_a_database(&self, path: &Path) -> bool {
        let suffixes = || std::iter::once("").chain(sqlite::SIDECARS);
        self.databases.iter().any(|database| suffixes().any(|suffix| restore::beside(database, suffix) == path))
    }
}

/// Measures what a backup would hold, without reading it. Reads nothing through a link.
pub fn measure(root: &Path, scope: &Scope) -> Result<Measured> {
    let root = Rooted::open(root)?;
    let mut measured = Measured::default();
    for top in &scope.paths {
        add(&root, top, scope, &mut measured)?;
    }
    for path in &scope.databases {
        if let Some(node) = root.node(path)? {
            if node.kind != NodeKind::File {
                return Err(Error::failed(format!("{} is no regular file, so no database", path.display()))
                    .hint("name the database itself under `sqlite`, not a link or a directory"));
            }
            let log = root.node(&restore::beside(path, "-wal"))?.map_or(0, |node| node.size);
            measured.bytes += node.size + log;
            measured.files += 1;
            measured.largest_database = measured.largest_database.max(node.size + log);
        }
    }
    Ok(measured)
}

fn add(root: &Rooted, path: &Path, scope: &Scope, measured: &mut Measured) -> Result<()> {
    let Some(node) = root.node(path)?.filter(|_| !scope.is_of_a_database(path)) else { return Ok(()) };
    // A name and its list entry take something as well.
    measured.bytes += node.allocated + 512;
    match node.kind {
        NodeKind::Directory => {
            for name in root.entries(path)? {
                add(root, &path.join(name), scope, measured)?;
            }
        }
        NodeKind::File => measured.files += 1,
        NodeKind::Link(_) | NodeKind::Special => {}
    }
    Ok(())
}

/// Proves a backup and puts it back over what is there, durably; with `only`, nothing but what is at or below these paths.
pub fn put_back(directory: &Path, root: &Path, only: &[PathBuf]) -> Result<Listing> {
    let listing = verify(directory)?;
    check_paths(&listing, only)?;
    let target = Rooted::open(root)?;
    restore::restore(&restore::Restore { directory, listing: &listing, only }, &target)?;
    sync_filesystem(root)?;
    Ok(listing)
}

/// Makes sure that a backup knows of each of these paths.
pub fn check_paths(listing: &Listing, paths: &[PathBuf]) -> Result<()> {
    let is_absent = |wanted: &Path| listing.absent.iter().any(|name| wanted.starts_with(name.path()));
    let is_held = |wanted: &Path| listing.entries.iter().any(|entry| entry.path.is_within(wanted));
    match paths.iter().find(|wanted| !is_held(wanted) && !is_absent(wanted)) {
        Some(unknown) => Err(unknown_path(listing, unknown)),
        None => Ok(()),
    }
}

fn unknown_path(listing: &Listing, path: &Path) -> Error {
    let tops: Vec<String> = listing.paths.iter().chain(&listing.databases).map(Name::to_string).collect();
    Error::usage(format!("the backup {} holds no {}", listing.id, Name::of(path)))
        .because(format!("it is of {}", tops.join(", ")))
        .hint(format!("paths are relative to {}", listing.root.display()))
}

/// An id that sorts after every backup that is there, even when the clock was set back since.
pub fn next_id(store: &Path) -> Result<String> {
    let newest = list(store)?.pop().and_then(|stored| ulid::Ulid::from_string(&stored.id).ok());
    let fresh = ulid::Ulid::generate();
    let id = newest.filter(|newest| *newest >= fresh).and_then(|newest| newest.increment().ok()).unwrap_or(fresh);
    Ok(id.to_string())
}

#[cfg(test)]
mod tests;
