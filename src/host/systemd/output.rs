//! What a transient service writes: read from a pipe, appended to a log up to a cap, its last lines kept.
//!
//! A pipe, and not a file that systemd opens: the log may lie where the service's account may not look, nothing that the
//! service does can make the log grow past its cap (`LimitFSIZE=` would bound every other file of the step as well), and
//! lines can be told while it runs.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::error::{Context, Result};

/// How much of one command's output a log takes: what a person may still page through, times ten thousand commands.
const CAP: u64 = 64 << 20;
/// How many lines are kept for an error.
const TAIL_LINES: usize = 40;
/// How many bytes of one line are kept or told.
const LINE_BYTES: usize = 2_000;
/// How much one turn reads at most, so that a flood does not keep us from looking at the job.
const TURN: usize = 8 << 20;

/// The reading end.
pub(super) struct Output {
    pipe: File,
    log: File,
    path: PathBuf,
    cap: u64,
    written: u64,
    left_out: u64,
    fault: Option<String>,
    line: Vec<u8>,
    tail: VecDeque<String>,
}

/// What is known when all was read.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tail: Vec<String>,
    pub(super) left_out: u64,
    pub(super) fault: Option<String>,
}

impl Output {
    /// Opens the log for appending, and a pipe whose writing end is for the service.
    pub(super) fn to(path: &Path) -> Result<(Output, OwnedFd)> {
        Output::capped(path, CAP)
    }

    fn capped(path: &Path, cap: u64) -> Result<(Output, OwnedFd)> {
        let log = File::options().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(path);
        let log = log.with_context(|| format!("the log {} cannot be opened", path.display()))?;
        let (read, write) = std::io::pipe().context("a pipe for a command's output cannot be made")?;
        let pipe = File::from(OwnedFd::from(read));
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("a pipe for a command's output cannot be set up")?;
        let (line, tail) = (Vec::new(), VecDeque::new());
        let (written, left_out, fault) = (0, 0, None);
        let output = Output { pipe, log, path: path.to_owned(), cap, written, left_out, fault, line, tail };
        Ok((output, write.into()))
    }

    /// Waits at most `patience` for output and passes on what is there.
    pub(super) fn pass_on(&mut self, patience: Duration, told: &mut dyn FnMut(&str)) {
        let millis = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, millis).is_ok_and(|count| count > 0);
        let readable = fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
        if readable {
            self.read(told);
        } else if ready {
            // Every writer is gone, which poll tells at once and again; the job's end is yet to come.
            std::thread::sleep(patience);
        }
    }

    fn read(&mut self, told: &mut dyn FnMut(&str)) -> usize {
        let (mut chunk, mut turn) = (vec![0; 64 << 10], 0);
        while turn < TURN {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    self.write(&chunk[..count]);
                    self.split(&chunk[..count], told);
                    turn += count;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        turn
    }

    /// Reads what is still in the pipe, and ends the log. To be called when no writer lives.
    pub(super) fn finish(mut self, told: &mut dyn FnMut(&str)) -> Written {
        while self.read(told) > 0 {}
        if !self.line.is_empty() {
            self.end_line(told);
        }
        let tail: Vec<String> = self.tail.drain(..).collect();
        if self.left_out > 0 {
            let note = format!("\n[{} bytes of output left out; the last lines were:]\n", self.left_out);
            self.append(note.as_bytes());
            self.append(format!("{}\n", tail.join("\n")).as_bytes());
        }
        Written { tail, left_out: self.left_out, fault: self.fault }
    }

    fn write(&mut self, bytes: &[u8]) {
        let room = usize::try_from(self.cap - self.written).unwrap_or(usize::MAX).min(bytes.len());
        self.append(&bytes[..room]);
        self.written += room as u64;
        self.left_out += (bytes.len() - room) as u64;
    }

    /// A log that cannot be written (a full disk) is told at the end; the command goes on.
    fn append(&mut self, bytes: &[u8]) {
        if self.fault.is_none()
            && let Err(error) = self.log.write_all(bytes)
        {
            self.fault = Some(format!("the log {} cannot be written: {error}", self.path.display()));
        }
    }

    fn split(&mut self, bytes: &[u8], told: &mut dyn FnMut(&str)) {
        // A carriage return ends a line, too: progress that overwrites itself.
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let (text, ends) = match piece {
                [text @ .., b'\n' | b'\r'] => (text, true),
                text => (text, false),
            };
            let room = LINE_BYTES.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            if ends && !self.line.is_empty() {
                self.end_line(told);
            }
        }
    }

    fn end_line(&mut self, told: &mut dyn FnMut(&str)) {
        let line = crate::text::uncoloured(String::from_utf8_lossy(&self.line).trim_end());
        let line = crate::text::harmless(&line);
        self.line.clear();
        told(&line);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(cap: u64, bytes: &[u8]) -> (Written, String, Vec<String>) {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("step.log");
        let (mut output, end) = Output::capped(&path, cap).expect("an output");
        let (mut told, bytes) = (Vec::new(), bytes.to_vec());
        let writer = std::thread::spawn(move || File::from(end).write_all(&bytes).expect("written"));
        while !writer.is_finished() {
            output.pass_on(Duration::from_millis(1), &mut |line| told.push(line.to_owned()));
        }
        let written = output.finish(&mut |line| told.push(line.to_owned()));
        (written, std::fs::read_to_string(&path).expect("a log"), told)
    }

    #[test]
    fn output_is_logged_as_it_is_and_told_by_line() {
        let (written, log, told) = through(CAP, b"one\n\x1b[31mtwo\rthree");
        assert_eq!(log, "one\n\x1b[31mtwo\rthree");
        assert_eq!(told, ["one", "two", "three"]);
        assert_eq!((written.left_out, written.fault), (0, None));
    }

    #[test]
    fn a_flood_is_cut_at_the_cap_and_its_end_is_kept() {
        let mut flood = b"start\n".to_vec();
        flood.extend(std::iter::repeat_n(b'x', 3 << 20));
        flood.extend(b"\nthe reason\n");
        let (written, log, _) = through(1 << 20, &flood);
        assert!(log.starts_with("start\nxxx") && log.ends_with("the reason\n"), "{}", &log[log.len() - 50..]);
        assert!(log.len() < (1 << 20) + 4_000, "{}", log.len());
        assert_eq!(written.left_out, flood.len() as u64 - (1 << 20));
        assert_eq!(written.tail.last().map(String::as_str), Some("the reason"));
        assert!(written.tail.iter().all(|line| line.len() <= LINE_BYTES));
    }

    #[test]
    fn a_log_on_a_full_disk_does_not_stop_the_command() {
        let (mut output, end) = Output::capped(Path::new("/dev/full"), CAP).expect("an output");
        File::from(end).write_all(b"still here\n").expect("the pipe takes it");
        output.pass_on(Duration::from_millis(1), &mut |_| {});
        let written = output.finish(&mut |_| {});
        assert!(written.fault.is_some_and(|fault| fault.contains("No space left")));
        assert_eq!(written.tail, ["still here"]);
    }

    #[test]
    fn a_log_is_not_written_through_a_link() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("step.log");
        std::os::unix::fs::symlink("/dev/null", &path).expect("a link");
        assert!(Output::to(&path).is_err());
    }
}
