//! Leading `current` to another release: one rename(2) of a link.
//!
//! Root makes the links by descriptors of the root's directory, and follows none: the owner may put there what it wants.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::host::fs::Rooted;
use crate::manifest::CURRENT;
use crate::source::releases::{self, PREVIOUS};

/// The links `current` and `previous` before and after. Names of directories below `releases`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The release that runs; `None`: the install is new.
    pub from: Option<String>,
    /// The release that will run.
    pub to: String,
    /// The commit that it is of.
    pub revision: String,
    /// What `previous` leads to; `None`: it is not there.
    pub previous: Option<String>,
}

impl Layout {
    /// What `previous` leads to afterwards: the release that was left.
    fn left(&self) -> Option<&str> {
        let is_other = self.from.as_deref().filter(|from| *from != self.to);
        is_other.or(self.previous.as_deref())
    }

    /// A link as it is, against what it was and will be.
    fn link(root: &Rooted, name: &str, before: Option<&str>, after: Option<&str>) -> Result<Sight> {
        let path = Path::new(name);
        let there = match root.exists(path)? {
            false => None,
            true => Some(root.link(path)?),
        };
        let is = |wanted: Option<&str>| match (&there, wanted) {
            (None, None) => true,
            (Some(Some(target)), Some(wanted)) => *target == releases::below(wanted),
            _ => false,
        };
        Ok(match () {
            () if is(before) => Sight::Before,
            () if is(after) => Sight::After,
            () => Sight::Neither,
        })
    }

    fn lead(site: &Site, root: &Rooted, name: &str, to: Option<&str>) -> Result<()> {
        match to {
            Some(to) => root.lead(Path::new(name), &releases::below(to), site.owner.uid, site.owner.gid),
            None => root.remove(Path::new(name)),
        }
    }
}

impl Act for Layout {
    fn title(&self) -> String {
        format!("lead {CURRENT} to {}", releases::below(&self.to).display())
    }

    fn undo_title(&self) -> Option<String> {
        Some(match &self.from {
            Some(from) => format!("lead {CURRENT} back to {}", releases::below(from).display()),
            None => format!("remove {CURRENT}"),
        })
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        let root = site.checkout()?;
        let current = Layout::link(&root, CURRENT, self.from.as_deref(), Some(&self.to))?;
        let previous = Layout::link(&root, PREVIOUS, self.previous.as_deref(), self.left())?;
        let is_same = self.previous.as_deref() == self.left();
        // `previous` says nothing by itself: what runs is what counts.
        Ok(match (current, previous) {
            (Sight::Neither, _) => Sight::Neither,
            (current, _) if is_same => current,
            (current, previous) if current == previous => current,
            _ => Sight::Mixed,
        })
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let root = site.checkout()?;
        let directory = releases::below(&self.to);
        if !root.is_directory(&directory) {
            let place = site.root.join(&directory);
            return Err(Error::failed(format!("{} is no directory any more", place.display()))
                .hint("nobody else may change it during a run; start the run again"));
        }
        match Layout::link(&root, CURRENT, self.from.as_deref(), Some(&self.to))? {
            Sight::Before | Sight::After => {}
            _ => {
                let place = site.root.join(CURRENT);
                return Err(Error::failed(format!("{} was changed since the plan was made", place.display()))
                    .hint("nobody else may change it during a run; start the run again"));
            }
        }
        Layout::lead(site, &root, PREVIOUS, self.left())?;
        Layout::lead(site, &root, CURRENT, Some(&self.to))
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        let root = site.checkout()?;
        let mut remarks = Vec::new();
        let back = [
            (CURRENT, self.from.as_deref(), Some(self.to.as_str())),
            (PREVIOUS, self.previous.as_deref(), self.left()),
        ];
        for (name, before, after) in back {
            let sight = Layout::link(&root, name, before, after)?;
            if sight == Sight::Neither {
                remarks.extend(set_aside(site, &root, name)?);
            }
            if sight != Sight::Before {
                Layout::lead(site, &root, name, before)?;
            }
        }
        Ok(remarks)
    }
}

/// Moves what somebody else put in the place of a link out of the way; a link is only told.
fn set_aside(site: &Site, root: &Rooted, name: &str) -> Result<Option<String>> {
    let path = Path::new(name);
    if !root.exists(path)? {
        return Ok(Some(format!(
            "{} was removed by somebody else during the run: it is put back",
            site.root.join(name).display()
        )));
    }
    let changed = format!("{} was changed by somebody else during the run", site.root.join(name).display());
    if let Some(target) = root.link(path)? {
        return Ok(Some(format!("{changed}: it led to {}", crate::text::harmless(&target.display().to_string()))));
    }
    let aside = PathBuf::from(format!("{name}.{}", site.run));
    root.rename(path, &aside)?;
    Ok(Some(format!("{changed}: what was there is {} now", site.root.join(aside).display())))
}
