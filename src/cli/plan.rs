//! `relift plan`.

use super::globals::Globals;
use super::session::{Planned, Session, refusal};
use super::wanted::Wanted;
use super::{describe, output};
use crate::error::{Exit, Result};
use crate::plan::{Intent, Request, Restore};

/// Arguments of `relift plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
}

/// What an upgrade is asked to do by the command line.
pub fn request(globals: &Globals, to: Option<&str>) -> Request {
    Request {
        intent: Intent::Upgrade,
        is_explicit: to.is_some(),
        allow_irreversible: false,
        unattended: false,
        attended: output::is_attended() && !globals.yes,
        only: globals.only.clone(),
        answers: Vec::new(),
        restore: Restore::default(),
    }
}

/// Shows what an upgrade would do; a plan with blockers is shown too, and exits as the upgrade would.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let looked = args.wanted.plan(globals)?;
    let (session, planned) = (&looked.session, &looked.planned);
    show(session, planned, globals);
    match planned.plan.blockers.is_empty() {
        true => Ok(Exit::Done),
        false => Err(refusal(&session.install.name, &planned.plan.blockers)),
    }
}

/// Prints a plan as data.
pub fn show(session: &Session, planned: &Planned, globals: &Globals) {
    let plan = &planned.plan;
    match () {
        () if globals.json => output::document(&describe::document(plan)),
        () if plan.is_empty() && plan.blockers.is_empty() => {
            output::data(&format!("{}: nothing to do, {} is activated\n", plan.install, plan.target_words()))
        }
        () => output::data(&describe::text(plan, session.last_downtime())),
    }
}
