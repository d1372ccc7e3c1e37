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
    /// Who is told what, and by which way. Each is one way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Notify>,
    /// What monitoring reads of this install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitoring: Option<Monitoring>,
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
    /// Whether who logs in is told what waits for an operator, by `/run/motd.d/relift`. Default: true.
    #[serde(default = "yes")]
    pub motd: bool,
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
    /// `Mon..Fri 02:00-04:00 Europe/Paris`. Several are a list; one with `!` before it is taken out of the others:
    /// `!Sat 02:00-03:00`. A run that began in a window may end after it. Default: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<OneOrMore>,
    /// Days on which no unattended run starts, in the host's time zone: `2026-12-20..2027-01-05`, `2026-12-24`, `*-12-24..26`,
    /// `Sat,Sun`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Whether an unattended run waits for a window that is as long as the runs before took. Otherwise it warns. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub window_fit: bool,
    /// Whether an unattended run may start outside its window when nothing was up to start one in the last window: after a
    /// night in which the host was off. Never on a day of `freeze`. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub catch_up: bool,
    /// How old a release must be before an unattended run takes it, since it was first seen by this host: `24h`, `3d`. Its
    /// commit's own date counts only where it is later. Default: as soon as it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<String>,
    /// The time over which the hosts that share a window spread their starts, at most `24h`: each has its own place in it,
    /// always the same. Without a window it counts from when the release was first seen. Default: all start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splay: Option<String>,
    /// How often unattended runs try a release that fails for other reasons than its own, such as a full disk or a network
    /// that is away, from 1 to 100; later tries wait longer. A run by hand starts anew. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// What an unattended run does while the host runs on battery. Default: `defer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_battery: Option<OnBattery>,
    /// While one of these is inhibited (systemd-inhibit(1), mode `block`), no unattended run starts. Default: `["shutdown"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibit: Option<Vec<Inhibit>>,
    /// A command that is asked before an unattended run starts: exit status 0 lets it start, 75 says that the host is busy,
    /// and its last line why. Any other end is a fault, and the run waits as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defer: Option<Defer>,
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

/// What monitoring reads of this install. With the table, every account of the host may ask `relift status --nagios`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Monitoring {
    /// The directory of node_exporter's textfile collector, absolute: `/var/lib/prometheus/node-exporter` on Debian. After each
    /// verb `relift_NAME.prom` is written there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile: Option<String>,
    /// Where spans of runs are sent, as OTLP over HTTP in JSON: `http://127.0.0.1:4318`; `/v1/traces` is added. Default:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` of the environment, else nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
    /// Headers for it, one `Name: value` on each line: the name of a systemd credential (LoadCredential=), or the absolute path
    /// of a file that root alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_headers: Option<String>,
    /// How old the last check that got an answer may be before `--nagios` calls it critical. Default: `2d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// One text, or several.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What an unattended run does on battery.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum OnBattery {
    Defer,
    Ignore,
}

/// What can be inhibited, systemd-inhibit(1).
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Inhibit {
    Shutdown,
    Sleep,
    Idle,
}

/// A command that may say that the host is busy.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Defer {
    /// The program and its arguments; no shell is involved.
    pub run: Vec<String>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// How long it may take, at most `5min`. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
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

/// One way by which people are told. Give exactly one of `mail`, `webhook` and `command`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Notify {
    /// What is told: `failure`, `decision` (an operator is needed), `new` (a release), `success`, `recovered` (a run that died was
    /// settled), `stale` (nothing checks any more), `deferred`. Default: failure, decision, recovered, stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<Vec<Topic>>,
    /// A mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// An HTTP request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// A program, absolute, and its arguments. It reads the news as JSON on its standard input, and may take 10 seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// The account that runs `command`. Default: `nobody`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// After how long what goes on is told again: `12h`, `7d`. Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remind: Option<String>,
    /// How often the source is expected to be asked. Three times that without a check is told. The least of all ways counts.
    /// Default: `1d`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect_check: Option<String>,
}

/// What people are told of.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Topic {
    Failure,
    Decision,
    New,
    Success,
    Recovered,
    Stale,
    Deferred,
}

/// A mail. Give either `smtp` or `sendmail`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Mail {
    /// Addresses.
    pub to: Vec<String>,
    /// The sender's address. Default: `root` at this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A server: `smtp://USER@HOST:587` (STARTTLS, but for loopback) or `smtps://HOST:465`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<String>,
    /// Whether this host's sendmail(8) sends it.
    #[serde(default, skip_serializing_if = "is_no")]
    pub sendmail: bool,
    /// The password for `smtp`: the name of a systemd credential, or the absolute path of a file that root alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// `starttls`: nothing is sent without it. `none`: in the clear. Default: `starttls`; `none` for loopback without a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<SmtpTls>,
}

/// How `smtp://` is protected.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SmtpTls {
    Starttls,
    None,
}

/// An HTTP request, POST. Give either `url` or `url-file`.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Webhook {
    /// Where to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The same in the first line of a file that root alone may read, absolute: for a URL that holds a token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url_file: Option<String>,
    /// `json`: this program's own document. `slack`: as Slack, Mattermost and Rocket.Chat take it. Default: `json`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<WebhookFormat>,
    /// A file that root alone may read, absolute, with a header (`Name: value`) in each line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<String>,
    /// A file that root alone may read, absolute, with a key in its first line: the header `X-Relift-Signature` is then
    /// `sha256=` and the HMAC-SHA256 of the body in hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_file: Option<String>,
}

/// What the body of a webhook is.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum WebhookFormat {
    Json,
    Slack,
}
