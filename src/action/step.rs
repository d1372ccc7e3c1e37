//! Running a step that the operator declared.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::site::Place;
use super::{Act, Invocation, Seen, Sight, Site, With};
use crate::error::{Error, Result};
use crate::host::fs::sync_filesystem;
use crate::manifest::StepUndo;
use crate::plan::Origin;

/// A step in the switched tree, or in the old one when it is a step's own undo that a rollback runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The component.
    pub component: String,
    /// Its directory, relative to the checkout.
    pub path: String,
    /// The release's directory, relative to the root, where each has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    /// The step's name.
    pub name: String,
    /// The command.
    pub run: Vec<String>,
    /// Whether root runs it.
    pub as_root: bool,
    /// Its bound, seconds.
    pub timeout: u64,
    /// How it is undone.
    pub undo: StepUndo,
    /// The bound of the command that undoes it, seconds, where that has one of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo_timeout: Option<u64>,
    /// Running it again after an interruption does no harm.
    #[serde(default)]
    pub idempotent: bool,
    /// Where root runs it from; the owner runs it in the checkout.
    #[serde(default, skip_serializing_if = "Origin::is_checkout")]
    pub origin: Origin,
    /// What a hook or a migration has beyond that.
    #[serde(default, skip_serializing_if = "With::is_nothing")]
    pub with: With,
}

impl Step {
    /// The step that takes this one back by `command`, and is undone by making it again; each keeps its own bound.
    pub fn inverse(self, command: Vec<String>) -> Step {
        let timeout = self.undo_timeout.unwrap_or(self.timeout);
        let (undo, undo_timeout) = (StepUndo::Run(self.run), Some(self.timeout));
        Step { run: command, undo, timeout, undo_timeout, ..self }
    }

    pub(super) fn invocation<'a>(&'a self, site: &mut Site, run: &'a [String]) -> Result<Invocation<'a>> {
        Ok(Invocation {
            name: &self.name,
            run,
            as_root: self.as_root,
            place: if self.as_root { site.place(&self.origin)? } else { Place::Checkout },
            base: self.base.as_deref(),
            path: &self.path,
            timeout: Duration::from_secs(self.timeout),
            component: &self.component,
            with: &self.with,
        })
    }

    /// Exports what root would run of it, and looks at the programs: in *prepare*, so that nothing of it fails in the switch.
    pub fn prepare(&self, site: &mut Site) -> Result<()> {
        if self.as_root {
            site.trusts(&self.origin, &self.path, &self.name, &self.run)?;
            if let StepUndo::Run(run) = &self.undo {
                site.trusts(&self.origin, &self.path, &self.name, run)?;
            }
        }
        let invocation = self.invocation(site, &self.run)?;
        site.learn(&invocation).map(drop)
    }
}

impl Step {
    fn called(&self, what: &str) -> String {
        match self.component.as_str() {
            "" => what.to_owned(),
            component => format!("{component}: {what}"),
        }
    }
}

impl Act for Step {
    fn title(&self) -> String {
        self.called(&self.name)
    }

    fn undo_title(&self) -> Option<String> {
        match &self.undo {
            StepUndo::Run(run) => Some(self.called(&run.join(" "))),
            StepUndo::Pure | StepUndo::Rerun | StepUndo::RestoreBackup | StepUndo::Irreversible => None,
        }
    }

    fn sight(&self, _: &mut Site, _: &Seen, is_done: bool) -> Result<Sight> {
        Ok(Sight::from_journal(is_done))
    }

    fn redo(&self, site: &mut Site, _: &Seen) -> Result<()> {
        match self.idempotent {
            true => self.apply(site),
            false => Err(Error::failed(format!("{}: how far it came is not known", self.title()))
                .because("it was interrupted, and is not declared idempotent: it is not run again")),
        }
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let invocation = self.invocation(site, &self.run)?;
        site.invoke(&invocation)?;
        sync_filesystem(&site.root)
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        match &self.undo {
            // A rerun and a restore happen when the old tree is back: see `Rerun` and `Backup`.
            StepUndo::Pure | StepUndo::Rerun | StepUndo::RestoreBackup => Ok(Vec::new()),
            StepUndo::Run(run) => {
                let timeout = Duration::from_secs(self.undo_timeout.unwrap_or(self.timeout));
                let invocation = Invocation { timeout, ..self.invocation(site, run)? };
                site.invoke(&invocation)?;
                sync_filesystem(&site.root)?;
                Ok(Vec::new())
            }
            StepUndo::Irreversible => Err(Error::failed(format!("nothing undoes the step {}", self.name))),
        }
    }

    fn is_irreversible(&self) -> bool {
        self.undo == StepUndo::Irreversible
    }

    fn is_repeatable(&self) -> bool {
        self.idempotent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_and_what_takes_it_back_keep_their_bounds_whichever_comes_first() {
        let step = Step {
            component: "app".into(),
            path: ".".into(),
            base: None,
            name: "migrate".into(),
            run: vec!["up".into()],
            as_root: false,
            timeout: 60,
            undo: StepUndo::Run(vec!["down".into()]),
            undo_timeout: Some(5),
            idempotent: true,
            origin: Origin::default(),
            with: With::default(),
        };
        let back = step.clone().inverse(vec!["down".into()]);
        assert_eq!((back.run[0].as_str(), back.timeout, back.undo_timeout), ("down", 5, Some(60)));
        assert_eq!(back.inverse(vec!["up".into()]), step);
        let shared = Step { undo_timeout: None, ..step }.inverse(vec!["down".into()]);
        assert_eq!((shared.timeout, shared.undo_timeout), (60, Some(60)));
    }
}
