//! `relift recover`.

use super::globals::Globals;
use super::session::must_be_root;
use super::{aftermath, output};
use crate::error::{Error, Exit, Kind, Result};
use crate::host::systemd::{boot, deadman};
use crate::ledger::open_run;
use crate::manifest;
use crate::report::Event;
use crate::run::decide::Decision;
use crate::run::{self, Outlook, Recovered};
use crate::unattended::{Happening, Outcome, Timeline, Verb};

/// Arguments of `relift recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; all of them when it is left out
    name: Option<String>,
    /// Close a run that only an operator can settle, once it is settled
    #[arg(long)]
    close: bool,
}

/// Finishes or undoes interrupted runs, from what the runs recorded alone: neither a manifest that is wrong by now nor one
/// install's trouble keeps the others from being recovered.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    must_be_root()?;
    let paths = globals.paths();
    let names = match &args.name {
        Some(name) if paths.state(name).is_dir() => vec![name.clone()],
        Some(name) => vec![manifest::named(&paths, globals.config.as_deref(), Some(name))?.name],
        None => paths.known()?,
    };
    let (mut trouble, mut dead): (Vec<Error>, Vec<_>) = (Vec::new(), Vec::new());
    for name in &names {
        let mut died = None;
        if let Err(error) = one(args, globals, name, &mut died) {
            trouble.push(error.while_(format!("{name} could not be recovered")));
        }
        dead.push((name, died));
    }
    boot::ready();
    // Nothing waits for a mail: neither the next install's undo nor the services of the boot.
    for (name, died) in dead {
        let install = manifest::named(&paths, globals.config.as_deref(), Some(name)).ok();
        match died {
            Some((happening, ended)) => aftermath::tell(&paths, install.as_ref(), happening, None, &ended),
            // Mostly a boot, which forgets what every account may read.
            None if !globals.dry_run => install.iter().for_each(|install| aftermath::remind(&paths, install)),
            None => {}
        }
    }
    let worst = trouble.iter().position(|error| error.kind == Kind::NeedsOperator).unwrap_or(0);
    if trouble.is_empty() {
        return Ok(Exit::Done);
    }
    let worst = trouble.swap_remove(worst);
    trouble.iter().for_each(|error| super::error::print(error, globals.json));
    Err(worst)
}

fn one(args: &Args, globals: &Globals, name: &str, died: &mut Option<(Happening, Result<Exit>)>) -> Result<()> {
    let reporter = output::reporter(globals);
    let (state, runtime) = (globals.paths().state(name), globals.paths().runtime());
    crate::host::fs::must_be_ours(&globals.paths().states())?;
    crate::host::fs::must_be_ours(&state)?;
    let _lock = run::lock(&runtime, name, globals.lock_timeout)?;
    let root = open_run(&state)?.and_then(|journal| journal.start().map(|begin| begin.plan.root.clone()));
    let root = root.map(|root| run::lock_root(&runtime, name, &root, globals.lock_timeout));
    let _shared = root.transpose()?;
    if globals.dry_run {
        let outlook = run::outlook(&state, &*reporter)?;
        tell(name, outlook.as_ref(), globals);
        return Ok(());
    }
    let recorded = open_run(&state)?.and_then(|journal| journal.start().and_then(|begin| begin.manifest.clone()));
    let manifest = || {
        let install = manifest::named(&globals.paths(), globals.config.as_deref(), Some(name))?;
        manifest::of_run(&install, recorded.clone())
    };
    let timeline = Timeline::over(&*reporter);
    let recovered = if args.close { run::close(&state) } else { run::recover(&state, &manifest, &timeline) };
    // Once is enough: what an operator has to settle first is not tried again every minute.
    if let Err(error) = deadman::disarm(name) {
        reporter.tell(Event::Warning { text: format!("the recovery timer of {name} goes on: {error}") });
    }
    *died = told(name, recovered.as_ref());
    if let Some((happening, _)) = died {
        timeline.fill(happening);
    }
    // A run that is over without everything being back is over all the same.
    if (recovered.is_ok() || matches!(open_run(&state), Ok(None)))
        && let Err(error) = boot::let_go(name)
    {
        reporter.tell(Event::Warning { text: format!("the order of the next boot stays: {error}") });
    }
    let text = match recovered? {
        Recovered::Nothing => format!("{name}: no interrupted run"),
        Recovered::Closed(run) => format!("{name}: run {run} is closed"),
        Recovered::Undone(run) => format!("{name}: run {run} was undone: everything is as before it"),
        Recovered::Restored(run, lost) => format!("{name}: run {run} was undone: {lost}"),
        Recovered::Finished(run) => format!("{name}: run {run} was finished"),
    };
    match (globals.json, globals.quiet) {
        (true, _) => output::document(&serde_json::json!({"install": name, "result": text})),
        (_, true) => {}
        _ => output::data(&format!("{text}\n")),
    }
    Ok(())
}

/// A run that died is news, whichever way it was settled; `None`: there was none.
pub fn told(name: &str, recovered: std::result::Result<&Recovered, &Error>) -> Option<(Happening, Result<Exit>)> {
    let mut happening = Happening::begun(name, Verb::Recover, !output::is_attended());
    happening.outcome = match recovered {
        Ok(Recovered::Nothing) => return None,
        Ok(Recovered::Closed(run) | Recovered::Finished(run)) => {
            happening.run = Some(run.clone());
            Outcome::Done
        }
        Ok(Recovered::Undone(run) | Recovered::Restored(run, _)) => {
            happening.run = Some(run.clone());
            Outcome::PutBack
        }
        Err(_) => Outcome::NeedsOperator,
    };
    Some((happening, recovered.map(|_| Exit::Done).map_err(Clone::clone)))
}

/// Tells what recovery would do, and what is where.
fn tell(name: &str, outlook: Option<&Outlook>, globals: &Globals) {
    let Some(Outlook { run, decision, account }) = outlook else {
        return match globals.json {
            true => output::document(&serde_json::json!({"install": name, "run": null})),
            false => output::data(&format!("{name}: no interrupted run\n")),
        };
    };
    let (word, would) = match decision {
        Decision::Nothing => ("nothing", "has ended".to_owned()),
        Decision::Close => ("close", "would be closed: it changed nothing".into()),
        Decision::Undo(_) => ("undo", "would be undone".into()),
        Decision::Finish => ("finish", "would be finished: it is proven and committed".into()),
        Decision::Forward(_) => ("forward", "would go on to its end: it is past a step that nothing undoes".into()),
        Decision::AskOperator(why) => ("ask", format!("needs an operator: {why}")),
    };
    if globals.json {
        let document = serde_json::json!({"install": name, "run": run, "decision": word, "account": account});
        return output::document(&document);
    }
    let lines: String = account.iter().map(|line| format!("  {line}\n")).collect();
    output::data(&format!("{name}: run {run} {would}\n{lines}"));
}
