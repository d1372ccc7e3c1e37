//! `relift status`.

use serde_json::{Value, json};

use super::describe::scope;
use super::globals::Globals;
use super::itself::Outlook;
use super::session::{Session, must_be_root};
use super::style::{BAD, BOLD, DIM, GOOD, WARN, paint};
use super::{nagios, output};
use crate::error::{Exit, Result};
use crate::ledger::open_run;
use crate::manifest::{self, Layout};
use crate::plan::abbreviate;
use crate::survey::{Survey, Surveyed};
use crate::unattended::monitor;
use crate::unattended::monitor::nagios::Finding;

/// Arguments of `relift status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Installs; all of them when none is named
    names: Vec<String>,
    #[command(flatten)]
    nagios: nagios::Plugin,
}

/// Shows what is here, without the network.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    if args.nagios.wanted {
        return Ok(nagios::tell(findings(args, globals)));
    }
    must_be_root()?;
    let (paths, config) = (globals.paths(), globals.config.as_deref());
    let installs = match args.names.as_slice() {
        [] => manifest::all(&paths, config)?,
        names => names.iter().map(|name| manifest::named(&paths, config, Some(name))).collect::<Result<_>>()?,
    };
    if installs.is_empty() && !globals.json {
        output::message("no manifest in /etc/relift: write one with relift init PATH\n");
    }
    let mut documents = Vec::new();
    for install in installs {
        let session = Session::of(globals, install)?;
        let survey = Survey::take(&session.place())?;
        let open = open_run(&session.state)?.map(|journal| journal.run().to_owned());
        let itself = Outlook::of(&session, globals)?;
        match globals.json {
            true => documents.push(document(&session, &survey, open, &itself)),
            false => output::data(&text(&session, &survey, open, &itself)),
        }
    }
    if globals.json {
        output::document(&json!({"format": 1, "installs": documents}));
    }
    Ok(Exit::Done)
}

/// For a monitoring plugin: root looks itself, every other account reads the summaries.
fn findings(args: &Args, globals: &Globals) -> Result<Vec<Finding>> {
    let (paths, config) = (globals.paths(), globals.config.as_deref());
    if must_be_root().is_err() {
        let names = if args.names.is_empty() { monitor::status::names(&paths) } else { args.names.clone() };
        return Ok(names.iter().map(|name| args.nagios.look_from_afar(&paths, name)).collect());
    }
    let installs = match args.names.as_slice() {
        [] => manifest::each(&paths, config)?,
        names => names.iter().map(|name| (name.clone(), manifest::named(&paths, config, Some(name)))).collect(),
    };
    let one = |(name, install): (String, Result<_>)| match install {
        Ok(install) => args.nagios.look(&paths, &install, None),
        Err(error) => nagios::unknown(&name, &error),
    };
    Ok(installs.into_iter().map(one).collect())
}

fn text(session: &Session, survey: &Survey, open: Option<String>, itself: &Outlook) -> String {
    let install = &session.install;
    let at = abbreviate(&survey.checkout.head);
    let here = match install.layout {
        Layout::InPlace if install.checkout().is_none() => format!("release {at}"),
        Layout::InPlace => format!("{} at {at}", survey.checkout.branch.as_deref().unwrap_or("detached")),
        Layout::Releases => survey.release.as_ref().map_or("nothing yet".into(), |name| format!("{name}, {at}")),
    };
    let mut lines = vec![format!("{} {} ({here})", paint(BOLD, &install.name), install.root.display())];
    if let Some(run) = open {
        lines.push(match session.is_running() {
            true => format!("  {} run {run} goes on", paint(WARN, "open")),
            false => format!("  {} run {run} was interrupted: relift recover {}", paint(BAD, "open"), install.name),
        });
    }
    let notify = session.notify_remarks().into_iter();
    lines.extend(notify.map(|remark| format!("  {} notify: {remark}", paint(WARN, "!"))));
    lines.extend(itself.lines(install).into_iter().map(|line| format!("  {line}")));
    if let Some(words) = asked(session) {
        lines.push(format!("  {} {words}", paint(WARN, "packages changed:")));
    }
    let older = survey.older_env(install);
    for (component, surveyed) in install.components.iter().zip(&survey.components) {
        if !surveyed.is_installed {
            lines.push(format!("  {} {}", component.name, paint(DIM, "not installed here")));
            continue;
        }
        let version = surveyed.activation.as_ref().and_then(|activation| activation.version.clone());
        lines.push(format!(
            "  {} {}",
            paint(BOLD, &component.name),
            version.unwrap_or_else(|| "not yet upgraded by relift".into())
        ));
        lines.extend(
            remarks(install, component, surveyed, (&survey.checkout.head, &older))
                .into_iter()
                .map(|remark| format!("    {} {remark}", paint(WARN, "!"))),
        );
        for (unit, here) in component.units.iter().zip(&surveyed.units) {
            for (name, state) in &here.states {
                let colour = if state.is_active() { GOOD } else { BAD };
                let detail = paint(
                    DIM,
                    format!(
                        "({}, {})",
                        scope(unit.scope),
                        if state.file.is_empty() { "no unit file" } else { &state.file }
                    ),
                );
                lines.push(format!(
                    "    {} {} {}",
                    name,
                    paint(colour, format!("{} ({})", state.active, state.sub)),
                    detail
                ));
            }
        }
    }
    for entry in survey.known_good.iter().rev() {
        let versions: Vec<String> = entry.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        let here = if entry.revision == survey.checkout.head { ", here" } else { "" };
        lines.push(format!(
            "  {} {} {}",
            entry.tag,
            versions.join(", "),
            paint(DIM, format!("({}{here})", abbreviate(&entry.revision)))
        ));
    }
    for failed in &survey.failed {
        lines.push(format!(
            "  {} {} on {}\n    {}",
            paint(BAD, "failed here"),
            abbreviate(&failed.revision),
            when(failed.time),
            failed.why
        ));
    }
    lines.join("\n") + "\n"
}

/// What becomes of a hook's request.
fn asked(session: &Session) -> Option<String> {
    let request = session.requests().of_install(&session.install.name)?;
    Some(match request.waits {
        Some(why) => format!("it waits: {why}"),
        None => "it is looked at when the package manager has ended".into(),
    })
}

/// What an operator should look at.
fn remarks(
    install: &manifest::Install,
    component: &manifest::Component,
    surveyed: &Surveyed,
    (head, older): (&str, &[(&str, &str, String)]),
) -> Vec<String> {
    let mut remarks = Vec::new();
    if let Some(activation) = surveyed.activation.as_ref().filter(|activation| activation.revision != head) {
        let at = match install.layout {
            Layout::Releases => "`current` leads to",
            Layout::InPlace if install.checkout().is_none() => "what is installed is",
            Layout::InPlace => "the checkout is at",
        };
        remarks.push(format!(
            "runs {}, {at} {}: the next upgrade finishes the job",
            abbreviate(&activation.revision),
            abbreviate(head)
        ));
    }
    for (_, unit, file) in older.iter().filter(|(name, ..)| *name == component.name) {
        remarks.push(format!("{unit} is running with an older {file}: the next upgrade restarts it"));
    }
    for (declared, content) in component.env.iter().zip(&surveyed.env) {
        if content.is_none() {
            remarks.push(format!("{} is missing", install.env_path(component, declared)));
        }
    }
    remarks
}

fn document(session: &Session, survey: &Survey, open: Option<String>, itself: &Outlook) -> Value {
    let install = &session.install;
    let older = survey.older_env(install);
    let component = |(component, surveyed): (&crate::manifest::Component, &Surveyed)| {
        let units: Vec<Value> = surveyed
            .units
            .iter()
            .flat_map(|unit| &unit.states)
            .map(|(name, state)| json!({"unit": name, "active": state.active, "sub": state.sub, "enabled": state.file}))
            .collect();
        json!({
            "name": component.name,
            "installed": surveyed.is_installed,
            "revision": surveyed.activation.as_ref().map(|activation| &activation.revision),
            "version": surveyed.activation.as_ref().and_then(|activation| activation.version.as_ref()),
            "remarks": if surveyed.is_installed { remarks(install, component, surveyed, (&survey.checkout.head, &older)) } else { Vec::new() },
            "units": units,
        })
    };
    let known_good: Vec<Value> = survey
        .known_good
        .iter()
        .map(|entry| json!({"tag": entry.tag, "revision": entry.revision, "versions": entry.versions}))
        .collect();
    let failed: Vec<Value> = survey
        .failed
        .iter()
        .map(|failed| json!({"revision": failed.revision, "run": failed.run, "why": failed.why, "time": failed.time}))
        .collect();
    json!({
        "install": session.install.name,
        "root": session.install.root,
        "head": survey.checkout.head,
        "branch": survey.checkout.branch,
        "open-run": open,
        "running": session.is_running(),
        "hold": itself.hold(),
        "by-itself": itself.document(),
        "attempts": itself.attempts,
        "notify": session.notify_remarks(),
        "packages-changed": asked(session),
        "components": session.install.components.iter().zip(&survey.components).map(component).collect::<Vec<_>>(),
        "known-good": known_good,
        "failed": failed,
    })
}

/// A time in the host's own time zone.
pub fn when(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(crate::host::clock::zone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}
