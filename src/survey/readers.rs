//! Which units read which configuration file, and whether they run with it as it is.

use super::{Survey, Surveyed};
use crate::host::systemd::UnitState;
use crate::manifest::{Component, Dialect, EnvFile, Install};
use crate::plan::env;

/// A configuration file of an installed component, and what is known of it.
#[derive(Clone, Copy)]
pub struct ReadFile<'a> {
    /// Its component, by place in the manifest.
    component: usize,
    declared: &'a EnvFile,
    surveyed: &'a Surveyed,
    /// Its place among the files of the component.
    at: usize,
}

impl Surveyed {
    /// Whether its configuration files are those that its units were started with; unknown counts as yes.
    pub fn runs_with_its_env(&self, install: &Install, component: &Component) -> bool {
        (0..self.env.len()).all(|at| !self.is_edited(install, component, at))
    }

    /// Whether a configuration file is another than when the component was last activated; unknown counts as no.
    fn is_edited(&self, install: &Install, component: &Component, at: usize) -> bool {
        let (Some(activation), Some(declared)) = (&self.activation, component.env.get(at)) else { return false };
        let then = activation.env.get(install.env_path(component, declared).as_str());
        let now = self.env.get(at).and_then(Option::as_ref).map(|content| &content.image.sha256);
        then.is_some() && then != now
    }

    fn states(&self) -> impl Iterator<Item = &(String, UnitState)> {
        self.units.iter().flat_map(|unit| &unit.states)
    }
}

impl Survey {
    /// Whether a unit's `EnvironmentFile=` names the file, relative to the checkout.
    pub fn names(&self, install: &Install, state: &UnitState, file: &str) -> bool {
        let paths = [&install.root, &self.real_root].map(|root| root.join(file).to_string_lossy().into_owned());
        state.environment_files.iter().any(|pattern| paths.iter().any(|path| env::names(pattern, path)))
    }

    /// Who reads a configuration file, relative to the checkout: what the manifest says, or else systemd where a unit of this host
    /// names it, or else a dotenv library.
    pub fn dialect(&self, install: &Install, declared: &EnvFile, file: &str) -> Dialect {
        let is_named = || self.is_named(install, file);
        declared.dialect.unwrap_or_else(|| if is_named() { Dialect::Systemd } else { Dialect::Dotenv })
    }

    fn is_named(&self, install: &Install, file: &str) -> bool {
        self.components.iter().flat_map(Surveyed::states).any(|(_, state)| self.names(install, state, file))
    }

    /// The configuration files of the installed components.
    pub fn files<'a>(&'a self, install: &'a Install) -> impl Iterator<Item = ReadFile<'a>> {
        self.installed(install).flat_map(|(component, declared, surveyed)| {
            let files = declared.env.iter().enumerate();
            files.map(move |(at, declared)| ReadFile { component, declared, surveyed, at })
        })
    }

    /// The path of a file, relative to the checkout.
    pub fn path(&self, install: &Install, file: ReadFile) -> String {
        install.env_path(&install.components[file.component], file.declared).to_string()
    }

    /// Whether a unit of the component at `component` reads the file: its `EnvironmentFile=` names it, or the program reads its
    /// component's files by itself, which it does where no unit names the file, or where the manifest says so.
    pub fn reads(&self, install: &Install, component: &str, state: &UnitState, file: ReadFile) -> bool {
        let path = self.path(install, file);
        let reads_by_itself = match file.declared.dialect {
            Some(dialect) => dialect != Dialect::Systemd,
            None => !self.is_named(install, &path),
        };
        let is_own = install.components[file.component].name == component;
        self.names(install, state, &path) || reads_by_itself && is_own
    }

    /// Whether a unit that reads the file was started before the file became what it is. Where no run has recorded the file, the
    /// time at which it was written tells.
    pub fn runs_with_older(&self, install: &Install, state: &UnitState, file: ReadFile) -> bool {
        let declared = &install.components[file.component];
        let times = file.surveyed.env_times.get(file.at).copied().unwrap_or_default();
        let started = if state.main_started_us > 0 { state.main_started_us } else { state.active_since_us };
        let path = self.path(install, file);
        let is_recorded =
            file.surveyed.activation.as_ref().is_some_and(|activation| activation.env.contains_key(&path));
        match (is_recorded, file.surveyed.is_edited(install, declared, file.at)) {
            (true, is_edited) => is_edited && (times.changed_us == 0 || started < times.changed_us),
            (false, _) => started > 0 && started < times.written_us,
        }
    }

    /// The units that are up and run with an older version of a file: component, unit and file.
    pub fn older_env<'a>(&'a self, install: &'a Install) -> Vec<(&'a str, &'a str, String)> {
        let mut found = Vec::new();
        for (_, component, surveyed) in self.installed(install) {
            for (unit, state) in surveyed.states().filter(|(_, state)| state.is_active() && state.main_pid != 0) {
                for file in self.files(install) {
                    if self.reads(install, &component.name, state, file) && self.runs_with_older(install, state, file) {
                        found.push((component.name.as_str(), unit.as_str(), self.path(install, file)));
                    }
                }
            }
        }
        found
    }
}
