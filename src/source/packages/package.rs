//! Packages and what a transaction makes of them: values.

use serde::{Deserialize, Serialize};

/// A package of a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name; with `:ARCHITECTURE` where it is foreign to this host.
    pub name: String,
    /// The whole version, as the package manager has it.
    pub version: String,
    /// Its architecture.
    pub arch: String,
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={} {}", self.name, self.version, self.arch)
    }
}

impl Package {
    /// Reads a line as [`Package`] writes it.
    pub fn parse(line: &str) -> Option<Package> {
        let (rest, arch) = line.trim().rsplit_once(' ')?;
        let (name, version) = rest.split_once('=')?;
        Some(Package { name: name.into(), version: version.into(), arch: arch.into() })
    }

    /// Name and version, as a person reads it.
    pub fn words(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// What a transaction does to one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The package's name.
    pub name: String,
    /// What is installed; `None`: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Package>,
    /// What will be.
    pub to: Package,
}

/// What a package manager says that a transaction would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    /// What is installed, upgraded or downgraded.
    pub changes: Vec<Change>,
    /// The names of what would be removed.
    pub removes: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_read_as_it_is_written() {
        let one = Package { name: "app:i386".into(), version: "1:2.0~rc1=x-1".into(), arch: "i386".into() };
        assert_eq!(one.to_string(), "app:i386=1:2.0~rc1=x-1 i386");
        assert_eq!(Package::parse(&one.to_string()), Some(one));
        assert_eq!(Package::parse("app"), None);
    }
}
