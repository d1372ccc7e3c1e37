//! `relift rollback`.

use super::aftermath;
use super::globals::Globals;
use super::plan::request;
use super::session::Session;
use super::upgrade::{decided, execute};
use crate::error::{Context, Error, Exit, Result};
use crate::host::fs::Content;
use crate::ledger::KnownGood;
use crate::plan::{Intent, Request, Restore};
use crate::report::{Event, Reporter};
use crate::source::git::Target;
use crate::survey::Survey;
use crate::unattended::{Happening, Outcome, Verb};

/// Arguments of `relift rollback`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; may be left out when there is only one
    name: Option<String>,
    /// A known-good release, by tag, time, version or commit, instead of the one before
    #[arg(long, value_name = "KNOWN-GOOD")]
    to: Option<String>,
    /// Go back although a step that nothing undoes was run since
    #[arg(long)]
    allow_irreversible: bool,
}

/// Goes back to a known-good release, without the network.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    aftermath::told(session, (Verb::Rollback, false), globals, |session, reporter, happening| {
        go_back(session, args, globals, reporter, happening)
    })
}

fn go_back(
    session: Session,
    args: &Args,
    globals: &Globals,
    reporter: &dyn Reporter,
    happening: &mut Happening,
) -> Result<Exit> {
    let _lock = session.lock(globals, false, reporter)?;
    let mirror = session.mirror()?;
    let survey = Survey::take(&session.place())?;
    let entry = choose(&session, &survey, args.to.as_deref())?;
    let target = Target { revision: entry.revision.clone(), label: Some(entry.tag.clone()) };
    let (session, survey) =
        match session.repository_manifest().is_some() || session.install.source.reads_repository_manifest() {
            false => (session, survey),
            // Both releases say something of themselves: the one that is reached what it is, the other how it is undone.
            true => {
                let reached = session.at(globals, &mirror, &entry.revision)?;
                let left = session.at(globals, &mirror, &survey.checkout.head)?;
                let session = Session { install: reached.install.clone().going_back(&left.install), ..reached };
                let survey = Survey::take(&session.place())?;
                (session, survey)
            }
        };
    let asked = Request {
        intent: Intent::Rollback,
        is_explicit: true,
        allow_irreversible: args.allow_irreversible,
        restore: restore(&session, &survey, &entry, reporter)?,
        ..request(globals, None)
    };
    let planned = session.plan_on(survey, &mirror, &target, &asked)?;
    happening.about(&planned.plan);
    if decided(&session, &planned, globals, false)? {
        return Ok(Exit::Done);
    }
    let ended = execute(&session, &mirror, planned, reporter, (false, None), globals)?;
    happening.outcome = Outcome::Done;
    Ok(ended)
}

/// The known-good release before the one that is checked out, or the named one.
fn choose(session: &Session, survey: &Survey, to: Option<&str>) -> Result<KnownGood> {
    let name = &session.install.name;
    let all = &survey.known_good;
    let listed = || all.iter().map(|entry| entry.tag.clone()).collect::<Vec<_>>().join(", ");
    let Some(to) = to else {
        let here = all.iter().position(|entry| entry.revision == survey.checkout.head);
        let before = all[..here.unwrap_or(all.len())].last();
        return before.cloned().ok_or_else(|| {
            Error::refused(format!("{name} has no known-good release to go back to")).hint(format!(
                "one is recorded by the first run that succeeds; go to a commit by hand: relift upgrade {name} --to REV"
            ))
        });
    };
    let is_meant = |entry: &&KnownGood| {
        let is_commit = to.len() >= 7 && entry.revision.starts_with(to);
        entry.tag == to
            || entry.tag.ends_with(&format!("/{to}"))
            || is_commit
            || entry.versions.values().any(|version| version == to)
    };
    all.iter().rev().find(is_meant).cloned().ok_or_else(|| {
        let known = if all.is_empty() { "there is none yet".to_owned() } else { format!("there are: {}", listed()) };
        Error::refused(format!("{name} has no known-good release {to}")).hint(known)
    })
}

/// What the release had beside the tree. A `.env` that was edited since is the operator's, and stays.
fn restore(session: &Session, survey: &Survey, entry: &KnownGood, reporter: &dyn Reporter) -> Result<Restore> {
    let mut restore = Restore::default();
    for (_, component, surveyed) in survey.installed(&session.install) {
        let is_as_activated = surveyed.activation.is_some() && surveyed.runs_with_its_env(&session.install, component);
        for declared in &component.env {
            let file = session.install.env_path(component, declared).to_string();
            let Some(image) = entry.env.get(&file) else { continue };
            if !is_as_activated {
                reporter.tell(Event::Warning {
                    text: format!("{file} was edited since the last run: it is kept as it is"),
                });
                continue;
            }
            let path = session.ledger().content().join(&image.sha256);
            let bytes = std::fs::read(&path).with_context(|| format!("the kept {file} cannot be read"))?;
            restore.env.push((file, Content { bytes, image: image.clone() }));
        }
    }
    restore.artifacts = entry
        .artifacts
        .iter()
        .filter(|(_, archive)| archive.exists())
        .map(|(path, archive)| (path.clone(), archive.clone()))
        .collect();
    Ok(restore)
}
