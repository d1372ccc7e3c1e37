//! Where backups are kept: a directory each, named by ULID, so that they sort by time.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::listing::{FORMAT, Listing, WITH_VOLUMES};
use crate::error::{Context, Error, Result};
use crate::host::fs::make_private;

/// The list of a backup. Where it is missing, there is no backup.
pub(super) const LIST: &str = "manifest.json";
/// What scratch places begin with.
pub(super) const SCRATCH: &str = ".scratch-";

/// A backup as the store has it.
#[derive(Debug)]
pub struct Stored {
    /// Its id.
    pub id: String,
    /// Its directory.
    pub directory: PathBuf,
    /// Its list, or why it has none that can be used.
    pub listing: Result<Listing>,
}

/// Makes the store, root's alone; one that another account may write to is refused.
pub(super) fn prepare(store: &Path) -> Result<()> {
    make_private(store, 0o700)?;
    let meta = fs::symlink_metadata(store).with_context(|| format!("{} cannot be read", store.display()))?;
    let ours = nix::unistd::geteuid().as_raw();
    if !meta.is_dir() || meta.uid() != ours || meta.permissions().mode() & 0o077 != 0 {
        return Err(Error::refused(format!("{} is not a directory of root's alone", store.display()))
            .because("whoever can read a backup reads every secret in it")
            .hint(format!("chown root:root {0} && chmod 700 {0}", store.display())));
    }
    Ok(())
}

/// Everything in the store, oldest first: backups, halves of some, and what cannot be read.
pub fn list(store: &Path) -> Result<Vec<Stored>> {
    let entries = match fs::read_dir(store) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed(format!("{} cannot be read", store.display())).because(error)),
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut ids: Vec<String> = names.filter(|name| ulid::Ulid::from_string(name).is_ok()).collect();
    ids.sort();
    Ok(ids
        .into_iter()
        .map(|id| {
            let directory = store.join(&id);
            Stored { listing: open(&directory), directory, id }
        })
        .collect())
}

/// The backup called `id`, or whose id ends so.
pub fn find(store: &Path, install: &str, id: &str) -> Result<Stored> {
    let mut all = list(store)?;
    if all.is_empty() {
        return Err(Error::usage(format!("{install} has no backups"))
            .hint("a run takes one where the manifest has [backup]; take one now: relift backup take"));
    }
    let wanted = id.to_uppercase();
    let found: Vec<usize> = (0..all.len()).filter(|at| all[*at].id.ends_with(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(all.swap_remove(*one)),
        [] => Err(Error::usage(format!("{install} has no backup {}", crate::text::harmless(id)))
            .hint(format!("what there is: relift backup list {install}"))),
        many => Err(Error::usage(format!("{} is the end of {} backups", crate::text::harmless(id), many.len()))
            .hint("give more of it")),
    }
}

/// Reads the list of a backup and checks that it is the one that was written.
pub fn open(directory: &Path) -> Result<Listing> {
    let path = directory.join(LIST);
    let id = directory.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Error::failed(format!("the backup {id} is half a backup"))
                .because("it has no list, which is written last: taking it was interrupted")
                .hint("nothing needs it; the next backup removes it"));
        }
        Err(error) => return Err(Error::failed(format!("{} cannot be read", path.display())).because(error)),
    };
    let damaged = |reason: String| {
        Error::failed(format!("the list of the backup {id} cannot be trusted"))
            .because(reason)
            .hint("its archives may still be whole: tar --zstd -tf files.tar.zst shows what they hold")
    };
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    if value["format"] != FORMAT && value["format"] != WITH_VOLUMES {
        let read = format!("this relift reads formats {FORMAT} and {WITH_VOLUMES}");
        return Err(damaged(format!("it is of format {}, and {read}", value["format"])));
    }
    let listing: Listing = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
    match () {
        () if listing.sum != listing.computed_sum() => Err(damaged("its checksum does not fit".into())),
        () if listing.id != id => Err(damaged(format!("it is that of the backup {}", listing.id))),
        () => Ok(listing),
    }
}

/// What goes: all but the newest `keep` whole backups, and halves. Never one whose id or run is in `needed`.
pub fn surplus(all: &[Stored], keep: usize, needed: &[String]) -> Vec<PathBuf> {
    let is_needed = |stored: &Stored| {
        let run = stored.listing.as_ref().ok().and_then(|listing| listing.run.as_ref());
        needed.contains(&stored.id) || run.is_some_and(|run| needed.contains(run))
    };
    let mut whole = 0;
    let mut surplus = Vec::new();
    for stored in all.iter().rev() {
        let is_half = !stored.directory.join(LIST).exists();
        whole += usize::from(!is_half);
        if (is_half || whole > keep) && !is_needed(stored) {
            surplus.push(stored.directory.clone());
        }
    }
    surplus
}

/// Removes what goes, and scratch places that a kill left. What cannot be removed is told, and stops nothing.
pub fn prune(store: &Path, keep: usize, needed: &[String]) -> Vec<String> {
    let removed = || -> Result<Vec<String>> {
        let mut going = surplus(&list(store)?, keep, needed);
        for entry in fs::read_dir(store).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with(SCRATCH) {
                going.push(entry.path());
            }
        }
        Ok(going.iter().filter_map(|path| remove(path).err()).map(|error| error.to_string()).collect())
    };
    removed().unwrap_or_else(|error| vec![error.to_string()])
}

/// Removes a backup, its list first: what is killed in between is half a backup. Nothing there is no error.
pub(super) fn remove(directory: &Path) -> Result<()> {
    crate::host::fs::remove_durably(&directory.join(LIST)).or_else(|error| match directory.exists() {
        true => Err(error),
        false => Ok(()),
    })?;
    match fs::remove_dir_all(directory) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::failed(format!("{} cannot be removed", directory.display())).because(error)),
    }
}
