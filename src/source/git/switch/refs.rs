//! HEAD, tags and other refs of the checkout.

use std::path::{Path, PathBuf};

use super::super::call::{in_checkout, text};
use super::super::pins::update_refs;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::Rooted;

/// Where HEAD is now; an error when the repository cannot be read.
pub fn head(owner: &Account, root: &Path) -> Result<String> {
    text(in_checkout(owner, root).args(["rev-parse", "--verify", "HEAD^{commit}"]), "HEAD cannot be read")
}

/// Tags a known-good commit where `git tag` shows it.
pub fn tag_known_good(owner: &Account, root: &Path, name: &str, revision: &str) -> Result<()> {
    let reference = format!("refs/tags/{name}");
    text(in_checkout(owner, root).args(["update-ref", &reference, revision]), "the known-good tag cannot be made")
        .map(drop)
}

/// The same for several at once, by name and commit, and for a remote-tracking branch (remote, branch) with its commit, while
/// the tags `gone` go: all of it, or an error and none.
pub fn tag_all_known_good(
    owner: &Account,
    root: &Path,
    (tags, gone): (&[(&str, &str)], &[&str]),
    tracked: Option<((&str, &str), &str)>,
) -> Result<()> {
    let tags = tags.iter().map(|(name, revision)| (format!("refs/tags/{name}"), *revision));
    let tracked = tracked.map(|((remote, branch), revision)| (format!("refs/remotes/{remote}/{branch}"), revision));
    let refs: Vec<(String, &str)> = tags.chain(tracked).collect();
    let gone: Vec<String> = gone.iter().map(|name| format!("refs/tags/{name}")).collect();
    update_refs(in_checkout(owner, root), &refs, &gone, "the known-good tags cannot be made")
}

/// Removes a known-good tag; one that is not there is no error.
pub fn untag(owner: &Account, root: &Path, name: &str) -> Result<()> {
    let reference = format!("refs/tags/{name}");
    text(in_checkout(owner, root).args(["update-ref", "-d", &reference]), "the known-good tag cannot be removed")
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
