//! The checkout as it is, seen by git as its owner.

use std::path::{Path, PathBuf};

use git2::Oid;

use super::call::{in_checkout, text};
use super::glance::head_of;
use super::settings::{Settings, Shape, configuration, known_shape};
use super::untouched::is_untouched;
use crate::error::{Error, Result, ended};
use crate::host::account::Account;
use crate::host::fs::{NodeKind, Rooted};
use crate::text::word;

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
    /// Tracked paths whose changes git was told not to look for (`git update-index --skip-worktree`, `--assume-unchanged`).
    pub hidden: Vec<String>,
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
    /// The index differs from HEAD.
    pub is_staged: bool,
}

/// What was begun by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Merge,
    Rebase,
    Am,
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
            Operation::Am => "am",
            Operation::CherryPick => "cherry-pick",
            Operation::Revert => "revert",
            Operation::Bisect => "bisect",
        }
    }
}

const OPERATIONS: [(&str, Operation); 7] = [
    (".git/MERGE_HEAD", Operation::Merge),
    (".git/rebase-merge", Operation::Rebase),
    (".git/rebase-apply/applying", Operation::Am),
    (".git/rebase-apply", Operation::Rebase),
    (".git/CHERRY_PICK_HEAD", Operation::CherryPick),
    (".git/REVERT_HEAD", Operation::Revert),
    (".git/BISECT_LOG", Operation::Bisect),
];

/// Locks that stop a switch, besides that of the branch.
pub const LOCKS: [&str; 8] = [
    ".git/index.lock",
    ".git/HEAD.lock",
    ".git/ORIG_HEAD.lock",
    ".git/packed-refs.lock",
    ".git/config.lock",
    ".git/config.worktree.lock",
    ".git/shallow.lock",
    ".git/info/sparse-checkout.lock",
];

impl Checkout {
    /// Looks at the checkout. `tree`: that of a commit, as the mirror knows it.
    pub fn observe(owner: &Account, root: &Path, tree: &dyn Fn(&str) -> Option<Oid>) -> Result<Checkout> {
        let directory = open(root)?;
        let mut checkout = Checkout::signs(&directory)?;
        let settings = Settings::read(owner, root);
        let is_told = settings.as_ref().is_ok_and(|settings| checkout.read_index(settings.shape, &directory, tree));
        if !is_told {
            // Each is a git that reads the whole index: side by side.
            let (status, listed) = std::thread::scope(|scope| {
                let listed = scope.spawn(|| {
                    text(in_checkout(owner, root).args(["ls-files", "-v", "-z"]), "the index cannot be read")
                });
                (checkout.read_status(owner, root), ended(listed.join()))
            });
            status?;
            let is_sparse = settings.as_ref().is_ok_and(|settings| settings.shape.is_sparse);
            checkout.hidden = hidden(&listed?, is_sparse);
        }
        let settings = settings?;
        checkout.has_sparse_patterns = settings.shape.is_sparse && settings.cone.is_none();
        (checkout.remotes, checkout.cone) = (settings.remotes, settings.cone);
        checkout.see_branch_lock(&directory)?;
        checkout.head_moved = head_moved(&directory)?;
        Ok(checkout)
    }

    /// What may have changed since it was observed: HEAD, its branch, local changes, locks and operations; nothing else is looked at.
    pub fn glance(owner: &Account, root: &Path, tree: &dyn Fn(&str) -> Option<Oid>) -> Result<Checkout> {
        let directory = open(root)?;
        let mut checkout = Checkout::signs(&directory)?;
        let shape = known_shape(root).map_or_else(|| configuration(owner, root).map(|config| Shape::of(&config)), Ok);
        if !shape.is_ok_and(|shape| checkout.read_index(shape, &directory, tree)) {
            checkout.read_status(owner, root)?;
        }
        checkout.see_branch_lock(&directory)?;
        Ok(checkout)
    }

    /// What the files beside the objects tell.
    fn signs(directory: &Rooted) -> Result<Checkout> {
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
        Ok(checkout)
    }

    fn see_branch_lock(&mut self, directory: &Rooted) -> Result<()> {
        if let Some(branch) = &self.branch {
            let lock = format!(".git/refs/heads/{branch}.lock");
            self.locks.extend(directory.exists(Path::new(&lock))?.then_some(lock));
        }
        Ok(())
    }

    /// HEAD and its branch, where the checkout is untouched; `false`: git must tell.
    fn read_index(&mut self, shape: Shape, directory: &Rooted, tree: &dyn Fn(&str) -> Option<Oid>) -> bool {
        let Some((head, branch)) = head_of(directory).filter(|_| !shape.is_elsewhere) else { return false };
        let is_told = tree(&head).is_some_and(|tree| is_untouched(directory, tree, shape.is_sparse));
        if is_told {
            (self.head, self.branch) = (head, branch);
        }
        is_told
    }

    fn read_status(&mut self, owner: &Account, root: &Path) -> Result<()> {
        let status =
            in_checkout(owner, root).args(["status", "--porcelain=v2", "--branch", "--untracked-files=no", "-z"]);
        let status = text(status, &format!("the checkout {} cannot be read", root.display())).map_err(|error| {
            let git = by_hand(&owner.name, root);
            error.hint(format!("look at it as its owner: {git} status; {git} fsck --no-dangling; what the index holds is made anew by: {git} reset"))
        })?;
        let mut entries = status.split('\0');
        while let Some(entry) = entries.next() {
            if let Some(head) = entry.strip_prefix("# branch.oid ") {
                self.head = head.to_owned();
            } else if let Some(branch) = entry.strip_prefix("# branch.head ") {
                self.branch = Some(branch.to_owned()).filter(|name| name != "(detached)");
            } else if let Some(path) = field(entry, "1 ", 8) {
                self.dirty.push(Dirty { path, is_conflict: false, is_staged: !entry.starts_with("1 .") });
            } else if let Some(path) = field(entry, "2 ", 9) {
                self.dirty.push(Dirty { path, is_conflict: false, is_staged: true });
                // A rename's old path follows as an entry of its own.
                self.dirty.extend(entries.next().map(|old| Dirty {
                    path: old.to_owned(),
                    is_conflict: false,
                    is_staged: true,
                }));
            } else if let Some(path) = field(entry, "u ", 10) {
                self.dirty.push(Dirty { path, is_conflict: true, is_staged: true });
            }
        }
        match self.head.as_str() {
            "" | "(initial)" => Err(Error::failed(format!("the checkout {} has no commit yet", root.display()))
                .hint(format!("check a branch out once by hand: {} pull REMOTE BRANCH", by_hand(&owner.name, root)))),
            _ => Ok(()),
        }
    }
}

/// The checkout's directory; an error that says what is wrong with one that is no checkout.
pub(super) fn open(root: &Path) -> Result<Rooted> {
    let clone = "clone the repository there by hand once, or correct `root` in the manifest";
    let directory = Rooted::open(root).map_err(|error| error.hint(clone))?;
    if !directory.exists(Path::new(".git"))? {
        return Err(Error::failed(format!("{} is no git checkout: it has no .git", root.display())).hint(clone));
    }
    if !directory.is_directory(Path::new(".git")) {
        return Err(Error::failed(format!(
            "{} is a linked worktree or a submodule: its .git is no directory",
            root.display()
        ))
        .because("its index, its locks and its branches belong to another repository")
        .hint("give the install a clone of its own: git clone URL, then `root` in the manifest"));
    }
    plain(&directory)?;
    Ok(directory)
}

/// Paths of git-ls-files(1) `-v` whose changes `git status` says nothing of: a switch would take them for nobody's.
fn hidden(list: &str, is_sparse: bool) -> Vec<String> {
    let entries = list.split('\0').filter_map(|entry| entry.split_once(' '));
    let hidden =
        entries.filter(|(tag, _)| tag.starts_with(|c: char| c.is_ascii_lowercase() || (c == 'S' && !is_sparse)));
    hidden.map(|(_, path)| path.to_owned()).collect()
}

/// What git reads whole and waits for, gitrepository-layout(5).
const READ: [&str; 17] = [
    ".git/HEAD",
    ".git/ORIG_HEAD",
    ".git/config",
    ".git/config.worktree",
    ".git/index",
    ".git/packed-refs",
    ".git/shallow",
    ".git/commondir",
    ".git/gitdir",
    ".git/info/attributes",
    ".git/info/exclude",
    ".git/info/grafts",
    ".git/info/sparse-checkout",
    ".git/objects/info/alternates",
    ".git/objects/info/commit-graph",
    ".gitattributes",
    ".gitignore",
];

/// No configuration is larger, in bytes.
const LARGEST: u64 = 1 << 20;

/// A pipe in the place of a file would keep git waiting for whoever writes to it.
fn plain(checkout: &Rooted) -> Result<()> {
    for path in READ {
        let Ok(Some(node)) = checkout.node(Path::new(path)) else { continue };
        let is_config = path.starts_with(".git/config");
        let path = checkout.path().join(path);
        if is_config && node.size > LARGEST {
            return Err(Error::failed(format!("{} is {} bytes long", path.display(), node.size))
                .because("git would be busy with it for minutes, and no configuration is that large")
                .hint(format!("look at it: less {}", path.display())));
        }
        if node.kind == NodeKind::Special {
            return Err(Error::failed(format!("{} is a pipe, a socket or a device", path.display()))
                .because("git would wait for whoever writes to it")
                .hint(format!("see who made it, then take it away: rm {}", path.display())));
        }
    }
    Ok(())
}

/// git in the checkout, as an operator with a root shell types it: as its owner, so that git trusts it and the files
/// stay the owner's.
pub fn by_hand(owner: &str, root: &Path) -> String {
    match owner {
        "root" => format!("git -C {}", word(&root.display().to_string())),
        owner => format!("runuser -u {} -- git -C {}", word(owner), word(&root.display().to_string())),
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
