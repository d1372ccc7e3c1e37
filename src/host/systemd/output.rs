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

use aho_corasick::{AhoCorasick, Input};
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
/// How much of a line without an end is held back, so that a secret in it is seen whole.
const HELD: usize = 64 << 10;

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
    secrets: Secrets,
    held: Vec<u8>,
}

/// What is known when all was read.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tail: Vec<String>,
    pub(super) left_out: u64,
    pub(super) fault: Option<String>,
}

impl Output {
    /// Opens the log for appending, and a pipe whose writing end is for the service. None of `secrets` gets into the log.
    pub(super) fn to(path: &Path, secrets: &[String]) -> Result<(Output, OwnedFd)> {
        Output::capped(path, CAP, secrets)
    }

    fn capped(path: &Path, cap: u64, secrets: &[String]) -> Result<(Output, OwnedFd)> {
        let log = File::options().append(true).create(true).mode(0o640).custom_flags(libc::O_NOFOLLOW).open(path);
        let log = log.with_context(|| format!("the log {} cannot be opened", path.display()))?;
        let (read, write) = std::io::pipe().context("a pipe for a command's output cannot be made")?;
        let pipe = File::from(OwnedFd::from(read));
        fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("a pipe for a command's output cannot be set up")?;
        let (line, tail) = (Vec::new(), VecDeque::new());
        let (written, left_out, fault) = (0, 0, None);
        let (path, secrets, held) = (path.to_owned(), Secrets::of(secrets)?, Vec::new());
        let output = Output { pipe, log, path, cap, written, left_out, fault, line, tail, secrets, held };
        Ok((output, write.into()))
    }

    /// Waits at most `patience` for output and passes on what is there. `false`: every writer is gone, and nothing was waited for.
    pub(super) fn pass_on(&mut self, patience: Duration, told: &mut dyn FnMut(&str)) -> bool {
        let millis = PollTimeout::try_from(patience).unwrap_or(PollTimeout::ZERO);
        let mut fds = [PollFd::new(self.pipe.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, millis).is_ok_and(|count| count > 0);
        let readable = fds[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN));
        if readable {
            self.read(told);
        }
        readable || !ready
    }

    fn read(&mut self, told: &mut dyn FnMut(&str)) -> usize {
        let (mut chunk, mut turn) = (vec![0; 64 << 10], 0);
        while turn < TURN {
            match self.pipe.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    self.hold(&chunk[..count]);
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
        self.release(self.held.len());
        let tail: Vec<String> = self.tail.drain(..).collect();
        if self.left_out > 0 {
            let note = format!("\n[{} bytes of output left out; the last lines were:]\n", self.left_out);
            self.append(note.as_bytes());
            self.append(format!("{}\n", tail.join("\n")).as_bytes());
        }
        Written { tail, left_out: self.left_out, fault: self.fault }
    }

    /// Passes whole lines on to the log; the rest waits for its end.
    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let ended = self.held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let long = self.held.len() - ended > HELD;
        let cut =
            if long { self.secrets.gap_before(&self.held, self.held.len() - self.secrets.longest) } else { ended };
        self.release(cut);
    }

    fn release(&mut self, cut: usize) {
        let rest = self.held.split_off(cut);
        let piece = std::mem::replace(&mut self.held, rest);
        match self.secrets.hides(&piece) {
            false => self.write(&piece),
            true => self.write(self.secrets.redacted(&piece).as_bytes()),
        }
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
            // A secret at the cut has to be whole to be seen.
            let room = (LINE_BYTES + self.secrets.longest).saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            if ends && !self.line.is_empty() {
                self.end_line(told);
            }
        }
    }

    fn end_line(&mut self, told: &mut dyn FnMut(&str)) {
        let mut line = match self.secrets.hides(&self.line) {
            false => String::from_utf8_lossy(&self.line).into_owned(),
            true => self.secrets.redacted(&self.line),
        };
        line.truncate(line.floor_char_boundary(LINE_BYTES));
        let line = crate::text::harmless(crate::text::uncoloured(&line).trim_end());
        self.line.clear();
        told(&line);
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }
}

/// The texts that must not get into a log.
#[derive(Debug)]
pub struct Secrets {
    texts: Vec<String>,
    pattern: Option<AhoCorasick>,
    longest: usize,
}

impl Secrets {
    /// Texts over several lines are told to us by their lines as well.
    pub fn of(texts: &[String]) -> Result<Secrets> {
        let texts: Vec<String> =
            texts.iter().filter(|text| !text.is_empty() && !text.contains('\n')).cloned().collect();
        let pattern = match texts.is_empty() {
            true => None,
            false => Some(AhoCorasick::new(&texts).context("the values of .env cannot be looked for in output")?),
        };
        let longest = texts.iter().map(String::len).max().unwrap_or(0);
        Ok(Secrets { texts, pattern, longest })
    }

    /// Whether one of them is in these bytes.
    pub fn hides(&self, bytes: &[u8]) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.is_match(bytes))
    }

    /// The bytes as text, without them.
    pub fn redacted(&self, bytes: &[u8]) -> String {
        crate::text::redact(&String::from_utf8_lossy(bytes), &self.texts)
    }

    /// The last place at or before `at` that no secret in `bytes` goes over; where there is none, all of it.
    fn gap_before(&self, bytes: &[u8], at: usize) -> usize {
        let Some(pattern) = &self.pattern else { return at };
        let mut at = at;
        loop {
            let window = at.saturating_sub(self.longest)..bytes.len().min(at + self.longest);
            let found = pattern.find_overlapping_iter(Input::new(bytes).range(window));
            let over = found.filter(|found| found.start() < at && found.end() > at).min_by_key(|found| found.start());
            match over {
                Some(found) if found.start() > 0 => at = found.start(),
                Some(_) => return bytes.len(),
                None => return at,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(cap: u64, bytes: &[u8]) -> (Written, String, Vec<String>) {
        hiding(&[], cap, bytes)
    }

    fn hiding(secrets: &[&str], cap: u64, bytes: &[u8]) -> (Written, String, Vec<String>) {
        let secrets: Vec<String> = secrets.iter().map(|text| (*text).to_owned()).collect();
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("step.log");
        let (mut output, end) = Output::capped(&path, cap, &secrets).expect("an output");
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
    fn a_secret_is_in_no_log_and_in_no_line() {
        let (written, log, told) =
            hiding(&["hunter2-long", "long-tail"], CAP, b"a hunter2-long-tail b\nhunter2-long\rlong-tail");
        assert_eq!(log, "a <redacted> b\n<redacted>\r<redacted>");
        assert_eq!(told, ["a <redacted> b", "<redacted>", "<redacted>"]);
        assert!(!written.tail.join("").contains("long"));
        let flood = [vec![b'x'; LINE_BYTES - 4], b"hunter2-long".to_vec(), vec![b'y'; 3 * HELD]].concat();
        let (written, log, _) = hiding(&["hunter2-long"], CAP, &[flood.clone(), flood].concat());
        assert!(!log.contains("hunter2") && log.matches("<redacted>").count() == 2, "{}", log.len());
        assert!(!written.tail[0].contains("hun"), "{}", written.tail[0]);
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
        let (mut output, end) = Output::capped(Path::new("/dev/full"), CAP, &[]).expect("an output");
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
        assert!(Output::to(&path, &[]).is_err());
    }
}
