//! `[[component]]` and what is below it.

use std::collections::BTreeMap;

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of the install: a directory of the checkout with its own configuration, units and steps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Component {
    /// Its name in messages and in `--only`: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// Its directory, relative to the root; `.` for all of it, which is the default of every source but git.
    #[serde(default = "all_of_it")]
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
    /// With `[source.packages]`: which of its packages belong to the component; `*` stands for anything. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
}

/// Packages and paths of the host, and what is to be done when they changed. Services whose program or libraries were replaced are
/// restarted without being declared here.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Needs {
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
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Version {
    /// The file, relative to the component.
    pub file: String,
    /// The value in a `.toml` or `.json` file: `project.version`. Without it, the whole file is the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// A configuration file and upstream's example of it.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Env {
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
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Dialect {
    Systemd,
    Dotenv,
    Compose,
}

/// A command that must succeed.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Check {
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
    /// Files that a POSIX shell reads, as the account that runs the command, and whose variables are exported to it; relative to
    /// the component, or absolute. Their values are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<String>,
}

/// A command that brings the component to the new tree.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Step {
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
    /// Files that a POSIX shell reads, as the account that runs the command, and whose variables are exported to it; relative to
    /// the component, or absolute. Their values are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<String>,
}

/// When a step runs.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct When {
    /// When one of these paths, relative to the component, changed.
    pub changed: Vec<String>,
}

/// How a step is undone.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub(in crate::manifest) enum Undo {
    /// By a rule.
    Rule(UndoRule),
    /// By a command.
    Command(UndoCommand),
}

/// A rule for undoing a step.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum UndoRule {
    Pure,
    Rerun,
    RestoreBackup,
    Irreversible,
}

/// A command that undoes a step.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct UndoCommand {
    /// Program and arguments. It runs as the step did.
    pub run: Vec<String>,
    /// The longest that it may take: `5min`. Default: that of the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// A unit file that upstream ships.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Unit {
    /// The unit file in the tree, relative to the component. Its file name is the unit's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Instead of `file`: the name of a unit whose file a distribution package installs. The file is never touched; the unit is
    /// restarted as the component asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The instances of a template unit: `["a", "b"]` for `worker@a` and `worker@b`. With `name`, `["*"]` stands for all that are
    /// loaded or enabled.
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
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Health {
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
    /// The bound below which the number must fall that `command` prints: the last number on its first line, a backlog that is
    /// worked off. The command is asked again until it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<Number>,
    /// The journal of the component's units since the restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub journal: Option<Journal>,
    /// The containers of this service of the Compose project: each runs, is healthy by its own health check where it has one,
    /// and is not started over and over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What the containers of `container` say since they were started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<Journal>,
    /// How long it may take until it answers as expected. Default: `60s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// What an HTTP answer must be.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Expect {
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub(in crate::manifest) enum Scalar {
    Text(String),
    Bool(bool),
    Integer(i64),
    Float(f64),
}

/// A number.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub(in crate::manifest) enum Number {
    Integer(i64),
    Float(f64),
}

impl Number {
    pub fn value(self) -> f64 {
        match self {
            Number::Integer(number) => number as f64,
            Number::Float(number) => number,
        }
    }
}

/// Lines of a journal. Give `wanted`, `unwanted` or both.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Journal {
    /// A regular expression that a line must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<String>,
    /// A regular expression that no line may match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unwanted: Option<String>,
}

/// Where a check runs.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum At {
    Staged,
    Switched,
}

/// Who runs a command.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum As {
    Owner,
    Root,
}

/// The manager of a unit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Scope {
    System,
    User,
}

/// What an upgrade does to a unit.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Restart {
    IfChanged,
    Always,
    Never,
    Reload,
}

fn all_of_it() -> String {
    ".".into()
}
