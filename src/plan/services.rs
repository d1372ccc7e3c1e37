//! What happens to running units, and why.

use super::subject::Subject;
use super::unit::Impact;
use super::units::Work;
use super::{FileChange, ServiceChange, UnitPlan};
use crate::host::systemd::UnitState;
use crate::manifest::{Component, RestartPolicy, Scope, Unit};
use crate::survey::Surveyed;

/// Why a unit is started again of which nothing changed.
const QUIESCED: &str = "it is stopped for the backup";

/// Plans the running units of a component.
pub(super) fn plan(subject: &Subject, work: &[Work], runs_steps: bool) -> Vec<UnitPlan> {
    let mut plans = Vec::new();
    for ((unit, here), work) in subject.component.units.iter().zip(&subject.surveyed.units).zip(work) {
        for (name, state) in &here.states {
            let (service, why) = decide(subject, unit, state, work, runs_steps);
            plans.push(UnitPlan {
                name: name.clone(),
                scope: unit.scope,
                file: work.file,
                settings: work.settings.clone(),
                lifted: work.lifted,
                is_dormant: is_dormant(state, service),
                service,
                why,
            });
        }
    }
    plans
}

fn decide(subject: &Subject, unit: &Unit, state: &UnitState, work: &Work, runs_steps: bool) -> (ServiceChange, String) {
    let is_service = unit.file.file_name().ends_with(".service");
    if state.is_masked() {
        return (ServiceChange::LeftAlone, "masked".into());
    }
    if work.file == FileChange::Removed {
        let why = "the release that is gone back to does not have it";
        return match is_wanted_up(state) {
            true => (ServiceChange::Stop, why.into()),
            false => (ServiceChange::LeftAlone, why.into()),
        };
    }
    if work.file == FileChange::Installed && work.is_static {
        return (
            ServiceChange::LeftAlone,
            "the unit is new here, and has no [Install]: something else starts it".into(),
        );
    }
    if work.file == FileChange::Installed {
        return (ServiceChange::Start, "the unit is new here".into());
    }
    if !is_wanted_up(state) {
        let why = match state.file.as_str() {
            "disabled" => "disabled and stopped",
            "static" => "not running; something else starts it",
            _ => "stopped",
        };
        return (ServiceChange::LeftAlone, why.into());
    }
    let cause = match work.impact() {
        Impact::Restart => Some("its unit changed"),
        _ if !is_service => subject.quiesces.then_some(QUIESCED),
        _ if subject.runs_older => Some("its process is older than the checkout"),
        _ if subject.code_changed() => Some("the component changed"),
        _ if subject.env_changed => Some(".env changed"),
        _ if runs_steps => Some("a step ran"),
        _ if subject.quiesces => Some(QUIESCED),
        _ => None,
    };
    let needs_reload = work.impact() == Impact::Reload;
    match (unit.restart, cause) {
        (RestartPolicy::Never, _) => (ServiceChange::Untouched, "restart = \"never\"".into()),
        (RestartPolicy::Always, None) => (ServiceChange::Restart, "restart = \"always\"".into()),
        // What is not up reads nothing again: systemd refuses to reload it.
        (RestartPolicy::Reload, Some(cause))
            if work.impact() != Impact::Restart && state.is_active() && !subject.quiesces =>
        {
            (ServiceChange::Reload, cause.into())
        }
        (_, Some(cause)) => (ServiceChange::Restart, cause.into()),
        (_, None) if needs_reload => (ServiceChange::Untouched, "a daemon-reload is enough".into()),
        (_, None) => (ServiceChange::Untouched, "nothing of it changed".into()),
    }
}

/// Whether a unit is meant to be up: a failed one is, a stopped one is not.
fn is_wanted_up(state: &UnitState) -> bool {
    state.is_active() || matches!(state.active.as_str(), "activating" | "failed" | "deactivating")
}

fn is_dormant(state: &UnitState, service: ServiceChange) -> bool {
    service == ServiceChange::Untouched && !state.is_active() || state.kind == "oneshot"
}

/// Whether a process of the component was started before the checkout was last moved, by hand.
pub(super) fn run_older_code(surveyed: &Surveyed, head_moved: i64) -> bool {
    let started = surveyed.units.iter().flat_map(|unit| &unit.states).filter(|(_, state)| state.main_pid != 0);
    started
        .map(|(_, state)| (state.main_started_us / 1_000_000) as i64)
        .any(|started| head_moved > 0 && started < head_moved)
}

/// The units of a component that a manager may know.
pub(super) fn names(component: &Component, surveyed: &Surveyed) -> Vec<(Scope, String)> {
    let pairs = component.units.iter().zip(&surveyed.units);
    pairs.flat_map(|(unit, here)| here.states.iter().map(|(name, _)| (unit.scope, name.clone()))).collect()
}
