//! What a remote offers beside what the mirror has: which objects are to come, and which refs are to change.
//!
//! Everything that a ref of the mirror leads to is there, but for what lies in submodules: git's strict checks let nothing in
//! whose links lead nowhere (git-index-pack(1), `--strict`), and no gc runs in it. So an object that a ref leads to is taken as
//! it is, and what is there for another reason is left to git-fetch(1), which walks through it.

use std::collections::BTreeSet;

use git2::{OdbLookupFlags, Oid, Reference, Repository};

use super::mirror::Refs;
use super::seed::SEED;
use crate::manifest::Follow;

/// How many commits a request names as had, at most: 50 bytes each.
const HAVES: usize = 256;

/// How far back along a branch one of them lies at most.
const BACK: usize = 128;

const TAGS: &str = "refs/tags/";

/// What is wanted of a remote, and what the mirror calls it.
pub(super) struct Wanted {
    theirs: String,
    ours: String,
}

impl Wanted {
    /// Beside all tags.
    pub fn of(follow: &Follow) -> Wanted {
        match follow {
            Follow::Branch(branch) => {
                let name = format!("refs/heads/{branch}");
                Wanted { theirs: name.clone(), ours: name }
            }
            Follow::Tags(_) => Wanted { theirs: "HEAD".into(), ours: "refs/relift/remote-head".into() },
        }
    }

    /// With what the names of all that is wanted begin.
    pub fn prefixes(&self) -> [&str; 2] {
        [TAGS, &self.theirs]
    }

    /// For git-fetch(1).
    pub fn refspecs(&self) -> [String; 2] {
        [format!("+{TAGS}*:{TAGS}*"), format!("+{}:{}", self.theirs, self.ours)]
    }

    /// What a remote lists of it, as the mirror names it. A name that could be no ref is passed over, as git does.
    pub fn among(&self, listed: &[String]) -> Result<Refs, Unheard> {
        let mut refs = Refs::new();
        for line in listed {
            if let Some(said) = line.strip_prefix("ERR ") {
                return Err(Unheard::Said(format!("remote error: {said}")));
            }
            let odd = || Unheard::Said("protocol error: invalid ls-refs response".into());
            let (oid, name) = line.split_once(' ').ok_or_else(odd)?;
            let oid = Oid::from_str(oid).ok().filter(|_| oid.len() == 40).ok_or_else(odd)?;
            if name.contains(char::REPLACEMENT_CHARACTER) {
                return Err(Unheard::ForGit);
            }
            if name == self.theirs {
                refs.insert(self.ours.clone(), oid.to_string());
            } else if name.starts_with(TAGS) && Reference::is_valid_name(name) {
                refs.insert(name.to_owned(), oid.to_string());
            }
        }
        match refs.contains_key(&self.ours) {
            true => Ok(refs),
            false => Err(Unheard::Said(format!("couldn't find remote ref {}", self.theirs))),
        }
    }
}

/// Why nothing comes of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// This is to be told.
    Said(String),
    /// It has what only git writes as it is.
    ForGit,
}

/// What is new.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// Objects that are to come.
    pub wants: Vec<String>,
    /// What the remote need not send.
    pub haves: Vec<String>,
    /// Refs that are to go.
    pub gone: Vec<String>,
    /// Refs that are to be set.
    pub set: Vec<(String, String)>,
}

impl News {
    /// What is offered against a mirror; `None`: only git can tell.
    pub fn of(repository: &Repository, wanted: &Wanted, offered: &Refs) -> Option<News> {
        let here = refs(repository)?;
        let gone = here.keys().filter(|name| name.starts_with(TAGS) && !offered.contains_key(*name));
        let set = offered.iter().filter(|(name, oid)| here.get(*name) != Some(*oid));
        let set: Vec<_> = set.map(|(name, oid)| (name.clone(), oid.clone())).collect();
        let mut news = News { gone: gone.cloned().collect(), set, ..News::default() };
        let known: BTreeSet<&String> = here.values().collect();
        let new: BTreeSet<&String> = news.set.iter().map(|(_, oid)| oid).filter(|oid| !known.contains(oid)).collect();
        let (odb, tip) = (repository.odb().ok()?, here.get(&wanted.ours));
        for oid in new {
            let id = Oid::from_str(oid).ok()?;
            if !odb.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
                news.wants.push(oid.clone());
            } else if !tip.is_some_and(|tip| leads_to(repository, tip, id)) {
                return None;
            }
        }
        if !news.wants.is_empty() {
            news.haves = haves(repository, wanted, &here);
        }
        Some(news)
    }

    /// The refs' changes for git-update-ref(1), one transaction each: a ref may go to make room for others below its name.
    pub fn transactions(&self) -> [String; 2] {
        let gone = self.gone.iter().map(|name| format!("delete {name}\n")).collect();
        [gone, self.set.iter().map(|(name, oid)| format!("update {name} {oid}\n")).collect()]
    }
}

/// All refs; `None` where one of them is not plain.
fn refs(repository: &Repository) -> Option<Refs> {
    let entry = |reference: Result<Reference, git2::Error>| {
        let reference = reference.ok()?;
        Some((reference.name().ok()?.to_owned(), reference.target()?.to_string()))
    };
    repository.references().ok()?.map(entry).collect()
}

/// Whether a commit is in the history of another.
fn leads_to(repository: &Repository, tip: &str, commit: Oid) -> bool {
    Oid::from_str(tip).and_then(|tip| repository.graph_descendant_of(tip, commit)).unwrap_or(false)
}

/// The commits of most use to whoever makes the pack first: the branch, or what a checkout gave, with a part of its history, which
/// the remote knows where it does not know the commit; then the others, new tags first.
fn haves(repository: &Repository, wanted: &Wanted, here: &Refs) -> Vec<String> {
    let mut haves = Vec::new();
    let mut add = |commit: git2::Commit| {
        let id = commit.id().to_string();
        if haves.len() < HAVES && !haves.contains(&id) {
            haves.push(id);
        }
    };
    for tip in [&wanted.ours, SEED].iter().filter_map(|name| here.get(*name)) {
        let mut commit = Oid::from_str(tip).and_then(|tip| repository.find_commit(tip)).ok();
        for back in 0..=BACK {
            let Some(this) = commit else { break };
            commit = this.parent(0).ok();
            if back == 0 || back.is_power_of_two() {
                add(this);
            }
        }
    }
    let counts = |name: &str| !name.starts_with("refs/relift/") || name == SEED;
    for (_, oid) in here.iter().rev().filter(|(name, _)| counts(name)).take(HAVES) {
        let object = Oid::from_str(oid).and_then(|oid| repository.find_object(oid, None));
        if let Ok(commit) = object.and_then(|object| object.peel_to_commit()) {
            add(commit);
        }
    }
    haves
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::TagShape;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn listed(lines: &[String], follow: &Follow) -> Result<Refs, Unheard> {
        Wanted::of(follow).among(lines)
    }

    fn main() -> Follow {
        Follow::Branch("main".into())
    }

    #[test]
    fn what_is_followed_is_taken_and_what_could_be_no_ref_is_passed_over() {
        let lines = [
            format!("{A} HEAD"),
            format!("{A} refs/heads/main"),
            format!("{B} refs/heads/main2"),
            format!("{B} refs/tags/v1"),
            format!("{B} refs/tags/a..b"),
            format!("{B} refs/tags/x.lock"),
            format!("{B} refs/tags/v1^{{}}"),
            format!("{B} refs/tags/a b"),
            format!("{B} refs/tags/../heads/main"),
            format!("{B} refs/tags/\u{7}"),
            format!("{B} refs/relift/remote-head"),
        ];
        let tag = ("refs/tags/v1".to_owned(), B.to_owned());
        let both = Refs::from([("refs/heads/main".into(), A.into()), tag.clone()]);
        assert_eq!(listed(&lines, &main()), Ok(both));
        let tags = Follow::Tags(TagShape { prefix: "v".into(), suffix: String::new() });
        assert_eq!(listed(&lines, &tags), Ok(Refs::from([("refs/relift/remote-head".into(), A.into()), tag])));
    }

    #[test]
    fn a_part_of_the_history_is_named_as_had_and_new_tags_before_old_ones() {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        let tree = repository.find_tree(repository.treebuilder(None).unwrap().write().unwrap()).unwrap();
        let who = git2::Signature::now("a", "a@example.org").unwrap();
        let commit = |number: usize, parent: Option<Oid>| {
            let parent = parent.map(|parent| repository.find_commit(parent).unwrap());
            repository.commit(None, &who, &who, &number.to_string(), &tree, &parent.iter().collect::<Vec<_>>()).unwrap()
        };
        let mut history = vec![commit(0, None)];
        (1..200).for_each(|number| history.push(commit(number, history.last().copied())));
        let own = commit(1000, Some(history[150]));
        let set = |name: &str, oid: Oid| drop(repository.reference(name, oid, true, "").unwrap());
        set("refs/heads/main", history[199]);
        set(SEED, own);
        set("refs/relift/offered/x", commit(2000, None));
        (0..300).for_each(|number| set(&format!("refs/tags/v{number:03}"), commit(3000 + number, None)));
        let here = refs(&repository).unwrap();
        let haves = haves(&repository, &Wanted::of(&main()), &here);
        let of_main = [199, 198, 197, 195, 191, 183, 167, 135, 71].map(|at| history[at].to_string());
        assert_eq!(haves[..9], of_main);
        assert_eq!(haves[9..11], [own.to_string(), history[150].to_string()]);
        assert_eq!(haves.len(), HAVES);
        assert!(haves.contains(&here["refs/tags/v299"]) && !haves.contains(&here["refs/tags/v000"]));
        assert!(!haves.contains(&here["refs/relift/offered/x"]), "what we made ourselves tells the remote nothing");
    }

    #[test]
    fn a_list_without_what_is_followed_or_with_what_is_no_ref_says_so() {
        let said = |lines: &[String]| match listed(lines, &main()) {
            Err(Unheard::Said(said)) => said,
            other => panic!("{other:?}"),
        };
        assert_eq!(said(&[format!("{A} refs/heads/main2")]), "couldn't find remote ref refs/heads/main");
        assert_eq!(said(&["ERR access denied".into()]), "remote error: access denied");
        for odd in ["", "unborn HEAD", "1234 refs/heads/main", &format!("{}z refs/heads/main", &A[1..])] {
            assert!(said(&[odd.to_owned()]).contains("invalid ls-refs response"), "{odd}");
        }
        let latin = String::from_utf8_lossy(b"refs/tags/\xe4").into_owned();
        assert_eq!(listed(&[format!("{A} refs/heads/main"), format!("{A} {latin}")], &main()), Err(Unheard::ForGit));
    }
}
