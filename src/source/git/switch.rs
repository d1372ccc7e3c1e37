//! Switching the checkout: by git, as the owner; and putting it back from any state that a kill can leave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::call::{in_checkout, in_mirror, text};
use super::checkout::{LOCKS, by_hand};
use super::mirror::Mirror;
use super::offer::is_within;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::{Content, Rooted, sync_filesystem};
use crate::host::process::Input;
use crate::plan::abbreviate;

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
        let Some(cone) = &self.cone else { return true };
        let parent = file.parent().unwrap_or(Path::new(""));
        cone.iter().any(|path| file.starts_with(path) || Path::new(path).starts_with(parent))
    }
}

/// Brings the objects of `to` into the checkout, without a ref: nothing there changes. `head` is what it has.
pub fn transfer(mirror: &Mirror, owner: &Account, root: &Path, head: &str, to: &str) -> Result<()> {
    let wanted = format!("{to}\n^{head}\n");
    let command =
        in_mirror(mirror.path()).args(["pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet"]);
    let mut packing = command.stdin(Input::File(in_memory(wanted.as_bytes())?)).spawn()?;
    let pipe = packing.child.stdout.take().ok_or_else(|| Error::failed("git pack-objects has no output"))?;
    let pipe = Input::File(std::fs::File::from(std::os::fd::OwnedFd::from(pipe)));
    let unpacked = text(
        in_checkout(owner, root).args(["index-pack", "--stdin"]).stdin(pipe),
        "the release's objects cannot be stored in the checkout",
    );
    let status = packing.wait("git pack-objects")?;
    unpacked?;
    match status.is_some_and(|status| status.success()) {
        true => Ok(()),
        false => Err(Error::failed("the release's objects cannot be read from the mirror")),
    }
}

/// Makes sure that the checkout has every file of both releases that a switch there, and one back, would write.
pub fn both_ways(owner: &Account, root: &Path, from: &Goal, to: &Goal) -> Result<()> {
    let differing = differing(owner, root, &from.revision, &to.revision)?;
    let is_written = |path: &str| is_within(from.cone.as_deref(), path) || is_within(to.cone.as_deref(), path);
    let written = differing.iter().filter(|(path, _)| is_written(path));
    let blobs: BTreeSet<_> = written.flat_map(|(_, entry)| [&entry.in_goal, &entry.in_other]).flatten().collect();
    let list: String = blobs.iter().map(|blob| format!("{blob}\n")).collect();
    let look = in_checkout(owner, root)
        .args(["cat-file", "--batch-check=%(objecttype)"])
        .env("GIT_NO_LAZY_FETCH", "1")
        .stdin(Input::Bytes(list.into_bytes()));
    let found = text(look, "the checkout's objects cannot be looked at")?;
    let missing = found.lines().filter(|line| line.ends_with(" missing")).count();
    if missing == 0 {
        return Ok(());
    }
    let git = by_hand(&owner.name, root);
    Err(Error::failed(format!(
        "the checkout lacks {missing} objects of the two releases: it is corrupt, or a partial clone"
    ))
    .hint(format!("see what is wrong: {git} fsck --no-dangling; bring what is missing: {git} fetch --refetch REMOTE")))
}

/// Goes forward (or, for a rollback, back) to `goal` by the means that refuse to overwrite anything of the user's.
pub fn go(
    owner: &Account,
    root: &Path,
    goal: &Goal,
    present: &Goal,
    branch: Option<&str>,
    is_forward: bool,
) -> Result<()> {
    if goal.cone != present.cone {
        set_cone(owner, root, goal.cone.as_deref())?;
    }
    let revision = goal.revision.as_str();
    let words = match (branch, is_forward) {
        (Some(_), true) => vec!["merge", "--quiet", "--ff-only", "--no-overwrite-ignore", revision],
        (Some(_), false) => vec!["reset", "--quiet", "--keep", revision],
        (None, _) => vec!["checkout", "--quiet", "--detach", "--no-overwrite-ignore", revision],
    };
    if goal.revision != present.revision {
        text(in_checkout(owner, root).args(words), "the checkout cannot be switched")?;
    }
    // git leaves what it cannot switch as a local change, with no more than a warning.
    let changes = local_changes(owner, root, revision)?;
    if let Some(path) = changes.first() {
        return Err(Error::failed(format!(
            "the tree was switched, but {} of its files are not the release's: {path}",
            changes.len()
        )));
    }
    verify(owner, root, goal)
}

/// A file that somebody else wrote during a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// The releases differ in it: it cannot stay.
    InTheWay,
    /// They do not: it stays.
    Elsewhere,
}

/// Directories that `goal` checks out and that are not there, outermost first.
pub fn missing_directories(owner: &Account, root: &Path, goal: &Goal) -> Result<Vec<PathBuf>> {
    let list = in_checkout(owner, root).args(["ls-tree", "-r", "-d", "--name-only", "-z", &goal.revision]);
    let list = text(list, "the tree of the release cannot be read")?;
    let checkout = Rooted::open(root)?;
    let mut missing = Vec::new();
    for directory in list.split('\0').filter(|path| !path.is_empty()).map(PathBuf::from) {
        if goal.has(&directory.join("file")) && !checkout.exists(&directory)? {
            missing.push(directory);
        }
    }
    missing.sort();
    Ok(missing)
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
    for lock in LOCKS {
        checkout.remove(Path::new(lock))?;
    }
    clear_ref_locks(owner, root)?;
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

/// Tags a known-good commit where `git tag` shows it.
pub fn tag_known_good(owner: &Account, root: &Path, name: &str, revision: &str) -> Result<()> {
    let reference = format!("refs/tags/{name}");
    text(in_checkout(owner, root).args(["update-ref", &reference, revision]), "the known-good tag cannot be made")
        .map(drop)
}

/// Moves the remote-tracking branch, as a fetch by hand would have.
pub fn track(owner: &Account, root: &Path, remote: &str, branch: &str, revision: &str) -> Result<()> {
    let reference = format!("refs/remotes/{remote}/{branch}");
    text(
        in_checkout(owner, root).args(["update-ref", &reference, revision]),
        "the remote-tracking branch cannot be moved",
    )
    .map(drop)
}

/// Removes a known-good tag; one that is not there is no error.
pub fn untag(owner: &Account, root: &Path, name: &str) -> Result<()> {
    let reference = format!("refs/tags/{name}");
    text(in_checkout(owner, root).args(["update-ref", "-d", &reference]), "the known-good tag cannot be removed")
        .map(drop)
}

/// Where HEAD is now; an error when the repository cannot be read.
pub fn head(owner: &Account, root: &Path) -> Result<String> {
    text(in_checkout(owner, root).args(["rev-parse", "--verify", "HEAD^{commit}"]), "HEAD cannot be read")
}

/// Files below `directories` that git does not track, ignored ones too: what leaving the cone would delete or strand.
pub fn leftovers(owner: &Account, root: &Path, directory: &str) -> Result<Vec<String>> {
    let pathspec = format!(":(literal,top){directory}");
    let list = in_checkout(owner, root).args([
        "ls-files",
        "--others",
        "--directory",
        "--no-empty-directory",
        "-z",
        "--",
        &pathspec,
    ]);
    let list = text(list, "untracked files cannot be listed")?;
    Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Whether HEAD's index has something at `path`.
pub fn is_tracked(owner: &Account, root: &Path, path: &Path) -> Result<bool> {
    let pathspec = format!(":(literal,top){}", path.display());
    let list =
        text(in_checkout(owner, root).args(["ls-files", "-z", "--", &pathspec]), "tracked files cannot be listed")?;
    Ok(!list.is_empty())
}

/// The directories of HEAD.
pub fn directories(owner: &Account, root: &Path) -> Result<std::collections::BTreeSet<String>> {
    let list = in_checkout(owner, root).args(["ls-tree", "-r", "-d", "--name-only", "-z", "HEAD"]);
    let list = text(list, "the tree of HEAD cannot be read")?;
    Ok(list.split('\0').map(str::to_owned).collect())
}

/// Puts a tracked file back to its committed state; its local change is kept elsewhere by now.
pub fn discard(owner: &Account, root: &Path, path: &Path) -> Result<()> {
    let command = in_checkout(owner, root).args(["checkout", "--quiet", "HEAD", "--"]).args([path]);
    text(command, "a declared local change cannot be set aside").map(drop)
}

fn set_cone(owner: &Account, root: &Path, cone: Option<&[String]>) -> Result<()> {
    let command = in_checkout(owner, root).args(["sparse-checkout"]);
    let command = match cone {
        Some(directories) => command.args(["set", "--cone", "--no-sparse-index", "--"]).args(directories),
        None => {
            let is_sparse = text(
                in_checkout(owner, root).args(["config", "--default=false", "--get", "core.sparseCheckout"]),
                "the configuration cannot be read",
            )?;
            if is_sparse != "true" {
                return Ok(());
            }
            command.args(["disable"])
        }
    };
    text(command, "the sparse-checkout cone cannot be set").map(drop)
}

/// Writes the patterns of a cone in a checkout that is sparse, for the `git reset` that follows: `git sparse-checkout set`
/// would delete directories outside the cone that hold nothing but ignored files. `false`: the cone is to be set by it.
fn put_patterns(owner: &Account, root: &Path, checkout: &Rooted, cone: Option<&[String]>) -> Result<bool> {
    let Some(cone) = cone else { return Ok(false) };
    let is_sparse = ["core.sparseCheckout", "core.sparseCheckoutCone"].iter().map(|key| {
        let value = in_checkout(owner, root).args(["config", "--default=false", "--type=bool", "--get", key]);
        text(value, "the configuration cannot be read").map(|value| value == "true")
    });
    if !is_sparse.collect::<Result<Vec<_>>>()?.into_iter().all(|is_set| is_set) {
        return Ok(false);
    }
    let content = Content::new(patterns(cone).into_bytes(), 0o644, owner.uid, owner.gid);
    checkout.replace(Path::new(".git/info/sparse-checkout"), &content)?;
    Ok(true)
}

/// The patterns of a cone as git-sparse-checkout(1) writes them: files at the top and in every parent, directories whole.
fn patterns(cone: &[String]) -> String {
    let escaped = |path: &str| {
        let special = |c: char| matches!(c, '*' | '?' | '[' | '\\');
        path.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect::<String>()
    };
    let parents: std::collections::BTreeSet<&Path> = cone
        .iter()
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .filter(|parent| *parent != Path::new(""))
        .collect();
    let mut text = "/*\n!/*/\n".to_owned();
    for parent in &parents {
        let parent = escaped(&parent.to_string_lossy());
        text.push_str(&format!("/{parent}/\n!/{parent}/*/\n"));
    }
    let whole = cone.iter().filter(|path| !parents.contains(Path::new(path)) && !is_below_another(path, cone));
    whole
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .for_each(|path| text.push_str(&format!("/{}/\n", escaped(path))));
    text
}

fn is_below_another(path: &str, cone: &[String]) -> bool {
    cone.iter().any(|other| other != path && Path::new(path).starts_with(other))
}

/// Proves that git agrees, and makes the work tree durable: git syncs no file of it.
fn verify(owner: &Account, root: &Path, goal: &Goal) -> Result<()> {
    let at = head(owner, root)?;
    if at != goal.revision {
        return Err(Error::failed(format!(
            "the checkout is at {} and not at {}",
            abbreviate(&at),
            abbreviate(&goal.revision)
        )));
    }
    sync_filesystem(root)
}

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

/// Paths whose bytes are neither side's, nor the beginning of one: somebody else wrote them.
fn foreign(
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

fn local_changes(owner: &Account, root: &Path, goal: &str) -> Result<Vec<String>> {
    // Exit status 1 only says that something needs an update.
    in_checkout(owner, root).args(["update-index", "-q", "--refresh"]).output()?;
    let list = text(
        in_checkout(owner, root).args(["diff-index", "--name-only", "-z", "--no-renames", "--diff-filter=M", goal]),
        "the checkout cannot be compared",
    )?;
    Ok(list.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// Removes the locks that a killed git leaves on refs. Only recovery may, once nothing of the run is alive.
pub fn clear_ref_locks(owner: &Account, root: &Path) -> Result<()> {
    let branch = in_checkout(owner, root).args(["symbolic-ref", "--quiet", "HEAD"]).output()?;
    let checkout = Rooted::open(root)?;
    let mut locks: Vec<PathBuf> = [branch.text().as_str(), "ORIG_HEAD", "packed-refs"]
        .iter()
        .filter(|name| !name.is_empty())
        .map(|name| PathBuf::from(format!(".git/{name}.lock")))
        .collect();
    for directory in [".git/refs/tags/known-good", ".git/refs/remotes"] {
        locks.extend(locks_below(&checkout, Path::new(directory), 2)?);
    }
    locks.iter().try_for_each(|lock| checkout.remove(lock))
}

/// Lock files in a directory of refs and `depth` levels below it; no link is followed.
fn locks_below(checkout: &Rooted, directory: &Path, depth: usize) -> Result<Vec<PathBuf>> {
    let mut locks = Vec::new();
    for name in checkout.entries(directory)? {
        let path = directory.join(&name);
        if checkout.is_directory(&path) && depth > 0 {
            locks.extend(locks_below(checkout, &path, depth - 1)?);
        } else if path.extension().is_some_and(|end| end == "lock") {
            locks.push(path);
        }
    }
    Ok(locks)
}

fn in_memory(bytes: &[u8]) -> Result<std::fs::File> {
    use std::io::{Seek, Write};
    let file = tempfile::tempfile().and_then(|mut file| {
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    });
    file.map_err(|error| Error::failed("a temporary file cannot be made").because(error))
}
