//! What a run tells while it goes: values, which `cli::output` alone renders.

use std::time::Duration;

use serde::Serialize;

/// The phases of a run, DESIGN section 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Everything that can fail without touching the live install.
    Prepare,
    /// Tree, `.env`, steps, units, restarts.
    Switch,
    /// The health that a run must reach.
    Gate,
    /// The time that it must hold.
    Soak,
    /// Known-good tag, ledger, report.
    Commit,
    /// Putting back.
    Undo,
}

impl Phase {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Prepare => "prepare",
            Phase::Switch => "switch",
            Phase::Gate => "gate",
            Phase::Soak => "soak",
            Phase::Commit => "commit",
            Phase::Undo => "undo",
        }
    }
}

/// One thing that a run tells. Texts hold no secret and no control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A run got its id.
    Run {
        /// The install.
        install: String,
        /// The run's ULID.
        run: String,
    },
    /// A phase begins.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// Something that takes a while begins; `Done` or `Failed` with the same text ends it.
    Start {
        /// What.
        what: String,
    },
    /// How far it is.
    Progress {
        /// What.
        what: String,
        /// Done so far, in `unit`.
        done: u64,
        /// In all, where known.
        total: Option<u64>,
        /// `bytes`, `objects`, `files`.
        unit: &'static str,
    },
    /// A wait that ends by itself.
    Waiting {
        /// For what.
        what: String,
        /// Seconds left.
        left: u64,
    },
    /// It is done.
    Done {
        /// What.
        what: String,
    },
    /// It failed; the error at the end of the run says why.
    Failed {
        /// What.
        what: String,
    },
    /// A line of a step's output.
    Line {
        /// The component.
        component: String,
        /// The step.
        step: String,
        /// The line.
        line: String,
    },
    /// Something that the operator should know and that stops nothing.
    Warning {
        /// What.
        text: String,
    },
}

/// Who is told.
pub trait Reporter: Sync {
    /// Tells one thing; never fails, since a run does not depend on being watched.
    fn tell(&self, event: Event);
}

/// Tells that `what` begins, does it, and tells how it ended.
pub fn during<T>(
    reporter: &dyn Reporter,
    what: impl Into<String>,
    work: impl FnOnce() -> crate::Result<T>,
) -> crate::Result<T> {
    let what = what.into();
    reporter.tell(Event::Start { what: what.clone() });
    let result = work();
    reporter.tell(match &result {
        Ok(_) => Event::Done { what },
        Err(_) => Event::Failed { what },
    });
    result
}

/// Seconds, rounded up: `left` never says 0 while there is some.
pub fn seconds_left(left: Duration) -> u64 {
    left.as_millis().div_ceil(1000) as u64
}

/// A reporter that tells nobody.
pub struct Silent;

impl Reporter for Silent {
    fn tell(&self, _: Event) {}
}
