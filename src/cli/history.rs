//! `relift history` and `show`.

use comfy_table::Table;
use serde_json::{Value, json};

use super::globals::Globals;
use super::session::{Session, must_be_root};
use super::status::when;
use super::{describe, output};
use crate::error::{Error, Exit, Result};
use crate::ledger::{Past, history};
use crate::manifest;
use crate::plan::Intent;
use crate::run::journal::Journal;
use crate::run::record::{Begin, Body};
use crate::run::runs::runs;
use crate::trust::Standing;

/// How much of a run's id a table shows: 50 random bits of a ULID.
const RUN_SHOWN: usize = 10;

/// Arguments of `relift history`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; all of them when it is left out
    name: Option<String>,
    /// How many runs
    #[arg(long = "lines", value_name = "N", default_value_t = 20)]
    limit: usize,
}

/// Arguments of `relift show`.
#[derive(Debug, clap::Args)]
pub struct ShowArgs {
    /// The run's id, or the end of it
    run: String,
}

/// Lists runs, newest first.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let mut past: Vec<Past> = Vec::new();
    for session in sessions(args.name.as_deref(), globals)? {
        past.extend(history(&session.state, args.limit)?);
    }
    past.sort_by(|a, b| b.run.cmp(&a.run));
    past.truncate(args.limit);
    if globals.json {
        output::document(&json!({"format": 1, "runs": past.iter().map(row_document).collect::<Vec<_>>()}));
        return Ok(Exit::Done);
    }
    let mut table = Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(["RUN", "BEGAN", "INSTALL", "WHAT", "END"]);
    for run in &past {
        table.add_row([short(&run.run), when(run.began), run.plan.install.clone(), what(run), ending(run)]);
    }
    let text: String = table.to_string().lines().map(|line| format!("{}\n", line.trim())).collect();
    output::data(if past.is_empty() { "no runs yet\n" } else { &text });
    Ok(Exit::Done)
}

/// Shows one run: its plan, its records, its end.
pub fn show(args: &ShowArgs, globals: &Globals) -> Result<Exit> {
    let journal = find(&args.run, globals)?;
    let begin = journal.start().ok_or_else(|| Error::failed(format!("run {} has no beginning", journal.run())))?;
    if globals.json {
        output::document(&json!({
            "format": 1,
            "run": journal.run(),
            "unattended": begin.unattended,
            "plan": describe::document(&begin.plan),
            "end": journal.end(),
            "records": journal.records().iter().map(|record| json!({"time": record.time, "what": line(record.time, &record.body, begin)})).collect::<Vec<_>>(),
        }));
        return Ok(Exit::Done);
    }
    let mut text = format!("run {}\n\n{}\n", journal.run(), describe::text(&begin.plan, None));
    for record in journal.records() {
        text.push_str(&format!("{}\n", line(record.time, &record.body, begin)));
    }
    if let Some(end) = journal.end() {
        for line in end.why.iter().chain(&end.detail) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    output::data(&text);
    Ok(Exit::Done)
}

fn sessions(name: Option<&str>, globals: &Globals) -> Result<Vec<Session>> {
    must_be_root()?;
    let (paths, config) = (globals.paths(), globals.config.as_deref());
    let installs = match name {
        Some(name) => vec![manifest::named(&paths, config, Some(name))?],
        None => manifest::all(&paths, config)?,
    };
    installs.into_iter().map(|install| Session::of(globals, install)).collect()
}

/// The run that an id, or the end of one, names.
pub fn find(id: &str, globals: &Globals) -> Result<Journal> {
    let mut found = Vec::new();
    for session in sessions(None, globals)? {
        let all = runs(&session.state.join("runs"))?;
        let wanted = id.to_uppercase();
        found.extend(
            all.into_iter()
                .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&wanted))),
        );
    }
    match found.as_slice() {
        [one] => Journal::open(one),
        [] => {
            Err(Error::usage(format!("there is no run {}", crate::text::harmless(id)))
                .hint("relift history lists them"))
        }
        many => Err(Error::usage(format!("{} is the end of {} runs", crate::text::harmless(id), many.len()))
            .hint("give more of it")),
    }
}

fn what(run: &Past) -> String {
    let plan = &run.plan;
    let standing = match &plan.standing {
        Standing::Verified { .. } => "",
        Standing::Pinned { .. } => " (pinned by hand)",
        Standing::Unverified => " (unverified)",
    };
    let way = if plan.intent == Intent::Reconfigure { "at" } else { "to" };
    format!("{} {way} {}{standing}", plan.verb(), plan.target_words())
}

/// The end of a run's id, which `show` and `logs` take: a table with whole ones is wider than many a terminal.
fn short(run: &str) -> String {
    run[run.len().saturating_sub(RUN_SHOWN)..].to_owned()
}

fn ending(run: &Past) -> String {
    run.end.as_ref().map_or("open".into(), |end| end.outcome.words().to_owned())
}

fn row_document(run: &Past) -> Value {
    json!({
        "run": run.run,
        "began": run.began,
        "last": run.last,
        "install": run.plan.install,
        "intent": run.plan.intent,
        "from": run.plan.from,
        "to": run.plan.to,
        "standing": run.plan.standing,
        "unattended": run.unattended,
        "end": run.end,
    })
}

fn line(time: i64, body: &Body, begin: &Begin) -> String {
    format!("{} {}", when(time), words(body, begin))
}

/// What a record says.
pub fn words(body: &Body, begin: &Begin) -> String {
    let title = |action: usize| begin.plan.actions.get(action).map(|action| action.act().title()).unwrap_or_default();
    match body {
        Body::Begin(begin) => {
            format!("begun by relift {}{}", begin.version, if begin.unattended { ", unattended" } else { "" })
        }
        Body::Prepared { .. } => "prepared: nothing is changed so far".into(),
        Body::BackedUp { backup, bytes, .. } => {
            format!("backed up and proven: {backup}, {}", crate::text::bytes(*bytes))
        }
        Body::Intent { action, .. } => format!("begin  {}", title(*action)),
        Body::Done { action } => format!("done   {}", title(*action)),
        Body::PointOfNoReturn { action } => format!("nothing undoes what follows: {}", title(*action)),
        Body::Gate => "proven healthy".into(),
        Body::Commit => "committed".into(),
        Body::Abort { why } => format!("aborted: {why}"),
        Body::Undone { action } => format!("undone {}", title(*action)),
        Body::NotUndone { action, why } => format!("not undone {}: {why}", title(*action)),
        Body::End(end) => format!("end: {}", end.outcome.words()),
    }
}
