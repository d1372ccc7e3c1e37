//! Hooks, migrations and peers.

use std::time::Duration;

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use super::{RelPath, RunAs, StepUndo, Template};

/// The standard places of a run, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookPlace {
    /// In *prepare*: it may stop the run.
    Preflight,
    /// The first change: no new work is taken.
    Drain,
    /// Suspended, before backup and tree.
    Quiesce,
    /// State is transformed, after tree and steps.
    Migrate,
    /// After the restarts, or instead of them.
    Resume,
    /// In the gate.
    Verify,
}

impl HookPlace {
    /// The word in the manifest.
    pub fn word(self) -> &'static str {
        match self {
            HookPlace::Preflight => "preflight",
            HookPlace::Drain => "drain",
            HookPlace::Quiesce => "quiesce",
            HookPlace::Migrate => "migrate",
            HookPlace::Resume => "resume",
            HookPlace::Verify => "verify",
        }
    }

    /// Whether the release that the run leaves is still there then.
    pub fn is_before_the_switch(self) -> bool {
        self < HookPlace::Migrate
    }

    /// Whether it only looks: nothing is there to be undone.
    pub fn only_looks(self) -> bool {
        matches!(self, HookPlace::Preflight | HookPlace::Verify)
    }
}

/// `[[hook]]`.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Where it runs.
    pub at: HookPlace,
    /// Its name in the plan and the log: `drain`, `drain 2`.
    pub name: String,
    /// The component that it is about; `None`: the whole install.
    pub component: Option<String>,
    /// The paths, relative to the component or the root, whose change makes it run; empty: any change of the component.
    pub when_changed: Vec<RelPath>,
    /// What is run.
    pub procedure: Procedure,
}

/// A command with everything that a hook and a migration have in common.
#[derive(Debug, Clone)]
pub struct Procedure {
    /// Program and arguments.
    pub run: Vec<String>,
    /// Who runs it.
    pub run_as: RunAs,
    /// Where it starts, relative to the component or the root.
    pub cwd: Option<RelPath>,
    /// How it is undone.
    pub undo: StepUndo,
    /// The bound of the command that undoes it, where that has one of its own.
    pub undo_timeout: Option<Duration>,
    /// Whether it may be run again after an interruption.
    pub idempotent: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// Files whose variables a shell exports to it: relative to the component, or absolute.
    pub env_files: Vec<String>,
}

/// `[[migration]]`.
#[derive(Debug, Clone)]
pub struct Migration {
    /// The version that asks for it.
    pub version: Version,
    /// The component whose version is meant.
    pub component: String,
    /// What is run; `None`: there is only something to read.
    pub procedure: Option<Procedure>,
    /// What the operator should know.
    pub note: Option<String>,
    /// Where the guide is.
    pub url: Option<String>,
    /// The first number whose guide this is.
    pub covers: Option<u64>,
}

/// `[[compatibility.peer]]`.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its name in the plan.
    pub name: String,
    /// The component whose version is ours.
    pub component: String,
    /// How it is asked.
    pub probe: PeerProbe,
    /// Which versions go together.
    pub accepts: Vec<Accepts>,
    /// Whether a run stops when it does not answer; `None`: an unattended one alone.
    pub must_answer: Option<bool>,
    /// How long it may take to answer.
    pub within: Duration,
}

/// How a peer is asked.
#[derive(Debug, Clone)]
pub enum PeerProbe {
    /// A GET request, and the field of the JSON answer.
    Http {
        /// The URL.
        url: Template,
        /// The field; `None`: each line is a version.
        field: Option<String>,
    },
    /// A command that prints the versions.
    Command {
        /// Program and arguments.
        run: Vec<String>,
    },
}

/// Versions that go together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepts {
    /// Our version.
    pub ours: VersionReq,
    /// Theirs.
    pub theirs: VersionReq,
}
