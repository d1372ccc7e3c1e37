//! What a child says on both of its pipes, read by whoever waits for it: a thread for each would cost more than most children.

use std::collections::VecDeque;
use std::io::{BufRead, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How many lines of standard error are kept.
const TAIL_LINES: usize = 40;
/// How many bytes of one line are kept.
const LINE_BYTES: usize = 2_000;

/// A pipe of a child, and what is done with what comes from it.
pub(super) struct Pipe<'p> {
    from: Box<dyn Source + 'p>,
    to: &'p mut dyn FnMut(&[u8]),
}

/// A pipe that can be waited for.
trait Source: Read + AsFd {}

impl<T: Read + AsFd> Source for T {}

impl<'p> Pipe<'p> {
    /// Passes on what comes from a pipe.
    pub(super) fn new(from: impl Read + AsFd + 'p, to: &'p mut dyn FnMut(&[u8])) -> Pipe<'p> {
        Pipe { from: Box::new(from), to }
    }

    /// Takes what is there; whether more may come.
    fn take(&mut self, chunk: &mut [u8]) -> bool {
        match self.from.read(chunk) {
            Ok(0) => false,
            Ok(count) => {
                (self.to)(&chunk[..count]);
                true
            }
            Err(error) => error.kind() == ErrorKind::Interrupted,
        }
    }
}

/// Listens until something else is ready, until the time is over, or to the end of all pipes where there is nothing else.
pub(super) fn listen(pipes: &mut Vec<Pipe>, other: Option<BorrowedFd>, until: Instant) {
    let mut chunk = [0; 16 << 10];
    while !pipes.is_empty() || other.is_some() {
        let (of_pipes, is_other) = ready(pipes, other, until.saturating_duration_since(Instant::now()));
        let mut of_pipes = of_pipes.into_iter();
        pipes.retain_mut(|pipe| !of_pipes.next().unwrap_or(false) || pipe.take(&mut chunk));
        // A stream without an end as well.
        if is_other || Instant::now() >= until {
            return;
        }
    }
}

/// Which of the pipes can be read, and whether the other can. What a signal interrupts is looked at again.
fn ready(pipes: &[Pipe], other: Option<BorrowedFd>, left: Duration) -> (Vec<bool>, bool) {
    let of = |fd| PollFd::new(fd, PollFlags::POLLIN);
    let mut polled: Vec<PollFd> = pipes.iter().map(|pipe| of(pipe.from.as_fd())).chain(other.map(of)).collect();
    let bound = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let is_any = poll(&mut polled, bound).is_ok_and(|ready| ready > 0);
    let mut ready: Vec<bool> = polled.iter().map(|polled| is_any && polled.any().unwrap_or(false)).collect();
    let is_other = other.is_some() && ready.pop().unwrap_or(false);
    (ready, is_other)
}

/// The last lines of a stream, each cut to a bound, whatever the stream holds.
#[derive(Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    line: Vec<u8>,
}

impl Tail {
    /// Goes on with these bytes.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (taken, rest) = bytes.split_at(end.map_or(bytes.len(), |at| at + 1));
            let room = LINE_BYTES.saturating_sub(self.line.len()).min(taken.len());
            self.line.extend_from_slice(&taken[..room]);
            if end.is_some() {
                self.push();
            }
            bytes = rest;
        }
    }

    fn push(&mut self) {
        if self.lines.len() == TAIL_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(String::from_utf8_lossy(&self.line).trim_end().to_owned());
        self.line.clear();
    }

    /// All of them, with one that has no end.
    pub(super) fn lines(mut self) -> Vec<String> {
        if !self.line.is_empty() {
            self.push();
        }
        self.lines.into()
    }
}

/// The last lines of a stream to its end; see [`Tail`].
pub fn tail(mut reader: impl BufRead) -> Vec<String> {
    let mut tail = Tail::default();
    while let Ok(buffer @ [_, ..]) = reader.fill_buf() {
        tail.take(buffer);
        let taken = buffer.len();
        reader.consume(taken);
    }
    tail.lines()
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn in_a_moment() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[test]
    fn both_pipes_are_read_to_their_ends_and_what_is_not_ended_is_kept() {
        let [(mut to_a, a), (mut to_b, b)] = [(); 2].map(|()| UnixStream::pair().unwrap());
        to_a.write_all(b"all of a").unwrap();
        to_b.write_all(b"b so far").unwrap();
        drop(to_a);
        let (mut of_a, mut of_b) = (Vec::new(), Vec::new());
        let (mut keep_a, mut keep_b) =
            (|bytes: &[u8]| of_a.extend_from_slice(bytes), |bytes: &[u8]| of_b.extend_from_slice(bytes));
        let mut pipes = vec![Pipe::new(&a, &mut keep_a), Pipe::new(&b, &mut keep_b)];
        listen(&mut pipes, None, in_a_moment());
        assert_eq!(pipes.len(), 1, "one is not at its end");
        to_b.write_all(b", and more").unwrap();
        drop(to_b);
        listen(&mut pipes, None, Instant::now() + Duration::from_secs(60));
        assert!(pipes.is_empty());
        drop(pipes);
        assert_eq!((of_a, of_b), (b"all of a".to_vec(), b"b so far, and more".to_vec()));
    }

    #[test]
    fn listening_ends_when_something_else_is_ready() {
        let (mut to, from) = UnixStream::pair().unwrap();
        let (mut other, is_over) = UnixStream::pair().unwrap();
        to.write_all(b"x").unwrap();
        other.write_all(b"x").unwrap();
        let mut heard = Vec::new();
        let mut keep = |bytes: &[u8]| heard.extend_from_slice(bytes);
        let mut pipes = vec![Pipe::new(&from, &mut keep)];
        listen(&mut pipes, Some(is_over.as_fd()), Instant::now() + Duration::from_secs(60));
        assert_eq!(pipes.len(), 1);
        drop(pipes);
        assert_eq!(heard, b"x");
    }

    #[test]
    fn a_stream_without_an_end_is_listened_to_no_longer_than_asked() {
        let zero = std::fs::File::open("/dev/zero").unwrap();
        let mut forget = |_: &[u8]| {};
        let mut pipes = vec![Pipe::new(zero, &mut forget)];
        listen(&mut pipes, None, in_a_moment());
        assert_eq!(pipes.len(), 1);
    }

    #[test]
    fn the_last_lines_are_kept_and_none_is_longer_than_its_bound() {
        let mut tail = Tail::default();
        (0..TAIL_LINES + 5).for_each(|number| tail.take(format!("line {number}\n").as_bytes()));
        tail.take(b"begun ");
        tail.take(&vec![b'x'; 3 * LINE_BYTES]);
        let lines = tail.lines();
        assert_eq!((lines.len(), lines[0].as_str()), (TAIL_LINES, "line 6"));
        assert_eq!(lines[TAIL_LINES - 1].len(), LINE_BYTES);
    }
}
