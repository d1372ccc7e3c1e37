//! The timers: whether anything happens by itself on this host, and when it does next.

use super::Finding;
use super::Section::Services;
use crate::host::systemd::UnitState;

/// What was seen of a timer.
#[derive(Debug, Clone)]
pub struct Timer {
    /// Its unit.
    pub unit: String,
    /// What it starts; `None` where the manager did not say.
    pub state: Option<UnitState>,
    /// Whether the service that it starts, or itself, was changed since systemd read it.
    pub is_stale: bool,
    /// When it fires next, in systemd's words; empty where it does not.
    pub next: String,
    /// What it does, for a person.
    pub what: String,
    /// The install whose policy lets no run begin by itself, where it is such a one's.
    pub refused_by: Option<String>,
}

/// What is found about a timer. That there is none is no fault: a person, cron or a hook may do the same.
pub fn judge(timer: &Timer) -> Finding {
    let subject = timer.unit.as_str();
    let without = format!("{} only when somebody does it", timer.what);
    let Some(state) = &timer.state else {
        return Finding::warning(Services, subject, "could not be looked at")
            .mend(format!("systemctl status {subject}"));
    };
    let is_enabled = state.file.starts_with("enabled");
    match state {
        state if state.is_masked() => Finding::ok(Services, subject, format!("is masked: {without}")),
        state if state.load == "not-found" => Finding::ok(Services, subject, format!("is not installed: {without}")),
        _ if timer.is_stale => Finding::warning(Services, subject, "or its service was changed since systemd read it")
            .means("it goes on as it was before")
            .mend("systemctl daemon-reload"),
        _ if !is_enabled && !state.is_active() => Finding::ok(Services, subject, format!("is not enabled: {without}")),
        _ => match (&timer.refused_by, is_enabled, timer.next.as_str()) {
            (Some(install), ..) => Finding::warning(Services, subject, "runs, and every run is refused")
                .means(format!("the manifest of {install} says unattended = \"none\""))
                .mend(format!("systemctl disable --now {subject}")),
            (None, _, "") => Finding::warning(Services, subject, "is enabled, and will not fire")
                .means(without)
                .mend(format!("systemctl restart {subject}")),
            (None, true, next) => Finding::ok(Services, subject, format!("is enabled, and fires next on {next}")),
            (None, false, next) => {
                Finding::warning(Services, subject, format!("fires next on {next}, and is not enabled"))
                    .means("it does not come back with the next boot")
                    .mend(format!("systemctl enable {subject}"))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level::{self, Warning};
    use super::*;

    fn found(change: impl FnOnce(&mut Timer, &mut UnitState)) -> (Level, String) {
        let mut state = UnitState {
            load: "loaded".into(),
            file: "enabled".into(),
            active: "active".into(),
            ..UnitState::default()
        };
        let mut timer = Timer {
            unit: "relift-upgrade@app.timer".into(),
            state: None,
            is_stale: false,
            next: "Mon 2026-11-23 02:14:31 UTC".into(),
            what: "app is upgraded".into(),
            refused_by: None,
        };
        change(&mut timer, &mut state);
        let finding = judge(&Timer { state: Some(state), ..timer });
        (finding.level, finding.what)
    }

    #[test]
    fn a_timer_is_told_with_its_next_time_and_one_that_is_not_there_is_no_fault() {
        assert_eq!(found(|_, _| {}), (Level::Ok, "is enabled, and fires next on Mon 2026-11-23 02:14:31 UTC".into()));
        let off = |_: &mut Timer, state: &mut UnitState| {
            (state.file, state.active) = ("disabled".into(), "inactive".into());
        };
        assert_eq!(found(off), (Level::Ok, "is not enabled: app is upgraded only when somebody does it".into()));
        assert_eq!(found(|_, state| state.load = "not-found".into()).0, Level::Ok);
        assert_eq!(found(|_, state| state.load = "masked".into()).0, Level::Ok);
    }

    #[test]
    fn a_timer_that_does_nothing_or_not_for_long_is_a_warning() {
        assert_eq!(found(|timer, _| timer.next.clear()), (Warning, "is enabled, and will not fire".into()));
        assert_eq!(found(|timer, _| timer.is_stale = true).0, Warning);
        assert_eq!(found(|timer, _| timer.refused_by = Some("app".into())).0, Warning);
        assert_eq!(found(|_, state| state.file = "disabled".into()).0, Warning);
    }
}
