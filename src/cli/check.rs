//! `relift check`.

use super::describe::arrow;
use super::globals::Globals;
use super::output;
use super::plan::request;
use super::session::{Session, must_be_root};
use super::style::{BOLD, DIM, GOOD, WARN, paint};
use crate::error::{Exit, Result};
use crate::manifest;
use crate::plan::Plan;
use crate::report::Silent;

/// Arguments of `relift check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Installs; all of them when none is named
    names: Vec<String>,
}

/// What a check found for one install.
struct Found {
    /// What is activated is what the source offers.
    is_current: bool,
    /// What it would take.
    plan: Plan,
    /// What an operator should know of the source.
    alarms: Vec<String>,
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
            Ok(found) => {
                if !found.is_current {
                    exit = Exit::Available;
                }
                match globals.json {
                    true => documents.push(document(&name, &found)),
                    false => show(&name, &found, globals),
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

fn one(session: &Session, globals: &Globals) -> Result<Found> {
    let mirror = session.mirror()?;
    let target = session.target(&mirror, None, globals.offline, &Silent)?;
    let planned = session.at(globals, &mirror, &target.revision)?.plan(&mirror, &target, &request(globals, None))?;
    let (plan, alarms) = (planned.plan, planned.alarms);
    let is_current = plan.from.revision == plan.to.revision
        && plan.components.iter().all(|component| component.activated == plan.to.revision);
    Ok(Found { is_current, plan, alarms })
}

fn show(name: &str, found: &Found, globals: &Globals) {
    let plan = &found.plan;
    let mut text = match found.is_current {
        true if globals.quiet => String::new(),
        true => format!("{name}: nothing new, {} is what the source offers\n", plan.to.short()),
        false => {
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
            if plan.standing.is_verified() {
                text.push_str(&format!("  {}\n", plan.standing.words()));
            }
            for blocker in &plan.blockers {
                text.push_str(&format!("  an upgrade would stop: {}\n", blocker.what));
            }
            text
        }
    };
    for alarm in &found.alarms {
        text.push_str(&format!("{} {name}: {alarm}\n", paint(WARN, "warning:")));
    }
    if !text.is_empty() {
        output::data(&text);
    }
}

fn document(name: &str, found: &Found) -> serde_json::Value {
    let plan = &found.plan;
    let standing = serde_json::json!(plan.standing);
    if found.is_current {
        return serde_json::json!({"install": name, "new": false, "at": plan.to.short(), "standing": standing, "warnings": found.alarms});
    }
    let component = |component: &crate::plan::ComponentPlan| serde_json::json!({"name": component.name, "from": component.from_version, "to": component.to_version, "files": component.files_changed});
    serde_json::json!({
        "install": name,
        "new": true,
        "revision": plan.to.revision,
        "label": plan.to.label,
        "commits": plan.commits_total,
        "components": plan.components.iter().map(component).collect::<Vec<_>>(),
        "standing": standing,
        "warnings": found.alarms,
        "blockers": plan.blockers,
    })
}
