//! Installing the unit files of a scope: write, reload once, enable what is new.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, FileSwap, Seen, Sight, Site};
use crate::error::Result;
use crate::host::fs::Rooted;
use crate::manifest::Scope;

/// The units of one scope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// Their manager.
    pub scope: Scope,
    /// A directory that is there; the files' paths are relative to it.
    pub directory: PathBuf,
    /// Unit files and drop-ins.
    pub files: Vec<FileSwap>,
    /// Units that are enabled for the first time.
    pub enable: Vec<String>,
    /// Enabled units whose `[Install]` section changed.
    pub reenable: Vec<String>,
    /// Enabled units that are removed.
    #[serde(default)]
    pub disable: Vec<String>,
}

impl Act for Units {
    fn title(&self) -> String {
        match self.names().as_str() {
            "" => "reload systemd".into(),
            names if self.files.iter().all(|swap| swap.after.is_none()) => format!("remove {names}"),
            names => format!("install {names}"),
        }
    }

    fn undo_title(&self) -> Option<String> {
        Some(match self.names().as_str() {
            "" => "reload systemd".into(),
            names => format!("put back {names}"),
        })
    }

    fn seen(&self, _: &mut Site) -> Result<Seen> {
        let directory = Rooted::open(&self.directory)?;
        let parents =
            self.files.iter().flat_map(|swap| swap.path.ancestors().skip(1)).filter(|parent| *parent != Path::new(""));
        let parents: BTreeSet<&Path> = parents.collect();
        let mut missing = Vec::new();
        for parent in parents {
            if !directory.exists(parent)? {
                missing.push(parent.to_owned());
            }
        }
        Ok(Seen::Missing(missing))
    }

    fn sight(&self, site: &mut Site, _: &Seen, is_done: bool) -> Result<Sight> {
        let directory = Rooted::open(&self.directory)?;
        let mut parts = Vec::new();
        for swap in self.files.iter().filter(|swap| swap.before != swap.after) {
            parts.push(swap.sight(&directory)?);
        }
        let enabled = self.enable.iter().map(|name| (name, Sight::After, Sight::Before));
        let disabled = self.disable.iter().map(|name| (name, Sight::Before, Sight::After));
        for (name, if_enabled, if_not) in enabled.chain(disabled) {
            let is_enabled = site.manager(self.scope)?.unit(name)?.is_enabled();
            parts.push(if is_enabled { if_enabled } else { if_not });
        }
        Ok(match parts.is_empty() {
            // Nothing changes but the manager's memory, which may be refreshed at any time.
            true if is_done => Sight::After,
            true => Sight::Before,
            false => Sight::of_parts(parts),
        })
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        let directory = Rooted::open(&self.directory)?;
        let (uid, gid) = self.owner(site);
        for name in self.reenable.iter().chain(&self.disable) {
            site.manager(self.scope)?.disable(name)?;
        }
        for swap in &self.files {
            directory.make_directories(swap.path.parent().unwrap_or(Path::new("")), uid, gid)?;
            swap.apply(site, &directory)?;
        }
        // Enabling reads files, not the manager: one reload afterwards sees both.
        for name in self.enable.iter().chain(&self.reenable) {
            site.manager(self.scope)?.enable(name)?;
        }
        site.manager(self.scope)?.reload()?;
        crate::host::fs::sync_filesystem(&self.directory)
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        let directory = Rooted::open(&self.directory)?;
        let mut remarks = Vec::new();
        for name in self.enable.iter().chain(&self.reenable) {
            site.manager(self.scope)?.disable(name)?;
        }
        for swap in self.files.iter().rev() {
            remarks.extend(swap.undo(site, &directory)?);
        }
        if let Seen::Missing(directories) = seen {
            directories.iter().rev().try_for_each(|made| directory.remove_empty_directory(made))?;
        }
        for name in self.reenable.iter().chain(&self.disable) {
            site.manager(self.scope)?.enable(name)?;
        }
        site.manager(self.scope)?.reload()?;
        crate::host::fs::sync_filesystem(&self.directory)?;
        Ok(remarks)
    }
}

impl Units {
    /// The names of the files, in one line.
    fn names(&self) -> String {
        let names = self.files.iter().filter_map(|swap| swap.path.file_name());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
    }

    fn owner(&self, site: &Site) -> (u32, u32) {
        match self.scope {
            Scope::System => (0, 0),
            Scope::User => (site.owner.uid, site.owner.gid),
        }
    }
}
