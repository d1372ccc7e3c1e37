//! `relift units`: the unit files alone.

use clap::Subcommand;

use super::globals::Globals;
use super::output;
use super::plan::request;
use super::session::Session;
use super::style;
use crate::action::Action;
use crate::error::{Exit, Result};
use crate::plan::unit;

/// Arguments of `relift units`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what an upgrade would change in the installed units
    #[command(after_help = "Examples:\n  relift units diff app")]
    Diff {
        /// The install; may be left out when there is only one
        name: Option<String>,
        /// A tag, version or commit instead of the candidate
        #[arg(long, value_name = "REV")]
        to: Option<String>,
    },
}

/// Compares.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let Verb::Diff { name, to } = &args.verb;
    let session = Session::open(globals, name.as_deref())?;
    let reporter = output::reporter(globals);
    let _lock = session.lock(globals, false, &*reporter)?;
    let mirror = session.mirror()?;
    let target = session.target(&mirror, to.as_deref(), globals.offline, &*reporter)?;
    let planned = session.plan(&mirror, &target, &request(globals, to.as_deref()))?;
    let mut text = String::new();
    for action in &planned.plan.actions {
        let Action::Units(units) = action else { continue };
        for swap in &units.files {
            let file = |image: &Option<crate::host::fs::Image>| {
                let bytes = image.as_ref().and_then(|image| planned.contents.bytes(image)).unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            };
            let path = units.directory.join(&swap.path);
            text.push_str(&unit::diff(
                &path.display().to_string(),
                &file(&swap.before),
                &file(&swap.after),
                style::is_stdout_coloured(),
            ));
        }
    }
    output::data(if text.is_empty() {
        "every installed unit is what the release ships, with your edits\n"
    } else {
        &text
    });
    Ok(Exit::Done)
}
