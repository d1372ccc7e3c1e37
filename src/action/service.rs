//! Restarting what changed.

use serde::{Deserialize, Serialize};

use super::quiesce::{JOB_TIMEOUT, UnitWas};
use super::{Act, Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::host::systemd::journal::{self, Origin};
use crate::host::systemd::{Verb, boot};
use crate::manifest::Scope;

/// A job on a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// The component.
    pub component: String,
    /// The unit's manager.
    pub scope: Scope,
    /// The unit.
    pub unit: String,
    /// `restart`, `reload` or `start`.
    pub verb: Verb,
}

impl Act for Service {
    fn title(&self) -> String {
        let verb = match self.verb {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
        };
        format!("{verb} {}", self.unit)
    }

    fn undo_title(&self) -> Option<String> {
        (self.verb != Verb::Reload).then(|| format!("stop {}", self.unit))
    }

    fn seen(&self, site: &mut Site) -> Result<Seen> {
        Ok(Seen::Units(vec![UnitWas::look(site, self.scope, &self.unit)?]))
    }

    fn sight(&self, site: &mut Site, seen: &Seen, is_done: bool) -> Result<Sight> {
        let was = match seen {
            Seen::Units(units) => units.first(),
            _ => None,
        };
        let (Some(was), false) = (was, self.verb == Verb::Reload) else { return Ok(Sight::from_journal(is_done)) };
        let now = UnitWas::look(site, self.scope, &self.unit)?;
        Ok(match (self.verb, now.active) {
            (Verb::Stop, false) => Sight::After,
            (_, true) if now.invocation == was.invocation && was.active => Sight::Before,
            (Verb::Start | Verb::Restart, true) => Sight::After,
            (_, false) if !was.active => Sight::Before,
            _ => Sight::Mixed,
        })
    }

    fn redo(&self, site: &mut Site, _: &Seen) -> Result<()> {
        // A process that was started before the interruption may have read what was only half there.
        self.apply(site)
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let origin = Origin { unit: self.unit.clone(), uid: (self.scope == Scope::User).then_some(site.owner.uid) };
        if self.verb != Verb::Stop {
            boot::ready();
        }
        let manager = site.manager(self.scope)?;
        if self.verb == Verb::Stop && !manager.running(&self.unit)?.is_active() {
            // It ended by itself meanwhile, which is what was wanted.
            return Ok(());
        }
        if self.verb != Verb::Reload {
            // What the old release used up of the start limit is not held against the new one.
            manager.reset_failed(&self.unit)?;
        }
        let result = manager.job(self.verb, &self.unit, JOB_TIMEOUT)?;
        if result.is_done() {
            return Ok(());
        }
        let state = manager.running(&self.unit)?;
        let reason = match state.result.as_str() {
            "start-limit-hit" => "it was started too often in a short time (StartLimitBurst=)".into(),
            "" | "success" => format!("the job ended as `{}`", result.0),
            other => format!("the job ended as `{}`, the service as `{other}`", result.0),
        };
        // The failure is told with or without its journal.
        let journal = journal::tail(0, &origin, 15).unwrap_or_default();
        Err(Error::failed(format!("{} cannot be done", self.title())).because(reason).detail(site.redacted(&journal)))
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        if self.verb == Verb::Reload {
            // The old process goes on; `Quiesce` lets it read the old files when everything is back.
            return Ok(Vec::new());
        }
        // Stopped while its tree changes under it; `Quiesce` starts it when everything is back.
        let manager = site.manager(self.scope)?;
        if manager.running(&self.unit)?.load != "not-found" {
            manager.job(Verb::Stop, &self.unit, JOB_TIMEOUT)?;
        }
        Ok(Vec::new())
    }
}
