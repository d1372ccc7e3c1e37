//! One line, and how it is shown.

use std::collections::{BTreeSet, VecDeque};
use std::io::IsTerminal;

use serde_json::json;

use crate::cli::output;
use crate::cli::style::{BOLD, DIM, paint};
use crate::error::{Error, Result};
use crate::host::systemd::Secrets;

/// Whose line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The engine's.
    Engine,
    /// A step's or a check's: `COMPONENT/NAME`.
    Step(String),
    /// A unit's.
    Unit(String),
}

/// Whose lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Only {
    /// What relift itself did.
    Engine,
    /// What steps and checks printed.
    Steps,
    /// What the services of the install said.
    Units,
}

impl Only {
    /// Of the word after `--only`.
    pub fn parse(word: &str) -> Result<Only> {
        match word {
            "engine" => Ok(Only::Engine),
            "steps" => Ok(Only::Steps),
            "units" => Ok(Only::Units),
            _ => Err(Error::usage(format!("`--only {}` says nothing of a log", crate::text::harmless(word)))
                .hint("one or more of --only engine, --only steps, --only units")),
        }
    }
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Microseconds of the realtime clock.
    pub micros: u64,
    /// In which boot; `None`: it is not from the journal.
    pub boot: Option<String>,
    /// Whose.
    pub origin: Origin,
    /// What, made harmless.
    pub text: String,
}

impl Origin {
    fn kind(&self) -> (&'static str, Only) {
        match self {
            Origin::Engine => ("engine", Only::Engine),
            Origin::Step(_) => ("step", Only::Steps),
            Origin::Unit(_) => ("unit", Only::Units),
        }
    }

    fn name(&self) -> &str {
        match self {
            Origin::Engine => "relift",
            Origin::Step(name) | Origin::Unit(name) => name,
        }
    }
}

impl Line {
    /// Whether it is of one of these steps.
    pub fn is_of(&self, steps: &BTreeSet<String>) -> bool {
        matches!(&self.origin, Origin::Step(name) if steps.contains(name))
    }

    /// As text: time, origin, words.
    fn text(&self) -> String {
        format!("{} {}: {}\n", paint(DIM, time(self.micros)), paint(BOLD, self.origin.name()), self.text)
    }

    fn document(&self) -> serde_json::Value {
        let (kind, _) = self.origin.kind();
        json!({"event": "line", "time-usec": self.micros, "boot": self.boot, "origin": kind, "name": self.origin.name(), "line": self.text})
    }
}

/// A time of the journal in the host's own time zone.
fn time(micros: u64) -> String {
    let time = i64::try_from(micros).ok().and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    time.unwrap_or_default().to_zoned(crate::host::clock::zone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// Shows lines, without the secrets in them.
pub struct Printer<'a> {
    only: Vec<Only>,
    limit: Option<usize>,
    json: bool,
    secrets: &'a Secrets,
    held: VecDeque<Line>,
    boot: Option<String>,
    shown: u64,
}

impl<'a> Printer<'a> {
    /// A printer for all lines, or for the last `limit`.
    pub fn new(only: Vec<Only>, limit: Option<usize>, json: bool, secrets: &'a Secrets) -> Printer<'a> {
        Printer { only, limit, json, secrets, held: VecDeque::new(), boot: None, shown: 0 }
    }

    /// Tells what is shown, and what should be known of it.
    pub fn head(&self, run: &str, install: &str, notes: &[String]) {
        if self.json {
            output::event(&json!({"event": "logs", "format": 1, "run": run, "install": install, "notes": notes}));
        }
        notes.iter().filter(|_| !self.json).for_each(|note| output::message(&format!("note: {note}\n")));
    }

    /// Takes a line; it is shown at once where all are.
    pub fn push(&mut self, line: Line) {
        if !self.wants(&line) {
            return;
        }
        match self.limit {
            None => self.print(line),
            Some(limit) => {
                self.held.push_back(line);
                if self.held.len() > limit {
                    self.held.pop_front();
                }
            }
        }
    }

    /// Shows a line that was waited for.
    pub fn show(&mut self, line: &Line) {
        if self.wants(line) {
            self.print(line.clone());
        }
    }

    /// Shows the last lines.
    pub fn flush(&mut self) {
        while let Some(line) = self.held.pop_front() {
            self.print(line);
        }
    }

    /// Says so where there was nothing.
    pub fn end(&self, run: &str) {
        if self.shown == 0 && !self.json {
            output::message(&format!("run {run} left no such lines\n"));
        }
    }

    fn wants(&self, line: &Line) -> bool {
        self.only.is_empty() || self.only.contains(&line.origin.kind().1)
    }

    fn clean(&self, mut line: Line) -> Line {
        if self.secrets.hides(line.text.as_bytes()) {
            line.text = self.secrets.redacted(line.text.as_bytes());
        }
        line
    }

    fn print(&mut self, line: Line) {
        let line = self.clean(line);
        self.shown += 1;
        if self.json {
            return output::event(&line.document());
        }
        let mark = if is_another(self.boot.as_ref(), &line) { "-- the host was booted --\n" } else { "" };
        self.boot = line.boot.clone().or(self.boot.take());
        let text = format!("{mark}{}", line.text());
        match std::io::stdout().is_terminal() {
            true => output::data(&text),
            false => output::text(&text),
        }
    }
}

/// Whether a line is of another boot than what came before it.
fn is_another(boot: Option<&String>, line: &Line) -> bool {
    boot.zip(line.boot.as_ref()).is_some_and(|(before, now)| before != now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(boot: Option<&str>) -> Line {
        Line { micros: 0, boot: boot.map(str::to_owned), origin: Origin::Engine, text: String::new() }
    }

    #[test]
    fn a_boot_is_told_where_the_journal_shows_one_and_what_is_kept_elsewhere_hides_none() {
        let mut boot = None;
        let lines = [None, Some("a"), None, Some("a"), None, Some("b"), Some("b")].map(line);
        let told = lines.iter().map(|line| {
            let told = is_another(boot.as_ref(), line);
            boot = line.boot.clone().or(boot.take());
            told
        });
        assert_eq!(told.collect::<Vec<_>>(), [false, false, false, false, false, true, false]);
    }

    #[test]
    fn a_secret_is_in_no_line_that_is_held_or_shown() {
        let secrets = Secrets::of(&["hunter2-long".to_owned()]).unwrap();
        let mut printer = Printer::new(vec![Only::Units], Some(1), true, &secrets);
        let said = |text: &str, origin| Line { text: text.into(), origin, ..line(None) };
        printer.push(said("older", Origin::Unit("a.service".into())));
        printer.push(said("token hunter2-long", Origin::Unit("a.service".into())));
        printer.push(said("not wanted", Origin::Engine));
        assert_eq!(printer.held.len(), 1, "the last one that is wanted");
        let held = printer.held.pop_front().unwrap();
        assert_eq!(printer.clean(held).text, "token <redacted>");
    }

    #[test]
    fn only_takes_three_words() {
        assert_eq!(
            ["engine", "steps", "units"].map(|word| Only::parse(word).ok()),
            [Only::Engine, Only::Steps, Only::Units].map(Some)
        );
        assert!(Only::parse("manager").unwrap_err().hints[0].contains("--only steps"));
    }
}
