//! The private mirror: a bare repository below our own state, its configuration written whole by us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Once;

use git2::{ConfigLevel, Oid, Repository};

use super::call::{explain, in_mirror, left_refs_out, text};
use super::news::Wanted;
use super::remote::{Remote, SOURCE};
use super::watch::converse;
use super::{declared, locks, packs, relay, take};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{make_private, sync_directory, sync_filesystem, write_durably};
use crate::host::process::Output;
use crate::manifest::{Follow, GitSource};
use crate::report::{Event, Reporter};

/// Refs by full name.
pub type Refs = BTreeMap<String, String>;

/// The whole configuration of the mirror: no remote, no hooks, received objects checked, none of them unpacked into memory
/// beyond 16 MiB, and each pack kept as one, since of one that is unpacked some stays when the last check refuses it.
const CONFIG: &str = "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n\thooksPath = /dev/null\n\
\tfsync = all\n\tbigFileThreshold = 16m\n\tdeltaBaseCacheLimit = 32m\n\tprotectHFS = true\n\tprotectNTFS = true\n\tlogAllRefUpdates = false\n[fetch]\n\tfsckObjects = true\n\tunpackLimit = 1\n\trecurseSubmodules = false\n\
[transfer]\n\tfsckObjects = true\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n[submodule]\n\trecurse = false\n";

/// Says that the mirror may hold commits without their history: git keeps what it took of a shallow remote, though no ref leads there.
const UNPROVEN: &str = "relift-unproven";

/// A release is staged whole: what .gitattributes leaves out of archives is part of it.
const ATTRIBUTES: &str = "* -export-ignore -export-subst\n";

/// Our own copy of a remote.
pub struct Mirror {
    path: PathBuf,
    cache: PathBuf,
    remote: Option<Remote>,
    repository: Repository,
}

impl Mirror {
    /// Opens the mirror below `state`, or makes it; needs no network. Below `cache` lies what the owner fetches for us. Without a
    /// git source it holds what we make of releases ourselves.
    pub fn open(state: &Path, cache: &Path, source: Option<&GitSource>, owner: &Account) -> Result<Mirror> {
        make_private(state, 0o700)?;
        let path = state.join("mirror.git");
        if !path.join("HEAD").exists() {
            create(state, &path)?;
        }
        // Written anew each time: nothing that got into it otherwise counts.
        configure(&path)?;
        let remote = source.map(|source| Remote::of(state, source, owner));
        if let Some(remote) = &remote {
            write_if_other(&remote.config, &remote.config_text())?;
        }
        let repository = Repository::open_bare(&path).context("the mirror cannot be opened")?;
        Ok(Mirror { path, cache: cache.to_owned(), remote, repository })
    }

    /// Opens the mirror of a remote where it is there and as [`Mirror::open`] would leave it; writes nothing.
    pub fn as_it_is(state: &Path, cache: &Path, remote: Remote) -> Option<Mirror> {
        let path = state.join("mirror.git");
        let files = [
            (path.join("config"), CONFIG),
            (path.join("info/attributes"), ATTRIBUTES),
            (remote.config.clone(), &remote.config_text()),
        ];
        let is_whole = files.iter().all(|(file, text)| is_this(file, text));
        let repository = is_whole.then(|| Repository::open_bare(&path).ok()).flatten()?;
        Some(Mirror { path, cache: cache.to_owned(), remote: Some(remote), repository })
    }

    /// What it mirrors.
    pub fn remote(&self) -> Result<&Remote> {
        self.remote.as_ref().ok_or_else(|| Error::failed(format!("{} mirrors no git remote", self.path.display())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The mirror, to be read.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// What the mirror has of what is followed; tags peeled to commits.
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

    /// Brings the mirror up to date with the remote, telling how far it is: one conversation, whether anything is new or not. A new
    /// mirror takes what it can from a checkout. Call it under the lock of fetches.
    pub fn fetch(&self, follow: &Follow, checkout: Option<&Path>, reporter: &dyn Reporter) -> Result<()> {
        locks::after_fetch(&self.path)?;
        if let Some(filled) = self.fill(follow, checkout, reporter) {
            return filled;
        }
        let output = self.ask(&self.path, follow, reporter)?;
        if !output.success() {
            // Half a pack may be gigabytes.
            locks::after_fetch(&self.path)?;
        }
        self.judge(follow, &output)?;
        if let Err(error) = packs::join(&self.path) {
            // What was fetched is there: it is looked for in more places than it need be.
            locks::after_fetch(&self.path)?;
            reporter.tell(Event::Warning { text: error.to_string() });
        }
        Ok(())
    }

    /// Fetches into `repository`, a mirror of this remote.
    pub(super) fn ask(&self, repository: &Path, follow: &Follow, reporter: &dyn Reporter) -> Result<Output> {
        let remote = self.remote()?;
        let (wanted, lent) = (Wanted::of(follow), remote.lend()?);
        let is_whole = !repository.join(UNPROVEN).exists();
        let taken = is_whole.then(|| take::take(remote, lent.as_ref(), repository, &wanted, reporter)).transpose()?;
        if let Some(output) = taken.flatten() {
            return Ok(output);
        }
        let refspecs = wanted.refspecs();
        let command = remote.git(repository, lent.as_ref()).args(FETCH).args([SOURCE]).args(&refspecs);
        let mut output = converse(command, reporter)?;
        if remote.is_http() && relay::is_needed(&output) {
            let near = relay::refill(remote, &self.cache, lent.as_ref(), &refspecs, reporter)?;
            let near = Remote {
                url: near,
                config: remote.config.with_file_name("relay.gitconfig"),
                secret: None,
                ..remote.clone()
            };
            write_if_other(&near.config, &near.config_text())?;
            output = converse(near.git(repository, None).args(FETCH).args([SOURCE]).args(&refspecs), reporter)?;
        }
        if left_refs_out(&output) {
            write_if_other(&repository.join(UNPROVEN), "")?;
        }
        Ok(output)
    }

    /// Whether a fetch brought what it was to bring.
    pub(super) fn judge(&self, follow: &Follow, output: &Output) -> Result<()> {
        let remote = self.remote()?;
        let is_gone = output.stderr.iter().any(|line| line.contains("couldn't find remote ref"));
        match follow {
            _ if output.success() && !left_refs_out(output) => Ok(()),
            Follow::Branch(branch) if is_gone => Err(no_branch(&remote.shown(), branch)),
            _ => Err(explain(remote, output)),
        }
    }

    /// The commit that `name` (a commit, tag or branch) means in the mirror.
    pub fn resolve(&self, name: &str) -> Option<Oid> {
        let revision = format!("{name}^{{commit}}");
        self.repository.revparse_single(&revision).ok().map(|object| object.id())
    }

    /// The text of a plain file at a commit; `None` where there is none, a link, or one too large to be read.
    pub fn file(&self, commit: Oid, path: &str) -> Option<Vec<u8>> {
        let tree = self.repository.find_commit(commit).and_then(|commit| commit.tree()).ok()?;
        let entry = tree.get_path(Path::new(path)).ok()?;
        declared::fits(&self.repository, &entry).ok()?;
        let blob = entry.to_object(&self.repository).ok()?.into_blob().ok()?;
        Some(blob.content().to_vec())
    }
}

/// The tree of a commit that the mirror below `state` has, be it fetched into or not.
pub fn tree_of(state: &Path, commit: &str) -> Option<Oid> {
    let repository = Repository::open_bare(state.join("mirror.git")).ok()?;
    Some(repository.find_commit(Oid::from_str(commit).ok()?).ok()?.tree_id())
}

/// Keeps libgit2 from what git is told of all of a host's repositories: a mirror has the configuration that we give it. Call it
/// before a thread of ours opens one.
pub fn configured_by_us_alone() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        for level in [ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global, ConfigLevel::ProgramData] {
            // SAFETY: nothing has used libgit2 yet.
            unsafe { git2::opts::set_search_path(level, "") }.unwrap_or_default();
        }
    });
}

/// A fetch that leaves alone what is not ours to change.
pub(super) const FETCH: [&str; 7] =
    ["fetch", "--progress", "--no-auto-maintenance", "--no-write-fetch-head", "--no-tags", "--prune", "--"];

/// Makes an empty mirror at `path`: whole and durable, or not there. git syncs nothing of a repository that it makes.
fn create(state: &Path, path: &Path) -> Result<()> {
    let place = tempfile::Builder::new().prefix(".mirror-").tempdir_in(state).context("the mirror cannot be made")?;
    let aside = place.path().join("mirror.git");
    init(&aside)?;
    sync_filesystem(state)?;
    match std::fs::rename(&aside, path) {
        // A check that runs beside this one was faster.
        Err(_) if path.join("HEAD").exists() => Ok(()),
        made => {
            made.with_context(|| format!("the mirror {} cannot be made", path.display()))?;
            sync_directory(state)
        }
    }
}

/// Makes an empty mirror at `path`, which a crash may tear.
pub(super) fn init(path: &Path) -> Result<()> {
    let init = in_mirror(Path::new("/")).args(["init", "--quiet", "--bare", "--template="]).args([path]);
    text(init, "the mirror cannot be made").map(drop)
}

/// Makes the repository at `path` a mirror's, whatever it was told before.
pub(super) fn configure(path: &Path) -> Result<()> {
    write_if_other(&path.join("config"), CONFIG)?;
    make_private(&path.join("info"), 0o700)?;
    write_if_other(&path.join("info/attributes"), ATTRIBUTES)
}

/// The error for a branch that is not there.
pub fn no_branch(url: &str, branch: &str) -> Error {
    Error::failed(format!("{url} has no branch {branch}"))
        .hint(format!("correct `branch` in the manifest; what is there: git ls-remote --heads {url}"))
}

fn is_this(path: &Path, text: &str) -> bool {
    std::fs::read(path).is_ok_and(|bytes| bytes == text.as_bytes())
}

fn write_if_other(path: &Path, text: &str) -> Result<()> {
    match is_this(path, text) {
        true => Ok(()),
        false => write_durably(path, text.as_bytes(), 0o600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::process::Command;

    fn source() -> GitSource {
        GitSource::following("https://git.example.org/app.git", Follow::Branch("main".into()))
    }

    #[test]
    fn a_fetch_of_more_than_the_bound_stops_and_leaves_nothing() {
        let place = tempfile::tempdir().unwrap();
        let upstream = place.path().join("upstream");
        let git = |words: &[&str]| {
            let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
            text(in_mirror(&upstream).args(name).args(words.iter().copied()), "git").unwrap()
        };
        std::fs::create_dir(&upstream).unwrap();
        git(&["init", "--quiet", "--initial-branch=main"]);
        let noise: Vec<u8> =
            (0..1u64 << 17).flat_map(|at| crate::host::fs::sha256(&at.to_le_bytes()).into_bytes()).collect();
        std::fs::write(upstream.join("large"), &noise).unwrap();
        git(&["add", "large"]);
        git(&["commit", "--quiet", "-m", "large"]);
        let fetch = |max_fetch: u64| {
            let source = GitSource { url: upstream.display().to_string(), max_fetch, ..source() };
            let (state, cache) = (place.path().join("state"), place.path().join("cache"));
            let mirror = Mirror::open(&state, &cache, Some(&source), &Account::root()).unwrap();
            (mirror.fetch(&source.follow, None, &crate::report::Silent), mirror.path().join("objects/pack"))
        };
        let (refused, packs) = fetch(1 << 20);
        let error = refused.unwrap_err();
        assert!(error.what.ends_with("sends more than 1.00 MiB in one fetch"), "{error}");
        assert!(error.hints.iter().any(|hint| hint.contains("max-fetch")), "{error:?}");
        assert_eq!(std::fs::read_dir(&packs).unwrap().count(), 0, "what came is gone");
        fetch(1 << 30).0.unwrap();
    }

    #[test]
    fn a_remote_that_lacks_the_history_of_what_it_offers_is_told_as_such() {
        let place = tempfile::tempdir().unwrap();
        let (whole, shallow) = (place.path().join("whole"), place.path().join("shallow"));
        std::fs::create_dir(&whole).unwrap();
        let git = |words: &[&str]| {
            let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
            text(in_mirror(&whole).args(name).args(words.iter().copied()), "git").unwrap()
        };
        git(&["init", "--quiet", "--initial-branch=main"]);
        ["one", "two"].iter().for_each(|what| drop(git(&["commit", "--quiet", "--allow-empty", "-m", what])));
        let from = format!("file://{}", whole.display());
        git(&["clone", "--quiet", "--depth=1", &from, &shallow.display().to_string()]);
        let source = GitSource { url: shallow.display().to_string(), ..source() };
        let (state, cache) = (place.path().join("state"), place.path().join("cache"));
        let mirror = Mirror::open(&state, &cache, Some(&source), &Account::root()).unwrap();
        let error = mirror.fetch(&source.follow, None, &crate::report::Silent).unwrap_err();
        assert!(error.what.contains("is a shallow clone"), "{error}");
        assert!(error.hints.iter().any(|hint| hint.contains("--unshallow")), "{error:?}");
        assert!(mirror.known(&source.follow).is_empty(), "nothing of it is taken");
    }

    #[test]
    fn whatever_got_into_the_mirrors_configuration_is_gone_and_its_hooks_do_not_run() {
        let place = tempfile::tempdir().unwrap();
        let (state, cache) = (place.path().join("state"), place.path().join("cache"));
        let open = || Mirror::open(&state, &cache, Some(&source()), &Account::root()).unwrap();
        let mirror = open();
        let path = mirror.path().to_owned();
        assert!(!path.join("hooks").exists(), "no template is used");
        let canary = place.path().join("ran");
        let hook = format!("#!/bin/sh\ntouch {}\n", canary.display());
        std::fs::create_dir(path.join("hooks")).unwrap();
        for name in ["reference-transaction", "post-update", "post-index-change"] {
            std::fs::write(path.join("hooks").join(name), &hook).unwrap();
            let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(path.join("hooks").join(name), executable).unwrap();
        }
        std::fs::write(path.join("config"), format!("{CONFIG}[core]\n\thooksPath = hooks\n\tfsmonitor = x\n")).unwrap();
        open();
        assert_eq!(std::fs::read_to_string(path.join("config")).unwrap(), CONFIG);
        let git = |words: &[&str]| text(in_mirror(&path).args(words.iter().copied()), "git").unwrap();
        let tree = git(&["mktree", "--missing"]);
        let with_name = |command: Command| {
            ["AUTHOR", "COMMITTER"].iter().fold(command, |command, who| {
                command.env(&format!("GIT_{who}_NAME"), "a").env(&format!("GIT_{who}_EMAIL"), "a@example.org")
            })
        };
        let commit = text(with_name(in_mirror(&path)).args(["commit-tree", "-m", "x", &tree]), "git").unwrap();
        super::super::pin(&state, &commit).unwrap();
        assert!(!canary.exists(), "a hook ran");
        // What each key of ours says, as git reads it.
        for (key, value) in [
            ("core.hooksPath", "/dev/null"),
            ("core.fsync", "all"),
            ("core.protectHFS", "true"),
            ("core.protectNTFS", "true"),
            ("fetch.fsckObjects", "true"),
            ("fetch.unpackLimit", "1"),
            ("transfer.fsckObjects", "true"),
            ("fetch.recurseSubmodules", "false"),
            ("submodule.recurse", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            let config = path.join("config").display().to_string();
            assert_eq!(git(&["config", "--file", &config, "--get", key]), value, "{key}");
        }
    }
}
