//! One line, and how it is shown.

use std::collections::{BTreeSet, VecDeque};
use std::io::IsTerminal;

use serde_json::json;

use crate::cli::output;
use crate::cli::style::{BOLD, DIM, paint};
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

/// `--only`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Only {
    /// What relift itself did
    Engine,
    /// What steps and checks printed
    Steps,
    /// What the services of the install said
    Units,
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
    time.unwrap_or_default().to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// Shows lines, without the secrets in them.
pub struct Printer<'a> {
    only: Option<Only>,
    limit: Option<usize>,
    json: bool,
    secrets: &'a Secrets,
    held: VecDeque<Line>,
    boot: Option<String>,
    shown: u64,
}

impl<'a> Printer<'a> {
    /// A printer for all lines, or for the last `limit`.
    pub fn new(only: Option<Only>, limit: Option<usize>, json: bool, secrets: &'a Secrets) -> Printer<'a> {
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
        self.only.is_none_or(|only| line.origin.kind().1 == only)
    }

    fn print(&mut self, mut line: Line) {
        if self.secrets.hides(line.text.as_bytes()) {
            line.text = self.secrets.redacted(line.text.as_bytes());
        }
        self.shown += 1;
        if self.json {
            return output::event(&line.document());
        }
        let is_new = line.boot.is_some() && self.boot.is_some() && line.boot != self.boot;
        let mark = if is_new { "-- the host was booted --\n" } else { "" };
        self.boot = line.boot.clone().or(self.boot.take());
        let text = format!("{mark}{}", line.text());
        match std::io::stdout().is_terminal() {
            true => output::data(&text),
            false => output::text(&text),
        }
    }
}
