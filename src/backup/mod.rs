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
use crate::source::compose::Volume;

pub use listing::{Archive, Entry, Kind, Listing, Name, OfVolume, Reason, in_volume};
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
    /// Named volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
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
        let volumes = listing.volumes.iter().map(|one| one.volume.clone()).collect();
        Scope { paths: paths(&listing.paths), databases: paths(&listing.databases), volumes }
    }

    /// What it names, as a restore takes it.
    pub fn names(&self) -> Vec<PathBuf> {
        let volumes = self.volumes.iter().map(|volume| in_volume(&volume.name));
        self.paths.iter().chain(&self.databases).cloned().chain(volumes).collect()
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
    for volume in &scope.volumes {
        if let Some(place) = volume.place()? {
            add(&Rooted::open(&place)?, Path::new("."), &Scope::default(), &mut measured)?;
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
    // Before anything is written.
    listing.volumes.iter().try_for_each(|one| one.volume.rests())?;
    let (of_volumes, below): (Vec<PathBuf>, Vec<PathBuf>) =
        only.iter().cloned().partition(|path| listing.volume_of(path).is_some());
    if only.is_empty() || !below.is_empty() {
        let target = Rooted::open(root)?;
        restore::restore(&restore::Restore { directory, part: listing.part(), only: &below }, &target)?;
        sync_filesystem(root)?;
    }
    for one in &listing.volumes {
        let name = in_volume(&one.volume.name);
        let within = of_volumes.iter().filter_map(|path| path.strip_prefix(&name).ok());
        let within: Vec<PathBuf> = within.map(Path::to_owned).collect();
        let is_whole = only.is_empty() || within.contains(&PathBuf::new());
        if is_whole || !within.is_empty() {
            volume(directory, one, if is_whole { &[] } else { &within })?;
        }
    }
    Ok(listing)
}

fn volume(directory: &Path, one: &OfVolume, only: &[PathBuf]) -> Result<()> {
    let place = match one.entries.is_empty() {
        true => one.volume.place()?,
        false => Some(one.volume.make()?),
    };
    let Some(place) = place else { return Ok(()) };
    restore::restore(&restore::Restore { directory, part: one.part(), only }, &Rooted::open(&place)?)?;
    sync_filesystem(&place)
}

/// Makes sure that a backup knows of each of these paths.
pub fn check_paths(listing: &Listing, paths: &[PathBuf]) -> Result<()> {
    let is_absent = |wanted: &Path| listing.absent.iter().any(|name| wanted.starts_with(name.path()));
    let is_held = |wanted: &Path| match listing.volume_of(wanted) {
        Some((_, within)) if within == Path::new("") => true,
        Some((one, within)) => one.entries.iter().any(|entry| entry.path.is_within(within)),
        None => listing.entries.iter().any(|entry| entry.path.is_within(wanted)),
    };
    match paths.iter().find(|wanted| !is_held(wanted) && !is_absent(wanted)) {
        Some(unknown) => Err(unknown_path(listing, unknown)),
        None => Ok(()),
    }
}

fn unknown_path(listing: &Listing, path: &Path) -> Error {
    Error::usage(format!("the backup {} holds no {}", listing.id, Name::of(path)))
        .because(format!("it is of {}", listing.tops().join(", ")))
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
