//! To another release by the means that refuse to overwrite anything of the user's: its objects, then the tree.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use git2::{Oid, Repository};

use super::super::call::{in_checkout, in_mirror, text};
use super::super::checkout::by_hand;
use super::super::mirror::{Mirror, tree_of};
use super::super::settings::known_shape;
use super::super::untouched::is_untouched;
use super::cone::{changes, set_cone};
use super::{Goal, local_changes, verify};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::host::process::Input;

/// Brings the objects of `to` into the checkout, without a ref: nothing there changes. `head` is what it has.
pub fn transfer(mirror: &Mirror, owner: &Account, root: &Path, head: &str, to: &str) -> Result<()> {
    let wanted = format!("{to}\n^{head}\n");
    let command =
        in_mirror(mirror.path()).args(["pack-objects", "--revs", "--stdout", "--delta-base-offset", "--quiet"]);
    let mut packing = command.stdin(Input::Bytes(wanted.into_bytes())).spawn()?;
    let pipe = packing.child.stdout.take().ok_or_else(|| Error::failed("git pack-objects has no output"))?;
    let pipe = Input::File(std::fs::File::from(OwnedFd::from(pipe)));
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

/// Makes sure that the checkout has every file of both releases that a switch there, and one back, would write. Which those
/// are, the mirror tells.
pub fn both_ways(mirror: &Mirror, owner: &Account, root: &Path, from: &Goal, to: &Goal) -> Result<()> {
    let blobs = written(mirror.repository(), from, to).context("the two releases cannot be compared")?;
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

/// The blobs that a switch between two releases would write, in either direction.
fn written(repository: &Repository, from: &Goal, to: &Goal) -> std::result::Result<BTreeSet<Oid>, git2::Error> {
    let changes = changes(repository, Some(from), to)?;
    let sides = changes.iter().flat_map(|change| [change.old, change.new]).flatten();
    Ok(sides.filter(|side| !side.is_submodule()).map(|side| side.id).collect())
}

/// Goes forward (or, for a rollback, back) to `goal` by the means that refuse to overwrite anything of the user's. The mirror
/// below `state` has it.
pub fn go(
    owner: &Account,
    (state, root): (&Path, &Path),
    (goal, present): (&Goal, &Goal),
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
    let changes = if is_plainly_at(state, root, goal) { Vec::new() } else { local_changes(owner, root, revision)? };
    if let Some(path) = changes.first() {
        return Err(Error::failed(format!(
            "the tree was switched, but {} of its files are not the release's: {path}",
            changes.len()
        )));
    }
    verify(owner, root, goal)
}

/// Whether every file is the goal's, told without git; `false`: it must be asked.
fn is_plainly_at(state: &Path, root: &Path, goal: &Goal) -> bool {
    let is_here = known_shape(root).is_some_and(|shape| !shape.is_elsewhere);
    let Some(tree) = tree_of(state, &goal.revision).filter(|_| is_here) else { return false };
    Rooted::open(root).is_ok_and(|checkout| is_untouched(&checkout, tree, goal.cone.is_some()))
}

/// Puts a tracked file back to its committed state; its local change is kept elsewhere by now.
pub fn discard(owner: &Account, root: &Path, path: &Path) -> Result<()> {
    let command = in_checkout(owner, root).args(["checkout", "--quiet", "HEAD", "--"]).args([path]);
    text(command, "a declared local change cannot be set aside").map(drop)
}
