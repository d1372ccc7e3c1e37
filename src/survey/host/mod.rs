//! What package managers changed on the host under an install: packages and paths that its manifest names, programs and libraries that
//! its processes still run with, its unit files.

mod look;
mod stale;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Surveyed;
use crate::host::systemd::UnitState;
use crate::manifest::{Component, Needs, Scope};

pub use look::look;

/// What changed on the host under a component since its processes were started, and what follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostChange {
    /// Services that the manifest wants started anew: scope, unit, why.
    pub restarts: Vec<(Scope, String, String)>,
    /// Services that were noticed to run with what was replaced, and that the manifest says nothing of.
    pub noticed: Vec<(Scope, String, String)>,
    /// Steps that are to run again: name, why.
    pub steps: Vec<(String, String)>,
    /// Units whose files were replaced, which their manager has to read again.
    pub reloads: Vec<(Scope, String)>,
}

/// What a hook told: what a package manager touched. Empty lists say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// When the first hook was there, microseconds of the realtime clock.
    pub since_us: u64,
    /// When the last one was.
    pub until_us: u64,
    /// Files and directories.
    pub paths: Vec<PathBuf>,
}

/// What was looked at for a component.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    /// Packages by the manifest's pattern: the one that changed last, and when.
    pub packages: BTreeMap<String, (String, u64)>,
    /// Paths: when anything there changed last.
    pub paths: BTreeMap<PathBuf, u64>,
    /// What the processes of a service still run with although it was replaced, in words.
    pub stale: BTreeMap<(Scope, String), String>,
    /// Services whose unit file or drop-in a package replaced, in words.
    pub unit_files: BTreeMap<(Scope, String), String>,
    /// When the steps of the component's needs ran last, microseconds.
    pub met_us: Option<u64>,
}

impl HostChange {
    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.restarts.is_empty() && self.noticed.is_empty() && self.steps.is_empty()
    }

    /// Why a unit is started anew.
    pub fn restart(&self, scope: Scope, unit: &str) -> Option<&str> {
        let found = self.restarts.iter().chain(&self.noticed).find(|(of, name, _)| *of == scope && name == unit);
        found.map(|(.., why)| why.as_str())
    }

    /// What follows and why, a line each.
    pub fn words(&self) -> Vec<String> {
        let restarts = self.restarts.iter().chain(&self.noticed).map(|(_, unit, why)| format!("{unit}: {why}"));
        restarts.chain(self.steps.iter().map(|(step, why)| format!("step {step}: {why}"))).collect()
    }
}

/// What follows from what was seen. Pure.
pub(super) fn judge(component: &Component, surveyed: &Surveyed, seen: &Seen, touched: Option<&Touched>) -> HostChange {
    let mut change = HostChange::default();
    for needs in &component.needs {
        let Some((what, at)) = newest(needs, seen, touched) else { continue };
        let why = format!("{what} changed since it was started");
        if needs.restart {
            let failed = services(component, surveyed).filter(|(_, _, state)| state.active == "failed");
            for (scope, unit, state) in running(component, surveyed).chain(failed) {
                if state.main_started_us < at && change.restart(scope, unit).is_none() {
                    change.restarts.push((scope, unit.to_owned(), why.clone()));
                }
            }
        }
        if at > met(component, surveyed, seen) {
            let is_new = |name: &&String| !change.steps.iter().any(|(known, _)| known == *name);
            let steps: Vec<_> =
                needs.steps.iter().filter(is_new).map(|name| (name.clone(), format!("{what} changed"))).collect();
            change.steps.extend(steps);
        }
    }
    for (scope, unit, _) in running(component, surveyed) {
        let key = (scope, unit.to_owned());
        if seen.unit_files.contains_key(&key) {
            change.reloads.push(key.clone());
        }
        let why = seen.unit_files.get(&key).or(seen.stale.get(&key));
        if let Some(why) = why.filter(|_| change.restart(scope, unit).is_none()) {
            change.noticed.push((scope, unit.to_owned(), why.clone()));
        }
    }
    change
}

/// What of it changed last, and when.
fn newest(needs: &Needs, seen: &Seen, touched: Option<&Touched>) -> Option<(String, u64)> {
    let packages = needs.packages.iter().filter_map(|pattern| seen.packages.get(pattern).cloned());
    let paths = needs.paths.iter().filter_map(|path| Some((path.display().to_string(), *seen.paths.get(path)?)));
    let told = touched.into_iter().flat_map(|touched| {
        let is_below = |path: &&PathBuf| touched.paths.iter().any(|told| told.starts_with(path));
        needs.paths.iter().filter(is_below).map(|path| (path.display().to_string(), touched.until_us))
    });
    packages.chain(paths).chain(told).max_by_key(|(_, at)| *at)
}

/// Until when the steps of its needs are known to have run; where nothing is known, what was there when it was started will do.
fn met(component: &Component, surveyed: &Surveyed, seen: &Seen) -> u64 {
    let started = running(component, surveyed).map(|(_, _, state)| state.main_started_us).min();
    seen.met_us.or(started).unwrap_or(u64::MAX)
}

/// The services that have a main process.
fn running<'a>(
    component: &'a Component,
    surveyed: &'a Surveyed,
) -> impl Iterator<Item = (Scope, &'a str, &'a UnitState)> {
    services(component, surveyed).filter(|(_, _, state)| state.is_active() && state.main_pid != 0)
}

/// The services that have had one.
fn services<'a>(
    component: &'a Component,
    surveyed: &'a Surveyed,
) -> impl Iterator<Item = (Scope, &'a str, &'a UnitState)> {
    let pairs = component.units.iter().zip(&surveyed.units);
    let states =
        pairs.flat_map(|(unit, here)| here.states.iter().map(move |(name, state)| (unit.scope, name.as_str(), state)));
    states.filter(|(_, _, state)| state.main_started_us != 0)
}

#[cfg(test)]
mod tests;
