//! The changes of a Compose project: its files, its containers, and bringing exactly what ran back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, FileSwap, Seen, Sight, Site};
use crate::error::Result;
use crate::host::fs::{Rooted, make_private};
use crate::source::compose::Project;
use crate::source::compose::project::Container;

/// Notes which containers there are. It stands first, so that its undo comes when files and data are back, and makes the
/// containers what they were.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeHold {
    /// The project.
    pub project: Project,
    /// Whether the containers are stopped for a backup.
    pub stops: bool,
}

/// Writes the files of the project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeFiles {
    /// Files below the root.
    pub swaps: Vec<FileSwap>,
    /// Our own file that pins images, relative to `directory`.
    pub pins: Option<FileSwap>,
    /// Where that lies.
    pub directory: PathBuf,
}

/// Makes containers anew of what changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComposeUp {
    /// The project.
    pub project: Project,
    /// The services whose containers are made anew or started.
    pub services: Vec<String>,
    /// The services that go.
    pub removed: Vec<String>,
    /// The images that are needed for it, as the files name them.
    pub images: Vec<String>,
    /// Whether its undo stops everything, for data to be put back.
    pub restores: bool,
}

/// What tells whether a container is as it was: ids change when it is made anew of the same.
fn essence(containers: &[Container]) -> Vec<(&str, &str, &str, bool)> {
    let mut all: Vec<_> = containers
        .iter()
        .map(|one| (one.service.as_str(), one.image.as_str(), one.hash.as_str(), one.running))
        .collect();
    all.sort_unstable();
    all
}

fn was(seen: &Seen) -> &[Container] {
    match seen {
        Seen::Containers(containers) => containers,
        _ => &[],
    }
}

fn ids(containers: &[Container], wanted: impl Fn(&Container) -> bool) -> Vec<&str> {
    containers.iter().filter(|one| wanted(one)).map(|one| one.id.as_str()).collect()
}

impl Act for ComposeHold {
    fn title(&self) -> String {
        match self.stops {
            true => format!("stop the containers of {}", self.project.name),
            false => format!("note the containers of {}", self.project.name),
        }
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("bring back the containers of {}", self.project.name))
    }

    fn seen(&self, _: &mut Site) -> Result<Seen> {
        Ok(Seen::Containers(self.project.containers()?))
    }

    fn sight(&self, _: &mut Site, seen: &Seen, _: bool) -> Result<Sight> {
        let now = self.project.containers()?;
        Ok(if essence(&now) == essence(was(seen)) { Sight::Before } else { Sight::Mixed })
    }

    fn apply(&self, _: &mut Site) -> Result<()> {
        if !self.stops {
            return Ok(());
        }
        let now = self.project.containers()?;
        self.project.stop(&ids(&now, |one| one.running))
    }

    fn redo(&self, site: &mut Site, _: &Seen) -> Result<()> {
        // Past a step that nothing undoes, what is stopped is started by what follows.
        self.apply(site)
    }

    fn undo(&self, _: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        self.project.awaken()?;
        let was = was(seen);
        let mut now = self.project.containers()?;
        if essence(&now) == essence(was) && !self.stops {
            return Ok(Vec::new());
        }
        // The daemon goes on with a stop whose caller was killed, and would end what is started here: stopped once more, it has
        // come to its end.
        self.project.stop(&ids(&now, |one| self.stops && one.running))?;
        // What was not there, half made ones of Compose among them; volumes stay.
        let is_as_before = |one: &Container| was.iter().any(|old| old.image == one.image && old.hash == one.hash);
        let is_same = |one: &Container| was.iter().any(|old| old.id == one.id);
        self.project.remove(&ids(&now, |one| !is_same(one) && !is_as_before(one)))?;
        let mut services: Vec<String> = was.iter().filter(|one| one.running).map(|one| one.service.clone()).collect();
        services.sort();
        services.dedup();
        if !services.is_empty() {
            self.project.up(&services)?;
        }
        now = self.project.containers()?;
        if essence(&now) != essence(was) {
            // What Compose could not make sense of is made anew.
            let is_meant = |one: &Container| services.contains(&one.service);
            self.project.remove(&ids(&now, is_meant))?;
            self.project.up(&services)?;
            now = self.project.containers()?;
        }
        Ok(match essence(&now) == essence(was) {
            true => Vec::new(),
            false => vec![format!(
                "the containers of {} are not what they were: {} ps -a --filter label=com.docker.compose.project={}",
                self.project.name,
                self.project.program.engine(),
                self.project.name
            )],
        })
    }
}

impl ComposeFiles {
    fn each(&self, site: &Site) -> Result<Vec<(&FileSwap, Rooted)>> {
        let mut found = Vec::new();
        for swap in &self.swaps {
            found.push((swap, site.checkout()?));
        }
        if let Some(pins) = &self.pins {
            make_private(&self.directory, 0o700)?;
            found.push((pins, Rooted::open(&self.directory)?));
        }
        Ok(found)
    }
}

impl Act for ComposeFiles {
    fn title(&self) -> String {
        let mut names: Vec<String> = self.swaps.iter().map(|swap| swap.path.display().to_string()).collect();
        names.extend(self.pins.as_ref().map(|_| "the images' digests".to_owned()));
        format!("write {}", names.join(", "))
    }

    fn undo_title(&self) -> Option<String> {
        Some(self.title().replacen("write", "put back", 1))
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        let parts = self.each(site)?.into_iter().map(|(swap, place)| swap.sight(&place));
        Ok(Sight::of_parts(parts.collect::<Result<Vec<_>>>()?))
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        for (swap, place) in self.each(site)? {
            let parent = swap.path.parent().unwrap_or(Path::new(""));
            if let Some(image) = swap.after.as_ref().filter(|_| parent != Path::new("")) {
                place.make_directories(parent, image.uid, image.gid)?;
            }
            swap.apply(site, &place)?;
        }
        Ok(())
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        let mut remarks = Vec::new();
        for (swap, place) in self.each(site)?.into_iter().rev() {
            let parent = swap.path.parent().unwrap_or(Path::new(""));
            if parent != Path::new("") && !place.is_directory(parent) && swap.before.is_none() {
                continue;
            }
            remarks.extend(swap.undo(site, &place)?);
            // A directory that came with the file goes with it; one that holds more stays.
            if parent != Path::new("") && swap.before.is_none() {
                place.remove_empty_directory(parent).unwrap_or_default();
            }
        }
        Ok(remarks)
    }
}

impl Act for ComposeUp {
    fn title(&self) -> String {
        let parts = [("start anew", &self.services), ("remove", &self.removed)];
        let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
        let words: Vec<String> = parts.map(|(verb, names)| format!("{verb} {}", names.join(", "))).collect();
        format!("{} of {}", words.join(", "), self.project.name)
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("stop what was started of {}", self.project.name))
    }

    fn seen(&self, _: &mut Site) -> Result<Seen> {
        Ok(Seen::Containers(self.project.containers()?))
    }

    fn sight(&self, _: &mut Site, seen: &Seen, _: bool) -> Result<Sight> {
        let now = self.project.containers()?;
        if essence(&now) == essence(was(seen)) {
            return Ok(Sight::Before);
        }
        let hashes: BTreeMap<String, String> = self.project.hashes().unwrap_or_default();
        let is_new = |service: &String| {
            let mut own = now.iter().filter(|one| one.service == *service).peekable();
            own.peek().is_some() && own.all(|one| one.running && hashes.get(service) == Some(&one.hash))
        };
        let is_gone = |service: &String| !now.iter().any(|one| one.service == *service);
        let is_whole = self.services.iter().all(is_new) && self.removed.iter().all(is_gone);
        Ok(if is_whole { Sight::After } else { Sight::Mixed })
    }

    fn apply(&self, _: &mut Site) -> Result<()> {
        if !self.services.is_empty() {
            self.project.up(&self.services)?;
        }
        let now = self.project.containers()?;
        self.project.remove(&ids(&now, |one| self.removed.contains(&one.service)))
    }

    fn redo(&self, site: &mut Site, _: &Seen) -> Result<()> {
        self.apply(site)
    }

    fn undo(&self, _: &mut Site, _: &Seen) -> Result<Vec<String>> {
        self.project.awaken()?;
        let now = self.project.containers()?;
        // What wrote for the new release writes no more when files and data are put back; and a stop of which Compose died is
        // waited for, since the daemon goes on with it.
        let is_meant = |one: &Container| self.restores || self.services.contains(&one.service);
        self.project.stop(&ids(&now, |one| one.running && is_meant(one)))?;
        Ok(Vec::new())
    }
}
