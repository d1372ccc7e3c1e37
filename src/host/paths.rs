//! Where relift keeps its things, below the prefix that `--root` gives.

use std::path::{Path, PathBuf};

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

    /// Manifests: `/etc/relift`.
    pub fn manifests(&self) -> PathBuf {
        self.prefix.join("etc/relift")
    }

    /// What all installs are known by: `/var/lib/relift`.
    pub fn states(&self) -> PathBuf {
        self.prefix.join("var/lib/relift")
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

    /// Locks: `/run/relift`.
    pub fn runtime(&self) -> PathBuf {
        self.prefix.join("run/relift")
    }
}
