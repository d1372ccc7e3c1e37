//! What runs before the switch, and bringing exactly that back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::host::systemd::{Verb, boot};
use crate::manifest::Scope;

/// How long a job may take: longer than systemd's own `DefaultTimeoutStartSec=` and `DefaultTimeoutStopSec=` together.
pub const JOB_TIMEOUT: Duration = Duration::from_secs(200);

/// Comes first, so that its undo comes last: when tree, `.env` and units are back, what ran runs again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiesce {
    /// The units of the install.
    pub units: Vec<(Scope, String)>,
}

/// A unit as it was before the switch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitWas {
    /// Its manager.
    pub scope: Scope,
    /// Its name.
    pub name: String,
    /// Whether it was up.
    pub active: bool,
    /// Whether it had failed.
    #[serde(default)]
    pub failed: bool,
    /// Its invocation.
    pub invocation: String,
}

impl UnitWas {
    /// A unit as it is now.
    pub(super) fn look(site: &mut Site, scope: Scope, name: &str) -> Result<UnitWas> {
        if !site.reaches(scope) {
            let (name, invocation) = (name.to_owned(), String::new());
            return Ok(UnitWas { scope, name, active: false, failed: false, invocation });
        }
        let state = site.manager(scope)?.running(name)?;
        let active = state.is_active() || state.active == "activating";
        let failed = state.active == "failed";
        Ok(UnitWas { scope, name: name.to_owned(), active, failed, invocation: state.invocation })
    }
}

impl Act for Quiesce {
    fn title(&self) -> String {
        "note what runs".into()
    }

    fn undo_title(&self) -> Option<String> {
        Some("start what ran before".into())
    }

    fn seen(&self, site: &mut Site) -> Result<Seen> {
        let look = |(scope, name): &(Scope, String)| UnitWas::look(site, *scope, name);
        Ok(Seen::Units(self.units.iter().map(look).collect::<Result<_>>()?))
    }

    fn sight(&self, site: &mut Site, seen: &Seen, _: bool) -> Result<Sight> {
        let Seen::Units(units) = seen else { return Ok(Sight::Before) };
        for was in units {
            let now = UnitWas::look(site, was.scope, &was.name)?;
            if now.active != was.active || now.failed != was.failed {
                return Ok(Sight::Mixed);
            }
        }
        Ok(Sight::Before)
    }

    fn apply(&self, _: &mut Site) -> Result<()> {
        Ok(())
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        let Seen::Units(units) = seen else { return Ok(Vec::new()) };
        // At boot, what is started here waits for us otherwise.
        boot::ready();
        let mut remarks = Vec::new();
        for was in units {
            if let Err(error) = bring_back(site, was) {
                remarks.push(error.to_string());
            }
        }
        Ok(remarks)
    }
}

fn bring_back(site: &mut Site, was: &UnitWas) -> Result<()> {
    // Its manager came with the release that is undone, and went with it.
    if !was.active && !site.reaches(was.scope) {
        return Ok(());
    }
    let was_reloaded = site.reloaded.iter().any(|(scope, name)| *scope == was.scope && *name == was.name);
    let manager = site.manager(was.scope)?;
    let now = manager.running(&was.name)?;
    let verb = match (was.active, now.is_active()) {
        // The process of before goes on: nothing to bring back.
        (true, true) if now.invocation == was.invocation && !was_reloaded => return Ok(()),
        // It goes on with what it read of the undone release.
        (true, true) if now.invocation == was.invocation => Verb::Reload,
        // It was started anew while the tree was another.
        (true, true) => Verb::Restart,
        (true, false) => Verb::Start,
        (false, true) => Verb::Stop,
        (false, false) if now.active == "activating" => Verb::Stop,
        (false, false) if now.active == "failed" && !was.failed => return manager.reset_failed(&was.name),
        (false, false) => return Ok(()),
    };
    // What the new release used up of the start limit is not held against the old one.
    if verb != Verb::Reload {
        manager.reset_failed(&was.name)?;
    }
    let mut result = manager.job(verb, &was.name, JOB_TIMEOUT)?;
    if verb == Verb::Reload && !result.is_done() {
        // Whatever it read of the undone release, a new process reads the old one.
        manager.reset_failed(&was.name)?;
        result = manager.job(Verb::Restart, &was.name, JOB_TIMEOUT)?;
    }
    match result.is_done() {
        true => Ok(()),
        false => Err(Error::failed(format!("{} could not be brought back: the job ended as `{}`", was.name, result.0))),
    }
}
