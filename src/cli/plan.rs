//! `relift plan`.

use super::globals::Globals;
use super::session::{Planned, Session, refusal};
use super::wanted::Wanted;
use super::{describe, itself, output};
use crate::error::{Exit, Result};
use crate::plan::{Intent, Request, Restore};

/// Arguments of `relift plan`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// With --to: an older release as well, as `relift upgrade` would go back to it
    #[arg(long, requires = "to")]
    allow_downgrades: bool,
}

/// What an upgrade is asked to do by the command line.
pub fn request(globals: &Globals, to: Option<&str>) -> Request {
    Request {
        intent: Intent::Upgrade,
        is_explicit: to.is_some(),
        allow_irreversible: false,
        allow_downgrades: false,
        unattended: false,
        attended: output::is_attended() && !globals.yes,
        only: globals.only.clone(),
        answers: Vec::new(),
        restore: Restore::default(),
    }
}

/// Shows what an upgrade would do; a plan with blockers is shown too, and exits as the upgrade would.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let mut looked = args.wanted.plan(globals, args.allow_downgrades)?;
    looked.planned.itself = itself::of_plan(&looked.session, globals, &looked.mirror, &looked.planned)?;
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
    if globals.json {
        let mut document = describe::document(plan);
        if let Some(judged) = &planned.itself {
            document["by-itself"] = judged.document();
        }
        return output::document(&document);
    }
    if plan.is_empty() && plan.blockers.is_empty() {
        return output::data(&format!("{}: nothing to do, {} is activated\n", plan.install, plan.target_words()));
    }
    output::data(&describe::text(plan, session.last_downtime()));
    if let Some(judged) = &planned.itself {
        output::data(&format!("by itself: {}\n", judged.line()));
    }
}
