//! Which probes of a component can prove anything, and the strings in them.

use super::{Component, Health, HookPlace, Install, Probe, RestartPolicy, Template};

impl Component {
    /// The probes that a gate asks. Where no run restarts a service of it and no hook of `install` brings the running one to the
    /// release, only the operator knows which version is running: what expects `{version}` proves nothing of the release.
    pub fn askable(&self, install: &Install) -> impl Iterator<Item = &Health> {
        let is_known = !self.is_never_restarted() || self.is_changed_running(install);
        self.health.iter().filter(move |health| is_known || !health.names_version())
    }

    /// Whether a hook takes the new code into the running system, in every run that changes the release.
    fn is_changed_running(&self, install: &Install) -> bool {
        install.hooks.iter().any(|hook| {
            matches!(hook.at, HookPlace::Migrate | HookPlace::Resume)
                && hook.component.as_ref().is_none_or(|name| *name == self.name)
                && hook.when_changed.is_empty()
        })
    }

    fn is_never_restarted(&self) -> bool {
        let mut services = self.units.iter().filter(|unit| unit.file.file_name().ends_with(".service")).peekable();
        services.peek().is_some() && services.all(|unit| unit.restart == RestartPolicy::Never)
    }
}

impl Health {
    /// Its strings with values to put in.
    pub fn templates(&self) -> Vec<&Template> {
        match &self.probe {
            Probe::Http { url, headers, json, .. } => {
                let values = headers.iter().chain(json).map(|(_, template)| template);
                std::iter::once(url).chain(values).collect()
            }
            Probe::Tcp { address } => vec![address],
            Probe::Command { .. } | Probe::Container { .. } | Probe::Journal { .. } => Vec::new(),
        }
    }

    fn names_version(&self) -> bool {
        self.templates().into_iter().any(Template::names_version)
    }
}
