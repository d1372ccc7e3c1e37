//! Taking in what is new at a remote: one conversation, held by ourselves, with git's own programs at both ends. Whoever opens the
//! connection runs as another account; root's git-index-pack(1) checks every object that comes, and that all it links to is
//! there. What git-fetch(1) does beside that, walking through all trees of what was there before, is not needed in a mirror
//! ([`news`](super::news)), and would cost as much as the repository is large.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, ExitStatus};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use git2::{Oid, Repository};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::call::in_mirror;
use super::credential::Lent;
use super::mirror::Refs;
use super::news::{News, Unheard, Wanted};
use super::packet;
use super::remote::Remote;
use super::v2::{self, Piece, Server};
use super::watch::{FIRST_WORD, SILENCE, Said};
use crate::error::{Error, Result};
use crate::host::process::{Command, Input, Output, Running, read_tail};
use crate::report::Reporter;

/// How much a list of refs may hold, bytes.
const LONGEST: u64 = 64 << 20;

/// How long whoever opened the connection may take to end once there is nothing more to say.
const GOODBYE: Duration = Duration::from_secs(2);

/// Brings a mirror up to date with its remote. What is given is the end of the git that counts, as if git-fetch(1) had run;
/// `None`: that is to run, since the remote speaks no version 2 or has what only git can judge.
pub(super) fn take(
    remote: &Remote,
    lent: Option<&Lent>,
    mirror: &Path,
    wanted: &Wanted,
    reporter: &dyn Reporter,
) -> Result<Option<Output>> {
    let here = Repository::open_bare(mirror).ok();
    let has_some = here.is_some_and(|here| here.references().is_ok_and(|mut all| all.next().is_some()));
    remote.speaks(lent, has_some).map_or(Ok(None), |command| over(command, remote, mirror, wanted, reporter))
}

/// The same over a connection that this opens.
fn over(
    command: Command,
    remote: &Remote,
    mirror: &Path,
    wanted: &Wanted,
    reporter: &dyn Reporter,
) -> Result<Option<Output>> {
    let mut line = Line::open(command)?;
    match converse(&mut line, remote, mirror, wanted, reporter) {
        Ok(()) => line.end(GOODBYE).map(|_| Some(ended(0, Vec::new()))),
        Err(Stop::ForGit) => line.end(GOODBYE).map(|_| None),
        Err(Stop::Git(output)) => line.end(Duration::ZERO).map(|_| Some(output)),
        Err(Stop::Ours(error)) => line.end(Duration::ZERO).and(Err(error)),
        Err(Stop::Line(error)) => line.failed(&error).map(Some),
    }
}

type Told<T> = std::result::Result<T, Stop>;

/// Why a conversation came to no good end.
enum Stop {
    /// git-fetch(1) is to hold it.
    ForGit,
    /// What came over the connection, or did not.
    Line(io::Error),
    /// What a git of root's said to it.
    Git(Output),
    /// What is wrong here.
    Ours(Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Line(error)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Ours(error)
    }
}

fn converse(line: &mut Line, remote: &Remote, mirror: &Path, wanted: &Wanted, reporter: &dyn Reporter) -> Told<()> {
    let server = line.greet(remote.is_http())?.ok_or(Stop::ForGit)?;
    let offered = line.list(&server, wanted)?;
    // What is odd about the mirror git tells.
    let open = || Repository::open_bare(mirror).map_err(|_| Stop::ForGit);
    let here = open()?;
    let news = News::of(&here, wanted, &offered).ok_or(Stop::ForGit)?;
    let has =
        |here: &Repository, oid: &str| Oid::from_str(oid).is_ok_and(|oid| here.odb().is_ok_and(|odb| odb.exists(oid)));
    if news.wants.is_empty() {
        line.close();
    } else {
        line.say(&server.fetch(&news.wants, &news.haves))?;
        v2::until_pack(&mut line.from, &|oid| has(&here, oid))?;
        index(line, remote, mirror, reporter)?;
        let here = open()?;
        if let Some(missing) = news.wants.iter().find(|oid| !has(&here, oid)) {
            return Err(io::Error::other(format!("did not send all necessary objects: {missing}")).into());
        }
    }
    for transaction in news.transactions().into_iter().filter(|lines| !lines.is_empty()) {
        let git = in_mirror(mirror).args(["update-ref", "--stdin"]).stdin(Input::Bytes(transaction.into_bytes()));
        let output = git.output()?;
        if !output.success() {
            return Err(Stop::Git(output));
        }
    }
    Ok(())
}

/// Feeds the pack that comes to git-index-pack(1), which keeps it whole or not at all.
fn index(line: &mut Line, remote: &Remote, mirror: &Path, reporter: &dyn Reporter) -> Told<()> {
    let words = ["index-pack", "--stdin", "--fix-thin", "--strict", "-v"];
    let command = in_mirror(mirror).args(words).largest_file(remote.max_fetch).timeout(line.running.left());
    let mut git = command.stdin(Input::Pipe).spawn()?;
    let mut said = Said::by(&mut git);
    let fed = match git.child.stdin.take() {
        Some(stdin) => {
            Patient::new(stdin, &git).and_then(|mut to| feed(line, &mut to, remote.max_fetch, &mut said, reporter))
        }
        None => Ok(()),
    };
    let lost = match fed {
        Ok(()) => {
            line.close();
            None
        }
        // It read no further: why, it says itself.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Some(error),
        Err(error) => {
            git.expire();
            Some(error)
        }
    };
    let stderr = said.until_the_end(&mut git, SILENCE, reporter);
    let status = git.wait("git")?;
    match (lost, status) {
        (Some(error), _) if error.kind() != ErrorKind::BrokenPipe => {
            line.heard = stderr.into_iter().filter(|text| text.starts_with(REMOTE)).collect();
            Err(error.into())
        }
        (None, Some(status)) if status.success() => Ok(()),
        (Some(_), Some(status)) if status.success() => Err(io::Error::other("more came than a pack").into()),
        (_, status) => {
            let died =
                status.and_then(|status| status.signal()).map(|signal| format!("index-pack died of signal {signal}"));
            Err(Stop::Git(Output { status, stdout: Vec::new(), stderr: stderr.into_iter().chain(died).collect() }))
        }
    }
}

/// With what a line that the server says beside the pack begins, as git has it.
const REMOTE: &str = "remote: ";

/// Passes a pack on to its end.
fn feed(line: &mut Line, to: &mut dyn Write, most: u64, said: &mut Said, reporter: &dyn Reporter) -> io::Result<()> {
    let (mut content, mut came) = (Vec::new(), 0);
    loop {
        match v2::piece(&mut line.from, &mut content)? {
            Piece::Pack(part) => {
                came += part.len() as u64;
                if came > most {
                    return Err(ErrorKind::FileTooLarge.into());
                }
                to.write_all(part)?;
            }
            Piece::Said(words) => {
                for text in String::from_utf8_lossy(words).split(['\r', '\n']).filter(|text| !text.trim().is_empty()) {
                    said.note(format!("{REMOTE}{text}"), reporter);
                }
            }
            Piece::End => return Ok(()),
        }
        said.so_far(reporter);
    }
}

/// The connection.
struct Line {
    running: Running,
    to: Option<Patient<ChildStdin>>,
    from: BufReader<Patient<ChildStdout>>,
    stderr: Option<Receiver<Vec<String>>>,
    /// What the server said beside a pack that did not come to its end.
    heard: Vec<String>,
}

impl Line {
    fn open(command: Command) -> Result<Line> {
        let mut running = command.stdin(Input::Pipe).spawn()?;
        let (stdin, stdout) = (running.child.stdin.take(), running.child.stdout.take());
        let stderr = running.child.stderr.take().map(read_tail);
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err(Error::failed("git has no pipes")) };
        let pipes = Patient::new(stdin, &running).and_then(|to| Ok((to, Patient::new(stdout, &running)?)));
        let (to, from) = pipes.map_err(|error| Error::failed("git cannot be talked to").because(error))?;
        Ok(Line { running, to: Some(to), from: BufReader::with_capacity(1 << 16, from), stderr, heard: Vec::new() })
    }

    /// What the server says of itself; `None`: it speaks no version 2.
    fn greet(&mut self, through_helper: bool) -> io::Result<Option<Server>> {
        if through_helper {
            self.say("stateless-connect git-upload-pack\n")?;
            let mut answer = [0];
            self.from.read_exact(&mut answer)?;
            // Any other is a word: `fallback`.
            if answer != *b"\n" {
                return Ok(None);
            }
        }
        let said = packet::lines(&mut (&mut self.from).take(LONGEST))?;
        Ok(Server::of(&said))
    }

    /// What it has of what is wanted.
    fn list(&mut self, server: &Server, wanted: &Wanted) -> Told<Refs> {
        self.say(&server.ls_refs(&wanted.prefixes()))?;
        let listed = packet::lines(&mut (&mut self.from).take(LONGEST))?;
        wanted.among(&listed).map_err(|unheard| match unheard {
            Unheard::ForGit => Stop::ForGit,
            Unheard::Said(said) => io::Error::other(said).into(),
        })
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.to.as_mut().map_or(Ok(()), |to| to.write_all(text.as_bytes()))
    }

    /// Says nothing more.
    fn close(&mut self) {
        self.to = None;
    }

    /// Ends it, in this time if it does not end by itself; how it ended.
    fn end(&mut self, time: Duration) -> Result<Option<ExitStatus>> {
        self.close();
        self.running.ends_within(time);
        self.running.wait("git")
    }

    /// What became of a conversation that this ended.
    fn failed(mut self, error: &io::Error) -> Result<Output> {
        let is_over = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe);
        let words = match error.kind() {
            _ if is_over => "the remote end hung up unexpectedly".into(),
            ErrorKind::FileTooLarge => "File too large".into(),
            _ => error.to_string(),
        };
        // One that could not go on says why before it ends.
        let status = self.end(if is_over { GOODBYE } else { Duration::ZERO })?;
        let said = self.stderr.and_then(|said| said.recv_timeout(GOODBYE).ok()).unwrap_or_default();
        let is_told = is_over && !said.is_empty();
        let own = (!is_told).then(|| format!("fatal: {words}"));
        let output = ended(128, self.heard.into_iter().chain(said).chain(own).collect());
        let status = match error.kind() {
            ErrorKind::TimedOut => None,
            _ => status.filter(|status| is_over && !status.success()).or(output.status),
        };
        Ok(Output { status, ..output })
    }
}

fn ended(code: i32, stderr: Vec<String>) -> Output {
    Output { status: Some(ExitStatus::from_raw(code << 8)), stdout: Vec::new(), stderr }
}

/// A pipe that is waited for only so long.
struct Patient<T> {
    pipe: T,
    patience: Duration,
    deadline: Instant,
}

impl<T: AsFd> Patient<T> {
    fn new(pipe: T, of: &Running) -> io::Result<Patient<T>> {
        let flags = OFlag::from_bits_truncate(fcntl(&pipe, FcntlArg::F_GETFL)?);
        fcntl(&pipe, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Patient { pipe, patience: FIRST_WORD, deadline: Instant::now() + of.left() })
    }

    /// Does it as soon as it can be done.
    fn when_ready(&mut self, flags: PollFlags, work: &mut dyn FnMut(&mut T) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match work(&mut self.pipe) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.wait(flags)?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                done => {
                    self.patience = SILENCE;
                    return done;
                }
            }
        }
    }

    fn wait(&self, flags: PollFlags) -> io::Result<()> {
        let left = self.patience.min(self.deadline.saturating_duration_since(Instant::now()));
        wait_for(self.pipe.as_fd(), flags, left)
    }
}

fn wait_for(pipe: BorrowedFd, flags: PollFlags, time: Duration) -> io::Result<()> {
    let bound = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(pipe, flags)], bound) {
        Ok(0) => Err(ErrorKind::TimedOut.into()),
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Read for Patient<ChildStdout> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::POLLIN, &mut |pipe| pipe.read(into))
    }
}

impl Write for Patient<ChildStdin> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.when_ready(PollFlags::POLLOUT, &mut |pipe| pipe.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
