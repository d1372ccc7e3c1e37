//! The records of a journal, DESIGN section 6. Persisted: formats are versioned and old ones parse for ever.

use serde::{Deserialize, Serialize};

use crate::action::Seen;
use crate::host::fs::sha256;
use crate::manifest::RepositoryManifest;
use crate::plan::Plan;
use crate::unattended::monitor::trace::Trace;

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// One record. `sum` covers everything else, `previous` is the `sum` of the record before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The version of the format.
    pub format: u32,
    /// The run's ULID.
    pub run: String,
    /// 1, 2, 3, ...
    pub sequence: u32,
    /// `sum` of the record before; empty for the first.
    pub previous: String,
    /// Seconds since the epoch, for a person; never used to decide.
    pub time: i64,
    /// What is recorded.
    pub body: Body,
    /// SHA-256 of the record's JSON without this field, keys sorted and without spaces.
    pub sum: String,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// The run begins; nothing live is changed yet.
    Begin(Box<Begin>),
    /// Everything that can fail without a change has passed.
    Prepared {
        /// Components that were healthy before.
        healthy: Vec<String>,
    },
    /// The run's backup was taken and proven.
    BackedUp {
        /// Its id.
        backup: String,
        /// When it was begun, seconds since the epoch.
        time: i64,
        /// What it holds, bytes.
        bytes: u64,
    },
    /// An action is about to be made: durable before its first effect.
    Intent {
        /// Its place in the plan.
        action: usize,
        /// What was there that only this moment knows.
        seen: Seen,
    },
    /// An action was made, durably.
    Done {
        /// Its place in the plan.
        action: usize,
    },
    /// An action that nothing undoes is about to be made.
    PointOfNoReturn {
        /// Its place in the plan.
        action: usize,
    },
    /// The gate was reached and held.
    Gate,
    /// From here on the run is finished, never undone.
    Commit,
    /// From here on the run is undone, never finished.
    Abort {
        /// Why, in a sentence without secrets.
        why: String,
    },
    /// An action was undone, durably.
    Undone {
        /// Its place in the plan.
        action: usize,
    },
    /// The command that undoes an action failed. It is not run again: what comes after it was undone without it.
    NotUndone {
        /// Its place in the plan.
        action: usize,
        /// Why, in a sentence without secrets.
        why: String,
    },
    /// The run is over.
    End(End),
}

/// What a run started from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    /// The version of relift that wrote it.
    pub version: String,
    /// What it would do.
    pub plan: Plan,
    /// Nobody was asked.
    pub unattended: bool,
    /// Hash of the configuration, for the memory of failed releases.
    pub configuration: String,
    /// How many known-good releases are kept.
    pub keep_known_good: usize,
    /// The remote-tracking branch that a finished run moves: remote and branch.
    pub track: Option<(String, String)>,
    /// The repository's own manifest that the plan was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<RepositoryManifest>,
    /// The trace that it belongs to, where it is traced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Trace>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// In one word.
    pub outcome: Outcome,
    /// Why, for all but `Done`.
    pub why: Option<String>,
    /// The last lines of the log that shows it.
    #[serde(default)]
    pub detail: Vec<String>,
}

/// The ends of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The new release is activated and known-good.
    Done,
    /// It stopped in *prepare*; nothing live was changed.
    Stopped,
    /// It was undone, and the undo was checked.
    RolledBack,
    /// It was undone, its data from a backup: what was written since is not in it. The undo was checked.
    Restored,
    /// Not everything could be put back.
    NeedsOperator,
}

impl Outcome {
    /// The outcome in words.
    pub fn words(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Stopped => "stopped before any change",
            Outcome::RolledBack => "rolled back",
            Outcome::Restored => "restored from backup",
            Outcome::NeedsOperator => "needs the operator",
        }
    }
}

impl Record {
    /// A record that follows `previous`, sealed with its sum.
    pub fn seal(run: &str, sequence: u32, previous: &str, body: Body) -> Record {
        let time = jiff::Timestamp::now().as_second();
        let (run, previous, sum) = (run.to_owned(), previous.to_owned(), String::new());
        let mut record = Record { format: FORMAT, run, sequence, previous, time, body, sum };
        // Plain values always have a JSON form; an empty sum would be refused on reading.
        record.sum = serde_json::to_value(&record).map(self::sum).unwrap_or_default();
        record
    }
}

/// The sum that a record ought to have: of what is written, not of what this version understands of it, so that a record
/// of a version with fewer fields or with more keeps its own.
pub fn sum(mut record: serde_json::Value) -> String {
    if let Some(fields) = record.as_object_mut() {
        fields.remove("sum");
    }
    sha256(record.to_string().as_bytes())
}

impl Body {
    /// The word in the record's file name.
    pub fn word(&self) -> &'static str {
        match self {
            Body::Begin(_) => "begin",
            Body::Prepared { .. } => "prepared",
            Body::BackedUp { .. } => "backed-up",
            Body::Intent { .. } => "intent",
            Body::Done { .. } => "done",
            Body::PointOfNoReturn { .. } => "point-of-no-return",
            Body::Gate => "gate",
            Body::Commit => "commit",
            Body::Abort { .. } => "abort",
            Body::Undone { .. } => "undone",
            Body::NotUndone { .. } => "not-undone",
            Body::End(_) => "end",
        }
    }
}
