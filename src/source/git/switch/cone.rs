//! The sparse-checkout cone, and what is there within and outside it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::{ErrorCode, ObjectType, Oid, Repository};

use super::super::call::{in_checkout, text};
use super::super::difference::{Change, changes_in};
use super::super::untouched::as_path;
use super::Goal;
use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::fs::{Content, Rooted};

/// Which of these paths are directories of HEAD, which is at this commit: the mirror below `state` tells, or else git.
pub fn directories(
    owner: &Account,
    (state, root): (&Path, &Path),
    head: &str,
    among: BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    if among.is_empty() {
        return Ok(among);
    }
    if let Some(found) = directories_of(state, head, &among) {
        return Ok(found);
    }
    let list = in_checkout(owner, root).args(["ls-tree", "-r", "-d", "--name-only", "-z", "HEAD"]);
    let list = text(list, "the tree of HEAD cannot be read")?;
    Ok(list.split('\0').filter(|path| among.contains(*path)).map(str::to_owned).collect())
}

/// `None`: the mirror does not know.
fn directories_of(state: &Path, commit: &str, among: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let mirror = Repository::open_bare(state.join("mirror.git")).ok()?;
    let tree = mirror.find_commit(Oid::from_str(commit).ok()?).ok()?.tree().ok()?;
    let mut found = BTreeSet::new();
    for path in among {
        match tree.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => drop(found.insert(path.clone())),
            Err(error) if error.code() != ErrorCode::NotFound => return None,
            _ => {}
        }
    }
    Some(found)
}

/// Directories that a switch makes: those that are not there of the files that it writes, outermost first. `aside`: files that it
/// writes anew as well. Which those are, the mirror below `state` tells.
pub fn missing_directories(
    state: &Path,
    root: &Path,
    (from, to): (&Goal, &Goal),
    aside: &[PathBuf],
) -> Result<Vec<PathBuf>> {
    let changes = Repository::open_bare(state.join("mirror.git")).and_then(|mirror| match from.cone == to.cone {
        true => changes(&mirror, Some(from), to),
        // What both have alike is written where the cone did not have it.
        false => changes(&mirror, None, to),
    });
    let changes = changes.context("the two releases cannot be compared")?;
    let written = changes.iter().filter_map(|change| change.new.map(|new| (as_path(&change.path), new)));
    let written = written.filter(|(path, _)| to.has(path));
    // Of a submodule git makes the directory.
    let files = written.map(|(path, new)| if new.is_submodule() { path.join("file") } else { path.to_owned() });
    let files: Vec<PathBuf> = files.chain(aside.iter().cloned()).collect();
    let directories: BTreeSet<&Path> = files.iter().flat_map(|file| file.ancestors().skip(1)).collect();
    let checkout = Rooted::open(root)?;
    let mut missing = Vec::new();
    for directory in directories.into_iter().filter(|directory| *directory != Path::new("")) {
        if !checkout.exists(directory)? {
            missing.push(directory.to_owned());
        }
    }
    Ok(missing)
}

/// What differs between two releases (`None`: one that has nothing) where one of them checks it out.
pub(super) fn changes(
    mirror: &Repository,
    from: Option<&Goal>,
    to: &Goal,
) -> std::result::Result<Vec<Change>, git2::Error> {
    let tree = |goal: &Goal| mirror.find_commit(Oid::from_str(&goal.revision)?)?.tree();
    let is_here = |path: &[u8]| from.into_iter().chain([to]).any(|goal| goal.has(as_path(path)));
    // A directory that neither cone has may be of any size.
    let enter = |directory: &[u8]| is_here(&[directory, b"/file"].concat());
    let mut changes = changes_in(mirror, from.map(tree).transpose()?.as_ref(), Some(&tree(to)?), &enter)?;
    changes.retain(|change| is_here(&change.path));
    Ok(changes)
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
