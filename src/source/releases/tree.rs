//! The tree in a release's directory, against the one in the mirror. Root reads it through no link, and nothing but files.

use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, Tree, TreeWalkMode, TreeWalkResult};

use crate::error::{Context, Error, Result};
use crate::host::fs::{NodeKind, Rooted};
use crate::manifest::RelPath;
use crate::source::Place;
use crate::source::snapshot::{self, Entry, EntryKind, FORMAT, Meta};

/// What a tree that was unpacked by hand may hold: entries, and bytes of all its files.
const ENTRIES: usize = 200_000;
const BYTES: u64 = 2 << 30;
/// How many commits are compared with such a tree.
const COMMITS: usize = 2_000;

/// The tree of a commit.
pub(super) fn of<'r>(repository: &'r Repository, revision: &str) -> Result<Tree<'r>> {
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    repository.find_commit(oid).and_then(|commit| commit.tree()).context("the mirror does not have the release")
}

/// An entry of a tree that is no directory, in the order of the tree.
pub(super) struct Tracked {
    pub path: PathBuf,
    pub mode: i32,
    pub id: Oid,
}

/// Every file, link and submodule of a tree; directories are those on the way to them.
pub(super) fn entries(tree: &Tree) -> Result<Vec<Tracked>> {
    let mut found = Vec::new();
    let walked = tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
        if entry.kind() != Some(ObjectType::Tree) {
            let mut path = parent.as_bytes().to_vec();
            path.extend_from_slice(entry.name_bytes());
            let path = PathBuf::from(std::ffi::OsString::from_vec(path));
            found.push(Tracked { path, mode: entry.filemode(), id: entry.id() });
        }
        TreeWalkResult::Ok
    });
    walked.context("the release cannot be read from the mirror")?;
    Ok(found)
}

/// Tracked paths, below `root`, that are not as the release has them in `directory`.
pub(super) fn edited(root: &Rooted, directory: &Path, repository: &Repository, revision: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for tracked in entries(&of(repository, revision)?)? {
        let path = directory.join(&tracked.path);
        if !is_as_tracked(root, &path, repository, &tracked)? {
            found.push(path.display().to_string());
        }
    }
    Ok(found)
}

fn is_as_tracked(root: &Rooted, path: &Path, repository: &Repository, tracked: &Tracked) -> Result<bool> {
    match tracked.mode {
        // A commit of another repository: there is nothing of it here.
        0o160000 => Ok(true),
        0o120000 => {
            let blob = repository.find_blob(tracked.id).context("the mirror cannot be read")?;
            let Ok(target) = root.link(path) else { return Ok(false) };
            Ok(target.is_some_and(|target| target.as_os_str().as_bytes() == blob.content()))
        }
        mode => {
            let odb = repository.odb().context("the mirror cannot be read")?;
            let size = odb.read_header(tracked.id).context("the mirror cannot be read")?.0 as u64;
            // A link or anything else in its place is another thing.
            let Ok(Some((file, node))) = root.open_file(path) else { return Ok(false) };
            if node.size != size || (node.meta.mode & 0o100 != 0) != (mode & 0o100 != 0) {
                return Ok(false);
            }
            let mut bytes = Vec::new();
            let read = file.take(size + 1).read_to_end(&mut bytes);
            read.with_context(|| format!("{} cannot be read", root.path().join(path).display()))?;
            Ok(Oid::hash_object(ObjectType::Blob, &bytes).context("a file cannot be hashed")? == tracked.id)
        }
    }
}

/// Those of the linked places that the release itself has, or to which something of it bars the way.
pub(super) fn conflicts(repository: &Repository, revision: &str, linked: &[RelPath]) -> Result<Vec<RelPath>> {
    let tree = of(repository, revision)?;
    let is_barred =
        |path: &&RelPath| {
            Path::new(path.as_str()).ancestors().filter(|part| *part != Path::new("")).enumerate().any(|(at, part)| {
                tree.get_path(part).is_ok_and(|entry| at == 0 || entry.kind() != Some(ObjectType::Tree))
            })
        };
    Ok(linked.iter().filter(is_barred).cloned().collect())
}

/// What a release is that somebody unpacked by hand: the commit of upstream's with this tree, else one that we make of it.
pub(super) fn adopt(place: &Place, root: &Rooted, name: &str, repository: &Repository) -> Result<String> {
    let directory = super::below(name);
    if !root.is_directory(&directory) {
        let shown = root.path().join(&directory);
        return Err(Error::failed(format!("{} is no directory, and `current` leads there", shown.display()))
            .hint("lead `current` to the release that runs: ln -sfnT releases/NAME current"));
    }
    let mut walk = Walk { place, root, top: &directory, found: Vec::new(), bytes: 0 };
    walk.directory(Path::new(""))?;
    let version = name.strip_prefix('v').unwrap_or(name).to_owned();
    let identity = vec![format!("unpacked by hand as {name}")];
    let meta = Meta { snapshot: FORMAT, version, identity, empty: Vec::new(), time: 0 };
    let own = snapshot::write(repository, walk.found.into_iter().map(Ok), &meta)?;
    let tree = of(repository, &own.to_string())?.id();
    Ok(with_tree(repository, tree)?.unwrap_or_else(|| own.to_string()))
}

/// The newest commit of upstream's that has this tree.
fn with_tree(repository: &Repository, tree: Oid) -> Result<Option<String>> {
    let failed = "the history cannot be read";
    let mut walk = repository.revwalk().context(failed)?;
    for glob in ["refs/tags/*", "refs/heads/*", "refs/relift/offered/*"] {
        // A reference to something that is no commit has no history.
        walk.push_glob(glob).unwrap_or_default();
    }
    for oid in walk.take(COMMITS) {
        let oid = oid.context(failed)?;
        if repository.find_commit(oid).context(failed)?.tree_id() == tree {
            return Ok(Some(oid.to_string()));
        }
    }
    Ok(None)
}

struct Walk<'a> {
    place: &'a Place<'a>,
    root: &'a Rooted,
    top: &'a Path,
    found: Vec<Entry>,
    bytes: u64,
}

impl Walk<'_> {
    /// What is this host's own, or made by steps: no part of a release.
    fn is_own(&self, path: &Path) -> bool {
        let install = self.place.install;
        let artifacts =
            install.components.iter().flat_map(|part| part.artifacts.iter().map(|artifact| artifact.below(&part.path)));
        path == Path::new(".git") || artifacts.chain(install.linked()).any(|own| Path::new(own.as_str()) == path)
    }

    fn directory(&mut self, below: &Path) -> Result<()> {
        let mut names = self.root.entries(&self.top.join(below))?;
        names.sort();
        for name in names {
            let path = below.join(name);
            if !self.is_own(&path) {
                self.entry(&path)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path) -> Result<()> {
        let full = self.top.join(path);
        let shown = || self.root.path().join(&full).display().to_string();
        let Some(node) = self.root.node(&full)? else { return Ok(()) };
        let (kind, bytes) = match node.kind {
            NodeKind::Directory => return self.directory(path),
            NodeKind::Special => return Ok(()),
            NodeKind::Link(target) => (EntryKind::Link, target.into_vec()),
            NodeKind::File => {
                let Some((file, node)) = self.root.open_file(&full)? else { return Ok(()) };
                self.bytes += node.size;
                if self.bytes > BYTES || self.found.len() >= ENTRIES {
                    return Err(too_large(&self.root.path().join(self.top)));
                }
                let mut bytes = Vec::new();
                file.take(node.size).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", shown()))?;
                let kind = if node.meta.mode & 0o100 == 0 { EntryKind::File } else { EntryKind::Program };
                (kind, bytes)
            }
        };
        let text = path.to_str().ok_or_else(|| Error::failed(format!("{} is no name in UTF-8", shown())))?;
        self.found.push(Entry { path: text.to_owned(), kind, bytes });
        Ok(())
    }
}

fn too_large(directory: &Path) -> Error {
    Error::failed(format!("{} is too large to be taken for a release as it is", directory.display()))
        .because(format!("it holds more than {ENTRIES} files, or {}", crate::text::bytes(BYTES)))
        .hint("name what is no part of the release in `artifacts` of its component, or in `shared` under [install]")
}
