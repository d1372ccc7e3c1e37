//! What `relift try` itself says: captions between the verbs, and at the end what was measured.

use std::time::Duration;

use serde::Serialize;

use crate::cli::globals::Globals;
use crate::cli::output;
use crate::cli::style::{BAD, BOLD, DIM, GOOD, paint};
use crate::error::{Error, Exit, Result};

/// How wide captions are: readable, and no wider than the narrowest terminal.
const WIDTH: usize = 78;

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A person, who sees the verbs at work.
    Show,
    /// Nobody, unless something did not hold.
    Quiet,
    /// A program: one document at the end.
    Json,
}

/// Something that was expected, and what was found.
#[derive(Debug, Serialize)]
pub struct Measured {
    what: &'static str,
    held: bool,
    saw: String,
}

impl Measured {
    /// Makes one.
    pub fn of(what: &'static str, held: bool, saw: String) -> Measured {
        Measured { what, held, saw }
    }
}

/// A verb that was run.
#[derive(Debug, Serialize)]
struct Ran {
    command: String,
    exit: i32,
    seconds: f64,
}

/// Tells the story, and keeps what was measured.
#[derive(Debug)]
pub struct Voice {
    mode: Mode,
    measured: Vec<Measured>,
    ran: Vec<Ran>,
}

impl Voice {
    /// For the reader that the options ask for.
    pub fn new(globals: &Globals) -> Voice {
        let mode = match () {
            () if globals.json => Mode::Json,
            () if globals.quiet => Mode::Quiet,
            () => Mode::Show,
        };
        Voice { mode, measured: Vec::new(), ran: Vec::new() }
    }

    /// Who is told.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The first line.
    pub fn title(&self) {
        self.say(&paint(BOLD, "relift try: an upgrade that succeeds, and one that fails and comes back"));
    }

    /// The head of a part.
    pub fn heading(&self, number: usize, text: &str) {
        let head = format!("── {number}. {text} ");
        let rule = "─".repeat(WIDTH.saturating_sub(head.chars().count()));
        self.say(&format!("\n{}", paint(BOLD, format!("{head}{rule}"))));
    }

    /// What is shown next, and why.
    pub fn caption(&self, text: &str) {
        self.say(&format!("\n{}", wrapped(text, WIDTH)));
    }

    /// Something that was done out of sight.
    pub fn done(&self, text: &str, took: Duration) {
        self.say(&format!("\n  {} {text} {}", paint(GOOD, "✓"), paint(DIM, format!("{:.1} s", took.as_secs_f64()))));
    }

    /// A command that follows.
    pub fn command(&self, line: &str) {
        self.say(&format!("\n{}", paint(BOLD, format!("# {line}"))));
    }

    /// How it ended.
    pub fn ended(&mut self, line: &str, exit: i32, took: Duration) {
        self.ran.push(Ran { command: line.to_owned(), exit, seconds: rounded(took) });
    }

    /// Keeps a measurement for the end.
    pub fn measured(&mut self, measured: Measured) {
        self.measured.push(measured);
    }

    /// Says what was measured, and fails when something did not hold.
    pub fn end(&self, took: Duration) -> Result<Exit> {
        let failed: Vec<_> = self.measured.iter().filter(|measured| !measured.held).collect();
        let exit = if failed.is_empty() { Exit::Done } else { Exit::Failed };
        match self.mode {
            Mode::Show => self.say(&self.summary(failed.len(), took)),
            Mode::Json => output::document(&serde_json::json!({
                "format": 1,
                "held": failed.is_empty(),
                "seconds": rounded(took),
                "commands": self.ran,
                "measured": self.measured,
                "exit": exit as u8,
            })),
            Mode::Quiet if failed.is_empty() => {}
            Mode::Quiet => {
                let error =
                    Error::failed(format!("{} of {} expectations did not hold", failed.len(), self.measured.len()));
                let error = failed.iter().fold(error, |error, one| error.because(format!("{}: {}", one.what, one.saw)));
                return Err(error.hint("to see it happen: relift try"));
            }
        }
        Ok(exit)
    }

    fn summary(&self, failed: usize, took: Duration) -> String {
        let mut lines = vec![String::new(), paint(BOLD, "What was measured"), String::new()];
        for Measured { what, held, saw } in &self.measured {
            let mark = if *held { paint(GOOD, "✓") } else { paint(BAD, "✗") };
            lines.push(format!("  {mark} {} {saw}", paint(DIM, format!("{what:<15}"))));
        }
        let took = format!("{:.1} s in all; the twin is gone.", took.as_secs_f64());
        lines.push(String::new());
        lines.push(match failed {
            0 => format!("{} Everything held. {took}", paint(GOOD, "✓")),
            1 => format!("{} {took}", paint(BAD, "✗ One expectation did not hold.")),
            count => format!("{} {took}", paint(BAD, format!("✗ {count} expectations did not hold."))),
        });
        if failed == 0 {
            lines.push(format!("  For an install of yours: {}", paint(BOLD, "relift init PATH")));
        }
        lines.join("\n")
    }

    fn say(&self, text: &str) {
        if self.mode == Mode::Show {
            output::data(&format!("{text}\n"));
        }
    }
}

/// Seconds, to the millisecond.
fn rounded(took: Duration) -> f64 {
    took.as_millis() as f64 / 1000.0
}

/// Breaks a text into lines between words.
fn wrapped(text: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_lose_none() {
        assert_eq!(wrapped("one two  three", 7), "one two\nthree");
        assert_eq!(wrapped("incomprehensibilities of it", 5), "incomprehensibilities\nof it");
    }
}
