//! Executing a plan: prepare, switch, gate, soak, commit; anything else ends in undo.

use std::path::{Path, PathBuf};

use super::decide::past_return;
use super::journal::Journal;
use super::prepare::{Prepared, Stop, has_room, is_writable, prepare};
use super::record::{Begin, Body, End, Outcome};
use super::recover::{goes_on, stuck, with_account};
use super::{aside, commit, gates, prove, reserve, restore, undo};
use crate::action::{Action, Artifact, ComposeHold, SCRATCH, Site, remove_exports, remove_scratch};
use crate::error::{Error, Kind, Result, ended};
use crate::health;
use crate::host::account::Account;
use crate::host::systemd::{self, boot, deadman};
use crate::host::{interrupt, process};
use crate::ledger::{FailedRelease, Ledger, open_run};
use crate::manifest::{Install, Scope};
use crate::plan::{Contents, Intent, Plan};
use crate::report::{Event, Phase, Reporter, during};
use crate::source::git::Mirror;
use crate::source::{Place, releases};
use crate::unattended::monitor::trace::Context;

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
    /// What `--root` gave.
    pub prefix: &'a Path,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
}

impl Engine<'_> {
    /// The install's places.
    pub fn place(&self) -> Place<'_> {
        Place { install: self.install, owner: &self.owner, state: self.state, cache: &self.cache }
    }
}

/// Executes a plan. The error of a failed run says what state the host is in by its kind. Should this process die, a timer
/// recovers the run.
pub fn execute(engine: &Engine, begin: Begin, contents: &Contents) -> Result<()> {
    let install = begin.plan.install.clone();
    is_writable(engine, &begin.plan).map_err(|error| error.while_(format!("{} was not begun", title(&begin.plan))))?;
    watch_over(&install, engine.prefix, &system_units(&begin.plan))?;
    let ended = watched(engine, begin, contents);
    let is_settled = ended.as_ref().err().is_none_or(|error| error.kind != Kind::NeedsOperator);
    // Who puts right by hand what nothing undid, needs it.
    if is_settled
        && matches!(open_run(engine.state), Ok(None))
        && let Err(error) = remove_scratch(&engine.cache.join(SCRATCH))
    {
        engine.reporter.tell(Event::Warning { text: format!("what hooks saved is left: {error}") });
    }
    if let Err(error) = remove_exports(engine.state) {
        // It is root's alone: it keeps nothing from having ended as it did.
        engine.reporter.tell(Event::Warning { text: format!("what root ran is left: {error}") });
    }
    // Of a run that may have left anything half made, a boot comes before its services.
    if (is_settled || matches!(open_run(engine.state), Ok(None)))
        && let Err(error) = boot::let_go(&install)
    {
        engine.reporter.tell(Event::Warning { text: format!("the order of the next boot stays: {error}") });
    }
    // Armed for nothing, it finds nothing to recover.
    if let Err(error) = deadman::disarm(&install) {
        engine.reporter.tell(Event::Warning { text: format!("the recovery timer of {install} goes on: {error}") });
    }
    ended
}

/// Sees to it that somebody recovers the run, should this process die or the host go down: both, or neither and an error.
fn watch_over(install: &str, prefix: &Path, units: &[&str]) -> Result<()> {
    let (armed, held) = std::thread::scope(|scope| {
        let armed = scope.spawn(|| deadman::arm(install, prefix));
        let held = boot::hold_back(install, units);
        (ended(armed.join()), held)
    });
    let watched = armed.and(held);
    if watched.is_err() {
        // Nothing is begun yet, and nothing stays behind: what cannot be undone of it is told by what failed.
        boot::let_go(install).unwrap_or_default();
        deadman::disarm(install).unwrap_or_default();
    }
    watched
}

/// The units of the system manager that a plan concerns.
fn system_units(plan: &Plan) -> Vec<&str> {
    let quiesced = plan.actions.iter().filter_map(|action| match action {
        Action::Quiesce(quiesce) => Some(&quiesce.units),
        _ => None,
    });
    let units = quiesced.flatten().filter(|(scope, _)| *scope == Scope::System);
    units.map(|(_, name)| name.as_str()).collect()
}

fn watched(engine: &Engine, begin: Begin, contents: &Contents) -> Result<()> {
    let plan = begin.plan.clone();
    let configuration = begin.configuration.clone();
    let trace = begin.trace.clone();
    interrupt::listen()?;
    let mut journal = Journal::begin(&engine.state.join("runs"), begin, contents)?;
    engine.reporter.tell(Event::Run { install: plan.install.clone(), run: journal.run().to_owned() });
    process::belong_to(journal.run());
    let site = Site::new(&plan, journal.run(), journal.directory(), engine.reporter).and_then(|mut site| {
        site.hide(gates::secrets(&plan, &engine.install.components, &site)?);
        site.trace = trace.and_then(|trace| Context::of(journal.run(), Some(&trace)));
        Ok(site)
    });
    let mut site = match site {
        Ok(site) => site,
        Err(error) => return Err(stopped(engine, &plan, &configuration, &mut journal, Stop::from(error))),
    };

    engine.reporter.tell(Event::Phase { phase: Phase::Prepare });
    let prepared = prepare(engine, &plan, contents, &mut site)
        .and_then(|prepared| interrupt::check().map(|()| prepared).map_err(Stop::from));
    let Prepared { healthy, backup } = match prepared {
        Ok(prepared) => prepared,
        Err(stop) => return Err(stopped(engine, &plan, &configuration, &mut journal, stop)),
    };
    if let Some(backup) = backup {
        journal.append(backup)?;
    }
    journal.append(Body::Prepared { healthy })?;
    let mark = health::Mark::now(engine.install);
    let proven = switch(&plan, &mut journal, &mut site)
        .and_then(|()| prove_new(engine.install, &plan, &journal, mark, &mut site))
        .and_then(|()| journal.append(Body::Gate));
    interrupt::shield();
    if let Err(error) = proven {
        if interrupt::requested() && systemd::is_stopping() {
            return Err(left_to_boot(&plan, error));
        }
        let is_its_fault =
            !interrupt::requested() && has_room(engine).is_ok() && !says_that_room_is_short(&error.detail);
        reserve::give_up(journal.directory());
        // Recovery undoes a run without this record as well; what counts now is that the undo begins.
        let aborted = journal.append(Body::Abort { why: error.to_string() });
        let error = aborted.err().into_iter().fold(error, Error::because);
        let remembered = remember(engine, &plan, &configuration, &journal, &error, is_its_fault);
        let error = remembered.err().into_iter().fold(error, Error::because);
        return Err(come_back(engine, &plan, &mut journal, &mut site, error));
    }
    // Whether a commit whose writing failed is durable, only recovery can tell: nothing is undone from here on.
    journal.append(Body::Commit).map_err(|error| unfinished(&plan, &journal, error))?;
    engine.reporter.tell(Event::Phase { phase: Phase::Commit });
    commit::finish(&mut journal, engine.state, &site).map_err(|error| unfinished(&plan, &journal, error))
}

/// Proves that the new release runs, and removes meanwhile what was set aside for it: the gate mostly waits. Not beside hooks, which
/// may look at the checkout. What stays, the commit removes, or says why not.
fn prove_new(install: &Install, plan: &Plan, journal: &Journal, mark: health::Mark, site: &mut Site) -> Result<()> {
    std::thread::scope(|scope| {
        if plan.verify.is_empty() {
            // That no thread can be had is no reason to end a run.
            drop(std::thread::Builder::new().spawn_scoped(scope, || aside::remove(plan)));
        }
        prove::new(install, plan, journal, mark, site)
    })
}

/// The end of a run that stopped in *prepare*.
fn stopped(engine: &Engine, plan: &Plan, configuration: &str, journal: &mut Journal, stop: Stop) -> Error {
    let Stop { error, is_of_release } = stop;
    reserve::give_up(journal.directory());
    let site = Site::new(plan, journal.run(), journal.directory(), engine.reporter);
    // What is left of it, the next run removes.
    site.and_then(|site| releases::discard(plan, &site)).unwrap_or_default();
    let end = End { outcome: Outcome::Stopped, why: Some(error.to_string()), detail: error.detail.clone() };
    let ended = journal.append(Body::End(end));
    // What the release's own checks refuse, they will refuse again with this configuration.
    let remembered = remember(engine, plan, configuration, journal, &error, is_of_release && !interrupt::requested());
    let error = error.while_(format!("{} stopped before any change", title(plan)));
    [ended.err(), remembered.err()].into_iter().flatten().fold(error, Error::because)
}

/// A run that is proven, and whose commit could not be written to its end.
fn unfinished(plan: &Plan, journal: &Journal, error: Error) -> Error {
    error
        .while_(format!("{} runs and is proven healthy, but could not be recorded", title(plan)))
        .kind(Kind::NeedsOperator)
        .hint(format!("mend what is named above, then run: relift recover {}", plan.install))
        .hint(format!("what the run did: relift show {}", journal.run()))
}

fn switch(plan: &Plan, journal: &mut Journal, site: &mut Site) -> Result<()> {
    site.reporter.tell(Event::Phase { phase: Phase::Switch });
    for (at, action) in plan.actions.iter().enumerate() {
        interrupt::check()?;
        let act = action.act();
        let seen = act.seen(site)?;
        if act.is_irreversible() {
            restore::is_at_hand(plan, journal)?;
            journal.append(Body::PointOfNoReturn { action: at })?;
        }
        journal.append(Body::Intent { action: at, seen })?;
        let reporter = site.reporter;
        match action {
            // What changes nothing by itself is not worth a line.
            Action::Quiesce(_)
            | Action::Rerun(_)
            | Action::Directory(_)
            | Action::Artifact(Artifact { install: None, .. })
            | Action::ComposeHold(ComposeHold { stops: false, .. }) => act.apply(site)?,
            Action::Backup(backup) => {
                if let Some(taken) = restore::apply(backup, site)? {
                    journal.append(taken)?;
                }
            }
            _ => during(reporter, act.title(), || act.apply(site))?,
        }
        journal.append(Body::Done { action: at })?;
    }
    Ok(())
}

/// Undoes the run, proves that the old release is back, and says which.
fn come_back(engine: &Engine, plan: &Plan, journal: &mut Journal, site: &mut Site, error: Error) -> Error {
    engine.reporter.tell(Event::Phase { phase: Phase::Undo });
    let told = |error: Error, journal: &Journal| {
        let run = journal.run();
        error
            .hint(format!("relift show {run}   (what happened)"))
            .hint(format!("relift logs {run}   (what relift, steps and services said)"))
    };
    let what = format!("{} failed", title(plan));
    if past_return(journal.records()).is_some() {
        return stuck(error, plan, journal, site).hint(goes_on(plan));
    }
    let mut remarks = match undo::undo(journal, site) {
        Ok(remarks) => remarks,
        Err(trouble) if systemd::is_stopping() => return left_to_boot(plan, error.because(trouble)),
        // The run stays open: recovery goes on from here.
        Err(trouble) => {
            let error = error.while_(what).kind(Kind::NeedsOperator).because(format!("putting back: {trouble}"));
            let error = trouble.hints.iter().fold(error.detail(trouble.detail.clone()), Error::hint);
            let error = with_account(error, plan, journal, site);
            let again = format!("mend what keeps it from being put back, then run: relift recover {}", plan.install);
            return told(restore::way_back(journal).into_iter().fold(error.hint(again), Error::hint), journal);
        }
    };
    remarks.extend(prove::old(engine.install, plan, journal, site).err().map(|trouble| trouble.to_string()));
    if !remarks.is_empty() && systemd::is_stopping() {
        return left_to_boot(plan, remarks.into_iter().fold(error, Error::because));
    }
    let lost = restore::lost(journal);
    let (outcome, kind) = match (remarks.is_empty(), &lost) {
        (true, None) => (Outcome::RolledBack, Kind::PutBack),
        (true, Some(lost)) => (Outcome::Restored, Kind::Restored { minutes: lost.minutes() }),
        (false, _) => (Outcome::NeedsOperator, Kind::NeedsOperator),
    };
    if let Err(trouble) = commit::note_given_up(journal, engine.state) {
        remarks.push(format!("which migrations were not taken back could not be noted: {trouble}"));
    }
    let detail = lost.iter().map(ToString::to_string).chain(remarks.clone()).chain(error.detail.clone()).collect();
    let end = End { outcome, why: Some(error.to_string()), detail };
    let error = lost.into_iter().fold(error, |error, lost| error.because(lost));
    let error = remarks.into_iter().fold(error.while_(what).kind(kind), Error::because);
    match journal.append(Body::End(end)) {
        Ok(()) => told(error, journal),
        // Everything is done but its record: recovery finds nothing to undo and writes it.
        Err(trouble) => {
            told(error.because(trouble).hint(format!("close the run: relift recover {}", plan.install)), journal)
        }
    }
}

/// The end of a run on a host that goes down, which does not wait for services that are not started any more: the run stays
/// open, as after a power cut.
fn left_to_boot(plan: &Plan, error: Error) -> Error {
    error
        .while_(format!("{} was interrupted: this host is going down", title(plan)))
        .kind(Kind::NeedsOperator)
        .hint("nothing now: relift-recover.service puts everything back at the next boot, before the services start")
        .hint(format!("where that is not enabled: relift recover {}", plan.install))
}

/// Whether a command died of a full disk, which may have room again by now: what it left half done is gone.
fn says_that_room_is_short(lines: &[String]) -> bool {
    let is_of_rpm = |line: &str| line.contains(" needs ") && line.contains(" on the ") && line.ends_with(" filesystem");
    lines.iter().any(|line| line.contains("No space left on device") || is_of_rpm(line.trim()))
}

fn remember(
    engine: &Engine,
    plan: &Plan,
    configuration: &str,
    journal: &Journal,
    error: &Error,
    is_its_fault: bool,
) -> Result<()> {
    if plan.intent != Intent::Upgrade || !is_its_fault {
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

/// What a run is called in messages.
pub(super) fn title(plan: &Plan) -> String {
    match plan.intent {
        Intent::Upgrade | Intent::Rollback => {
            format!("the {} of {} to {}", plan.verb(), plan.install, plan.target_words())
        }
        Intent::Reconfigure => format!("the reconfiguration of {}", plan.install),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_died_of_a_full_disk_is_told_from_others() {
        for (line, is) in [
            ("dpkg-deb: error: paste subprocess was killed: cannot copy: No space left on device", true),
            ("\tinstalling package app-1.1-1.noarch needs 3MB more space on the / filesystem", true),
            ("app needs a database on the same host", false),
            ("exit status 1", false),
        ] {
            assert_eq!(says_that_room_is_short(&[line.to_owned()]), is, "{line}");
        }
    }
}
