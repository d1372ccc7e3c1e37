//! What a git, or this program, left in the mirror when it was killed or cut off: locks, which git waits for and never
//! breaks, and the beginnings of packs, which nobody else would ever remove: no gc runs in the mirror.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};

/// How long `packed-refs.lock` must be the same file to be nobody's: it is held while one file is written.
const STALE: Duration = Duration::from_secs(2);

/// Breaks the locks of what a fetch writes, and removes the packs that it did not finish. Call it under the lock of fetches, and while no git runs in the mirror.
pub(super) fn after_fetch(mirror: &Path) -> Result<()> {
    for name in ["HEAD", "shallow", "refs/relift/remote-head"] {
        remove(&mirror.join(format!("{name}.lock")))?;
    }
    let is_lock = |path: &Path| path.extension().is_some_and(|end| end == "lock");
    below(&mirror.join("refs/heads"), &is_lock)?;
    below(&mirror.join("refs/tags"), &is_lock)?;
    // git-index-pack(1), git-unpack-objects(1): `tmp_pack_XXXXXX`, `tmp_idx_XXXXXX`, `tmp_obj_XXXXXX`.
    let is_begun = |path: &Path| {
        let starts_with =
            |begin: &[u8]| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(begin));
        let is_part = path.extension().is_some_and(|end| end == "pack" || end == "rev");
        // Of a pack the index gets its name last: without it, nobody finds the rest.
        starts_with(b"tmp_")
            || (starts_with(b"pack-") && is_part && matches!(path.with_extension("idx").try_exists(), Ok(false)))
    };
    below(&mirror.join("objects"), &is_begun)?;
    packed(mirror)
}

/// Breaks the lock of one ref. Call it under the lock that those who write this ref hold.
pub(super) fn of(mirror: &Path, name: &str) -> Result<()> {
    remove(&mirror.join(format!("{name}.lock")))
}

/// Breaks the lock of `packed-refs`, which fetches and the ends of runs share, when it is nobody's.
pub(super) fn packed(mirror: &Path) -> Result<()> {
    let lock = mirror.join("packed-refs.lock");
    let file = || fs::symlink_metadata(&lock).ok().map(|meta| (meta.ino(), meta.ctime(), meta.ctime_nsec()));
    let Some(there) = file() else { return Ok(()) };
    std::thread::sleep(STALE);
    if file() == Some(there) { remove(&lock) } else { Ok(()) }
}

/// Removes the files below a directory that are wanted away.
fn below(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(|error| trouble(directory, error))?,
    };
    for entry in entries {
        let entry = entry.map_err(|error| trouble(directory, error))?;
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            below(&path, wanted)?;
        } else if wanted(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(lock: &Path) -> Result<()> {
    match fs::remove_file(lock) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(trouble(lock, error)),
        _ => Ok(()),
    }
}

fn trouble(path: &Path, error: std::io::Error) -> Error {
    Error::failed(format!("what a killed git left cannot be removed: {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_fetch_locked_is_unlocked_and_no_ref_is_touched() {
        let place = tempfile::tempdir().unwrap();
        let files = ["refs/heads/main", "refs/tags/a/v1", "refs/relift/known-good/abc", "packed-refs"];
        for file in files {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "x").unwrap();
            fs::write(format!("{}.lock", path.display()), "").unwrap();
        }
        let packs = place.path().join("objects/pack");
        fs::create_dir_all(&packs).unwrap();
        let whole = ["pack-1.pack", "pack-1.rev", "pack-1.idx"];
        for name in whole.into_iter().chain(["tmp_pack_abc", "pack-2.pack", "pack-2.rev"]) {
            fs::write(packs.join(name), "x").unwrap();
        }
        after_fetch(place.path()).unwrap();
        let mut left: Vec<_> = fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["pack-1.idx", "pack-1.pack", "pack-1.rev"], "of two packs that a kill left, the whole one");
        let is_locked = |file: &&str| place.path().join(format!("{file}.lock")).exists();
        assert_eq!(files.iter().filter(|file| is_locked(file)).collect::<Vec<_>>(), [&"refs/relift/known-good/abc"]);
        assert!(files.iter().all(|file| place.path().join(file).exists()));
        of(place.path(), files[2]).unwrap();
        of(place.path(), files[2]).unwrap();
        assert!(!is_locked(&files[2]));
    }
}
