//! Where relift keeps its things, below the prefix that `--root` gives.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The places of hier(7) that are ours alone.
#[derive(Debug, Clone)]
pub struct Paths {
    prefix: PathBuf,
}

impl Paths {
    /// The places below `prefix`, `/` on a real host.
    pub fn below(prefix: &Path) -> Paths {
        Paths { prefix: prefix.to_owned() }
    }

    /// Whether these are the host's own.
    pub fn is_host(&self) -> bool {
        self.prefix == Path::new("/")
    }

    /// Manifests: `/etc/relift`.
    pub fn manifests(&self) -> PathBuf {
        self.prefix.join("etc/relift")
    }

    /// What all installs are known by: `/var/lib/relift`.
    pub fn states(&self) -> PathBuf {
        self.prefix.join("var/lib/relift")
    }

    /// The installs that have ever had a run here, sorted.
    pub fn known(&self) -> Result<Vec<String>> {
        let states = self.states();
        let entries = match std::fs::read_dir(&states) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::failed(format!("{} cannot be read", states.display())).because(error)),
        };
        let mut names: Vec<String> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.is_dir())
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect();
        names.sort();
        Ok(names)
    }

    /// What an install is known by across boots: `/var/lib/relift/NAME`.
    pub fn state(&self, install: &str) -> PathBuf {
        self.states().join(install)
    }

    /// Staged trees that the owner may write: `/var/cache/relift/NAME`.
    pub fn cache(&self, install: &str) -> PathBuf {
        self.prefix.join("var/cache/relift").join(install)
    }

    /// What who logs in is told, pam_motd(8): `/run/motd.d/relift`.
    pub fn motd(&self) -> PathBuf {
        self.prefix.join("run/motd.d/relift")
    }

    /// What every account may know of the installs: `/run/relift-status`. Not below [`Paths::runtime`], which nobody else gets into.
    pub fn summaries(&self) -> PathBuf {
        self.prefix.join("run/relift-status")
    }

    /// Locks: `/run/relift`.
    pub fn runtime(&self) -> PathBuf {
        self.prefix.join("run/relift")
    }
}
