//! Commits that the mirror keeps for as long as they can be rolled back to, and the locks that a git which died leaves there.

use std::path::Path;

use super::call::{in_mirror, text};
use crate::error::{Context, Result};
use crate::host::fs::remove_durably;

/// Keeps a commit from being collected, for as long as it can be rolled back to. git makes the ref durable; libgit2 does not.
pub fn pin(state: &Path, revision: &str) -> Result<()> {
    let command = in_mirror(&state.join("mirror.git")).args(["update-ref", &pin_of(revision), revision]);
    text(command, "the mirror cannot be written").map(drop)
}

/// Lets a commit go; one that is not kept is no error.
pub fn unpin(state: &Path, revision: &str) -> Result<()> {
    let command = in_mirror(&state.join("mirror.git")).args(["update-ref", "-d", &pin_of(revision)]);
    text(command, "the mirror cannot be written").map(drop)
}

fn pin_of(revision: &str) -> String {
    format!("refs/relift/known-good/{revision}")
}

/// Removes the locks that a commit which died left on its pins. Only recovery may, under the lock of the install.
pub fn clear_pin_locks(state: &Path) -> Result<()> {
    clear_locks(&state.join("mirror.git"), &["refs/relift/known-good"])
}

/// Removes the locks in these places of a mirror, and those at its top, where every writer of refs has the same.
pub(super) fn clear_locks(mirror: &Path, places: &[&str]) -> Result<()> {
    let at_top = ["packed-refs.lock", "HEAD.lock", "shallow.lock"];
    places.iter().chain(&at_top).try_for_each(|place| clear(&mirror.join(place)))
}

/// Removes a lock, or those in a directory and below it; no link is followed.
fn clear(place: &Path) -> Result<()> {
    match std::fs::symlink_metadata(place) {
        Ok(meta) if meta.is_dir() => {
            let entries = std::fs::read_dir(place).with_context(|| format!("{} cannot be read", place.display()))?;
            entries.flatten().try_for_each(|entry| clear(&entry.path()))
        }
        Ok(_) if place.extension().is_some_and(|end| end == "lock") => remove_durably(place),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_a_git_that_died_are_removed_and_refs_are_not() {
        let place = tempfile::tempdir().unwrap();
        let pins = place.path().join("mirror.git/refs/relift/known-good");
        let heads = place.path().join("mirror.git/refs/heads/feature");
        [&pins, &heads].iter().for_each(|path| std::fs::create_dir_all(path).unwrap());
        let files = [pins.join("a"), pins.join("a.lock"), heads.join("b"), heads.join("b.lock")];
        files.iter().for_each(|path| std::fs::write(path, "x").unwrap());
        clear_pin_locks(place.path()).unwrap();
        assert_eq!(files.each_ref().map(|path| path.exists()), [true, false, true, true]);
        clear_locks(&place.path().join("mirror.git"), &["refs/heads"]).unwrap();
        assert_eq!(files.each_ref().map(|path| path.exists()), [true, false, true, false]);
    }
}
