//! What each verb does on a host whose run is open, dead or alive.

use super::bed::{newest, until_record};
use crate::harness::Host;

#[test]
fn every_verb_on_an_open_run_says_so_and_what_recovers_it() {
    let mut host = {
        let mut site = relift::sample::Site::new("app");
        site.soak = 0;
        Host::with_site(site)
    };
    host.release(|release| release.next("1.1.0").behaviour("manager", "slow-start 2s"));
    let before = host.snapshot();

    // Alive: whoever would change or plan something is turned away, who looks is told.
    let known = newest(&host);
    let out = std::thread::scope(|scope| {
        let run = scope.spawn(|| host.relift(&["upgrade", "app", "--yes"]));
        until_record(&host, known.as_deref(), "-prepared.json");
        for verb in [
            "plan app",
            "upgrade app --yes",
            "upgrade app --unattended",
            "upgrade app -n",
            "rollback app --yes",
            "recover app",
        ] {
            let out = host.sh(&format!("relift {verb}")).exits(75);
            assert!(out.stderr.contains("another run of app holds the lock"), "{out}");
        }
        let status = host.relift(&["status", "app"]).exits(0);
        assert!(status.stdout.contains(" goes on") && !status.stdout.contains("interrupted"), "{status}");
        let status = host.relift(&["status", "app", "--json"]).exits(0);
        assert!(status.stdout.contains("\"running\": true"), "{status}");
        run.join().unwrap()
    });
    assert_eq!(out.code, 0, "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    host.must("systemctl reset-failed");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    host.sh_as("app", "git -C /opt/app sparse-checkout disable").exits(0);
    before.assert_same(&host.snapshot());

    // Dead: each says what to do, and changes nothing.
    host.must("systemctl reset-failed");
    host.sh("RELIFT_KILL_AT=after-00014 exec relift upgrade app --yes").exits(137);
    let dead = host.snapshot();
    assert!(!before.difference(&dead).is_empty());
    for verb in
        ["plan app", "upgrade app --yes", "upgrade app -n", "rollback app --yes", "env diff app", "units diff app"]
    {
        let out = host.sh(&format!("relift {verb}")).exits(4);
        assert!(
            out.stderr.contains("was interrupted and is still open") && out.stderr.contains("relift recover app"),
            "{out}"
        );
        dead.assert_same(&host.snapshot());
    }
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains("was interrupted: relift recover app"), "{status}");
    let status = host.relift(&["status", "app", "--json"]).exits(0);
    assert!(status.stdout.contains("\"running\": false"), "{status}");
    // By itself, a timer recovers first. What was rolled back is skipped then.
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(out.stderr.contains("is skipped"), "{out}");
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}
