//! The agent: a child that has become an account and talks to its user manager for us.
//!
//! A user's bus admits nobody but that user, root neither. The child is this program again (`internal agent`), serving one
//! request per line of JSON on its standard input with one answer per line on its standard output. It ends with its input.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::bus::CALL;
use super::local::{Local, RELOAD};
use super::unit::UnitState;
use super::{JobResult, Verb};
use crate::error::{Context, Error, Kind, Result};
use crate::host::account::Account;
use crate::host::process::{Command, Input, Running, tail};

/// What an answer may take beyond the bounds that the agent keeps itself: connecting, a manager that is away.
const MARGIN: Duration = Duration::from_secs(60);
/// The longest line that either side takes.
const LINE: u64 = 4 << 20;

/// What the agent is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
enum Request {
    Hello,
    Unit { name: String },
    Running { name: String },
    Matching { pattern: String },
    Reload,
    Job { verb: Verb, unit: String, millis: u64 },
    Enable { unit: String },
    Disable { unit: String },
    ResetFailed { unit: String },
}

/// What it answers: the value, or the error.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Answer<T> {
    Value(T),
    Error(Told),
}

/// An [`Error`] on its way through the pipe.
#[derive(Debug, Serialize, Deserialize)]
struct Told {
    what: String,
    causes: Vec<String>,
    hints: Vec<String>,
    permitted: bool,
}

/// A child that has become an account.
pub(super) struct Agent {
    account: String,
    /// Taken when the agent is ended.
    requests: Option<File>,
    answers: Receiver<String>,
    faults: Receiver<Vec<String>>,
    child: Running,
}

impl Agent {
    /// Starts one for `account` and makes sure that it reaches the account's manager.
    pub(super) fn of(account: &Account) -> Result<Agent> {
        let (read, requests) = std::io::pipe().context("a pipe to the agent cannot be made")?;
        // By its inode: the account need not be able to reach our file's directory, and a replaced binary is still there.
        let mut child = Command::new(["/proc/self/exe", "internal", "agent"])
            .account(account)
            .env("XDG_RUNTIME_DIR", account.runtime_dir().display().to_string())
            .stdin(Input::File(File::from(OwnedFd::from(read))))
            // Only the end of the agent is waited for by this bound, and it is idle then.
            .timeout(Duration::ZERO)
            .spawn()
            .map_err(|error| cannot_start(error, account))?;
        let answers = lines(child.child.stdout.take());
        let faults = last_words(child.child.stderr.take());
        let requests = Some(File::from(OwnedFd::from(requests)));
        let mut agent = Agent { account: account.name.clone(), requests, answers, faults, child };
        agent.ask::<()>(&Request::Hello, CALL)?;
        Ok(agent)
    }

    pub(super) fn unit(&mut self, name: &str) -> Result<UnitState> {
        self.ask(&Request::Unit { name: name.into() }, CALL * 2)
    }

    pub(super) fn running(&mut self, name: &str) -> Result<UnitState> {
        self.ask(&Request::Running { name: name.into() }, CALL)
    }

    pub(super) fn matching(&mut self, pattern: &str) -> Result<Vec<String>> {
        self.ask(&Request::Matching { pattern: pattern.into() }, CALL * 2)
    }

    pub(super) fn reload(&mut self) -> Result<()> {
        self.ask(&Request::Reload, RELOAD)
    }

    pub(super) fn job(&mut self, verb: Verb, unit: &str, timeout: Duration) -> Result<JobResult> {
        let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self.ask(&Request::Job { verb, unit: unit.into(), millis }, timeout + CALL * 2)
    }

    pub(super) fn enable(&mut self, unit: &str) -> Result<()> {
        self.ask(&Request::Enable { unit: unit.into() }, CALL)
    }

    pub(super) fn disable(&mut self, unit: &str) -> Result<()> {
        self.ask(&Request::Disable { unit: unit.into() }, CALL)
    }

    pub(super) fn reset_failed(&mut self, unit: &str) -> Result<()> {
        self.ask(&Request::ResetFailed { unit: unit.into() }, CALL)
    }

    fn ask<T: DeserializeOwned>(&mut self, request: &Request, bound: Duration) -> Result<T> {
        let mut line = serde_json::to_vec(request).context("a request to the agent cannot be written")?;
        line.push(b'\n');
        // A pipe takes 64 KiB at once, a request is far less, and the agent reads all the time: this does not block.
        let sent = self.requests.as_mut().is_some_and(|pipe| pipe.write_all(&line).is_ok());
        let answer = if sent { self.answers.recv_timeout(bound + MARGIN) } else { Err(RecvTimeoutError::Disconnected) };
        let answer = answer.map_err(|error| self.lost(error))?;
        let answer: Answer<T> = serde_json::from_str(&answer).context("the agent's answer cannot be read")?;
        match answer {
            Answer::Value(value) => Ok(value),
            Answer::Error(told) => Err(told.into()),
        }
    }

    fn lost(&mut self, error: RecvTimeoutError) -> Error {
        let lost = Error::failed(format!("the user manager of {} cannot be asked", self.account));
        self.requests = None;
        match error {
            RecvTimeoutError::Timeout => lost.because("the agent did not answer in time"),
            RecvTimeoutError::Disconnected => {
                let said = self.faults.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
                lost.because("the agent ended").detail(said.iter().map(|line| crate::text::harmless(line)))
            }
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.requests = None;
        // Past its bound already, so this ends the agent at once; one that has ended is what is wanted.
        self.child.wait("the agent").map(|_| ()).unwrap_or_default();
    }
}

fn cannot_start(error: Error, account: &Account) -> Error {
    let own = crate::host::own::program().unwrap_or_default();
    let error = error.while_(format!("no agent can be started as {}", account.name));
    Error { hints: vec![format!("{} must be executable for every account: chmod a+rx", own.display())], ..error }
}

fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        std::thread::spawn(move || {
            let mut reader = BufReader::new(pipe);
            while let Some(line) = line(&mut reader) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

/// The next whole line; `None` at the end, and where a line is too long or no text.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let taken = reader.take(LINE).read_line(&mut line);
    (taken.is_ok() && line.ends_with('\n')).then_some(line)
}

fn last_words(pipe: Option<impl Read + Send + 'static>) -> Receiver<Vec<String>> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        std::thread::spawn(move || sender.send(tail(BufReader::new(pipe))).unwrap_or_default());
    }
    receiver
}

/// Serves requests to the user manager of the account that this process is, until standard input ends; then the process
/// ends, even when a job is being waited for.
pub fn serve() -> Result<()> {
    let requests = requests();
    let uid = nix::unistd::geteuid().as_raw();
    let mut local: Option<Local> = None;
    while let Ok(line) = requests.recv() {
        let answer = match serde_json::from_str::<Request>(&line) {
            Ok(request) => match &mut local {
                Some(local) => answer(local, request),
                None => match Local::user(uid) {
                    Ok(opened) => answer(local.insert(opened), request),
                    Err(error) => written::<()>(Err(error)),
                },
            },
            Err(error) => written::<()>(Err(Error::failed("a request to the agent cannot be read").because(error))),
        }?;
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(&answer).and_then(|()| stdout.flush()).context("an answer of the agent cannot be written")?;
    }
    Ok(())
}

fn requests() -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(std::io::stdin());
        while let Some(line) = line(&mut reader) {
            if sender.send(line).is_err() {
                break;
            }
        }
        // Nobody will read an answer any more.
        std::process::exit(0);
    });
    receiver
}

fn answer(local: &mut Local, request: Request) -> Result<Vec<u8>> {
    match request {
        Request::Hello => written(Ok(())),
        Request::Unit { name } => written(local.unit(&name)),
        Request::Running { name } => written(local.running(&name)),
        Request::Matching { pattern } => written(local.matching(&pattern)),
        Request::Reload => written(local.reload()),
        Request::Job { verb, unit, millis } => written(local.job(verb, &unit, Duration::from_millis(millis))),
        Request::Enable { unit } => written(local.enable(&unit)),
        Request::Disable { unit } => written(local.disable(&unit)),
        Request::ResetFailed { unit } => written(local.reset_failed(&unit)),
    }
}

fn written<T: Serialize>(result: Result<T>) -> Result<Vec<u8>> {
    let answer = match result {
        Ok(value) => Answer::Value(value),
        Err(error) => Answer::Error(error.into()),
    };
    let mut line = serde_json::to_vec(&answer).context("an answer of the agent cannot be written")?;
    line.push(b'\n');
    Ok(line)
}

impl From<Error> for Told {
    fn from(error: Error) -> Told {
        let permitted = error.kind != Kind::NotPermitted;
        Told { what: error.what, causes: error.causes, hints: error.hints, permitted }
    }
}

impl From<Told> for Error {
    fn from(told: Told) -> Error {
        let kind = if told.permitted { Kind::Failed } else { Kind::NotPermitted };
        Error { kind, what: told.what, causes: told.causes, detail: Vec::new(), hints: told.hints }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_survive_the_pipe() {
        let request = Request::Job { verb: Verb::Restart, unit: "a@\"\n.service".into(), millis: 5 };
        let line = serde_json::to_string(&request).expect("JSON");
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Request>(&line).expect("a request"), request);
    }

    #[test]
    fn an_error_keeps_its_words_and_hints() {
        let line = written::<()>(Err(Error::failed("a").because("b").hint("c"))).expect("JSON");
        let Answer::Error(told) = serde_json::from_slice::<Answer<()>>(&line).expect("an answer") else {
            panic!("{line:?}")
        };
        let error = Error::from(told);
        assert_eq!((error.what.as_str(), error.causes, error.hints), ("a", vec!["b".to_owned()], vec!["c".to_owned()]));
    }

    #[test]
    fn a_line_without_an_end_is_not_taken() {
        assert_eq!(line(&mut "{\"ask\":\"reload\"}\n{\"as".as_bytes()).as_deref(), Some("{\"ask\":\"reload\"}\n"));
        assert_eq!(line(&mut "{\"as".as_bytes()), None);
    }
}
