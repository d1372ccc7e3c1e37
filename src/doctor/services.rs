//! systemd: whether it is there, answers, and does what a run asks of it.

use super::Section::Services;
use super::{Finding, Tried};
use crate::host::systemd::UnitState;

/// What was seen of systemd.
#[derive(Debug, Clone)]
pub struct Observed {
    /// sd_booted(3).
    pub is_booted: bool,
    /// The name of PID 1.
    pub first_process: String,
    /// What `systemctl --version` says, first line.
    pub version: Option<String>,
    /// Whether the system manager answered on the system bus.
    pub answers: Tried<()>,
    /// The unit that recovers at boot.
    pub recover: Option<UnitState>,
    /// What it is ordered after, by the manager.
    pub recover_after: Vec<String>,
    /// What trying a transient unit with a bound came to.
    pub transient: Tried<Transient>,
    /// What `policy-rc.d` answers for a restart; `None`: there is none.
    pub policy: Option<Tried<i32>>,
    /// Whether the journal can be read.
    pub journal: Tried<()>,
    /// Whether `systemd-analyze verify` takes a good unit and refuses a bad one.
    pub verify: Tried<(bool, bool)>,
}

/// What became of a transient unit that would have gone on for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transient {
    /// systemd's word for its end.
    pub result: String,
    /// Processes that were left in its cgroup.
    pub left: usize,
}

/// An account whose user manager an install needs.
#[derive(Debug, Clone)]
pub struct User {
    /// Login name.
    pub name: String,
    /// Whether it lingers, as logind says.
    pub lingers: Tried<bool>,
    /// Whether its user manager answered.
    pub answers: Tried<()>,
}

/// The oldest systemd that is known to do all of it: that of Debian 12 and Ubuntu 22.04.
const OLDEST: u32 = 249;

/// What is found about systemd.
pub fn judge(seen: &Observed, users: &[User]) -> Vec<Finding> {
    let mut found = vec![version(seen), bus(seen)];
    found.push(transient(&seen.transient));
    found.push(recover(seen.recover.as_ref(), &seen.recover_after));
    found.extend(seen.policy.as_ref().map(policy));
    found.push(match &seen.journal {
        Ok(()) => Finding::ok(Services, "journal", "can be read"),
        Err(why) => Finding::warning(Services, "journal", format!("cannot be read: {why}"))
            .means(
                "a failure is told without the last lines of the service, and health by the journal cannot be judged",
            )
            .mend("systemctl status systemd-journald"),
    });
    found.push(match &seen.verify {
        Ok((true, true)) => Finding::ok(Services, "systemd-analyze verify", "takes a good unit and refuses a bad one"),
        Ok(_) => Finding::warning(Services, "systemd-analyze verify", "does not tell a good unit from a bad one")
            .means("mistakes in units show only when they are started"),
        Err(why) => Finding::problem(Services, "systemd-analyze verify", format!("does not work: {why}"))
            .means("units are not checked before they are installed, and a run that changes one stops")
            .mend("apt-get install --reinstall systemd"),
    });
    found.extend(users.iter().map(user));
    found
}

fn version(seen: &Observed) -> Finding {
    if !seen.is_booted || seen.first_process != "systemd" {
        return Finding::problem(Services, "systemd", format!("PID 1 is {}, not systemd", seen.first_process))
            .means("services cannot be restarted, and steps cannot be bounded")
            .mend("boot this host with systemd");
    }
    let number = seen.version.as_deref().and_then(|text| text.split_whitespace().nth(1)?.parse::<u32>().ok());
    match (number, &seen.version) {
        (Some(number), _) if number < OLDEST => {
            Finding::warning(Services, "systemd", format!("{number} is older than {OLDEST}"))
                .means("relift was never tried with it")
        }
        (Some(_), Some(text)) => Finding::ok(Services, "systemd", text.clone()),
        _ => Finding::warning(Services, "systemd", "does not tell its version").mend("systemctl --version"),
    }
}

fn bus(seen: &Observed) -> Finding {
    match &seen.answers {
        Ok(()) => Finding::ok(Services, "D-Bus", "the system manager answers"),
        Err(why) => Finding::problem(Services, "D-Bus", format!("the system manager does not answer: {why}"))
            .means("no service can be restarted or looked at: a run stops before its first change")
            .mend("systemctl start dbus.socket dbus.service"),
    }
}

fn transient(tried: &Tried<Transient>) -> Finding {
    let subject = "transient units";
    match tried {
        Ok(Transient { result, left: 0 }) if result == "timeout" => {
            Finding::ok(Services, subject, "one was started, ended at its bound, and left no process")
        }
        Ok(Transient { result, left: 0 }) => Finding::problem(
            Services,
            subject,
            format!("one that should have been ended at its bound was told as {result}"),
        )
        .means("a step could go on for ever"),
        Ok(Transient { left, .. }) => Finding::problem(Services, subject, format!("one left {left} processes behind"))
            .means("a step could go on to write after its end")
            .mend("systemd-cgls /system.slice"),
        Err(why) => Finding::problem(Services, subject, format!("cannot be started: {why}"))
            .means("steps, checks and probes cannot be run")
            .mend("systemctl status; journalctl -b -p warning _PID=1"),
    }
}

fn recover(unit: Option<&UnitState>, after: &[String]) -> Finding {
    let subject = "relift-recover.service";
    let means = "a run that a power cut interrupts is not undone at boot, but when somebody runs relift recover";
    let Some(unit) = unit else {
        return Finding::warning(Services, subject, "could not be looked at").means(means);
    };
    match unit {
        unit if unit.is_masked() => Finding::problem(Services, subject, "is masked")
            .means(means)
            .mend("systemctl unmask relift-recover.service && systemctl enable relift-recover.service"),
        unit if unit.load == "not-found" => Finding::warning(Services, subject, "is not installed")
            .means(means)
            .mend("install units/relift-recover.service of relift, then systemctl enable relift-recover.service"),
        unit if !unit.file.starts_with("enabled") => Finding::problem(
            Services,
            subject,
            format!("is {}", if unit.file.is_empty() { "not enabled" } else { &unit.file }),
        )
        .means(means)
        .mend("systemctl enable relift-recover.service"),
        _ if !["local-fs.target", "dbus.service"].iter().all(|wanted| after.iter().any(|unit| unit == wanted)) => {
            Finding::problem(Services, subject, "is not ordered after local-fs.target and dbus.service")
                .means("at boot it may start before the disks and the bus are there")
                .mend("systemctl revert relift-recover.service")
        }
        _ => Finding::ok(Services, subject, "is enabled, and ordered after the disks and the bus"),
    }
}

fn policy(answer: &Tried<i32>) -> Finding {
    let subject = "/usr/sbin/policy-rc.d";
    match answer {
        Ok(0 | 104) => Finding::ok(Services, subject, "allows restarts"),
        Ok(code) => {
            Finding::warning(Services, subject, format!("forbids packages to restart services (it answers {code})"))
                .means("relift restarts its own units all the same; services of packages stay as they were")
                .mend("rm /usr/sbin/policy-rc.d, where it was left behind")
        }
        Err(why) => {
            Finding::warning(Services, subject, format!("was not asked: {why}")).mend("ls -l /usr/sbin/policy-rc.d")
        }
    }
}

fn user(user: &User) -> Finding {
    let subject = format!("user manager of {}", user.name);
    let linger = format!("loginctl enable-linger {}", crate::text::word(&user.name));
    match (&user.lingers, &user.answers) {
        (Ok(true), Ok(())) => Finding::ok(Services, subject, "answers, and runs from boot on"),
        (_, Err(why)) => Finding::problem(Services, subject, format!("does not answer: {why}"))
            .means("units of scope \"user\" can be neither looked at nor restarted")
            .mend(linger),
        (Ok(false), _) => {
            Finding::problem(Services, subject, "runs only while somebody is logged in: lingering is off")
                .means("its services end with the last login, and do not start at boot")
                .mend(linger)
        }
        (Err(why), _) => Finding::warning(Services, subject, format!("whether it lingers is not known: {why}"))
            .mend("loginctl list-users"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::{self, Problem, Warning};
    use super::*;

    fn sound() -> Observed {
        let recover = UnitState { load: "loaded".into(), file: "enabled".into(), ..UnitState::default() };
        Observed {
            is_booted: true,
            first_process: "systemd".into(),
            version: Some("systemd 252 (252.39-1~deb12u1)".into()),
            answers: Ok(()),
            recover: Some(recover),
            recover_after: vec!["local-fs.target".into(), "dbus.service".into()],
            transient: Ok(Transient { result: "timeout".into(), left: 0 }),
            policy: Some(Ok(0)),
            journal: Ok(()),
            verify: Ok((true, true)),
        }
    }

    fn worst(change: impl FnOnce(&mut Observed)) -> (Level, String) {
        let mut seen = sound();
        change(&mut seen);
        let found = judge(&seen, &[]).into_iter().max_by_key(|finding| finding.level).unwrap();
        (found.level, found.subject)
    }

    #[test]
    fn a_sound_systemd_has_nothing_but_ok() {
        assert_eq!(worst(|_| {}).0, Level::Ok);
    }

    #[test]
    fn each_fault_of_systemd_has_its_finding() {
        let unit =
            |load: &str, file: &str| Some(UnitState { load: load.into(), file: file.into(), ..UnitState::default() });
        assert_eq!(worst(|seen| seen.first_process = "dumb-init".into()), (Problem, "systemd".into()));
        assert_eq!(worst(|seen| seen.version = Some("systemd 245 (245.4)".into())), (Warning, "systemd".into()));
        assert_eq!(worst(|seen| seen.version = None), (Warning, "systemd".into()));
        assert_eq!(worst(|seen| seen.answers = Err("refused".into())), (Problem, "D-Bus".into()));
        let recover = |level| (level, "relift-recover.service".to_owned());
        assert_eq!(worst(|seen| seen.recover = unit("masked", "masked")), recover(Problem));
        assert_eq!(worst(|seen| seen.recover = unit("loaded", "disabled")), recover(Problem));
        assert_eq!(worst(|seen| seen.recover = unit("not-found", "")), recover(Warning));
        assert_eq!(worst(|seen| seen.recover = None), recover(Warning));
        assert_eq!(worst(|seen| seen.recover_after.clear()), recover(Problem));
        let units = |level| (level, "transient units".to_owned());
        assert_eq!(worst(|seen| seen.transient = Err("denied".into())), units(Problem));
        assert_eq!(worst(|seen| seen.transient = Ok(Transient { result: "success".into(), left: 0 })), units(Problem));
        assert_eq!(worst(|seen| seen.transient = Ok(Transient { result: "timeout".into(), left: 1 })), units(Problem));
        assert_eq!(worst(|seen| seen.policy = Some(Ok(101))), (Warning, "/usr/sbin/policy-rc.d".into()));
        assert_eq!(worst(|seen| seen.policy = Some(Err("x".into()))), (Warning, "/usr/sbin/policy-rc.d".into()));
        assert_eq!(worst(|seen| seen.journal = Err("x".into())), (Warning, "journal".into()));
        assert_eq!(worst(|seen| seen.verify = Ok((true, false))).0, Warning);
        assert_eq!(worst(|seen| seen.verify = Err("x".into())).0, Problem);
    }

    #[test]
    fn a_user_manager_has_to_answer_and_to_linger() {
        let level =
            |lingers: Tried<bool>, answers: Tried<()>| user(&User { name: "app".into(), lingers, answers }).level;
        assert_eq!(level(Ok(true), Ok(())), Level::Ok);
        assert_eq!(level(Ok(false), Ok(())), Problem);
        assert_eq!(level(Ok(true), Err("no bus".into())), Problem);
        assert_eq!(level(Err("no logind".into()), Ok(())), Warning);
    }
}
