//! What is remembered of a source: tags as they were first seen, what was verified, what an operator approved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Standing;

/// What is remembered of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Tags by name, as they were first seen or last approved.
    #[serde(default)]
    pub tags: BTreeMap<String, Seen>,
    /// Objects that were verified, by id.
    #[serde(default)]
    pub verified: BTreeMap<String, Remembered>,
    /// Revisions that were approved by hand.
    #[serde(default)]
    pub pins: Vec<Pin>,
}

/// A tag as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What the ref named: the tag object, or the commit of a lightweight tag.
    pub object: String,
    /// The commit.
    pub revision: String,
    /// Seconds since the epoch.
    pub since: i64,
}

/// An object that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// The release that it vouches for.
    pub revision: String,
    /// By whom, in words.
    pub by: String,
    /// When it was first verified, seconds since the epoch: later checks ask whether its key was valid then.
    pub at: i64,
}

/// A revision that was approved by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The commit, full hex.
    pub revision: String,
    /// The tag that it was approved as.
    pub label: Option<String>,
    /// Who approved it.
    pub by: String,
    /// Seconds since the epoch.
    pub time: i64,
}

impl Memory {
    /// The approval of a revision.
    pub fn pin(&self, revision: &str) -> Option<&Pin> {
        self.pins.iter().find(|pin| pin.revision == revision)
    }

    /// Approves a revision, and the tag that leads to it now. An older approval of the same is replaced.
    pub fn approve(&mut self, pin: Pin, object: Option<String>) {
        if let (Some(label), Some(object)) = (&pin.label, object) {
            let seen = Seen { object, revision: pin.revision.clone(), since: pin.time };
            self.tags.insert(label.clone(), seen);
        }
        self.pins.retain(|known| known.revision != pin.revision);
        self.pins.push(pin);
    }

    /// Adds what is new in `other`; what is known stays as it is.
    pub fn learn(&mut self, other: Memory) {
        for (name, seen) in other.tags {
            self.tags.entry(name).or_insert(seen);
        }
        for (id, remembered) in other.verified {
            self.verified.entry(id).or_insert(remembered);
        }
    }

    /// What a release stands on by what is remembered of it.
    pub fn standing(&self, revision: &str) -> Standing {
        match (self.pin(revision), self.verified_by(revision)) {
            (Some(pin), _) => Standing::Pinned { by: pin.by.clone() },
            (None, Some(by)) => Standing::Verified { by: by.to_owned() },
            (None, None) => Standing::Unverified,
        }
    }

    /// By whom a release was verified, where it was.
    pub fn verified_by(&self, revision: &str) -> Option<&str> {
        self.verified.values().find(|known| known.revision == revision).map(|known| known.by.as_str())
    }
}
