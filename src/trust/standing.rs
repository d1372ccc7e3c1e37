//! What a release stands on.

use serde::{Deserialize, Serialize};

/// What a release stands on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Standing {
    /// What the manifest wants signed is signed.
    Verified {
        /// Who signed, what, and with which key.
        by: String,
    },
    /// Approved by hand (`relift trust pin`).
    Pinned {
        /// Who approved it.
        by: String,
    },
    /// Nothing vouches for it. What an older version recorded is taken to be so.
    #[default]
    Unverified,
}

impl Standing {
    /// Whether something vouches for the release: a signature, or the operator.
    pub fn is_verified(&self) -> bool {
        !matches!(self, Standing::Unverified)
    }

    /// In words, for a plan and a report.
    pub fn words(&self) -> String {
        match self {
            Standing::Verified { by } => format!("verified by {by}"),
            Standing::Pinned { by } => format!("pinned by hand, by {by}"),
            Standing::Unverified => "unverified".into(),
        }
    }
}
