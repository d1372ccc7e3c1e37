//! Who talks to remotes, with what, and what nobody else can look into, block or put in the way.

use relift::sample::Site;

use crate::harness::{CANARY, Host};
use crate::server::GitServer;

const MANIFEST: &str = "/etc/relift/app.toml";

/// Stands in for every `git`: writes down who calls it with which words, and whether a token is in its words or environment.
const WITNESS: &str = r#"#!/bin/sh
{ echo "$(/usr/bin/id -u) $*"; tr '\0' '\n' < /proc/$$/environ | grep -aq 's3cr3t-canary-toke[n]' && echo "LEAK environment"; } >> /run/witness
exec /usr/local/lib/real-git/git "$@"
"#;

/// Looks through the words and the environment of every process, as often as the machine allows.
const WATCH: &str = "import os
found, looked = set(), 0
open('/run/watching', 'w').close()
while not os.path.exists('/run/stop-watching'):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        for file in ('cmdline', 'environ'):
            try: bytes = open(f'/proc/{pid}/{file}', 'rb').read()
            except OSError: continue
            looked += 1
            if b's3cr3t-' + b'canary-token' in bytes: found.add(f'{file}: {bytes[:300]}')
print(looked)
print(chr(10).join(sorted(found)))";

/// A witness in front of git, for all accounts.
fn witnessed(host: &Host) {
    host.must("mkdir -p /usr/local/lib/real-git; real=$(command -v git); [ -e /usr/local/lib/real-git/git ] || ln -s \"$(readlink -f $real)\" /usr/local/lib/real-git/git
               cp --remove-destination \"$(readlink -f $real)\" /usr/local/lib/real-git/git.copy; rm /usr/local/lib/real-git/git; mv /usr/local/lib/real-git/git.copy /usr/local/lib/real-git/git
               install -m 666 /dev/null /run/witness");
    host.write("/usr/local/bin/git", WITNESS, 0o755, "root");
}

/// The accounts that ran git with these words.
fn callers(host: &Host, words: &str) -> Vec<String> {
    let log = host.read("/run/witness");
    let mut found: Vec<String> = log
        .lines()
        // Whoever takes in names the program that another account gives with.
        .filter(|line| line.contains(words) && !line.contains(" fetch-pack "))
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect();
    found.sort();
    found.dedup();
    found
}

fn credential(host: &Host, line: &str) {
    host.must(&format!("sed -i '/^credential/d; s|^url .*|&\\n{line}|' {MANIFEST} && relift config check"));
}

#[test]
fn over_http_the_owner_talks_and_a_token_is_in_no_argv_and_no_environment() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    witnessed(&host);
    let owner = host.must("id -u app");
    server.behave(&format!("private=git:{CANARY}-token"));
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stderr.contains("refused the authentication"), "{out}");
    host.write("/etc/relift/token", format!("{CANARY}-token\n"), 0o644, "root");
    credential(&host, "credential = \"/etc/relift/token\"");
    let out = host.relift(&["check"]).exits(2);
    assert!(out.stderr.contains("root alone may read"), "{out}");
    host.must("chmod 600 /etc/relift/token");
    host.write("/root/watch.py", WATCH, 0o600, "root");
    host.sh("rm -f /run/stop-watching /run/watching; setsid python3 /root/watch.py > /run/watched 2>&1 &");
    host.wait_for("test -e /run/watching");

    host.relift(&["check"]).exits(0);
    let before = server.requests().len();
    host.assert_no_secret(&host.relift(&["check"]).exits(0));
    let asked = server.requests().split_off(before);
    assert_eq!(asked.iter().filter(|line| line.starts_with("POST")).count(), 1, "one conversation: {asked:?}");
    let commit = server.release(|release| release.next("1.1.0"));
    host.assert_no_secret(&host.relift(&["check"]).exits(100));
    host.assert_no_secret(&host.relift(&["plan", "app"]).exits(0));
    host.assert_no_secret(&host.relift(&["upgrade", "app", "--yes", "-v"]).exits(0));
    assert_eq!(host.must("runuser -u app -- git -C /opt/app rev-parse HEAD"), commit);
    // As a service that systemd gives the token to, systemd.exec(5); the twin's cannot mount what holds it.
    credential(&host, "credential = \"forge\"");
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stderr.contains("LoadCredentialEncrypted=forge"), "{out}");
    let service = "install -d -m 700 /run/given; install -m 400 /etc/relift/token /run/given/forge; \
                   CREDENTIALS_DIRECTORY=/run/given relift check; e=$?; rm -r /run/given; exit $e";
    host.assert_no_secret(&host.sh(service).exits(0));
    assert_eq!(callers(&host, "remote-https"), [owner.as_str()], "{}", host.read("/run/witness"));

    // A server that has never heard of protocol version 2: the owner fetches on its own, and the mirror takes it from there.
    credential(&host, "credential = \"/etc/relift/token\"");
    server.behave(&format!("private=git:{CANARY}-token v0"));
    let commit = server.release(|release| release.next("1.2.0"));
    host.assert_no_secret(&host.relift(&["check"]).exits(100));
    host.assert_no_secret(&host.relift(&["upgrade", "app", "--yes"]).exits(0));
    assert_eq!(host.must("runuser -u app -- git -C /opt/app rev-parse HEAD"), commit);
    host.relift(&["check"]).exits(0);
    assert_eq!(callers(&host, "relay.git fetch"), [owner.as_str()]);
    assert_eq!(callers(&host, "upload-pack"), [owner.as_str()]);
    host.must("touch /run/stop-watching");
    let watched = host.wait_for("[ $(wc -l < /run/watched) -ge 2 ] && cat /run/watched");
    let (looked, found) = watched.split_once('\n').unwrap_or((watched.as_str(), ""));
    println!("{looked} looks at the words and environments of processes");
    assert!(looked.parse::<usize>().is_ok_and(|looked| looked > 1000), "{watched}");
    assert_eq!(found.trim(), "", "a process shows the token");
    assert!(!host.read("/run/witness").contains(CANARY) && !host.read("/run/witness").contains("LEAK"), "git shows it");
    let copies = "grep -rlaF -D skip s3cr3t-canary-token /var/lib/relift /var/cache/relift /run/relift /opt/app /home /tmp /var/tmp";
    assert_eq!(host.sh(copies).stdout, "", "a copy of the token is left");
}

#[test]
fn a_local_repository_is_served_by_its_own_account_and_runs_nothing_of_it_as_root() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    witnessed(&host);
    let [owner, git] = ["app", "git"].map(|account| host.must(&format!("id -u {account}")));
    host.write("/srv/canary", "#!/bin/sh\nid -u >> /run/canary\nexec \"$@\"\n", 0o755, "root");
    host.must("install -m 666 /dev/null /run/canary");
    // git heeds it in the configuration of whoever serves, and nowhere else: it shows who that is.
    host.sh_as("git", "git config --global uploadpack.packObjectsHook /srv/canary; git --git-dir=/srv/git/app.git config uploadpack.packObjectsHook /srv/canary").exits(0);
    // What a step finds about it: three descriptors and the one that ls opens, a fixed umask, its account's own groups, no terminal.
    host.must("groupadd more; usermod -aG more app");
    let look = "mkdir -p build; cp VERSION build/version
        { echo fds $(ls /proc/self/fd); echo umask $(umask); echo core $(ulimit -c)
          echo groups; id -G; grep NoNewPrivs /proc/$$/status; echo tty $(cut -d' ' -f7 /proc/$$/stat); } > /tmp/seen; mv /tmp/seen build/seen\n";
    host.release(|release| release.next("1.1.0").edit("manager/scripts/build.sh", |_| look.into()));
    host.relift(&["check"]).exits(100);
    assert_eq!(host.must("sort -u /run/canary"), git);
    assert_eq!(callers(&host, "upload-pack"), [git.as_str()]);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let seen = host.read("/opt/app/manager/build/seen");
    let lines: Vec<&str> = seen.lines().map(str::trim_end).collect();
    let groups = host.must("id -G app");
    assert_eq!(lines, ["fds 0 1 2 3", "umask 0022", "core 0", "groups", &groups, "NoNewPrivs:\t1", "tty 0"], "{seen}");
    // One that became the owner's own is served by the owner.
    host.must("chown -R app: /srv/git; : > /run/witness; : > /run/canary");
    host.relift(&["check"]).exits(0);
    assert_eq!(callers(&host, "upload-pack"), [owner.as_str()]);
    // One with parts of another account's is refused by git, whoever serves.
    host.must("chown root: /srv/git/app.git; : > /run/canary");
    let out = host.relift(&["check"]);
    assert!(out.code == 1 || out.code == 0, "{out}");
    assert_eq!(host.read("/run/canary"), "", "root ran what a repository of another account says");
}

#[test]
fn places_that_another_account_could_have_made_are_refused_with_words() {
    let mut site = Site::new("app");
    site.soak = 0;
    let host = Host::with_site(site);
    let places = ["/run/relift", "/var/lib/relift", "/var/lib/relift/app"];
    host.relift(&["check"]).exits(0);
    for place in places {
        for (spoil, says) in [
            (format!("mv {place} {place}.kept; ln -s {place}.kept {place}"), "it is a symbolic link"),
            (format!("chown app {place}"), "not to root"),
            (format!("chmod o+w {place}"), "every account may write to it"),
            (format!("chgrp app {place}; chmod g+w {place}"), "may write to it"),
        ] {
            host.must(&format!("cp -a {place} /root/kept; {spoil}"));
            for verb in ["upgrade app --yes", "recover app"] {
                let out = host.sh(&format!("relift {verb}"));
                let refused = out.code == 2 && out.stderr.contains("is not used") && out.stderr.contains(says);
                assert!(refused, "after `{spoil}`: {out}");
            }
            host.must(&format!("rm -rf {place} {place}.kept; mv /root/kept {place}"));
        }
    }
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    // Nobody else can open, and so hold, anything in either; nor do names in shared directories matter.
    let squat = "for d in /tmp /var/tmp /dev/shm /run/lock; do for n in relift relift.lock app.lock relift-app.lock; do ( : > $d/$n ) 2>/dev/null; done; done; :";
    host.sh_as("app", squat).exits(0);
    for place in ["/run/relift", "/var/lib/relift/app"] {
        let out = host.sh_as("app", &format!("find {place} -mindepth 1 2>&1; flock --nonblock {place} true"));
        assert!(out.code != 0 && out.stdout.contains("Permission denied"), "{place}: {out}");
    }
    assert_eq!(
        host.must("find /run/relift /var/lib/relift -name mirror.git -prune -o -type f -perm /037 -print"),
        "",
        "files that others may open"
    );
    assert_eq!(host.must("find /run/relift /var/lib/relift/* -maxdepth 0 -printf '%m %U\\n' | sort -u"), "700 0");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

#[test]
fn nobody_gets_at_the_memory_of_a_run() {
    let host = Host::with_sample();
    host.must("mkdir -p /run/relift; chmod 700 /run/relift; setsid flock /run/relift/app.lock sleep 60 >/dev/null 2>&1 &\n sleep 0.3");
    // Root without the right to look into others is as near as another process gets.
    let script = r#"ulimit -c unlimited
        setpriv --bounding-set=-sys_ptrace,-sys_admin,-perfmon relift upgrade app --yes --lock-timeout 1min >/dev/null 2>&1 & run=$!
        setpriv --bounding-set=-sys_ptrace,-sys_admin,-perfmon sleep 30 & other=$!
        sleep 1
        grep 'Max core' /proc/$run/limits
        setpriv --bounding-set=-sys_ptrace,-sys_admin,-perfmon sh -c "cat /proc/$other/environ >/dev/null && echo other is readable"
        setpriv --bounding-set=-sys_ptrace,-sys_admin,-perfmon sh -c "cat /proc/$run/environ >/dev/null 2>&1 || echo run is not"
        kill $other; exec python3 -c "import os, signal, sys
os.kill($run, signal.SIGABRT)""#;
    let out = host.sh(script).exits(0).stdout;
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    assert!(lines[0].starts_with("Max core file size") && lines[0].split_whitespace().nth(4) == Some("0"), "{out}");
    assert_eq!(lines[1..], ["other is readable", "run is not"], "{out}");
    let pattern = host.read("/proc/sys/kernel/core_pattern");
    if !pattern.starts_with('|') {
        assert_eq!(
            host.must(
                "sleep 0.5; find / -xdev -name 'core*' -type f -size +1M -newer /run/relift/app.lock 2>/dev/null"
            ),
            ""
        );
    }
}
