//! Runs that systemd starts, with the units as they are shipped: what their sandbox lets the engine do, and what its steps see.

use relift::sample::Site;

use crate::harness::{Host, Out, needs};
use crate::server::GitServer;

/// Every unit that is shipped, by its file's name.
pub fn shipped() -> Vec<(String, String)> {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("units");
    let mut units: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
        .collect();
    units.sort();
    units
}

fn quick() -> Host {
    let mut site = Site::new("app");
    (site.soak, site.sparse) = (0, true);
    Host::with_site(site)
}

/// Installs the units as a package does; none is enabled but recovery at boot.
pub fn with_units(host: &Host) {
    for (name, text) in shipped() {
        host.write(&format!("/usr/lib/systemd/system/{name}"), text, 0o644, "root:root");
    }
    // systemd forgets how a unit ended that nothing refers to.
    let keeper = "[Unit]\nPropagatesReloadTo=relift-upgrade@app.service relift-check.service relift-recover.service\n";
    host.write("/usr/lib/systemd/system/keeper.target", keeper, 0o644, "root:root");
    host.must(
        "mkdir -p /usr/lib/systemd/system/multi-user.target.wants; ln -s ../keeper.target /usr/lib/systemd/system/multi-user.target.wants
         systemctl daemon-reload; systemctl --quiet enable relift-recover; systemctl start keeper.target",
    );
}

/// Starts an upgrade of the sample by its unit, and waits for its end; `code` is what relift exited with.
#[track_caller]
pub fn upgrade(host: &Host, code: i32) -> Out {
    host.must("systemctl reset-failed");
    let out = host.sh("systemctl start relift-upgrade@app");
    let journal = host.must("journalctl --sync; journalctl --no-pager -o cat -u relift-upgrade@app");
    let status = host.must("systemctl show -P ExecMainStatus relift-upgrade@app");
    assert_eq!(status, code.to_string(), "{out}\n{journal}");
    out
}

/// The manager's steps get a first one, and its probes another.
fn declare(host: &Host, step: &str, probe: &str) {
    let manifest = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    let (steps, probes) = ("\n[[component.step]]\nname = \"build\"", "\n[[component.health]]\n");
    let manifest = manifest.replacen(steps, &format!("\n{step}\n{steps}"), 1);
    host.write("/etc/relift/app.toml", manifest.replacen(probes, &format!("\n{probe}\n{probes}"), 1), 0o644, "root");
    host.must("relift config check --quiet");
}

#[test]
fn every_unit_of_ours_verifies_and_no_service_is_exposed_beyond_3_0() {
    needs(&[("systemd-analyze", "systemd")]);
    let place = tempfile::tempdir().unwrap();
    let said = |words: &[&str]| {
        let out = std::process::Command::new("systemd-analyze").args(words).output().unwrap();
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        (out.status.success(), text)
    };
    let mut files = Vec::new();
    for (name, text) in shipped() {
        // What a template is for is an install; the program is not installed where this runs.
        let path = place.path().join(name.replace("@.", "@my-app.v2."));
        std::fs::write(&path, text.replace("/usr/bin/relift", "/bin/true")).unwrap();
        let path = path.display().to_string();
        if name.ends_with(".service") {
            let (is_good, text) = said(&["security", "--offline=yes", "--threshold=30", "--no-pager", &path]);
            assert!(is_good, "{name}: {text}");
        }
        files.push(path);
    }
    assert!(files.len() >= 5);
    for path in &files {
        let (is_good, text) = said(&["verify", "--man=no", "--recursive-errors=no", path]);
        assert!(is_good && text.is_empty(), "{path}: {text}");
    }
}

/// What a step sees, but for what names its run.
const LOOK: &str = r#"#!/bin/sh
seen=/home/app/seen.$(id -un)
{ id; pwd; umask; ulimit -a; ls -A /dev; cat /tmp/of-the-host
  env | sort | grep -v '^RELIFT_RUN=\|^INVOCATION_ID=\|^SYSTEMD_EXEC_PID='
  grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status
  for place in / /usr /etc /boot /home /tmp /proc/sys /sys; do [ -w $place ] && echo "writes $place"; done
  readlink /proc/self/ns/mnt /proc/self/ns/uts; test -d /proc/1 && echo sees PID 1; } > $seen 2>&1
mkdir -p ~/.cache/uv && date > ~/.cache/uv/touched
! [ -e /tmp/wait ] || { touch /tmp/waiting; until [ -e /tmp/go ]; do sleep 0.05; done; }
"#;

#[test]
fn an_upgrade_by_its_unit_works_in_a_sandbox_and_its_steps_probes_and_backups_as_from_a_shell() {
    let mut host = quick();
    with_units(&host);
    host.write("/usr/local/bin/look", LOOK, 0o755, "root:root");
    host.must(
        r#"echo here > /tmp/of-the-host; chmod 644 /tmp/of-the-host; install -d -o app -g app -m 2775 /opt/app/manager/data
           runuser -u app -- python3 -c 'import sqlite3; db = sqlite3.connect("/opt/app/manager/data/app.db"); db.execute("CREATE TABLE a(n)"); db.commit()'
           sed -i 's/^owner = .*/&\ntrust-checkout = true/' /etc/relift/app.toml
           printf '[backup]\npaths = ["manager/data"]\nsqlite = ["manager/data/app.db"]\n' >> /etc/relift/app.toml"#,
    );
    let step = |name: &str, who: &str| {
        format!("[[component.step]]\nname = \"{name}\"\nrun = [\"/usr/local/bin/look\"]\n{who}undo = \"pure\"\n")
    };
    let probe =
        "[[component.health]]\ncommand = [\"sh\", \"-c\", \"test -e /tmp/of-the-host && pgrep -u root -x systemd\"]\n";
    declare(&host, &(step("look", "") + &step("look-as-root", "as = \"root\"\n")), probe);
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let seen = ["app", "root"].map(|who| host.read(&format!("/home/app/seen.{who}")));
    assert!(seen.iter().all(|seen| seen.contains("here\n") && seen.contains("writes /tmp\n")), "{seen:?}");
    assert!(seen[1].contains("writes /usr\nwrites /etc\n"), "{}", seen[1]);

    let release = host.release(|release| {
        let release = release.next("1.2.0").unit_line("manager", "Service", "Nice=5");
        let release =
            release.unit_line("runner", "Service", "Nice=6").env_key("runner", "COLOUR", "blue", "Its colour.");
        release.file("manager/new/file", "new\n")
    });
    host.must("rm /home/app/seen.*; touch /tmp/wait; systemctl start --no-block relift-upgrade@app");
    host.wait_for("test -e /tmp/waiting");
    // The sandbox of the engine is really there.
    let inside = host.must(
        "pid=$(systemctl show -P MainPID relift-upgrade@app); grep -E '^(Seccomp|NoNewPrivs):' /proc/$pid/status
         may() { nsenter --target=$pid --mount sh -c \"$1\" 2>/dev/null && echo \"can $1\"; true; }
         may 'touch /usr/x'; may 'touch /etc/x'; may 'ls /tmp/of-the-host'; may 'ls /dev/fuse'
         may 'touch /etc/systemd/system/x && rm /etc/systemd/system/x'; may 'touch /opt/app/x && rm /opt/app/x'; touch /tmp/go",
    );
    assert_eq!(
        inside,
        "NoNewPrivs:\t1\nSeccomp:\t2\ncan touch /etc/systemd/system/x && rm /etc/systemd/system/x\ncan touch /opt/app/x && rm /opt/app/x"
    );
    host.wait_for("[ $(systemctl show -P ActiveState relift-upgrade@app) != activating ]");
    let journal = host.must("journalctl --sync; journalctl --no-pager -o cat -u relift-upgrade@app");
    assert_eq!(host.must("systemctl show -P Result relift-upgrade@app"), "success", "{journal}");
    assert!(journal.contains("done app: manager 1.2.0, runner 1.2.0, proven healthy"), "{journal}");
    assert_eq!(["app", "root"].map(|who| host.read(&format!("/home/app/seen.{who}"))), seen);
    assert_eq!(host.must("runuser -u app -- git -C /opt/app rev-parse HEAD"), release);
    assert_eq!(host.sh_as("app", "git -C /opt/app status --porcelain -uno").exits(0).stdout, "");
    assert_eq!(
        host.must("stat -c %U:%G /opt/app/manager/new/file /home/app/.config/systemd/user/sample-runner.service"),
        "app:app\napp:app"
    );
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.2.0", "by the unit");
    }
    assert_eq!(host.must("ls /var/lib/relift/app/backups | wc -l"), "2");
    host.relift(&["backup", "verify", "app"]).exits(0);
    let failed = host
        .must("systemctl --failed --plain --no-legend; journalctl --sync; journalctl -p warning --no-pager -o cat -u relift-upgrade@app");
    assert_eq!(failed, "");
}

/// Begins an upgrade by its unit and waits until its first step, which waits in turn, is under way: the tree is switched.
fn begin(host: &Host) {
    host.must("rm -f /tmp/waiting /tmp/go; touch /tmp/wait; systemctl reset-failed; systemctl start --no-block relift-upgrade@app");
    host.wait_for("test -e /tmp/waiting");
    assert!(host.read("/opt/app/manager/VERSION").starts_with("1.2.0"));
}

#[test]
fn what_a_unit_began_is_put_back_when_it_fails_is_stopped_is_killed_and_when_its_host_goes_down() {
    let mut host = quick();
    with_units(&host);
    host.write("/usr/local/bin/look", LOOK, 0o755, "root:root");
    declare(&host, "[[component.step]]\nname = \"look\"\nrun = [\"/usr/local/bin/look\"]\nundo = \"pure\"\n", "");
    let before = host.snapshot();
    host.release(|release| release.next("1.1.0").behaviour("manager", "die-after 20ms"));
    upgrade(&host, 3);
    assert_eq!(host.must("systemctl is-failed relift-upgrade@app"), "failed");
    before.assert_same(&host.snapshot());
    let journal = host.must("journalctl --sync; journalctl --no-pager -o cat -u relift-upgrade@app");
    assert!(journal.contains("state: everything was put back as it was, and checked"), "{journal}");

    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    begin(&host);
    // One at a time, from wherever it was started: and that is no failure of a unit.
    host.relift(&["upgrade", "app", "--yes"]).exits(75);
    // Stopped, it undoes in order.
    host.must("systemctl stop relift-upgrade@app");
    assert_eq!(host.must("systemctl show -P ExecMainStatus relift-upgrade@app"), "3");
    before.assert_same(&host.snapshot());
    assert!(!host.relift(&["status", "app"]).stdout.contains("1.2.0 failed here"));

    // Killed, the timer recovers it: what it does when it fires, now.
    begin(&host);
    host.must("systemctl kill --kill-who=main -s KILL relift-upgrade@app");
    host.wait_for("[ $(systemctl show -P ActiveState relift-upgrade@app) = failed ]");
    host.must("systemctl is-active relift-deadman-app.timer; systemctl start relift-deadman-app.service");
    before.assert_same(&host.snapshot());

    // Killed, and started again before that: the next run recovers it first, in its sandbox.
    begin(&host);
    host.must("systemctl kill --kill-who=main -s KILL relift-upgrade@app");
    host.wait_for("[ $(systemctl show -P ActiveState relift-upgrade@app) = failed ]");
    host.must("sed -i 's/^unattended .*/unattended = \"none\"/' /etc/relift/app.toml");
    upgrade(&host, 2);
    before.assert_same(&host.snapshot());
    host.must("sed -i 's/^unattended .*/unattended = \"minor\"/' /etc/relift/app.toml");

    // The power is cut: the boot recovers it, in its sandbox.
    begin(&host);
    host.cut();
    host.boot_again();
    recovered(&host);
    before.assert_same(&host.snapshot());

    // An operator shuts the host down: it goes down at once, and is told at the next boot.
    begin(&host);
    let init = host.twin().init();
    let begun = std::time::Instant::now();
    host.sh("systemctl reboot");
    while std::fs::read_to_string(format!("/proc/{init}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        // It takes a second or two; what is not started any more would be waited for much longer.
        assert!(begun.elapsed().as_secs() < 20, "it does not go down, or waits for what is not started any more");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    host.boot_again();
    let journal = recovered(&host);
    assert!(journal.contains("was undone: everything is as before it"), "{journal}");
    let told = host.must("journalctl --sync; journalctl --no-pager -o cat -u relift-upgrade@app");
    assert!(told.contains("was interrupted: this host is going down"), "{told}");
    let history = host.relift(&["history", "app", "--lines", "1"]).exits(0);
    assert!(history.stdout.contains("rolled back"), "{history}");
    before.assert_same(&host.snapshot());

    // A run that a shell began.
    host.must("rm -f /tmp/waiting /tmp/go; touch /tmp/wait; relift upgrade app --yes >/tmp/out 2>&1 &");
    host.wait_for("test -e /tmp/waiting");
    upgrade(&host, 75);
    assert_eq!(host.must("systemctl show -P Result relift-upgrade@app"), "success");
    host.must("touch /tmp/go");
    host.wait_for_answer("manager", "1.2.0", "from the shell");
}

/// Waits until the boot has recovered what was interrupted; what it said.
fn recovered(host: &Host) -> String {
    host.wait_for("[ $(systemctl show -P ActiveState relift-recover) = inactive ] && [ $(systemctl show -P InactiveEnterTimestampMonotonic relift-recover) != 0 ]");
    let journal = host.must("journalctl --sync; journalctl --no-pager -b -o cat -u relift-recover");
    assert_eq!(host.must("systemctl show -P Result relift-recover"), "success", "{journal}");
    host.wait_for("systemctl --user -M app@ is-active sample-runner");
    journal
}

#[test]
fn in_the_sandbox_the_owner_talks_over_ssh_and_over_http_with_a_token() {
    for mut server in [GitServer::ssh(), GitServer::http()] {
        let host = server.host_with_sample();
        with_units(&host);
        if server.url().starts_with("http") {
            server.behave("private=git:s3cr3t-canary-token");
            host.write("/etc/relift/token", "s3cr3t-canary-token\n", 0o600, "root");
            host.must("sed -i 's|^url .*|&\\ncredential = \"/etc/relift/token\"|' /etc/relift/app.toml");
        }
        host.must("systemctl start relift-check; [ $(systemctl show -P ExecMainStatus relift-check) = 0 ]");
        let commit = server.release(|release| release.next("1.1.0"));
        // Something is new: no failure of the unit.
        host.must("systemctl start relift-check; [ $(systemctl show -P ExecMainStatus relift-check) = 100 ]");
        assert!(
            host.must("journalctl --sync; journalctl --no-pager -o cat -u relift-check")
                .contains("app: new, 1 commit ahead")
        );
        let out = upgrade(&host, 0);
        host.assert_no_secret(&out);
        assert_eq!(host.must("runuser -u app -- git -C /opt/app rev-parse HEAD"), commit);
    }
}
