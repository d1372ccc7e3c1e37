//! `relift check`.

use super::describe::arrow;
use super::globals::Globals;
use super::output;
use super::plan::request;
use super::session::{Session, must_be_root};
use super::settled::settled;
use super::style::{BOLD, DIM, GOOD, paint};
use crate::error::{Exit, Result};
use crate::ledger::{is_newest_ended, open_run};
use crate::manifest;
use crate::plan::{Plan, abbreviate};
use crate::report::Silent;
use crate::source::git::Target;

/// Arguments of `relift check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Installs; all of them when none is named
    names: Vec<String>,
}

/// What a check found for one install.
enum Found {
    /// What is activated is what the source offers.
    Current(String),
    /// Something is new.
    New(Box<Plan>),
}

/// Asks every install's source. One that cannot be asked does not keep the others from being asked.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    must_be_root()?;
    let paths = globals.paths();
    let config = globals.config.as_deref();
    let installs = match args.names.as_slice() {
        [] => manifest::each(&paths, config)?,
        names => names.iter().map(|name| (name.clone(), manifest::named(&paths, config, Some(name)))).collect(),
    };
    let (mut exit, mut trouble, mut documents) = (Exit::Done, None, Vec::new());
    for (name, install) in installs {
        let found =
            install.and_then(|install| Session::of(globals, install)).and_then(|session| one(&session, globals));
        match found {
            Ok((found, interrupted)) => {
                if matches!(found, Found::New(_)) {
                    exit = Exit::Available;
                }
                match globals.json {
                    true => documents.push(document(&name, &found, interrupted.as_deref())),
                    false => {
                        show(&name, &found, globals);
                        interrupted.iter().for_each(|run| output::data(&reminder(&name, run)));
                    }
                }
            }
            Err(error) => {
                let error = error.while_(format!("{name} could not be checked"));
                trouble = Some(error.kind.exit());
                match globals.json {
                    true => {
                        documents.push(serde_json::json!({"install": name, "error": super::error::document(&error)}))
                    }
                    false => super::error::print(&error, false),
                }
            }
        }
    }
    if globals.json {
        output::document(&serde_json::json!({"format": 1, "installs": documents}));
    }
    Ok(trouble.unwrap_or(exit))
}

/// What is new, and the run that died and was not recovered yet, where there is one.
fn one(session: &Session, globals: &Globals) -> Result<(Found, Option<String>)> {
    if !globals.offline
        && let Some(target) = settled(session)?
    {
        return Ok((current(target), None));
    }
    let mirror = session.mirror()?;
    let (target, survey) = session.target_and_survey(&mirror, None, globals.offline, &Silent)?;
    let planned = session.plan_on(survey, &mirror, &target, &request(globals, None))?;
    let plan = planned.plan;
    let is_current = plan.from.revision == plan.to.revision
        && plan.components.iter().all(|component| component.activated == plan.to.revision);
    let found = if is_current { current(target) } else { Found::New(Box::new(plan)) };
    Ok((found, interrupted(session)?))
}

fn current(target: Target) -> Found {
    Found::Current(target.label.unwrap_or_else(|| abbreviate(&target.revision).to_owned()))
}

fn interrupted(session: &Session) -> Result<Option<String>> {
    let open = if is_newest_ended(&session.state)? { None } else { open_run(&session.state)? };
    Ok(open.filter(|_| !session.is_running()).map(|journal| journal.run().to_owned()))
}

fn reminder(name: &str, run: &str) -> String {
    format!("{name}: the run {run} was interrupted: relift recover {name}\n")
}

fn show(name: &str, found: &Found, globals: &Globals) {
    let text = match found {
        Found::Current(_) if globals.quiet => return,
        Found::Current(at) => format!("{name}: nothing new, {at} is what the source offers\n"),
        Found::New(plan) => {
            let commits =
                if plan.commits_total == 1 { "1 commit".to_owned() } else { format!("{} commits", plan.commits_total) };
            let mut text =
                format!("{}: {}, {commits} ahead, at {}\n", paint(BOLD, name), paint(GOOD, "new"), plan.to.short());
            for component in &plan.components {
                let versions = arrow(component.from_version.as_deref(), component.to_version.as_deref());
                let files = if component.files_changed == 1 {
                    "1 file".to_owned()
                } else {
                    format!("{} files", component.files_changed)
                };
                text.push_str(&format!(
                    "  {} {versions} {}\n",
                    component.name,
                    paint(DIM, format!("({files} changed)"))
                ));
            }
            for blocker in &plan.blockers {
                text.push_str(&format!("  an upgrade would stop: {}\n", blocker.what));
            }
            text
        }
    };
    output::data(&text);
}

fn document(name: &str, found: &Found, interrupted: Option<&str>) -> serde_json::Value {
    let mut document = match found {
        Found::Current(at) => serde_json::json!({"install": name, "new": false, "at": at}),
        Found::New(plan) => {
            let component = |component: &crate::plan::ComponentPlan| serde_json::json!({"name": component.name, "from": component.from_version, "to": component.to_version, "files": component.files_changed});
            serde_json::json!({
                "install": name,
                "new": true,
                "revision": plan.to.revision,
                "label": plan.to.label,
                "commits": plan.commits_total,
                "components": plan.components.iter().map(component).collect::<Vec<_>>(),
                "blockers": plan.blockers,
            })
        }
    };
    if let Some(run) = interrupted {
        document["interrupted"] = run.into();
    }
    document
}
