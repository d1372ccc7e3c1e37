//! Switching the checkout: by git, as the owner; and putting it back from any state that a kill can leave.

mod cone;
mod forward;
mod look;
mod refs;
mod restore;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::call::{in_checkout, text};
use super::glance::head_at_a_glance;
use super::offer::is_within;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::sync_filesystem;
use crate::plan::abbreviate;

pub use cone::{directories, is_tracked, leftovers, missing_directories};
pub use forward::{both_ways, discard, go, transfer};
pub use look::look;
pub use refs::{clear_ref_locks, head, tag_all_known_good, tag_known_good, track, untag};
pub use restore::{Foreign, restore};

/// Where a checkout should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The commit, full hex.
    pub revision: String,
    /// The directories of the sparse-checkout cone; `None`: the whole tree.
    pub cone: Option<Vec<String>>,
}

impl Goal {
    /// Whether git checks a file out there: every one, or those below the cone, at the top, and in every parent of it.
    fn has(&self, file: &Path) -> bool {
        is_within(self.cone.as_deref(), file)
    }
}

/// Proves that git agrees, and makes the work tree durable: git syncs no file of it.
fn verify(owner: &Account, root: &Path, goal: &Goal) -> Result<()> {
    let at = match head_at_a_glance(root) {
        Some(at) => at,
        None => head(owner, root)?,
    };
    if at != goal.revision {
        return Err(Error::failed(format!(
            "the checkout is at {} and not at {}",
            abbreviate(&at),
            abbreviate(&goal.revision)
        )));
    }
    sync_filesystem(root)
}

/// A path that differs: its blob on either side.
struct Entry {
    in_goal: Option<String>,
    in_other: Option<String>,
    is_link: bool,
}

/// Paths that differ between two commits, with their blobs (git-diff-tree(1), raw format).
fn differing(owner: &Account, root: &Path, other: &str, goal: &str) -> Result<BTreeMap<String, Entry>> {
    let raw =
        in_checkout(owner, root).args(["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", other, goal]);
    let raw = text(raw, "the two releases cannot be compared")?;
    let mut fields = raw.split('\0');
    let mut entries = BTreeMap::new();
    while let (Some(meta), Some(path)) = (fields.next(), fields.next()) {
        let mut meta = meta.trim_start_matches(':').split(' ');
        let modes = (meta.next().unwrap_or_default(), meta.next().unwrap_or_default());
        let blob = |oid: Option<&str>| oid.filter(|oid| oid.bytes().any(|byte| byte != b'0')).map(str::to_owned);
        let (in_other, in_goal) = (blob(meta.next()), blob(meta.next()));
        let is_link = modes.0 == "120000" || modes.1 == "120000";
        entries.insert(path.to_owned(), Entry { in_goal, in_other, is_link });
    }
    Ok(entries)
}

/// Tracked files that differ from `goal`.
fn local_changes(owner: &Account, root: &Path, goal: &str) -> Result<Vec<String>> {
    let differing = || {
        text(
            in_checkout(owner, root).args(["diff-index", "--name-only", "-z", "--no-renames", "--diff-filter=M", goal]),
            "the checkout cannot be compared",
        )
    };
    // By what the index remembers of the files it names too many and none too few.
    let mut list = differing()?;
    if !list.is_empty() {
        // Exit status 1 only says that something needs an update.
        in_checkout(owner, root).args(["update-index", "-q", "--refresh"]).output()?;
        list = differing()?;
    }
    Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}
