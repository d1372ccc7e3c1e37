//! Staging: the new tree aside, written by the owner, where checks may run on it.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid};

use super::call::{LOCAL, in_mirror};
use super::mirror::Mirror;
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{make_private, remove_durably};
use crate::host::process::{Command, Input};

/// Unpacks `directories` and the files at the top of `revision` into a fresh directory of the owner's below `cache`.
pub fn stage(
    mirror: &Mirror,
    revision: &str,
    directories: &[String],
    owner: &Account,
    cache: &Path,
) -> Result<PathBuf> {
    let stage = cache.join("stage");
    remove(&stage)?;
    make_private(cache, 0o755)?;
    make_private(&stage, 0o700)?;
    std::os::unix::fs::chown(&stage, Some(owner.uid), Some(owner.gid))
        .with_context(|| format!("{} cannot be given to {}", stage.display(), owner.name))?;
    let mut paths: Vec<String> = directories.iter().map(|path| format!(":(literal,top){path}")).collect();
    paths.extend(top_files(mirror, revision)?);
    let mut archive = in_mirror(mirror.path()).args(["archive", "--format=tar", revision, "--"]).args(paths).spawn()?;
    let pipe = archive.child.stdout.take().ok_or_else(|| Error::failed("git archive has no output"))?;
    let unpack = Command::new(["tar", "--extract", "--file=-"])
        .account(owner)
        .cwd(&stage)
        .stdin(Input::File(std::fs::File::from(std::os::fd::OwnedFd::from(pipe))))
        .timeout(LOCAL)
        .succeed();
    let status = archive.wait("git archive")?;
    match (unpack, status.is_some_and(|status| status.success())) {
        (Ok(_), true) => Ok(stage),
        (Err(error), _) => Err(error.while_("the new tree cannot be staged")),
        (_, false) => Err(Error::failed("the new tree cannot be staged: git archive failed")),
    }
}

/// Removes what an earlier run staged.
pub fn remove(stage: &Path) -> Result<()> {
    match std::fs::remove_dir_all(stage) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // The owner may have put something else in its place.
        Err(_) => remove_durably(stage),
    }
}

fn top_files(mirror: &Mirror, revision: &str) -> Result<Vec<String>> {
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let tree =
        mirror.repository().find_commit(oid).and_then(|commit| commit.tree()).context("the target cannot be read")?;
    let names = tree.iter().filter(|entry| entry.kind() == Some(ObjectType::Blob));
    Ok(names.filter_map(|entry| entry.name().ok().map(|name| format!(":(literal,top){name}"))).collect())
}
