//! `[[hook]]`, `[[migration]]` and `[[compatibility.peer]]`: what an upgrade's runbook says beyond steps.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{As, Undo, When};

/// A command at a standard place of a run. It is journaled, shown and undone as a step is.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Hook {
    /// The place. `preflight`: before any change, and may stop the run. `drain`: the first change, takes no new work and waits
    /// for what is under way. `quiesce`: suspends, before the backup and the tree. `migrate`: transforms state, after the tree,
    /// the steps and what `[[migration]]` declares. `resume`: after the restarts, or instead of them. `verify`: in the gate.
    pub at: Place,
    /// Program and arguments. No shell is involved. The environment has `RELIFT_OLD_VERSION`, `RELIFT_NEW_VERSION`,
    /// `RELIFT_OLD_REVISION`, `RELIFT_NEW_REVISION`, and `RELIFT_SCRATCH`, a directory of its own, kept until the run ended and
    /// there again for its undo. In a rollback old and new are exchanged.
    pub run: Vec<String>,
    /// The component that it is about, in whose directory it starts. Default: none, the root of the install.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Where it starts, relative to the component, or to the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// When it runs; paths are relative to the component, or to the root. Default: whenever the run changes the component, or
    /// any component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// How it is undone, as a step is. `drain` and `quiesce` must say it, with the command that takes new work again, or
    /// resumes, in the first place; nothing undoes `preflight` and `verify`. Default: `pure` for `resume`, `irreversible` for
    /// `migrate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Whether it may be run again after an interruption, when how far it came is not known. Default: `true` for `undo =
    /// "pure"` and `"rerun"`, `false` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// How long it may take; one that hangs is ended with all of its processes, and the run is undone. Default: `15min` for
    /// `drain`, `30min` for `migrate`, `5min` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Files that a POSIX shell reads, as the account that runs the command, and whose variables are exported to it; relative to
    /// the component, or absolute. Their values are never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<String>,
}

/// A place in a run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Place {
    Preflight,
    Drain,
    Quiesce,
    Migrate,
    Resume,
    Verify,
}

/// What going to a version asks for. From 3.38.0 to 3.40.0, what 3.39.0, 3.39.1 and 3.40.0 declare is run in this order, each
/// once on this host. Where one is declared, a change of the first number needs `--to` and a migration for each new one: of
/// `X.0.0`, or with `covers = "X"`. Where none is, `--to` is enough.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Migration {
    /// The version that asks for it: `3.39.0`.
    pub version: String,
    /// The component whose version is meant. Default: the first that declares one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Program and arguments, as of a hook that migrates. Without it there is only something to read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub run: Vec<String>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// How it is undone: `pure`, `{ run = [...] }`, `restore-backup` or `irreversible`. One that a rollback undoes by a command
    /// runs again in the next upgrade; every other never does. Default: `irreversible`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// Whether it may be run again after an interruption. Default: `true` for `undo = "pure"`, `false` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent: Option<bool>,
    /// How long it may take. Default: `30min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What the operator should know, shown in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the guide is, shown in the plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The first number whose guide this is: `"4"`. Default: that of `version`, where it is `X.0.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covers: Option<String>,
    /// As of a hook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_file: Vec<String>,
}

/// Something else that talks to this install, on whatever host, and whose version must fit. It is asked when a plan is made and
/// again before a run changes anything. Give either `http` or `command`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Peer {
    /// Its name in the plan: `runners`.
    pub name: String,
    /// The component whose version is `ours`. Default: the first that declares one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// A GET request to this URL, that changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The field of the JSON answer (dots descend) with the version, or a list of them. Without it, each line is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// A command that prints the versions, one to a line. It runs as the owner in the root of the install and changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Which of our versions goes with which of theirs. A version of ours that no row has goes with none.
    pub accepts: Vec<Accepts>,
    /// What is done when it does not answer. Default: `stop` for an unattended run, `warn` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Unreachable>,
    /// How long it may take to answer. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
}

/// Versions that go together, in Cargo's notation.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Accepts {
    /// Our version: `>=1.3, <2`.
    pub ours: String,
    /// Their version: `>=1.2`.
    pub theirs: String,
}

/// What is done when a peer does not answer.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Unreachable {
    Stop,
    Warn,
}
