//! Faults of the environment: what is said of each, with what exit status, and that nothing is lost.

use relift::sample::Site;

use crate::harness::{Host, Out};
use crate::snapshot::Snapshot;

/// A host that has 1.0.0 and is offered 1.1.0; what it was.
fn host() -> (Host, Snapshot) {
    let mut site = Site::new("app");
    (site.soak, site.sparse) = (0, true);
    let mut host = Host::with_site(site);
    host.release(|release| {
        release.next("1.1.0").unit_line("manager", "Service", "Nice=5").env_key(
            "manager",
            "GREETING",
            "hello",
            "What it says.",
        )
    });
    host.relift(&["check", "--quiet"]).exits(100);
    let before = host.snapshot();
    (host, before)
}

/// An upgrade in spite of a fault: it is done, and undone for the next one.
#[track_caller]
fn goes_through(host: &Host, before: &Snapshot, script: &str) -> Out {
    host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed || true");
    let out = host.sh(script).exits(0);
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.1.0", script);
    }
    host.relift(&["rollback", "app", "--yes", "--quiet"]).exits(0);
    before.assert_same(&host.snapshot());
    out
}

/// A fault that stops it before any change, and the words that tell it.
#[track_caller]
fn stops(host: &Host, before: &Snapshot, script: &str, words: &[&str]) -> Out {
    let out = host.sh(script).exits(1);
    for word in words.iter().chain(&["state: nothing was changed"]) {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
    before.assert_same(&host.snapshot());
    out
}

#[test]
fn whatever_is_closed_full_or_unset_around_a_run_it_goes_to_its_end_and_writes_into_nothing_of_others() {
    let (host, before) = host();
    // Each descriptor alone, and all of them: what is opened instead is not taken for a terminal, nor a file for standard error.
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        host.sh(&format!("exec relift check app {closed}")).exits(100);
    }
    goes_through(&host, &before, "exec relift upgrade app --yes -v <&- >&- 2>&-");
    let strays = host.must("grep -rlaE 'done: (fetch|switch)|proven healthy' /var/lib/relift/app/mirror.git /etc/relift /opt/app /var/cache/relift /run/relift || true");
    assert_eq!(strays, "");
    host.must("git --git-dir=/var/lib/relift/app/mirror.git fsck --no-progress");
    // What a verb that tells could not tell is its failure; what a run did is not undone by it.
    for verb in ["status app --json", "check app", "plan app", "history app"] {
        let out = host.sh(&format!("exec relift {verb} >/dev/full")).exits(1);
        assert!(
            out.stderr.contains("standard output could not be written") && out.stderr.contains("No space left"),
            "{out}"
        );
    }
    host.sh("relift status app | true; relift plan app 2>/dev/null | head -n 1 >/dev/null").exits(0);
    let odd = "mkdir /tmp/gone; cd /tmp/gone; rmdir /tmp/gone; umask 0777
               mount -o bind /usr /usr && mount -o remount,bind,ro /usr && mount -o remount,noexec /tmp
               mount -t tmpfs -o noexec none /var/tmp; ! touch /usr/x 2>/dev/null
               trap 'umount /usr /var/tmp' EXIT
               env -i LC_ALL=xx_YY.KOI8 TZ=Nowhere/Atlantis TERM=no-such-terminal /usr/bin/relift upgrade app --yes >/dev/full";
    let out = goes_through(&host, &before, odd);
    assert!(out.stderr.contains("warning: standard output could not be written"), "{out}");
    // At a terminal that nobody knows.
    let odd = "cd /root; TERM=no-such-terminal script -qec 'relift upgrade app --yes' /dev/null < /dev/null";
    let out = goes_through(&host, &before, odd);
    assert!(out.stdout.contains("proven healthy"), "{out}");
}

#[test]
fn limits_that_leave_too_little_are_told_before_anything_is_begun_and_the_least_is_enough() {
    let (host, before) = host();
    for (limit, words) in [
        ("ulimit -v 200000", "address space: at most 195 MiB, and at least 256 MiB are needed"),
        ("ulimit -s 64", "stack: at most 64 KiB, and at least 1 MiB are needed"),
        ("ulimit -f 64", "size of a file: at most 32 KiB, and at least 64 MiB are needed"),
        ("ulimit -n 63", "open files: at most 63, and at least 64 are needed"),
    ] {
        stops(&host, &before, &format!("{limit}; exec relift upgrade app --yes"), &[words, "next:  ulimit -"]);
    }
    let least = "ulimit -v 262144; ulimit -s 1024; ulimit -f 131072; ulimit -n 64; exec relift upgrade app --yes";
    goes_through(&host, &before, least);
}

#[test]
fn without_a_journal_a_run_goes_on_and_without_a_bus_it_stops_before_any_change() {
    let (mut host, before) = host();
    let sockets = "systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket";
    host.must(&format!("systemctl mask --runtime --quiet systemd-journald.service {sockets}; systemctl stop systemd-journald.service {sockets}; rm -f /run/systemd/journal/socket /run/systemd/journal/stdout"));
    goes_through(&host, &before, "exec relift upgrade app --yes");
    // A release that fails is put back all the same.
    host.release(|release| release.next("1.2.0").behaviour("manager", "die-after 20ms"));
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    before.assert_same(&host.snapshot());
    let bus = "dbus.service dbus.socket";
    host.must(&format!(
        "systemctl mask --runtime --quiet {bus}; systemctl stop {bus}; rm -f /run/dbus/system_bus_socket"
    ));
    let words = ["the system bus cannot be reached", "next:  systemctl status dbus.socket dbus.service"];
    stops(&host, &before, "exec relift upgrade app --yes", &words);
    // It comes back, and nothing is to be mended.
    host.must(&format!("systemctl unmask --runtime --quiet {bus}; systemctl start dbus.socket dbus.service"));
    host.release(|release| release.next("1.2.1").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes", "--quiet"]).exits(0);
    host.wait_for_answer("manager", "1.2.1", "with the bus");
}

#[test]
fn a_place_that_is_read_only_or_full_stops_a_run_before_any_change() {
    let (host, before) = host();
    let during = |fault: &str, mend: &str| format!("{fault}; trap '{mend}' EXIT; relift upgrade app --yes");
    let read_only = |place: &str| {
        during(
            &format!("mount --bind {place} {place}; mount -o remount,bind,ro {place}"),
            &format!("umount -l {place}"),
        )
    };
    stops(&host, &before, &read_only("/etc"), &["/etc/systemd/system is read-only here", "ReadWritePaths="]);
    stops(&host, &before, &read_only("/opt/app"), &["/opt/app", "read-only"]);
    stops(&host, &before, &read_only("/var/lib/relift"), &["/var/lib/relift", "ead-only file system"]);
    // Full: the locks are in /run, and so are the transient units of steps.
    let full = |place: &str, size: &str| {
        during(
            &format!("mount -o remount,size={size} {place}; head -c 1G /dev/zero > {place}/filler 2>/dev/null"),
            &format!("rm {place}/filler; mount -o remount,size=200m {place}"),
        )
    };
    stops(&host, &before, &full("/run", "8m"), &["only 0 MiB are free on the filesystem of /run", "df -h /run"]);
    // Units are checked there before they are installed.
    stops(&host, &before, &full("/tmp", "1m"), &["cannot be written to be checked: No space left", "df -h /tmp"]);
    let small = |place: &str| {
        during(
            &format!(
                "mkdir -p /srv/small; mount -t tmpfs -o size=20m,mode=755 none /srv/small; cp -a {place}/. /srv/small/; mount --bind /srv/small {place}; head -c 1G /dev/zero > {place}/filler 2>/dev/null"
            ),
            &format!("umount -l {place}; umount -l /srv/small"),
        )
    };
    stops(
        &host,
        &before,
        &small("/etc/systemd/system"),
        &["only 0 MiB are free on the filesystem of /etc/systemd/system", "df -h"],
    );
    stops(&host, &before, &small("/opt/app"), &["are free on the filesystem of /opt/app", "df -h"]);
}

#[test]
fn a_run_that_was_frozen_for_longer_than_its_gate_asks_again_before_it_gives_up() {
    let (host, _) = host();
    host.must("sed -i 's/^within .*/within = \"4s\"/; s/^soak .*/soak = \"2s\"/' /etc/relift/app.toml");
    host.must(
        "relift upgrade app --yes >/tmp/out 2>&1 & pid=$!
         until grep -q '^gate:' /tmp/out; do kill -0 $pid || { cat /tmp/out; exit 1; }; sleep 0.01; done
         kill -STOP $pid; sleep 6; kill -CONT $pid; wait $pid || { cat /tmp/out; exit 1; }",
    );
    host.wait_for_answer("manager", "1.1.0", "after it was frozen");
}
