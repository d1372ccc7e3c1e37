//! What a person decides about a key, and what a plan may tell of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Class, KeyChange};

/// What becomes of a key.
#[derive(Clone, PartialEq, Eq)]
pub enum Decision {
    /// The operator's line stays as it is.
    KeepMine,
    /// Upstream's new default, placeholder or not.
    TakeDefault,
    /// A value of the operator's own.
    Set(String),
    /// A new key gets the value of this one of the operator's, whose line stays.
    CarryOver(String),
    /// A new key is not added.
    LeaveOut,
}

/// A decision without the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decided {
    /// [`Decision::KeepMine`].
    KeptMine,
    /// [`Decision::TakeDefault`].
    TookDefault,
    /// [`Decision::Set`].
    Edited,
    /// [`Decision::CarryOver`].
    CarriedOver,
    /// [`Decision::LeaveOut`].
    LeftOut,
}

impl Decision {
    /// What may be told of it.
    pub fn told(&self) -> Decided {
        match self {
            Decision::KeepMine => Decided::KeptMine,
            Decision::TakeDefault => Decided::TookDefault,
            Decision::Set(_) => Decided::Edited,
            Decision::CarryOver(_) => Decided::CarriedOver,
            Decision::LeaveOut => Decided::LeftOut,
        }
    }
}

/// Shows no value.
impl std::fmt::Debug for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.told().fmt(f)
    }
}

/// The keys that a decision about a change may name: the new key of a rename as well.
pub(super) fn subjects(change: &KeyChange) -> Vec<&str> {
    match &change.class {
        Class::Added { .. } | Class::DefaultChanged { .. } => vec![&change.key],
        Class::MaybeRenamed { to } => vec![&change.key, to],
        Class::RemovedUpstream | Class::OnlyMine | Class::NewOptional => Vec::new(),
    }
}

/// What was decided about a change.
pub(super) fn decided(change: &KeyChange, decisions: &BTreeMap<String, Decision>) -> Option<Decided> {
    match &change.class {
        Class::MaybeRenamed { to } => match decisions.get(to) {
            Some(Decision::CarryOver(from)) if *from == change.key => Some(Decided::CarriedOver),
            _ => decisions.get(&change.key).map(Decision::told),
        },
        _ => subjects(change).first().and_then(|key| decisions.get(*key)).map(Decision::told),
    }
}
