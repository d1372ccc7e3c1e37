//! Running a check on the switched tree, before any restart.

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site, Step};
use crate::error::Result;

/// A command that must succeed and changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The command, as a step that needs no undo.
    pub command: Step,
}

impl Act for Check {
    fn title(&self) -> String {
        self.command.title()
    }

    fn undo_title(&self) -> Option<String> {
        None
    }

    fn sight(&self, _: &mut Site, _: &Seen, is_done: bool) -> Result<Sight> {
        // It changes nothing: one that did not end has not passed.
        Ok(Sight::whole_or_not(is_done))
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let invocation = self.command.invocation(site, &self.command.run)?;
        site.invoke(&invocation)
    }

    fn undo(&self, _: &mut Site, _: &Seen) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
