//! Maintainer scripts that fail or hang, services that do not start, and runs that die: exactly the old packages, or exactly the new.

use super::platform::{configure, deb, publish, rpm, rpm_with, state, state_of_rpms, with_debs, with_rpms};
use crate::crash::killed;
use crate::harness::Host;
use crate::rigs::figures::{Ended, Figure, is_soak, rounds};

/// Whose configuration file is merged, so that a run has that to undo as well.
const MERGE: &str = "merge = [\"/etc/app/app.conf\"]";
const GOOD: &str = "upgrade app --yes --to 1.1";
const FAIL: &str = "upgrade app --yes --to 1.3";

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
    configure(&host, MERGE);
    host.must("sed -i s/blue/red/ /etc/app/app.conf; relift check app >/dev/null; true");
    host
}

#[test]
fn a_release_whose_scripts_or_services_fail_is_undone_exactly() {
    let host = host();
    configure(&host, &format!("{MERGE}\ntimeout = \"4s\""));
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

/// A host on which runs are killed again and again, and its two states.
struct Bed {
    host: Host,
    state: fn(&Host) -> String,
    old: String,
    new: String,
    /// Takes away what a rollback leaves: a package that came with the release, and its mark.
    clean: &'static str,
}

impl Bed {
    fn new(host: Host, state: fn(&Host) -> String, clean: &'static str) -> Bed {
        let old = state(&host);
        host.sh(&format!("relift {GOOD}")).exits(0);
        let new = state(&host);
        assert_ne!(old, new);
        let bed = Bed { host, state, old, new, clean };
        bed.back();
        bed
    }

    fn now(&self) -> String {
        (self.state)(&self.host)
    }

    /// Back to 1.0, where that is not what is there.
    #[track_caller]
    fn back(&self) {
        self.host.must("systemctl reset-failed");
        if self.now() != self.old {
            self.host.relift(&["rollback", "app", "--yes"]).exits(0);
            self.host.sh(self.clean);
        }
        assert_eq!(self.now(), self.old);
    }

    /// Kills runs before and after records, and recovers.
    fn kill_at_records(&self, run: &str, points: impl Iterator<Item = usize>, figure: &mut Figure) {
        for at in points {
            self.back();
            let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
            let out = killed(&self.host, &point, run);
            if out.code != 137 {
                // There is no such record.
                assert_eq!(out.code, if run == GOOD { 0 } else { 3 }, "{out}");
                return;
            }
            let out = self.host.relift(&["recover", "app"]);
            let now = self.now();
            figure.count(match () {
                () if out.code != 0 => Err(format!("{run}, {point}: {out}")),
                () if now == self.old => Ok(Ended::Old),
                () if now == self.new && run == GOOD => Ok(Ended::New),
                () => Err(format!("{run}, {point}: {out}\n{}\n{now}", self.old)),
            });
        }
    }

    /// The engine and the package manager die together, in the middle of a script of the package that sleeps.
    fn kill_in_a_script(&self, version: &str, processes: &str) {
        self.back();
        self.host.must(&format!(
            "relift upgrade app --yes --to {version} >/dev/null 2>&1 & until pgrep -x sleep -a | grep -q 'sleep 600'; do sleep 0.05; done
             kill -9 $! {processes}; true"
        ));
    }
}

#[test]
fn a_run_killed_at_any_record_is_undone_or_finished_with_all_of_its_packages() {
    let bed = Bed::new(host(), state, "apt-get -q -y purge appdep");
    let mut figure = Figure::new("records, apt", "SIGKILL before and after each record of the journal", "run");
    let step = if is_soak() { 1 } else { 14 };
    bed.kill_at_records(GOOD, (5..).step_by(step), &mut figure);
    bed.kill_at_records(FAIL, (if is_soak() { 5 } else { 33 }..).step_by(step), &mut figure);
    assert!(figure.times() > 2, "only {} points were reached", figure.times());
    figure.publish();

    bed.kill_in_a_script("1.5", "$(pgrep -x dpkg) $(pgrep -x apt-get)");
    assert!(bed.host.must("dpkg --audit").contains("app"));
    bed.host.relift(&["recover", "app"]).exits(0);
    assert_eq!(bed.now(), bed.old);
}

#[test]
fn a_run_of_dnf_killed_at_any_record_is_undone_or_finished_with_all_of_its_packages() {
    let host = with_rpms();
    rpm(&host, "appdep", "1.0", "");
    rpm(&host, "app", "1.1", "appdep");
    rpm(&host, "app", "1.3", "appdep");
    rpm_with(&host, "app", "1.5", "appdep", "sleep 600");
    host.must("createrepo_c --quiet /srv/rpm; sed -i s/blue/red/ /etc/app/app.conf");
    configure(&host, MERGE);
    let bed = Bed::new(host, state_of_rpms, "rpm -e --force-debian appdep");
    let mut figure = Figure::new("records, dnf", "SIGKILL before and after each record of the journal", "run");
    if is_soak() {
        bed.kill_at_records(GOOD, 5.., &mut figure);
        bed.kill_at_records(FAIL, 5.., &mut figure);
    } else {
        // From when the packages are there and nothing else is: dnf takes its time.
        bed.kill_at_records(GOOD, (13..).step_by(3).take(rounds(1, 0)), &mut figure);
    }
    assert!(figure.times() > 0, "no point was reached");
    figure.publish();

    bed.kill_in_a_script("1.5", "$(pgrep -x rpm)");
    assert_eq!(bed.host.must("rpm -q app | wc -l"), "2", "both are there: rpm was between the new one and the old one");
    bed.host.relift(&["recover", "app"]).exits(0);
    assert_eq!(bed.now(), bed.old);
}
