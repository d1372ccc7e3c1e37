//! Room for the way back: blocks that a run takes before it changes anything, and gives up when it has to record its undo.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use crate::error::{Context, Error, Result};

/// Bytes: some hundred records, and the ledger.
const SIZE: i64 = 2 << 20;

/// Takes the reserve of a run.
pub(super) fn take(run: &Path) -> Result<()> {
    let path = place(run);
    let file = File::create_new(&path).with_context(|| format!("{} cannot be made", path.display()))?;
    match fallocate(&file, FallocateFlags::empty(), 0, SIZE) {
        // A filesystem that cannot promise blocks (zfs) goes without.
        Ok(()) | Err(Errno::EOPNOTSUPP) => {
            file.sync_all().with_context(|| format!("{} cannot be made", path.display()))
        }
        Err(error) => Err(Error::failed(format!("there is no room for the way back in {}", run.display()))
            .because(error)
            .hint(format!("make room: df -h {}", run.display()))),
    }
}

/// Gives it up; one that is gone already is no error, and one that stays is none of recovery's business.
pub(super) fn give_up(run: &Path) {
    std::fs::remove_file(place(run)).unwrap_or_default();
}

fn place(run: &Path) -> PathBuf {
    run.join("reserve")
}
