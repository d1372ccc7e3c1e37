//! Replacing a file by another and back: the part that `.env` and units share.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Sight, Site};
use crate::error::Result;
use crate::host::fs::{Image, Rooted};

/// A file before and after. `None`: it is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSwap {
    /// Relative to the directory that the action works in.
    pub path: PathBuf,
    /// What was there.
    pub before: Option<Image>,
    /// What will be there.
    pub after: Option<Image>,
}

impl FileSwap {
    /// What is there now; never half a file, since it is replaced by a rename.
    pub fn sight(&self, directory: &Rooted) -> Result<Sight> {
        let now = directory.read(&self.path)?.map(|content| content.image);
        Ok(match now {
            now if now == self.before => Sight::Before,
            now if now == self.after => Sight::After,
            _ => Sight::Neither,
        })
    }

    /// Makes the file what it will be; refuses when it is not what it was, since somebody else changed it meanwhile.
    pub fn apply(&self, site: &Site, directory: &Rooted) -> Result<()> {
        match self.sight(directory)? {
            Sight::After => Ok(()),
            Sight::Before => put(site, directory, &self.path, self.after.as_ref()),
            _ => {
                let path = directory.path().join(&self.path);
                Err(crate::Error::failed(format!("{} was changed since the plan was made", path.display()))
                    .hint("nobody else may edit it during a run; start the run again"))
            }
        }
    }

    /// Makes the file what it was. What somebody else wrote meanwhile is kept as a copy, and the remark says where.
    pub fn undo(&self, site: &Site, directory: &Rooted) -> Result<Option<String>> {
        directory.remove_temporary(&self.path)?;
        let sight = self.sight(directory)?;
        let remark = match (sight, directory.read(&self.path)?) {
            (Sight::Neither, Some(foreign)) => {
                let copy = site.keep_foreign(&self.path.to_string_lossy(), &foreign)?;
                let path = directory.path().join(&self.path);
                Some(format!(
                    "{} was changed by somebody else during the run: that version is in {}",
                    path.display(),
                    copy.display()
                ))
            }
            (Sight::Neither, None) => {
                let path = directory.path().join(&self.path);
                Some(format!("{} was removed by somebody else during the run: it is put back", path.display()))
            }
            _ => None,
        };
        if sight != Sight::Before {
            put(site, directory, &self.path, self.before.as_ref())?;
        }
        Ok(remark)
    }
}

fn put(site: &Site, directory: &Rooted, path: &Path, image: Option<&Image>) -> Result<()> {
    match image {
        Some(image) => directory.replace(path, &site.content(image)?),
        None => directory.remove(path),
    }
}
