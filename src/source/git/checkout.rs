//! The checkout as it is, seen by git as its owner.

use std::path::{Path, PathBuf};

use super::call::{in_checkout, text};
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::Rooted;

/// A checkout, read-only.
#[derive(Debug, Clone, Default)]
pub struct Checkout {
    /// The commit of HEAD, full hex.
    pub head: String,
    /// The branch that HEAD is on; `None`: detached.
    pub branch: Option<String>,
    /// Its remotes: name and URL.
    pub remotes: Vec<(String, String)>,
    /// The directories of the sparse-checkout cone; `None`: the whole tree is checked out.
    pub cone: Option<Vec<String>>,
    /// Sparse, but by patterns instead of a cone.
    pub has_sparse_patterns: bool,
    /// Some history is missing.
    pub is_shallow: bool,
    /// An operation that was begun by hand and not ended.
    pub operation: Option<Operation>,
    /// Lock files, relative to the checkout.
    pub locks: Vec<String>,
    /// Tracked paths that differ from HEAD.
    pub dirty: Vec<Dirty>,
    /// Whether the repository has submodules checked out.
    pub has_submodules: bool,
    /// When HEAD last moved, seconds since the epoch; 0 when that is not known.
    pub head_moved: i64,
}

/// A tracked path that differs from HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirty {
    /// The path.
    pub path: String,
    /// It has an unresolved conflict.
    pub is_conflict: bool,
}

/// What was begun by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Merge,
    Rebase,
    CherryPick,
    Revert,
    Bisect,
}

impl Operation {
    /// git's word for it, as in `git WORD --abort`.
    pub fn word(self) -> &'static str {
        match self {
            Operation::Merge => "merge",
            Operation::Rebase => "rebase",
            Operation::CherryPick => "cherry-pick",
            Operation::Revert => "revert",
            Operation::Bisect => "bisect",
        }
    }
}

const OPERATIONS: [(&str, Operation); 6] = [
    (".git/MERGE_HEAD", Operation::Merge),
    (".git/rebase-merge", Operation::Rebase),
    (".git/rebase-apply", Operation::Rebase),
    (".git/CHERRY_PICK_HEAD", Operation::CherryPick),
    (".git/REVERT_HEAD", Operation::Revert),
    (".git/BISECT_LOG", Operation::Bisect),
];

/// Locks that stop a switch.
pub const LOCKS: [&str; 6] = [
    ".git/index.lock",
    ".git/HEAD.lock",
    ".git/config.lock",
    ".git/config.worktree.lock",
    ".git/shallow.lock",
    ".git/info/sparse-checkout.lock",
];

impl Checkout {
    /// Looks at the checkout.
    pub fn observe(owner: &Account, root: &Path) -> Result<Checkout> {
        let directory = Rooted::open(root).map_err(|error| {
            error.hint("clone the repository there by hand once, or correct `root` in the manifest")
        })?;
        if !directory.exists(Path::new(".git"))? {
            return Err(Error::failed(format!("{} is no git checkout: it has no .git", root.display()))
                .hint("clone the repository there by hand once, or correct `root` in the manifest"));
        }
        let mut checkout = Checkout::default();
        for (path, operation) in OPERATIONS {
            if checkout.operation.is_none() && directory.exists(Path::new(path))? {
                checkout.operation = Some(operation);
            }
        }
        for lock in LOCKS {
            if directory.exists(Path::new(lock))? {
                checkout.locks.push(lock.to_owned());
            }
        }
        checkout.is_shallow = directory.exists(Path::new(".git/shallow"))?;
        checkout.has_submodules = directory.exists(Path::new(".git/modules"))?;
        checkout.read_status(owner, root)?;
        checkout.read_config(owner, root)?;
        checkout.head_moved = head_moved(&directory)?;
        Ok(checkout)
    }

    fn read_status(&mut self, owner: &Account, root: &Path) -> Result<()> {
        let status =
            in_checkout(owner, root).args(["status", "--porcelain=v2", "--branch", "--untracked-files=no", "-z"]);
        let status = text(status, &format!("the checkout {} cannot be read", root.display())).map_err(|error| {
            error.hint(format!(
                "look at it as its owner: sudo -u {} git -C {} status; git fsck",
                owner.name,
                root.display()
            ))
        })?;
        let mut entries = status.split('\0');
        while let Some(entry) = entries.next() {
            if let Some(head) = entry.strip_prefix("# branch.oid ") {
                self.head = head.to_owned();
            } else if let Some(branch) = entry.strip_prefix("# branch.head ") {
                self.branch = Some(branch.to_owned()).filter(|name| name != "(detached)");
            } else if let Some(path) = field(entry, "1 ", 8) {
                self.dirty.push(Dirty { path, is_conflict: false });
            } else if let Some(path) = field(entry, "2 ", 9) {
                self.dirty.push(Dirty { path, is_conflict: false });
                // A rename's old path follows as an entry of its own.
                self.dirty.extend(entries.next().map(|old| Dirty { path: old.to_owned(), is_conflict: false }));
            } else if let Some(path) = field(entry, "u ", 10) {
                self.dirty.push(Dirty { path, is_conflict: true });
            }
        }
        match self.head.as_str() {
            "" | "(initial)" => Err(Error::failed(format!("the checkout {} has no commit yet", root.display()))),
            _ => Ok(()),
        }
    }

    fn read_config(&mut self, owner: &Account, root: &Path) -> Result<()> {
        let config = in_checkout(owner, root).args(["config", "--null", "--list"]);
        let config = text(config, "the checkout's configuration cannot be read")?;
        let (mut is_sparse, mut is_cone) = (false, true);
        for (key, value) in config.split('\0').filter_map(|entry| entry.split_once('\n')) {
            match key {
                "core.sparsecheckout" => is_sparse = value == "true",
                "core.sparsecheckoutcone" => is_cone = value == "true",
                key => {
                    let name = key.strip_prefix("remote.").and_then(|key| key.strip_suffix(".url"));
                    self.remotes.extend(name.map(|name| (name.to_owned(), value.to_owned())));
                }
            }
        }
        if is_sparse && is_cone {
            let list = text(
                in_checkout(owner, root).args(["sparse-checkout", "list"]),
                "the sparse-checkout cone cannot be read",
            )?;
            self.cone = Some(list.lines().map(str::to_owned).collect());
        }
        self.has_sparse_patterns = is_sparse && !is_cone;
        Ok(())
    }
}

/// The path of a porcelain v2 entry: what follows `fields` fields.
fn field(entry: &str, prefix: &str, fields: usize) -> Option<String> {
    entry.starts_with(prefix).then(|| entry.splitn(fields + 1, ' ').nth(fields)).flatten().map(str::to_owned)
}

/// When HEAD last moved, from its reflog (git-reflog(1)).
fn head_moved(directory: &Rooted) -> Result<i64> {
    // A checkout made without reflogs, or one whose log is too large to be read whole, tells nothing.
    let Ok(Some(log)) = directory.read(&PathBuf::from(".git/logs/HEAD")) else { return Ok(0) };
    let text = String::from_utf8_lossy(&log.bytes);
    let last = text.lines().next_back().and_then(|line| line.split('\t').next());
    Ok(last.and_then(|entry| entry.rsplit(' ').nth(1)?.parse().ok()).unwrap_or(0))
}
