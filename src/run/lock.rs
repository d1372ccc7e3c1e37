//! One run per install: a lock in a directory that is root's alone.

use std::fs::{File, TryLockError};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Kind, Result};
use crate::host::fs::make_ours;

/// The right to change an install; released when it is dropped, or when its holder dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone is too late where a thread has just forked: until it executes, its child holds the lock as well, flock(2).
        self.file.unlock().unwrap_or_default();
    }
}

/// Takes the locks of an install and of its checkout, which another install may share, waiting at most `timeout` for each.
pub fn lock_install(runtime: &Path, install: &str, root: &Path, timeout: Duration) -> Result<[Lock; 2]> {
    let own = lock(runtime, install, timeout)?;
    Ok([own, lock_root(runtime, install, root, timeout)?])
}

/// Takes the lock of an install's checkout.
pub fn lock_root(runtime: &Path, install: &str, root: &Path, timeout: Duration) -> Result<Lock> {
    // By what it is and not by a name: links may lead to it.
    let id = std::fs::metadata(root).map(|meta| format!("~root-{}-{}", meta.dev(), meta.ino()));
    lock(runtime, &id.unwrap_or_else(|_| format!("{install}~root")), timeout).map_err(|error| {
        Error::new(error.kind, format!("a run of another install holds the lock of {}", root.display()))
            .hint("see which: relift status; wait for it: --lock-timeout 10min")
    })
}

/// Takes a lock by its name, waiting at most `timeout`.
pub fn lock(runtime: &Path, install: &str, timeout: Duration) -> Result<Lock> {
    make_ours(runtime)?;
    let path = runtime.join(format!("{install}.lock"));
    let open =
        File::options().create(true).truncate(false).write(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(&path);
    let file = open.with_context(|| format!("the lock {} cannot be opened", path.display()))?;
    let deadline = Instant::now() + timeout;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Lock { file }),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(50)),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(Kind::Busy, format!("another run of {install} holds the lock"))
                    .hint(format!("see what it does: relift status {install}; wait for it: --lock-timeout 10min")));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::failed(format!("the lock {} cannot be taken", path.display())).because(error));
            }
        }
    }
}

/// Whether somebody holds a lock, without taking it even for a moment: who starts just now must not be turned away by who
/// only looks. As /proc/locks tells, proc_locks(5).
pub fn is_held(runtime: &Path, install: &str) -> bool {
    let Ok(meta) = std::fs::metadata(runtime.join(format!("{install}.lock"))) else { return false };
    let (major, minor) = (libc::major(meta.dev()), libc::minor(meta.dev()));
    let wanted = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    // `1: FLOCK  ADVISORY  WRITE 4242 00:1a:77 0 EOF`
    locks.lines().any(|line| line.split_whitespace().nth(1) == Some("FLOCK") && line.contains(&format!(" {wanted} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_sees_a_lock_that_is_held_and_does_not_take_it() {
        let place = tempfile::tempdir().unwrap();
        assert!(!is_held(place.path(), "app"));
        let held = lock(place.path(), "app", Duration::ZERO).unwrap();
        assert!(is_held(place.path(), "app") && !is_held(place.path(), "other"));
        drop(held);
        assert!(!is_held(place.path(), "app"));
    }

    #[test]
    fn only_one_of_many_holds_the_lock_and_the_others_are_told_that_it_is_busy() {
        let place = tempfile::tempdir().unwrap();
        let held = lock(place.path(), "app", Duration::ZERO).unwrap();
        for _ in 0..10 {
            assert_eq!(lock(place.path(), "app", Duration::ZERO).unwrap_err().kind, Kind::Busy);
        }
        assert!(lock(place.path(), "other", Duration::ZERO).is_ok());
        drop(held);
        assert!(lock(place.path(), "app", Duration::ZERO).is_ok());
    }

    #[test]
    fn two_installs_that_share_a_checkout_do_not_run_at_once() {
        let place = tempfile::tempdir().unwrap();
        let (runtime, root) = (place.path().join("run"), place.path().join("root"));
        std::fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink(&root, place.path().join("link")).unwrap();
        let held = lock_install(&runtime, "one", &root, Duration::ZERO).unwrap();
        let error = lock_install(&runtime, "two", &place.path().join("link"), Duration::ZERO).unwrap_err();
        assert_eq!(error.kind, Kind::Busy);
        assert!(error.what.contains("another install"), "{error}");
        drop(held);
        assert!(lock_install(&runtime, "two", &root, Duration::ZERO).is_ok());
    }
}
