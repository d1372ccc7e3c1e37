//! Runs of the past, read from their journals.

use std::path::Path;

use crate::action::Action;
use crate::error::{Context, Result};
use crate::plan::Plan;
use crate::run::journal::Journal;
use crate::run::record::{Body, End};
use crate::run::runs::{newest, newest_first};

/// A run of the past, or one that is open.
pub struct Past {
    /// Its ULID.
    pub run: String,
    /// When it began, seconds since the epoch.
    pub began: i64,
    /// When its last record was written.
    pub last: i64,
    /// What it would do.
    pub plan: Plan,
    /// Nobody was asked.
    pub unattended: bool,
    /// How it ended; `None`: it is open.
    pub end: Option<End>,
}

/// The newest `limit` runs, newest first. A journal that cannot be trusted is an error.
pub fn history(state: &Path, limit: usize) -> Result<Vec<Past>> {
    let mut past = Vec::new();
    let mut runs = newest_first(&state.join("runs"))?;
    while past.len() < limit
        && let Some(directory) = runs.next().transpose()?
    {
        past.extend(read(&Journal::open(&directory)?));
    }
    Ok(past)
}

/// The newest run, where it has not ended.
pub fn open_run(state: &Path) -> Result<Option<Journal>> {
    // Only the newest can be open: a run does not start while another is.
    let Some(newest) = newest(&state.join("runs"))? else { return Ok(None) };
    let journal = Journal::open(&newest)?;
    Ok((journal.start().is_some() && journal.end().is_none()).then_some(journal))
}

/// Whether the newest run has a record of its end, or there is none. Only the name of the record is looked at: who is told
/// `false` opens the journal.
pub fn is_newest_ended(state: &Path) -> Result<bool> {
    let Some(newest) = newest(&state.join("runs"))? else { return Ok(true) };
    let names = std::fs::read_dir(&newest).with_context(|| format!("{} cannot be read", newest.display()))?;
    Ok(names.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with("-end.json")))
}

/// Seconds between the first restart and the gate of the newest run that was done and restarted something.
pub fn last_downtime(state: &Path) -> Option<u64> {
    let mut runs = newest_first(&state.join("runs")).ok()?.take(10);
    runs.find_map(|directory| downtime(&Journal::open(&directory.ok()?).ok()?))
}

/// The same of one run.
pub fn downtime(journal: &Journal) -> Option<u64> {
    let plan = &journal.start()?.plan;
    let restart = journal.records().iter().find(|record| match &record.body {
        Body::Intent { action, .. } => {
            matches!(plan.actions.get(*action), Some(Action::Service(_) | Action::ComposeUp(_)))
        }
        _ => false,
    })?;
    let gate = journal.records().iter().find(|record| record.body == Body::Gate)?;
    Some((gate.time - restart.time).max(0) as u64).map(|seconds| seconds.saturating_sub(plan.soak))
}

fn read(journal: &Journal) -> Option<Past> {
    let begin = journal.start()?;
    let (began, last) = journal.span()?;
    Some(Past {
        run: journal.run().to_owned(),
        began,
        last,
        plan: begin.plan.clone(),
        unattended: begin.unattended,
        end: journal.end().cloned(),
    })
}
