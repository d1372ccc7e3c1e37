//! `relift check`.

use super::describe::arrow;
use super::globals::Globals;
use super::itself::{self, Judged};
use super::plan::request;
use super::session::{Session, must_be_root};
use super::settled::settled;
use super::style::{BOLD, DIM, GOOD, WARN, paint};
use super::{aftermath, nagios, output};
use crate::error::{Exit, Result};
use crate::ledger::{is_newest_ended, open_run};
use crate::manifest::{self, SourceKind};
use crate::plan::{Plan, abbreviate};
use crate::report::Silent;
use crate::source::git::Target;
use crate::trust::Standing;
use crate::unattended::monitor::nagios::Finding;
use crate::unattended::{Happening, Outcome, Verb};

/// Arguments of `relift check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Installs; all of them when none is named
    names: Vec<String>,
    #[command(flatten)]
    nagios: nagios::Plugin,
}

/// What a check found for one install.
struct Found {
    /// What the source offers.
    at: String,
    /// What it would take, where that is not what is activated.
    news: Option<Box<Plan>>,
    /// What it stands on.
    standing: Standing,
    /// What an operator should know of the source.
    alarms: Vec<String>,
    /// Whether it would be taken by itself.
    itself: Option<Judged>,
}

/// Asks every install's source. One that cannot be asked does not keep the others from being asked.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let mut findings = Vec::new();
    let ended = each(args, globals, &mut findings);
    if args.nagios.wanted { Ok(nagios::tell(ended.map(|_| findings))) } else { ended }
}

fn each(args: &Args, globals: &Globals, findings: &mut Vec<Finding>) -> Result<Exit> {
    must_be_root()?;
    let paths = globals.paths();
    let config = globals.config.as_deref();
    let installs = match args.names.as_slice() {
        [] => manifest::each(&paths, config)?,
        names => names.iter().map(|name| (name.clone(), manifest::named(&paths, config, Some(name)))).collect(),
    };
    if args.names.is_empty() && config.is_none() {
        let here: Vec<_> = installs.iter().filter_map(|(_, install)| install.as_ref().ok().cloned()).collect();
        aftermath::forget_removed(&paths, &here);
    }
    let (mut exit, mut trouble, mut documents) = (Exit::Done, None, Vec::new());
    for (name, install) in installs {
        let declared = install.as_ref().ok().cloned();
        let found =
            install.and_then(|install| Session::of(globals, install)).and_then(|session| one(&session, globals));
        aftermath::tell(&paths, declared.as_ref(), happening(&name, &found), None, &exit_of(&found));
        if args.nagios.wanted {
            findings.push(match (&found, &declared) {
                (Err(error), _) => nagios::unknown(&name, error),
                (Ok(_), None) => continue,
                (Ok(_), Some(install)) => {
                    let happening = happening(&name, &found).ended(&exit_of(&found), crate::host::clock::now());
                    args.nagios.look(&paths, install, Some(&happening))
                }
            });
            continue;
        }
        match found {
            Ok((found, interrupted)) => {
                if found.news.is_some() {
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

fn happening(name: &str, found: &Result<(Found, Option<String>)>) -> Happening {
    let mut happening = Happening::begun(name, Verb::Check, !output::is_attended());
    if let Ok((found, interrupted)) = found {
        happening.target = Some(found.at.clone());
        happening.warnings = found.alarms.clone();
        happening.run = interrupted.clone();
        if let Some(plan) = &found.news {
            happening.outcome = Outcome::Available;
            happening.about(plan);
        }
    }
    happening
}

fn exit_of(found: &Result<(Found, Option<String>)>) -> Result<Exit> {
    let is_new = |(found, _): &(Found, _)| if found.news.is_some() { Exit::Available } else { Exit::Done };
    found.as_ref().map(is_new).map_err(Clone::clone)
}

/// What is new, and the run that died and was not recovered yet, where there is one.
fn one(session: &Session, globals: &Globals) -> Result<(Found, Option<String>)> {
    if !globals.offline
        && let Some((target, trusted)) = settled(session, globals)?
    {
        let (standing, alarms) = (trusted.standing, trusted.alarms);
        return Ok((Found { at: at(target), news: None, standing, alarms, itself: None }, None));
    }
    let mirror = session.mirror()?;
    let (session, target, survey) = session.aim(globals, &mirror, None, &Silent)?;
    let planned = session.plan_on(survey, &mirror, &target, &request(globals, None))?;
    let plan = &planned.plan;
    let is_current = plan.from.revision == plan.to.revision && plan.is_activated();
    let standing = plan.standing.clone();
    let itself = if is_current { None } else { itself::of_plan(&session, globals, &mirror, &planned)? };
    let news = (!is_current).then(|| Box::new(planned.plan));
    let found = Found { at: at(target), news, standing, alarms: planned.alarms, itself };
    Ok((found, interrupted(&session)?))
}

fn at(target: Target) -> String {
    target.label.unwrap_or_else(|| abbreviate(&target.revision).to_owned())
}

fn interrupted(session: &Session) -> Result<Option<String>> {
    let open = if is_newest_ended(&session.state)? { None } else { open_run(&session.state)? };
    Ok(open.filter(|_| !session.is_running()).map(|journal| journal.run().to_owned()))
}

fn reminder(name: &str, run: &str) -> String {
    format!("{name}: the run {run} was interrupted: relift recover {name}\n")
}

fn show(name: &str, found: &Found, globals: &Globals) {
    let mut text = match &found.news {
        None if globals.quiet => String::new(),
        None => format!("{name}: nothing new, {} is what the source offers\n", found.at),
        Some(plan) => {
            let commits =
                if plan.commits_total == 1 { "1 commit".to_owned() } else { format!("{} commits", plan.commits_total) };
            // Releases that we made ourselves are no history.
            let ahead = if plan.source == SourceKind::Git { format!(", {commits} ahead, at") } else { ":".into() };
            let mut text = format!("{}: {}{ahead} {}\n", paint(BOLD, name), paint(GOOD, "new"), plan.to.short());
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
            if found.standing.is_verified() {
                text.push_str(&format!("  {}\n", found.standing.words()));
            }
            for blocker in &plan.blockers {
                text.push_str(&format!("  an upgrade would stop: {}\n", blocker.what));
            }
            if let Some(judged) = &found.itself {
                text.push_str(&format!("  by itself: {}\n", judged.line()));
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

fn document(name: &str, found: &Found, interrupted: Option<&str>) -> serde_json::Value {
    let mut document = serde_json::json!({"install": name, "standing": found.standing, "warnings": found.alarms});
    let more = match &found.news {
        None => serde_json::json!({"new": false, "at": found.at}),
        Some(plan) => {
            let component = |component: &crate::plan::ComponentPlan| serde_json::json!({"name": component.name, "from": component.from_version, "to": component.to_version, "files": component.files_changed});
            serde_json::json!({
                "new": true,
                "revision": plan.to.revision,
                "label": plan.to.label,
                "commits": plan.commits_total,
                "components": plan.components.iter().map(component).collect::<Vec<_>>(),
                "blockers": plan.blockers,
            })
        }
    };
    if let (Some(document), serde_json::Value::Object(more)) = (document.as_object_mut(), more) {
        document.extend(more);
    }
    if let Some(judged) = &found.itself {
        document["by-itself"] = judged.document();
    }
    if let Some(run) = interrupted {
        document["interrupted"] = run.into();
    }
    document
}
