//! `relift upgrade`.

use std::time::Duration;

use super::globals::Globals;
use super::plan::{request, show};
use super::session::{Planned, Session, refusal};
use super::style::{GOOD, paint};
use super::{aftermath, ask, describe, itself, output};
use crate::error::{Error, Exit, Result};
use crate::host::interrupt;
use crate::manifest::Follow;
use crate::plan::{Plan, Request};
use crate::report::{Event, Reporter};
use crate::run::record::Begin;
use crate::run::{self, Engine};
use crate::source::git::{Mirror, Target, remote_name};
use crate::unattended::monitor::otlp;
use crate::unattended::monitor::trace::Trace;
use crate::unattended::{Happening, Outcome, Verb};

/// Arguments of `relift upgrade`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; may be left out when there is only one
    name: Option<String>,
    /// A tag, version or commit instead of the candidate
    #[arg(long, value_name = "REV")]
    to: Option<String>,
    /// As a timer runs it: ask nothing, obey the policy, skip what failed here before
    #[arg(long)]
    unattended: bool,
    /// Run steps that nothing undoes
    #[arg(long)]
    allow_irreversible: bool,
    /// With --to: take an older release, even one that never ran here
    #[arg(long, requires = "to", conflicts_with = "unattended")]
    allow_downgrades: bool,
    /// Put everything back when it is not done this long after its approval: 30s, 10min
    #[arg(long, value_name = "TIME", value_parser = super::globals::duration)]
    timeout: Option<Duration>,
}

/// Upgrades an install.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    aftermath::told(session, (Verb::Upgrade, args.unattended), globals, |session, reporter, happening| {
        upgrade(session, args, globals, reporter, happening)
    })
}

fn upgrade(
    session: Session,
    args: &Args,
    globals: &Globals,
    reporter: &dyn Reporter,
    happening: &mut Happening,
) -> Result<Exit> {
    let _lock = session.lock(globals, args.unattended, reporter)?;
    itself::may_start(&session, globals, args.unattended, reporter, happening)?;
    let mirror = session.mirror()?;
    let (session, target, survey) = session.aim(globals, &mirror, args.to.as_deref(), reporter)?;
    let asked = Request {
        unattended: args.unattended,
        attended: output::is_attended() && !globals.yes && !args.unattended,
        allow_irreversible: args.allow_irreversible,
        allow_downgrades: args.allow_downgrades,
        ..request(globals, args.to.as_deref())
    };
    let planned = session.plan_on(survey, &mirror, &target, &asked)?;
    happening.about(&planned.plan);
    if args.unattended
        && let Some(skipped) = failed_before(&planned, &target)
    {
        happening.outcome = Outcome::Skipped;
        reporter.tell(Event::Warning { text: skipped });
        if globals.json {
            end(&planned.plan, "skipped");
        }
        return Ok(Exit::Done);
    }
    // What is not done is not shown either: a timer comes again.
    if args.unattended && planned.plan.blockers.is_empty() && !planned.plan.is_empty() && !globals.dry_run {
        itself::may_go_on(&session, globals, (&mirror, &planned), reporter, happening)?;
    }
    let planned = answer(&session, &mirror, &target, asked, planned, globals)?;
    let is_finished = decided(&session, &planned, globals, args.unattended)?;
    if is_finished {
        return Ok(Exit::Done);
    }
    let track = match session.install.checkout() {
        Some(source) if !globals.offline && args.to.is_none() => match &source.follow {
            Follow::Branch(branch) => Some((remote_name(source, &planned.survey.checkout), branch.clone())),
            Follow::Tags(_) => None,
        },
        _ => None,
    };
    if !args.unattended {
        session.ledger().forget_attempts()?;
    }
    if let Some(time) = args.timeout {
        interrupt::bound(time);
    }
    let tried = (target.revision, planned.survey.configuration.clone());
    let ended = execute(&session, &mirror, planned, reporter, (args.unattended, track), globals);
    itself::note(&session, (&tried.0, &tried.1), args.unattended, &ended, reporter);
    let ended = ended?;
    happening.outcome = Outcome::Done;
    Ok(ended)
}

/// Executes a plan and reports its end.
pub fn execute(
    session: &Session,
    mirror: &Mirror,
    planned: Planned,
    reporter: &dyn Reporter,
    (unattended, track): (bool, Option<(String, String)>),
    globals: &Globals,
) -> Result<Exit> {
    let engine = Engine {
        install: &session.install,
        owner: session.owner.clone(),
        mirror,
        state: &session.state,
        cache: session.cache.clone(),
        prefix: &globals.root,
        reporter,
    };
    let begin = Begin {
        version: env!("CARGO_PKG_VERSION").into(),
        unattended,
        configuration: planned.survey.configuration.clone(),
        keep_known_good: session.install.policy.keep_known_good,
        track,
        manifest: session.repository_manifest().cloned(),
        plan: planned.plan.clone(),
        trace: Trace::of_caller(otlp::endpoint(&session.install).is_some()),
    };
    let inhibition = itself::keep_up(&session.install.name, planned.plan.verb(), reporter);
    run::execute(&engine, begin, &planned.contents)?;
    drop(inhibition);
    report(session, &planned.plan, globals)?;
    Ok(Exit::Done)
}

/// Shows the plan and gets its approval. `true`: there is nothing to execute.
pub fn decided(session: &Session, planned: &Planned, globals: &Globals, unattended: bool) -> Result<bool> {
    let plan = &planned.plan;
    if !plan.blockers.is_empty() {
        if !globals.json && !globals.quiet && !plan.is_empty() {
            output::data(&describe::text(&Plan { blockers: Vec::new(), ..plan.clone() }, session.last_downtime()));
        }
        return Err(refusal(&session.install.name, &plan.blockers));
    }
    let is_silent = globals.quiet || (unattended && plan.is_empty()) || (globals.json && !globals.dry_run);
    if !is_silent {
        show(session, planned, globals);
    }
    if plan.is_empty() && globals.json && !globals.dry_run {
        end(plan, "nothing-to-do");
    }
    if plan.is_empty() || globals.dry_run {
        return Ok(true);
    }
    if !is_silent {
        output::data("\n");
    }
    if globals.yes || unattended {
        return Ok(false);
    }
    if !output::is_attended() {
        return Err(Error::refused(format!(
            "{} was not asked for approval: there is no terminal",
            session.install.name
        ))
        .hint("pass --yes when the plan is what you want, or --unattended from a timer"));
    }
    let go_on = dialoguer::Confirm::new().with_prompt("Go on?").default(false).interact();
    match go_on {
        Ok(true) => Ok(false),
        _ => Err(Error::refused("not approved")),
    }
}

/// Asks what only a person can decide about keys, and makes the plan again with the answers: what is approved is what is run.
fn answer(
    session: &Session,
    mirror: &Mirror,
    target: &Target,
    asked: Request,
    planned: Planned,
    globals: &Globals,
) -> Result<Planned> {
    if asked.unattended || globals.yes || globals.dry_run || !output::is_attended() {
        return Ok(planned);
    }
    let answers = ask::decisions(&planned.plan)?;
    match answers.is_empty() {
        true => Ok(planned),
        false => session.plan(mirror, target, &Request { answers, ..asked }),
    }
}

/// The last event of a run that did nothing, for a program.
fn end(plan: &Plan, outcome: &str) {
    let end = serde_json::json!({"event": "end", "install": plan.install, "outcome": outcome, "exit": 0});
    output::event(&end);
}

fn failed_before(planned: &Planned, target: &Target) -> Option<String> {
    let failed = planned.survey.failed_with(&target.revision)?;
    Some(format!(
        "{} is skipped: it failed here with this configuration (run {}): {}",
        planned.plan.target_words(),
        failed.run,
        failed.why
    ))
}

/// The last word of a run that is done.
fn report(session: &Session, plan: &Plan, globals: &Globals) -> Result<()> {
    // Not the newest: a rollback ends at an older one.
    let reached = session.ledger().known_good()?.into_iter().rfind(|entry| entry.revision == plan.to.revision);
    let tag = reached.map(|entry| entry.tag).unwrap_or_default();
    if globals.json {
        let end = serde_json::json!({"event": "end", "install": plan.install, "outcome": "done", "known-good": tag, "exit": 0});
        output::event(&end);
    } else if !globals.quiet {
        let versions: Vec<String> = plan
            .components
            .iter()
            .map(|component| {
                format!("{} {}", component.name, component.to_version.clone().unwrap_or_else(|| plan.to.short()))
            })
            .collect();
        let downtime = session.last_downtime().filter(|_| !plan.restarts().is_empty());
        let downtime = downtime.map(|seconds| format!(", about {} s without service", seconds.max(1)));
        output::data(&format!(
            "{} {}: {}, proven healthy{}\n     {tag}\n",
            paint(GOOD, "done"),
            plan.install,
            versions.join(", "),
            downtime.unwrap_or_default()
        ));
    }
    Ok(())
}
