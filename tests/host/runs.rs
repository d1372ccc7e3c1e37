//! One run at a time, ended in order by a signal, and never over somebody else's edits.

use relift::sample::Site;

use crate::harness::{Host, Out};

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// Starts an upgrade in the background that waits in its gate: the manager listens only after three seconds.
fn slow(host: &mut Host, version: &str) {
    host.release(|release| release.next(version).behaviour("manager", "slow-start 3s"));
}

fn restart_limits(host: &Host) {
    host.must("systemctl reset-failed");
}

/// Runs an upgrade, and a script as soon as `record` is in its journal (the process is `$pid`); how the upgrade ended.
fn meanwhile(host: &Host, record: &str, script: &str) -> Out {
    restart_limits(host);
    let code = format!(
        "relift upgrade app --yes >/tmp/out 2>/tmp/err & pid=$!; old=$(ls /var/lib/relift/app/runs 2>/dev/null | tail -n 1)
         for i in $(seq 1000); do
           new=$(ls /var/lib/relift/app/runs 2>/dev/null | tail -n 1)
           [ \"$new\" != \"$old\" ] && ls /var/lib/relift/app/runs/$new/*{record} >/dev/null 2>&1 && break
           sleep 0.01
         done
         {script}
         wait $pid; code=$?; cat /tmp/out; cat /tmp/err >&2; exit $code"
    );
    host.sh(&code)
}

#[test]
fn who_waits_for_the_lock_runs_when_it_is_free() {
    let mut host = quick();
    slow(&mut host, "1.2.0");
    let waited =
        meanwhile(&host, "begin.json", "relift --lock-timeout 60s upgrade app --yes >/tmp/second 2>&1 || exit 99")
            .exits(0);
    assert!(host.read("/tmp/second").contains("app: nothing to do, 1.2.0 is activated"), "{waited}");
}

#[test]
fn a_hold_stops_upgrades_until_it_is_lifted() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.relift(&["hold", "app", "--reason", "exams"]).exits(0);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(out.stderr.contains("app is held: exams") && out.stderr.contains("relift unhold app"), "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    assert!(host.relift(&["status", "app"]).stdout.contains("exams"));
    host.relift(&["unhold", "app"]).exits(0);
    host.relift(&["unhold", "app"]).exits(0);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

#[test]
fn a_signal_ends_a_run_in_order_whenever_it_comes_and_a_lost_terminal_does_not() {
    let mut host = quick();
    slow(&mut host, "1.1.0");
    let before = host.snapshot();
    // In the gate, twice: the second one does not break the undo.
    for (signal, record) in [("INT", "-service-begun"), ("TERM", "prepared.json")] {
        let record = if record == "prepared.json" { record } else { "intent.json" };
        let begun = std::time::Instant::now();
        let out = meanwhile(
            &host,
            record,
            &format!("sleep 1; kill -{signal} $pid; sleep 0.1; kill -{signal} $pid 2>/dev/null"),
        )
        .exits(3);
        assert!(out.stderr.contains("it was interrupted") && out.stderr.contains("everything was put back"), "{out}");
        assert!(begun.elapsed().as_secs() < 15, "{out}");
        before.assert_same(&host.snapshot());
        assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    }
    // What was interrupted did not fail.
    assert!(!host.relift(&["status", "app"]).stdout.contains("failed here"));
    // While a check runs in *prepare*, nothing has been changed, and nothing of the check is left.
    host.must(
        "sed -i 's|^run = .\"sh\", \"scripts/check_config.sh\".|run = [\"sleep\", \"47\"]|' /etc/relift/app.toml",
    );
    let out =
        meanwhile(&host, "begin.json", "while ! pgrep -xf 'sleep 47' >/dev/null; do sleep 0.05; done; kill -INT $pid")
            .exits(1);
    assert!(out.stderr.contains("stopped before any change") && out.stderr.contains("nothing was changed"), "{out}");
    assert_ne!(host.sh("pgrep -xf 'sleep 47'").code, 0, "the check must be gone");
    before.assert_same(&host.snapshot());
    host.must("sed -i 's|^run = .\"sleep\", \"47\".|run = [\"true\"]|' /etc/relift/app.toml");
    meanwhile(&host, "prepared.json", "kill -HUP $pid").exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_run_that_is_over_its_time_is_put_back_and_blames_no_release() {
    let mut host = quick();
    slow(&mut host, "1.1.0");
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes", "--timeout", "2s"]).exits(3);
    assert!(
        out.stderr.contains("it was not done within 2 s")
            && out.stderr.contains("everything was put back")
            && out.stderr.contains("give it more time: --timeout"),
        "{out}"
    );
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    assert!(!host.relift(&["status", "app"]).stdout.contains("failed here"));
    // A time that is over before the first change.
    restart_limits(&host);
    let out = host.relift(&["upgrade", "app", "--yes", "--timeout", "0s"]).exits(1);
    assert!(out.stderr.contains("nothing was changed"), "{out}");
    before.assert_same(&host.snapshot());
    let out = host.relift(&["upgrade", "app", "--yes", "--timeout", "soon"]).exits(2);
    assert!(out.stderr.contains("`soon` is no time such as 30s or 5min"), "{out}");
    restart_limits(&host);
    host.relift(&["upgrade", "app", "--yes", "--timeout", "5min"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn what_somebody_else_writes_during_a_failing_run_is_kept_and_told() {
    let mut host = quick();
    host.must("echo mine > /opt/app/notes; chown app: /opt/app/notes");
    host.release(|release| {
        release
            .next("1.1.0")
            .behaviour("manager", "die-after 2s")
            .env_key("manager", "NEW_KEY", "x", "New.")
            .unit_line("manager", "Service", "Nice=5")
    });
    let before = host.snapshot();
    // (what is edited while the gate waits, the exit status, what the report says)
    let elsewhere = "echo edited >> /opt/app/README.md; echo more >> /opt/app/notes";
    let out = meanwhile(&host, "prepared.json", &format!("sleep 1; {elsewhere}")).exits(3);
    assert!(out.stderr.contains("README.md was changed by somebody else during the run: it stays so"), "{out}");
    assert_eq!(host.must("tail -qn 1 /opt/app/README.md /opt/app/notes"), "edited\nmore");
    host.must("su app -s /bin/sh -c 'git -C /opt/app checkout -q README.md'; echo mine > /opt/app/notes");
    before.assert_same(&host.snapshot());

    for (file, is_unit) in [
        ("/opt/app/manager/.env", false),
        ("/opt/app/manager/CHANGELOG.md", false),
        ("/etc/systemd/system/sample-manager.service", true),
    ] {
        let out = meanwhile(&host, "prepared.json", &format!("sleep 1; echo '# theirs' >> {file}")).exits(4);
        let name = if is_unit { "sample-manager.service" } else { file.trim_start_matches("/opt/app/") };
        assert!(
            out.stderr.contains(&format!("{name} was changed by somebody else during the run: that version is in ")),
            "{out}"
        );
        assert!(out.stderr.contains("state: not everything could be put back"), "{out}");
        let kept =
            out.stderr.split("that version is in ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        assert!(host.read(&kept).ends_with("# theirs\n"), "{out}");
        assert_eq!(host.must(&format!("stat -c %a {kept}")), "600");
        before.assert_same(&host.snapshot());
        assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    }
}

#[test]
fn a_journal_that_cannot_be_trusted_stops_everything_and_is_named() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.sh("RELIFT_KILL_AT=after-00006 exec relift upgrade app --yes").exits(137);
    let before = host.snapshot();
    let record = host.must("ls /var/lib/relift/app/runs/*/00003-*");
    host.must(&format!("cp {record} /root/; sed -i 's/\"sequence\": 3/\"sequence\": 4/' {record}"));
    for verb in [&["recover", "app"][..], &["upgrade", "app", "--yes"], &["upgrade", "app", "--unattended"]] {
        let out = host.relift(verb).exits(4);
        assert!(out.stderr.contains(&format!("the journal record {record} cannot be trusted")), "{out}");
        assert!(out.stderr.contains("because its checksum does not fit"), "{out}");
        before.assert_same(&host.snapshot());
    }
    host.must(&format!("cp /root/00003-* {record}"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(4);
    assert!(
        out.stderr.contains("was interrupted and is still open") && out.stderr.contains("relift recover app"),
        "{out}"
    );
    // Unattended, it is recovered first.
    restart_limits(&host);
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_release_that_failed_is_skipped_until_the_configuration_or_the_release_changes() {
    let mut host = quick();
    let fails = |host: &Host| {
        restart_limits(host);
        host.relift(&["upgrade", "app", "--unattended"]).exits(3)
    };
    host.release(|release| release.next("1.1.0").behaviour("manager", "die-after 100ms"));
    fails(&host);
    assert!(host.relift(&["upgrade", "app", "--unattended"]).exits(0).stderr.contains("is skipped: it failed here"));
    assert!(host.relift(&["status", "app"]).stdout.contains("failed here"));
    host.must("echo '# looked at' >> /opt/app/manager/.env");
    fails(&host);
    assert!(host.relift(&["upgrade", "app", "--unattended"]).exits(0).stderr.contains("is skipped"));
    host.must("echo '# looked at' >> /etc/relift/app.toml");
    fails(&host);
    host.release(|release| release.next("1.1.1").behaviour("manager", "ok"));
    restart_limits(&host);
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.1"));
}

#[test]
fn what_was_pulled_by_hand_is_restarted_by_the_next_upgrade_and_is_no_known_good() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let pulled = host.release(|release| release.next("1.2.0"));
    host.sh_as("app", "git -C /opt/app -c safe.directory='*' fetch -q /srv/git/app.git main 2>&1 || true");
    host.must("git config --global --add safe.directory '*'; cd /opt/app && runuser -u app -- env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' sh -c 'true'; git -C /opt/app pull -q; chown -R app: /opt/app/.git /opt/app/manager /opt/app/runner");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"), "the old code runs on");
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("the component changed"), "{plan}");
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
    // Pulled again, and again something newer is there: what never ran here is nothing to go back to.
    let never_ran = host.release(|release| release.next("1.3.0"));
    host.must("git -C /opt/app pull -q; chown -R app: /opt/app/.git /opt/app/manager /opt/app/runner");
    host.release(|release| release.next("1.4.0"));
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let points =
        |commit: &str| host.must(&format!("git -C /opt/app tag --list 'known-good/*' --points-at {commit} | wc -l"));
    assert_eq!((points(&never_ran).as_str(), points(&pulled).as_str()), ("0", "1"));
    host.must("systemctl reset-failed");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}

#[test]
fn a_full_disk_stops_a_run_before_any_change_and_keeps_no_run_from_coming_back() {
    let host = {
        let mut host = quick();
        slow(&mut host, "1.1.0");
        host
    };
    let before = host.snapshot();
    host.must("mkdir -p /var/lib/relift && mount -t tmpfs -o size=40m,mode=755 none /var/lib/relift");
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(1);
    assert!(
        out.stderr.contains("MiB are free on the filesystem of /var/lib/relift") && out.stderr.contains("df -h"),
        "{out}"
    );
    before.assert_same(&host.snapshot());
    // It says nothing about the release. Full in the middle of the run, the undo has the room that was kept for it.
    host.must("mount -o remount,size=300m /var/lib/relift");
    let fill = "dd if=/dev/zero of=/var/lib/relift/fill bs=64k 2>/dev/null";
    let before = host.snapshot();
    for fill in [fill.to_owned(), format!("{fill}; kill -INT $pid")] {
        let out = meanwhile(&host, "prepared.json", &fill);
        assert_eq!(out.code, 3, "{out}");
        host.must("[ $(df --output=avail /var/lib/relift | tail -n 1) -lt 2048 ]");
        before.assert_same(&host.snapshot());
        assert!(host.relift(&["history", "app"]).exits(0).stdout.contains("rolled back"));
        host.must("rm /var/lib/relift/fill");
        assert!(!host.relift(&["status", "app"]).stdout.contains("failed here"), "{out}");
    }
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"), "{out}");
}

#[test]
fn a_manifest_that_is_wrong_keeps_no_other_install_from_being_checked_or_recovered() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    host.write("/etc/relift/broken.toml", "schema = 1\n[install]\nroot = 3\n", 0o644, "root:root");
    let check = host.relift(&["check"]);
    assert!(check.stdout.contains("app: new, 1 commit ahead"), "{check}");
    assert!(check.stderr.contains("broken could not be checked"), "{check}");
    assert_eq!(check.code, 2, "{check}");
    let before = host.snapshot();
    host.sh("RELIFT_KILL_AT=after-00010-done relift upgrade app --yes").exits(137);
    // What was run is enough to undo it: its manifest may be gone by then.
    host.must("mv /etc/relift/app.toml /root/");
    let out = host.relift(&["recover"]).exits(0);
    assert!(
        out.stdout.contains("app: run ") && out.stdout.contains(" was undone: everything is as before it"),
        "{out}"
    );
    host.must("mv /root/app.toml /etc/relift/");
    before.assert_same(&host.snapshot());
    let unknown = host.relift(&["recover", "nowhere"]).exits(2);
    assert!(unknown.stderr.contains("nowhere"), "{unknown}");
}

#[test]
fn a_run_whose_engine_died_is_recovered_by_a_timer_that_an_ended_run_leaves_disarmed() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    let timers = "systemctl list-units --all --no-legend 'relift-deadman-*'";
    let before = host.snapshot();
    host.sh("RELIFT_KILL_AT=after-00008-done relift upgrade app --yes").exits(137);
    assert!(host.must(timers).contains("relift-deadman-app.timer"), "nobody watches");
    assert!(host.must("systemctl show -P ActiveState relift-deadman-app.timer").contains("active"));
    // What the timer does when it fires, now: a minute is long for a test.
    host.must("systemctl start relift-deadman-app.service");
    before.assert_same(&host.snapshot());
    assert_eq!(host.must(timers), "", "it watches a run that has ended");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.must(timers), "", "it watches a run that has ended");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}
