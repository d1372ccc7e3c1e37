//! Recovery: an interrupted run is finished or undone, from its records and what is there; again and again if need be.

use std::path::Path;
use std::time::Duration;

use super::commit;
use super::decide::{Decision, decide};
use super::gates;
use super::journal::Journal;
use super::record::{Body, End, Outcome};
use super::restore::{self, Lost};
use super::undo;
use crate::action::Site;
use crate::error::{Error, Kind, Result};
use crate::health;
use crate::host::{interrupt, process};
use crate::ledger::open_run;
use crate::plan::Plan;
use crate::report::{Event, Phase, Reporter};

/// What recovery did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// There was no open run.
    Nothing,
    /// This run was closed: it had changed nothing.
    Closed(String),
    /// This run was undone.
    Undone(String),
    /// This run was undone, its data from a backup.
    Restored(String, Lost),
    /// This run was finished.
    Finished(String),
}

/// Finishes or undoes the open run of an install. Call it under the install's lock.
pub fn recover(state: &Path, reporter: &dyn Reporter) -> Result<Recovered> {
    let Some(mut journal) = open_run(state)? else { return Ok(Recovered::Nothing) };
    let Some(begin) = journal.start().cloned() else { return Ok(Recovered::Nothing) };
    let run = journal.run().to_owned();
    reporter.tell(Event::Run { install: begin.plan.install.clone(), run: run.clone() });
    let mut site = Site::new(&begin.plan, &run, journal.directory(), reporter)?;
    interrupt::listen()?;
    // What recovery begins, it ends; what it cannot end, it may begin again.
    interrupt::shield();
    site.end_leftovers()?;
    process::belong_to(&run);
    site.hide(gates::secrets(&begin.plan, &[], &site)?);
    let interrupted = || Some("the run was interrupted".to_owned());
    match decide(journal.records()) {
        Decision::Nothing => Ok(Recovered::Nothing),
        Decision::Close => {
            journal.append(Body::End(End { outcome: Outcome::Stopped, why: interrupted(), detail: Vec::new() }))?;
            Ok(Recovered::Closed(run))
        }
        Decision::Finish => {
            reporter.tell(Event::Phase { phase: Phase::Commit });
            commit::clear_locks(&site)?;
            commit::finish(&mut journal, state, &site).map_err(|error| {
                let again = format!("mend what is named above, then run again: relift recover {}", begin.plan.install);
                error.while_(format!("run {run} could not be finished")).kind(Kind::NeedsOperator).hint(again)
            })?;
            Ok(Recovered::Finished(run))
        }
        Decision::AskOperator => {
            let why = "it was interrupted after a step that nothing undoes had begun";
            Err(Error::new(Kind::NeedsOperator, format!("run {run} cannot be put back: {why}"))
                .because("the new tree, `.env` and units are left in place for it")
                .hint(format!(
                    "see what it had done: relift show {run}; settle it by hand, then close it: relift recover --close"
                )))
            .map_err(|error| restore::way_back(&journal).into_iter().fold(error, Error::hint))
        }
        Decision::Undo => {
            reporter.tell(Event::Phase { phase: Phase::Undo });
            let trouble = |error: Error| {
                error.while_(format!("run {run} could not be undone")).kind(Kind::NeedsOperator).hint(format!(
                    "mend what is named above, then run again: relift recover; what the run had done: relift show {run}"
                ))
            };
            let mut remarks = undo::undo(&mut journal, &mut site).map_err(trouble)?;
            remarks.extend(prove_old(&begin.plan, &journal, &site).err().map(|trouble| trouble.to_string()));
            let lost = restore::lost(&journal);
            let outcome = match (remarks.is_empty(), &lost) {
                (true, None) => Outcome::RolledBack,
                (true, Some(_)) => Outcome::Restored,
                (false, _) => Outcome::NeedsOperator,
            };
            let detail = lost.iter().map(ToString::to_string).chain(remarks.clone()).collect();
            journal.append(Body::End(End { outcome, why: interrupted(), detail }))?;
            match (remarks.is_empty(), lost) {
                (true, None) => return Ok(Recovered::Undone(run)),
                (true, Some(lost)) => return Ok(Recovered::Restored(run, lost)),
                (false, _) => {}
            }
            let error =
                Error::new(Kind::NeedsOperator, format!("run {run} was undone, but not everything is as it was"));
            Err(remarks.into_iter().fold(error, |error, remark| error.because(remark)))
        }
    }
}

/// Proves that the units of what was healthy before the run stay up again. That a job
/// started them says nothing about that.
fn prove_old(plan: &Plan, journal: &Journal, site: &Site) -> Result<()> {
    let gates = gates::old_units(plan, journal.healthy_before(), site.secrets());
    health::prove("prove that the old release runs again", &site.owner, &gates, Duration::ZERO, site.reporter)
        .map_err(|error| error.while_("the old release is back, but not healthy"))
}

/// Closes the open run of an install after an operator has settled it by hand.
pub fn close(state: &Path) -> Result<Recovered> {
    let Some(mut journal) = open_run(state)? else { return Ok(Recovered::Nothing) };
    let why = Some("closed by an operator".to_owned());
    journal.append(Body::End(End { outcome: Outcome::NeedsOperator, why, detail: Vec::new() }))?;
    Ok(Recovered::Closed(journal.run().to_owned()))
}
