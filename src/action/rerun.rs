//! The undo of steps that are undone by running them again in the old tree.

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site, Step};
use crate::error::Result;

/// Stands before the tree switch, so that its undo comes after the old tree is back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rerun {
    /// The step.
    pub step: Step,
    /// The place of the step among the plan's actions: it is only run again when it was begun.
    pub of: usize,
}

impl Act for Rerun {
    fn title(&self) -> String {
        format!("{}: {} again in the old tree", self.step.component, self.step.name)
    }

    fn undo_title(&self) -> Option<String> {
        Some(self.title())
    }

    fn sight(&self, _: &mut Site, _: &Seen, is_done: bool) -> Result<Sight> {
        Ok(Sight::whole_or_not(is_done))
    }

    fn apply(&self, _: &mut Site) -> Result<()> {
        Ok(())
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        // Tree, `.env` and units are back by now: a step that fails here must not keep the old release from being started.
        Ok(self.step.apply(site).err().map(|error| error.to_string()).into_iter().collect())
    }
}
