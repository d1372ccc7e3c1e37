//! `relift doctor` on a host that is well, and on one that is broken in every way of a table.

use relift::text::harmless;
use serde_json::Value;

use crate::harness::{Host, Out};

/// A way in which a host is broken.
struct Fault {
    /// Those of a round are there at the same time.
    round: u32,
    /// A shell script.
    make: &'static str,
    /// And back.
    mend: &'static str,
    /// What is found: how much it matters, about what (how it begins), in which words, and how to mend it.
    found: (&'static str, &'static str, &'static str, &'static str),
}

const fn fault(
    round: u32,
    make: &'static str,
    mend: &'static str,
    found: (&'static str, &'static str, &'static str, &'static str),
) -> Fault {
    Fault { round, make, mend, found }
}

const P: &str = "problem";
const W: &str = "warning";

#[rustfmt::skip]
const FAULTS: &[Fault] = &[
    // Owners and modes.
    fault(1, "chown app /var/lib/relift/app", "chown root /var/lib/relift/app", (P, "/var/lib/relift/app", "belongs to uid", "chown root /var/lib/relift/app")),
    fault(1, "mv /var/lib/relift/app/mirror.git /var/lib/m; ln -s /var/lib/m /var/lib/relift/app/mirror.git", "rm /var/lib/relift/app/mirror.git; mv /var/lib/m /var/lib/relift/app/mirror.git", (P, "/var/lib/relift/app/mirror.git", "is a symbolic link", "readlink -f")),
    fault(1, "chmod 777 /run/relift", "chmod 700 /run/relift", (P, "/run/relift", "may be written by every account", "chmod go-w /run/relift")),
    fault(1, "chmod 777 /opt", "chmod 755 /opt", (P, "/opt", "may be written by every account", "chmod go-w /opt")),
    fault(1, "chmod 775 /opt/app; chgrp games /opt/app", "chmod 755 /opt/app; chgrp app /opt/app", (P, "/opt/app", "may be written by the group", "chmod go-w /opt/app")),
    fault(1, "chmod 644 /opt/app/runner/.env", "chmod 600 /opt/app/runner/.env", (W, "/opt/app/runner/.env", "every account may read it", "chmod o-r")),
    fault(1, "chown games /opt/app/manager/.env", "chown app /opt/app/manager/.env", (P, "/opt/app/manager/.env", "belongs to uid", "chown app")),
    fault(1, "chmod 666 /etc/systemd/system/sample-manager.service", "chmod 644 /etc/systemd/system/sample-manager.service", (P, "/etc/systemd/system/sample-manager.service", "may be written", "chmod go-w")),
    fault(1, "install -m 666 /dev/null /etc/relift/app.signers", "rm /etc/relift/app.signers", (P, "/etc/relift/app.signers", "may be written", "chmod go-w")),
    fault(1, "chmod 777 /var/lib/relift/app/runs", "chmod 700 /var/lib/relift/app/runs", (P, "/var/lib/relift/app/runs", "may be written", "chmod go-w")),
    fault(1, "printf '#!/bin/sh\\ntouch /run/was-run\\n' > /usr/local/bin/git; chmod 777 /usr/local/bin/git", "rm /usr/local/bin/git", (P, "git", "/usr/local/bin/git may be written by every account", "chmod go-w /usr/local/bin/git")),
    // systemd and what is around it.
    fault(2, "systemctl mask relift-recover", "systemctl unmask relift-recover; systemctl enable relift-recover", (P, "relift-recover.service", "is masked", "systemctl unmask")),
    fault(2, "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d", "rm /usr/sbin/policy-rc.d", (W, "/usr/sbin/policy-rc.d", "forbids packages to restart", "rm /usr/sbin/policy-rc.d")),
    fault(2, "loginctl disable-linger app; systemctl stop user@$(id -u app)", "loginctl enable-linger app", (P, "user manager of app", "does not answer", "loginctl enable-linger app")),
    fault(2, "mount -t tmpfs none /usr/share/zoneinfo", "umount /usr/share/zoneinfo", (W, "time zones", "no time zone data base", "tzdata")),
    fault(2, "mv /usr/bin/systemd-analyze /root/", "mv /root/systemd-analyze /usr/bin/", (P, "systemd-analyze", "is not installed", "apt-get install systemd")),
    fault(2, "mv /srv/git/app.git /srv/git/gone.git", "mv /srv/git/gone.git /srv/git/app.git", (P, "file:///srv/git/app.git", "is no git repository", "correct `url`")),
    fault(2, "mount -t tmpfs -o size=1m none /var/lib/relift", "umount /var/lib/relift", (P, "/var/lib/relift", "free of 1.00 MiB, and a run wants", "df -h")),
    fault(2, "mount -t tmpfs -o nr_inodes=50 none /run/relift", "umount /run/relift", (P, "/run/relift", "inodes are free", "df -i")),
    fault(2, "mount --bind /opt/app /opt/app; mount -o remount,ro,bind /opt/app", "umount /opt/app", (P, "/opt/app", "read-only", "remount,rw")),
    // What the rest needs as well.
    fault(3, "systemctl disable relift-recover", "systemctl enable relift-recover", (P, "relift-recover.service", "is disabled", "systemctl enable")),
    fault(3, "sed -i s,file:///srv/git,https://git.invalid, /etc/relift/app.toml", "sed -i s,https://git.invalid,file:///srv/git, /etc/relift/app.toml", (P, "https://git.invalid/app.git", "the name git.invalid cannot be resolved", "getent hosts git.invalid")),
    fault(3, "loginctl disable-linger app; systemctl start user@$(id -u app)", "loginctl enable-linger app", (P, "user manager of app", "lingering is off", "loginctl enable-linger app")),
    fault(3, "mount -t tmpfs -o ro none /var/lib/relift", "umount /var/lib/relift", (P, "durable writes", "could not be tried", "")),
    fault(4, "mv /run/dbus/system_bus_socket /run/dbus/aside", "mv /run/dbus/aside /run/dbus/system_bus_socket", (P, "D-Bus", "does not answer", "systemctl start dbus")),
    fault(4, "mv /usr/bin/git /root/", "mv /root/git /usr/bin/", (P, "git", "is not installed", "apt-get install git")),
    fault(4, "chmod 777 /etc/relift", "chmod 755 /etc/relift", (P, "/etc/relift", "may be written by every account", "chmod go-w /etc/relift")),
    fault(4, "echo 'nonsense = [' > /etc/relift/other.toml", "rm /etc/relift/other.toml", (P, "the manifest of other", "", "")),
];

/// Every file that a host is made of, with its mode, owner and bytes, and what systemd has loaded of ours.
const TREE: &str = "places='/etc /opt/app /srv /home/app /var/lib/relift /var/cache/relift /var/tmp /tmp /run/relift'
    find $places -printf '%p %y %m %U:%G %l\n' 2>/dev/null | sort -T /dev/shm
    find $places -type f -print0 2>/dev/null | sort -z -T /dev/shm | xargs -0 sha256sum
    find / -xdev -name '*relift*doctor*' -not -path '/proc/*'; ls /run /var/lib /opt; ls -A /run/systemd/transient 2>/dev/null
    systemctl list-units --all --no-legend 'relift*' | grep -v relift-recover";

fn host() -> Host {
    let host = Host::with_sample();
    let unit = include_str!("../../units/relift-recover.service");
    host.write("/usr/lib/systemd/system/relift-recover.service", unit, 0o644, "root:root");
    host.must("systemctl daemon-reload; systemctl enable relift-recover");
    host.relift(&["check"]).exits(0);
    host.must("mkdir -m 700 /var/lib/relift/app/runs");
    host
}

fn findings(out: &Out) -> Vec<Value> {
    let document: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(document["format"], 1);
    document["findings"].as_array().unwrap().clone()
}

#[test]
fn a_sound_host_has_no_problems_and_is_as_it_was_afterwards() {
    let host = host();
    let before = host.sh(TREE).stdout;
    let out = host.relift(&["doctor", "--json"]).exits(0);
    let found = findings(&out);
    assert!(found.iter().all(|finding| finding["level"] != "problem"), "{out}");
    let text = host.relift(&["doctor", "app"]).exits(0);
    let after = host.sh(TREE).stdout;
    let changed = |one: &str, other: &str| -> Vec<String> {
        one.lines().filter(|line| !other.lines().any(|known| known == *line)).map(str::to_owned).collect()
    };
    let changes = (changed(&before, &after), changed(&after, &before));
    assert!(before == after, "something was left behind or changed: {changes:#?}");
    for subject in [
        "git",
        "ssh",
        "time",
        "transient units",
        "user manager of app",
        "file:///srv/git/app.git",
        "paths",
        "children as app",
    ] {
        let line = found.iter().find(|finding| finding["subject"] == subject);
        assert!(line.is_some_and(|line| line["level"] != "problem"), "{subject}: {line:?}");
        assert!(text.stdout.contains(&format!("{subject}: ")), "{subject}: {text}");
    }
    let words: Vec<&str> = text.stdout.split_whitespace().collect();
    assert!(words.join(" ").contains("one was started, ended at its bound, and left no process"), "{text}");
    // Through a pipe: no colours, and nothing wider than a terminal but commands to be copied.
    let is_command = |line: &str| line.trim_start().starts_with("next:");
    let wide = text.stdout.lines().find(|line| line.chars().count() > 80 && !is_command(line) && line.contains(' '));
    assert_eq!(wide, None);
    assert!(text.stdout.lines().all(|line| harmless(line) == line), "{text}");
    let quiet = host.relift(&["doctor", "--quiet", "--offline"]).exits(0);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
    assert!(host.relift(&["doctor", "--offline"]).exits(0).stdout.contains("not asked: --offline"));
    host.relift(&["doctor", "nobody"]).exits(2);
}

#[test]
fn each_way_in_which_a_host_is_broken_is_found_with_what_mends_it() {
    let host = host();
    for round in 1.. {
        let faults: Vec<&Fault> = FAULTS.iter().filter(|fault| fault.round == round).collect();
        if faults.is_empty() {
            assert!(round > 4);
            break;
        }
        faults.iter().for_each(|fault| drop(host.sh(fault.make).exits(0)));
        let out = host.relift(&["doctor", "--json"]).exits(1);
        let found = findings(&out);
        for Fault { found: (level, subject, says, mend), .. } in &faults {
            let is_it = |finding: &&Value| {
                let has = |key: &str, words: &str| finding[key].as_str().unwrap_or_default().contains(words);
                finding["level"] == *level && finding["subject"] == *subject && has("what", says) && has("mend", mend)
            };
            assert!(found.iter().any(|finding| is_it(&finding)), "round {round}: {subject} {says} is not found: {out}");
        }
        faults.iter().rev().for_each(|fault| drop(host.sh(fault.mend).exits(0)));
    }
    assert_eq!(host.sh("test -e /run/was-run").code, 1, "a git that another account could have written was run");
    host.wait_for("test -S /run/user/$(id -u app)/systemd/private");
    let out = host.relift(&["doctor", "--quiet"]);
    assert_eq!(out.code, 0, "what was mended is well again: {out}");
}
