//! `relift try` on this machine, which is a twin's host like any other.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{CANARY, Host, RELIFT};
use crate::twins::{groups, traces};

/// Both streams in one, as a person sees them, and the exit status.
fn watched(words: &str) -> (String, i32) {
    let out = Command::new("sh").args(["-c", &format!("exec {RELIFT} try {words} 2>&1")]).output().unwrap();
    (String::from_utf8(out.stdout).unwrap(), out.status.code().unwrap())
}

/// Makes sure that the texts come one after the other.
#[track_caller]
fn in_order(text: &str, expected: &[&str]) {
    let mut rest = text;
    for needle in expected {
        let at = rest.find(needle).unwrap_or_else(|| panic!("`{needle}` does not come next in:\n{text}"));
        rest = &rest[at + needle.len()..];
    }
}

const STORY: [&str; 32] = [
    "✓ the twin has booted",
    "✓ the sample 1.0.0 is installed in /opt/sample",
    "# relift check sample\n",
    "sample: new, 4 commits ahead",
    "# relift plan sample\n",
    "manager 1.0.0 -> 1.1.0",
    "It may open 4096 files",
    "[Service] LimitNOFILE= (not set) -> 4096",
    ".env      + WORKERS: new",
    "4 commits in manager, runner\n",
    "can be undone   everything",
    "# relift upgrade sample --yes\n",
    "  done: restart sample-manager.service",
    "gate:",
    "soak:",
    "done sample: manager 1.1.0, runner 1.1.0, proven healthy",
    "# relift status sample\n",
    "sample-runner.service active (running)",
    "# relift upgrade sample --yes\n",
    "manager 1.1.0 -> 1.2.0",
    "soak:",
    "undo:",
    "  done: switch the tree back to",
    "  done: prove that the old release runs again",
    "error: the upgrade of sample to 1.2.0 failed",
    "because manager: sample-manager.service did not stay up",
    "state: everything was put back as it was, and checked",
    "# relift status sample\n",
    "failed here",
    "# relift history sample\n",
    "rolled back",
    "✓ Everything held.",
];

const MEASURED: [&str; 10] = [
    "✓ before          manager answers 1.0.0, runner answers 1.0.0 over HTTP",
    "✓ check           exit 100",
    "✓ plan            exit 0, and nothing was changed",
    "✓ upgrade         exit 0",
    "✓ after it        manager answers 1.1.0, runner answers 1.1.0 over HTTP",
    "✓ .env files      all 20 lines kept, 3 added",
    "✓ failing upgrade exit 3",
    "✓ after it        manager answers 1.1.0, runner answers 1.1.0 over HTTP",
    "✓ put back        checkout, .env files, units: byte for byte as before",
    "✓ this host       accounts, units, manifests, mounts, name: untouched",
];

#[test]
fn it_tells_the_whole_story_and_leaves_this_machine_as_it_was() {
    let before = traces();
    let begun = Instant::now();
    let (text, code) = watched("");
    assert_eq!(code, 0, "{text}");
    assert!(begun.elapsed() < Duration::from_secs(30), "it took {:?}", begun.elapsed());
    in_order(&text, &STORY);
    in_order(&text, &MEASURED);
    assert!(!text.contains(CANARY), "a secret is shown:\n{text}");
    assert!(!text.contains('\x1b'), "a pipe gets no colours and no bars:\n{text}");
    assert_eq!(traces(), before);
}

#[test]
fn a_program_gets_one_document() {
    let out = Command::new(RELIFT).args(["try", "--json"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert_eq!(out.status.code(), Some(0), "{text}");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&document["held"], &document["exit"]), (&true.into(), &0.into()));
    let exits: Vec<_> =
        document["commands"].as_array().unwrap().iter().map(|ran| ran["exit"].as_i64().unwrap()).collect();
    assert_eq!(exits, [100, 0, 0, 0, 3, 0, 0]);
    assert!(document["measured"].as_array().unwrap().iter().all(|measured| measured["held"] == true), "{text}");
    assert!(String::from_utf8(out.stderr).unwrap().is_empty());
}

#[test]
fn quiet_says_nothing_when_everything_held() {
    assert_eq!(watched("--quiet"), (String::new(), 0));
}

#[test]
fn an_interruption_leaves_nothing_behind() {
    // Early, while it is prepared, and late, in the middle of a run.
    for (after, script) in [(0, "SIGTERM"), (3000, "SIGINT"), (6000, "SIGHUP")] {
        let before = traces();
        let mut child = Command::new(RELIFT).arg("try").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(after));
        let deadline = Instant::now() + Duration::from_secs(20);
        while children_of(child.id()).is_empty() {
            assert!(Instant::now() < deadline, "no twin is booted");
            std::thread::sleep(Duration::from_millis(5));
        }
        let supervisors = children_of(child.id());
        let signal: nix::sys::signal::Signal = script.parse().unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), signal).unwrap();
        let begun = Instant::now();
        let status = child.wait().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10), "{script} took {:?}", begun.elapsed());
        let mut told = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut told).unwrap();
        assert_eq!(status.code(), Some(1), "{script}: {told}");
        assert!(told.contains("error: interrupted: the throw-away copy of this host is gone"), "{script}: {told}");
        for pid in supervisors {
            assert!(groups().iter().all(|path| !path.ends_with(&format!("relift-twin-{pid}"))), "{script}: {pid}");
            assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{script}: {pid} is still there");
        }
        assert_eq!(traces(), before, "{script}");
    }
}

fn children_of(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn who_is_not_root_is_told_what_to_do() {
    let host = Host::boot();
    let out = host.run(&["runuser", "-u", "daemon", "--", "relift", "try"], b"").exits(77);
    assert_eq!(
        out.stderr,
        "error: relift try boots a throw-away copy of this host, which needs root\n\
         state: nothing was changed\n\
         next:  run it from a root shell, or: sudo relift try\n"
    );
    assert_eq!(out.stdout, "");
}

#[test]
fn where_it_cannot_be_shown_one_sentence_says_why() {
    let host = Host::boot();
    let container = host.sh("setpriv --bounding-set=-sys_admin relift try").exits(1);
    assert!(container.stderr.starts_with("error: this process may not make namespaces of its own\n"), "{container}");
    assert!(container.stderr.contains("unprivileged container"), "{container}");
    let gits = "for git in /usr/local/bin/git /usr/bin/git; do";
    host.must(&format!("{gits} [ ! -e $git ] || mv $git $git.away; done"));
    let git = host.relift(&["try"]).exits(1);
    assert!(git.stderr.starts_with("error: relift try needs git, which this host does not have\n"), "{git}");
    assert!(git.stderr.contains("apt-get install git"), "{git}");
    host.must(&format!("{gits} [ ! -e $git.away ] || mv $git.away $git; done; mount -t tmpfs none /usr/lib/systemd"));
    let systemd = host.relift(&["try"]).exits(1);
    assert!(systemd.stderr.starts_with("error: this host has no systemd"), "{systemd}");
}

#[test]
fn what_a_host_has_already_is_in_nobodys_way() {
    let host = Host::boot();
    host.must("useradd sample; mkdir -p /opt/sample2 /etc/relift; touch /opt/sample2/mine; echo broken > /etc/relift/other.toml");
    // Debian's user bus is a package of its own, which a host need not have.
    host.must("rm -f /usr/lib/systemd/user/dbus.*");
    let out = host.relift(&["try"]).exits(0);
    in_order(&out.stdout, &["is installed in /opt/sample3", "# relift check sample3\n", "✓ Everything held."]);
    assert_eq!(host.must("ls /opt/sample2 /etc/relift"), "/etc/relift:\nother.toml\n\n/opt/sample2:\nmine");
}
