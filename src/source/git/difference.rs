//! What differs between two trees, by object ids: a directory of the same id holds the same, and is not looked into. What
//! this costs follows the change and not the repository; git2's own comparison reads both trees whole.

use std::cmp::Ordering;

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};

/// A path that is not the same in two trees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The path, relative to the trees.
    pub path: Vec<u8>,
    /// What the old tree has there.
    pub old: Option<Blob>,
    /// What the new tree has there.
    pub new: Option<Blob>,
}

/// A file, a link, or the commit of a submodule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// The object.
    pub id: Oid,
    /// Its mode, as git would take it.
    pub mode: i32,
}

impl Change {
    /// The path as text.
    pub fn name(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }
}

impl Blob {
    /// Whether it is a commit of another repository (gitmodules(5)), of which there is nothing here.
    pub fn is_submodule(self) -> bool {
        self.mode & 0o170_000 == 0o160_000
    }
}

/// The paths that differ, sorted; `None`: an empty tree. A directory that becomes a file is the files in it, and the file.
pub fn changes(
    repository: &Repository,
    old: Option<&Tree>,
    new: Option<&Tree>,
) -> std::result::Result<Vec<Change>, git2::Error> {
    changes_in(repository, old, new, &|_| true)
}

/// The same, in the directories alone that `enter` holds for.
pub fn changes_in(
    repository: &Repository,
    old: Option<&Tree>,
    new: Option<&Tree>,
    enter: &dyn Fn(&[u8]) -> bool,
) -> std::result::Result<Vec<Change>, git2::Error> {
    let mut found = Vec::new();
    // No recursion: a tree may be as deep as whoever made it likes.
    let mut pending = vec![(Vec::new(), old.cloned(), new.cloned())];
    while let Some((directory, old, new)) = pending.pop() {
        for (old, new) in pairs(old.as_ref(), new.as_ref()) {
            let entry = [&new, &old].into_iter().flatten().next();
            let Some(path) = entry.map(|entry| join(&directory, entry.name_bytes())) else { continue };
            if entry.is_some_and(is_directory) {
                let is_same = old.as_ref().map(TreeEntry::id) == new.as_ref().map(TreeEntry::id);
                if !is_same && enter(&path) {
                    let tree =
                        |entry: Option<TreeEntry>| entry.map(|entry| repository.find_tree(entry.id())).transpose();
                    pending.push((path, tree(old)?, tree(new)?));
                }
                continue;
            }
            let [old, new] = [old, new].map(|entry| entry.map(|entry| Blob { id: entry.id(), mode: entry.filemode() }));
            if old != new {
                found.push(Change { path, old, new });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

type Pair<'t> = (Option<TreeEntry<'t>>, Option<TreeEntry<'t>>);

/// The entries of both trees, those of the same name and kind together.
fn pairs<'t>(old: Option<&'t Tree>, new: Option<&'t Tree>) -> Vec<Pair<'t>> {
    let entries = |tree: Option<&'t Tree>| tree.into_iter().flat_map(|tree| tree.iter()).peekable();
    let (mut old, mut new) = (entries(old), entries(new));
    let mut pairs = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return pairs,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => sorts(one).cmp(sorts(other)),
        };
        pairs.push(match order {
            Ordering::Less => (old.next(), None),
            Ordering::Greater => (None, new.next()),
            Ordering::Equal => (old.next(), new.next()),
        });
    }
}

/// As git sorts a tree: a directory as if its name ended in a slash.
fn sorts<'e>(entry: &'e TreeEntry) -> impl Iterator<Item = &'e u8> {
    entry.name_bytes().iter().chain(is_directory(entry).then_some(&b'/'))
}

fn is_directory(entry: &TreeEntry) -> bool {
    entry.kind() == Some(ObjectType::Tree)
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() { name.to_vec() } else { [directory, b"/", name].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of raw entries: no object that they name needs to be there.
    fn tree(repository: &Repository, entries: &[(&str, &str, Oid)]) -> Oid {
        let raw: Vec<u8> = entries
            .iter()
            .flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat())
            .collect();
        repository.odb().unwrap().write(ObjectType::Tree, &raw).unwrap()
    }

    fn id(number: u8) -> Oid {
        Oid::from_bytes(&[number; 20]).unwrap()
    }

    fn between(repository: &Repository, old: Oid, new: Oid) -> Vec<String> {
        let [old, new] = [old, new].map(|tree| repository.find_tree(tree).unwrap());
        let word = |change: Change| {
            let sign = match (change.old, change.new) {
                (None, _) => '+',
                (_, None) => '-',
                _ => '~',
            };
            format!("{sign}{}", change.name())
        };
        changes(repository, Some(&old), Some(&new)).unwrap().into_iter().map(word).collect()
    }

    #[test]
    fn a_directory_that_both_trees_have_is_not_looked_into() {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        let release = |file: u8| {
            let inner = tree(&repository, &[("100644", "f", id(file)), ("40000", "large", id(100))]);
            // Of these there is nothing at all: whoever read one would fail.
            tree(&repository, &[("40000", "a", id(101)), ("40000", "b", inner), ("40000", "c", id(102))])
        };
        assert_eq!(between(&repository, release(1), release(2)), ["~b/f"]);
        assert!(between(&repository, release(1), release(1)).is_empty());
    }

    #[test]
    fn what_cannot_be_read_of_a_directory_that_differs_is_an_error() {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        let [old, new] = [1, 2].map(|dir| repository.find_tree(tree(&repository, &[("40000", "a", id(dir))])).unwrap());
        assert!(changes(&repository, Some(&old), Some(&new)).is_err());
    }

    #[test]
    fn every_kind_of_change_is_found_and_what_changes_its_kind_is_there_before_and_after() {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        let inner = tree(&repository, &[("100644", "x", id(9))]);
        let old = [
            ("100644", "gone", id(1)),
            ("100644", "linked", id(2)),
            ("100644", "mode", id(3)),
            ("100644", "same", id(4)),
            ("100644", "turns", id(5)),
            ("40000", "was", inner),
        ];
        let new = [
            ("120000", "linked", id(2)),
            ("100755", "mode", id(3)),
            ("100664", "same", id(4)),
            ("160000", "sub", id(6)),
            ("40000", "turns", inner),
            ("100644", "was", id(5)),
        ];
        let [old, new] = [tree(&repository, &old), tree(&repository, &new)];
        let expected = ["-gone", "~linked", "~mode", "+sub", "-turns", "+turns/x", "+was", "-was/x"];
        assert_eq!(between(&repository, old, new), expected);
        let other_way = ["+gone", "~linked", "~mode", "-sub", "+turns", "-turns/x", "-was", "+was/x"];
        assert_eq!(between(&repository, new, old), other_way);
    }

    #[test]
    fn names_that_only_the_sorting_of_directories_sets_apart_are_matched() {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        let [one, two] = [1, 2].map(|file| tree(&repository, &[("100644", "x", id(file))]));
        // A directory sorts behind `a.b`, a file before it.
        let release = |directory: Oid, file: u8| {
            tree(
                &repository,
                &[
                    ("100644", "a-b", id(3)),
                    ("100644", "a.b", id(file)),
                    ("40000", "a", directory),
                    ("100644", "a0", id(3)),
                ],
            )
        };
        assert_eq!(between(&repository, release(one, 5), release(two, 5)), ["~a/x"]);
        assert_eq!(between(&repository, release(one, 5), release(two, 6)), ["~a.b", "~a/x"]);
        let plain = tree(&repository, &[("100644", "a", id(7)), ("100644", "a.b", id(5))]);
        assert_eq!(between(&repository, release(one, 5), plain), ["+a", "-a-b", "-a/x", "-a0"]);
    }
}
