//! `relift logs`: what the engine, the steps and the services said during one run, in the order in which they did.
//!
//! The journal is the log. What it does not have (it was vacuumed, or took no more lines of a step, or is not there at all) comes
//! from what is kept with the run.

mod journal;
mod kept;
mod line;

use std::collections::BTreeSet;

use super::globals::Globals;
use super::history::find;
use super::output;
use crate::error::{Exit, Result};
use crate::host::systemd::Secrets;
use crate::manifest;
use crate::run::journal::Journal;
use crate::run::secrets_of;
use journal::{Range, Steps};
use kept::Kept;
use line::{Only, Printer};

/// Arguments of `relift logs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's id, or the end of it
    run: String,
    /// Go on showing lines until the run has ended
    #[arg(short, long)]
    follow: bool,
    /// Show the last N lines
    #[arg(long, value_name = "N")]
    lines: Option<usize>,
}

/// Prints the lines of a run.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let only = globals.only.iter().map(|word| Only::parse(word)).collect::<Result<Vec<_>>>()?;
    // Here the word names no component.
    let globals = &Globals { only: Vec::new(), ..globals.clone() };
    let journal = find(&args.run, globals)?;
    let install = journal.start().map(|begin| begin.plan.install.clone()).unwrap_or_default();
    let declared = manifest::named(&globals.paths(), globals.config.as_deref(), Some(&install));
    let secrets = secrets_of(&journal, &declared.map(|install| install.components).unwrap_or_default());
    let mut notes = Vec::new();
    // Services say what they like; without knowing the secrets, nothing of it is shown.
    let units = match &secrets {
        Ok(_) => journal::units(&journal),
        Err(error) => {
            notes.push(format!("what services said is left out, since their secrets are not known here: {error}"));
            Vec::new()
        }
    };
    let secrets = Secrets::of(&spellings(secrets.unwrap_or_default()))?;
    let source = Source::of(&journal, units, &mut notes);
    let mut printer = Printer::new(only, args.lines, globals.json, &secrets);
    printer.head(journal.run(), &install, &notes);
    let last = source.print(&journal, &mut printer)?;
    printer.flush();
    if args.follow && journal.end().is_none() {
        source.follow(&journal, last, &mut printer)?;
    }
    printer.end(journal.run());
    Ok(Exit::Done)
}

/// Lines of others are made harmless before they are looked through: so are the secrets.
fn spellings(secrets: Vec<String>) -> Vec<String> {
    let harmless: Vec<String> = secrets.iter().map(|secret| crate::text::harmless(secret)).collect();
    secrets.into_iter().chain(harmless).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Where the lines of a run come from.
struct Source {
    units: Vec<crate::host::systemd::journal::Origin>,
    /// What of the journal is the run's; `None`: it does not have the run, or not all of it.
    range: Option<Range>,
    /// Steps whose output the journal does not have whole.
    from_files: BTreeSet<String>,
}

impl Source {
    fn of(run: &Journal, units: Vec<crate::host::systemd::journal::Origin>, notes: &mut Vec<String>) -> Source {
        let range = match Range::of(run) {
            Ok(Some(range)) => Some(range),
            Ok(None) => {
                notes.push(
                    "the journal does not reach back to this run: what the engine did is from the run's records, and what \
                     steps printed from its files, in order but without the time of each line"
                        .into(),
                );
                None
            }
            Err(error) => {
                notes.push(format!(
                    "there is no journal to read ({error}): what the engine did is from the run's records, and what steps \
                     printed from its files, in order but without the time of each line"
                ));
                None
            }
        };
        let known = if range.is_some() { Steps::counted(run) } else { Steps::default() };
        let from_files = kept::steps_beyond(run, &known);
        if range.is_some() && run.end().is_some() && !from_files.is_empty() {
            let names: Vec<&str> = from_files.iter().map(String::as_str).collect();
            notes.push(format!(
                "the journal does not have every line of {}: they are from the run's files, without the time of each line",
                names.join(", ")
            ));
        }
        // While it goes on, files are ahead of the journal by the line that is just being written.
        let from_files = if range.is_some() && run.end().is_none() { BTreeSet::new() } else { from_files };
        Source { units, range, from_files }
    }

    /// Prints everything that is there; gives the cursor of the last line of the journal.
    fn print(&self, run: &Journal, printer: &mut Printer) -> Result<Option<String>> {
        let files = kept::lines(run, |step| self.from_files.contains(step));
        let records = if self.range.is_some() { Vec::new() } else { kept::records(run) };
        let mut kept = Kept::new(vec![Box::new(records.into_iter()), Box::new(files)]);
        let mut last = None;
        let read = journal::read(run, self.range.as_ref(), &self.units, &mut |cursor, line| {
            last = Some(cursor);
            if !line.is_of(&self.from_files) {
                kept.until(line.micros, &mut |line| printer.push(line));
                printer.push(line);
            }
        });
        kept.rest(&mut |line| printer.push(line));
        if let Err(error) = read
            && self.range.is_some()
        {
            return Err(error);
        }
        Ok(last)
    }

    fn follow(&self, run: &Journal, last: Option<String>, printer: &mut Printer) -> Result<()> {
        if self.range.is_none() {
            output::message("nothing can be followed: the journal does not have this run\n");
            return Ok(());
        }
        journal::follow(run, last, &self.units, &mut |line| printer.show(&line))
    }
}
