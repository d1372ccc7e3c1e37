//! What recovery sees, and the ways that it takes: each action undone and redone, forward past what nothing undoes.

use relift::sample::Site;

use crate::crash::{assert_runs, killed, rich_host};
use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";

/// Undoes, redoes or looks at the actions of the open run; what is seen of each, by its title.
fn rehearse(host: &Host, way: &str) -> Vec<(String, String)> {
    let out = host.relift(&["internal", "rehearse", "app", way]).exits(0);
    let seen: Vec<serde_json::Value> = serde_json::from_str(&out.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    seen.iter().map(|line| (text(&line["title"]), text(&line["sight"]))).collect()
}

#[track_caller]
fn assert_seen(seen: &[(String, String)], title: &str, sight: &str) {
    let lines: Vec<_> = seen.iter().filter(|(line, _)| line.contains(title)).collect();
    assert!(!lines.is_empty() && lines.iter().all(|(_, seen)| seen == sight), "{title} is not {sight}: {seen:#?}");
}

#[test]
fn every_action_is_undone_and_redone_any_number_of_times_and_seen_as_what_it_is() {
    let host = rich_host();
    let before = host.snapshot();
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    assert_runs(&host, "1.1.0", "before the gate");
    // It belongs to the open run, and to none of its actions.
    host.must("rm -r /etc/systemd/system/relift-recover.service.d");
    let after = host.snapshot();
    let subjects = ["switch the tree", "write manager/.env", "write runner/.env", "install "];
    for round in 0..2 {
        for _ in 0..2 {
            let seen = rehearse(&host, "undo");
            subjects.iter().for_each(|subject| assert_seen(&seen, subject, "before"));
            before.assert_same(&host.snapshot());
        }
        assert_runs(&host, "1.0.0", &format!("undone, round {round}"));
        for _ in 0..2 {
            let seen = rehearse(&host, "redo");
            subjects.iter().chain(&["restart "]).for_each(|subject| assert_seen(&seen, subject, "after"));
            after.assert_same(&host.snapshot());
        }
        assert_runs(&host, "1.1.0", &format!("redone, round {round}"));
    }
    host.relift(&["recover", "app"]).exits(0);
    before.assert_same(&host.snapshot());
}

#[test]
fn what_is_half_made_and_what_somebody_else_changed_are_told_apart() {
    let host = rich_host();
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    // A file of the new release that the old one does not have, gone again; a unit that is as before.
    host.must("rm /opt/app/manager/new/deep/file; systemctl stop sample-manager");
    host.must("echo MINE=1 >> /opt/app/runner/.env");
    let seen = rehearse(&host, "look");
    assert_seen(&seen, "switch the tree", "mixed");
    assert_seen(&seen, "write runner/.env", "neither");
    assert_seen(&seen, "restart sample-manager", "mixed");
    host.must("echo somebody >> /opt/app/manager/VERSION; rm /etc/systemd/system/sample-manager.service");
    let seen = rehearse(&host, "look");
    assert_seen(&seen, "switch the tree", "neither");
    assert_seen(&seen, "install sample-manager.service", "neither");
}

#[test]
fn a_dry_run_of_recovery_tells_what_is_where_and_changes_nothing() {
    let host = rich_host();
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    let before = host.snapshot();
    let out = host.relift(&["recover", "app", "--dry-run"]).exits(0);
    assert!(out.stdout.contains("would be undone\n"), "{out}");
    assert!(out.stdout.contains("  switch the tree to ") && out.stdout.contains(": made\n"), "{out}");
    let json = host.relift(&["recover", "app", "--dry-run", "--json"]).exits(0);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json.stdout).unwrap()["decision"], "undo");
    before.assert_same(&host.snapshot());
    host.relift(&["recover", "app"]).exits(0);
    let out = host.relift(&["recover", "app", "--dry-run"]).exits(0);
    assert_eq!(out.stdout, "app: no interrupted run\n");
}

/// A host whose next release has a step that nothing undoes; it leaves a line in `~app/migrated` each time that it runs, and
/// sleeps as long as the file `~app/slow` says.
fn irreversible(declared: &str) -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    let step = format!(
        "[[component.step]]\nname = \"migrate\"\nrun = [\"sh\", \"scripts/migrate.sh\"]\nundo = \"irreversible\"\n{declared}\n"
    );
    let manifest = host.read(MANIFEST).replacen("\n[[component.unit]]", &format!("\n{step}\n[[component.unit]]"), 1);
    let backup = "\n[backup]\npaths = [\"manager/.env\"]\n";
    host.write(MANIFEST, manifest + backup, 0o644, "root");
    host.release(|release| {
        let script = "#!/bin/sh\necho ran >> ~/migrated\nsleep $(cat ~/slow 2>/dev/null || echo 0)\n";
        release.next("1.1.0").program("manager/scripts/migrate.sh", script)
    });
    host
}

/// What `assert_runs` expects git not to track.
fn with_notes(host: &Host) {
    host.must("echo mine > /opt/app/notes.txt; chown app: /opt/app/notes.txt");
}

const UPGRADE: &str = "upgrade app --yes --allow-irreversible";

fn migrations(host: &Host) -> usize {
    host.must("cat ~app/migrated").lines().count()
}

/// Kills the engine while the step sleeps, and waits until what recovery has to end is all there is left of it.
fn killed_in_the_step(host: &Host) {
    host.must("echo 600 > ~app/slow; chown app: ~app/slow");
    host.must(&format!("systemd-run --quiet --unit=upgrade relift {UPGRADE}"));
    host.wait_for("test -s ~app/migrated");
    host.must("systemctl kill --signal=KILL upgrade; echo 0 > ~app/slow");
}

#[track_caller]
fn assert_finished(host: &Host, out: &Out) {
    assert!(out.stdout.contains("was finished"), "{out}");
    assert_runs(host, "1.1.0", &out.to_string());
    let again = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(again.stdout, "app: nothing to do, 1.1.0 is activated\n");
    assert!(host.relift(&["history", "app"]).exits(0).stdout.contains("done"));
}

#[test]
fn past_a_step_that_nothing_undoes_recovery_goes_forward_and_proves_it() {
    let host = irreversible("");
    with_notes(&host);
    killed(&host, "before-gate", UPGRADE).exits(137);
    let outlook = host.relift(&["recover", "app", "--dry-run"]).exits(0);
    assert!(outlook.stdout.contains("would go on to its end"), "{outlook}");
    let out = host.relift(&["recover", "app"]).exits(0);
    assert_finished(&host, &out);
    assert_eq!(migrations(&host), 1);
}

#[test]
fn a_step_that_was_interrupted_and_nothing_undoes_is_unknown_and_never_run_again() {
    let host = irreversible("");
    killed_in_the_step(&host);
    for _ in 0..2 {
        let out = host.relift(&["recover", "app"]).exits(4);
        for words in [
            "the step `manager: migrate` did not end: how far it came is not known",
            "keep only manager, runner checked out: made",
            "manager: migrate: begun, and not known to be whole",
            "restart sample-manager.service: not made",
            "relift recover --close",
        ] {
            assert!(out.stderr.contains(words), "this is missing: {words}\n{out}");
        }
        assert_eq!(migrations(&host), 1, "{out}");
    }
    host.relift(&["recover", "app", "--close"]).exits(0);
}

#[test]
fn a_step_that_is_declared_idempotent_is_run_again_after_an_interruption() {
    let host = irreversible("idempotent = true");
    with_notes(&host);
    killed_in_the_step(&host);
    let out = host.relift(&["recover", "app"]).exits(0);
    assert_finished(&host, &out);
    assert_eq!(migrations(&host), 2);
}

#[test]
fn a_release_that_fails_past_the_point_of_no_return_stays_open_until_it_is_proven() {
    let mut host = irreversible("");
    with_notes(&host);
    host.release(|release| release.behaviour("manager", "exit-at-once"));
    let out = host.relift(&UPGRADE.split(' ').collect::<Vec<_>>()).exits(4);
    assert!(out.stderr.contains("cannot be put back, and is not finished"), "{out}");
    assert!(out.stderr.contains("once the cause is mended, it goes on from there: relift recover app"), "{out}");
    let out = host.relift(&["recover", "app"]).exits(4);
    assert!(out.stderr.contains("restart sample-manager.service"), "{out}");
    // The cause is mended by a drop-in of the operator's.
    let drop_in = "[Service]\nExecStart=\nExecStart=/usr/bin/relift internal sample-service /root/manager\n";
    host.must("cp -a /opt/app/manager /root/manager; chmod 755 /root; rm -f /root/manager/behaviour; chown -R app: /root/manager");
    host.write("/etc/systemd/system/sample-manager.service.d/zz.conf", drop_in, 0o644, "root");
    host.must("systemctl daemon-reload");
    let out = host.relift(&["recover", "app"]).exits(0);
    assert!(out.stdout.contains("was finished"), "{out}");
    assert_eq!(migrations(&host), 1);
}
