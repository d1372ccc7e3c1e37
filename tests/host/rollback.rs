//! Going back: to the release before, or to a named one, without the network, and with everything that belonged to it.

use relift::sample::Site;

use crate::harness::Host;

/// A host that was upgraded from 1.0.0 to each of `versions`, each release with a key and a unit setting of its own.
fn upgraded(versions: &[&str]) -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    for version in versions {
        upgrade(&mut host, version);
    }
    host
}

fn upgrade(host: &mut Host, version: &str) {
    let number = version.replace('.', "_");
    let nice = version.chars().filter(char::is_ascii_digit).nth(1).unwrap();
    host.release(|release| {
        release.next(version).env_key("manager", &format!("KEY_{number}"), "x", "New.").unit_line(
            "manager",
            "Service",
            &format!("Nice={nice}"),
        )
    });
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

fn tags(host: &Host) -> Vec<String> {
    // In the order in which the ledger has them.
    let status = host.relift(&["status", "app", "--json"]).exits(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let entries = status["installs"][0]["known-good"].as_array().unwrap();
    entries.iter().map(|entry| entry["tag"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn goes_back(host: &Host, arguments: &[&str], version: &str) {
    host.must("systemctl reset-failed");
    let out = host.relift(&[&["rollback", "app", "--yes"], arguments].concat()).exits(0);
    for component in ["manager", "runner"] {
        assert_eq!(host.answers(component).as_deref(), Some(version), "{out}");
    }
}

#[test]
fn rollbacks_in_a_row_go_further_back_without_the_network_and_bring_everything_of_the_release() {
    let mut host = upgraded(&[]);
    let oldest = host.must("cat /opt/app/manager/.env");
    upgrade(&mut host, "1.1.0");
    let middle = host.snapshot();
    upgrade(&mut host, "1.2.0");
    host.must("mv /srv/git /srv/away; mv /opt/app/manager/scripts/build.sh /tmp/; cp /bin/false /opt/app/manager/scripts/build.sh");
    let dirty = host.relift(&["rollback", "app", "--yes"]).exits(1);
    assert!(dirty.stderr.contains("manager/scripts/build.sh"), "{dirty}");
    host.must("mv /tmp/build.sh /opt/app/manager/scripts/build.sh");

    goes_back(&host, &[], "1.1.0");
    middle.assert_same(&host.snapshot());
    let history = host.relift(&["history", "app"]).exits(0).stdout;
    let newest = history.lines().find(|line| line.contains("rollback")).unwrap();
    assert!(newest.contains("rollback to") && newest.contains("done"), "{history}");
    let run = newest.split_whitespace().next().unwrap();
    let logs = host.relift(&["logs", run, "--only", "steps"]).exits(0);
    assert!(!logs.stdout.contains("build"), "what a step made comes out of the archive: {logs}");
    assert!(host.relift(&["show", run]).exits(0).stdout.contains("end: done"));

    goes_back(&host, &[], "1.0.0");
    assert_eq!(host.must("cat /opt/app/manager/.env"), oldest);
    assert_eq!(host.must("cat /opt/app/manager/build/version"), "1.0.0");
    assert!(!host.read("/etc/systemd/system/sample-manager.service").contains("Nice="));
    let out = host.relift(&["rollback", "app", "--yes"]).exits(2);
    assert!(out.stderr.contains("app has no known-good release to go back to"), "{out}");

    // A timer does not install again what an operator went back from; an operator may.
    host.must("mv /srv/away /srv/git; systemctl reset-failed");
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(out.stderr.contains("is skipped") && out.stderr.contains("it was rolled back"), "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
    goes_back(&host, &[], "1.0.0");
}

#[test]
fn a_known_good_release_is_named_by_tag_time_version_or_commit_and_git_can_use_it_without_us() {
    let host = upgraded(&["1.1.0", "1.2.0"]);
    let tags = tags(&host);
    assert_eq!(tags.len(), 3);
    let commit = host.sh_as("app", &format!("git -C /opt/app rev-parse {}", tags[1])).exits(0).stdout.trim().to_owned();
    let time = tags[0].trim_start_matches("known-good/");
    goes_back(&host, &["--to", time], "1.0.0");
    goes_back(&host, &["--to", &commit[..12]], "1.1.0");
    goes_back(&host, &["--to", "1.2.0"], "1.2.0");
    goes_back(&host, &["--to", &tags[1]], "1.1.0");
    let out = host.relift(&["rollback", "app", "--yes", "--to", "9.9.9"]).exits(2);
    assert!(out.stderr.contains("app has no known-good release 9.9.9") && out.stderr.contains(&tags[0]), "{out}");
    let listed = host.sh_as("app", "git -C /opt/app tag --list 'known-good/*'").exits(0).stdout;
    assert_eq!(listed.lines().count(), 3);
    host.sh_as("app", &format!("git -C /opt/app checkout --quiet {} && cat /opt/app/manager/VERSION", tags[0]))
        .exits(0);
    assert_eq!(host.must("cat /opt/app/manager/VERSION"), "1.0.0");
}

#[test]
fn what_is_above_keep_known_good_loses_its_tag_its_pin_and_its_archives() {
    let mut host = upgraded(&["1.1.0"]);
    host.must("sed -i '/^soak/a keep-known-good = 2' /etc/relift/app.toml");
    let first = tags(&host)[0].clone();
    let gone = host.sh_as("app", &format!("git -C /opt/app rev-parse {first}")).exits(0).stdout.trim().to_owned();
    upgrade(&mut host, "1.2.0");
    assert_eq!(tags(&host).len(), 2);
    assert_eq!(host.sh_as("app", "git -C /opt/app tag --list 'known-good/*'").stdout.lines().count(), 2);
    assert_eq!(host.must(&format!("find /var/lib/relift/app/ledger/artifacts/{gone} -type f | wc -l")), "0");
    let pins = host.must("git -C /var/lib/relift/app/mirror.git for-each-ref --format='%(objectname) %(refname)'");
    assert!(!pins.lines().any(|line| line.starts_with(&gone) && !line.contains("heads")), "{pins}");
    goes_back(&host, &[], "1.1.0");
}

#[test]
fn an_env_that_was_edited_since_is_kept_and_a_rollback_that_does_not_start_is_itself_undone() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::boot();
    host.settle(site, |release| {
        release.env_key("manager", "LEGACY", "yes", "Gone soon.").behaviour("manager", "strict-env LEGACY")
    });
    let add = |line: &str| format!("echo '{line}' >> /opt/app/manager/.env; systemctl restart sample-manager");
    host.release(|release| release.next("1.1.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must(&add("MINE=1"));
    let edited = host.read("/opt/app/manager/.env");
    let out = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(out.stderr.contains("manager/.env was edited since the last run: it is kept as it is"), "{out}");
    assert_eq!(host.read("/opt/app/manager/.env"), edited);

    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    // The old release's check would say it; without it only the gate can.
    host.must("sed -i '/^\\[\\[component.check/,/^at /d' /etc/relift/app.toml; sed -i '/^LEGACY=/d' /opt/app/manager/.env; systemctl reset-failed");
    host.must("systemctl restart sample-manager");
    host.wait_for_answer("manager", "1.1.0", "edited");
    let before = host.snapshot();
    let out = host.relift(&["rollback", "app", "--yes"]).exits(3);
    assert!(
        out.stderr.contains("the rollback of app to") && out.stderr.contains("state: everything was put back"),
        "{out}"
    );
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_step_with_an_undo_command_is_undone_by_it_and_one_without_any_refuses_the_rollback() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    let undo = r#"{ run = ["sh", "-c", "cat VERSION >> /home/app/undone"] }"#;
    host.must(&format!("sed -i 's|^undo = .*|undo = {undo}|' /etc/relift/app.toml"));
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    goes_back(&host, &[], "1.0.0");
    assert_eq!(host.must("cat /home/app/undone"), "1.1.0\n1.1.0", "the undo command runs in the tree that is left");

    host.must(r#"sed -i 's|^undo = .*|undo = "irreversible"|' /etc/relift/app.toml; printf '\n[backup]\npaths = ["manager/.env"]\n' >> /etc/relift/app.toml; systemctl reset-failed"#);
    let refused = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(refused.stderr.contains("nothing undoes this step"), "{refused}");
    host.relift(&["upgrade", "app", "--yes", "--allow-irreversible"]).exits(0);
    let before = host.snapshot();
    let refused = host.relift(&["rollback", "app", "--yes"]).exits(2);
    assert!(
        refused.stderr.contains("nothing undoes") && refused.stderr.contains("state: nothing was changed"),
        "{refused}"
    );
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_unit_that_came_with_the_release_goes_with_it_and_comes_back_with_it() {
    let mut host = Host::with_sample();
    let first = host.snapshot();
    let timer = "[Timer]\nOnCalendar=yearly\n[Install]\nWantedBy=timers.target\n";
    let tick = "[Service]\nType=oneshot\nExecStart=/bin/true\n";
    host.release(|release| {
        release.next("1.1.0").file("manager/production/tick.timer", timer).file("manager/production/tick.service", tick)
    });
    let declared = "[[component.unit]]\nfile = \"production/tick.timer\"\nscope = \"system\"\n\n[[component.unit]]\nfile = \"production/tick.service\"\nscope = \"system\"\n\n[[component.health]]";
    let manifest = host.read("/etc/relift/app.toml").replacen("[[component.health]]", declared, 1);
    host.write("/etc/relift/app.toml", manifest, 0o644, "root:root");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let active = "systemctl is-active tick.timer; systemctl is-enabled tick.timer; ls /etc/systemd/system/tick.*";
    assert_eq!(host.sh(active).stdout.lines().take(2).collect::<Vec<_>>(), ["active", "enabled"]);
    let second = host.snapshot();

    let out = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(out.stdout.contains("tick.timer (system): removed, stop"), "{out}");
    assert!(out.stdout.contains("remove tick.timer, tick.service"), "{out}");
    let gone = host.sh(active);
    assert!(gone.stdout.starts_with("inactive\n") && gone.stderr.contains("No such file"), "{gone}");
    assert_eq!(host.must("systemctl list-units --failed --no-legend"), "");
    let cone = |line: &&str| !line.contains("cone");
    assert_eq!(
        first.difference(&host.snapshot()).lines().filter(cone).count(),
        0,
        "{}",
        first.difference(&host.snapshot())
    );

    // Undone, when the run dies right after: what was removed is there again, enabled and running.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    second.assert_same(&host.snapshot());
    host.sh("RELIFT_KILL_AT=after-00014-done relift rollback app --yes").exits(137);
    assert!(host.sh("ls /etc/systemd/system/tick.timer").code != 0, "the kill came too early");
    host.relift(&["recover", "app"]).exits(0);
    second.assert_same(&host.snapshot());
    assert_eq!(host.sh(active).stdout.lines().take(2).collect::<Vec<_>>(), ["active", "enabled"]);
}

#[test]
fn what_a_rollback_puts_in_another_s_place_leaves_nothing_beside_it_whenever_it_is_killed() {
    let host = upgraded(&["1.1.0"]);
    let beside = || host.must("find /opt/app -name '*.relift-*'");
    let aside = "/opt/app/manager/.build.relift-old";
    // The gate removes what the switch set aside; what a kill left of it, undo and commit do.
    for (point, version) in [("before-gate", "1.1.0"), ("after-commit", "1.0.0")] {
        host.must("systemctl reset-failed");
        host.sh(&format!("RELIFT_KILL_AT={point} exec relift rollback app --yes")).exits(137);
        assert_eq!(beside(), "", "{point}: the gate is proven, and nothing is left for the commit");
        host.must(&format!("install -d {aside}/deep && touch {aside}/deep/file"));
        host.relift(&["recover", "app"]).exits(0);
        assert_eq!(host.answers("manager").as_deref(), Some(version), "{point}");
        assert_eq!(host.must("cat /opt/app/manager/build/version"), version, "{point}");
        assert_eq!(beside(), "", "{point}");
    }
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    goes_back(&host, &[], "1.0.0");
    assert_eq!(beside(), "");
}
