//! The manifest as it is written: what serde reads and what `relift config schema` describes.
//!
//! Every doc comment here is the description that an editor shows for the key.

mod component;
mod policy;
mod procedure;
mod source;
mod telling;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub(super) use component::*;
pub(super) use policy::*;
pub(super) use procedure::*;
pub(super) use source::*;
pub(super) use telling::*;

/// What is installed on this host from one git checkout, and how it is upgraded. `/etc/relift/NAME.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Manifest {
    /// The version of the manifest's format. Always 1.
    pub schema: i64,
    /// Where the install is and whose it is.
    pub install: Install,
    /// Where releases come from: exactly one of `[source.git]`, `[source.packages]`, `[source.compose]`, `[source.archive]`.
    pub source: Source,
    /// The parts of the install, each a directory of the checkout.
    pub component: Vec<Component>,
    /// Commands at standard places of a run, those of a place in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hook: Vec<Hook>,
    /// What going to a version asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migration: Vec<Migration>,
    /// What must hold between components, and with what else talks to them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
    /// What of its data is backed up before a run changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What may happen by itself, and how a release must prove itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// Who is told what, and by which way. Each is one way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
    /// What monitoring reads of this install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
}

/// Where the install is and whose it is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Install {
    /// The checkout's top directory, absolute.
    pub root: String,
    /// The account that owns the checkout. git and the steps run as this account.
    pub owner: String,
    /// Whether root runs steps and checks with `as = "root"` in the checkout, whatever its owner has put there. Otherwise it runs
    /// them in a copy of the release that was verified or pinned. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub trust_checkout: bool,
    /// Whether who logs in is told what waits for an operator, by `/run/motd.d/relift`. Default: true.
    #[serde(default = "yes")]
    pub motd: bool,
    /// How the tree lies below the root. `in-place`: the root is the tree. `releases`: each release has a directory of its own,
    /// `releases/VERSION`; `current` is a link to the one that runs, `previous` to the one before; `.env` files and what `shared`
    /// names live in `shared`. For git and archives. Default: in-place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Paths of a release that outlive it, such as "app/data", relative to it: they live below `shared`, and each release has a
    /// link to them. `.env` files are shared by themselves. With layout = "releases".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared: Vec<String>,
}

/// How the tree lies below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Layout {
    InPlace,
    Releases,
}

/// Where releases come from: exactly one table.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Source {
    /// A git checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
    /// Packages of apt or dnf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<Packages>,
    /// A Compose project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose: Option<Compose>,
    /// Release archives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
}

/// A git checkout. Give either `branch` or `tags`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Git {
    /// The remote's URL. It is pinned: the checkout's own remote must agree.
    pub url: String,
    /// Follow this branch, fast-forward only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Follow the newest tag of this shape: `manager-v{version}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// The versions that a run may move to by itself, in Cargo's notation: `^1.7`, `>=1.6, <2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// A token for a private remote over HTTPS: the name of a systemd credential (LoadCredential=), or the absolute path of a
    /// file that root alone may read. Without it the owner's own git credentials are used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The most that one fetch may write to this host's disk, as packed: `500MiB`, `4GiB`. Default: `2GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fetch: Option<String>,
    /// Tracked files whose local changes a run sets aside, relative to the root. Undo puts them back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discard: Vec<String>,
    /// Whether the work tree is kept to the installed components (git-sparse-checkout(1)). Default: true.
    #[serde(default = "yes")]
    pub sparse: bool,
    /// Whether the repository's own manifest, `relift.toml` at the top of the release, is read beside this file, which wins key
    /// by key. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub manifest: bool,
    /// What must be signed before it may be installed, and by whom. Without it, releases are marked *unverified*.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// What must be signed, and by whom: SSH keys, OpenPGP keys, or both. The files are root's, outside the checkout.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Verify {
    /// With `tags`: `tag`, the annotated tag of the release. With `branch`: `commits`, every first-parent commit since the
    /// last known-good release; or `tip`, the newest commit alone.
    pub signed: MustBeSigned,
    /// SSH keys that may sign, absolute: the file of `ssh-keygen -Y verify -f`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_signers: Option<String>,
    /// SSH keys that are revoked, absolute: a KRL or a list of public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// OpenPGP keys, absolute: a keyring that gpgv reads. Goes with `fingerprints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// The whole fingerprints of the OpenPGP keys that may sign: 40 or 64 hex digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// How old the newest signature may be before `check` warns that upstream may be frozen: `30d`. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// What must be signed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum MustBeSigned {
    Tag,
    Commits,
    Tip,
}

fn yes() -> bool {
    true
}

fn is_no(value: &bool) -> bool {
    !value
}

/// What must hold between components.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Compatibility {
    /// Groups of components that must share MAJOR.MINOR: they are upgraded together or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lockstep: Vec<Vec<String>>,
    /// What else talks to this install, and which versions go together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer: Vec<Peer>,
}

/// What of an install's data is backed up: before a run changes it, and by `relift backup take`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Backup {
    /// Files and directories, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// SQLite databases, relative to the root: copied by SQLite's own backup, whether `paths` holds them or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sqlite: Vec<String>,
    /// Named volumes of the Compose project, as its files call them: `data`. They are copied when nothing writes to them, so
    /// that `when = "quiesced"` belongs to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// How many backups are kept, at least 1. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<i64>,
    /// `prepare`: while everything runs. `quiesced`: when the units of the components, or the containers of the project, are stopped,
    /// before the tree is switched. Default: `prepare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<BackupWhen>,
    /// Where backups are kept, absolute: each install in a directory of its own. Default: `/var/lib/relift/NAME/backups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// When a run takes its backup.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum BackupWhen {
    Prepare,
    Quiesced,
}
