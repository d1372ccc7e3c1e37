//! Which probes of a component can prove anything, and the strings in them.

use super::{Component, Health, Hook, HookPlace, Install, Probe, RestartPolicy, Template};

impl Install {
    /// Whether a hook makes a service of the component take new code while it runs.
    pub fn takes_over(&self, component: &Component) -> bool {
        let is_meant = |hook: &&Hook| hook.component.as_ref().is_none_or(|name| *name == component.name);
        self.hooks.iter().filter(is_meant).any(|hook| matches!(hook.at, HookPlace::Migrate | HookPlace::Resume))
    }
}

impl Component {
    /// The probes that a gate asks. Where no run restarts a service of it, and no hook makes it take the new code
    /// (`is_taken_over`), only the operator knows which version is running: what expects `{version}` proves nothing of the release.
    pub fn askable(&self, is_taken_over: bool) -> impl Iterator<Item = &Health> {
        let is_known = is_taken_over || !self.is_never_restarted();
        self.health.iter().filter(move |health| is_known || !health.names_version())
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
            Probe::Command { .. } | Probe::Journal { .. } => Vec::new(),
        }
    }

    fn names_version(&self) -> bool {
        self.templates().into_iter().any(Template::names_version)
    }
}
