//! The sparse-checkout cone, and what is there within and outside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::call::{in_checkout, text};
use super::Goal;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::{Content, Rooted};

/// The directories of HEAD.
pub fn directories(owner: &Account, root: &Path) -> Result<BTreeSet<String>> {
    let list = in_checkout(owner, root).args(["ls-tree", "-r", "-d", "--name-only", "-z", "HEAD"]);
    let list = text(list, "the tree of HEAD cannot be read")?;
    Ok(list.split('\0').map(str::to_owned).collect())
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

/// Files below `directory` (`.`: anywhere) that git does not track, ignored ones too: what leaving the cone would delete or strand.
pub fn leftovers(owner: &Account, root: &Path, directory: &str) -> Result<Vec<String>> {
    // A literal `.` would match nothing.
    let pathspec = if directory == "." { ":(top)".to_owned() } else { format!(":(literal,top){directory}") };
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

/// Sets the cone; for the whole tree, ends a sparse checkout.
pub(super) fn set_cone(owner: &Account, root: &Path, cone: Option<&[String]>) -> Result<()> {
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
pub(super) fn put_patterns(owner: &Account, root: &Path, checkout: &Rooted, cone: Option<&[String]>) -> Result<bool> {
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
    let parents: BTreeSet<&Path> = cone
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
    whole.collect::<BTreeSet<_>>().into_iter().for_each(|path| text.push_str(&format!("/{}/\n", escaped(path))));
    text
}

fn is_below_another(path: &str, cone: &[String]) -> bool {
    cone.iter().any(|other| other != path && Path::new(path).starts_with(other))
}
