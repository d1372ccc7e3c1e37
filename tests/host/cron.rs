//! Debian's cron in place of the timers: mail when there is something to tell, and else none.

use relift::sample::Site;

use crate::harness::{Host, needs};

/// Where cron's mail goes: what a delivery agent does with it.
const SENDMAIL: &str = "#!/bin/sh\ncat >> /var/mail/root\n";

/// Has cron do what its file says, now, and waits for the end of it; the mail that came of it.
fn night(host: &Host) -> String {
    host.must("rm -f /run/crond.reboot /var/mail/root; systemctl restart cron-here");
    host.wait_for("! pgrep -P $(systemctl show -P MainPID cron-here) && journalctl -u cron-here -o cat _PID=$(systemctl show -P MainPID cron-here) | grep -q 'Running @reboot'");
    host.sh("cat /var/mail/root").stdout
}

#[test]
fn cron_mails_when_something_is_new_done_or_wrong_and_else_nothing() {
    needs(&[("cron", "cron")]);
    let mut site = Site::new("app");
    (site.soak, site.sparse) = (0, true);
    let mut host = Host::with_site(site);
    host.write("/usr/sbin/sendmail", SENDMAIL, 0o755, "root:root");
    // The file that is shipped, with the schedule of the one that can be had at once.
    let shipped = include_str!("../../templates/cron.d/relift");
    let at_once = |text: &str| {
        text.replace("17 1,7,13,19 * * *", "@reboot").replace("#42 2 * * *", "@reboot").replace("NAME", "app")
    };
    let (check, upgrade): (Vec<&str>, Vec<&str>) = shipped.lines().partition(|line| !line.starts_with("#42"));
    assert!(shipped.contains("17 1,7,13,19 * * *") && upgrade.len() == 1);
    host.must("rm -f /etc/cron.d/*; systemctl unmask --quiet cron; systemd-run --quiet --unit=cron-here -p KillMode=process -p StartLimitIntervalSec=0 cron -f");
    let with = |host: &Host, lines: &str| {
        host.write("/etc/cron.d/relift", at_once(lines) + "\n", 0o644, "root:root");
        night(host)
    };
    let (check, upgrade) = (
        check.join("\n"),
        shipped.lines().take_while(|line| !line.starts_with("17")).chain(upgrade).collect::<Vec<_>>().join("\n"),
    );
    assert_eq!(with(&host, &check), "");
    assert_eq!(with(&host, &upgrade), "");
    host.release(|release| release.next("1.1.0"));
    let mail = with(&host, &check);
    assert!(mail.contains("To: root") && mail.contains("app: new, 1 commit ahead, at "), "{mail}");
    let mail = with(&host, &upgrade);
    assert!(mail.contains("done app: manager 1.1.0, runner 1.1.0, proven healthy"), "{mail}");
    assert!(!mail.contains('\x1b'), "{mail:?}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    assert_eq!(with(&host, &upgrade), "");
    // Cron's own PATH is poor, and it says nothing of a terminal.
    let quiet = upgrade
        .replace("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PATH=/usr/bin:/bin")
        .replace("--unattended", "--unattended --quiet");
    assert!(quiet.contains("PATH=/usr/bin:/bin\n"));
    assert_eq!(with(&host, &quiet), "");
    host.release(|release| release.next("1.2.0").behaviour("manager", "die-after 20ms"));
    let mail = with(&host, &quiet);
    assert!(
        mail.contains("error: the upgrade of app to ") && mail.contains("state: everything was put back"),
        "{mail}"
    );
    assert_eq!(with(&host, &quiet), "", "what failed here is skipped in silence");
    host.must("mv /srv/git/app.git /srv/git/gone");
    let mail = with(&host, &check);
    assert!(mail.contains("app could not be checked"), "{mail}");
}
