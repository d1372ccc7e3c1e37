//! Writing the configuration files of packages that were merged.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Act, FileSwap, Seen, Sight, Site};
use crate::error::Result;
use crate::host::fs::Rooted;

/// Configuration files get what the release brings, beside what was edited here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conffiles {
    /// The files, relative to `/`.
    pub swaps: Vec<FileSwap>,
}

impl Conffiles {
    fn root() -> Result<Rooted> {
        Rooted::open(Path::new("/"))
    }
}

impl Act for Conffiles {
    fn title(&self) -> String {
        let names: Vec<String> = self.swaps.iter().map(|swap| format!("/{}", swap.path.display())).collect();
        format!("merge {}", names.join(", "))
    }

    fn undo_title(&self) -> Option<String> {
        Some(self.title().replacen("merge", "put back", 1))
    }

    fn sight(&self, _: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        let root = Self::root()?;
        let parts = self.swaps.iter().map(|swap| swap.sight(&root));
        Ok(Sight::of_parts(parts.collect::<Result<Vec<_>>>()?))
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let root = Self::root()?;
        self.swaps.iter().try_for_each(|swap| swap.apply(site, &root))
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        let root = Self::root()?;
        let mut remarks = Vec::new();
        for swap in self.swaps.iter().rev() {
            remarks.extend(swap.undo(site, &root)?);
        }
        Ok(remarks)
    }
}
