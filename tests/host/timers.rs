//! The timers as they are shipped: they fire, make up for what a host slept through, and are in nobody's way.

use relift::sample::Site;

use crate::harness::Host;
use crate::service::with_units;

fn drop_in(host: &Host, timer: &str, lines: &str) {
    let text = format!("[Timer]\nRandomizedDelaySec=0\nAccuracySec=1ms\n{lines}\n");
    host.write(&format!("/etc/systemd/system/{timer}.d/test.conf"), text, 0o644, "root:root");
}

/// What the units' last starts ended with, in systemd's words and relift's number.
fn ended(host: &Host, unit: &str) -> String {
    host.wait_for(&format!("[ $(systemctl show -P ActiveState {unit}) = inactive ] && [ $(systemctl show -P ExecMainExitTimestampMonotonic {unit}) != 0 ]"));
    host.must(&format!("echo $(systemctl show -P Result {unit}) $(systemctl show -P ExecMainStatus {unit})"))
}

#[test]
fn timers_fire_together_and_after_a_host_slept_through_its_time_and_outside_the_window_nothing_is_done() {
    let mut host = {
        let mut site = Site::new("app");
        site.soak = 0;
        Host::with_site(site)
    };
    with_units(&host);
    host.release(|release| release.next("1.1.0"));
    let soon = host.must("date -d '+10 seconds' '+%Y-%m-%d %H:%M:%S'");
    for timer in ["relift-check.timer", "relift-upgrade@app.timer"] {
        drop_in(&host, timer, &format!("OnCalendar=\nOnCalendar={soon}"));
    }
    // As they are shipped, the next time is in the night to come, the same for this host every night.
    host.must("systemctl daemon-reload; systemctl start relift-check.timer relift-upgrade@app.timer");
    host.wait_for_answer("manager", "1.1.0", "by the timer");
    assert_eq!(ended(&host, "relift-upgrade@app"), "success 0");
    let check = ended(&host, "relift-check");
    assert!(["success 0", "success 100"].contains(&check.as_str()), "{check}");

    // The host is off at the time, and up again at an hour that the window does not allow.
    host.release(|release| release.next("1.2.0"));
    let window = host.must("echo $(date -d '+6 hours' +%H:00)-$(date -d '+7 hours' +%H:00)");
    host.must(&format!(
        "rm -r /etc/systemd/system/relift-check.timer.d; systemctl stop relift-check.timer
         sed -i 's/^soak .*/&\\nwindow = \"{window} UTC\"/' /etc/relift/app.toml; relift config check --quiet"
    ));
    drop_in(&host, "relift-upgrade@app.timer", "");
    host.must("systemctl daemon-reload; systemctl enable --quiet relift-upgrade@app.timer; systemctl restart relift-upgrade@app.timer");
    let next = host.must("systemctl show -P NextElapseUSecRealtime relift-upgrade@app.timer");
    assert!([" 02:", " 03:", " 04:"].iter().any(|hour| next.contains(hour)), "{next}");
    let doctor = host.relift(&["doctor", "app", "--offline"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(doctor.contains(&format!("relift-upgrade@app.timer: is enabled, and fires next on {next}")), "{doctor}");
    assert!(
        doctor.contains("relift-check.timer: is not enabled: what is new is looked for only when somebody does it"),
        "{doctor}"
    );
    let slept = "touch -d '3 days ago' /var/lib/systemd/timers/stamp-relift-upgrade@app.timer; sync";
    host.must(slept);
    host.cut();
    host.boot_again();
    assert_eq!(ended(&host, "relift-upgrade@app"), "success 2");
    let journal = host.must("journalctl --sync; journalctl --no-pager -b -o cat -u relift-upgrade@app");
    assert!(journal.contains("it is outside its window"), "{journal}");
    host.wait_for_answer("manager", "1.1.0", "outside the window");

    // The same, and the window allows it: after everything is up, once.
    host.must("sed -i '/^window /d' /etc/relift/app.toml; date +%s.%N > /srv/cut");
    host.must(slept);
    host.cut();
    host.boot_again();
    host.wait_for_answer("manager", "1.2.0", "made up for");
    assert_eq!(ended(&host, "relift-upgrade@app"), "success 0");
    let order = host.must("for unit in multi-user.target relift-upgrade@app; do systemctl show -P InactiveExitTimestampMonotonic $unit; done | sort -n -c && echo after");
    assert_eq!(order, "after");
    assert_eq!(
        host.must("journalctl --sync; journalctl --no-pager --since=@$(cat /srv/cut) -o cat -u relift-upgrade@app | grep -c '^Starting'"),
        "1"
    );
}
