//! The plan: a pure value that says what would change, in order, and how each change is undone.
//!
//! `relift plan`, `--dry-run` and a run render or execute the same value. It holds no secret: bytes of `.env` and units
//! travel beside it, by hash.

mod backup;
mod build;
mod configuration;
mod contents;
mod draft;
pub mod env;
mod judge;
mod lockstep;
mod migrations;
mod moves;
pub mod notes;
mod order;
mod origin;
pub mod peers;
mod procedures;
mod reach;
mod request;
mod services;
mod steps;
mod subject;
pub mod unit;
mod units;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::action::{self, Action};
use crate::manifest::{Dialect, Layout, Scope, SourceKind, StepUndo};
use crate::source::Section;
use crate::trust::Standing;

pub use build::build;
pub use contents::Contents;
pub use migrations::chain;
pub use origin::{Origin, may_run_as_root};
pub use peers::PeerPlan;
pub use procedures::ProcedurePlan;
pub use reach::{by_itself, failed_before};
pub use request::{Answer, Request, Restore};

/// The format that this version writes into journals and `--json`.
pub const FORMAT: u32 = 1;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Intent {
    /// To the candidate.
    Upgrade,
    /// Back to a known-good release.
    Rollback,
    /// Nowhere: the same release once more, on a host whose packages changed.
    Reconfigure,
}

/// A release as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The commit, full hex.
    pub revision: String,
    /// A tag or a version where there is one.
    pub label: Option<String>,
}

/// What would change, in order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The version of the format.
    pub format: u32,
    /// The install.
    pub install: String,
    /// The checkout.
    pub root: PathBuf,
    /// The account that owns it.
    pub owner: String,
    /// Where its releases come from.
    #[serde(default)]
    pub source: SourceKind,
    /// How the install lies below its root.
    #[serde(default)]
    pub layout: Layout,
    /// What was asked for.
    pub intent: Intent,
    /// An upgrade that was told to go back to an older release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_downgrade: bool,
    /// What is checked out now.
    pub from: Release,
    /// What will be.
    pub to: Release,
    /// What the target stands on.
    #[serde(default)]
    pub standing: Standing,
    /// The newest commits between the two, newest first.
    pub commits: Vec<Commit>,
    /// How many there are in all.
    pub commits_total: usize,
    /// What the source has to tell of the target.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<Section>,
    /// What the repository's own manifest says otherwise than the one that is activated; nothing where it is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<ManifestPlan>,
    /// What changed on the host, where that is why it is done: it stays as it is when the run is undone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub host_changes: Vec<String>,
    /// The components installed here.
    pub components: Vec<ComponentPlan>,
    /// What hooks and migrations would do, in the order of a run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub procedures: Vec<ProcedurePlan>,
    /// What else talks to it, as it answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerPlan>,
    /// Hooks that must succeed before any change.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub preflight: Vec<action::Step>,
    /// Hooks that must succeed in the gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<action::Step>,
    /// Commands that must succeed on the staged tree.
    pub staged_checks: Vec<StagedCheck>,
    /// The changes, in order.
    pub actions: Vec<Action>,
    /// What must be proven afterwards, by component.
    pub gates: Vec<GatePlan>,
    /// How long it must then hold, seconds.
    pub soak: u64,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// What stops the run before it starts.
    pub blockers: Vec<Blocker>,
}

/// The repository's own manifest in the target, and what it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestPlan {
    /// The revision that it is of; `None`: the target has none.
    pub revision: Option<String>,
    /// What it says otherwise than the one that is activated, a line each.
    pub changes: Vec<String>,
}

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Abbreviated id.
    pub id: String,
    /// First line of its message, made harmless.
    pub summary: String,
}

/// What changes in a component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComponentPlan {
    /// Its name.
    pub name: String,
    /// Its directory, relative to the root.
    pub path: String,
    /// The version that is activated.
    pub from_version: Option<String>,
    /// The version in the target.
    pub to_version: Option<String>,
    /// The commit that is activated.
    pub activated: String,
    /// How many of its files differ.
    pub files_changed: usize,
    /// Release notes, oldest first.
    pub notes: Vec<notes::ReleaseNote>,
    /// Its configuration files.
    pub env: Vec<EnvPlan>,
    /// Its units.
    pub units: Vec<UnitPlan>,
    /// What its steps would do, and why.
    pub steps: Vec<StepPlan>,
}

/// What changes in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvPlan {
    /// The file, relative to the root.
    pub file: String,
    /// Keys that differ.
    pub changes: Vec<env::KeyChange>,
    /// Whether the file is rewritten.
    pub rewritten: bool,
    /// SHA-256 of the file as the run leaves it.
    pub after: String,
    /// Who reads it.
    #[serde(default)]
    pub dialect: Dialect,
    /// Keys whose values may be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub public: Vec<String>,
}

/// What changes in a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitPlan {
    /// The unit.
    pub name: String,
    /// Its manager.
    pub scope: Scope,
    /// What happens to the file.
    pub file: FileChange,
    /// Settings that differ.
    pub settings: Vec<unit::SettingChange>,
    /// The operator's edits go into a drop-in.
    pub lifted: bool,
    /// What happens to the running unit.
    pub service: ServiceChange,
    /// Why.
    pub why: String,
    /// It is not meant to be up all the time: a oneshot, or a service behind a timer or a socket.
    pub is_dormant: bool,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileChange {
    /// It is new.
    Installed,
    /// It is replaced.
    Replaced,
    /// It stays.
    Kept,
    /// It goes: the target does not have it, or has it in the other scope.
    Removed,
}

/// What happens to a running unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceChange {
    /// It is restarted.
    Restart,
    /// It is reloaded.
    Reload,
    /// It is enabled and started for the first time.
    Start,
    /// It is stopped: the target does not have it, or has it in the other scope.
    Stop,
    /// It goes on as it is.
    Untouched,
    /// The operator stopped, disabled or masked it: it stays so.
    LeftAlone,
}

/// What a step would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepPlan {
    /// Its name.
    pub name: String,
    /// The command.
    pub run: Vec<String>,
    /// Whether root runs it.
    pub as_root: bool,
    /// Where root runs it from; nothing where the owner runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Why it runs, or why it does not.
    pub why: String,
    /// Whether it runs.
    pub runs: bool,
    /// How it is undone.
    pub undo: StepUndo,
}

/// A command that must succeed on the staged tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StagedCheck {
    /// The component.
    pub component: String,
    /// Its directory, relative to the root.
    pub path: String,
    /// The command.
    pub run: Vec<String>,
    /// Whether root runs it.
    pub as_root: bool,
    /// Where root runs it from; nothing where the owner runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Its bound, seconds.
    pub timeout: u64,
    /// Files whose variables a shell exports to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
}

/// What must be proven of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatePlan {
    /// The component.
    pub component: String,
    /// Its units that must be up.
    pub units: Vec<(Scope, String)>,
    /// How many probes are asked.
    pub probes: usize,
    /// The version that it must report.
    pub version: Option<String>,
    /// Whether the run changes anything about it.
    pub changes: bool,
    /// Units that are up now and that the target does not have: what proves the old release.
    #[serde(default)]
    pub leaves: Vec<(Scope, String)>,
}

/// Something that stops a run before it starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// What it is.
    pub what: String,
    /// The exact command that mends it, where there is one.
    pub hint: Option<String>,
    /// Refused by policy (exit 2) rather than impossible (exit 1).
    pub refused: bool,
}

impl Blocker {
    /// Something that cannot be done as things are.
    pub fn impossible(what: impl Into<String>, hint: impl Into<String>) -> Blocker {
        Blocker { what: what.into(), hint: Some(hint.into()), refused: false }
    }

    /// Something that is possible, but not allowed.
    pub fn refused(what: impl Into<String>, hint: impl Into<String>) -> Blocker {
        Blocker { what: what.into(), hint: Some(hint.into()), refused: true }
    }
}

impl Release {
    /// The label, or the abbreviated commit.
    pub fn short(&self) -> String {
        self.label.clone().unwrap_or_else(|| abbreviate(&self.revision).to_owned())
    }
}

/// The first ten digits of a commit id.
pub fn abbreviate(revision: &str) -> &str {
    revision.get(..10).unwrap_or(revision)
}

impl Plan {
    /// Whether every component runs what the plan leads to: activated is what counts, not what is checked out.
    pub fn is_activated(&self) -> bool {
        self.components.iter().all(|component| component.activated == self.to.revision)
    }

    /// A plan that does nothing.
    pub fn empty(install: &str) -> Plan {
        let nowhere = Release { revision: String::new(), label: None };
        Plan {
            format: FORMAT,
            install: install.to_owned(),
            root: PathBuf::from("/"),
            owner: "root".into(),
            intent: Intent::Upgrade,
            is_downgrade: false,
            from: nowhere.clone(),
            to: nowhere,
            standing: Standing::Unverified,
            commits: Vec::new(),
            commits_total: 0,
            source: SourceKind::Git,
            layout: Layout::InPlace,
            sections: Vec::new(),
            manifest: None,
            host_changes: Vec::new(),
            components: Vec::new(),
            procedures: Vec::new(),
            peers: Vec::new(),
            preflight: Vec::new(),
            verify: Vec::new(),
            staged_checks: Vec::new(),
            actions: Vec::new(),
            gates: Vec::new(),
            soak: 0,
            warnings: Vec::new(),
            blockers: Vec::new(),
        }
    }

    /// What it is called, by an operator.
    pub fn verb(&self) -> &'static str {
        match self.intent {
            Intent::Upgrade if self.is_downgrade => "downgrade",
            Intent::Upgrade => "upgrade",
            Intent::Rollback => "rollback",
            Intent::Reconfigure => "reconfigure",
        }
    }

    /// Whether what is switched is a git checkout: what only such a one has are tags and branches.
    pub fn has_checkout(&self) -> bool {
        self.source == SourceKind::Git && self.layout == Layout::InPlace
    }

    /// The places of a configuration file below the root, and in a release.
    pub fn in_both(&self, file: &str) -> (String, String) {
        (file.to_owned(), self.layout.in_tree(file).to_owned())
    }

    /// Whether it brings the first release: there is nothing that it leaves.
    pub fn is_first(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Layout(layout) if layout.from.is_none()))
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty()
    }

    /// The target in words: versions of the components where they have any, the tag or the commit otherwise.
    pub fn target_words(&self) -> String {
        if let Some(label) = &self.to.label {
            return label.clone();
        }
        let versions: Vec<&String> =
            self.components.iter().filter_map(|component| component.to_version.as_ref()).collect();
        match versions.first() {
            Some(first) if versions.iter().all(|version| version == first) => (*first).clone(),
            _ => abbreviate(&self.to.revision).to_owned(),
        }
    }

    /// Who reads the configuration file at `path`, relative to the checkout.
    pub fn dialect(&self, path: &str) -> Dialect {
        let mut files = self.components.iter().flat_map(|component| &component.env);
        files.find(|env| env.file == path).map(|env| env.dialect).unwrap_or_default()
    }

    /// Steps, hooks and migrations that nothing undoes.
    pub fn irreversible(&self) -> Vec<&str> {
        let steps = self.components.iter().flat_map(|component| &component.steps);
        let steps = steps.map(|step| (step.runs, &step.undo, step.name.as_str()));
        let procedures = self.procedures.iter().map(|one| (one.runs, &one.undo, one.name.as_str()));
        let all = steps.chain(procedures);
        all.filter(|(runs, undo, _)| *runs && **undo == StepUndo::Irreversible).map(|(.., name)| name).collect()
    }

    /// Packages of which there is no file any more, so that nothing puts them back.
    pub fn without_way_back(&self) -> Vec<&str> {
        let packages = self.actions.iter().filter_map(|action| match action {
            Action::Packages(packages) => Some(&packages.without),
            _ => None,
        });
        packages.flatten().map(String::as_str).collect()
    }

    /// Units that are restarted or started.
    pub fn restarts(&self) -> Vec<&UnitPlan> {
        self.components
            .iter()
            .flat_map(|component| &component.units)
            .filter(|unit| matches!(unit.service, ServiceChange::Restart | ServiceChange::Start))
            .collect()
    }
}

#[cfg(test)]
mod tests;
