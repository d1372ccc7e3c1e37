//! When a run may start by itself: what plan, check, status and an unattended upgrade say of it, and that it is so.

use relift::sample::Site;

use crate::harness::{Host, Out};

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// Puts keys under `[policy]`, in place of those of the call before.
fn policy(host: &Host, keys: &str) {
    host.must("[ -e /root/app.toml ] || cp /etc/relift/app.toml /root/; cp /root/app.toml /etc/relift/app.toml");
    let text = host.read("/root/app.toml").replace("[policy]\n", &format!("[policy]\n{keys}\n"));
    host.write("/etc/relift/app.toml", text, 0o644, "root:root");
}

/// An unattended upgrade that does not start: nothing is changed, and the reason is said.
fn waits(host: &Host, reason: &str) -> Out {
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(2);
    assert!(out.stderr.contains(reason), "{reason}: {out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    out
}

#[test]
fn a_closed_window_is_said_alike_by_every_verb_and_a_run_by_hand_is_not_kept() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    policy(&host, "window = [\"2099-01-01 02:00-04:00 UTC\", \"!2099-01-01 03:00-03:30 UTC\"]");
    let (time, why) = (
        "not before Thu 2099-01-01 02:00 UTC",
        "it is outside its window (2099-01-01 02:00-04:00 UTC, !2099-01-01 03:00-03:30 UTC)",
    );
    let line = format!("{time}: {why}");
    let check = host.relift(&["check", "app"]).exits(100);
    assert!(check.stdout.contains(&format!("  by itself: {line}\n")), "{check}");
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.ends_with(&format!("by itself: {line}\n")), "{plan}");
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains(&format!("  by itself (minor): {line}\n")), "{status}");
    let out = waits(&host, &format!("app is not upgraded by itself now: {why}"));
    assert!(out.stderr.contains(time) && out.stderr.contains("to run it now, by hand: relift upgrade app"), "{out}");
    // The same for programs.
    for verb in [&["check", "--json", "app"][..], &["plan", "--json", "app"], &["status", "--json", "app"]] {
        let document: serde_json::Value = serde_json::from_str(&host.relift(verb).stdout).unwrap();
        let verdict = document.get("by-itself").unwrap_or(&document["installs"][0]["by-itself"]);
        assert_eq!(
            (verdict["verdict"].as_str(), verdict["until"].as_i64()),
            (Some("defer"), Some(4_070_916_000)),
            "{verb:?}: {verdict}"
        );
        assert_eq!(verdict["why"][0]["rule"], "window", "{verb:?}");
    }
    let out = host.relift(&["--json", "upgrade", "app", "--unattended"]).exits(2);
    let end = out.stdout.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let end = end.into_iter().find(|event| event["event"] == "end").unwrap_or_else(|| panic!("{out}"));
    assert_eq!(
        (end["outcome"].as_str(), end["verdict"]["why"][0]["rule"].as_str()),
        (Some("deferred"), Some("window")),
        "{out}"
    );

    // A window that is over for ever needs a decision.
    policy(&host, "window = \"2020-01-01 02:00-04:00\"");
    let out = waits(&host, "no window ever opens (2020-01-01 02:00-04:00)");
    assert!(out.stderr.contains("relift config check"), "{out}");
    host.relift(&["config", "check"]).exits(2);
    // A host without the data of a zone: everything but an unattended run goes on.
    policy(&host, "window = \"02:00-04:00 Europe/Paris\"");
    host.must("mount -t tmpfs none /usr/share/zoneinfo; rm -f /etc/localtime");
    waits(&host, "names the time zone Europe/Paris, which this host does not know");
    policy(&host, "window = \"2099-01-01 02:00-04:00\"");
    waits(&host, "it is outside its window");
    // By hand a run starts at any time.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    let settled = host.relift(&["plan", "app"]).exits(0);
    assert!(!settled.stdout.contains("by itself"), "{settled}");
}

#[test]
fn a_hold_says_who_and_how_long_and_ends_by_itself() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.must("env SUDO_USER=anna relift hold app --for 3d --reason exams");
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(
        status.stdout.contains("held since ")
            && status.stdout.contains(" by anna as root, until ")
            && status.stdout.contains(": exams"),
        "{status}"
    );
    for verb in [["upgrade", "app", "--yes"], ["upgrade", "app", "--unattended"]] {
        let out = host.relift(&verb).exits(2);
        assert!(
            out.stderr.contains("held") && out.stderr.contains("exams") && out.stderr.contains("relift unhold app"),
            "{out}"
        );
    }
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("by itself: not before ") && plan.stdout.contains("it is held until "), "{plan}");
    for wrong in [["--until", "2020-01-01"], ["--until", "soon"], ["--for", "3"], ["--for", "-1d"]] {
        host.relift(&["hold", "app", wrong[0], wrong[1]]).exits(2);
    }
    host.relift(&["hold", "app", "--until", "2099-01-01"]).exits(0);
    waits(&host, "it is held until Thu 2099-01-01 00:00");
    // It was set by a clock that was ahead by years: it lasts as long as it was meant to, from now on.
    let hold = "/var/lib/relift/app/ledger/hold.json";
    host.must("relift hold app --for 2d");
    host.must(&format!(
        "sed -Ei 's/\"(since|until)\": ([0-9]+)/\"\\1\": 9\\2/; s/\"is_length\": true/\"is_length\": false/' {hold}"
    ));
    waits(&host, "it is held until");
    let left = host.must(&format!("grep -o '\"until\": [0-9]*' {hold} | tr -dc 0-9")).parse::<i64>().unwrap()
        - host.must("date +%s").parse::<i64>().unwrap();
    assert!((172_700..=172_800).contains(&left), "{left}");
    host.relift(&["hold", "app", "--for", "1s"]).exits(0);
    host.must("sleep 1.1");
    assert!(!host.relift(&["status", "app"]).exits(0).stdout.contains("held"));
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_run_waits_for_mains_for_others_locks_and_for_a_release_to_age_and_holds_a_lock_itself() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0").behaviour("manager", "slow-start 5s"));
    host.must("mount -t tmpfs none /sys/class && mkdir -p /sys/class/power_supply/AC; cd /sys/class/power_supply/AC; echo Mains >type; echo 0 >online");
    waits(&host, "the host runs on battery (on-battery = \"defer\")");
    host.must("umount /sys/class");
    let inhibit = |mode: &str| {
        host.must(&format!("systemd-run -q --unit=inhibit-{mode} systemd-inhibit --what=shutdown:idle --mode={mode} --who=backup --why='the nightly backup' sleep 600; for i in $(seq 100); do systemd-inhibit --list | grep -q backup && break; sleep 0.05; done"))
    };
    inhibit("delay");
    host.relift(&["upgrade", "app", "--unattended", "-n"]).exits(0);
    host.must("systemctl stop inhibit-delay");
    inhibit("block");
    waits(&host, "shutdown is inhibited by backup: the nightly backup");
    host.must("systemctl stop inhibit-block");

    policy(&host, "cooldown = \"1h\"");
    let out = waits(&host, "1.1.0 is ");
    assert!(out.stderr.contains(" s old (cooldown 1 h)") || out.stderr.contains(" min old (cooldown 1 h)"), "{out}");
    let seen = "/var/lib/relift/app/ledger/seen.json";
    let before = host.read(seen);
    host.relift(&["check", "app"]).exits(100);
    assert_eq!(host.read(seen), before, "it is not seen for the first time again");
    // Nearly a minute later: for the rest of it, the run waits itself.
    policy(&host, "cooldown = \"1min\"");
    let first = host.must(&format!("grep -oE '[0-9]{{10}}' {seen}"));
    host.must(&format!("sed -i \"s/{first}/$(( $(date +%s) - 55 ))/\" {seen}"));
    // While a run goes on, it holds a lock of its own, which keeps no run of ours.
    host.must("systemctl reset-failed; relift upgrade app --unattended >/tmp/out 2>&1 & echo $! >/tmp/pid");
    let listed = host.wait_for("systemd-inhibit --list --no-legend | grep relift");
    assert!(
        listed.contains("shutdown:sleep") && listed.contains("the upgrade of app goes on") && listed.contains("block"),
        "{listed}"
    );
    host.relift(&["upgrade", "app", "--unattended"]).exits(75);
    host.wait_for_answer("manager", "1.1.0", "the run");
    host.must("while kill -0 $(cat /tmp/pid) 2>/dev/null; do sleep 0.05; done");
    assert_eq!(host.sh("systemd-inhibit --list --no-legend | grep relift").code, 1, "it is given back");
    // Where there is no logind, nothing is inhibited.
    host.release(|release| release.next("1.2.0"));
    policy(&host, "");
    host.must("systemctl mask --now systemd-logind");
    let out = host.relift(&["upgrade", "app", "--unattended", "-n"]).exits(0);
    assert!(!out.stderr.contains("warning"), "{out}");
}

#[test]
fn a_defer_command_is_asked_last_and_whatever_it_does_the_run_waits() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    let ask = |body: &str, more: &str| {
        host.write("/usr/local/bin/is-busy", format!("#!/bin/sh\n{body}\n"), 0o755, "root:root");
        policy(&host, &format!("defer = {{ run = [\"/usr/local/bin/is-busy\", \"now\"], timeout = \"1s\"{more} }}"));
    };
    ask("echo \"$(id -un) $1 $RELIFT_INSTALL $PWD\"; echo '3 jobs run'; exit 75", "");
    let out = waits(&host, "app is not upgraded by itself now: the host is busy: 3 jobs run");
    assert!(!out.stderr.contains("warning"), "{out}");
    ask("echo \"$(id -un) $1 $RELIFT_INSTALL $PWD\"; exit 75", "");
    waits(&host, "the host is busy: app now app /");
    ask("echo \"$(id -un)\"; exit 75", ", as = \"root\"");
    waits(&host, "the host is busy: root");
    // Whatever is in a `.env` is not told.
    ask("cat /opt/app/manager/.env; grep -h TOKEN /opt/app/manager/.env; exit 75", ", as = \"root\"");
    host.assert_no_secret(&waits(&host, "the host is busy"));
    host.must("! grep -rqF \"$(sed -n 's/^[A-Z_]*TOKEN[A-Z_a-z]*=//p' /opt/app/manager/.env | head -n 1)\" /var/lib/relift/app/defer.log");
    // What fails is said twice: as a warning, and as the reason.
    let program = "the `defer` command /usr/local/bin/is-busy now: it";
    for (body, why) in [
        ("echo oh no >&2; exit 3", "exited with 3: oh no"),
        ("sleep 4711 & setsid sleep 4711 & sleep 4711", "did not end in time"),
        ("kill -9 $$", "was killed by SIGKILL"),
    ] {
        ask(body, "");
        let out = waits(&host, &format!("app is not upgraded by itself now: {program} {why}"));
        assert!(out.stderr.contains("warning: the `defer` command"), "{out}");
        assert_ne!(host.sh("pgrep -xf 'sleep 4711'").code, 0, "nothing of it is left");
    }
    ask("touch /tmp/ran; exit 0", "");
    host.must("chmod 777 /usr/local/bin/is-busy");
    waits(&host, "it is not run, /usr/local/bin/is-busy may be written by every account");
    host.must("chmod 755 /usr/local/bin/is-busy; chown app: /usr/local/bin/is-busy; sed -i 's/timeout = \"1s\"/timeout = \"1s\", as = \"root\"/' /etc/relift/app.toml");
    waits(&host, "it is not run, /usr/local/bin/is-busy belongs to uid");
    host.must("rm /usr/local/bin/is-busy");
    waits(&host, "/usr/local/bin/is-busy cannot be read");
    host.must("[ ! -e /tmp/ran ]");
    // By hand nobody is asked; and nobody is where something else is in the way.
    ask("touch /tmp/ran; exit 0", "");
    host.relift(&["hold", "app"]).exits(0);
    waits(&host, "held");
    host.must("[ ! -e /tmp/ran ]");
    host.relift(&["unhold", "app"]).exits(0);
    // The owner's own program is run as the owner.
    host.must("chown app: /usr/local/bin/is-busy");
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    host.must("[ -e /tmp/ran ]");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_full_disk_is_tried_again_later_a_few_times_until_somebody_looks_after_it() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.must("mkdir -p /var/lib/relift && mount -t tmpfs -o size=40m,mode=755 none /var/lib/relift");
    let upgrade = |hours: u32| {
        host.sh(&format!(
            "LD_PRELOAD='/usr/$LIB/faketime/libfaketime.so.1' FAKETIME=+{hours}h FAKETIME_DONT_FAKE_MONOTONIC=1 exec relift upgrade app --unattended"
        ))
    };
    // The first failure is tried again at once, the second after an hour; the third was the last.
    for hours in [0, 0] {
        assert!(upgrade(hours).exits(1).stderr.contains("MiB are free"));
    }
    let out = upgrade(0).exits(2);
    assert!(out.stderr.contains("attempt 2 of 3 failed") && out.stderr.contains("not before"), "{out}");
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains("tried 2 of 3 attempts at ") && status.stdout.contains("MiB are free"), "{status}");
    upgrade(2).exits(1);
    for hours in [2, 99] {
        let out = upgrade(hours).exits(2);
        assert!(out.stderr.contains("was tried 3 times in vain (attempts = 3)"), "{out}");
    }
    let check = host.relift(&["check", "app"]).exits(100);
    assert!(check.stdout.contains("  by itself: no: 1.1.0 was tried 3 times in vain"), "{check}");
    // By hand it starts anew, fails as well, and is tried again by itself.
    host.relift(&["upgrade", "app", "--yes"]).exits(1);
    upgrade(0).exits(1);
    host.must("mount -o remount,size=300m /var/lib/relift");
    upgrade(0).exits(0);
    assert!(!host.relift(&["status", "app"]).exits(0).stdout.contains("tried"));
}
