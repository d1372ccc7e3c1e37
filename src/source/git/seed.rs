//! The first fetch of an install that has a checkout: what that has need not come over the network. The mirror is made
//! aside, first of what is checked out, then of what the remote has beside it, and takes its place when it holds what the
//! remote vouches for and no commit else. Whatever is odd about the checkout costs nothing but the full fetch.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Oid, Repository};

use super::call::{in_mirror, may_be_ours, text};
use super::checkout::open;
use super::mirror::{Mirror, configure, init};
use super::remote::upload_pack_of;
use super::watch::converse;
use crate::error::{Context, Error, Result, ended};
use crate::host::fs::{make_private, sync_directory, sync_filesystem};
use crate::manifest::Follow;
use crate::report::Reporter;

/// How long the checkout may take to give what it has.
const PATIENCE: Duration = Duration::from_secs(300);

/// What is offered to the remote as had, until it answered.
pub(super) const SEED: &str = "refs/relift/seed";

impl Mirror {
    /// Fills a new mirror with the help of a checkout. `None`: nothing came of it, and the mirror is as it was.
    pub(super) fn fill(&self, follow: &Follow, checkout: Option<&Path>, reporter: &dyn Reporter) -> Option<Result<()>> {
        let place = Place::beside(self.path())?;
        let checkout = checkout.filter(|checkout| self.is_new() && is_whole(checkout))?;
        let seed = place.plant(self, checkout, reporter).ok()?;
        let (output, is_exact) = std::thread::scope(|scope| {
            let is_exact = scope.spawn(|| place.is_exactly(seed));
            (self.ask(&place.mirror(), follow, reporter), ended(is_exact.join()))
        });
        let output = output.ok()?;
        if let Err(error) = self.judge(follow, &output) {
            return (!may_be_ours(&output)).then_some(Err(error));
        }
        place.settle(seed, is_exact.unwrap_or(false)).ok()?;
        (self.is_new() && place.replace(self.path()).is_ok()).then_some(Ok(()))
    }

    /// Whether it is as it was made.
    fn is_new(&self) -> bool {
        let has_refs = self.repository().references().map_or(true, |mut all| all.next().is_some());
        let packs = fs::read_dir(self.path().join("objects/pack"));
        !has_refs && packs.is_ok_and(|mut packs| packs.next().is_none())
    }
}

/// Whether there is a checkout with all of its history, as far as can be seen from outside.
fn is_whole(checkout: &Path) -> bool {
    open(checkout).is_ok_and(|checkout| checkout.exists(Path::new(".git/shallow")).is_ok_and(|is_shallow| !is_shallow))
}

/// Where the new mirror is made: on the filesystem of the old one. What a kill left of it goes before the next fetch.
struct Place(PathBuf);

impl Place {
    /// An empty one.
    fn beside(mirror: &Path) -> Option<Place> {
        let place = Place(mirror.with_file_name("seeding"));
        place.clear().ok()?;
        Some(place)
    }

    fn mirror(&self) -> PathBuf {
        self.0.join("mirror.git")
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes a mirror that has what is checked out; the commit. The checkout's owner gives it, and root's git takes nothing in
    /// but what is whole in itself, and passes its strict checks, git-index-pack(1).
    fn plant(&self, mirror: &Mirror, checkout: &Path, reporter: &dyn Reporter) -> Result<Oid> {
        let (remote, new) = (mirror.remote()?, self.mirror());
        make_private(&self.0, 0o700)?;
        init(&new)?;
        configure(&new)?;
        let told = self.0.join("told");
        let upload_pack = format!("--upload-pack={}", upload_pack_of(&remote.owner));
        let taking = in_mirror(&new)
            .args(["fetch-pack", "--keep", "--check-self-contained-and-connected", &upload_pack])
            .args([checkout])
            .args(["HEAD"])
            .env("GIT_ALLOW_PROTOCOL", "file")
            .largest_file(remote.max_fetch)
            .timeout(PATIENCE)
            .stdout(File::create(&told).context("the checkout cannot be asked")?);
        let output = converse(taking, reporter)?;
        let told = fs::read_to_string(told).context("the checkout cannot be asked")?;
        let seed = head(&told).filter(|_| output.success() && !new.join("shallow").exists());
        let seed = seed.ok_or_else(|| Error::failed("the checkout gives no whole history"))?;
        self.set_apart().context("the checkout's pack cannot be kept")?;
        let planted = Repository::open_bare(&new).and_then(|new| {
            new.find_commit(seed)?;
            new.reference(SEED, seed, true, "").map(drop)
        });
        planted.context("the checkout's commit cannot be kept")?;
        Ok(seed)
    }

    /// Names the pack that came a second time, among nothing else; what is fetched next to it is the remote's.
    fn set_apart(&self) -> io::Result<()> {
        fs::create_dir_all(self.came().join("pack"))?;
        for file in fs::read_dir(self.mirror().join("objects/pack"))? {
            let file = file?;
            match file.path().extension().is_some_and(|end| end == "keep") {
                true => fs::remove_file(file.path())?,
                false => fs::hard_link(file.path(), self.came().join("pack").join(file.file_name()))?,
            }
        }
        Ok(())
    }

    /// The objects that came from the checkout.
    fn came(&self) -> PathBuf {
        self.0.join("objects")
    }

    /// Whether all commits and tags that came are the history of one commit. Whoever serves a repository may send more than was
    /// asked for.
    fn is_exactly(&self, seed: Oid) -> Result<bool> {
        let types = ["cat-file", "--batch-all-objects", "--unordered", "--buffer", "--batch-check=%(objecttype)"];
        let of_these = in_mirror(&self.mirror()).env("GIT_OBJECT_DIRECTORY", self.came().display().to_string());
        let (named, output) = of_these.args(types).converse(|_, types| named(types))?;
        let history = Repository::open_bare(self.mirror()).and_then(|new| {
            let mut walk = new.revwalk()?;
            walk.push(seed)?;
            walk.map(|commit| commit.map(|_| 1)).sum::<std::result::Result<usize, git2::Error>>()
        });
        let history = history.context("the checkout's history cannot be read")?;
        Ok(output.success() && named.and_then(io::Result::ok) == Some(history))
    }

    /// Leaves what the remote's refs lead to: as a rule that is all there is.
    fn settle(&self, seed: Oid, is_exact: bool) -> Result<()> {
        let new = self.mirror();
        let is_upstreams = Repository::open_bare(&new).and_then(|new| {
            new.find_reference(SEED)?.delete()?;
            let mut walk = new.revwalk()?;
            for tip in new.references()?.flatten().filter_map(|tip| tip.peel_to_commit().ok()) {
                walk.push(tip.id())?;
            }
            walk.find_map(|commit| commit.map(|commit| (commit == seed).then_some(true)).transpose())
                .unwrap_or(Ok(false))
        });
        if !(is_exact && is_upstreams.context("the new mirror cannot be read")?) {
            text(in_mirror(&new).args(["repack", "-a", "-d", "--quiet"]), "the new mirror cannot be packed")?;
        }
        sync_filesystem(&self.0)
    }

    /// Puts the new mirror in the place of the old one, which has nothing: where a kill leaves none, the next one is as new.
    fn replace(&self, mirror: &Path) -> Result<()> {
        let moved = fs::rename(mirror, self.0.join("old")).and_then(|()| fs::rename(self.mirror(), mirror));
        moved.with_context(|| format!("the mirror {} cannot be replaced", mirror.display()))?;
        sync_directory(mirror.parent().unwrap_or(mirror))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays goes before the next fetch.
        self.clear().unwrap_or_default();
    }
}

/// How many of these types of objects have names in a history.
fn named(types: impl io::Read) -> io::Result<usize> {
    let is_named = |line: io::Result<String>| line.map(|line| usize::from(line == "commit" || line == "tag"));
    BufReader::new(types).lines().map(is_named).sum()
}

/// The commit of HEAD, where git-fetch-pack(1) says that nothing is missing.
fn head(told: &str) -> Option<Oid> {
    let rest = told.strip_prefix("connectivity-ok\n")?;
    let head = rest.lines().find_map(|line| line.strip_suffix(" HEAD"))?;
    Oid::from_str(head).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::process::Command;

    use super::*;
    use crate::host::account::Account;
    use crate::manifest::GitSource;
    use crate::report::Silent;

    /// An upstream with a file of a mebibyte, a clone of it, and a second commit that only upstream has.
    const MAKE: &str = "git init -q -b main up; head -c 1048576 /dev/urandom > up/large; git -C up config uploadpack.allowFilter true
        git -C up add large; git -C up commit -qm one; git clone -q file://$PWD/up co; echo two > up/small; git -C up add small
        git -C up commit -qm two; git -C up tag -m v1 v1";

    struct Lab(tempfile::TempDir);

    impl Lab {
        /// With what a shell then does beside the two.
        fn new(then: &str) -> Lab {
            let lab = Lab(tempfile::tempdir().unwrap());
            lab.sh(MAKE);
            lab.sh(then);
            lab
        }

        fn sh(&self, script: &str) -> String {
            let mut command = Command::new("sh");
            command.args(["-ec", script]).current_dir(self.0.path()).env("HOME", self.0.path());
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
            }
            let output = command.output().unwrap();
            assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        }

        fn source(&self) -> GitSource {
            GitSource::following(&self.0.path().join("up").display().to_string(), Follow::Branch("main".into()))
        }

        fn mirror(&self, source: &GitSource) -> Mirror {
            Mirror::open(&self.state(), &self.0.path().join("cache"), Some(source), &Account::root()).unwrap()
        }

        fn state(&self) -> PathBuf {
            self.0.path().join("state")
        }

        fn fetch(&self, source: &GitSource) -> (Mirror, Result<()>) {
            let (mirror, checkout) = (self.mirror(source), self.0.path().canonicalize().unwrap().join("co"));
            let fetched = mirror.fetch(&source.follow, Some(&checkout), &Silent);
            (mirror, fetched)
        }

        /// The mirror is as the remote alone would have made it; whether it came in two parts.
        fn is_helped(&self) -> bool {
            let source = self.source();
            let (mirror, fetched) = self.fetch(&source);
            fetched.unwrap();
            let tip = self.sh("git -C up rev-parse main");
            assert_eq!(mirror.known(&source.follow).values().collect::<Vec<_>>(), [&tip]);
            let in_mirror = "git --git-dir=state/mirror.git";
            let refs = |of: &str| self.sh(&format!("git -C {of} for-each-ref --format='%(objectname) %(refname)'"));
            assert_eq!(refs("state/mirror.git"), refs("up"));
            // A replacement in the checkout is not here, and nothing is here that no ref of the remote's leads to.
            assert_eq!(
                self.sh(&format!("{in_mirror} fsck --full --strict --unreachable --no-progress 2>/dev/null")),
                ""
            );
            assert!(mirror.file(Oid::from_str(&tip).unwrap(), "large").is_some_and(|bytes| bytes.len() == 1 << 20));
            self.nothing_else_is_left();
            let parts = self.sh(&format!(
                "{in_mirror} count-objects -v | awk '/^packs/ {{n += $2}} /^count/ {{n += $2 > 0}} END {{print n}}'"
            ));
            parts == "2"
        }

        fn nothing_else_is_left(&self) {
            let names = std::fs::read_dir(self.state()).unwrap().flatten().map(|entry| entry.file_name());
            let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
            assert_eq!(names, BTreeSet::from(["mirror.git".into(), "remote.gitconfig".into()]));
        }
    }

    #[test]
    fn a_new_mirror_takes_from_the_remote_what_the_checkout_lacks_and_no_more() {
        for then in [
            ":",
            "git -C co checkout -q --detach",
            "git -C co config uploadpack.packObjectsHook false",
            "rm -r co; git clone -q --shared up co; git -C co reset -q --hard HEAD~",
            // As a kill left it.
            "mkdir -p state/seeding/mirror.git/objects state/seeding/old; echo x > state/seeding/mirror.git/objects/x",
        ] {
            assert!(Lab::new(then).is_helped(), "{then}");
        }
    }

    #[test]
    fn a_commit_that_only_the_checkout_has_is_not_in_the_mirror() {
        for then in [
            "echo mine > co/mine; git -C co add mine; git -C co commit -qm mine",
            "git -C co commit -q --amend -m rewritten",
            "rm -r co; git init -q -b main co; echo other > co/other; git -C co add other; git -C co commit -qm other",
        ] {
            let lab = Lab::new(then);
            lab.is_helped();
            let local = lab.sh("git -C co rev-parse HEAD");
            assert_eq!(lab.mirror(&lab.source()).resolve(&local), None, "{then}");
        }
    }

    #[test]
    fn an_odd_checkout_costs_no_more_than_the_whole_fetch() {
        let large = "co/.git/objects/$(git -C co rev-parse HEAD:large | sed 's|..|&/|')";
        let loose = "mv co/.git/objects/pack/*.pack x; git -C co unpack-objects -q < x; rm -f co/.git/objects/pack/*";
        for then in [
            "rm -r co",
            "rm -r co; mkdir co",
            "mv co/.git x; echo gitdir: ../x > co/.git",
            "rm -r co/.git/refs",
            "git -C co symbolic-ref HEAD refs/heads/unborn",
            "rm -r co; git clone -q --depth=1 file://$PWD/up co",
            "rm -r co; git clone -q --no-checkout --filter=blob:none file://$PWD/up co",
            &format!("{loose}; rm -f {large}"),
            &format!("{loose}; chmod u+w {large}; truncate -s -9 {large}"),
            "git -C co commit -q --allow-empty -m three; git -C co rev-parse HEAD > co/.git/info/grafts",
            "rm co/.git/HEAD; mkfifo co/.git/HEAD",
        ] {
            assert!(!Lab::new(then).is_helped(), "{then}");
        }
    }

    #[test]
    fn a_replacement_in_the_checkout_is_not_taken_for_what_it_replaces() {
        let lab = Lab::new(
            "echo evil > x; evil=$(git -C co hash-object -w ../x); git -C co replace $(git -C co rev-parse HEAD:large) $evil",
        );
        lab.is_helped();
    }

    #[test]
    fn a_checkout_that_gives_more_than_the_bound_leaves_nothing() {
        let lab = Lab::new(":");
        let error = lab.fetch(&GitSource { max_fetch: 1 << 19, ..lab.source() }).1.unwrap_err();
        assert!(error.what.contains("in one fetch"), "{error}");
        lab.nothing_else_is_left();
        assert!(lab.is_helped(), "the next one goes through");
    }

    #[test]
    fn a_remote_that_is_not_there_leaves_nothing_of_the_checkout() {
        let lab = Lab::new("mv up gone");
        for url in [lab.source().url, "ssh://a@host.invalid/x".into()] {
            let (mirror, fetched) = lab.fetch(&GitSource { url, ..lab.source() });
            fetched.unwrap_err();
            assert!(mirror.is_new());
            lab.nothing_else_is_left();
        }
        lab.sh("mv gone up");
        assert!(lab.is_helped());
    }

    #[test]
    fn commits_that_came_unasked_are_noticed() {
        let lab = Lab::new(":");
        let mirror = lab.mirror(&lab.source());
        let place = Place::beside(mirror.path()).unwrap();
        let seed = place.plant(&mirror, &lab.0.path().canonicalize().unwrap().join("co"), &Silent).unwrap();
        assert!(place.is_exactly(seed).unwrap());
        let (at, came) = (place.mirror().display().to_string(), place.came().display().to_string());
        let git = format!("GIT_OBJECT_DIRECTORY={came} git --git-dir={at}");
        lab.sh(&format!("{git} tag -m x x {seed}; {git} tag -d x"));
        assert!(!place.is_exactly(seed).unwrap(), "a tag");
        lab.sh(&format!("{git} prune; {git} commit-tree -p {seed} -m x {seed}^{{tree}}"));
        assert!(!place.is_exactly(seed).unwrap(), "a commit");
    }
}
