//! Commits that the mirror keeps for as long as they can be rolled back to.

use std::path::Path;

use super::call::{in_mirror, text};
use super::locks;
use crate::error::Result;
use crate::host::process::{Command, Input};

/// Keeps a commit from being collected, for as long as it can be rolled back to. git makes the ref durable; libgit2 does not.
pub fn pin(state: &Path, revision: &str) -> Result<()> {
    let mirror = state.join("mirror.git");
    // Only the run that holds the install's lock writes here.
    locks::of(&mirror, &pin_of(revision))?;
    let command = in_mirror(&mirror).args(["update-ref", &pin_of(revision), revision]);
    text(command, "the mirror cannot be written").map(drop)
}

/// The same for several at once, while others are let go: all of it, or an error and none.
pub fn pin_all(state: &Path, revisions: &[&str], let_go: &[&str]) -> Result<()> {
    let mirror = state.join("mirror.git");
    for revision in revisions.iter().chain(let_go) {
        locks::of(&mirror, &pin_of(revision))?;
    }
    if !let_go.is_empty() {
        locks::packed(&mirror)?;
    }
    let refs: Vec<(String, &str)> = revisions.iter().map(|revision| (pin_of(revision), *revision)).collect();
    let gone: Vec<String> = let_go.iter().map(|revision| pin_of(revision)).collect();
    update_refs(in_mirror(&mirror), &refs, &gone, "the mirror cannot be written")
}

/// Sets refs and removes others, there or not, in one transaction of git-update-ref(1).
pub(super) fn update_refs(git: Command, set: &[(String, &str)], gone: &[String], doing: &str) -> Result<()> {
    let set = set.iter().map(|(name, revision)| format!("update {name} {revision}\n"));
    let lines: String = set.chain(gone.iter().map(|name| format!("delete {name}\n"))).collect();
    text(git.args(["update-ref", "--stdin"]).stdin(Input::Bytes(lines.into_bytes())), doing).map(drop)
}

/// Lets a commit go; one that is not kept is no error.
pub fn unpin(state: &Path, revision: &str) -> Result<()> {
    let mirror = state.join("mirror.git");
    locks::of(&mirror, &pin_of(revision))?;
    locks::packed(&mirror)?;
    let command = in_mirror(&mirror).args(["update-ref", "-d", &pin_of(revision)]);
    text(command, "the mirror cannot be written").map(drop)
}

fn pin_of(revision: &str) -> String {
    format!("refs/relift/known-good/{revision}")
}
