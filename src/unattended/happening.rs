//! What a verb did to one install.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Span;
use crate::error::{Error, Exit, Kind, Result};
use crate::plan::Plan;

/// The verbs that are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// `relift check`.
    Check,
    /// `relift upgrade`.
    Upgrade,
    /// `relift rollback`.
    Rollback,
    /// `relift recover`.
    Recover,
    /// `relift reconfigure`, or a hook of a package manager.
    Reconfigure,
}

impl Verb {
    /// As it is typed.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Check => "check",
            Verb::Upgrade => "upgrade",
            Verb::Rollback => "rollback",
            Verb::Recover => "recover",
            Verb::Reconfigure => "reconfigure",
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// What the source offers is activated.
    Current,
    /// `check` alone: something is new.
    Available,
    /// Another release is activated and proven.
    Done,
    /// The release failed here before.
    Skipped,
    /// Not now, and it will be tried again by itself: outside the window, busy, held, too new.
    Deferred,
    /// It waits for an operator's decision; nothing was changed.
    Refused,
    /// It failed, and nothing was changed.
    Failed,
    /// It failed, and everything was put back.
    PutBack,
    /// It failed, and not everything could be put back.
    NeedsOperator,
}

/// An error, as values: redacted, as errors are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What happened.
    pub what: String,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// The last lines of a log.
    pub detail: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

/// What a verb did to one install. Nothing in it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// The install.
    pub install: String,
    /// What was asked for.
    pub verb: Verb,
    /// Whether nobody was there: a timer, cron, a hook.
    pub unattended: bool,
    /// When it ended, seconds since the epoch.
    pub time: i64,
    /// How it ended.
    pub outcome: Outcome,
    /// The release that it was about, in words, where one was found.
    pub target: Option<String>,
    /// Its commit.
    pub revision: Option<String>,
    /// What keeps it from being installed as things are.
    #[serde(default)]
    pub blockers: Vec<String>,
    /// Versions before and after, by component.
    pub versions: BTreeMap<String, (Option<String>, Option<String>)>,
    /// The run, where one began.
    pub run: Option<String>,
    /// Its phases, and what was done in each.
    pub spans: Vec<Span>,
    /// What the operator should know, whatever the outcome.
    pub warnings: Vec<String>,
    /// Why it failed or was refused.
    pub error: Option<Told>,
    /// The exit status.
    pub exit: u8,
}

impl Happening {
    /// A verb that begins; how it ends is told by [`Happening::ended`].
    pub fn begun(install: &str, verb: Verb, unattended: bool) -> Happening {
        Happening {
            install: install.to_owned(),
            verb,
            unattended,
            time: 0,
            outcome: Outcome::Current,
            target: None,
            revision: None,
            blockers: Vec::new(),
            versions: BTreeMap::new(),
            run: None,
            spans: Vec::new(),
            warnings: Vec::new(),
            error: None,
            exit: 0,
        }
    }

    /// What it is about.
    pub fn about(&mut self, plan: &Plan) {
        self.target = Some(plan.target_words());
        self.revision = Some(plan.to.revision.clone());
        self.blockers = plan.blockers.iter().map(|blocker| blocker.what.clone()).collect();
        let versions = plan
            .components
            .iter()
            .map(|component| (component.name.clone(), (component.from_version.clone(), component.to_version.clone())));
        self.versions = versions.collect();
    }

    /// How it ended. An outcome that an error tells replaces the one that was noted on the way, but for a deferral.
    pub fn ended(mut self, ended: &Result<Exit>, time: i64) -> Happening {
        self.time = time;
        self.exit = match ended {
            Ok(exit) => *exit as u8,
            Err(error) => error.kind.exit() as u8,
        };
        if let Err(error) = ended {
            self.error = Some(Told::from(error));
            if self.outcome != Outcome::Deferred {
                self.outcome = outcome(error.kind);
            }
        }
        self
    }
}

fn outcome(kind: Kind) -> Outcome {
    match kind {
        Kind::Refused => Outcome::Refused,
        Kind::Failed | Kind::Usage | Kind::NotPermitted => Outcome::Failed,
        Kind::PutBack | Kind::Restored { .. } => Outcome::PutBack,
        Kind::NeedsOperator => Outcome::NeedsOperator,
        Kind::Busy => Outcome::Deferred,
    }
}

impl From<&Error> for Told {
    fn from(error: &Error) -> Told {
        Told {
            what: error.what.clone(),
            causes: error.causes.clone(),
            detail: error.detail.clone(),
            hints: error.hints.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_a_verb_ended_is_told_by_its_error_and_a_deferral_stays_one() {
        let begun = || Happening::begun("app", Verb::Upgrade, true);
        let failed = begun().ended(&Err(Error::failed("no").kind(Kind::PutBack)), 7);
        assert_eq!((failed.outcome, failed.exit, failed.time), (Outcome::PutBack, 3, 7));
        assert_eq!(failed.error.map(|told| told.what).as_deref(), Some("no"));
        let deferred = Happening { outcome: Outcome::Deferred, ..begun() };
        assert_eq!(deferred.ended(&Err(Error::refused("not now")), 7).outcome, Outcome::Deferred);
        assert_eq!(begun().ended(&Err(Error::refused("ask")), 7).outcome, Outcome::Refused);
        assert_eq!(begun().ended(&Ok(Exit::Done), 7).outcome, Outcome::Current);
    }
}
