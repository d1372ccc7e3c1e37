//! Whether a unit is up, from what its manager says of it: a pure decision over samples.

use std::time::Duration;

use crate::host::systemd::UnitState;

/// How long a process must have lived before its unit counts as up, where nothing but the unit tells: most of what fails
/// at start (configuration, imports, a port taken) fails within it.
pub(super) const ALONE: Duration = Duration::from_secs(2);
/// The same where a probe has answered as well: that is evidence already, so that only the early death remains to be seen.
pub(super) const PROBED: Duration = Duration::from_secs(1);

/// What a sample says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is up, and has been for long enough.
    Up,
    /// It is up, and this long is missing to be believed.
    Settling(Duration),
    /// It is on its way.
    Waiting(String),
    /// It is not, and will not be by waiting.
    Failed(String),
}

/// And where this release has run here before, as it comes back now: that it can live is known, that it came up is seen.
pub(super) const KNOWN: Duration = Duration::from_millis(250);

/// A unit that is being watched.
#[derive(Debug)]
pub(super) struct Watch {
    old_invocation: Option<String>,
    settle: Duration,
    /// The automatic restarts that it may have had.
    restarts: Option<u32>,
    been_up: bool,
}

impl Watch {
    /// For a unit whose invocation before the restart was this (`None`: it was not restarted), and whose process must
    /// have lived for `settle`.
    pub(super) fn new(old_invocation: Option<String>, settle: Duration) -> Watch {
        // One that was restarted counts its automatic restarts from 0 again.
        let restarts = old_invocation.is_some().then_some(0);
        Watch { old_invocation, settle, restarts, been_up: false }
    }

    /// How long its process must have lived.
    #[cfg(test)]
    pub(super) fn settle(&self) -> Duration {
        self.settle
    }

    /// Judges a sample taken at `now` of the monotonic clock.
    pub(super) fn see(&mut self, now: Duration, state: &UnitState) -> Verdict {
        let verdict = self.judge(now, state);
        self.been_up |= matches!(verdict, Verdict::Up | Verdict::Settling(_));
        verdict
    }

    fn judge(&mut self, now: Duration, state: &UnitState) -> Verdict {
        match state.load.as_str() {
            "not-found" => return Verdict::Failed("is not installed".into()),
            "masked" => return Verdict::Failed("is masked".into()),
            "bad-setting" | "error" => return Verdict::Failed(format!("cannot be loaded: {}", state.load_error)),
            _ => {}
        }
        if state.is_active() && self.is_old(state) {
            return match state.has_job {
                true => Verdict::Waiting("is still what ran before the restart".into()),
                false => Verdict::Failed("was not restarted: it is still what ran before".into()),
            };
        }
        let allowed = *self.restarts.get_or_insert(state.restarts);
        // Somebody else's restart starts the count again.
        self.restarts = Some(allowed.min(state.restarts));
        if state.restarts > allowed {
            let times = state.restarts - allowed;
            let times = if times == 1 { "once".into() } else { format!("{times} times") };
            return Verdict::Failed(format!("did not stay up: systemd restarted it {times}{}", after(state)));
        }
        match state.active.as_str() {
            "active" | "reloading" => self.active(now, state),
            "activating" if state.sub == "auto-restart" => {
                Verdict::Failed(format!("did not stay up: systemd is about to restart it{}", after(state)))
            }
            "activating" => Verdict::Waiting(format!("is starting ({})", state.sub)),
            "deactivating" => Verdict::Waiting(format!("is stopping ({})", state.sub)),
            "failed" => Verdict::Failed(format!("failed ({}){}", state.result, after(state))),
            "inactive" => self.inactive(state),
            other => Verdict::Waiting(format!("is {other}")),
        }
    }

    fn is_old(&self, state: &UnitState) -> bool {
        self.old_invocation.as_ref().is_some_and(|old| *old == state.invocation)
    }

    fn active(&self, now: Duration, state: &UnitState) -> Verdict {
        let up = now.saturating_sub(Duration::from_micros(state.active_since_monotonic_us));
        // Timers, sockets, targets, and services that have done their work and remain have nothing that could die.
        let has_process = !state.kind.is_empty() && state.sub != "exited";
        match self.settle.checked_sub(up) {
            Some(left) if has_process && left > Duration::ZERO => Verdict::Settling(left),
            _ => Verdict::Up,
        }
    }

    fn inactive(&self, state: &UnitState) -> Verdict {
        let does_its_work_and_ends = state.kind == "oneshot" && !state.remains && state.result == "success";
        if state.has_job {
            Verdict::Waiting("is about to start".into())
        } else if !state.conditions_met {
            Verdict::Failed("was not started: its conditions (Condition...=) are not met".into())
        } else if self.is_old(state) && !state.invocation.is_empty() {
            // Without an invocation it may have done its work and been forgotten, as systemd does with what nobody needs.
            Verdict::Failed("was not started".into())
        } else if does_its_work_and_ends {
            Verdict::Up
        } else if self.been_up || state.main_ended_us != 0 {
            Verdict::Failed(format!("did not stay up{}", after(state)))
        } else {
            Verdict::Failed("does not run".into())
        }
    }
}

/// How the last main process ended, and after how long: `: its main process exited with 1 after 0.3 s`.
fn after(state: &UnitState) -> String {
    let Some(ending) = state.main_ending() else {
        return String::new();
    };
    let lived = Duration::from_micros(state.main_ended_us.saturating_sub(state.main_started_us));
    // While the next one runs already, the times are of two processes.
    let ordered = state.main_started_us != 0 && state.main_ended_us >= state.main_started_us;
    let lived = if ordered { format!(" after {:.1} s", lived.as_secs_f64()) } else { String::new() };
    format!(": its main process {ending}{lived}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    /// A service that became active this many milliseconds before [`NOW`].
    fn running(millis: u64) -> UnitState {
        UnitState {
            load: "loaded".into(),
            active: "active".into(),
            sub: "running".into(),
            result: "success".into(),
            kind: "simple".into(),
            invocation: "new".into(),
            main_pid: 7,
            active_since_monotonic_us: 1_000_000_000 - millis * 1000,
            conditions_met: true,
            ..UnitState::default()
        }
    }

    fn died(active: &str, sub: &str) -> UnitState {
        UnitState {
            active: active.into(),
            sub: sub.into(),
            result: "exit-code".into(),
            main_pid: 0,
            main_code: libc::CLD_EXITED,
            main_status: 1,
            main_started_us: 1_000_000,
            main_ended_us: 1_300_000,
            ..running(0)
        }
    }

    fn oneshot() -> UnitState {
        let ended = UnitState { result: "success".into(), main_status: 0, ..died("inactive", "dead") };
        UnitState { kind: "oneshot".into(), ..ended }
    }

    fn restarted() -> Watch {
        Watch::new(Some("old".into()), ALONE)
    }

    fn failure(watch: &mut Watch, state: UnitState) -> String {
        match watch.see(NOW, &state) {
            Verdict::Failed(why) => why,
            other => panic!("{other:?} of {state:?}"),
        }
    }

    #[test]
    fn a_young_process_is_not_believed_yet() {
        assert_eq!(restarted().see(NOW, &running(500)), Verdict::Settling(Duration::from_millis(1500)));
        assert_eq!(restarted().see(NOW, &running(2000)), Verdict::Up);
        assert_eq!(Watch::new(None, ALONE).see(NOW, &running(3_600_000 / 4)), Verdict::Up);
    }

    #[test]
    fn a_process_that_dies_soon_fails_its_unit_at_once() {
        let mut watch = restarted();
        assert!(matches!(watch.see(NOW, &running(100)), Verdict::Settling(_)));
        let why = failure(&mut watch, died("activating", "auto-restart"));
        assert_eq!(why, "did not stay up: systemd is about to restart it: its main process exited with 1 after 0.3 s");
        let why = failure(&mut restarted(), died("failed", "failed"));
        assert_eq!(why, "failed (exit-code): its main process exited with 1 after 0.3 s");
    }

    #[test]
    fn a_restart_between_two_samples_is_seen_by_its_count() {
        let mut watch = restarted();
        let again = UnitState { restarts: 1, ..running(5000) };
        assert!(failure(&mut watch, again.clone()).contains("restarted it once"));
        let mut unchanged = Watch::new(None, ALONE);
        assert_eq!(unchanged.see(NOW, &again), Verdict::Up);
        assert!(failure(&mut unchanged, UnitState { restarts: 3, ..running(5000) }).contains("2 times"));
    }

    #[test]
    fn a_restart_by_the_operator_is_no_failure_and_settles_anew() {
        let mut watch = Watch::new(None, ALONE);
        assert_eq!(watch.see(NOW, &UnitState { restarts: 4, ..running(5000) }), Verdict::Up);
        let by_hand = UnitState { invocation: "third".into(), ..running(1000) };
        assert_eq!(watch.see(NOW, &by_hand), Verdict::Settling(Duration::from_secs(1)));
        assert!(failure(&mut watch, UnitState { restarts: 1, ..running(5000) }).contains("once"));
    }

    #[test]
    fn what_ran_before_the_restart_does_not_count() {
        let old = UnitState { invocation: "old".into(), restarts: 9, ..running(5000) };
        assert!(failure(&mut restarted(), old.clone()).contains("not restarted"));
        assert!(matches!(restarted().see(NOW, &UnitState { has_job: true, ..old }), Verdict::Waiting(_)));
    }

    #[test]
    fn a_service_that_ended_well_is_down_all_the_same() {
        let ended = UnitState { result: "success".into(), main_status: 0, ..died("inactive", "dead") };
        assert_eq!(failure(&mut restarted(), ended), "did not stay up: its main process exited with 0 after 0.3 s");
    }

    #[test]
    fn a_oneshot_that_did_its_work_is_up() {
        assert_eq!(restarted().see(NOW, &oneshot()), Verdict::Up);
        assert_eq!(
            Watch::new(None, ALONE).see(NOW, &UnitState { invocation: String::new(), ..oneshot() }),
            Verdict::Up
        );
        let forgotten = UnitState { kind: "oneshot".into(), active: "inactive".into(), main_pid: 0, ..running(0) };
        let forgotten = UnitState { invocation: String::new(), ..forgotten };
        assert_eq!(Watch::new(Some(String::new()), ALONE).see(NOW, &forgotten), Verdict::Up);
        let working = UnitState { active: "activating".into(), sub: "start".into(), ..oneshot() };
        assert!(matches!(restarted().see(NOW, &working), Verdict::Waiting(_)));
        let remaining = UnitState { active: "active".into(), sub: "exited".into(), remains: true, ..oneshot() };
        assert_eq!(restarted().see(NOW, &remaining), Verdict::Up);
    }

    #[test]
    fn a_oneshot_that_did_not_run_or_failed_is_not() {
        assert_eq!(failure(&mut restarted(), UnitState { invocation: "old".into(), ..oneshot() }), "was not started");
        assert!(
            failure(&mut restarted(), UnitState { active: "failed".into(), result: "exit-code".into(), ..oneshot() })
                .starts_with("failed (exit-code)")
        );
        assert!(failure(&mut restarted(), UnitState { remains: true, ..oneshot() }).contains("did not stay up"));
    }

    #[test]
    fn timers_and_sockets_need_no_process() {
        let timer = UnitState { kind: String::new(), sub: "waiting".into(), main_pid: 0, ..running(0) };
        assert_eq!(restarted().see(NOW, &timer), Verdict::Up);
        let down = UnitState { active: "inactive".into(), sub: "dead".into(), ..timer };
        assert_eq!(failure(&mut restarted(), down), "does not run");
    }

    #[test]
    fn units_that_cannot_be_started_say_why() {
        for (load, words) in [("not-found", "not installed"), ("masked", "masked"), ("bad-setting", "it is broken")] {
            let state = UnitState { load: load.into(), load_error: "it is broken".into(), ..UnitState::default() };
            assert!(failure(&mut restarted(), state).contains(words));
        }
        let unmet = UnitState { conditions_met: false, ..died("inactive", "dead") };
        assert!(failure(&mut restarted(), unmet).contains("conditions"));
        let limit = UnitState { result: "start-limit-hit".into(), ..died("failed", "failed") };
        assert!(
            failure(&mut restarted(), limit).starts_with("failed (start-limit-hit): its main process exited with 1")
        );
    }
}
