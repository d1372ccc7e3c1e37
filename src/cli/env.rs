//! `relift env`: the configuration files alone.

use clap::Subcommand;

use super::globals::Globals;
use super::session::Session;
use super::style::{self, BAD, BOLD, DIM, GOOD, WARN, paint};
use super::wanted::{Looked, Wanted};
use super::{ask, describe, output};
use crate::action::{Action, FileSwap};
use crate::error::{Error, Exit, Result};
use crate::host::fs::{Image, Rooted};
use crate::manifest::Dialect;
use crate::plan::env::lint::{How, Lint, lint};
use crate::plan::env::{Class, placeholders, redacted_diff};
use crate::plan::{EnvPlan, Plan};
use crate::survey::Survey;

/// Arguments of `relift env`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what an upgrade would change in each `.env`, every value redacted
    #[command(after_help = "Examples:\n  relift env diff app")]
    Diff(Wanted),
    /// Add the new keys to each `.env` now; nothing is restarted
    #[command(after_help = "Examples:\n  relift env merge app")]
    Merge(Wanted),
    /// Show the lines that systemd, dotenv libraries and Compose read in different ways; exits 1 when there are any
    #[command(after_help = "Examples:\n  relift env lint app")]
    Lint {
        /// The install; may be left out when there is only one
        name: Option<String>,
    },
}

/// Compares, merges or lints.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    match &args.verb {
        Verb::Diff(wanted) => {
            let looked = wanted.plan(globals, false)?;
            show(&looked, globals);
            nothing_needed(&looked)
        }
        Verb::Merge(wanted) => merge(wanted, globals),
        Verb::Lint { name } => lint_all(name.as_deref(), globals),
    }
}

fn merge(wanted: &Wanted, globals: &Globals) -> Result<Exit> {
    let mut looked = wanted.plan(globals, false)?;
    if output::is_attended() && !globals.yes && !globals.dry_run && !globals.json {
        let answers = ask::decisions(&looked.planned.plan)?;
        if !answers.is_empty() {
            looked.decide(answers)?;
        }
    }
    show(&looked, globals);
    // A placeholder in the live file would be taken for a value by whoever reads it next.
    nothing_needed(&looked)?;
    if globals.dry_run {
        return Ok(Exit::Done);
    }
    let root = Rooted::open(&looked.session.install.root)?;
    for swap in swaps(&looked.planned.plan) {
        let present = root.read(&swap.path)?.filter(|content| Some(&content.image) == swap.before.as_ref());
        let present = present.ok_or_else(|| {
            Error::failed(format!("{} was changed meanwhile", swap.path.display())).hint("run this again")
        })?;
        root.replace(&swap.path, &present.with_bytes(bytes(&looked, &swap.after)))?;
    }
    Ok(Exit::Done)
}

fn swaps(plan: &Plan) -> impl Iterator<Item = &FileSwap> {
    plan.actions.iter().filter_map(|action| match action {
        Action::EnvFile(file) => Some(&file.swap),
        _ => None,
    })
}

fn bytes(looked: &Looked, image: &Option<Image>) -> Vec<u8> {
    image.as_ref().and_then(|image| looked.planned.contents.bytes(image)).unwrap_or_default().to_vec()
}

/// Prints, file by file, what becomes of each key and the lines that differ.
fn show(looked: &Looked, globals: &Globals) {
    let plan = &looked.planned.plan;
    if globals.json {
        output::document(&document(plan));
    }
    if globals.quiet || globals.json {
        return;
    }
    let mut text = String::new();
    for env in plan.components.iter().flat_map(|component| &component.env) {
        let told = env.changes.iter().filter(|change| globals.verbose > 0 || change.class != Class::OnlyMine);
        let told: Vec<String> = told.map(|change| format!("  {}\n", describe::key(change))).collect();
        let swap = swaps(plan).find(|swap| swap.path.as_os_str() == env.file.as_str());
        if told.is_empty() && swap.is_none() {
            continue;
        }
        text.push_str(&format!("{}\n{}", paint(BOLD, &env.file), told.concat()));
        if let Some(swap) = swap {
            let (before, after) = (bytes(looked, &swap.before), bytes(looked, &swap.after));
            text.push_str(&redacted_diff(&before, &after, &env.public, style::is_stdout_coloured()));
        }
    }
    if text.is_empty() {
        text.push_str("every `.env` has what the release asks for\n");
    }
    output::data(&text);
}

fn nothing_needed(looked: &Looked) -> Result<Exit> {
    match needed(&looked.planned.plan).as_slice() {
        [] => Ok(Exit::Done),
        needed => {
            let name = &looked.session.install.name;
            Err(Error::refused(format!("{name} needs values of yours: {}", needed.join(", ")))
                .hint(format!("set them in the file, or run on a terminal to be asked: relift env merge {name}")))
        }
    }
}

/// New keys whose default is a placeholder and about which nothing was decided: `KEY in FILE`.
fn needed(plan: &Plan) -> Vec<String> {
    let files = plan.components.iter().flat_map(|component| &component.env);
    let keys = |env: &EnvPlan| -> Vec<String> {
        placeholders(&env.changes).into_iter().map(|key| format!("{key} in {}", env.file)).collect()
    };
    files.flat_map(keys).collect()
}

/// What differs, for a program: keys and how they differ, never a value.
fn document(plan: &Plan) -> serde_json::Value {
    let files = plan.components.iter().flat_map(|component| &component.env);
    let file =
        |env: &EnvPlan| serde_json::json!({"file": env.file, "rewritten": env.rewritten, "changes": env.changes});
    serde_json::json!({"format": 1, "install": plan.install, "files": files.map(file).collect::<Vec<_>>()})
}

fn lint_all(name: Option<&str>, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, name)?;
    let survey = Survey::take(&session.place())?;
    let mut documents = Vec::new();
    let mut is_clean = true;
    for (_, component, surveyed) in survey.installed(&session.install) {
        if !globals.only.is_empty() && !globals.only.contains(&component.name) {
            continue;
        }
        for (declared, content) in component.env.iter().zip(&surveyed.env) {
            let Some(content) = content else { continue };
            let file = session.install.env_path(component, declared).to_string();
            let dialect = survey.dialect(&session.install, declared, &file);
            let found = lint(&content.bytes, dialect);
            is_clean &= found.disagreements.is_empty();
            match globals.json {
                true => documents.push(serde_json::json!({"file": file, "dialect": dialect, "found": found})),
                false if globals.quiet => {}
                false => output::data(&page(&file, dialect, &found)),
            }
        }
    }
    if globals.json {
        output::document(&serde_json::json!({"format": 1, "install": session.install.name, "files": documents}));
    }
    Ok(if is_clean { Exit::Done } else { Exit::Failed })
}

/// What is known of a file, for a person.
pub fn page(file: &str, dialect: Dialect, found: &Lint) -> String {
    let read_by = match dialect {
        Dialect::Systemd => "systemd",
        Dialect::Dotenv => "a dotenv library",
        Dialect::Compose => "Compose",
    };
    let verdict = match found.disagreements.len() {
        0 => paint(GOOD, "all readers agree"),
        1 => paint(WARN, "1 disagreement"),
        count => paint(WARN, format!("{count} disagreements")),
    };
    let mut text = format!("{} {} {verdict}\n", paint(BOLD, file), paint(DIM, format!("(read by {read_by})")));
    for disagreement in &found.disagreements {
        let key = disagreement.key.as_deref().map(|key| format!(" {key}")).unwrap_or_default();
        text.push_str(&format!("  line {}{}\n", disagreement.line, paint(BOLD, key)));
        for (reader, how) in &disagreement.readers {
            let words = match how {
                How::Refuses => paint(BAD, how.words()),
                How::Set | How::Takes => how.words().to_owned(),
                _ => paint(WARN, how.words()),
            };
            text.push_str(&format!("    {reader:<15} {words}\n"));
        }
    }
    if !found.disagreements.is_empty() {
        text.push_str(
            "  next: KEY='value', without export and with comments on lines of their own, is read alike by all\n",
        );
    }
    for warning in &found.warnings {
        text.push_str(&format!("  {} {warning}\n", paint(WARN, "warning:")));
    }
    text
}
