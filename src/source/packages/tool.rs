//! What a package manager is asked: one trait, an implementation for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::apt::Apt;
use super::dnf::Dnf;
use super::package::{Package, Transaction};
use crate::error::Result;
use crate::manifest::{PackageManager, PackagesSource};
use crate::plan::Blocker;
use crate::source::Place;

/// A package as it is on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// Which.
    pub package: Package,
    /// It is unpacked and configured.
    pub is_whole: bool,
    /// An operator holds it: it is not to be changed.
    pub is_held: bool,
}

/// A package that a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// Which.
    pub package: Package,
    /// Bytes to download.
    pub size: u64,
    /// Bytes that it takes when it is installed.
    pub installed: u64,
    /// Names of what it needs.
    pub needs: Vec<String>,
}

/// A configuration file that a package brings, and its bytes there.
pub type Conffile = (String, Vec<u8>);

/// A package manager, with the lists of our own.
pub trait Tool {
    /// Every package that is installed, whole or half.
    fn installed(&self) -> Result<Vec<Installed>>;

    /// What is wrong with the database of what is installed.
    fn trouble(&self) -> Result<Vec<Blocker>>;

    /// Asks the repositories what there is, into lists of our own.
    fn update(&self) -> Result<()>;

    /// What the repositories have of these names, all versions.
    fn available(&self, names: &[&str]) -> Result<Vec<Available>>;

    /// The names of what gives a package what it needs, where asking for each of [`Tool::available`] takes too long.
    fn needs(&self, one: &Available) -> Vec<String> {
        one.needs.clone()
    }

    /// Brings package files into the store.
    fn fetch(&self, packages: &[Package]) -> Result<()>;

    /// A file of a package that is on this host without the network, besides the store.
    fn at_hand(&self, package: &Package) -> Option<PathBuf>;

    /// What installing these would do. Files of the store are taken where there are any.
    fn simulate(&self, packages: &[Package]) -> Result<Transaction>;

    /// The configuration files in a package file.
    fn conffiles(&self, file: &Path) -> Result<Vec<Conffile>>;

    /// The configuration files of an installed package, as far as nobody edited them.
    fn shipped(&self, package: &Package) -> Result<Vec<Conffile>>;

    /// Every configuration file of an installed package, absolute.
    fn conffile_paths(&self, name: &str) -> Result<Vec<PathBuf>>;

    /// Names of the packages that came because others need them.
    fn automatic(&self) -> Result<BTreeSet<String>>;

    /// Who vouches for what comes from the repositories; `None`: nobody does.
    fn vouched(&self) -> Option<String>;

    /// What a package file is called.
    fn file_name(&self, package: &Package) -> String;

    /// Our own configuration of it, which a transaction uses as well.
    fn config(&self) -> PathBuf;

    /// What a configuration file that was kept has beside it: the release's own.
    fn beside(&self) -> &'static str;
}

/// Where package files are kept: with the state, since going back needs them.
pub fn store(state: &Path) -> PathBuf {
    state.join("packages")
}

/// The package manager of a source.
pub fn manager(source: &PackagesSource) -> PackageManager {
    let of_host = || match Path::new("/var/lib/dpkg/status").exists() && Path::new("/usr/bin/apt-get").exists() {
        true => PackageManager::Apt,
        false => PackageManager::Dnf,
    };
    source.manager.unwrap_or_else(of_host)
}

/// The same, ready to be asked.
pub fn tool(source: &PackagesSource, place: &Place) -> Result<Box<dyn Tool>> {
    let store = store(place.state);
    crate::host::fs::make_private(place.state, 0o700)?;
    crate::host::fs::make_private(&store, 0o700)?;
    Ok(match manager(source) {
        PackageManager::Apt => Box::new(Apt::new(&source.repositories, place.cache, store)?),
        PackageManager::Dnf => Box::new(Dnf::new(&source.repositories, place.cache, store)?),
    })
}
