//! The manifest as it is written: what serde reads and what `relift config schema` describes.
//!
//! Every doc comment here is the description that an editor shows for the key.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is installed on this host from one git checkout, and how it is upgraded. `/etc/relift/NAME.toml`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Manifest {
    /// The version of the manifest's format. Always 1.
    pub schema: i64,
    /// Where the install is and whose it is.
    pub install: Install,
    /// Where releases come from: exactly one table, `[source.git]`.
    pub source: Source,
    /// The parts of the install, each a directory of the checkout.
    pub component: Vec<Component>,
    /// What must hold between components.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compatibility: Option<Compatibility>,
    /// What of its data is backed up before a run changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
    /// What may happen by itself, and how a release must prove itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

/// Where the install is and whose it is.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
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
}

/// Where releases come from: exactly one table.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Source {
    /// A git checkout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Git>,
}

/// A git checkout. Give either `branch` or `tags`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
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
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
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

/// A part of the install: a directory of the checkout with its own configuration, units and steps.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Component {
    /// Its name in messages and in `--only`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its directory, relative to the root.
    pub path: String,
    /// It counts as installed when this path, relative to the root, exists. Without it, it always does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_if: Option<String>,
    /// Where its version is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Its changelog, relative to the component. Default: `CHANGELOG.md`, then `docs/CHANGELOG.md`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changelog: Option<String>,
    /// Its configuration files, each with upstream's example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<Env>,
    /// What steps make and git ignores, relative to the component. Kept, so that going back needs no network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// Commands that must succeed before anything live changes, or before any restart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Check>,
    /// Commands that bring the component to the new tree, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub step: Vec<Step>,
    /// The systemd unit files that upstream ships.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit: Vec<Unit>,
    /// What must answer before a release counts as good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub health: Vec<Health>,
    /// What of the host it is made of or runs with, and what is to be done when a package manager changed that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Needs>,
}

/// Packages and paths of the host, and what is to be done when they changed. Services whose program or libraries were replaced are
/// restarted without being declared here.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Needs {
    /// Names of distribution packages, as dpkg or rpm have them; `*` stands for anything: `["nodejs", "python3.*"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// Files and directories of the host, absolute: `["/usr/lib/python3/dist-packages"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Steps of the component that run again then, by name. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<String>,
    /// Whether the services of the component that were started before the change are restarted then. Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<bool>,
}

/// Where a version is written.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Version {
    /// The file, relative to the component.
    pub file: String,
    /// The value in a `.toml` or `.json` file: `project.version`. Without it, the whole file is the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A configuration file and upstream's example of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Env {
    /// The operator's file, relative to the component.
    pub file: String,
    /// Upstream's example, relative to the component.
    pub example: String,
    /// Who reads it: `systemd` (`EnvironmentFile=`), `dotenv` (a library in the program) or `compose` (`env_file:`).
    /// Default: `systemd` where a unit of this host names the file, else `dotenv`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Keys whose values may be shown: `["LOG_LEVEL"]`. The values of all others never are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public: Vec<String>,
}

/// Who reads a configuration file.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Dialect {
    Systemd,
    Dotenv,
    Compose,
}

/// A command that must succeed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Check {
    /// Program and arguments. No shell is involved. It starts in the component's directory.
    pub run: Vec<String>,
    /// `staged`: on the new tree, staged aside, before anything live changes. `switched`: on the live tree,
    /// after the steps and before any restart. Default: `staged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// How long it may take: `90s`, `5min`. Default: `5min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// A command that brings the component to the new tree.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Step {
    /// Its name in the plan and in the log.
    pub name: String,
    /// Program and arguments. No shell is involved. It starts in the component's directory.
    pub run: Vec<String>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// When it runs. Default: whenever the component changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How it is undone: `pure` (it leaves nothing that matters to the old release), `rerun` (running it again in
    /// the old tree undoes it), `{ run = [...] }`, `restore-backup` (the run's backup of `[backup]` is put back), or
    /// `irreversible`. Default: `irreversible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Whether it may be run again after an interruption, when how far it came is not known. Default: `true` for `undo =
    /// "pure"` and `"rerun"`, `false` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// How long it may take: `90s`, `5min`. Default: `10min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// When a step runs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct When {
    /// When one of these paths, relative to the component, changed.
    pub changed: Vec<String>,
}

/// How a step is undone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Undo {
    /// By a rule.
    Rule(UndoRule),
    /// By a command.
    Command(UndoCommand),
}

/// A rule for undoing a step.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum UndoRule {
    Pure,
    Rerun,
    RestoreBackup,
    Irreversible,
}

/// A command that undoes a step.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct UndoCommand {
    /// Program and arguments. It runs as the step did.
    pub run: Vec<String>,
}

/// A unit file that upstream ships.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Unit {
    /// The unit file in the tree, relative to the component. Its file name is the unit's name.
    pub file: String,
    /// The instances of a template unit: `["a", "b"]` for `worker@a` and `worker@b`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
    /// `system`, or `user` for the owner's user manager. Default: `system`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// What an upgrade does to it while it runs. `if-changed`: restart when the component, its `.env` or the unit
    /// changed. Default: `if-changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<Restart>,
}

/// Something that must answer. Give exactly one of `http`, `tcp`, `command` and `journal`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Health {
    /// A GET request to this URL. `${KEY}` stands for a value of the component's `.env`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// Headers of the request. Write secrets as `${KEY}`; they are never printed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What the answer must be. Default: status 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// A TCP connection that opens: `127.0.0.1:${PORT}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<String>,
    /// A command that exits 0. It runs as the owner in the component's directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The journal of the component's units since the restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// How long it may take until it answers as expected. Default: `60s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What an HTTP answer must be.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Expect {
    /// The status. Default: 200.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i64>,
    /// Fields of a JSON body, dots descend, and the value that each must have. `{version}` stands for the version
    /// that was installed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub json: BTreeMap<String, Scalar>,
    /// A regular expression that the body must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
}

/// A value of a JSON field.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Scalar {
    Text(String),
    Bool(bool),
    Integer(i64),
    Float(f64),
}

/// Lines of a journal. Give `wanted`, `unwanted` or both.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Journal {
    /// A regular expression that a line must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// A regular expression that no line may match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwanted: Option<String>,
}

/// What must hold between components.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Compatibility {
    /// Groups of components that must share MAJOR.MINOR: they are upgraded together or not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lockstep: Vec<Vec<String>>,
}

/// What of an install's data is backed up: before a run changes it, and by `relift backup take`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Backup {
    /// Files and directories, relative to the root.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// SQLite databases, relative to the root: copied by SQLite's own backup, whether `paths` holds them or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sqlite: Vec<String>,
    /// How many backups are kept, at least 1. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<i64>,
    /// `prepare`: while everything runs. `quiesced`: when the units of the components are stopped, before the tree is
    /// switched. Default: `prepare`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<BackupWhen>,
    /// Where backups are kept, absolute: each install in a directory of its own. Default: `/var/lib/relift/NAME/backups`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
}

/// When a run takes its backup.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BackupWhen {
    Prepare,
    Quiesced,
}

/// What may happen by itself, and how a release must prove itself.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Policy {
    /// How far an unattended run may go. Default: `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattended: Option<Unattended>,
    /// When an unattended run may start: days and a time zone as in systemd.time(7), and a range of times:
    /// `Mon..Fri 02:00-04:00 Europe/Paris`. Default: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// How long a new release must stay healthy before it counts as known-good. Default: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<String>,
    /// What an unattended run does about new keys of a configuration file: `add-new` adds them with upstream's defaults,
    /// `report` names them and leaves the file as it is, `stop` waits for a person. Default: `add-new`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvPolicy>,
    /// How many known-good releases are kept, at least 1. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_known_good: Option<i64>,
    /// Whether an unattended run may install what no signature and nobody vouches for. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unverified: bool,
}

/// Where a check runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum At {
    Staged,
    Switched,
}

/// Who runs a command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum As {
    Owner,
    Root,
}

/// The manager of a unit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scope {
    System,
    User,
}

/// What an upgrade does to a unit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Restart {
    IfChanged,
    Always,
    Never,
    Reload,
}

/// How far an unattended run may go.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Unattended {
    None,
    Patch,
    Minor,
    Major,
}

/// What an unattended run does about new keys.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum EnvPolicy {
    AddNew,
    Report,
    Stop,
}
