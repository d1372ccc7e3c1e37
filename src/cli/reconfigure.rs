//! `relift reconfigure`: the activated release once more, on a host whose packages changed.

use std::collections::BTreeMap;

use super::globals::Globals;
use super::itself::may_start;
use super::plan::request;
use super::session::Session;
use super::upgrade::{decided, execute};
use super::{aftermath, output};
use crate::error::{Error, Exit, Result};
use crate::ledger::history;
use crate::manifest::{Component, Reach};
use crate::plan::{Intent, Plan, Request};
use crate::report::Reporter;
use crate::run;
use crate::source::git::Target;
use crate::survey::Survey;
use crate::survey::host::{self, Touched};
use crate::unattended::{Happening, Outcome, Timeline, Verb};

/// Why something is done that no package asks for.
const ASKED: &str = "asked for";

/// How many runs of the past are looked at.
const RUNS: usize = 20;

/// Arguments of `relift reconfigure`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The install; may be left out when there is only one
    name: Option<String>,
    /// Run this step again, whatever changed; may be given more than once
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    /// Restart its services, whatever changed
    #[arg(long)]
    restart: bool,
    /// As a hook has it run: ask nothing, obey hold and window
    #[arg(long)]
    unattended: bool,
    /// Run steps that nothing undoes
    #[arg(long)]
    allow_irreversible: bool,
}

/// Reconfigures an install.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    reconfigure(session, args, None, globals).ended
}

/// How a reconfiguration ended.
pub struct Ended {
    /// The exit status, or the error.
    pub ended: Result<Exit>,
    /// Why it is to be looked at again.
    pub waits: Option<String>,
}

/// As a hook asks for it.
pub fn of_hook(session: Session, touched: &Touched, globals: &Globals) -> Ended {
    let args = Args { unattended: true, ..Args::default() };
    reconfigure(session, &args, Some(touched), globals)
}

fn reconfigure(session: Session, args: &Args, touched: Option<&Touched>, globals: &Globals) -> Ended {
    let install = session.install.clone();
    let reporter = output::reporter(globals);
    let timeline = Timeline::over(&*reporter);
    let mut happening = Happening::begun(&install.name, Verb::Reconfigure, args.unattended);
    let mut left = None;
    let ended = attempt(session, args, touched, globals, &timeline, (&mut happening, &mut left));
    let outcome = happening.clone().ended(&ended, 0).outcome;
    // That packages changed which nothing here depends on is no news, nor that a request goes on waiting: the status tells.
    let is_news = !matches!(outcome, Outcome::Current | Outcome::Deferred) || !args.unattended;
    if !globals.dry_run && is_news {
        aftermath::tell(&globals.paths(), Some(&install), happening, Some(timeline), &ended);
    }
    let waits = match (&ended, outcome) {
        (Err(error), Outcome::Deferred) => Some(error.what.clone()),
        (Ok(_), _) => left,
        (Err(_), _) => None,
    };
    Ended { ended, waits }
}

/// What nobody asked for is left to the operator where the policy lets nothing happen by itself. Why it is, in words.
fn leave_noticed(args: &Args, session: &Session, survey: &mut Survey) -> Option<String> {
    let (name, reach) = (&session.install.name, session.install.policy.unattended);
    if !args.unattended || reach != Reach::None {
        return None;
    }
    let noticed = survey.components.iter_mut().flat_map(|component| std::mem::take(&mut component.host.noticed));
    let units: Vec<String> = noticed.map(|(_, unit, _)| unit).collect();
    (!units.is_empty()).then(|| {
        format!(
            "{} runs with what was replaced, and unattended = \"none\": relift reconfigure {name}",
            units.join(", ")
        )
    })
}

fn attempt(
    session: Session,
    args: &Args,
    touched: Option<&Touched>,
    globals: &Globals,
    reporter: &dyn Reporter,
    (happening, left): (&mut Happening, &mut Option<String>),
) -> Result<Exit> {
    let _lock = session.lock(globals, args.unattended, reporter)?;
    let mirror = session.mirror()?;
    // What the repository's manifest says of the release that is here.
    let looked = Survey::take(&session.place())?;
    let head = looked.checkout.head.clone();
    if mirror.resolve(&head).is_none() && !globals.offline {
        session.update(&mirror, reporter)?;
    }
    let (session, mut survey) = match session.install.source.reads_repository_manifest() {
        false => (session, looked),
        true => {
            let session = session.at(globals, &mirror, &head)?;
            let survey = Survey::take(&session.place())?;
            (session, survey)
        }
    };
    let looked_at = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
    let ledger = session.ledger();
    let mut met = ledger.needs_met()?;
    host::look(&mut survey, &session.install, touched, &known_met(&session, touched, &met)?);
    asked_for(args, &session, &mut survey)?;
    *left = leave_noticed(args, &session, &mut survey);
    if survey.components.iter().all(|component| component.host.is_empty()) {
        tell_of_nothing(&session, args, globals);
        return Ok(Exit::Done);
    }
    // There is something to do: now it counts whether it may be done.
    may_start(&session, globals, args.unattended, reporter, happening)?;
    let asked = Request {
        intent: Intent::Reconfigure,
        is_explicit: true,
        unattended: args.unattended,
        attended: output::is_attended() && !globals.yes && !args.unattended,
        allow_irreversible: args.allow_irreversible,
        ..request(globals, None)
    };
    let concerned: Vec<String> = survey
        .installed(&session.install)
        .filter(|(_, _, surveyed)| !surveyed.host.steps.is_empty())
        .map(|(_, component, _)| component.name.clone())
        .filter(|name| globals.only.is_empty() || globals.only.contains(name))
        .collect();
    let planned = session.plan_on(survey, &mirror, &Target { revision: head, label: None }, &asked)?;
    happening.about(&planned.plan);
    if decided(&session, &planned, globals, args.unattended)? {
        return Ok(Exit::Done);
    }
    let plan = planned.plan.clone();
    let ended = execute(&session, &mirror, planned, reporter, (args.unattended, None), globals);
    let ended = ended.map_err(|error| stays(error, &plan))?;
    met.extend(concerned.into_iter().map(|name| (name, looked_at)));
    ledger.set_needs_met(&met)?;
    happening.outcome = Outcome::Done;
    Ok(ended)
}

/// When steps ran last, by component. What was never reconfigured had everything it needs when the newest run before the hook ended.
fn known_met(
    session: &Session,
    touched: Option<&Touched>,
    met: &BTreeMap<String, u64>,
) -> Result<BTreeMap<String, u64>> {
    let has_steps = |component: &&Component| component.needs.iter().any(|needs| !needs.steps.is_empty());
    let unknown = session.install.components.iter().filter(has_steps).filter(|one| !met.contains_key(&one.name));
    let unknown: Vec<&Component> = unknown.collect();
    if unknown.is_empty() {
        return Ok(met.clone());
    }
    let before = touched.map_or(u64::MAX, |touched| touched.since_us);
    let ends = history(&session.state, RUNS)?
        .into_iter()
        .filter(|past| past.end.as_ref().is_some_and(|end| end.outcome == run::record::Outcome::Done));
    let ends = ends.filter_map(|past| u64::try_from(past.last).ok()).map(|seconds| seconds * 1_000_000);
    let mut known = met.clone();
    if let Some(newest) = ends.filter(|end| *end < before).max() {
        known.extend(unknown.into_iter().map(|component| (component.name.clone(), newest)));
    }
    Ok(known)
}

/// What the operator names on the command line, as if the host had changed.
fn asked_for(args: &Args, session: &Session, survey: &mut Survey) -> Result<()> {
    let mut unknown: Vec<&String> = args.steps.iter().collect();
    for (component, surveyed) in session.install.components.iter().zip(&mut survey.components) {
        if !surveyed.is_installed {
            continue;
        }
        let why = ASKED.to_owned();
        for step in component.steps.iter().filter(|step| args.steps.contains(&step.name)) {
            unknown.retain(|name| **name != step.name);
            if !surveyed.host.steps.iter().any(|(name, _)| *name == step.name) {
                surveyed.host.steps.push((step.name.clone(), why.clone()));
            }
        }
        for (unit, here) in component.units.iter().zip(&surveyed.units).filter(|_| args.restart) {
            for (name, _) in here.states.iter().filter(|(name, _)| name.ends_with(".service")) {
                if surveyed.host.restart(unit.scope, name).is_none() {
                    surveyed.host.restarts.push((unit.scope, name.clone(), why.clone()));
                }
            }
        }
    }
    match unknown.first() {
        None => Ok(()),
        Some(name) => Err(Error::usage(format!("{} has no step {name} here", session.install.name))
            .hint(format!("what it has: relift config show {}", session.install.name))),
    }
}

fn tell_of_nothing(session: &Session, args: &Args, globals: &Globals) {
    let name = &session.install.name;
    if globals.json && !args.unattended {
        output::event(&serde_json::json!({"event": "end", "install": name, "outcome": "nothing-to-do", "exit": 0}));
    } else if !globals.quiet && !args.unattended {
        output::data(&format!("{name}: nothing that it depends on changed on this host since it was started\n"));
    }
}

/// What the packages changed stays changed, however a run ends.
fn stays(error: Error, plan: &Plan) -> Error {
    let changed: Vec<&str> =
        plan.host_changes.iter().map(String::as_str).filter(|words| !words.ends_with(ASKED)).collect();
    if changed.is_empty() {
        return error;
    }
    let error = error.because(format!("what the package manager changed stays as it is: {}", changed.join("; ")));
    let logs = ["/var/log/dpkg.log", "/var/log/dnf.rpm.log", "/var/log/pacman.log"];
    let log = logs.iter().find(|log| std::path::Path::new(log).exists());
    let see = log.map(|log| format!("see which versions were replaced: less {log}"));
    let again = format!("when the package is mended: relift reconfigure {} --restart", plan.install);
    see.into_iter().chain([again]).fold(error, Error::hint)
}
