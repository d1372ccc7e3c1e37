//! `relift recover`.

use super::globals::Globals;
use super::output;
use super::session::{Session, must_be_root};
use crate::error::{Error, Exit, Kind, Result};
use crate::manifest;
use crate::run::{self, Recovered};

/// Arguments of `relift recover`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; all of them when it is left out
    name: Option<String>,
    /// Close a run that only an operator can settle, once it is settled
    #[arg(long)]
    close: bool,
}

/// Finishes or undoes interrupted runs. One install's trouble does not keep the others from being recovered.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    must_be_root()?;
    let installs = match &args.name {
        Some(name) => vec![manifest::named(&globals.paths(), globals.config.as_deref(), Some(name))?],
        None => manifest::all(&globals.paths(), globals.config.as_deref())?,
    };
    let mut trouble: Vec<Error> = Vec::new();
    for install in installs {
        let session = Session::of(globals, install)?;
        if let Err(error) = one(args, globals, &session) {
            trouble.push(error);
        }
    }
    let worst = trouble.iter().position(|error| error.kind == Kind::NeedsOperator).unwrap_or(0);
    match trouble.is_empty() {
        true => Ok(Exit::Done),
        false => Err(trouble.swap_remove(worst)),
    }
}

fn one(args: &Args, globals: &Globals, session: &Session) -> Result<()> {
    let reporter = output::reporter(globals);
    let _lock = session.runtime_lock(globals)?;
    let name = &session.install.name;
    let recovered = if args.close { run::close(&session.state)? } else { run::recover(&session.state, &*reporter)? };
    let text = match recovered {
        Recovered::Nothing => format!("{name}: no interrupted run"),
        Recovered::Closed(run) => format!("{name}: run {run} is closed"),
        Recovered::Undone(run) => format!("{name}: run {run} was undone: everything is as before it"),
        Recovered::Finished(run) => format!("{name}: run {run} was finished"),
    };
    match (globals.json, globals.quiet) {
        (true, _) => output::document(&serde_json::json!({"install": name, "result": text})),
        (_, true) => {}
        _ => output::data(&format!("{text}\n")),
    }
    Ok(())
}
