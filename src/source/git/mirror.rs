//! The private mirror: a bare repository below our own state, its configuration written whole by us.

use std::collections::BTreeMap;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::call::{Remote, SOURCE, explain, in_mirror, text};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{make_private, write_durably};
use crate::host::process::Output;
use crate::manifest::{Follow, GitSource};
use crate::report::{Event, Reporter};

/// Refs by full name.
pub type Refs = BTreeMap<String, String>;

/// The whole configuration of the mirror: no remote, no hooks, received objects checked.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n\thooksPath = /dev/null\n\
\tfsync = all\n\tprotectHFS = true\n\tprotectNTFS = true\n\tlogAllRefUpdates = false\n[fetch]\n\tfsckObjects = true\n\trecurseSubmodules = false\n\
[transfer]\n\tfsckObjects = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[submodule]\n\trecurse = false\n";

/// Our own copy of a remote.
pub struct Mirror {
    path: PathBuf,
    remote: Remote,
    repository: Repository,
}

impl Mirror {
    /// Opens the mirror below `state`, or makes it; needs no network.
    pub fn open(state: &Path, source: &GitSource, owner: &Account) -> Result<Mirror> {
        make_private(state, 0o700)?;
        let path = state.join("mirror.git");
        if !path.join("HEAD").exists() {
            text(
                in_mirror(state).args(["init", "--quiet", "--bare", "--template="]).args([&path]),
                "the mirror cannot be made",
            )?;
        }
        // Written anew each time: nothing that got into it otherwise counts.
        write_if_other(&path.join("config"), CONFIG)?;
        make_private(&path.join("info"), 0o700)?;
        // A release is staged whole: what .gitattributes leaves out of archives is part of it.
        write_if_other(&path.join("info/attributes"), "* -export-ignore -export-subst\n")?;
        let remote = Remote { url: source.url.clone(), owner: owner.clone(), config: state.join("remote.gitconfig") };
        write_if_other(&remote.config, &remote.config_text())?;
        let repository = Repository::open_bare(&path).context("the mirror cannot be opened")?;
        Ok(Mirror { path, remote, repository })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mirror, to be read.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What the remote has now of what is followed: one round trip, nothing stored.
    pub fn ask(&self, follow: &Follow) -> Result<Refs> {
        let pattern = match follow {
            Follow::Branch(branch) => format!("refs/heads/{branch}"),
            Follow::Tags(shape) => format!("refs/tags/{}*", shape.prefix),
        };
        let url = self.remote.shown();
        let output = self.remote.git(&self.path, true).args(["ls-remote", "--", SOURCE, &pattern]).output()?;
        if !output.success() {
            return Err(explain(&url, &output));
        }
        let refs: Refs = parse_refs(&output.text());
        match (follow, refs.is_empty()) {
            (Follow::Branch(branch), true) => Err(no_branch(&url, branch)),
            _ => Ok(refs),
        }
    }

    /// What the mirror has of what is followed, in the form of [`Mirror::ask`]; tags peeled to commits.
    pub fn known(&self, follow: &Follow) -> Refs {
        let pattern = match follow {
            Follow::Branch(branch) => format!("refs/heads/{branch}"),
            Follow::Tags(shape) => format!("refs/tags/{}*", shape.prefix),
        };
        let Ok(references) = self.repository.references_glob(&pattern) else { return Refs::new() };
        let entry = |reference: git2::Reference| {
            let commit = reference.peel_to_commit().ok()?;
            Some((reference.name().ok()?.to_owned(), commit.id().to_string()))
        };
        references.flatten().filter_map(entry).collect()
    }

    /// Brings the mirror up to date with the remote, telling how far it is.
    pub fn fetch(&self, follow: &Follow, reporter: &dyn Reporter) -> Result<()> {
        let mut refspecs = vec!["+refs/tags/*:refs/tags/*".to_owned()];
        match follow {
            Follow::Branch(branch) => refspecs.push(format!("+refs/heads/{branch}:refs/heads/{branch}")),
            Follow::Tags(_) => refspecs.push("+HEAD:refs/relift/remote-head".to_owned()),
        }
        let command = self
            .remote
            .git(&self.path, false)
            .args([
                "fetch",
                "--progress",
                "--no-auto-maintenance",
                "--no-write-fetch-head",
                "--no-tags",
                "--prune",
                "--",
            ])
            .args([SOURCE])
            .args(refspecs);
        let mut running = command.spawn()?;
        let stderr = running.child.stderr.take().map(|pipe| watch(pipe, reporter)).unwrap_or_default();
        let status = running.wait("git")?;
        let output = Output { status, stdout: Vec::new(), stderr };
        match output.success() {
            true => Ok(()),
            false => Err(explain(&self.remote.shown(), &output)),
        }
    }

    /// The commit that `name` (a commit, tag or branch) means in the mirror.
    pub fn resolve(&self, name: &str) -> Option<Oid> {
        let revision = format!("{name}^{{commit}}");
        self.repository.revparse_single(&revision).ok().map(|object| object.id())
    }

    /// The text of a file at a commit; `None` where there is none.
    pub fn file(&self, commit: Oid, path: &str) -> Option<Vec<u8>> {
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree()).ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        let blob = entry.to_object(&self.repository).ok()?.into_blob().ok()?;
        Some(blob.content().to_vec())
    }
}

/// Keeps a commit from being collected, for as long as it can be rolled back to.
pub fn pin(state: &Path, revision: &str) -> Result<()> {
    let repository = Repository::open_bare(state.join("mirror.git")).context("the mirror cannot be opened")?;
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let name = format!("refs/relift/known-good/{revision}");
    repository.reference(&name, oid, true, "known-good").context("the mirror cannot be written")?;
    Ok(())
}

/// Lets a commit go; one that is not kept is no error.
pub fn unpin(state: &Path, revision: &str) -> Result<()> {
    let repository = Repository::open_bare(state.join("mirror.git")).context("the mirror cannot be opened")?;
    match repository.find_reference(&format!("refs/relift/known-good/{revision}")) {
        Ok(mut reference) => reference.delete().context("the mirror cannot be written"),
        Err(_) => Ok(()),
    }
}

/// The error for a branch that is not there.
pub fn no_branch(url: &str, branch: &str) -> Error {
    Error::failed(format!("{url} has no branch {branch}"))
        .hint(format!("correct `branch` in the manifest; what is there: git ls-remote --heads {url}"))
}

/// The refs of `git ls-remote`, tags peeled: `^{}` wins over the tag object.
fn parse_refs(listing: &str) -> Refs {
    let mut refs = Refs::new();
    for (oid, name) in listing.lines().filter_map(|line| line.split_once('\t')) {
        match name.strip_suffix("^{}") {
            Some(tag) => refs.insert(tag.to_owned(), oid.to_owned()),
            None => refs.entry(name.to_owned()).or_insert_with(|| oid.to_owned()).is_empty().then(String::new),
        };
    }
    refs
}

fn write_if_other(path: &Path, text: &str) -> Result<()> {
    match std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes()) {
        true => Ok(()),
        false => write_durably(path, text.as_bytes(), 0o600),
    }
}

/// Passes git's progress on and keeps the lines that are none.
fn watch(pipe: impl Read, reporter: &dyn Reporter) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for byte in BufReader::new(pipe).bytes().map_while(std::result::Result::ok) {
        if byte != b'\n' && byte != b'\r' {
            line.push(byte);
            continue;
        }
        let text = String::from_utf8_lossy(&line).into_owned();
        line.clear();
        match progress(&text) {
            Some(event) => reporter.tell(event),
            None if lines.len() < 200 => lines.push(text),
            None => {}
        }
    }
    lines.push(String::from_utf8_lossy(&line).into_owned());
    lines
}

/// `Receiving objects:  45% (9/20), 1.20 MiB | 3.00 MiB/s`.
fn progress(line: &str) -> Option<Event> {
    let rest = line.strip_prefix("Receiving objects:")?;
    let (done, total) = rest.split_once('(')?.1.split_once(')')?.0.split_once('/')?;
    Some(Event::Progress {
        what: "fetch".into(),
        done: done.parse().ok()?,
        total: Some(total.parse().ok()?),
        unit: "objects",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_the_commit_it_points_to() {
        let refs = parse_refs("aaa\trefs/tags/v1\nbbb\trefs/tags/v1^{}\nccc\trefs/tags/v2\n");
        assert_eq!(refs["refs/tags/v1"], "bbb");
        assert_eq!(refs["refs/tags/v2"], "ccc");
    }

    #[test]
    fn progress_is_told_in_objects() {
        let event = progress("Receiving objects:  45% (9/20), 1.20 MiB | 3.00 MiB/s");
        assert_eq!(event, Some(Event::Progress { what: "fetch".into(), done: 9, total: Some(20), unit: "objects" }));
        assert_eq!(progress("remote: Counting objects: 5"), None);
    }
}
