//! The package is upgraded while a run is open: the run ends with the program that it began with, and what recovers it is
//! the new one.

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::Host;
use crate::packages::{debs, dpkg, with_deb};

const MANIFEST: &str = "/etc/relift/app.toml";
/// Where the steps of the manager are declared.
const STEPS: &str = "\n[[component.step]]\nname = \"build\"";
/// A step in the middle of the switch that waits for a word.
const PAUSE: &str = r#"
[[component.step]]
name = "pause"
run  = ["sh", "-c", "touch /tmp/pausing; for i in $(seq 600); do [ -e /tmp/go ] && exit; sleep 0.1; done; exit 1"]
undo = "pure"
"#;

/// A host with the older package and the sample, and a release that is new.
fn host(step: &str) -> Host {
    let mut host = with_deb();
    let mut site = Site::new("app");
    site.soak = 0;
    host.settle(site, |release| release);
    let manifest = host.read(MANIFEST).replacen(STEPS, &format!("{step}{STEPS}"), 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    host.release(|release| release.next("1.1.0"));
    host
}

/// Starts a command in a transient unit of its own; its main process.
fn started(host: &Host, words: &str) -> String {
    host.must(&format!("systemd-run --quiet --unit=by-hand -p RemainAfterExit=yes {words}"));
    host.must("systemctl show -P MainPID by-hand")
}

/// Waits for its end; its exit status.
fn ended(host: &Host) -> String {
    host.wait_for("[ $(systemctl show -P SubState by-hand) != running ]");
    let status = host.must("systemctl show -P ExecMainStatus by-hand");
    host.must("systemctl stop by-hand; systemctl reset-failed by-hand 2>/dev/null || true");
    status
}

#[test]
fn a_run_ends_with_the_program_that_it_began_with_and_what_watches_it_is_the_new_one() {
    let mut host = host(PAUSE);
    // In the middle of its switch: units, restarts, the user manager's agent, the gate and the commit are still to come.
    let pid = started(&host, "relift upgrade app --yes");
    host.wait_for("test -e /tmp/pausing");
    let inode = host.must("stat -c %i /usr/bin/relift");
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    assert_ne!(host.must("stat -c %i /usr/bin/relift"), inode, "the file was replaced");
    assert_eq!(host.must(&format!("readlink /proc/{pid}/exe")), "/usr/bin/relift (deleted)");
    assert_eq!(
        host.must("systemctl is-active relift-deadman-app.timer"),
        "active",
        "the timer of the run was left alone"
    );
    host.must("touch /tmp/go");
    assert_eq!(ended(&host), "0", "{}", host.journal());
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));
    assert_eq!(host.must("systemctl list-units --all --plain --no-legend 'relift-deadman-*'"), "");

    // Replaced before the run begins: it waits for its turn, and arms a timer that starts a file which is there.
    host.release(|release| release.next("1.2.0"));
    host.must("systemd-run --quiet --unit=holder flock /run/relift/app.lock sleep 300; while flock -n /run/relift/app.lock true; do sleep 0.05; done");
    let pid = started(&host, "relift upgrade app --yes --lock-timeout 300s");
    host.wait_for(&format!("grep -q relift /proc/{pid}/comm"));
    host.wait_for(&format!("ls -l /proc/{pid}/fd | grep -q /run/relift/app.lock"));
    dpkg(&host, &["-i", &debs()[0]]).exits(0);
    assert_eq!(host.must(&format!("readlink /proc/{pid}/exe")), "/usr/bin/relift (deleted)");
    host.must("rm -f /tmp/pausing /tmp/go; systemctl stop holder");
    let command = host.wait_for("systemctl cat relift-deadman-app.service | grep ^ExecStart");
    assert!(!command.contains("deleted"), "{command}");
    assert!(command.contains("/usr/bin/relift"), "{command}: {}", host.journal());
    host.must("touch /tmp/go");
    assert_eq!(ended(&host), "0", "{}", host.journal());
    assert_eq!(host.answers("runner").as_deref(), Some("1.2.0"));
}

#[test]
fn a_run_that_was_killed_is_recovered_by_the_new_program() {
    let mut host = host("");
    let before = host.snapshot();
    // Cut in the middle of the switch and in the gate, with either program as the new one.
    for (point, package) in [("before-00014", &debs()[1]), ("before-gate", &debs()[0])] {
        killed(&host, point, "upgrade app --yes").exits(137);
        let out = dpkg(&host, &["-i", package]).exits(0);
        assert_eq!(host.must("systemctl is-active relift-deadman-app.timer"), "active", "{out}");
        // What its timer starts within a minute.
        host.must("systemctl start relift-deadman-app.service");
        let difference = before.difference(&host.snapshot());
        assert!(difference.is_empty(), "{point}: {difference}\n{}", host.journal());
        host.wait_for("[ -z \"$(systemctl list-units --all --plain --no-legend 'relift-deadman-*')\" ]");
        host.must("systemctl reset-failed");
    }
    // And the boot, by the package's own unit.
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    host.cut();
    host.boot_again();
    host.wait_for("[ $(systemctl show -P ActiveState relift-recover) = inactive ] && journalctl -u relift-recover | grep 'was undone'");
    assert_eq!(host.must("systemctl show -P Result relift-recover"), "success");
    before.assert_same(&host.snapshot());
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

#[test]
fn a_step_that_upgrades_the_package_is_a_step_like_any_other() {
    let step = format!(
        "\n[[component.step]]\nname = \"package\"\nrun = [\"dpkg\", \"-i\", {:?}]\nas = \"root\"\nundo = {{ run = [\"dpkg\", \"-i\", {:?}] }}\n",
        debs()[1],
        debs()[0]
    );
    let mut host = host(&step);
    let manifest = host.read(MANIFEST).replacen("[install]\n", "[install]\ntrust-checkout = true\n", 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stderr.contains("package"), "{out}");
    assert_eq!(host.must("dpkg-query -W -f '${Status} ${Version}' relift"), "install ok installed 0.2.0-1");
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));
    // Killed after the step, the run is undone by the program that the step brought, which is undone with it.
    host.release(|release| release.next("1.2.0"));
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    let out = host.relift(&["recover", "app"]).exits(0);
    assert!(out.stdout.contains("was undone"), "{out}");
    assert_eq!(host.must("dpkg-query -W -f '${Status} ${Version}' relift"), "install ok installed 0.1.0-1");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn a_run_that_a_timer_started_goes_on_while_its_package_is_upgraded() {
    let host = host(PAUSE);
    // What its sandbox permits is shown elsewhere.
    let free = "[Service]\nProtectSystem=no\n";
    host.write("/etc/systemd/system/relift-upgrade@.service.d/50-free.conf", free, 0o644, "root");
    host.must("systemctl daemon-reload; systemctl start --no-block relift-upgrade@app.service");
    host.wait_for("test -e /tmp/pausing || { systemctl status relift-upgrade@app; false; }");
    let of = "systemctl show -P InvocationID -P MainPID relift-upgrade@app.service";
    let before = host.must(of);
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    assert_eq!(host.must(of), before, "the run was restarted or ended");
    host.must("touch /tmp/go");
    host.wait_for("[ $(systemctl show -P ActiveState relift-upgrade@app) = inactive ]");
    assert_eq!(host.must("systemctl show -P Result relift-upgrade@app"), "success");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}
