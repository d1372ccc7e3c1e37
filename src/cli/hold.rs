//! `relift hold` and `unhold`.

use super::globals::Globals;
use super::session::Session;
use super::{aftermath, output};
use crate::error::{Exit, Result};
use crate::ledger::Hold;

/// Arguments of `relift hold`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; may be left out when there is only one
    name: Option<String>,
    /// Why, for whoever meets the hold
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Arguments of `relift unhold`.
#[derive(Debug, clap::Args)]
pub struct UnholdArgs {
    /// The install; may be left out when there is only one
    name: Option<String>,
}

/// Holds an install: upgrades are refused until it is lifted. Rolling back stays possible.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    let _lock = session.runtime_lock(globals)?;
    let reason = args.reason.as_deref().map(crate::text::harmless);
    session.ledger().set_hold(Some(&Hold { reason, since: jiff::Timestamp::now().as_second() }))?;
    aftermath::refresh(&globals.paths(), &session.install);
    say(globals, &format!("{} is held: relift unhold {0} lifts it", session.install.name));
    Ok(Exit::Done)
}

/// Lifts the hold; one that is not there is no error.
pub fn unhold(args: &UnholdArgs, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    let _lock = session.runtime_lock(globals)?;
    session.ledger().set_hold(None)?;
    aftermath::refresh(&globals.paths(), &session.install);
    say(globals, &format!("{} is not held", session.install.name));
    Ok(Exit::Done)
}

fn say(globals: &Globals, text: &str) {
    if !globals.quiet && !globals.json {
        output::data(&format!("{text}\n"));
    }
}
