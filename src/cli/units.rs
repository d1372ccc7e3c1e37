//! `relift units`: the unit files alone.

use clap::Subcommand;

use super::columns;
use super::globals::Globals;
use super::output;
use super::session::Planned;
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
    let looked = wanted.plan(globals, false)?;
    let planned = &looked.planned;
    if globals.json {
        output::document(&document(&planned.plan));
        return Ok(Exit::Done);
    }
    let mut text = String::new();
    for file in files(planned) {
        text.push_str(&match *side_by_side || globals.yes {
            true => file.columned(),
            false => unit::diff(file.names("/dev/null"), &file.before, &file.after, style::is_stdout_coloured()),
        });
    }
    output::data(if text.is_empty() {
        "every installed unit is what the release ships, with your edits\n"
    } else {
        &text
    });
    Ok(Exit::Done)
}

/// A unit file or a drop-in that changes.
struct Changed {
    /// Where it is; `None`: it is new.
    from: Option<String>,
    /// Where it will be; `None`: it goes.
    to: Option<String>,
    before: String,
    after: String,
}

/// What the plan changes, in order. A file that goes in one scope and comes in the other is one that moves.
fn files(planned: &Planned) -> Vec<Changed> {
    let text = |image: &Option<Image>| {
        let bytes = image.as_ref().and_then(|image| planned.contents.bytes(image)).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    };
    let mut files: Vec<Changed> = Vec::new();
    let units = planned.plan.actions.iter().filter_map(|action| match action {
        Action::Units(units) => Some(units),
        _ => None,
    });
    for (units, swap) in units.flat_map(|units| units.files.iter().map(move |swap| (units, swap))) {
        let path = units.directory.join(&swap.path).display().to_string();
        let is_there = |image: &Option<Image>| image.is_some().then(|| path.clone());
        let (before, after) = (text(&swap.before), text(&swap.after));
        let new = Changed { from: is_there(&swap.before), to: is_there(&swap.after), before, after };
        match files.iter_mut().find(|file| file.becomes(&new)) {
            Some(file) if new.to.is_some() => (file.to, file.after) = (new.to, new.after),
            Some(file) => (file.from, file.before) = (new.from, new.before),
            None => files.push(new),
        }
    }
    files
}

impl Changed {
    /// Whether this and the other are the two ends of one move: the same unit, or the same drop-in of it.
    fn becomes(&self, other: &Changed) -> bool {
        let ends = |goes: &Changed, comes: &Changed| goes.to.is_none() && comes.from.is_none();
        let tail = |file: &Changed| {
            let path = file.from.as_ref().or(file.to.as_ref()).cloned().unwrap_or_default();
            path.split_once("/systemd/").and_then(|(_, rest)| rest.split_once('/')).map(|(_, tail)| tail.to_owned())
        };
        (ends(self, other) || ends(other, self)) && tail(self) == tail(other)
    }

    /// Both names, with `nothing` for a file that is not there.
    fn names<'a>(&'a self, nothing: &'a str) -> (&'a str, &'a str) {
        (self.from.as_deref().unwrap_or(nothing), self.to.as_deref().unwrap_or(nothing))
    }

    /// Side by side, under a heading.
    fn columned(&self) -> String {
        let (old, new) = unit::shown_sides(&self.before, &self.after);
        let heading = match (&self.from, &self.to) {
            (Some(from), Some(to)) if from != to => format!("{from} -> {to}"),
            (Some(from), None) => format!("{from} (removed)"),
            (None, Some(to)) => format!("{to} (new)"),
            (from, _) => from.clone().unwrap_or_default(),
        };
        let heading = style::paint(style::BOLD, crate::text::harmless(&heading));
        let table = columns::side_by_side(&old, &new, columns::width(), style::is_stdout_coloured());
        format!("{heading}\n{table}\n")
    }
}

/// The same for a program.
fn document(plan: &Plan) -> serde_json::Value {
    let units: Vec<_> = plan.components.iter().flat_map(|component| &component.units).collect();
    serde_json::json!({"format": 1, "install": plan.install, "units": units})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(from: Option<&str>, to: Option<&str>) -> Changed {
        let [before, after] = [from, to].map(|path| path.map_or("", |_| "[Service]\n").to_owned());
        Changed { from: from.map(str::to_owned), to: to.map(str::to_owned), before, after }
    }

    #[test]
    fn the_two_ends_of_a_move_are_one_file_and_other_files_are_not() {
        let (system, user) = ("/etc/systemd/system/a.service", "/home/app/.config/systemd/user/a.service");
        assert!(file(Some(system), None).becomes(&file(None, Some(user))));
        assert!(file(None, Some(system)).becomes(&file(Some(user), None)));
        assert!(!file(Some(system), Some(system)).becomes(&file(None, Some(user))));
        assert!(!file(None, Some(system)).becomes(&file(None, Some(user))));
        assert!(!file(Some(system), None).becomes(&file(None, Some("/etc/systemd/system/b.service"))));
    }

    #[test]
    fn a_file_that_is_new_has_no_lines_before() {
        let new = file(None, Some("/etc/systemd/system/a.service"));
        let diff = unit::diff(new.names("/dev/null"), &new.before, &new.after, false);
        assert_eq!(diff, "--- /dev/null\n+++ /etc/systemd/system/a.service\n@@ -0,0 +1 @@\n+[Service]\n");
    }
}
