//! The symbolic links by which units are enabled, systemctl(1): those of `[Install]`, aliases, and what an operator added with
//! `systemctl add-wants`. What `enable` makes again is not always what `disable` took away.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::host::fs::Rooted;

/// A link in a directory of unit files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Link {
    /// Relative to the place that the action works in: `multi-user.target.wants/app.service`.
    pub path: PathBuf,
    /// What it points to.
    pub to: PathBuf,
}

/// The links of some units.
#[derive(Debug)]
pub struct Links<'a> {
    /// A directory that is there.
    pub place: &'a Rooted,
    /// The directory of unit files, relative to it.
    pub below: &'a Path,
    /// The names of the units, and those of their templates.
    pub units: &'a BTreeSet<String>,
}

impl Links<'_> {
    /// What is there, in order.
    pub fn look(&self) -> Result<Vec<Link>> {
        let mut found = Vec::new();
        self.collect(self.below, &mut found)?;
        for name in self.place.entries(self.below)? {
            let is_dependencies = [".wants", ".requires", ".upholds"]
                .iter()
                .any(|kind| name.to_str().is_some_and(|name| name.ends_with(kind)));
            if is_dependencies && self.place.is_directory(&self.below.join(&name)) {
                self.collect(&self.below.join(name), &mut found)?;
            }
        }
        found.sort();
        Ok(found)
    }

    fn collect(&self, directory: &Path, found: &mut Vec<Link>) -> Result<()> {
        for name in self.place.entries(directory)? {
            let path = directory.join(&name);
            let Some(to) = self.place.link(&path)? else { continue };
            if self.concerns(&name) || to.file_name().is_some_and(|target| self.concerns(Path::new(target))) {
                found.push(Link { path, to });
            }
        }
        Ok(())
    }

    fn concerns(&self, name: &Path) -> bool {
        name.to_str().is_some_and(|name| self.units.contains(name))
    }

    /// Makes these links where they are missing, with their directories.
    pub fn make(&self, links: &[Link], uid: u32, gid: u32) -> Result<()> {
        for link in links.iter().filter(|link| link.path.starts_with(self.below)) {
            if !self.place.exists(&link.path)? {
                self.place.make_directories(link.path.parent().unwrap_or(Path::new("")), uid, gid)?;
                self.place.make_link(&link.path, &link.to, uid, gid)?;
            }
        }
        Ok(())
    }

    /// Removes the links that are there, but for these, and the directories of dependencies that are empty then.
    pub fn keep_only(&self, links: &[Link]) -> Result<()> {
        for link in self.look()?.iter().filter(|link| !links.contains(link)) {
            self.place.remove(&link.path)?;
            if let Some(parent) = link.path.parent().filter(|parent| *parent != self.below) {
                self.place.remove_empty_directory(parent)?;
            }
        }
        Ok(())
    }

    /// Makes the links exactly these.
    pub fn restore(&self, links: &[Link], uid: u32, gid: u32) -> Result<()> {
        self.keep_only(links)?;
        self.make(links, uid, gid)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_other_units_are_not_seen_and_ones_own_come_back_exactly() {
        let place = tempfile::tempdir().unwrap();
        let units = place.path().join("units");
        for directory in ["multi-user.target.wants", "graphical.target.requires", "plain"] {
            std::fs::create_dir_all(units.join(directory)).unwrap();
        }
        let link = |path: &str, to: &str| symlink(to, units.join(path)).unwrap();
        link("multi-user.target.wants/app.service", "../app.service");
        link("multi-user.target.wants/other.service", "/lib/systemd/system/other.service");
        link("graphical.target.requires/app@a.service", "/etc/systemd/system/app@.service");
        link("alias.service", "/etc/systemd/system/app.service");
        link("plain/app.service", "no directory of dependencies");
        let rooted = Rooted::open(place.path()).unwrap();
        let names = BTreeSet::from(["app.service".to_owned(), "app@.service".to_owned()]);
        let links = Links { place: &rooted, below: Path::new("units"), units: &names };
        let before = links.look().unwrap();
        let paths: Vec<_> = before.iter().map(|link| link.path.to_str().unwrap()).collect();
        assert_eq!(
            paths,
            [
                "units/alias.service",
                "units/graphical.target.requires/app@a.service",
                "units/multi-user.target.wants/app.service"
            ]
        );

        std::fs::remove_file(units.join("alias.service")).unwrap();
        std::fs::remove_dir_all(units.join("graphical.target.requires")).unwrap();
        std::fs::create_dir(units.join("new.target.wants")).unwrap();
        link("new.target.wants/app.service", "../app.service");
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        links.restore(&before, uid, gid).unwrap();
        assert_eq!(links.look().unwrap(), before);
        assert!(!units.join("new.target.wants").exists());
        assert!(units.join("multi-user.target.wants/other.service").is_symlink());
    }
}
