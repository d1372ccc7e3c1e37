//! Units: semantic comparison and a three-way merge of what upstream ships with what is installed.

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What a difference between two versions of a unit asks for, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Nothing: comments, order, `Description=`, `Documentation=`.
    Nothing,
    /// `[Install]` changed: enable again.
    Reenable,
    /// A daemon-reload is enough.
    Reload,
    /// The unit must be restarted.
    Restart,
}

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// `Service`, `Unit`, `Install`, ...
    pub section: String,
    /// The setting.
    pub key: String,
    /// Its values before (empty: absent), in order.
    pub before: Vec<String>,
    /// Its values after (empty: absent).
    pub after: Vec<String>,
    /// What it asks for.
    pub impact: Impact,
}

/// Compares two unit files semantically.
pub fn compare(before: &str, after: &str) -> Vec<SettingChange> {
    let _ = (before, after);
    todo!()
}

/// What a set of changes asks for in all.
pub fn impact(changes: &[SettingChange]) -> Impact {
    changes.iter().map(|change| change.impact).max().unwrap_or(Impact::Nothing)
}

/// The result of a three-way merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The unit file to install: upstream's bytes, unchanged.
    pub unit: String,
    /// The operator's edits of the installed unit, as a drop-in `50-local.conf`; `None` where there are none.
    pub local: Option<String>,
}

/// What upstream shipped at the activated revision (`base`), ships at the target (`theirs`), and what is installed
/// (`mine`). Edits of the operator are lifted into a drop-in; a setting that both changed differently is an error
/// ([`crate::error::Kind::Refused`]) that shows both sides and says how to settle it. `base == None`: unknown, so that every difference
/// between `mine` and `theirs` counts as the operator's.
pub fn merge(base: Option<&str>, theirs: &str, mine: &str) -> Result<Merge> {
    let _ = (base, theirs, mine);
    todo!()
}

/// A unified diff for a person, coloured where asked for.
pub fn diff(name: &str, before: &str, after: &str, colour: bool) -> String {
    let _ = (name, before, after, colour);
    todo!()
}
