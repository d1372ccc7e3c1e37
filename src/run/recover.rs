//! Recovery: an interrupted run is finished or undone, from its records and what is there; again and again if need be.

use std::path::{Path, PathBuf};

use super::decide::{Decision, Sights, decide, past_return};
use super::journal::Journal;
use super::record::{Body, End, Outcome};
use super::restore::{self, Lost};
use super::{commit, gates, prove, reserve, undo};
use crate::action::{Action, Site, remove_exports, remove_scratch};
use crate::error::{Error, Kind, Result};
use crate::health;
use crate::host::{interrupt, process, systemd};
use crate::ledger::open_run;
use crate::manifest::Install;
use crate::plan::Plan;
use crate::report::{Event, Phase, Reporter, Silent, during};
use crate::source::releases;
use crate::unattended::monitor::trace::Context;

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

/// What recovery would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The run.
    pub run: String,
    /// What would be done with it.
    pub decision: Decision,
    /// What is where, a line for each change.
    pub account: Vec<String>,
}

/// What recovery would do with the open run of an install, and what is there. Changes nothing.
pub fn outlook(state: &Path, reporter: &dyn Reporter) -> Result<Option<Outlook>> {
    let Some(journal) = open_run(state)? else { return Ok(None) };
    let Some(begin) = journal.start() else { return Ok(None) };
    let mut site = Site::new(&begin.plan, journal.run(), journal.directory(), reporter)?;
    let sights = undo::sights(&journal, &begin.plan, &mut site, undo::is_worth_telling)?;
    let decision = decide(journal.records(), &begin.plan, &sights);
    let account = undo::account(&begin.plan, &sights);
    Ok(Some(Outlook { run: journal.run().to_owned(), decision, account }))
}

/// Finishes or undoes the open run of an install. Call it under the install's lock. `manifest` is asked only for a run
/// that died past the point of no return, to prove what it finishes; everything else is in the run's records.
pub fn recover(state: &Path, manifest: &dyn Fn() -> Result<Install>, reporter: &dyn Reporter) -> Result<Recovered> {
    let scratch = open_run(state)?.as_ref().and_then(scratch);
    let recovered = resolve(state, manifest, reporter);
    forget(state, scratch.filter(|_| recovered.is_ok()), reporter);
    if let Err(error) = remove_exports(state) {
        reporter.tell(Event::Warning { text: format!("what root ran is left: {error}") });
    }
    recovered
}

/// Where commands of a run saved what their undo needs.
fn scratch(journal: &Journal) -> Option<PathBuf> {
    let begin = journal.start()?;
    begin.plan.actions.iter().find_map(|action| match action {
        Action::Step(step) => step.with.scratch.clone(),
        _ => None,
    })
}

/// What they saved goes with the end of the run.
fn forget(state: &Path, scratch: Option<PathBuf>, reporter: &dyn Reporter) {
    let Some(scratch) = scratch.filter(|_| matches!(open_run(state), Ok(None))) else { return };
    if let Err(error) = remove_scratch(&scratch) {
        reporter.tell(Event::Warning { text: format!("what hooks saved is left: {error}") });
    }
}

fn resolve(state: &Path, manifest: &dyn Fn() -> Result<Install>, reporter: &dyn Reporter) -> Result<Recovered> {
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
    site.trace = begin.trace.as_ref().and_then(|trace| Context::of(&run, Some(trace)));
    let sights = match past_return(journal.records()) {
        Some(_) => undo::sights(&journal, &begin.plan, &mut site, undo::is_worth_telling)?,
        None => Sights::new(),
    };
    match decide(journal.records(), &begin.plan, &sights) {
        Decision::Nothing => Ok(Recovered::Nothing),
        Decision::Close => {
            reserve::give_up(journal.directory());
            releases::discard(&begin.plan, &site).unwrap_or_default();
            journal.append(Body::End(End { outcome: Outcome::Stopped, why: interrupted(), detail: Vec::new() }))?;
            Ok(Recovered::Closed(run))
        }
        Decision::Finish => finish(&mut journal, state, &begin.plan, &site).map(|()| Recovered::Finished(run)),
        Decision::Forward(rest) => {
            reporter.tell(Event::Phase { phase: Phase::Switch });
            let gone = go_forward(&rest, manifest, &mut journal, &begin.plan, &mut site);
            gone.map_err(|error| stuck(error, &begin.plan, &journal, &mut site).hint(goes_on(&begin.plan)))?;
            finish(&mut journal, state, &begin.plan, &site).map(|()| Recovered::Finished(run))
        }
        Decision::AskOperator(why) => {
            let error = Error::failed(why).hint("settle it by hand, then close the run: relift recover --close");
            Err(stuck(error, &begin.plan, &journal, &mut site))
        }
        Decision::Undo(_) => back(&mut journal, state, &begin.plan, &mut site).map(|lost| match lost {
            None => Recovered::Undone(run),
            Some(lost) => Recovered::Restored(run, lost),
        }),
    }
}

fn interrupted() -> Option<String> {
    Some("the run was interrupted".to_owned())
}

fn finish(journal: &mut Journal, state: &Path, plan: &Plan, site: &Site) -> Result<()> {
    site.reporter.tell(Event::Phase { phase: Phase::Commit });
    commit::clear_locks(plan, site)?;
    let run = journal.run().to_owned();
    commit::finish(journal, state, site).map_err(|error| {
        let again = format!("mend what is named above, then run again: relift recover {}", plan.install);
        error.while_(format!("run {run} could not be finished")).kind(Kind::NeedsOperator).hint(again)
    })
}

/// Makes the rest of a run that cannot go back, proves it, and commits it.
fn go_forward(
    rest: &[usize],
    manifest: &dyn Fn() -> Result<Install>,
    journal: &mut Journal,
    plan: &Plan,
    site: &mut Site,
) -> Result<()> {
    let install = manifest().map_err(|error| error.while_("the manifest says what must be proven"))?;
    let mark = health::Mark::now(&install);
    for at in rest {
        let act = plan.actions[*at].act();
        let begun = journal.begun().into_iter().find(|(begun, _)| begun == at);
        let reporter = site.reporter;
        match begun {
            Some((_, seen)) => during(reporter, act.title(), || act.redo(site, &seen))?,
            None => {
                let seen = act.seen(site)?;
                if act.is_irreversible() {
                    restore::is_at_hand(plan, journal)?;
                    journal.append(Body::PointOfNoReturn { action: *at })?;
                }
                journal.append(Body::Intent { action: *at, seen })?;
                during(reporter, act.title(), || act.apply(site))?;
            }
        }
        if !journal.has(|body| *body == Body::Done { action: *at }) {
            journal.append(Body::Done { action: *at })?;
        }
    }
    prove::new(&install, plan, journal, mark, site)?;
    journal.append(Body::Gate)?;
    journal.append(Body::Commit)
}

/// A run that can neither go back nor, for now, forward, with the account of what is where.
pub(super) fn stuck(error: Error, plan: &Plan, journal: &Journal, site: &mut Site) -> Error {
    let run = journal.run();
    let what = format!("run {run} cannot be put back, and is not finished");
    let step = past_return(journal.records()).map(|step| plan.actions[step].act().title());
    let error = step
        .map(|title| format!("the step `{title}` was begun, and nothing undoes it"))
        .into_iter()
        .fold(error, Error::because);
    let error = error.while_(what).kind(Kind::NeedsOperator);
    let error = with_account(error, plan, journal, site)
        .hint(format!("what it had done: relift show {run}; what was said meanwhile: relift logs {run}"));
    restore::way_back(journal).into_iter().fold(error, Error::hint)
}

/// What to do with a run that can only go forward.
pub(super) fn goes_on(plan: &Plan) -> String {
    format!("once the cause is mended, it goes on from there: relift recover {}", plan.install)
}

/// An error with what is where, as far as it can be looked at.
pub(super) fn with_account(error: Error, plan: &Plan, journal: &Journal, site: &mut Site) -> Error {
    match undo::sights(journal, plan, site, undo::is_worth_telling) {
        Ok(sights) => {
            let lines = undo::account(plan, &sights).into_iter().map(|line| format!("  {line}"));
            error.detail(["what is where:".to_owned()].into_iter().chain(lines))
        }
        Err(trouble) => error.because(format!("what is where cannot be told: {trouble}")),
    }
}

/// Undoes a run; gives what was lost, where data came back from a backup.
fn back(journal: &mut Journal, state: &Path, plan: &Plan, site: &mut Site) -> Result<Option<Lost>> {
    site.reporter.tell(Event::Phase { phase: Phase::Undo });
    let run = journal.run().to_owned();
    let mut remarks = match undo::undo(journal, site) {
        Ok(remarks) => remarks,
        Err(error) => {
            let error = error.while_(format!("run {run} could not be undone")).kind(Kind::NeedsOperator);
            return Err(with_account(error, plan, journal, site).hint(format!(
                "mend what is named above, then run again: relift recover; what the run had done: relift show {run}"
            )));
        }
    };
    remarks.extend(prove::old_units(plan, journal, site).err().map(|trouble| trouble.to_string()));
    if !remarks.is_empty() && systemd::is_stopping() {
        // Not its end: the next boot goes on from here.
        let error = Error::new(Kind::NeedsOperator, format!("run {run} is not undone yet: this host is going down"));
        return Err(remarks.into_iter().fold(error, Error::because));
    }
    let lost = restore::lost(journal);
    let outcome = match (remarks.is_empty(), &lost) {
        (true, None) => Outcome::RolledBack,
        (true, Some(_)) => Outcome::Restored,
        (false, _) => Outcome::NeedsOperator,
    };
    commit::note_given_up(journal, state)?;
    let detail = lost.iter().map(ToString::to_string).chain(remarks.clone()).collect();
    journal.append(Body::End(End { outcome, why: interrupted(), detail }))?;
    if remarks.is_empty() {
        return Ok(lost);
    }
    let error = Error::new(Kind::NeedsOperator, format!("run {run} was undone, but not everything is as it was"));
    Err(remarks.into_iter().fold(error, Error::because))
}

/// Closes the open run of an install after an operator has settled it by hand.
pub fn close(state: &Path) -> Result<Recovered> {
    let Some(mut journal) = open_run(state)? else { return Ok(Recovered::Nothing) };
    // What was begun and is not undone has run: it never does again.
    commit::note_migrations(&journal, state)?;
    let scratch = scratch(&journal);
    let why = Some("closed by an operator".to_owned());
    journal.append(Body::End(End { outcome: Outcome::NeedsOperator, why, detail: Vec::new() }))?;
    forget(state, scratch, &Silent);
    Ok(Recovered::Closed(journal.run().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::record::Begin;
    use super::*;
    use crate::action::{MigrationOf, Seen, Step, With};
    use crate::ledger::Ledger;
    use crate::manifest::StepUndo;
    use crate::plan::Contents;

    fn migration(version: semver::Version) -> Action {
        let id = MigrationOf { component: "app".into(), version, is_back: false };
        Action::Step(Step {
            component: "app".into(),
            base: None,
            path: "app".into(),
            name: "migration".into(),
            run: vec!["true".into()],
            as_root: false,
            timeout: 1,
            undo: StepUndo::Irreversible,
            undo_timeout: None,
            idempotent: false,
            origin: Default::default(),
            with: With { migration: Some(id), ..With::default() },
        })
    }

    #[test]
    fn a_migration_that_was_begun_and_not_undone_never_runs_again_when_an_operator_closed_the_run() {
        let state = tempfile::tempdir().unwrap();
        let versions = [1, 2, 3].map(|minor| semver::Version::new(1, minor, 0));
        let plan = Plan { actions: versions.clone().map(migration).into(), ..Plan::empty("app") };
        let begin = Begin {
            version: "0".into(),
            plan,
            unattended: false,
            configuration: String::new(),
            keep_known_good: 1,
            track: None,
            manifest: None,
            trace: None,
        };
        let mut journal = Journal::begin(&state.path().join("runs"), begin, &Contents::default()).unwrap();
        for body in [
            Body::Prepared { healthy: Vec::new() },
            Body::Intent { action: 0, seen: Seen::Nothing },
            Body::Done { action: 0 },
            Body::Intent { action: 1, seen: Seen::Nothing },
            Body::Undone { action: 1 },
        ] {
            journal.append(body).unwrap();
        }
        let run = journal.run().to_owned();
        drop(journal);
        assert_eq!(close(state.path()).unwrap(), Recovered::Closed(run.clone()));
        let ran = Ledger::below(state.path()).migrations().unwrap();
        let ran: Vec<_> = ran.iter().map(|ran| (&ran.version, &ran.run)).collect();
        assert_eq!(ran, [(&versions[0], &run)]);
    }
}
