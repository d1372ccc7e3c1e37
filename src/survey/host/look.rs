//! Looking at what judgements are made from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Seen, Touched, judge, stale};
use crate::host::systemd::UnitState;
use crate::host::{mapped, packages};
use crate::manifest::{Component, Install, Scope};
use crate::survey::{Survey, Surveyed};

/// How many entries below a declared path are looked at.
const ENTRIES: usize = 50_000;

/// Looks at what changed on the host under each installed component. `met`: when the steps of a component's needs ran last,
/// microseconds.
pub fn look(survey: &mut Survey, install: &Install, touched: Option<&Touched>, met: &BTreeMap<String, u64>) {
    let own = [install.root.clone(), survey.real_root.clone()];
    let own: Vec<&Path> = own.iter().map(|path| path.as_path()).collect();
    for (component, surveyed) in install.components.iter().zip(&mut survey.components) {
        if surveyed.is_installed {
            let mut seen = needs(component);
            seen.met_us = met.get(&component.name).copied();
            processes(component, surveyed, &own, &mut seen);
            surveyed.host = judge(component, surveyed, &seen, touched);
        }
    }
}

fn needs(component: &Component) -> Seen {
    let mut seen = Seen::default();
    let patterns: Vec<&str> = component.needs.iter().flat_map(|needs| &needs.packages).map(String::as_str).collect();
    let changed = packages::changed(&patterns);
    for pattern in patterns {
        let of = changed.iter().filter(|(name, _)| packages::matches(pattern, name));
        if let Some(newest) = of.max_by_key(|(_, at)| *at) {
            seen.packages.insert(pattern.to_owned(), newest.clone());
        }
    }
    for path in component.needs.iter().flat_map(|needs| &needs.paths) {
        if let Some(at) = packages::newest_below(path, ENTRIES) {
            seen.paths.insert(path.clone(), at);
        }
    }
    seen
}

fn processes(component: &Component, surveyed: &Surveyed, own: &[&Path], seen: &mut Seen) {
    for (unit, here) in component.units.iter().zip(&surveyed.units) {
        for (name, state) in here.states.iter().filter(|(_, state)| state.main_pid != 0) {
            let key = (unit.scope, name.clone());
            if let Some(words) = runs_with(state, name, own) {
                seen.stale.insert(key.clone(), words);
            }
            if let Some(words) = unit_file(unit.scope, name, state) {
                seen.unit_files.insert(key, words);
            }
        }
    }
}

fn runs_with(state: &UnitState, name: &str, own: &[&Path]) -> Option<String> {
    let is_there = |path: &str| Path::new(path).exists();
    let found = mapped::processes(state.main_pid, name);
    let program = found.iter().find_map(|process| stale::program(&process.program, own, &is_there));
    let mut libraries: Vec<String> = Vec::new();
    for library in found.iter().flat_map(|process| stale::libraries(&process.maps, own, &is_there)) {
        if !libraries.contains(&library) {
            libraries.push(library);
        }
    }
    stale::words(program, &libraries)
}

/// A unit file or drop-in of a package that is newer than the process: an operator's edit is the operator's to put into effect.
fn unit_file(scope: Scope, name: &str, state: &UnitState) -> Option<String> {
    let place = if scope == Scope::System { "system" } else { "user" };
    // The manager may not know yet of a new one.
    let directories =
        ["/etc/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd"].map(|top| format!("{top}/{place}/{name}.d"));
    let entries = directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().flatten();
    let on_disk = entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "conf"));
    let known =
        std::iter::once(&state.fragment).chain(&state.drop_ins).filter(|file| !file.is_empty()).map(PathBuf::from);
    let is_newer = |file: &PathBuf| packages::changed_at(file).is_some_and(|at| at > state.main_started_us);
    let (file, package) =
        known.chain(on_disk).filter(is_newer).find_map(|file| packages::owner(&file).map(|package| (file, package)))?;
    Some(format!(
        "the package {package} replaced {} since it was started",
        crate::text::harmless(&file.display().to_string())
    ))
}
