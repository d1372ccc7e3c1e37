//! The tables of the sources besides git.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packages of the distribution's package manager.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packages {
    /// The packages that are upgraded; `*` stands for anything, of what is installed. Nothing else is upgraded, unless one of
    /// them needs it. The first one's version is the release's.
    pub packages: Vec<String>,
    /// The only repositories that they, and what they need, come from; `*` stands for anything. apt: the name of a file in
    /// sources.list.d without its ending, the host in a URI, or a suite. dnf: ids, as for `--enablerepo`. Default: all that are
    /// configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// `apt` or `dnf`. Default: the one whose packages this host is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<PackageManager>,
    /// How long the package manager may take for the transaction, maintainer scripts included. Default: `15min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How long to wait for another package manager that holds the lock. Default: `1min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<String>,
    /// The versions that a run may move to by itself, in Cargo's notation. `2.4-1` of Debian counts as 2.4.0, `1:3.0~rc2-1` as
    /// 3.0.0-rc2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// A package manager.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    Apt,
    Dnf,
}

/// A Compose project.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compose {
    /// The project's name.
    pub project: String,
    /// The Compose files, relative to the root, in the order in which they are merged.
    pub files: Vec<String>,
    /// The versions that a run may move to by itself, in Cargo's notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// Release archives.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// Where the archive of a version is: a URL, or an absolute path, with `{version}` in it.
    pub url: String,
    /// The file of SHA-256 sums that names every release, as sha256sum(1) writes it: a URL, or an absolute path.
    pub checksums: String,
    /// The versions that a run may move to by itself, in Cargo's notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}
