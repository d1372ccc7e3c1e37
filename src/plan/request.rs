//! What is asked of a plan.

use std::path::PathBuf;

use super::Intent;
use super::env::Decision;
use crate::host::fs::Content;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Up, or back.
    pub intent: Intent,
    /// The operator named the target: a major step is theirs to take.
    pub is_explicit: bool,
    /// Steps that nothing undoes may run.
    pub allow_irreversible: bool,
    /// The named target may be older than what is installed.
    pub allow_downgrades: bool,
    /// Nobody is asked: the policy decides.
    pub unattended: bool,
    /// Somebody at a terminal approves the plan.
    pub attended: bool,
    /// Only these components; empty: all.
    pub only: Vec<String>,
    /// What the operator decided about keys of configuration files.
    pub answers: Vec<Answer>,
    /// For a rollback: configuration files as they were, and archives of what steps had made.
    pub restore: Restore,
}

/// What the operator decided about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The file, relative to the checkout.
    pub file: String,
    /// The key.
    pub key: String,
    /// What becomes of it.
    pub decision: Decision,
}

/// What a known-good release had beside the tree.
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// Configuration files by path relative to the checkout.
    pub env: Vec<(String, Content)>,
    /// Archives by path relative to the checkout.
    pub artifacts: Vec<(String, PathBuf)>,
}
