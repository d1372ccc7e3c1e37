//! `relift units`: the unit files alone.

use clap::Subcommand;

use super::columns;
use super::globals::Globals;
use super::output;
use super::style;
use super::wanted::Wanted;
use crate::action::Action;
use crate::error::{Exit, Result};
use crate::host::fs::Image;
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
    #[command(after_help = "Examples:\n  relift units diff app\n  relift units diff -y app --to v1.7.1")]
    Diff(Diff),
}

#[derive(Debug, clap::Args)]
struct Diff {
    #[command(flatten)]
    wanted: Wanted,
    /// Two columns: what is installed, and what would be; -y means this here, as for diff(1), since nothing is approved
    #[arg(long)]
    side_by_side: bool,
}

/// Compares.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let Verb::Diff(Diff { wanted, side_by_side }) = &args.verb;
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
            let file = |image: &Option<Image>| {
                let bytes = image.as_ref().and_then(|image| planned.contents.bytes(image)).unwrap_or_default();
                String::from_utf8_lossy(bytes).into_owned()
            };
            let path = units.directory.join(&swap.path).display().to_string();
            let (before, after) = (file(&swap.before), file(&swap.after));
            let is_coloured = style::is_stdout_coloured();
            text.push_str(&match *side_by_side || globals.yes {
                true => columned(&path, (&swap.before, &swap.after), &before, &after),
                false => unit::diff(&path, &before, &after, is_coloured),
            });
        }
    }
    output::data(if text.is_empty() {
        "every installed unit is what the release ships, with your edits\n"
    } else {
        &text
    });
    Ok(Exit::Done)
}

/// A file before and after, side by side, under a heading.
fn columned(path: &str, images: (&Option<Image>, &Option<Image>), before: &str, after: &str) -> String {
    let (old, new) = unit::shown_sides(before, after);
    let what = match images {
        (None, _) => " (new)",
        (_, None) => " (removed)",
        _ => "",
    };
    let heading = style::paint(style::BOLD, format!("{}{what}", crate::text::harmless(path)));
    let table = columns::side_by_side(&old, &new, columns::width(), style::is_stdout_coloured());
    format!("{heading}\n{table}\n")
}

/// The same for a program.
fn document(plan: &Plan) -> serde_json::Value {
    let units: Vec<_> = plan.components.iter().flat_map(|component| &component.units).collect();
    serde_json::json!({"format": 1, "install": plan.install, "units": units})
}
