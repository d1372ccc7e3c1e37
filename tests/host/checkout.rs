//! A checkout that is not as it should be: what is said, that nothing changes, and that what is said mends it.

use crate::harness::{Host, Out};

/// A trouble of the checkout. `{git}` in the texts stands for git in the checkout as its owner.
struct Trouble {
    /// Makes it, as the owner in the checkout.
    make: &'static str,
    /// What an upgrade says of it.
    says: &'static str,
    /// What it says to do.
    hint: &'static str,
    /// Does what the hint says, as root; with what else brings back what was there.
    mend: &'static str,
}

const GIT: &str = "runuser -u app -- git -C /opt/app";

/// What git knows of the checkout, its refs included.
fn refs(host: &Host) -> String {
    host.must(&format!("{GIT} for-each-ref; {GIT} rev-parse HEAD; {GIT} config --local --list"))
}

/// An upgrade tells of a trouble and changes nothing.
#[track_caller]
fn refuses(host: &Host, says: &str, hint: &str) -> Out {
    let (before, known) = (host.snapshot(), refs(host));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    for text in [says, hint, "state: nothing was changed"] {
        assert!(out.stderr.contains(&text.replace("{git}", GIT)), "`{text}` is not said: {out}");
    }
    before.assert_same(&host.snapshot());
    assert_eq!(known, refs(host), "the checkout's refs");
    host.assert_no_secret(&out);
    out
}

#[track_caller]
fn each(host: &Host, troubles: &[Trouble]) {
    let (before, known) = (host.snapshot(), refs(host));
    for Trouble { make, says, hint, mend } in troubles {
        host.sh_as("app", &format!("set -e; cd /opt/app; {make}")).exits(0);
        refuses(host, says, hint);
        host.must(&format!("set -e; {}", mend.replace("{git}", GIT)));
        before.assert_same(&host.snapshot());
        assert_eq!(known, refs(host), "after: {mend}");
    }
}

const IDENTITY: &str = "git config --global user.name A && git config --global user.email a@example.org && git config --global safe.directory '*'";

/// A host with a release to upgrade to, on which the owner can commit and fetch.
fn host_with_release() -> (Host, String) {
    let mut host = Host::with_sample();
    host.sh_as("app", IDENTITY).exits(0);
    let commit = host.release(|release| release.next("1.1.0"));
    host.relift(&["check"]).exits(100);
    (host, commit)
}

#[track_caller]
fn upgrades(host: &Host, version: &str) {
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some(version));
    let status =
        host.must(&format!("{GIT} status --porcelain; {GIT} fsck --no-dangling 2>&1 | grep -v '^notice:' || :"));
    assert_eq!(status, "", "what stock git says");
    assert_eq!(host.must("find /opt/app -user root"), "", "nothing in the checkout may be root's");
}

#[test]
fn local_work_stops_an_upgrade_and_is_kept() {
    let (host, _) = host_with_release();
    each(
        &host,
        &[
            Trouble {
                make: "echo mine >> manager/VERSION",
                says: "app: tracked files have local changes: manager/VERSION",
                hint: "set them aside: {git} stash;",
                mend: "{git} stash -q; test \"$({git} show stash@{0}:manager/VERSION | tail -n 1)\" = mine; {git} stash drop -q",
            },
            Trouble {
                make: "echo mine > manager/new; git add manager/new",
                says: "tracked files have local changes: manager/new",
                hint: "{git} diff HEAD;",
                mend: "{git} stash -q; {git} stash drop -q",
            },
            Trouble {
                make: "rm manager/Makefile",
                says: "local changes: manager/Makefile",
                hint: "stash",
                mend: "{git} stash -q; {git} stash drop -q",
            },
            Trouble {
                make: "git mv manager/Makefile manager/moved",
                says: "local changes: manager/moved, manager/Makefile",
                hint: "stash",
                mend: "{git} stash -q; {git} stash drop -q",
            },
            Trouble {
                make: "git update-index --skip-worktree manager/VERSION && echo mine >> manager/VERSION",
                says: "git was told not to look for changes of manager/VERSION",
                hint: "let it look: {git} update-index --no-skip-worktree PATH",
                mend: "{git} update-index --no-skip-worktree manager/VERSION; {git} checkout -q manager/VERSION",
            },
            Trouble {
                make: "git commit -q --allow-empty -m mine",
                says: "which upstream does not have",
                hint: "keep it on a branch: {git} branch local-work; then go back to upstream's: {git} reset --keep origin/main",
                mend: "{git} branch local-work; {git} reset -q --keep origin/main; {git} log -1 --format=%s local-work | grep -qx mine; {git} branch -q -D local-work",
            },
        ],
    );
    upgrades(&host, "1.1.0");
}

#[test]
fn what_was_begun_by_hand_is_named_with_the_command_that_ends_it() {
    let (host, _) = host_with_release();
    host.sh_as(
        "app",
        "cd /opt/app; git checkout -q -b side; echo side > README.md; git commit -q -a -m side; git checkout -q main",
    )
    .exits(0);
    let begin = |what: &str| format!("echo main > README.md; git commit -q -a -m main; git {what} || :");
    for (operation, command) in [
        ("merge", "merge -q side"),
        ("rebase", "rebase -q side"),
        ("cherry-pick", "cherry-pick side"),
        ("am", "format-patch -q -1 --stdout side | git am -q -3"),
    ] {
        host.sh_as("app", &format!("cd /opt/app; {} >/dev/null 2>&1", begin(command))).exits(0);
        let (says, hint) =
            (format!("app: the checkout is in the middle of a {operation}"), format!("{GIT} {operation} --abort"));
        refuses(&host, &says, &hint);
        host.must(&format!("{hint} && {GIT} reset -q --hard origin/main"));
    }
    let begun = host.sh_as(
        "app",
        "cd /opt/app; git bisect start -q; git bisect bad; git commit -q --allow-empty -m x; git bisect good HEAD~1",
    );
    assert_eq!(begun.code, 0, "{begun}");
    refuses(&host, "in the middle of a bisect", &format!("{GIT} bisect reset"));
    host.must(&format!("{GIT} bisect reset; {GIT} reset -q --hard origin/main; {GIT} branch -q -D side"));
    upgrades(&host, "1.1.0");
}

#[test]
fn a_head_or_remote_that_is_elsewhere_is_named_with_the_command_that_brings_it_back() {
    let (host, _) = host_with_release();
    each(
        &host,
        &[
            Trouble {
                make: "git checkout -q --detach",
                says: "on no branch (detached HEAD), the manifest follows main",
                hint: "{git} switch main",
                mend: "{git} switch -q main",
            },
            Trouble {
                make: "git checkout -q -b dev",
                says: "on the branch dev, the manifest follows main",
                hint: "{git} switch main",
                mend: "{git} switch -q main; {git} branch -q -d dev",
            },
            Trouble {
                make: "git config remote.origin.url https://elsewhere.example.org/app.git",
                says: "remote origin is https://elsewhere.example.org/app.git, the manifest pins file:///srv/git/app.git",
                hint: "{git} remote set-url origin file:///srv/git/app.git",
                mend: "{git} remote set-url origin file:///srv/git/app.git",
            },
            Trouble {
                make: "git config url.https://elsewhere.example.org/.insteadOf file:///srv/git/",
                says: "remote origin is https://elsewhere.example.org/app.git",
                hint: "{git} remote set-url origin",
                mend: "{git} config --remove-section url.https://elsewhere.example.org/",
            },
        ],
    );
    host.sh_as("app", "cd /opt/app; git config branch.main.remote origin; git remote remove origin").exits(0);
    refuses(&host, "the checkout has no remote", &format!("{GIT} remote add origin file:///srv/git/app.git"));
    host.must(&format!("{GIT} remote add origin file:///srv/git/app.git"));
    host.sh_as("app", "git -C /opt/app rev-parse @{upstream}").exits(128);
    upgrades(&host, "1.1.0");
}

#[test]
fn locks_and_damage_are_named_and_left_alone() {
    let (host, _) = host_with_release();
    for lock in ["index.lock", "HEAD.lock", "refs/heads/main.lock", "packed-refs.lock"] {
        host.sh_as("app", &format!("touch /opt/app/.git/{lock}")).exits(0);
        let path = format!("/opt/app/.git/{lock}");
        refuses(&host, &format!("app: {path} is there: a git command runs, or was killed"), &format!("rm {path}"));
        host.must(&format!("rm {path}"));
    }
    host.must("cp -a /opt/app/.git/index /root/index; echo nonsense > /opt/app/.git/index");
    let broken = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(
        broken.stderr.contains("the checkout /opt/app cannot be read") && broken.stderr.contains("fsck --no-dangling"),
        "{broken}"
    );
    host.must("cp -a /root/index /opt/app/.git/index");
    // A file of the present release is lost: nothing could bring it back, so nothing is begun.
    let object = host.must(&format!("{GIT} rev-parse HEAD:manager/VERSION | sed 's,^..,&/,'"));
    host.must(&format!("cd /opt/app/.git/objects; {GIT} unpack-objects -q < $(ls pack/*.pack | head -n 1) 2>/dev/null || :; mv pack /root/pack; mkdir -p pack; chown app: pack; for p in /root/pack/*.pack; do {GIT} unpack-objects -q < $p; done; mv {object} /root/object"));
    refuses(
        &host,
        "the checkout lacks 1 objects of the two releases: it is corrupt, or a partial clone",
        "fsck --no-dangling",
    );
    host.must(&format!("mv /root/object /opt/app/.git/objects/{object}"));
    upgrades(&host, "1.1.0");
}

#[test]
fn what_is_no_checkout_of_its_own_is_told_so() {
    let (host, _) = host_with_release();
    let stopped = |says: &str, hint: &str| {
        for verb in [["check", "app"], ["plan", "app"], ["upgrade", "app"]] {
            let out = host.relift(&verb).exits(1);
            assert!(out.stderr.contains(says) && out.stderr.contains(hint), "{out}");
        }
    };
    host.must("mv /opt/app /opt/real; install -d -o app /opt/app");
    host.sh_as(
        "app",
        "git clone -q --depth 1 file:///srv/git/app.git /opt/app && cp -a /opt/real/manager/.env /opt/app/manager/",
    )
    .exits(0);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(
        out.stderr.contains("the checkout is shallow")
            && out.stderr.contains(&format!("{GIT} fetch --unshallow origin")),
        "{out}"
    );
    host.must(&format!("export HOME=/home/app; {GIT} fetch -q --unshallow origin"));
    let out = host.relift(&["upgrade", "app", "--dry-run"]);
    assert!(!out.stderr.contains("shallow"), "{out}");
    host.must("rm -rf /opt/app; runuser -u app -- git -C /opt/real worktree prune; cd /opt/real; mkdir /opt/app; chown app: /opt/app; runuser -u app -- git worktree add -q -f /opt/app -b tree");
    stopped(
        "/opt/app is a linked worktree or a submodule: its .git is no directory",
        "give the install a clone of its own",
    );
    host.must("rm -rf /opt/app; install -d -o app /opt/app");
    stopped("/opt/app is no git checkout: it has no .git", "clone the repository there by hand once");
    host.must("runuser -u app -- git init -q /opt/app");
    stopped("the checkout /opt/app has no commit yet", "pull REMOTE BRANCH");
    host.must("rm -rf /opt/app");
    stopped("/opt/app cannot be opened", "clone the repository there by hand once");
}
