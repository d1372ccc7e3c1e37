//! Child processes: a cleared environment, a bound on time, a cap on what is kept of their output,
//! and an end by process group. The only place that starts one, besides transient units.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

mod before_exec;
mod of_run;
mod said;

use super::account::Account;
use crate::error::{Context, Error, Result};
pub use before_exec::know_groups;
use before_exec::{become_account, bound_files, detach, die_with_us, enter};
use of_run::{RUN_VARIABLE, run};
pub use of_run::{belong_to, end_those_of};
pub use said::tail;
use said::{Pipe, Tail, listen};

/// A command to run: argv only, never a shell.
#[derive(Debug)]
pub struct Command {
    argv: Vec<OsString>,
    account: Option<Account>,
    cwd: PathBuf,
    env: Vec<(String, String)>,
    stdin: Input,
    stdout: Option<File>,
    timeout: Duration,
    cap: usize,
    largest_file: Option<u64>,
}

/// What a child reads.
#[derive(Debug)]
pub enum Input {
    /// Nothing (`/dev/null`).
    Empty,
    /// These bytes.
    Bytes(Vec<u8>),
    /// An open file or pipe.
    File(File),
    /// What the caller writes to it.
    Pipe,
}

/// How a child ended.
#[derive(Debug)]
pub struct Output {
    /// Its status; `None` when it was ended at the bound.
    pub status: Option<ExitStatus>,
    /// Standard output, up to the cap.
    pub stdout: Vec<u8>,
    /// The last lines of standard error.
    pub stderr: Vec<String>,
}

impl Output {
    /// Whether it exited 0.
    pub fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Standard output as text, without the final line end.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).trim_end().to_owned()
    }

    /// How it ended, in words: `exited with 2`, `was killed by signal 9`, `did not end in time`.
    pub fn ending(&self) -> String {
        match self.status {
            None => "did not end in time".into(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exited with {code}"),
                (_, Some(signal)) => format!("was killed by signal {signal}"),
                _ => "ended".into(),
            },
        }
    }
}

impl Command {
    /// A command that may take 60 seconds, as the caller, in `/`, with nothing but a `PATH`.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Command {
            argv: argv.into_iter().map(Into::into).collect(),
            account: None,
            cwd: PathBuf::from("/"),
            env: Account::root().environment(),
            stdin: Input::Empty,
            stdout: None,
            timeout: Duration::from_secs(60),
            cap: 64 << 20,
            largest_file: None,
        }
    }

    /// Runs as `account`: its ids and groups, its environment, no new privileges.
    pub fn account(mut self, account: &Account) -> Self {
        self.env = account.environment();
        self.account = Some(account.clone());
        self
    }

    /// Adds arguments.
    pub fn args<S: Into<OsString>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// The working directory.
    pub fn cwd(mut self, cwd: impl Into<PathBuf>) -> Self {
        self.cwd = cwd.into();
        self
    }

    /// Adds a variable to the environment.
    pub fn env(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.retain(|(known, _)| known != key);
        self.env.push((key.to_owned(), value.into()));
        self
    }

    /// What the child reads.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sends standard output to a file instead of keeping it.
    pub fn stdout(mut self, file: File) -> Self {
        self.stdout = Some(file);
        self
    }

    /// The bound on time.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The largest file that it and its children may write, bytes; SIGXFSZ ends whoever writes more, setrlimit(2).
    pub fn largest_file(mut self, bytes: u64) -> Self {
        self.largest_file = Some(bytes);
        self
    }

    /// The program's name, for messages.
    pub fn program(&self) -> String {
        self.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Runs it to its end or to the bound. A program that cannot be started is an error; an unhappy
    /// end is an [`Output`].
    pub fn output(self) -> Result<Output> {
        let program = self.program();
        let mut running = self.spawn()?;
        let (mut stdout, mut stderr, cap) = (Vec::new(), Tail::default(), running.cap);
        let mut keep = |bytes: &[u8]| {
            let room = cap.saturating_sub(stdout.len()).min(bytes.len());
            stdout.extend_from_slice(&bytes[..room]);
        };
        let mut note = |bytes: &[u8]| stderr.take(bytes);
        let of_stdout = running.child.stdout.take().map(|pipe| Pipe::new(pipe, &mut keep));
        let of_stderr = running.child.stderr.take().map(|pipe| Pipe::new(pipe, &mut note));
        let mut pipes: Vec<Pipe> = of_stdout.into_iter().chain(of_stderr).collect();
        let status = running.wait_and_listen(&program, &mut pipes)?;
        listen(&mut pipes, None, Instant::now() + DRAIN);
        drop(pipes);
        Ok(Output { status, stdout, stderr: stderr.lines() })
    }

    /// Runs it to its end or to the bound while `talk` speaks with it: what that found, where it got to its end.
    pub fn converse<T: Send + 'static>(
        self,
        talk: impl FnOnce(ChildStdin, ChildStdout) -> T + Send + 'static,
    ) -> Result<(Option<T>, Output)> {
        let program = self.program();
        let mut running = self.stdin(Input::Pipe).spawn()?;
        let (sender, found) = mpsc::channel();
        if let (Some(stdin), Some(stdout)) = (running.child.stdin.take(), running.child.stdout.take()) {
            std::thread::spawn(move || sender.send(talk(stdin, stdout)).unwrap_or_default());
        }
        let stderr = running.child.stderr.take().map(read_tail);
        let status = running.wait(&program)?;
        let found = found.recv_timeout(DRAIN).ok();
        let stderr = stderr.map(|reader| reader.recv_timeout(DRAIN).unwrap_or_default()).unwrap_or_default();
        Ok((found, Output { status, stdout: Vec::new(), stderr }))
    }

    /// Runs it and turns an unhappy end into an error that carries the tail of standard error.
    pub fn succeed(self) -> Result<Output> {
        let what = self.argv.iter().take(3).map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let output = self.output()?;
        match output.success() {
            true => Ok(output),
            false => Err(Error::failed(format!("{what} {}", output.ending())).detail(output.stderr)),
        }
    }

    /// Starts it with its standard output as a pipe, for a caller that streams.
    pub fn spawn(self) -> Result<Running> {
        let program = self.program();
        let mut words = self.argv.iter();
        let mut command = std::process::Command::new(words.next().cloned().unwrap_or_default());
        command.args(words).env_clear().envs(self.env);
        command.envs(run().map(|run| (RUN_VARIABLE, run)));
        let stdin = match self.stdin {
            Input::Empty => Stdio::null(),
            Input::Bytes(bytes) => in_memory(&bytes)?.into(),
            Input::File(file) => file.into(),
            Input::Pipe => Stdio::piped(),
        };
        command.stdin(stdin).stdout(self.stdout.map_or_else(Stdio::piped, Into::into)).stderr(Stdio::piped());
        detach(&mut command);
        if let Some(bytes) = self.largest_file {
            bound_files(&mut command, bytes);
        }
        if let Some(account) = self.account {
            become_account(&mut command, account);
        }
        enter(&mut command, &self.cwd)?;
        die_with_us(&mut command);
        let child = command.spawn().map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => format!("install {program}, or correct the command in the manifest"),
                _ => format!("look at the permissions of {program} and of {}", self.cwd.display()),
            };
            Error::failed(format!("{program} cannot be started")).because(error).hint(hint)
        })?;
        Ok(Running { child, deadline: Instant::now() + self.timeout, cap: self.cap })
    }
}

/// How long the readers of a child that has ended may still take: a grandchild may hold the pipe.
const DRAIN: Duration = Duration::from_secs(5);

/// A child that was started.
#[derive(Debug)]
pub struct Running {
    /// The child; its pipes are the caller's.
    pub child: Child,
    deadline: Instant,
    cap: usize,
}

impl Running {
    /// How much of the bound is left.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Makes the bound be reached now: [`Running::wait`] ends the child.
    pub fn expire(&mut self) {
        self.ends_within(Duration::ZERO);
    }

    /// Makes the bound be reached in this time, if not sooner.
    pub fn ends_within(&mut self, time: Duration) {
        self.deadline = self.deadline.min(Instant::now() + time);
    }

    /// Waits to the end or to the bound, then ends the whole process group. `None`: the bound.
    pub fn wait(&mut self, program: &str) -> Result<Option<ExitStatus>> {
        self.wait_and_listen(program, &mut Vec::new())
    }

    /// The same, while what comes from its pipes is taken.
    fn wait_and_listen(&mut self, program: &str, pipes: &mut Vec<Pipe>) -> Result<Option<ExitStatus>> {
        let end = end_of(&self.child);
        let mut pause = Duration::from_micros(200);
        let status = loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("{program} cannot be waited for"))? {
                break Some(status);
            }
            let left = self.left();
            if left.is_zero() {
                break None;
            }
            match &end {
                // Readable once it has ended.
                Some(end) => listen(pipes, Some(end.as_fd()), self.deadline),
                None => {
                    listen(pipes, None, Instant::now());
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
        };
        // What the child left behind in its group ends with it; mostly there is nothing, which is no error.
        killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL).unwrap_or_default();
        if status.is_none() {
            self.child.wait().with_context(|| format!("{program} cannot be ended"))?;
        }
        Ok(status)
    }
}

/// A file in no directory: `TMPDIR` is whoever's, and may not be there (memfd_create(2)).
fn in_memory(bytes: &[u8]) -> Result<File> {
    let made = memfd_create(c"stdin", MFdFlags::MFD_CLOEXEC).map_err(std::io::Error::from).map(File::from);
    let file = made.and_then(|mut file| {
        file.write_all(bytes)?;
        file.rewind()?;
        Ok(file)
    });
    file.map_err(|error| Error::failed("a temporary file cannot be made").because(error))
}

/// A descriptor that becomes readable when the child ends, pidfd_open(2); `None` where the kernel has none to give.
fn end_of(child: &Child) -> Option<OwnedFd> {
    // SAFETY: the call takes numbers alone, and a descriptor that it gives is nobody else's.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, child.id() as libc::pid_t, 0);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd as i32))
    }
}

pub(crate) fn read_tail(pipe: impl Read + Send + 'static) -> mpsc::Receiver<Vec<String>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(tail(BufReader::new(pipe))).unwrap_or_default());
    receiver
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Some account of every host that is not root.
    fn nobody() -> Account {
        Account::of(65_534).expect("every host has nobody")
    }

    fn said(command: Command) -> String {
        command.succeed().unwrap().text()
    }

    #[test]
    fn a_child_gets_nothing_of_ours_but_its_three_pipes() {
        // One that nobody marked to be closed, as a library might leave it.
        let place = std::ffi::CString::new("/").unwrap();
        // SAFETY: a plain system call.
        let leaked = unsafe { libc::open(place.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
        assert!(leaked > 2);
        for account in [None, Some(nobody())] {
            let shell = Command::new([
                "sh",
                "-c",
                "for fd in $(seq 0 99); do [ ! -e /proc/$$/fd/$fd ] || echo $fd; done; umask; ulimit -c",
            ]);
            let shell = account.iter().fold(shell, |shell, account| shell.account(account));
            assert_eq!(said(shell).lines().collect::<Vec<_>>(), ["0", "1", "2", "0022", "0"], "{account:?}");
        }
        // SAFETY: it is ours.
        unsafe { libc::close(leaked) };
    }

    #[test]
    fn a_child_has_no_terminal_no_new_privileges_and_its_own_groups() {
        let shell =
            "cut -d' ' -f6,7 /proc/$$/stat; echo $$; grep -E '^(NoNewPrivs|Groups|Uid|Gid|CapEff):' /proc/$$/status";
        let told = said(Command::new(["sh", "-c", shell]).account(&nobody()));
        let lines: Vec<&str> = told.lines().map(str::trim_end).collect();
        assert_eq!(lines[0], format!("{} 0", lines[1]), "a session of its own, and no terminal: {told}");
        let has = |line: &str| assert!(lines.contains(&line), "{line}: {told}");
        has("NoNewPrivs:\t1");
        has("Groups:\t65534");
        has("Uid:\t65534\t65534\t65534\t65534");
        has("CapEff:\t0000000000000000");
    }

    #[test]
    fn all_that_a_child_says_is_read_however_much_it_is_and_whoever_else_holds_its_pipes() {
        let shell = |script: &str| Command::new(["sh", "-c", script]);
        let loud =
            "head -c 300000 /dev/zero; head -c 300000 /dev/zero >&2; echo end >&2; head -c 300000 /dev/zero; exit 3";
        let output = shell(loud).output().unwrap();
        assert_eq!((output.stdout.len(), output.status.unwrap().code()), (600_000, Some(3)));
        assert_eq!(output.stderr.len(), 1);
        let begun = Instant::now();
        assert_eq!(shell("sleep 60 & echo said").output().unwrap().text(), "said");
        assert!(begun.elapsed() < DRAIN, "what it left behind ends with it");
        let bytes: Vec<u8> = (0..300_000u32).map(|at| at as u8).collect();
        let through = Command::new(["cat"]).stdin(Input::Bytes(bytes.clone())).output().unwrap();
        assert!(through.stdout == bytes);
    }

    #[test]
    fn a_child_ends_at_its_bound_be_it_silent_or_not() {
        for script in ["exec sleep 60", "yes", "yes >&2", "exec >&- 2>&-; exec sleep 60"] {
            let command = Command::new(["sh", "-c", script]).timeout(Duration::from_millis(50));
            let begun = Instant::now();
            let output = command.output().unwrap();
            assert!(output.status.is_none() && begun.elapsed() < Duration::from_secs(30), "{script}: {output:?}");
        }
    }

    #[test]
    fn the_working_directory_is_entered_as_the_account() {
        let place = tempfile::tempdir().unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let pwd = |account: Option<&Account>| {
            let pwd = Command::new(["pwd", "-P"]).cwd(place.path());
            account.into_iter().fold(pwd, Command::account).output()
        };
        assert_eq!(pwd(None).unwrap().text(), place.path().canonicalize().unwrap().display().to_string());
        let error = pwd(Some(&nobody())).unwrap_err();
        assert!(error.to_string().contains("Permission denied"), "{error}");
    }
}
