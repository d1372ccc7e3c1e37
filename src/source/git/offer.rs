//! What a target offers, read from the mirror.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use git2::{Commit as GitCommit, Oid, Repository, Sort, Tree};

use super::declared;
use super::difference::{Change, changes, changes_in};
use super::mirror::Mirror;
use super::target::Target;
use crate::error::{Context, Result};
use crate::manifest::{Component, RelPath, VersionSource};
use crate::plan::{Blocker, Commit, Release, abbreviate};
use crate::source::{ComponentOffer, Direction, Offer};

/// How many commits a plan lists.
const COMMITS: usize = 15;
/// What an LFS pointer begins with (Git LFS specification).
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// A sparse-checkout cone; `None`: the whole tree.
pub type Cone<'a> = Option<&'a [String]>;

/// What the work tree has to do with an offer.
pub struct WorkTree<'a> {
    /// Its cone as it is.
    pub present: Cone<'a>,
    /// Its cone as it is to be.
    pub wanted: Cone<'a>,
    /// Whether anything at all may be below a directory. Where there is nothing, nothing can be in the way of a release.
    pub holds: &'a dyn Fn(&Path) -> bool,
}

/// Compares the target with what is checked out (`head`) and, for each component, with what is activated.
pub fn offer(
    mirror: &Mirror,
    head: &str,
    target: &Target,
    components: &[(&Component, Option<String>)],
    here: &WorkTree,
) -> Result<Offer> {
    let (present, wanted) = (here.present, here.wanted);
    let repository = mirror.repository();
    let from = commit(repository, head)?;
    let to = commit(repository, &target.revision)?;
    let direction = direction(repository, from.id(), to.id())?;
    let (commits, commits_total) = match direction {
        Direction::Back => commits(repository, &to, &from, components)?,
        _ => commits(repository, &from, &to, components)?,
    };
    let mut offer = Offer {
        from: Release { revision: head.to_owned(), label: None },
        to: Release { revision: target.revision.clone(), label: target.label.clone() },
        standing: crate::trust::Standing::Unverified,
        standing_of_present: crate::trust::Standing::Unverified,
        lineage: crate::trust::Lineage::default(),
        direction,
        commits,
        commits_total,
        components: Vec::new(),
        blockers: Vec::new(),
        added: Vec::new(),
        leaving: match (present, wanted) {
            (None, Some(cone)) => leaving(&from, cone)?,
            _ => Vec::new(),
        },
        warnings: Vec::new(),
        changes: Vec::new(),
        sections: Vec::new(),
        around: Default::default(),
    };
    for (component, activated) in components {
        declared::readable(repository, &to, component)?;
        let base = activated.as_deref().and_then(|oid| commit(repository, oid).ok()).unwrap_or_else(|| from.clone());
        let changes = changed(repository, &base, &to, component.path.as_str())?;
        offer.components.push(read_component(mirror, component, &base, &to, &changes)?);
        offer.blockers.extend(pointers(repository, component, &changes)?);
        offer.blockers.extend(submodules(repository, &to, component)?);
    }
    offer.blockers.extend(stops_tracking(&from, &to, components)?);
    offer.added = added(repository, &from, &to, here)?;
    Ok(offer)
}

/// Whether upstream had exactly these bytes at `path` in `head` or before: then they are no edit of the operator's.
pub fn was_shipped(mirror: &Mirror, head: &str, path: &str, bytes: &[u8]) -> Result<bool> {
    let repository = mirror.repository();
    let blob = Oid::hash_object(git2::ObjectType::Blob, bytes).context("a file cannot be hashed")?;
    if repository.find_blob(blob).is_err() {
        return Ok(false);
    }
    let mut walk = repository.revwalk().context("the history cannot be read")?;
    walk.push(commit(repository, head)?.id()).context("the history cannot be read")?;
    for oid in walk {
        let tree = oid.and_then(|oid| repository.find_commit(oid)?.tree()).context("the history cannot be read")?;
        if tree.get_path(Path::new(path)).is_ok_and(|entry| entry.id() == blob) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn commit<'r>(repository: &'r Repository, revision: &str) -> Result<GitCommit<'r>> {
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    repository.find_commit(oid).with_context(|| format!("the mirror has no commit {}", abbreviate(revision)))
}

fn direction(repository: &Repository, from: Oid, to: Oid) -> Result<Direction> {
    let descends = |child, parent| repository.graph_descendant_of(child, parent).context("the history cannot be read");
    Ok(match () {
        () if from == to => Direction::Same,
        () if descends(to, from)? => Direction::Forward,
        () if descends(from, to)? => Direction::Back,
        () => Direction::Diverged,
    })
}

/// The commits of `newer` that `older` does not have and that touch a component, newest first.
fn commits(
    repository: &Repository,
    older: &GitCommit,
    newer: &GitCommit,
    components: &[(&Component, Option<String>)],
) -> Result<(Vec<Commit>, usize)> {
    let mut walk = repository.revwalk().context("the history cannot be read")?;
    let ready =
        walk.set_sorting(Sort::TOPOLOGICAL).and_then(|()| walk.push(newer.id())).and_then(|()| walk.hide(older.id()));
    ready.context("the history cannot be read")?;
    let (mut listed, mut total) = (Vec::new(), 0);
    for oid in walk {
        let commit = oid.and_then(|oid| repository.find_commit(oid)).context("the history cannot be read")?;
        if !touches(&commit, components) {
            continue;
        }
        total += 1;
        if listed.len() < COMMITS {
            let summary = commit.summary_bytes().map(String::from_utf8_lossy).unwrap_or_default();
            let id = abbreviate(&commit.id().to_string()).to_owned();
            listed.push(Commit { id, summary: crate::text::harmless(&summary) });
        }
    }
    Ok((listed, total))
}

fn touches(commit: &GitCommit, components: &[(&Component, Option<String>)]) -> bool {
    let ids = |commit: &GitCommit| -> Vec<Option<Oid>> {
        let tree = commit.tree().ok();
        let id = |path: &str| match path {
            "." => tree.as_ref().map(Tree::id),
            path => tree.as_ref()?.get_path(Path::new(path)).ok().map(|entry| entry.id()),
        };
        components.iter().map(|(component, _)| id(component.path.as_str())).collect()
    };
    let own = ids(commit);
    // A merge counts when it differs from every parent, as in `git log -- PATH`.
    commit.parents().all(|parent| ids(&parent) != own)
}

fn read_component(
    mirror: &Mirror,
    component: &Component,
    base: &GitCommit,
    to: &GitCommit,
    changes: &[Change],
) -> Result<ComponentOffer> {
    let path = component.path.as_str();
    let at = |commit: &GitCommit, file: &str| mirror.file(commit.id(), &component.path.join(file));
    let text =
        |commit: &GitCommit, file: &str| at(commit, file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let version = |commit: &GitCommit| {
        let source = component.version.as_ref()?;
        parse_version(source, &text(commit, source.file.as_str())?)
    };
    let changelogs = match &component.changelog {
        Some(path) => vec![path.as_str()],
        None => vec!["CHANGELOG.md", "docs/CHANGELOG.md"],
    };
    let env =
        |declared: &crate::manifest::EnvFile| (at(base, declared.example.as_str()), at(to, declared.example.as_str()));
    let unit =
        |declared: &crate::manifest::Unit| (text(base, declared.file.as_str()), text(to, declared.file.as_str()));
    Ok(ComponentOffer {
        present: subtree(mirror.repository(), to, path)?.is_some(),
        from_version: version(base),
        to_version: version(to),
        changed: changes.iter().map(Change::name).collect(),
        changelog: changelogs.iter().find_map(|file| text(to, file).or_else(|| text(base, file))),
        examples: component.env.iter().map(env).collect(),
        units: component.units.iter().map(unit).collect(),
    })
}

/// The version in a file: the whole of it, or a dotted key of a TOML or JSON file.
pub fn parse_version(source: &VersionSource, text: &str) -> Option<String> {
    let version = match &source.key {
        None => text.trim().to_owned(),
        Some(key) if source.file.as_str().ends_with(".json") => {
            let value: serde_json::Value = serde_json::from_str(text).ok()?;
            key.split('.').try_fold(&value, |value, part| value.get(part))?.as_str()?.to_owned()
        }
        Some(key) => {
            let table: toml::Table = text.parse().ok()?;
            let value = toml::Value::Table(table);
            key.split('.').try_fold(&value, |value, part| value.get(part))?.as_str()?.to_owned()
        }
    };
    (!version.is_empty() && version.len() <= 100 && !version.contains(char::is_control)).then_some(version)
}

fn subtree<'r>(repository: &'r Repository, commit: &GitCommit, path: &str) -> Result<Option<Tree<'r>>> {
    let tree = commit.tree().context("the mirror cannot be read")?;
    if path == "." {
        return Ok(repository.find_tree(tree.id()).ok());
    }
    let Ok(entry) = tree.get_path(Path::new(path)) else { return Ok(None) };
    Ok(repository.find_tree(entry.id()).ok())
}

/// What differs below `path`, relative to it.
fn changed(repository: &Repository, base: &GitCommit, to: &GitCommit, path: &str) -> Result<Vec<Change>> {
    let (old, new) = (subtree(repository, base, path)?, subtree(repository, to, path)?);
    if old.as_ref().map(Tree::id) == new.as_ref().map(Tree::id) {
        return Ok(Vec::new());
    }
    changes(repository, old.as_ref(), new.as_ref()).context("the releases cannot be compared")
}

/// Whether a file is checked out under a cone: below one of its directories, or directly in a parent of one.
pub fn is_within(cone: Cone, path: &Path) -> bool {
    let parent = path.parent().unwrap_or(Path::new(""));
    let Some(cone) = cone else { return true };
    parent == Path::new("")
        || cone.iter().any(|directory| parent.starts_with(directory) || Path::new(directory).starts_with(parent))
}

/// The outermost directories of a commit that a cone does not have.
fn leaving(from: &GitCommit, cone: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let visit = |parent: &str, entry: &git2::TreeEntry| {
        if entry.kind() != Some(git2::ObjectType::Tree) {
            return git2::TreeWalkResult::Skip;
        }
        let path = format!("{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
        match () {
            () if cone.contains(&path) => git2::TreeWalkResult::Skip,
            () if is_within(Some(cone), &Path::new(&path).join("file")) => git2::TreeWalkResult::Ok,
            () => {
                found.push(path);
                git2::TreeWalkResult::Skip
            }
        }
    };
    let tree = from.tree().context("the mirror cannot be read")?;
    tree.walk(git2::TreeWalkMode::PreOrder, visit).context("the mirror cannot be read")?;
    Ok(found)
}

/// The files that a switch would write, and those beside the cone where something may be that git does not track.
fn added(repository: &Repository, from: &GitCommit, to: &GitCommit, here: &WorkTree) -> Result<Vec<String>> {
    let [old, new] = [from, to].map(GitCommit::tree);
    let (old, new) = (old.context("the mirror cannot be read")?, new.context("the mirror cannot be read")?);
    let between = |old: Option<&Tree>, enter: &dyn Fn(&Path) -> bool| {
        let enter = |directory: &[u8]| enter(Path::new(OsStr::from_bytes(directory)));
        changes_in(repository, old, Some(&new), &enter).context("the releases cannot be compared")
    };
    let is_written = |cone: Cone, directory: &Path| is_within(cone, &directory.join("file"));
    // Outside the cone as well: git takes a file that is there for a checked out one as soon as it tracks the path.
    let may_matter = |directory: &Path| is_written(here.wanted, directory) || (here.holds)(directory);
    // One that becomes a link is tracked before and after.
    let appearing = between(Some(&old), &may_matter)?.into_iter().filter(|change| change.old.is_none());
    let mut added: Vec<String> = appearing.map(|change| change.name()).collect();
    // What enters the cone is written as well, whichever release has had it.
    if let Some(present) = here.present.filter(|present| here.wanted != Some(present)) {
        let is_whole = |directory: &Path| present.iter().any(|present| directory.starts_with(present));
        let may_enter = |directory: &Path| is_written(here.wanted, directory) && !is_whole(directory);
        let enters =
            |path: &String| is_within(here.wanted, Path::new(path)) && !is_within(Some(present), Path::new(path));
        added.extend(between(None, &may_enter)?.iter().map(Change::name).filter(enters));
    }
    added.sort();
    added.dedup();
    Ok(added)
}

/// Declared configuration files that the target stops tracking: git would delete them.
fn stops_tracking(
    from: &GitCommit,
    to: &GitCommit,
    components: &[(&Component, Option<String>)],
) -> Result<Vec<Blocker>> {
    let [from, to] = [from, to].map(|commit| commit.tree().context("the mirror cannot be read"));
    let (from, to) = (from?, to?);
    let tracks = |tree: &Tree, file: &RelPath| {
        tree.get_path(file.as_ref()).is_ok_and(|entry| entry.kind() != Some(git2::ObjectType::Tree))
    };
    let declared =
        components.iter().flat_map(|(component, _)| component.env.iter().map(|env| env.file.below(&component.path)));
    let blocker = |file: RelPath| {
        Blocker::impossible(
            format!("the release stops tracking {file}, so that git would delete it"),
            format!(
                "upgrade this checkout by hand for this once, and keep a copy to put back: cp -a {file} {file}.kept"
            ),
        )
    };
    Ok(declared.filter(|file| tracks(&from, file) && !tracks(&to, file)).map(blocker).collect())
}

/// A changed file that stands for one elsewhere.
fn pointers(repository: &Repository, component: &Component, changes: &[Change]) -> Result<Option<Blocker>> {
    let objects = repository.odb().context("the mirror cannot be read")?;
    let is_pointer = |oid: Oid| {
        let is_small = objects.read_header(oid).is_ok_and(|(size, kind)| kind == git2::ObjectType::Blob && size < 1024);
        is_small && objects.read(oid).is_ok_and(|object| object.data().starts_with(LFS))
    };
    let found = changes.iter().find(|change| change.new.is_some_and(|new| is_pointer(new.id)));
    Ok(found.map(|change| {
        Blocker::impossible(
            format!(
                "{}/{} is a Git LFS pointer, and this version does not fetch LFS objects",
                component.path,
                crate::text::harmless(&change.name())
            ),
            "ask upstream for a release without LFS in this component, or upgrade this checkout by hand",
        )
    }))
}

/// Commits of other repositories in the component's directory (gitmodules(5)).
fn submodules(repository: &Repository, to: &GitCommit, component: &Component) -> Result<Vec<Blocker>> {
    let path = component.path.as_str();
    let mut found = Vec::new();
    if let Some(tree) = subtree(repository, to, path)? {
        let visit = |directory: &str, entry: &git2::TreeEntry| {
            if entry.kind() == Some(git2::ObjectType::Commit) {
                found.push(format!("{path}/{directory}{}", String::from_utf8_lossy(entry.name_bytes())));
            }
            git2::TreeWalkResult::Ok
        };
        tree.walk(git2::TreeWalkMode::PreOrder, visit).context("the mirror cannot be read")?;
    }
    let blocker = |path: String| {
        Blocker::impossible(
            format!("{} is a submodule, and this version does not switch submodules", crate::text::harmless(&path)),
            "ask upstream for a release without submodules in this component, or upgrade this checkout by hand",
        )
    };
    Ok(found.into_iter().map(blocker).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cone_holds_its_directories_and_the_files_beside_the_way_to_them() {
        let cone = ["apps/manager".to_owned()];
        for (path, is_in) in
            [("README", true), ("apps/x", true), ("apps/manager/a/b", true), ("apps/other/x", false), ("docs/x", false)]
        {
            assert_eq!(is_within(Some(&cone), Path::new(path)), is_in, "{path}");
            assert!(is_within(None, Path::new(path)));
        }
    }

    #[test]
    fn what_leaves_the_work_tree_is_named_by_its_outermost_directory() {
        let directory = tempfile::tempdir().unwrap();
        let repository = Repository::init(directory.path()).unwrap();
        let mut index = repository.index().unwrap();
        for path in ["README", "apps/README", "apps/manager/a/b", "apps/other/x/y", "docs/x", "runner/x"] {
            std::fs::create_dir_all(directory.path().join(path).parent().unwrap()).unwrap();
            std::fs::write(directory.path().join(path), path).unwrap();
            index.add_path(Path::new(path)).unwrap();
        }
        let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
        let author = git2::Signature::now("a", "a@example.org").unwrap();
        let made = repository.commit(None, &author, &author, "all", &tree, &[]).unwrap();
        let from = repository.find_commit(made).unwrap();
        let leaving = |cone: &[&str]| leaving(&from, &cone.iter().map(|path| path.to_string()).collect::<Vec<_>>());
        assert_eq!(leaving(&["apps/manager", "runner"]).unwrap(), ["apps/other", "docs"]);
        assert_eq!(leaving(&["apps", "docs"]).unwrap(), ["runner"]);
        assert!(leaving(&["apps", "docs", "runner"]).unwrap().is_empty());
    }
}
