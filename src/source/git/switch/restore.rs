//! Putting the checkout back from any state that a kill, or somebody else's work, can leave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::super::call::{in_checkout, text};
use super::super::checkout::LOCKS;
use super::cone::{put_patterns, set_cone};
use super::refs::clear_ref_locks;
use super::{Entry, Goal, differing, local_changes, verify};
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::host::occupants::working_in;
use crate::host::process::Input;

/// How long somebody's git may hold a lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that somebody else wrote during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// The releases differ in it: it cannot stay.
    InTheWay,
    /// They do not: it stays.
    Elsewhere,
}

/// Puts the checkout at `goal` from any mixture of it and `other`. Paths that hold
/// neither's bytes are passed to `keep` first, and of `missing`, directories that
/// were not there, none that is empty stays.
pub fn restore(
    owner: &Account,
    root: &Path,
    goal: &Goal,
    other: &Goal,
    missing: &[PathBuf],
    keep: &mut dyn FnMut(&str, Foreign) -> Result<()>,
) -> Result<()> {
    let checkout = Rooted::open(root)?;
    unlock(owner, root, &checkout)?;
    rebuild_index(owner, root, &checkout)?;
    let mut differing = differing(owner, root, &other.revision, &goal.revision)?;
    // Outside both cones git wrote nothing: what is there is the user's.
    differing.retain(|path, _| [goal, other].iter().any(|side| side.has(Path::new(path))));
    let foreign = foreign(owner, root, &checkout, &differing)?;
    for path in &foreign {
        keep(path, Foreign::InTheWay)?;
    }
    // What only the other side has would stay behind as untracked.
    for (path, entry) in &differing {
        checkout.remove_temporary(Path::new(path))?;
        if entry.in_goal.is_none() && checkout.exists(Path::new(path))? && !checkout.is_directory(Path::new(path)) {
            checkout.remove(Path::new(path))?;
        }
    }
    // git makes a directory before its first file, and a killed one leaves it so.
    for directory in missing.iter().rev() {
        checkout.remove_empty_directory(directory)?;
    }
    // Edits that somebody made meanwhile to files that the releases do not differ in stay where they are.
    let mut edits = Vec::new();
    for path in local_changes(owner, root, &goal.revision)?.into_iter().filter(|path| !differing.contains_key(path)) {
        keep(&path, Foreign::Elsewhere)?;
        edits.extend(checkout.read(Path::new(&path))?.map(|content| (path, content)));
    }
    let is_set = put_patterns(owner, root, &checkout, goal.cone.as_deref())?;
    text(
        in_checkout(owner, root).args(["reset", "--quiet", "--hard", &goal.revision]),
        "the checkout cannot be put back",
    )?;
    for (path, content) in &edits {
        checkout.replace(Path::new(path), content)?;
    }
    if !is_set {
        set_cone(owner, root, goal.cone.as_deref())?;
    }
    verify(owner, root, goal)
}

/// Removes the locks that a killed git left. Those of a git that lives are its own: it is waited for.
fn unlock(owner: &Account, root: &Path, checkout: &Rooted) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut locks = Vec::new();
        for lock in LOCKS {
            locks.extend(checkout.exists(Path::new(lock))?.then_some(lock));
        }
        let Some(other) = working_in(root, "git").into_iter().next().filter(|_| !locks.is_empty()) else {
            locks.iter().try_for_each(|lock| checkout.remove(Path::new(lock)))?;
            return clear_ref_locks(owner, root);
        };
        if Instant::now() >= deadline {
            return Err(Error::failed(format!("somebody's git works in {}: {}", root.display(), other.words))
                .because(format!("it is process {}, and the lock {} may be its own", other.pid, locks[0]))
                .hint(format!("let it end, or end it: kill {}", other.pid)));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Makes an index anew that git cannot read, as a power cut leaves one that somebody's git had just written.
fn rebuild_index(owner: &Account, root: &Path, checkout: &Rooted) -> Result<()> {
    if in_checkout(owner, root).args(["ls-files", "--unmerged"]).output()?.success() {
        return Ok(());
    }
    checkout.remove(Path::new(".git/index"))?;
    text(in_checkout(owner, root).args(["reset", "--quiet", "--mixed"]), "the index cannot be made anew").map(drop)
}

/// Paths whose bytes are neither side's, nor the beginning of one: somebody else wrote them.
pub(super) fn foreign(
    owner: &Account,
    root: &Path,
    checkout: &Rooted,
    differing: &BTreeMap<String, Entry>,
) -> Result<Vec<String>> {
    let mut present = Vec::new();
    for (path, entry) in differing {
        let is_plain = !path.contains('\n') && !entry.is_link;
        if is_plain && checkout.exists(Path::new(path))? && !checkout.is_directory(Path::new(path)) {
            present.push(path);
        }
    }
    if present.is_empty() {
        return Ok(Vec::new());
    }
    let list: String = present.iter().map(|path| format!("{path}\n")).collect();
    let hashes = in_checkout(owner, root).args(["hash-object", "--stdin-paths"]).stdin(Input::Bytes(list.into_bytes()));
    let hashes = text(hashes, "the checkout's files cannot be read")?;
    let mut foreign = Vec::new();
    for (path, hash) in present.into_iter().zip(hashes.lines()) {
        let entry = &differing[path];
        let known = [&entry.in_goal, &entry.in_other];
        if known.iter().any(|blob| blob.as_deref() == Some(hash)) || is_torn(owner, root, path, &known)? {
            continue;
        }
        foreign.push(path.clone());
    }
    Ok(foreign)
}

/// Whether a file is what git leaves when it is killed while writing: the beginning of a blob.
fn is_torn(owner: &Account, root: &Path, path: &str, blobs: &[&Option<String>]) -> Result<bool> {
    let Some(content) = Rooted::open(root)?.read(Path::new(path))? else { return Ok(true) };
    for blob in blobs.iter().filter_map(|blob| blob.as_deref()) {
        let whole = in_checkout(owner, root).args(["cat-file", "blob", blob]).succeed()?.stdout;
        if whole.starts_with(&content.bytes) {
            return Ok(true);
        }
    }
    Ok(false)
}
