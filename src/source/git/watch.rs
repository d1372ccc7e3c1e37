//! Listening to a git that is at work: how far it is, and what it says otherwise.

use std::io::{BufReader, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use crate::error::Result;
use crate::host::process::{Command, Output, Running};
use crate::report::{Event, Reporter};

/// How long a remote may take until there is anything to tell: the connection and its first answer.
pub(super) const FIRST_WORD: Duration = Duration::from_secs(30);
/// How long it may then be silent: checking that a first fetch is complete says nothing.
pub(super) const SILENCE: Duration = Duration::from_secs(600);

/// Runs a git that talks to a remote, telling how far it is.
pub(super) fn converse(command: Command, reporter: &dyn Reporter) -> Result<Output> {
    let mut running = command.spawn()?;
    let stderr = Said::by(&mut running).until_the_end(&mut running, FIRST_WORD, reporter);
    Ok(Output { status: running.wait("git")?, stdout: Vec::new(), stderr })
}

/// What a git says on standard error.
pub(super) struct Said {
    lines: Receiver<String>,
    kept: Vec<String>,
}

impl Said {
    /// Listens to it.
    pub fn by(running: &mut Running) -> Said {
        let (sender, lines) = mpsc::channel();
        if let Some(pipe) = running.child.stderr.take() {
            std::thread::spawn(move || read_lines(pipe, &sender));
        }
        Said { lines, kept: Vec::new() }
    }

    /// Passes on what it said until now.
    pub fn so_far(&mut self, reporter: &dyn Reporter) {
        while let Ok(line) = self.lines.try_recv() {
            self.note(line, reporter);
        }
    }

    /// Passes its progress on and gives the lines that are none, until it ends or falls silent for too long.
    pub fn until_the_end(mut self, running: &mut Running, first: Duration, reporter: &dyn Reporter) -> Vec<String> {
        let mut patience = first;
        loop {
            match self.lines.recv_timeout(patience.min(running.left())) {
                Ok(line) => self.note(line, reporter),
                Err(RecvTimeoutError::Timeout) => {
                    running.expire();
                    return self.kept;
                }
                Err(RecvTimeoutError::Disconnected) => return self.kept,
            }
            patience = SILENCE;
        }
    }

    /// Takes note of a line, whoever said it.
    pub fn note(&mut self, line: String, reporter: &dyn Reporter) {
        match progress(&line) {
            Some(event) => reporter.tell(event),
            None if self.kept.len() < 200 && !line.is_empty() => self.kept.push(line),
            None => {}
        }
    }
}

/// Sends what a line end or, as in a progress line, a carriage return ends.
fn read_lines(pipe: impl Read, lines: &mpsc::Sender<String>) {
    let mut line = Vec::new();
    for byte in BufReader::new(pipe).bytes().map_while(std::result::Result::ok) {
        if byte != b'\n' && byte != b'\r' {
            line.push(byte);
        } else if lines.send(String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned()).is_err() {
            return;
        }
    }
    // Nobody listens any more where this fails.
    lines.send(String::from_utf8_lossy(&line).into_owned()).unwrap_or_default();
}

/// `Receiving objects:  45% (9/20), 1.20 MiB | 3.00 MiB/s`: the bytes where git tells them, the objects before.
fn progress(line: &str) -> Option<Event> {
    let rest = line.strip_prefix("Receiving objects:")?;
    let (counts, rest) = rest.split_once('(')?.1.split_once(')')?;
    if let Some(done) = rest.strip_prefix(", ").and_then(bytes) {
        return Some(Event::Progress { what: "fetch".into(), done, total: None, unit: "bytes" });
    }
    let (done, total) = counts.split_once('/')?;
    Some(Event::Progress {
        what: "fetch".into(),
        done: done.parse().ok()?,
        total: Some(total.parse().ok()?),
        unit: "objects",
    })
}

/// `1.20 MiB | ...`, as git writes sizes: powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split(" |").next()?.split_once(' ')?;
    let factor = match unit.trim_end_matches([',', '.', ' ']) {
        "bytes" | "byte" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * factor) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_in_bytes_once_git_tells_them() {
        let told = |line: &str| match progress(line) {
            Some(Event::Progress { done, total, unit, .. }) => Some((done, total, unit)),
            _ => None,
        };
        assert_eq!(told("Receiving objects:  45% (9/20)"), Some((9, Some(20), "objects")));
        assert_eq!(told("Receiving objects:  45% (9/20), 1.50 MiB | 3.00 MiB/s"), Some((1_572_864, None, "bytes")));
        assert_eq!(
            told("Receiving objects: 100% (20/20), 512 bytes | 512.00 KiB/s, done."),
            Some((512, None, "bytes"))
        );
        assert_eq!(progress("remote: Counting objects: 5"), None);
    }
}
