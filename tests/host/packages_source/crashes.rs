//! Maintainer scripts that fail or hang, services that do not start, and runs that die: exactly the old packages, or exactly the new.

use super::platform::{deb, publish, state, with_debs};
use crate::crash::killed;
use crate::harness::Host;
use crate::rigs::figures::is_soak;

/// A host with a good release 1.1, and what is wrong with the others.
fn host() -> Host {
    let host = with_debs();
    deb(&host, "appdep", "1.0-1", "", "");
    deb(&host, "app", "1.1-1", "appdep", "");
    deb(&host, "app", "1.2-1", "appdep", "exit 1");
    // Its engine ends at once.
    deb(&host, "app", "1.3-1", "appdep", "");
    deb(&host, "app", "1.4-1", "appdep", "kill -9 $PPID");
    deb(&host, "app", "1.5-1", "appdep", "sleep 600");
    publish(&host);
    host.must("echo 'color = red' > /etc/app/app.conf; relift check app >/dev/null; true");
    host
}

#[test]
fn a_release_whose_scripts_or_services_fail_is_undone_exactly() {
    let host = host();
    let manifest = host.read("/etc/relift/app.toml").replace("# manager = \"dnf\"", "timeout = \"4s\"  #");
    host.write("/etc/relift/app.toml", manifest, 0o644, "root");
    let old = state(&host);
    for (version, says) in
        [("1.2", "exited with 100"), ("1.3", "engine@a"), ("1.4", "apt"), ("1.5", "did not end within 4s")]
    {
        host.must("systemctl reset-failed");
        let out = host.relift(&["upgrade", "app", "--yes", "--to", version]).exits(3);
        assert!(out.stderr.contains(says), "{version}: {out}");
        assert_eq!(state(&host), old, "{version}: {out}");
    }
}

#[test]
fn a_run_killed_at_any_record_is_undone_or_finished_with_all_of_its_packages() {
    let host = host();
    let old = state(&host);
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    let new = state(&host);
    assert_ne!(old, new);
    let mut points = 0;
    let step = if is_soak() { 1 } else { 9 };
    for (run, first) in [("upgrade app --yes --to 1.1", 5), ("upgrade app --yes --to 1.3", 33)] {
        for at in (first..).step_by(step) {
            back(&host, &old);
            let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
            let out = killed(&host, &point, run);
            if out.code != 137 {
                assert_eq!(out.code, if run.ends_with("1.1") { 0 } else { 3 }, "{out}");
                break;
            }
            points += 1;
            let out = host.relift(&["recover", "app"]).exits(0);
            let now = state(&host);
            assert!(now == old || now == new && run.ends_with("1.1"), "{run}, {point}: {out}\n{old}\n{now}");
        }
    }
    assert!(points > 3, "only {points} points were reached");

    // The engine and dpkg die together, in the middle of a maintainer script.
    back(&host, &old);
    host.must(
        "systemctl reset-failed; relift upgrade app --yes --to 1.5 >/dev/null 2>&1 & until pgrep -x sleep -a | grep -q 'sleep 600'; do sleep 0.05; done
         kill -9 $! $(pgrep -x dpkg) $(pgrep -x apt-get); true",
    );
    assert!(host.must("dpkg --audit").contains("app"));
    host.relift(&["recover", "app"]).exits(0);
    assert_eq!(state(&host), old);
}

/// Back to 1.0, where that is not what is there.
#[track_caller]
fn back(host: &Host, old: &str) {
    host.must("systemctl reset-failed");
    if state(host) != old {
        host.relift(&["rollback", "app", "--yes"]).exits(0);
        host.sh("apt-get -q -y purge appdep; rm -f /etc/app/app.conf.dpkg-dist");
    }
    assert_eq!(state(host), old);
}
