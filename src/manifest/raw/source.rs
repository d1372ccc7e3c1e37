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

/// A Compose project: its files follow a release's reference files, its images follow a registry, or both. Give `reference`,
/// `image` or both.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compose {
    /// The project's name, as `docker-compose -p` takes it.
    pub project: String,
    /// The Compose files, relative to the root, in the order in which they are merged.
    pub files: Vec<String>,
    /// The file that `${VARIABLE}` is looked up in, relative to the root. Default: `.env`, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// The profiles that are on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// What carries Compose out: `docker compose`, `docker-compose` or `podman-compose`. Default: the first of them that this host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The directory of the release's reference files, absolute; `{version}` in it stands for a version. Without that, a file
    /// `VERSION` in the directory names the version. Files of the same names below the root are kept up with them, and local
    /// changes stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The version whose reference files this host's stem from, for as long as no run was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
    /// Images that follow a registry. They are pinned by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image: Vec<ComposeImage>,
    /// Whether undoing a run puts the data of its backup back once the new containers were started. Default: false.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub restore_backup: bool,
    /// The versions that a run may move to by itself, in Cargo's notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// An image that follows a registry. Give `tags` or `tag`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ComposeImage {
    /// The image without a tag: `registry.example:5000/app`. Who may pull it, `~/.docker/config.json` of root says.
    pub name: String,
    /// The services that run it.
    pub services: Vec<String>,
    /// Follow the newest tag of this shape: `v{version}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Follow this tag, which moves: `stable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
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
