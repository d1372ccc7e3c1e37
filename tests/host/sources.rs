//! Asking, planning and upgrading from remotes of every kind, and what is said of one that does not answer.

use crate::harness::{Host, Out};
use crate::server::GitServer;

const GIT: &str = "runuser -u app -- git -C /opt/app";
const MANIFEST: &str = "/etc/relift/app.toml";

/// Changes the manifest by a sed(1) expression.
fn edit(host: &Host, expression: &str) {
    host.must(&format!("sed -i '{expression}' {MANIFEST} && relift config check"));
}

/// Points the manifest at another URL, and the checkout with it.
fn point(host: &Host, url: &str) {
    edit(host, &format!("s|^url .*|url = \"{url}\"|"));
    host.must(&format!("{GIT} remote set-url origin {url}"));
}

/// check, plan and upgrade all fail with the same words and change nothing.
#[track_caller]
fn fails(host: &Host, says: &str, hint: &str) {
    let before = host.snapshot();
    let check = host.relift(&["check"]).exits(1);
    assert!(check.stderr.contains("error: app could not be checked\n  because"), "{check}");
    let upgrade = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    for text in [says, hint, "state: nothing was changed"] {
        assert!(check.stderr.contains(text) && upgrade.stderr.contains(text), "`{text}`: {check}\n{upgrade}");
    }
    before.assert_same(&host.snapshot());
}

/// check tells of a release and changes nothing, plan shows it, upgrade installs it, and check is content.
#[track_caller]
fn whole_way(host: &Host, commit: &str) -> Out {
    let (before, refs) = (host.snapshot(), host.must(&format!("{GIT} for-each-ref")));
    let check = host.relift(&["check"]).exits(100);
    host.relift(&["plan", "app"]).exits(0);
    before.assert_same(&host.snapshot());
    assert_eq!(refs, host.must(&format!("{GIT} for-each-ref")), "the checkout's refs");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.must(&format!("{GIT} rev-parse HEAD")), commit);
    assert_eq!(host.must("find /opt/app -user root"), "", "nothing in the checkout may be root's");
    let again = host.relift(&["check"]).exits(0);
    assert_eq!(again.stdout, format!("app: nothing new, {} is what the source offers\n", &commit[..10]));
    check
}

#[test]
fn a_file_remote_of_another_account_is_asked_and_names_what_it_lacks() {
    let mut host = Host::with_sample();
    let commit = host.release(|release| release.next("1.1.0"));
    let check = whole_way(&host, &commit);
    let short = &commit[..10];
    assert_eq!(
        check.stdout,
        format!(
            "app: new, 1 commit ahead, at {short}\n  manager 1.0.0 -> 1.1.0 (2 files changed)\n  runner 1.0.0 -> 1.1.0 (2 files changed)\n  by itself: now\n"
        )
    );
    assert_eq!(host.relift(&["check", "--quiet"]).exits(0).stdout, "");
    let no_branch = "file:///srv/git/app.git has no branch gone";
    edit(&host, "s/^branch.*/branch = \"gone\"/");
    fails(&host, no_branch, "correct `branch` in the manifest");
    edit(&host, "s/^branch.*/branch = \"main\"/");
    point(&host, "file:///srv/git/elsewhere.git");
    fails(
        &host,
        "file:///srv/git/elsewhere.git is no git repository that this host can see",
        "correct `url` in the manifest",
    );
    point(&host, "http://127.0.0.1:9/app.git");
    fails(&host, "http://127.0.0.1:9/app.git cannot be reached", "look at the network");
    point(&host, "http://nowhere.invalid/app.git");
    fails(&host, "the host name in http://nowhere.invalid/app.git cannot be resolved", "getent hosts");
    point(&host, "file:///srv/git/app.git");
    host.relift(&["check"]).exits(0);
    let out = host.relift(&["upgrade", "app", "--to", "9.9.9", "--yes"]).exits(1);
    assert!(out.stderr.contains("file:///srv/git/app.git has no tag, version or commit 9.9.9"), "{out}");
    // A tag that upstream takes back is gone here as well, although it was known.
    let tagged = host.release(|release| release.next("1.2.0").tag("v1.2.0").tag("manager-v1.2.0"));
    host.relift(&["plan", "app", "--to", "v1.2.0"]).exits(0);
    host.must("runuser -u git -- git --git-dir=/srv/git/app.git tag -d v1.2.0 manager-v1.2.0");
    let out = host.relift(&["upgrade", "app", "--to", "v1.2.0", "--yes"]).exits(1);
    assert!(out.stderr.contains("has no tag, version or commit v1.2.0"), "{out}");
    host.relift(&["upgrade", "app", "--to", &tagged[..12], "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}

#[test]
fn offline_uses_what_was_fetched_and_says_when_there_is_nothing() {
    let mut host = Host::with_sample();
    let out = host.relift(&["plan", "app", "--offline"]).exits(1);
    assert!(out.stderr.contains("nothing of file:///srv/git/app.git was fetched yet"), "{out}");
    assert!(out.stderr.contains("once without --offline: relift check app"), "{out}");
    host.release(|release| release.next("1.1.0"));
    host.relift(&["check"]).exits(100);
    host.must("mv /srv/git/app.git /srv/git/away.git");
    host.relift(&["check", "--offline"]).exits(100);
    host.relift(&["upgrade", "app", "--offline", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn over_ssh_the_owners_keys_are_used_and_each_refusal_has_its_words() {
    let mut server = GitServer::ssh();
    let host = server.host_with_sample();
    // root has no key of its own that counts.
    host.must("rm -rf /root/.ssh");
    let commit = server.release(|release| release.next("1.1.0"));
    whole_way(&host, &commit);
    let url = server.url().to_owned();
    host.must("cp -a /home/app/.ssh /root/kept; : > /home/app/.ssh/known_hosts");
    fails(&host, &format!("the ssh host key of {url} is not known to app"), "add it to ~/.ssh/known_hosts");
    host.must("cp -a /root/kept/known_hosts /home/app/.ssh/; rm /home/app/.ssh/id_ed25519");
    fails(
        &host,
        &format!("{url} refused the authentication"),
        &format!("runuser -l app -s /bin/sh -c 'git ls-remote {url}'"),
    );
    host.must("cp -a /root/kept/id_ed25519 /home/app/.ssh/");
    let elsewhere = url.replace("app.git", "none.git");
    point(&host, &elsewhere);
    fails(&host, &format!("{elsewhere} is no git repository that this host can see"), "correct `url`");
    point(&host, &url);
    host.relift(&["check"]).exits(0);
    // A server that is there and silent is given up.
    host.must("systemd-run --quiet --unit=silent python3 -c 'import socket,time; s=socket.create_server((\"127.0.0.1\",2222)); time.sleep(600)'");
    host.wait_for("ss -ltn | grep -q :2222");
    point(&host, "ssh://git@127.0.0.1:2222/app.git");
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stderr.contains("ssh://git@127.0.0.1:2222/app.git did not answer in time"), "{out}");
}

#[test]
fn over_http_one_conversation_tells_what_is_new() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    let url = server.url().to_owned();
    host.relift(&["check"]).exits(0);
    let asked = |exit| {
        let before = server.requests().len();
        host.relift(&["check"]).exits(exit);
        server.requests().split_off(before)
    };
    let (refs, pack) = ("GET /app.git/info/refs?service=git-upload-pack", "POST /app.git/git-upload-pack");
    assert_eq!(asked(0), [refs, pack], "the capabilities, and the refs");
    let commit = server.release(|release| release.next("1.1.0"));
    let first = {
        let before = server.requests().len();
        host.relift(&["check"]).exits(100);
        server.requests().split_off(before)
    };
    assert_eq!(first.iter().filter(|line| *line == refs).count(), 1, "{first:?}");
    whole_way(&host, &commit);

    server.behave("private");
    fails(&host, &format!("{url} refused the authentication"), "runuser -l app -s /bin/sh -c 'git ls-remote");
    // What the owner's git knows opens it; root's does not count, and the password is never shown.
    let netloc = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
    host.write("/home/app/.git-credentials", format!("http://user:password@{netloc}\n"), 0o600, "app:app");
    host.sh_as("app", "git config --global credential.helper store").exits(0);
    host.relift(&["check"]).exits(0);
    host.write("/home/app/.git-credentials", format!("http://user:s3cr3t-canary-wrong@{netloc}\n"), 0o600, "app:app");
    fails(&host, &format!("{url} refused the authentication"), "the keys and credentials of app are used");
    host.assert_no_secret(&host.relift(&["check", "-vv"]).exits(1));
    assert!(!host.read("/home/app/.git-credentials").is_empty(), "what the owner keeps is not erased");

    server.behave("error");
    fails(&host, &format!("talking to {url} failed: git exited with 128"), "git ls-remote");
    server.behave("hang");
    let begun = std::time::Instant::now();
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stderr.contains(&format!("{url} did not answer in time")), "{out}");
    assert!(begun.elapsed().as_secs() < 25, "it took {:?}", begun.elapsed());
}

#[test]
fn a_check_of_many_installs_tells_of_each_and_fails_for_the_one_that_cannot_be_asked() {
    let mut host = Host::with_sample();
    let commit = host.release(|release| release.next("1.1.0").component_version("runner", "1.1.1"));
    host.must(&format!("sed 's|^url .*|url = \"file:///srv/git/none.git\"|' {MANIFEST} > /etc/relift/absent.toml"));
    let before = host.snapshot();
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stdout.contains("runner 1.0.0 -> 1.1.1"), "{out}");
    assert!(out.stderr.contains("absent could not be checked"), "{out}");
    host.relift(&["check", "app"]).exits(100);
    let out = host.relift(&["check", "--json"]).exits(1);
    let document: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    let of = |name: &str| {
        document["installs"].as_array().unwrap().iter().find(|one| one["install"] == name).unwrap().clone()
    };
    assert_eq!(of("absent")["error"]["exit"], 1, "{document}");
    let app = of("app");
    assert_eq!((&app["new"], &app["revision"], &app["commits"]), (&true.into(), &commit.clone().into(), &1.into()));
    assert_eq!(app["components"][1]["to"], "1.1.1", "{document}");
    before.assert_same(&host.snapshot());
    // A checkout that an upgrade would stop at is still told what is new.
    host.must("rm /etc/relift/absent.toml; echo mine >> /opt/app/README.md");
    let out = host.relift(&["check", "--quiet"]).exits(100);
    assert!(out.stdout.contains("an upgrade would stop: tracked files have local changes: README.md"), "{out}");
}
