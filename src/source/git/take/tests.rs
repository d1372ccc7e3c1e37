//! Real remotes, and servers that are not.

use std::path::PathBuf;

use super::*;
use crate::host::account::Account;
use crate::manifest::{Follow, GitSource, TagShape};
use crate::report::Silent;
use crate::source::git::mirror::Mirror;
use crate::source::git::packet::packet;

/// A remote with two commits, one of them of a file that is large enough for a delta.
const MAKE: &str =
    "git init -q -b main up; seq 20000 > up/large; echo one > up/small; git -C up add .; git -C up commit -qm one
    echo two > up/small; git -C up commit -qam two";

struct Lab {
    place: tempfile::TempDir,
    follow: Follow,
}

impl Lab {
    fn new() -> Lab {
        Lab::following(Follow::Branch("main".into()))
    }

    fn following(follow: Follow) -> Lab {
        let lab = Lab { place: tempfile::tempdir().unwrap(), follow };
        lab.sh(MAKE);
        lab
    }

    fn sh(&self, script: &str) -> String {
        let mut command = std::process::Command::new("sh");
        command.args(["-ec", script]).current_dir(self.place.path()).env("HOME", self.place.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn mirror(&self) -> Mirror {
        let url = self.place.path().join("up").display().to_string();
        let source = GitSource::following(&url, self.follow.clone());
        let (state, cache) = (self.place.path().join("state"), self.place.path().join("cache"));
        Mirror::open(&state, &cache, Some(&source), &Account::root()).unwrap()
    }

    fn take(&self) -> Option<Output> {
        let mirror = self.mirror();
        take(mirror.remote().unwrap(), None, mirror.path(), &Wanted::of(&self.follow), &Silent).unwrap()
    }

    /// A server that says this, whatever it is asked.
    fn hear(&self, said: &[u8], most: u64) -> Option<Output> {
        let mirror = self.mirror();
        let file = self.place.path().join("said");
        std::fs::write(&file, said).unwrap();
        let server = Command::new(["sh", "-c", "cat \"$0\"; exec cat > /dev/null"]).args([file]);
        let remote = Remote { max_fetch: most, ..mirror.remote().unwrap().clone() };
        over(server, &remote, mirror.path(), &Wanted::of(&self.follow), &Silent).unwrap()
    }

    /// Nothing of what is refused is there, and what is there is whole.
    fn is_refused(&self, output: Option<Output>, says: &str) {
        let output = output.expect("it is not left to git");
        assert!(!output.success() && output.stderr.iter().any(|line| line.contains(says)), "{says}: {output:?}");
        let mirror = self.mirror();
        assert!(mirror.judge(&self.follow, &output).is_err());
        crate::source::git::locks::after_fetch(mirror.path()).unwrap();
        self.is_whole();
    }

    fn is_whole(&self) {
        self.sh("git --git-dir=state/mirror.git fsck --full --strict --no-progress --no-dangling");
    }

    fn refs(&self, of: &str) -> String {
        self.sh(&format!("git -C {of} for-each-ref --format='%(objectname) %(refname)'"))
    }

    /// What is new comes without git-fetch(1), and leaves what that would leave.
    fn comes(&self) {
        let output = self.take().expect("it is not left to git");
        assert!(output.success(), "{output:?}");
        assert_eq!(self.refs("state/mirror.git"), self.refs("up"));
        self.is_whole();
    }

    fn packs(&self) -> Vec<PathBuf> {
        let packs = std::fs::read_dir(self.mirror().path().join("objects/pack")).unwrap();
        packs
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "pack"))
            .collect()
    }

    /// What a server says to one who asks for `main` at this commit: the objects that these lines for git-pack-objects(1) name.
    fn answer(&self, tip: &str, objects: &str) -> Vec<u8> {
        self.sh(&format!("printf '%s\\n' {objects} | git -C up pack-objects -q --stdout > pack"));
        let pack = std::fs::read(self.place.path().join("pack")).unwrap();
        let can = packet("version 2\n") + &packet("ls-refs\n") + &packet("fetch\n");
        let mut said = format!("{can}0000{}0000{}", packet(&format!("{tip} refs/heads/main\n")), packet("packfile\n"))
            .into_bytes();
        for part in pack.chunks(1000) {
            said.extend(format!("{:04x}\u{1}", part.len() + 5).bytes().chain(part.iter().copied()));
        }
        said.extend(b"0000");
        said
    }
}

#[test]
fn what_is_new_comes_as_differences_from_what_is_there() {
    let lab = Lab::new();
    lab.comes();
    assert_eq!(lab.packs().len(), 1);
    let old = lab.sh("git -C up rev-parse HEAD:large");
    lab.sh("sed -i 's/^1000$/a thousand/' up/large; git -C up commit -qam three");
    lab.comes();
    assert_eq!(lab.packs().len(), 2);
    // git-index-pack(1) completes a pack with the objects that its differences are from.
    let holders = lab
        .packs()
        .iter()
        .filter(|pack| {
            lab.sh(&format!("git --git-dir=state/mirror.git show-index < {}", pack.with_extension("idx").display()))
                .contains(&old)
        })
        .count();
    assert_eq!(holders, 2, "the second came thin");
    lab.comes();
    assert_eq!(lab.packs().len(), 2, "nothing is new");
}

#[test]
fn tags_come_go_and_change_their_kind_and_their_place() {
    let lab = Lab::following(Follow::Tags(TagShape { prefix: "v".into(), suffix: String::new() }));
    lab.sh("git -C up tag -m v1 v1; git -C up tag light; git -C up tag -m 'of a tag' deep v1; git -C up tag file HEAD:small");
    let with_head = |what: &str| {
        let output = lab.take().expect("it is not left to git");
        assert!(output.success(), "{output:?}");
        let head = lab.sh("git --git-dir=state/mirror.git rev-parse refs/relift/remote-head");
        assert_eq!(head, lab.sh("git -C up rev-parse HEAD"), "{what}");
        let tags =
            |of: &str| lab.sh(&format!("git -C {of} for-each-ref --format='%(objectname) %(refname)' refs/tags"));
        assert_eq!(tags("state/mirror.git"), tags("up"), "{what}");
        lab.is_whole();
    };
    with_head("new");
    for then in [
        "git -C up tag -d deep; git -C up tag -f v1 HEAD~; git -C up tag new HEAD~",
        "git -C up tag -d light; git -C up tag light/one",
        "git -C up tag -d light/one; git -C up tag -m again light",
        "git -C up pack-refs --all; git -C up tag -d light; git -C up commit -q --allow-empty -m three; git -C up tag light/one",
        "git -C up tag | xargs git -C up tag -d",
    ] {
        lab.sh(then);
        with_head(then);
    }
}

#[test]
fn a_branch_that_was_rewritten_is_followed() {
    let lab = Lab::new();
    lab.comes();
    lab.sh("git -C up commit -q --amend -m another; echo three > up/small; git -C up commit -qam three");
    lab.comes();
    lab.sh("git -C up reset -q --hard HEAD~; git -C up tag back HEAD~");
    lab.comes();
}

#[test]
fn what_is_there_for_no_refs_sake_is_left_to_git() {
    let lab = Lab::new();
    lab.sh("git -C up checkout -q -b other; git -C up commit -q --allow-empty -m other; git -C up tag x; git -C up checkout -q main");
    lab.comes_with_other();
    lab.sh("git -C up tag -d x");
    lab.comes_with_other();
    lab.sh("git -C up tag y other");
    assert!(lab.take().is_none(), "its objects are in the mirror, and no ref leads to them");
    lab.mirror().fetch(&lab.follow, None, &Silent).unwrap();
    lab.is_whole();
    assert!(lab.refs("state/mirror.git").contains("refs/tags/y"));
}

impl Lab {
    fn comes_with_other(&self) {
        assert!(self.take().is_some_and(|output| output.success()));
        let without =
            |of: &str| self.refs(of).lines().filter(|line| !line.ends_with("/other")).collect::<Vec<_>>().join("\n");
        assert_eq!(without("state/mirror.git"), without("up"));
        self.is_whole();
    }
}

#[test]
fn a_branch_that_is_gone_or_is_no_commit_changes_nothing() {
    let lab = Lab::new();
    lab.comes();
    let before = lab.refs("state/mirror.git");
    lab.sh("git -C up branch -m other");
    let output = lab.take();
    let error = lab.mirror().judge(&lab.follow, output.as_ref().unwrap()).unwrap_err();
    assert!(error.what.ends_with("has no branch main"), "{error}");
    let blob = lab.sh("echo three > up/small; git -C up hash-object -w small");
    let output = lab.hear(&lab.answer(&blob, &blob), 1 << 20);
    lab.is_refused(output, "trying to write non-commit object");
    assert_eq!(lab.refs("state/mirror.git"), before);
}

#[test]
fn an_object_that_gits_check_refuses_leaves_nothing() {
    let lab = Lab::new();
    lab.comes();
    let before = lab.refs("state/mirror.git");
    lab.sh("printf '[submodule \"a\"]\\n\\turl = -x\\n\\tpath = a\\n' > modules");
    for make in [
        "git -C up ls-tree HEAD | sed 's/small/.git/'",
        "printf '100644 blob %s\\t.gitmodules\\n' $(git -C up hash-object -w $PWD/modules)",
    ] {
        lab.sh(&format!(
            "tree=$({make} | git -C up mktree --missing); git -C up update-ref refs/heads/main $(git -C up commit-tree -m x -p main $tree)"
        ));
        for _ in 0..2 {
            lab.is_refused(lab.take(), "fsck error");
            let error = lab.mirror().fetch(&lab.follow, None, &Silent).unwrap_err();
            assert!(error.what.contains("git's own check refuses"), "{error}");
            assert_eq!((lab.refs("state/mirror.git"), lab.packs().len()), (before.clone(), 1), "{make}");
            assert_eq!(lab.sh("git --git-dir=state/mirror.git count-objects"), "0 objects, 0 kilobytes", "{make}");
        }
        lab.sh("git -C up update-ref refs/heads/main main~");
    }
}

#[test]
fn a_pack_without_what_its_objects_need_or_without_what_was_asked_for_is_refused() {
    let lab = Lab::new();
    lab.comes();
    let before = lab.refs("state/mirror.git");
    lab.sh("echo three > up/small; git -C up commit -qam three");
    let [tip, tree, blob] =
        ["HEAD", "HEAD^{tree}", "HEAD:small"].map(|name| lab.sh(&format!("git -C up rev-parse {name}")));
    let most = 1 << 20;
    for (objects, says) in [
        (format!("{tip} {tree}"), "did not receive expected object"),
        (format!("{tip} {blob}"), "did not receive expected object"),
        (format!("{tree} {blob}"), "did not send all necessary objects"),
    ] {
        lab.is_refused(lab.hear(&lab.answer(&tip, &objects), most), says);
        assert_eq!(lab.refs("state/mirror.git"), before, "{objects}");
    }
    let whole = lab.answer(&tip, &format!("{tip} {tree} {blob}"));
    lab.is_refused(lab.hear(&whole, 100), "File too large");
    assert!(lab.hear(&whole, most).unwrap().success());
    assert!(lab.refs("state/mirror.git").starts_with(&tip));
    lab.is_whole();
}

#[test]
fn a_conversation_that_is_cut_anywhere_or_goes_wrong_changes_nothing() {
    let lab = Lab::new();
    lab.comes();
    let before = lab.refs("state/mirror.git");
    lab.sh("seq 3000 > up/small; git -C up commit -qam three");
    let [tip, tree, blob] =
        ["HEAD", "HEAD^{tree}", "HEAD:small"].map(|name| lab.sh(&format!("git -C up rev-parse {name}")));
    let whole = lab.answer(&tip, &format!("{tip} {tree} {blob}"));
    let step = whole.len() / 37;
    for end in (0..whole.len()).step_by(step).chain([whole.len() - 1, whole.len() - 4]) {
        lab.is_refused(lab.hear(&whole[..end], 1 << 20), "hung up unexpectedly");
        assert_eq!(lab.refs("state/mirror.git"), before, "{end} of {}", whole.len());
    }
    let at = whole.len() / 2;
    let mut other = whole.clone();
    other[at] ^= 1;
    lab.is_refused(lab.hear(&other, 1 << 20), "fatal:");
    let end = |more: &str| [&whole[..whole.len() - 4], more.as_bytes()].concat();
    let told = lab.hear(&end("0009\u{2}full0009\u{3}gone"), 1 << 20);
    assert_eq!(told.as_ref().unwrap().stderr, ["remote: full", "fatal: remote error: gone"]);
    lab.is_refused(told, "remote error: gone");
    lab.is_refused(lab.hear(&end("0003"), 1 << 20), "bad line length");
    assert_eq!((lab.refs("state/mirror.git"), lab.packs().len()), (before, 1));
}

#[test]
fn a_remote_without_its_history_is_refused_before_anything_comes() {
    let lab = Lab::new();
    lab.sh("mv up whole; git clone -q --depth=1 file://$PWD/whole up");
    lab.is_refused(lab.take(), "shallow roots are not allowed");
    assert!(lab.packs().is_empty());
    lab.sh("git -C up fetch -q --unshallow");
    assert!(lab.take().unwrap().success());
    lab.is_whole();
}

#[test]
fn a_mirror_that_took_a_history_without_its_beginning_stays_with_git() {
    let lab = Lab::new();
    lab.sh("mv up whole; git clone -q --depth=1 file://$PWD/whole up");
    let (mirror, mark) = (lab.mirror(), lab.mirror().path().join("relift-unproven"));
    let is_refused = || {
        let error = mirror.fetch(&lab.follow, None, &Silent).unwrap_err();
        assert!(error.what.contains("is a shallow clone"), "{error}");
    };
    is_refused();
    assert!(lab.packs().is_empty() && !mark.exists(), "nothing came");
    std::fs::write(&mark, "").unwrap();
    is_refused();
    assert_eq!(lab.packs().len(), 1, "git takes the objects in, and no ref");
    std::fs::remove_file(&mark).unwrap();
    assert!(lab.take().is_none(), "what is there has no history");
    is_refused();
    assert!(mark.exists());
    lab.sh("git -C up fetch -q --unshallow");
    mirror.fetch(&lab.follow, None, &Silent).unwrap();
    lab.is_whole();
}

#[test]
fn a_server_of_another_version_is_left_to_git() {
    let lab = Lab::new();
    let tip = lab.sh("git -C up rev-parse HEAD");
    for said in [
        packet(&format!("{tip} HEAD\0multi_ack side-band-64k\n")) + "0000",
        packet("version 1\n") + "0000",
        packet("version 2\n") + &packet("ls-refs\n") + &packet("fetch\n") + &packet("object-format=sha256\n") + "0000",
    ] {
        assert!(lab.hear(said.as_bytes(), 1 << 20).is_none(), "{said}");
    }
    assert_eq!(lab.refs("state/mirror.git"), "");
}
