//! Replacing a `.env` by its merged version.

use serde::{Deserialize, Serialize};

use super::{Act, FileSwap, Seen, Sight, Site};
use crate::error::Result;

/// A configuration file of a component gets upstream's new keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvFile {
    /// The component.
    pub component: String,
    /// The file, relative to the checkout.
    pub swap: FileSwap,
}

impl Act for EnvFile {
    fn title(&self) -> String {
        format!("write {}", self.swap.path.display())
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("put back {}", self.swap.path.display()))
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        self.swap.sight(&site.checkout()?)
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        self.swap.apply(site, &site.checkout()?)
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        Ok(self.swap.undo(site, &site.checkout()?)?.into_iter().collect())
    }
}
