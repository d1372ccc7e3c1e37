//! From what a plan says must be proven to what `health` proves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::journal::Journal;
use crate::action::{Action, Seen, Site};
use crate::error::Result;
use crate::health::{Expected, Gate, Mark};
use crate::host::fs::Rooted;
use crate::manifest::{Component, Health, HookPlace, Install, Layout, Probe, Scope, Template};
use crate::plan::{Blocker, Contents, GatePlan, Intent, Plan, ServiceChange, env};
use crate::report::Silent;

/// Which release of a plan is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    From,
    To,
}

/// The gates of a plan with the values of the configuration files that are there now. `seen` holds the invocations that
/// must be over; no message shows one of `secrets`.
pub(super) fn gates(
    install: &Install,
    plan: &Plan,
    wanted: impl Fn(&GatePlan) -> bool,
    side: Side,
    seen: Option<&Seen>,
    secrets: &[String],
) -> Result<Vec<Gate>> {
    let root = Rooted::open(&install.root)?;
    let mut gates = Vec::new();
    for gate in plan.gates.iter().filter(|gate| wanted(gate)) {
        let Some(component) = install.components.iter().find(|component| component.name == gate.component) else {
            continue;
        };
        let mut values = BTreeMap::new();
        for declared in &component.env {
            let path = install.env_path(component, declared);
            if let Some(content) = root.read(path.as_ref())? {
                values.extend(env::values(&content.bytes, plan.dialect(path.as_str())));
            }
        }
        let restarted = seen.is_some() && restarts(plan, &component.name);
        let units = units_of(plan, gate, side);
        let is_stopped = units.is_empty() && !component.units.is_empty();
        let expected = |(scope, unit): &(Scope, String)| Expected {
            scope: *scope,
            unit: unit.clone(),
            old_invocation: old_invocation(plan, seen, *scope, unit),
        };
        gates.push(Gate {
            component: component.name.clone(),
            directory: install.live(component),
            units: units.iter().map(expected).collect(),
            // A service that the operator stopped answers no probe.
            probes: if is_stopped { Vec::new() } else { probes(component, restarted, took_over(plan, component)) },
            version: version(plan, &component.name, side),
            values,
            secrets: secrets.to_vec(),
            mark: Mark::default(),
            is_known: plan.intent == Intent::Rollback && side == Side::To,
        });
    }
    Ok(gates)
}

/// The gates of the release that a plan leaves, from the plan alone: its units, since a probe's declaration may be gone.
pub(super) fn old_units(plan: &Plan, healthy: &[String], secrets: &[String]) -> Vec<Gate> {
    let expected = |(scope, unit): (Scope, String)| Expected { scope, unit, old_invocation: None };
    let gates = plan.gates.iter().filter(|gate| healthy.contains(&gate.component));
    let gates = gates.map(|gate| Gate {
        component: gate.component.clone(),
        directory: plan.root.clone(),
        units: units_of(plan, gate, Side::From).into_iter().map(expected).collect(),
        probes: Vec::new(),
        version: None,
        values: BTreeMap::new(),
        secrets: secrets.to_vec(),
        mark: Mark::default(),
        is_known: false,
    });
    gates.collect()
}

/// The units that are up in one of the releases: what the new one brings is not there in the old one. Where it brings the
/// first, there is nothing by which the old one could be proven.
fn units_of(plan: &Plan, gate: &GatePlan, side: Side) -> Vec<(Scope, String)> {
    let component = plan.components.iter().find(|component| component.name == gate.component);
    let is_new = |scope: Scope, name: &String| {
        let mut units = component.iter().flat_map(|component| &component.units);
        units.any(|unit| unit.scope == scope && unit.name == *name && unit.service == ServiceChange::Start)
    };
    let old: Vec<_> =
        gate.units.iter().filter(|(scope, name)| !is_new(*scope, name)).chain(&gate.leaves).cloned().collect();
    if side == Side::To || old.is_empty() { gate.units.clone() } else { old }
}

/// The version of a component at one end of the plan.
fn version(plan: &Plan, component: &str, side: Side) -> Option<String> {
    let planned = plan.components.iter().find(|planned| planned.name == component)?;
    match side {
        Side::From => planned.from_version.clone(),
        Side::To => planned.to_version.clone(),
    }
}

/// Whether the plan gives the component a new process.
fn restarts(plan: &Plan, component: &str) -> bool {
    plan.actions.iter().any(|action| match action {
        Action::Service(service) => {
            service.component == component && service.verb != crate::host::systemd::Verb::Reload
        }
        _ => false,
    })
}

/// Whether a hook of this plan makes a service of the component take new code while it runs.
fn took_over(plan: &Plan, component: &Component) -> bool {
    let is_meant = |name: &str| name.is_empty() || name == component.name;
    plan.actions.iter().any(|action| match action {
        Action::Step(step) if is_meant(&step.component) => {
            matches!(step.with.place, Some(HookPlace::Migrate | HookPlace::Resume))
        }
        _ => false,
    })
}

/// The probes that can answer: what is wanted in the journal since a restart comes only where there was one.
fn probes(component: &Component, restarted: bool, took_over: bool) -> Vec<Health> {
    component
        .askable(took_over)
        .filter(|health| restarted || !matches!(health.probe, Probe::Journal { .. }))
        .cloned()
        .collect()
}

/// The invocation before, for a unit that this plan restarts.
fn old_invocation(plan: &Plan, seen: Option<&Seen>, scope: Scope, unit: &str) -> Option<String> {
    let restarts = plan.actions.iter().any(|action| match action {
        Action::Service(service) => {
            service.scope == scope && service.unit == unit && service.verb != crate::host::systemd::Verb::Reload
        }
        _ => false,
    });
    let Some(Seen::Units(units)) = seen.filter(|_| restarts) else { return None };
    units.iter().find(|was| was.scope == scope && was.name == unit).map(|was| was.invocation.clone())
}

/// Probes that name a `${KEY}` which the configuration, as the run would leave it, does not have.
pub fn missing_keys(install: &Install, plan: &Plan, contents: &Contents) -> Result<Vec<Blocker>> {
    let root = Rooted::open(&install.root)?;
    let mut blockers = Vec::new();
    for component in install
        .components
        .iter()
        .filter(|component| plan.components.iter().any(|planned| planned.name == component.name))
    {
        let mut values = BTreeMap::new();
        for declared in &component.env {
            let path = install.env_path(component, declared);
            let swapped = plan.actions.iter().find_map(|action| match action {
                Action::EnvFile(file) if file.swap.path == Path::new(path.as_str()) => file.swap.after.as_ref(),
                _ => None,
            });
            let bytes = match swapped.and_then(|image| contents.bytes(image)) {
                Some(bytes) => bytes.to_vec(),
                None => root.read(path.as_ref())?.map(|content| content.bytes).unwrap_or_default(),
            };
            values.extend(env::values(&bytes, plan.dialect(path.as_str())));
        }
        let keys = component.health.iter().flat_map(Health::templates).flat_map(Template::keys);
        let missing = keys.into_iter().filter(|key| !values.contains_key(*key)).map(|key| {
            Blocker::impossible(
                format!("a health probe of {} uses ${{{key}}}, which no `.env` of it has", component.name),
                format!("correct the probe in {}, or set {key}", install.file.display()),
            )
        });
        blockers.extend(missing);
    }
    blockers.dedup();
    Ok(blockers)
}

/// Every value that must not be shown: of the declared configuration files, of what the run writes there, and of what was
/// there before.
pub(super) fn secrets(plan: &Plan, declared: &[Component], site: &Site) -> Result<Vec<String>> {
    let declared = declared_files(plan.layout, declared);
    let planned = plan.components.iter().flat_map(|component| component.env.iter().map(|env| env.file.clone()));
    let mut secrets = live_secrets(&plan.root, declared.into_iter().chain(planned).collect())?;
    for action in &plan.actions {
        let Action::EnvFile(file) = action else { continue };
        for image in file.swap.before.iter().chain(&file.swap.after) {
            secrets.extend(env::secrets(&site.content(image)?.bytes));
        }
    }
    secrets.sort();
    secrets.dedup();
    Ok(secrets)
}

/// The same of a run of the past, for who shows what it left.
pub fn secrets_of(journal: &Journal, declared: &[Component]) -> Result<Vec<String>> {
    let Some(begin) = journal.start() else { return Ok(Vec::new()) };
    let site = Site::new(&begin.plan, journal.run(), journal.directory(), &Silent)?;
    secrets(&begin.plan, declared, &site)
}

/// The values that an install's declared configuration files hold.
pub fn declared_secrets(install: &Install) -> Result<Vec<String>> {
    live_secrets(&install.root, declared_files(install.layout, &install.components))
}

fn declared_files(layout: Layout, components: &[Component]) -> BTreeSet<String> {
    let files = |component: &Component| -> Vec<String> {
        component.env.iter().map(|env| layout.outliving(&env.file.below(&component.path)).to_string()).collect()
    };
    components.iter().flat_map(files).collect()
}

fn live_secrets(root: &Path, files: BTreeSet<String>) -> Result<Vec<String>> {
    let root = Rooted::open(root)?;
    let mut secrets = Vec::new();
    for file in files {
        // What cannot be read here cannot be told either.
        if let Ok(Some(content)) = root.read(file.as_ref()) {
            secrets.extend(env::secrets(&content.bytes));
        }
    }
    Ok(secrets)
}
