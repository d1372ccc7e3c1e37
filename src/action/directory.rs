//! The directory of a release, where each has one of its own: unpacked in *prepare*, gone when the run is undone.

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::source::releases;

/// A release's directory that was not there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// Its name below `releases`.
    pub name: String,
    /// The commit that it is of.
    pub revision: String,
}

impl Act for Directory {
    fn title(&self) -> String {
        format!("unpack {}", releases::below(&self.name).display())
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("remove {}", releases::below(&self.name).display()))
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        Ok(Sight::whole_or_not(site.checkout()?.exists(&releases::below(&self.name))?))
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        // Prepare made it: from here on it only has to be there.
        let directory = releases::below(&self.name);
        match site.checkout()?.is_directory(&directory) {
            true => Ok(()),
            false => {
                Err(Error::failed(format!("{} is gone since it was unpacked", site.root.join(directory).display()))
                    .hint("nobody else may change it during a run; start the run again"))
            }
        }
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        releases::remove(site.state(), &site.checkout()?, &self.name).map(|left| left.into_iter().collect())
    }
}
