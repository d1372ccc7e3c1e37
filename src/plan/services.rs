//! What happens to running units, and why.

use super::moves::scope_name;
use super::subject::Subject;
use super::unit::Impact;
use super::units::Work;
use super::{FileChange, ServiceChange, UnitPlan};
use crate::host::systemd::UnitState;
use crate::manifest::{Component, RestartPolicy, Scope, Unit};
use crate::survey::{Surveyed, SurveyedUnit};

/// Why a unit is started again of which nothing changed.
const QUIESCED: &str = "it is stopped for the backup";

/// Plans the running units of a component.
pub(super) fn plan(subject: &Subject, work: &[Work], runs_steps: bool) -> Vec<UnitPlan> {
    let mut plans = Vec::new();
    for ((unit, here), work) in subject.component.units.iter().zip(&subject.surveyed.units).zip(work) {
        plans.extend(leaving(unit, here, work));
        for (name, state) in &here.states {
            let (service, why) = decide(subject, unit, (name, state), work, runs_steps);
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

/// What happens to the units in the scope that they are moved out of. One that is declared there as well is planned as that.
fn leaving(unit: &Unit, here: &SurveyedUnit, work: &Work) -> Vec<UnitPlan> {
    let (Some(leaves), Some(old)) = (&work.leaves, &here.elsewhere) else { return Vec::new() };
    if leaves.swaps.iter().all(|swap| swap.path != old.file) {
        return Vec::new();
    }
    let plan = |(name, state): &(String, UnitState)| UnitPlan {
        name: name.clone(),
        scope: leaves.scope,
        file: leaves.file,
        settings: Vec::new(),
        lifted: false,
        service: if is_wanted_up(state) { ServiceChange::Stop } else { ServiceChange::LeftAlone },
        why: format!("it moves to the {} scope", scope_name(unit.scope)),
        is_dormant: state.kind == "oneshot",
    };
    old.states.iter().map(plan).collect()
}

/// What happens to a unit that comes from the other scope: it is there what it was here.
fn arriving(name: &str, work: &Work) -> Option<(ServiceChange, String)> {
    let origin = work.origin.as_ref()?;
    let from = scope_name(origin.scope);
    let state = origin.state(name)?;
    Some(match () {
        () if state.is_masked() => (ServiceChange::LeftAlone, format!("masked in the {from} scope")),
        () if is_wanted_up(state) => (ServiceChange::Start, format!("it moves from the {from} scope")),
        () if state.file == "disabled" => {
            (ServiceChange::LeftAlone, format!("it moves from the {from} scope, where it was disabled and stopped"))
        }
        () => (ServiceChange::LeftAlone, format!("it moves from the {from} scope, where it was stopped")),
    })
}

fn decide(
    subject: &Subject,
    unit: &Unit,
    (name, state): (&str, &UnitState),
    work: &Work,
    runs_steps: bool,
) -> (ServiceChange, String) {
    if let Some(decided) = arriving(name, work) {
        return decided;
    }
    let is_service = unit.file.file_name().ends_with(".service");
    if state.is_masked() {
        return (ServiceChange::LeftAlone, "masked".into());
    }
    if work.file == FileChange::Removed {
        let why = match subject.is_rollback {
            true => "the release that is gone back to does not have it",
            false => "the release no longer has it",
        };
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
            _ if state.load == "not-found" => "not installed, and the release does not have it",
            "disabled" => "disabled and stopped",
            "static" => "not running; something else starts it",
            _ => "stopped",
        };
        return (ServiceChange::LeftAlone, why.into());
    }
    let host = subject.surveyed.host.restart(unit.scope, name).filter(|_| unit.restart != RestartPolicy::Never);
    if let Some(why) = host {
        // A reload keeps the process, and with it what is no longer there.
        return (ServiceChange::Restart, why.to_owned());
    }
    let cause = match work.impact() {
        Impact::Restart => Some("its unit changed"),
        _ if !is_service => subject.quiesces.then_some(QUIESCED),
        _ if subject.runs_older => Some("its process is older than the checkout"),
        _ if subject.code_changed() => Some("the component changed"),
        _ if subject.reads_changed_env(state) => Some(".env changed"),
        _ if runs_steps => Some("a step ran"),
        _ if subject.quiesces => Some(QUIESCED),
        _ => None,
    };
    if work.impact() == Impact::Remount && unit.restart != RestartPolicy::Never && state.is_active() {
        return (ServiceChange::Reload, "its options changed: it is mounted again with the new ones".into());
    }
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
    let of = |scope: Scope, here: &SurveyedUnit| -> Vec<(Scope, String)> {
        here.states.iter().map(|(name, _)| (scope, name.clone())).collect()
    };
    let with_origin = |(unit, here): (&Unit, &SurveyedUnit)| {
        let old = here.elsewhere.as_ref().map(|old| of(super::moves::other(unit.scope), old)).unwrap_or_default();
        old.into_iter().chain(of(unit.scope, here)).collect::<Vec<_>>()
    };
    let mut names: Vec<_> = pairs.flat_map(with_origin).collect();
    let mut known = std::collections::BTreeSet::new();
    names.retain(|unit| known.insert(unit.clone()));
    names
}

/// Sockets that are opened, and the services behind them that are up: systemd refuses to open a socket whose service runs, so that
/// all of these are stopped before and started after. The services restart with their socket.
pub(super) fn reopened(work: &[Work], units: &mut [UnitPlan]) -> Vec<(Scope, String)> {
    let is_opened = |unit: &&UnitPlan| {
        unit.name.ends_with(".socket") && matches!(unit.service, ServiceChange::Restart | ServiceChange::Start)
    };
    let opened: Vec<_> = units.iter().filter(is_opened).map(|unit| (unit.scope, unit.name.clone())).collect();
    let relations = || work.iter().flat_map(|work| work.relations.iter().map(move |told| (work.scope, told)));
    let mut all = opened.clone();
    for (scope, socket) in opened {
        let starts = relations().find(|(of, (name, _))| *of == scope && *name == socket);
        let starts = starts.map(|(_, (_, relations))| relations.before.clone()).unwrap_or_default();
        let asks = |service: &String| {
            relations().any(|(of, (name, says))| of == scope && name == service && says.after.contains(&socket))
        };
        for unit in units.iter_mut().filter(|unit| unit.scope == scope && unit.name.ends_with(".service")) {
            let is_behind = starts.contains(&unit.name) || asks(&unit.name);
            let goes_on = matches!(unit.service, ServiceChange::Untouched | ServiceChange::Reload) && !unit.is_dormant;
            if is_behind && goes_on {
                (unit.service, unit.why) = (ServiceChange::Restart, format!("{socket} is opened"));
            }
            if is_behind && unit.service == ServiceChange::Restart {
                all.push((scope, unit.name.clone()));
            }
        }
    }
    all
}
