//! Installing the unit files of a scope: write, reload once, enable what is new.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, FileSwap, Link, Links, Seen, Sight, Site};
use crate::error::{Result, ended};
use crate::host::fs::{Rooted, sync_filesystem};
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
    /// Every name that a link of these units may have or point to: units, templates, aliases, `Also=`.
    #[serde(default)]
    pub related: Vec<String>,
    /// Links of the operator's own, which enabling again would not make.
    #[serde(default)]
    pub keep: Vec<Link>,
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
        let (below, names) = self.links();
        let links = Links { place: &directory, below: &below, units: &names }.look()?;
        let mut missing = Vec::new();
        for parent in parents {
            if !directory.exists(parent)? {
                missing.push(parent.to_owned());
            }
        }
        Ok(Seen::Enabled { missing, links })
    }

    fn sight(&self, _: &mut Site, seen: &Seen, is_done: bool) -> Result<Sight> {
        let directory = Rooted::open(&self.directory)?;
        let mut parts = Vec::new();
        for swap in self.files.iter().filter(|swap| swap.before != swap.after) {
            parts.push(swap.sight(&directory)?);
        }
        let changes_links = !self.enable.is_empty() || !self.disable.is_empty();
        if let Seen::Enabled { links, .. } = seen
            && changes_links
        {
            let (below, names) = self.links();
            let now = Links { place: &directory, below: &below, units: &names }.look()?;
            parts.push(if now == *links { Sight::Before } else { Sight::After });
        }
        Ok(match parts.is_empty() {
            // Nothing changes but the manager's memory, which may be refreshed at any time.
            true => Sight::whole_or_not(is_done),
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
            if swap.after.is_none() {
                remove_drop_ins(&directory, &swap.path)?;
            }
        }
        // Enabling reads files, not the manager: one reload afterwards sees both.
        for name in self.enable.iter().chain(&self.reenable) {
            site.manager(self.scope)?.enable(name)?;
        }
        let (below, names) = self.links();
        let links = Links { place: &directory, below: &below, units: &names };
        links.make(&self.keep, uid, gid)?;
        // What pointed to a file that is gone, whoever made it; a mask is none of that.
        let gone = self.files.iter().filter(|swap| swap.after.is_none()).filter_map(|swap| swap.path.file_name());
        let gone: Vec<_> = gone.collect();
        let left: Vec<Link> = links
            .look()?
            .into_iter()
            .filter(|link| !gone.iter().any(|name| link.to.file_name() == Some(name)))
            .collect();
        links.keep_only(&left)?;
        self.read_again(site)
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        let directory = Rooted::open(&self.directory)?;
        let mut remarks = Vec::new();
        let (uid, gid) = self.owner(site);
        let notes_links = matches!(seen, Seen::Enabled { .. });
        // A run of a version that did not note the links.
        for name in self.enable.iter().chain(&self.reenable).filter(|_| !notes_links) {
            site.manager(self.scope)?.disable(name)?;
        }
        for swap in self.files.iter().rev() {
            if swap.before.is_some() {
                directory.make_directories(swap.path.parent().unwrap_or(Path::new("")), uid, gid)?;
            }
            remarks.extend(swap.undo(site, &directory)?);
        }
        if let Seen::Enabled { links, .. } = seen {
            let (below, names) = self.links();
            Links { place: &directory, below: &below, units: &names }.restore(links, uid, gid)?;
        }
        for name in self.reenable.iter().chain(&self.disable).filter(|_| !notes_links) {
            site.manager(self.scope)?.enable(name)?;
        }
        if let Seen::Missing(made) | Seen::Enabled { missing: made, .. } = seen {
            made.iter().rev().try_for_each(|made| directory.remove_empty_directory(made))?;
        }
        self.read_again(site)?;
        Ok(remarks)
    }
}

impl Units {
    /// Has the manager read what is on disk by now, which is made durable meanwhile.
    fn read_again(&self, site: &mut Site) -> Result<()> {
        let manager = site.manager(self.scope)?;
        std::thread::scope(|scope| {
            let synced = scope.spawn(|| sync_filesystem(&self.directory));
            let reloaded = manager.reload();
            reloaded.and(ended(synced.join()))
        })
    }

    /// The names of the files, in one line.
    fn names(&self) -> String {
        let names = self.files.iter().filter_map(|swap| swap.path.file_name());
        names.map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ")
    }

    /// The directory of the scope's unit files, and the names of units that links in it may concern.
    fn links(&self) -> (PathBuf, BTreeSet<String>) {
        let below = match self.scope {
            Scope::System => PathBuf::from("."),
            Scope::User => PathBuf::from(".config/systemd/user"),
        };
        let named = [&self.enable, &self.reenable, &self.disable, &self.related].into_iter().flatten().cloned();
        let files = self.files.iter().filter_map(|swap| swap.path.file_name());
        (below, named.chain(files.map(|name| name.to_string_lossy().into_owned())).collect())
    }

    fn owner(&self, site: &Site) -> (u32, u32) {
        match self.scope {
            Scope::System => (0, 0),
            Scope::User => (site.owner.uid, site.owner.gid),
        }
    }
}

/// The directory of a drop-in that was removed, where it is empty now.
fn remove_drop_ins(directory: &Rooted, path: &Path) -> Result<()> {
    match path.parent().filter(|parent| parent.extension().is_some_and(|kind| kind == "d")) {
        Some(parent) => directory.remove_empty_directory(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_before_links_were_noted_can_be_read() {
        let old =
            r#"{"scope":"system","directory":"/etc/systemd/system","files":[],"enable":["a.service"],"reenable":[]}"#;
        let units: Units = serde_json::from_str(old).unwrap();
        assert!(units.keep.is_empty() && units.related.is_empty() && units.disable.is_empty());
        let seen: Seen = serde_json::from_str(r#"{"missing":["a.service.d"]}"#).unwrap();
        assert_eq!(seen, Seen::Missing(vec!["a.service.d".into()]));
        let gate = r#"{"component":"a","units":[],"probes":0,"version":null,"changes":true}"#;
        assert!(serde_json::from_str::<crate::plan::GatePlan>(gate).unwrap().leaves.is_empty());
    }
}
