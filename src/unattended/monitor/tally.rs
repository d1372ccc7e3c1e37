//! What is counted of an install's runs. Counters only grow: they are kept beside the ledger, whatever becomes of old runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::host::fs::{make_private, write_durably};
use crate::ledger::downtime;
use crate::plan::Intent;
use crate::run::journal::Journal;
use crate::run::record::Outcome;
use crate::run::runs::newest_first;
use crate::unattended::{Happening, Span};

/// Where it is kept, below an install's state.
const FILE: &str = "ledger/monitoring.json";

/// The runs that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Tally {
    /// The newest that was counted.
    pub newest: String,
    /// How many, by outcome.
    pub runs: BTreeMap<String, u64>,
    /// When the last one that was done ended, seconds since the epoch.
    pub success: Option<i64>,
    /// The last one.
    pub last: Option<LastRun>,
}

/// The last run that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastRun {
    /// Its ULID.
    pub run: String,
    /// Whether it went forward or back.
    pub intent: Intent,
    /// How it ended.
    pub outcome: Outcome,
    /// Seconds since the epoch.
    pub began: i64,
    /// Seconds since the epoch.
    pub ended: i64,
    /// Seconds without service; `None`: nothing was restarted, or it is not known.
    pub without_service: Option<u64>,
    /// Milliseconds by phase, where its process lived to tell them.
    #[serde(default)]
    pub phases: BTreeMap<String, u64>,
}

/// The word by which an outcome is counted.
pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Stopped => "stopped",
        Outcome::RolledBack => "rolled-back",
        Outcome::Restored => "restored",
        Outcome::NeedsOperator => "needs-operator",
    }
}

/// All outcomes, so that a counter is there before it first counts.
pub const OUTCOMES: [Outcome; 5] =
    [Outcome::Done, Outcome::Stopped, Outcome::RolledBack, Outcome::Restored, Outcome::NeedsOperator];

impl Tally {
    /// Counts what has ended since it was last kept, and keeps it where there was something, or where the process of a run
    /// tells how long its phases took. Only journals that were not counted yet are opened.
    pub fn of(state: &Path, happening: Option<&Happening>) -> Result<Tally> {
        let path = state.join(FILE);
        // What cannot be read is counted anew.
        let kept: Tally =
            std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut tally = kept.clone();
        let is_new = |run: &Path| run.file_name().is_some_and(|name| *name.to_string_lossy() > *kept.newest);
        let runs = newest_first(&state.join("runs"))?.take_while(|run| run.as_ref().map_or(true, |run| is_new(run)));
        let new = runs.collect::<Result<Vec<PathBuf>>>()?;
        for directory in new.iter().rev() {
            if let Some(ended) = ended(&Journal::open(directory)?) {
                tally.count(ended);
            }
        }
        if let (Some(happening), Some(last)) = (happening, &mut tally.last)
            && happening.run.as_ref() == Some(&last.run)
        {
            phases(&happening.spans, &mut last.phases);
        }
        if tally != kept {
            make_private(&state.join("ledger"), 0o700)?;
            let bytes = serde_json::to_vec_pretty(&tally).context("what is counted of runs cannot be written")?;
            write_durably(&path, &bytes, 0o600)?;
        }
        Ok(tally)
    }

    fn count(&mut self, run: LastRun) {
        self.newest.clone_from(&run.run);
        *self.runs.entry(word(run.outcome).to_owned()).or_default() += 1;
        if run.outcome == Outcome::Done {
            self.success = Some(run.ended);
        }
        self.last = Some(run);
    }
}

fn ended(journal: &Journal) -> Option<LastRun> {
    let (end, (began, ended)) = (journal.end()?, journal.span()?);
    Some(LastRun {
        run: journal.run().to_owned(),
        intent: journal.start()?.plan.intent,
        outcome: end.outcome,
        began,
        ended,
        without_service: downtime(journal),
        phases: BTreeMap::new(),
    })
}

/// What each phase took; those that this process saw replace what is there.
fn phases(spans: &[Span], into: &mut BTreeMap<String, u64>) {
    for span in spans.iter().filter(|span| span.is_phase) {
        // A clock that was set back makes no phase negative.
        let millis = u64::try_from((span.ended - span.begun) / 1_000_000).unwrap_or(0);
        into.insert(span.name.clone(), millis);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Contents;
    use crate::run::record::{Begin, Body, End};
    use crate::unattended::Verb;

    fn run(state: &Path, outcome: Option<Outcome>) -> String {
        let mut journal = Journal::begin(&state.join("runs"), Begin::sample(), &Contents::default()).unwrap();
        if let Some(outcome) = outcome {
            journal.append(Body::End(End { outcome, why: None, detail: Vec::new() })).unwrap();
        }
        journal.run().to_owned()
    }

    #[test]
    fn counters_grow_with_every_run_that_ends_and_survive_its_removal_and_a_restart() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path();
        assert_eq!(Tally::of(state, None).unwrap(), Tally::default());
        assert!(!state.join(FILE).exists(), "nothing to count, nothing written");
        run(state, Some(Outcome::Done));
        let failed = run(state, Some(Outcome::RolledBack));
        let counted = Tally::of(state, None).unwrap();
        assert_eq!(counted.runs, BTreeMap::from([("done".into(), 1), ("rolled-back".into(), 1)]));
        assert_eq!(counted.last.as_ref().map(|last| &last.run), Some(&failed));
        assert!(counted.success.is_some());
        let written = std::fs::metadata(state.join(FILE)).unwrap().modified().unwrap();
        assert_eq!(Tally::of(state, None).unwrap(), counted, "nobody is counted twice");
        assert_eq!(
            std::fs::metadata(state.join(FILE)).unwrap().modified().unwrap(),
            written,
            "nor is it written again"
        );
        std::fs::remove_dir_all(state.join("runs")).unwrap();
        assert_eq!(Tally::of(state, None).unwrap(), counted);
        let open = run(state, None);
        assert_eq!(Tally::of(state, None).unwrap(), counted, "an open run is not counted");
        let mut journal = Journal::open(&state.join("runs").join(open)).unwrap();
        journal.append(Body::End(End { outcome: Outcome::Done, why: None, detail: Vec::new() })).unwrap();
        assert_eq!(Tally::of(state, None).unwrap().runs["done"], 2, "it is once it has ended");
    }

    #[test]
    fn phases_are_kept_with_the_run_that_they_are_of() {
        let place = tempfile::tempdir().unwrap();
        let id = run(place.path(), Some(Outcome::Done));
        let span = |name: &str, begun, ended| Span { name: name.into(), is_phase: true, begun, ended, failed: false };
        let mut happening = Happening::begun("app", Verb::Upgrade, false);
        happening.spans = vec![span("prepare", 0, 1_500_000_000), span("switch", 9, 3)];
        assert_eq!(Tally::of(place.path(), Some(&happening)).unwrap().last.unwrap().phases, BTreeMap::new());
        happening.run = Some(id);
        let phases = BTreeMap::from([("prepare".to_owned(), 1_500), ("switch".to_owned(), 0)]);
        assert_eq!(Tally::of(place.path(), Some(&happening)).unwrap().last.unwrap().phases, phases);
        assert_eq!(Tally::of(place.path(), None).unwrap().last.unwrap().phases, phases, "they are kept");
    }
}
