//! `relift units`: the unit files alone.

use clap::Subcommand;

use super::globals::Globals;
use super::output;
use super::style;
use super::wanted::Wanted;
use crate::action::Action;
use crate::error::{Exit, Result};
use crate::plan::{Plan, unit};

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
    Diff(Wanted),
}

/// Compares.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let Verb::Diff(wanted) = &args.verb;
    let looked = wanted.plan(globals)?;
    let planned = &looked.planned;
    if globals.json {
        output::document(&document(&planned.plan));
        return Ok(Exit::Done);
    }
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

/// The same for a program.
fn document(plan: &Plan) -> serde_json::Value {
    let units: Vec<_> = plan.components.iter().flat_map(|component| &component.units).collect();
    serde_json::json!({"format": 1, "install": plan.install, "units": units})
}
