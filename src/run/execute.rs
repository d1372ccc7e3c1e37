//! Executing a plan: prepare, switch, gate, soak, commit; anything else ends in undo.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gates;
use super::journal::Journal;
use super::prepare::{Stopped, Version, prepare, version};
use super::record::{Begin, Body, End, Outcome};
use super::{commit, interrupt, undo};
use crate::action::{Action, Artifact, Site};
use crate::error::{Error, Kind, Result};
use crate::health;
use crate::host::account::Account;
use crate::ledger::{FailedRelease, Ledger};
use crate::manifest::Install;
use crate::plan::{Contents, Intent, Plan};
use crate::report::{Event, Phase, Reporter, during};
use crate::source::git::Mirror;

/// What a run works with. Made under the lock.
pub struct Engine<'a> {
    /// The install.
    pub install: &'a Install,
    /// Its owner.
    pub owner: Account,
    /// Our own copy of its source.
    pub mirror: &'a Mirror,
    /// `/var/lib/relift/NAME`.
    pub state: &'a Path,
    /// `/var/cache/relift/NAME`.
    pub cache: PathBuf,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
}

/// Executes a plan. The error of a failed run says what state the host is in by its kind.
pub fn execute(engine: &Engine, begin: Begin, contents: &Contents) -> Result<()> {
    let plan = begin.plan.clone();
    let configuration = begin.configuration.clone();
    interrupt::listen()?;
    let mut journal = Journal::begin(&engine.state.join("runs"), begin, contents)?;
    engine.reporter.tell(Event::Run { install: plan.install.clone(), run: journal.run().to_owned() });
    let mut site = Site::new(&plan, journal.run(), journal.directory(), engine.reporter)?;
    site.hide(gates::secrets(&plan.root, &engine.install.components)?);
    site.hide(gates::new_secrets(&plan, contents));

    engine.reporter.tell(Event::Phase { phase: Phase::Prepare });
    let prepared = prepare(engine, &plan, contents, &mut site)
        .and_then(|healthy| if_not_interrupted(healthy, "preparing").map_err(Stopped::from));
    let healthy = match prepared {
        Ok(healthy) => healthy,
        Err(Stopped { error, by_check }) => {
            journal.append(Body::End(End {
                outcome: Outcome::Stopped,
                why: Some(error.to_string()),
                detail: error.detail.clone(),
            }))?;
            // A check that fails will fail again with this configuration; a full disk is not the release's fault.
            remember(
                engine,
                &plan,
                &configuration,
                &journal,
                &error,
                by_check && error.kind == Kind::Failed && !interrupt::requested(),
            )?;
            return Err(error.while_(format!("{} stopped before any change", title(&plan))));
        }
    };
    journal.append(Body::Prepared { healthy })?;
    let cursor = health::journal_cursor();
    match switch(&plan, &mut journal, &mut site).and_then(|()| prove(engine, &plan, &journal, cursor)) {
        Ok(()) => {
            journal.append(Body::Gate)?;
            journal.append(Body::Commit)?;
            engine.reporter.tell(Event::Phase { phase: Phase::Commit });
            commit::finish(&mut journal, engine.state, &site)
        }
        Err(error) => {
            journal.append(Body::Abort { why: error.to_string() })?;
            remember(engine, &plan, &configuration, &journal, &error, !interrupt::requested())?;
            Err(come_back(engine, &plan, &mut journal, &mut site, error))
        }
    }
}

fn switch(plan: &Plan, journal: &mut Journal, site: &mut Site) -> Result<()> {
    site.reporter.tell(Event::Phase { phase: Phase::Switch });
    for (at, action) in plan.actions.iter().enumerate() {
        if_not_interrupted((), "switching")?;
        let act = action.act();
        let seen = act.seen(site)?;
        if act.is_irreversible() {
            journal.append(Body::PointOfNoReturn { action: at })?;
        }
        journal.append(Body::Intent { action: at, seen })?;
        let reporter = site.reporter;
        match action {
            // What changes nothing by itself is not worth a line.
            Action::Quiesce(_) | Action::Rerun(_) | Action::Artifact(Artifact { install: None, .. }) => {
                act.apply(site)?
            }
            _ => during(reporter, act.title(), || act.apply(site))?,
        }
        journal.append(Body::Done { action: at })?;
    }
    Ok(())
}

/// The gate and the soak: what this run changed, and what was healthy before, runs.
fn prove(engine: &Engine, plan: &Plan, journal: &Journal, cursor: Option<String>) -> Result<()> {
    engine.reporter.tell(Event::Phase { phase: Phase::Gate });
    let healthy = journal.healthy_before();
    let wanted = |gate: &crate::plan::GatePlan| gate.changes || healthy.contains(&gate.component);
    let quiesced = journal.begun().into_iter().find(|(at, _)| matches!(plan.actions[*at], Action::Quiesce(_)));
    let seen = quiesced.map(|(_, seen)| seen);
    let mut gates = gates::gates(engine.install, plan, wanted, |name| version(plan, name, Version::To), seen.as_ref())?;
    for gate in &mut gates {
        gate.cursor = cursor.clone();
    }
    health::prove(&engine.owner, &gates, Duration::from_secs(plan.soak), engine.reporter)
}

/// Undoes the run, proves that the old release is back, and says which.
fn come_back(engine: &Engine, plan: &Plan, journal: &mut Journal, site: &mut Site, error: Error) -> Error {
    engine.reporter.tell(Event::Phase { phase: Phase::Undo });
    let undone = undo::undo(journal, site).and_then(|remarks| {
        prove_old(engine, plan, journal)?;
        Ok(remarks)
    });
    let what = format!("{} failed", title(plan));
    let (outcome, kind, remarks) = match undone {
        Ok(remarks) if remarks.is_empty() => (Outcome::RolledBack, Kind::PutBack, remarks),
        Ok(remarks) => (Outcome::NeedsOperator, Kind::NeedsOperator, remarks),
        Err(trouble) => (Outcome::NeedsOperator, Kind::NeedsOperator, vec![format!("putting back: {trouble}")]),
    };
    let end = End { outcome, why: Some(error.to_string()), detail: error.detail.clone() };
    // Not written: the run stays open, and recovery goes on from here.
    let ended = journal.append(Body::End(end)).err().map(|trouble| trouble.to_string());
    let mut error = error.while_(what).kind(kind);
    for remark in remarks.into_iter().chain(ended) {
        error = error.because(remark);
    }
    let run = journal.run();
    error.hint(format!("relift show {run}   (what happened)")).hint(format!("relift logs {run}   (what steps printed)"))
}

/// Proves that what was healthy before is healthy again.
fn prove_old(engine: &Engine, plan: &Plan, journal: &Journal) -> Result<()> {
    let healthy = journal.healthy_before();
    let wanted = |gate: &crate::plan::GatePlan| healthy.contains(&gate.component);
    let gates = gates::gates(engine.install, plan, wanted, |name| version(plan, name, Version::From), None)?;
    let prove = || health::prove(&engine.owner, &gates, Duration::ZERO, engine.reporter);
    during(engine.reporter, "prove that the old release runs again", prove)
        .map_err(|error| error.while_("the old release is back, but not healthy"))
}

fn remember(
    engine: &Engine,
    plan: &Plan,
    configuration: &str,
    journal: &Journal,
    error: &Error,
    is_its_fault: bool,
) -> Result<()> {
    if plan.intent == Intent::Rollback || !is_its_fault {
        return Ok(());
    }
    Ledger::below(engine.state).remember_failed(FailedRelease {
        revision: plan.to.revision.clone(),
        configuration: configuration.to_owned(),
        run: journal.run().to_owned(),
        why: error.to_string(),
        time: jiff::Timestamp::now().as_second(),
    })
}

fn if_not_interrupted<T>(value: T, what: &str) -> Result<T> {
    match interrupt::requested() {
        false => Ok(value),
        true => Err(Error::failed(format!("interrupted while {what}"))),
    }
}

/// What a run is called in messages.
pub(super) fn title(plan: &Plan) -> String {
    match plan.intent {
        Intent::Upgrade => format!("the upgrade of {} to {}", plan.install, plan.target_words()),
        Intent::Rollback => format!("the rollback of {} to {}", plan.install, plan.target_words()),
    }
}
