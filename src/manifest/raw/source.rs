//! The tables of the sources besides git.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packages of the distribution's package manager.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packages {
    /// The packages that are upgraded. Nothing else is, unless one of them needs it.
    pub packages: Vec<String>,
    /// The only repositories that they come from. Default: all that are configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// The versions that a run may move to by itself, in Cargo's notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
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
