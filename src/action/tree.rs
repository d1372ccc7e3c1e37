//! Switching the checkout.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::Result;
use crate::host::fs::Image;
use crate::plan::abbreviate;
use crate::report::Event;
use crate::source::git::Goal;
use crate::source::git::switch;

/// The checkout goes from one commit and cone to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Where it is.
    pub from: Goal,
    /// Where it goes.
    pub to: Goal,
    /// What the target is called.
    pub label: String,
    /// The branch that moves; `None`: HEAD is detached.
    pub branch: Option<String>,
    /// The target descends from what is there.
    pub is_forward: bool,
    /// Declared local changes that are set aside.
    pub set_aside: Vec<SetAside>,
}

/// A tracked file whose local change the manifest allows to be discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetAside {
    /// Relative to the checkout.
    pub path: PathBuf,
    /// The changed file.
    pub image: Image,
}

impl Act for Tree {
    fn title(&self) -> String {
        let cone = match (self.from.cone == self.to.cone, &self.to.cone) {
            (true, _) => None,
            (false, Some(cone)) => Some(format!("keep only {} checked out", cone.join(", "))),
            (false, None) => Some("check out the whole tree".to_owned()),
        };
        let switch = (self.from.revision != self.to.revision).then(|| format!("switch the tree to {}", self.label));
        switch.into_iter().chain(cone).collect::<Vec<_>>().join(", ")
    }

    fn undo_title(&self) -> Option<String> {
        Some(match self.from.revision == self.to.revision {
            true => "set the old sparse-checkout cone".into(),
            false => format!("switch the tree back to {}", abbreviate(&self.from.revision)),
        })
    }

    fn seen(&self, site: &mut Site) -> Result<Seen> {
        let missing =
            switch::missing_directories(site.state(), &site.root, (&self.from, &self.to), &self.paths_set_aside())?;
        Ok(Seen::Missing(missing))
    }

    fn sight(&self, site: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        let sight = switch::look(&site.owner, &site.root, &self.from, &self.to, &self.paths_set_aside())?;
        let checkout = site.checkout()?;
        for aside in &self.set_aside {
            let is_there = checkout.read(&aside.path)?.map(|content| content.image).as_ref() == Some(&aside.image);
            if sight == Sight::Before && !is_there {
                return Ok(Sight::Mixed);
            }
        }
        Ok(sight)
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        for aside in &self.set_aside {
            switch::discard(&site.owner, &site.root, &aside.path)?;
        }
        let (places, goals) = ((site.state(), site.root.as_path()), (&self.to, &self.from));
        switch::go(&site.owner, places, goals, self.branch.as_deref(), self.is_forward)
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        let checkout = site.checkout()?;

        let missing = match seen {
            Seen::Missing(missing) => missing.as_slice(),
            _ => &[],
        };
        let mut remarks = Vec::new();
        let is_set_aside = |path: &str| self.set_aside.iter().any(|aside| aside.path == Path::new(path));
        switch::restore(&site.owner, &site.root, &self.from, &self.to, missing, &mut |path, foreign| {
            if is_set_aside(path) {
                return Ok(());
            }
            if let Some(content) = checkout.read(Path::new(path))? {
                let copy = site.keep_foreign(path, &content)?;
                if foreign == switch::Foreign::Elsewhere {
                    let text = format!("{path} was changed by somebody else during the run: it stays so");
                    site.reporter.tell(Event::Warning { text });
                    return Ok(());
                }
                remarks.push(format!(
                    "{path} was changed by somebody else during the run: that version is in {}",
                    copy.display()
                ));
            }
            Ok(())
        })?;
        for aside in &self.set_aside {
            checkout.replace(&aside.path, &site.content(&aside.image)?)?;
        }
        Ok(remarks)
    }
}

impl Tree {
    fn paths_set_aside(&self) -> Vec<PathBuf> {
        self.set_aside.iter().map(|aside| aside.path.clone()).collect()
    }
}
