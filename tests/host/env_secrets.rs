//! No value of a `.env` leaves it: a canary looked for in every output, log, journal field, file of ours and process.

use crate::harness::{CANARY, Host, Out};
use crate::terminal::dialogue;

const ENV: &str = "/opt/app/manager/.env";
/// Words that every process of relift and of what it starts is looked through for, as often as the machine allows.
const WATCH: &str = "import os, sys, time
found, looked, canary = set(), set(), b's3cr3t-' + b'canary'
open('/run/watching', 'w').close()
while not os.path.exists('/run/stop-watching'):
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            line = open(f'/proc/{pid}/cmdline', 'rb').read()
            env = open(f'/proc/{pid}/environ', 'rb').read()
            name = open(f'/proc/{pid}/comm').read().strip()
            unit = open(f'/proc/{pid}/cgroup').read().strip()
        except OSError: continue
        looked.add((pid, line))
        # Who types at the terminal holds what is typed.
        if canary in line and b'mkfifo keys' not in line: found.add(f'argv of {name} in {unit}')
        # The services read it, which is what it is for.
        if canary in env and not ('sample-manager' in unit or 'sample-runner' in unit): found.add(f'environment of {name} in {unit}')
print(len(looked))
print(chr(10).join(sorted(found)))";

/// What may hold the values: copies that root alone reads, and the file itself.
const COPIES: &str = "grep -rlaF -D skip s3cr3t-canary /var/lib/relift /var/cache/relift /run /etc /opt/app /var/log /var/tmp /tmp /home /srv 2>/dev/null";

fn check(host: &Host, out: Out) -> Out {
    host.assert_no_secret(&out);
    out
}

#[test]
fn no_value_is_in_any_output_log_journal_field_file_or_process() {
    let mut host = Host::with_sample();
    let more = "\n# old: s3cr3t-canary-comment\n#OLD=s3cr3t-canary-disabled\nPEM=\"s3cr3t-canary-begin\ns3cr3t-canary-line\"\n\
                DSN=postgres://u:s3cr3t-canary-dsn@h/d # s3cr3t-canary-tail\ns3cr3t-canary-junk s3cr3t-canary\n";
    let old = host.read(ENV);
    host.write(ENV, format!("{old}{more}"), 0o640, "app:app");
    host.must("systemctl restart sample-manager");
    let manifest = host.read("/etc/relift/app.toml") + "\n[backup]\npaths = [\"manager/.env\"]\n";
    host.write("/etc/relift/app.toml", manifest, 0o644, "root");
    host.write("/root/watch.py", WATCH, 0o600, "root");
    host.sh("rm -f /run/stop-watching /run/watching; setsid python3 /root/watch.py > /run/watched 2>&1 &");
    host.wait_for("test -e /run/watching");

    host.release(|release| {
        release
            .next("1.1.0")
            .env_key("manager", "GREETING", "hello", "What it says.")
            .edit("manager/.env.example", |text| text.replace("LOG_LEVEL=info", "LOG_LEVEL=debug"))
            // A step that prints its configuration, as careless ones do.
            .edit("manager/scripts/build.sh", |text| format!("{text}\ncat .env; cat .env >&2\n"))
    });
    let both = |host: &Host, words: &[&str]| {
        for more in [&[][..], &["--json"], &["-v"], &["--quiet"]] {
            check(host, host.relift(&[words, more].concat()));
        }
    };
    for verb in [
        &["env", "diff", "app"][..],
        &["env", "lint", "app"],
        &["env", "merge", "app", "-n"],
        &["plan", "app"],
        &["check", "app"],
        &["upgrade", "app", "-n"],
        &["units", "diff", "app"],
        &["status", "app"],
        &["config", "check"],
        &["config", "show", "app"],
    ] {
        both(&host, verb);
    }
    check(&host, host.relift(&["upgrade", "app", "--yes", "-v"]).exits(0));
    // One that fails, with the whole configuration in its last words, and is undone.
    host.release(|release| {
        release
            .next("1.2.0")
            .env_key("manager", "SECOND", "x", "Two.")
            .edit("manager/scripts/build.sh", |_| "cat .env >&2; exit 3\n".into())
    });
    check(&host, host.relift(&["upgrade", "app", "--yes", "--json"]).exits(3));
    host.release(|release| {
        release
            .next("1.3.0")
            .edit("manager/scripts/build.sh", |_| "mkdir -p build; cp VERSION build/version\n".into())
            .env_key("manager", "TYPED", "CHANGE_ME", "Three.")
            .behaviour("manager", "exit-at-once 1")
    });
    let answers =
        [("take the [d]efault as it is: ", "e\\n"), ("TYPED (not shown", "s3cr3t-canary-typed\\n"), ("Go on?", "y")];
    // LOG_LEVEL asks as well, until upstream's default was taken.
    host.must(&format!("sed -i s/^LOG_LEVEL=.*/LOG_LEVEL=warning/ {ENV}"));
    check(&host, dialogue(&host, "relift -v upgrade app", &answers).exits(3));
    check(&host, host.relift(&["rollback", "app", "--yes", "-v"]));
    for verb in [
        &["history", "app"][..],
        &["status", "app"],
        &["env", "diff", "app"],
        &["recover", "app", "--dry-run"],
        &["recover", "app"],
        &["backup", "list", "app"],
        &["backup", "verify", "app"],
    ] {
        both(&host, verb);
    }
    let newest = host.must("ls /var/lib/relift/app/backups | tail -n 1");
    check(&host, host.relift(&["backup", "restore", "app", &newest, "--yes", "-v"]).exits(0));
    let open = host.must("find /var/lib/relift/app/backups -type f ! -perm 600 -o -type d ! -perm 700 -o ! -user root");
    assert_eq!(open, "", "a backup is open to others");
    let runs = host.must("ls /var/lib/relift/app/runs");
    assert!(runs.lines().count() >= 3, "{runs}");
    for run in runs.lines() {
        both(&host, &["show", run]);
        both(&host, &["logs", run]);
    }
    host.must("touch /run/stop-watching");
    let watched = host.wait_for("[ $(wc -l < /run/watched) -ge 2 ] && cat /run/watched");
    let (looked, found) = watched.split_once('\n').unwrap_or((watched.as_str(), ""));
    assert!(looked.parse::<usize>().is_ok_and(|looked| looked > 100), "{watched}");
    assert_eq!(found.trim(), "", "a process shows a secret");
    copies_are_roots_alone(&host);
}

/// Values are in the copies for the way back, and nowhere else; those are 0600 below a directory of 0700.
fn copies_are_roots_alone(host: &Host) {
    let found = host.sh(COPIES).stdout;
    let is_ours = |path: &&str| {
        ["/var/lib/relift/", "/var/cache/relift/", "/run/relift/"].iter().any(|place| path.starts_with(place))
    };
    let copies: Vec<&str> = found.lines().filter(is_ours).collect();
    assert!(!copies.is_empty(), "copies for the way back are kept: {found}");
    for copy in copies {
        assert!(copy.contains("/content/"), "{copy} is no copy for the way back");
        let mode = host.must(&format!("stat -c '%a %U' {copy}"));
        assert_eq!(mode, "600 root", "{copy}");
        let closed = host.must(&format!(
            "d={copy}; while [ $d != / ]; do d=$(dirname $d); [ $(stat -c %a $d) = 700 ] && echo closed; done; :"
        ));
        assert!(closed.contains("closed"), "no directory above {copy} is closed to others");
    }
    for path in found.lines().filter(|path| !is_ours(path)) {
        let is_known = path.starts_with("/opt/app/") && path.ends_with("/.env");
        assert!(is_known, "{path} holds a {CANARY}");
    }
}
