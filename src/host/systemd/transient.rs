//! A command in a transient service: its own cgroup, its own account, its own bound. Nothing of it is left when it ended,
//! whatever it forked, and what a run that died left has a name by which it is ended.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zbus::zvariant::{Fd, OwnedObjectPath, Value};

use super::Verb;
use super::bus::{Bus, MANAGER, MANAGER_PATH, is_away};
use super::explain::Asked;
use super::job::{Ended, Waiting};
use super::local::Local;
use super::output::Output;
use super::unit::{self, UnitState};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::interrupt;

/// How long a service may take to end after SIGTERM, before SIGKILL.
const STOP: Duration = Duration::from_secs(5);
/// What we give systemd beyond the bounds that it keeps itself.
const MARGIN: Duration = Duration::from_secs(20);
/// How often output is passed on and the end of the job looked for.
const TICK: Duration = Duration::from_millis(10);

/// A command in a transient service of the system manager, systemd.exec(5).
///
/// Any account of the host can read `argv` and `env` from the manager while the service is there: they hold no secret.
#[derive(Debug, Clone)]
pub struct Transient {
    /// The unit's name, `relift-...service`.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Program and arguments; nothing in them is expanded. A program with a slash is relative to `cwd`, one without is
    /// looked for in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// Who it runs as, with the account's supplementary groups; without new privileges unless it is root.
    pub account: Account,
    /// Its working directory.
    pub cwd: PathBuf,
    /// A directory that it sees read-only, root or not: systemd.exec(5), `ReadOnlyPaths=`.
    pub read_only: Option<PathBuf>,
    /// Its whole environment, but for what systemd tells every service (`INVOCATION_ID`, `SYSTEMD_EXEC_PID`).
    pub env: Vec<(String, String)>,
    /// Its bound; the whole cgroup is killed at it.
    pub timeout: Duration,
    /// The file that its standard output and error are appended to, made 0640 where it is not there.
    pub log: PathBuf,
    /// Texts that get neither into the log nor into the lines that are told.
    pub hide: Vec<String>,
    /// Whether the journal is told of its failure alone: what is done every second fills it otherwise.
    pub is_quiet: bool,
}

/// How a transient service ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransientEnd {
    /// `success`, `exit-code`, `signal`, `timeout`, `oom-kill`, `resources`, ...: systemd's `Result`.
    pub result: String,
    /// `ExecMainCode` of siginfo_t: 1 exited, 2 killed, 3 dumped.
    pub code: i32,
    /// The exit status or the signal.
    pub status: i32,
    /// The last lines of its output, made harmless for a terminal.
    pub tail: Vec<String>,
    /// Bytes of output that the log does not hold, because it had reached its cap.
    pub left_out: u64,
    /// Why the log could not be written, where it could not; the command went on.
    pub log_fault: Option<String>,
}

impl TransientEnd {
    /// Whether it exited 0.
    pub fn success(&self) -> bool {
        self.result == "success" && self.code == libc::CLD_EXITED && self.status == 0
    }

    /// Whether systemd could not even begin it, as far as can be told: its program may use these statuses, too.
    pub fn could_not_run(&self) -> bool {
        self.result == "exit-code" && exec_failure(self.status).is_some()
    }

    /// How it ended, in words: `exited with 2`, `did not end in time`, `ran out of memory`.
    pub fn ending(&self) -> String {
        let main = unit::ending(self.code, self.status);
        match (self.result.as_str(), main) {
            ("timeout", _) => "did not end in time".into(),
            ("oom-kill", _) => "ran out of memory".into(),
            ("resources", _) => "could not be started (resources)".into(),
            ("exit-code", Some(main)) => match exec_failure(self.status) {
                Some(meaning) => format!("{main} ({meaning})"),
                None => main,
            },
            (_, Some(main)) => main,
            ("success", None) => "was stopped".into(),
            (result, None) => format!("ended with {result}"),
        }
    }
}

/// What the exit statuses mean that systemd uses itself, systemd.exec(5) "Process Exit Codes". A program may use them, too.
fn exec_failure(status: i32) -> Option<&'static str> {
    match status {
        200 => Some("CHDIR: the working directory cannot be entered"),
        203 => Some("EXEC: the program is missing or cannot be executed"),
        216 => Some("GROUP: the groups of the account cannot be set"),
        217 => Some("USER: the account cannot be used"),
        _ => None,
    }
}

impl Local {
    /// See [`super::Manager::run_watched`].
    pub(super) fn run(&mut self, command: &Transient, told: &mut dyn FnMut(&str)) -> Result<TransientEnd> {
        let (mut output, write_end) = Output::to(&command.log, &command.hide)?;
        let mut job = self.start(command, write_end)?;
        let outcome = self.await_end(command, &mut job, &mut output, told).and_then(|()| self.read_end(command));
        // In any case nothing of it may be left, and what it wrote is kept.
        let cleared = self.end(&command.name, STOP + MARGIN);
        let written = output.finish(told);
        let (result, code, status) = outcome.map_err(|error| error.detail(written.tail.clone()))?;
        cleared?;
        Ok(TransientEnd {
            result,
            code,
            status,
            tail: written.tail,
            left_out: written.left_out,
            log_fault: written.fault,
        })
    }

    fn start(&mut self, command: &Transient, output: OwnedFd) -> Result<Waiting> {
        let asked = Asked::of(&self.bus, &command.name, format!("{} cannot be started", command.name));
        let inherited: Vec<String> = self.bus.manager_environment().map_err(|error| asked.failed(error))?;
        let properties = properties(command, inherited, &output)?;
        let auxiliary: &[(&str, &[(&str, Value<'_>)])] = &[];
        self.bus.removed.clear();
        // Never asked twice: were the first one heard, the second would find the name taken.
        let body = (command.name.as_str(), "fail", properties, auxiliary);
        let job: zbus::Result<OwnedObjectPath> =
            self.bus.call_once((MANAGER_PATH, MANAGER, "StartTransientUnit"), &body);
        match job {
            Ok(job) => Ok(Waiting::new(&self.bus, &job)),
            // Refused: whatever has that name is not ours to end.
            Err(error @ zbus::Error::MethodError(..)) if !is_away(&error) => Err(asked.failed(error)),
            Err(error) => {
                let error = asked.failed(error);
                self.end(&command.name, STOP + MARGIN).map_err(|worse| worse.because(&error))?;
                Err(error)
            }
        }
    }

    fn await_end(
        &mut self,
        command: &Transient,
        job: &mut Waiting,
        output: &mut Output,
        told: &mut dyn FnMut(&str),
    ) -> Result<()> {
        let asked = Asked::of(&self.bus, &command.name, format!("the end of {} cannot be awaited", command.name));
        let deadline = Instant::now() + command.timeout + STOP + MARGIN;
        let mut opened = self.bus.reopened;
        loop {
            interrupt::check()?;
            // Once there is no more to come, the end of the job is what is waited for.
            let patience = if output.pass_on(TICK, told) { Duration::ZERO } else { TICK };
            if self.bus.reopened != opened {
                opened = self.bus.reopened;
                // The reference went with the old connection. Where the unit has ended already, reading its end says so.
                self.bus.manager::<_, ()>("RefUnit", &command.name).unwrap_or_default();
            }
            match job.wait(&mut self.bus, patience).map_err(|error| asked.failed(error))? {
                Ended::Told(_) | Ended::Vanished => return Ok(()),
                Ended::Pending if Instant::now() < deadline => {}
                Ended::Pending => {
                    return Err(Error::failed(format!("{} outlived its bound", command.name))
                        .because(format!("systemd did not end it within {} s", command.timeout.as_secs()))
                        .hint(format!("systemctl status {}", command.name)));
                }
            }
        }
    }

    /// `Result`, `ExecMainCode`, `ExecMainStatus`: the reference that we hold keeps the unit until they are read.
    fn read_end(&mut self, command: &Transient) -> Result<(String, i32, i32)> {
        let state = self.running(&command.name)?;
        match state.load.as_str() {
            "not-found" => Err(Error::failed(format!("how {} ended is not known", command.name))
                .because("systemd let go of the unit before it was asked")),
            _ => Ok((judged(&state, command.timeout), state.main_code, state.main_status)),
        }
    }

    /// See [`super::Manager::end`].
    pub(super) fn end(&mut self, name: &str, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        let asked = Asked::of(&self.bus, name, format!("{name} cannot be ended"));
        let mut stop: Option<Result<super::JobResult>> = None;
        loop {
            let state = self.running(name)?;
            let down = matches!(state.active.as_str(), "inactive" | "failed");
            let left = self.bus.processes(name).map_err(|error| asked.failed(error))?;
            if down && left == 0 {
                return self.let_go(name);
            }
            if Instant::now() >= deadline {
                let late = Error::failed(format!("{name} cannot be ended"))
                    .because(format!("it is {} ({}) and {left} of its processes live", state.active, state.sub))
                    .hint(format!("systemctl status {name}"));
                return Err(match stop {
                    Some(Err(error)) => late.because(error),
                    _ => late,
                });
            }
            match (down, &stop) {
                // A stop job that fails is told at the bound; what it should do is tried by other means first.
                (false, None) => stop = Some(self.job(Verb::Stop, name, (STOP + MARGIN / 2).min(timeout))),
                // Processes outlived their unit or its stop: nothing but SIGKILL is left.
                _ => self.bus.kill(name).map_err(|error| asked.failed(error))?,
            }
            std::thread::sleep(TICK);
        }
    }

    fn let_go(&mut self, name: &str) -> Result<()> {
        // Our reference, where we hold one; a unit that failed is forgotten only when its failure is.
        let unreferenced = self.bus.manager::<_, ()>("UnrefUnit", &name);
        if let Err(error) = &unreferenced
            && !matches!(error, zbus::Error::MethodError(..))
        {
            let asked = Asked::of(&self.bus, name, format!("{name} cannot be let go"));
            return unreferenced.map_err(|error| asked.failed(error));
        }
        self.reset_failed(name)
    }
}

/// `Result`, but for a command that ended in time and left processes that did not heed SIGTERM: systemd says `timeout` then.
fn judged(state: &UnitState, timeout: Duration) -> String {
    let took = Duration::from_micros(state.main_ended_us.saturating_sub(state.main_started_us));
    match (state.result.as_str(), state.main_code, state.main_status) {
        ("timeout", libc::CLD_EXITED, 0) if took < timeout => "success".into(),
        ("timeout", libc::CLD_EXITED, _) if took < timeout => "exit-code".into(),
        (result, ..) => result.to_owned(),
    }
}

impl Bus {
    /// The names of the variables that the manager passes to every service.
    fn manager_environment(&mut self) -> zbus::Result<Vec<String>> {
        let method = (MANAGER_PATH, "org.freedesktop.DBus.Properties", "Get");
        let value: zbus::zvariant::OwnedValue = self.call(method, &(MANAGER, "Environment"))?;
        let pairs = Vec::<String>::try_from(value)?;
        Ok(pairs.into_iter().filter_map(|pair| pair.split_once('=').map(|(key, _)| key.to_owned())).collect())
    }

    /// How many processes live in the cgroup of a unit and below it.
    fn processes(&mut self, name: &str) -> zbus::Result<usize> {
        let listed: zbus::Result<Vec<(String, u32, String)>> = self.manager("GetUnitProcesses", &name);
        match listed {
            Ok(listed) => Ok(listed.len()),
            Err(error) if is_gone(&error) => Ok(0),
            Err(error) => Err(error),
        }
    }

    fn kill(&mut self, name: &str) -> zbus::Result<()> {
        match self.manager("KillUnit", &(name, "all", libc::SIGKILL)) {
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }
}

/// No such unit, or nothing in it that could be killed.
fn is_gone(error: &zbus::Error) -> bool {
    let gone = [".NoSuchUnit", ".NoSuchProcess", ".UnitNotLoaded"];
    matches!(error, zbus::Error::MethodError(name, ..) if gone.iter().any(|end| name.ends_with(end)))
}

pub(super) type Property<'a> = (&'static str, Value<'a>);

/// Of a unit that is forgotten once it has ended, also where it failed.
pub(super) const COLLECT: Property<'static> =
    ("CollectMode", Value::Str(zbus::zvariant::Str::from_static("inactive-or-failed")));

fn properties<'a>(command: &'a Transient, inherited: Vec<String>, output: &'a OwnedFd) -> Result<Vec<Property<'a>>> {
    let program = command.argv.first().ok_or_else(|| Error::failed("a command without a program cannot be run"))?;
    let path = match program.contains('/') {
        true => command.cwd.join(program).display().to_string(),
        false => program.clone(),
    };
    let exec = vec![(path, command.argv.clone(), vec!["no-env-expand"])];
    let env: Vec<String> = command.env.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let unset = inherited.into_iter().filter(|key| command.env.iter().all(|(own, _)| own != key)).collect::<Vec<_>>();
    let search = command.env.iter().find(|(key, _)| key == "PATH").map(|(_, value)| value.as_str()).unwrap_or_default();
    let search: Vec<&str> = search.split(':').filter(|place| place.starts_with('/')).collect();
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    let fd =
        |fd: &OwnedFd| fd.try_clone().map(|fd| Value::Fd(Fd::Owned(fd))).context("the log's pipe cannot be shared");
    let mut all: Vec<Property<'a>> = vec![
        ("Description", command.description.as_str().into()),
        ("Type", "oneshot".into()),
        ("ExecStartEx", Value::from(exec)),
        ("WorkingDirectory", command.cwd.display().to_string().into()),
        ("Environment", Value::from(env)),
        ("UnsetEnvironment", Value::from(unset)),
        ("StandardInput", "null".into()),
        ("StandardOutputFileDescriptor", fd(output)?),
        ("StandardErrorFileDescriptor", fd(output)?),
        ("TimeoutStartUSec", micros(command.timeout).into()),
        ("TimeoutStopUSec", micros(STOP).into()),
        ("KillMode", "control-group".into()),
        ("SendSIGKILL", true.into()),
        ("IgnoreSIGPIPE", false.into()),
        ("UMask", 0o022u32.into()),
        ("LimitCORE", 0u64.into()),
        COLLECT,
        ("AddRef", true.into()),
    ];
    if command.is_quiet {
        all.push(("LogLevelMax", libc::LOG_WARNING.into()));
    }
    if let Some(place) = &command.read_only {
        all.push(("ReadOnlyPaths", Value::from(vec![place.display().to_string()])));
    }
    if !search.is_empty() {
        all.push(("ExecSearchPath", Value::from(search)));
    }
    if !command.account.is_root() {
        all.push(("User", command.account.name.as_str().into()));
        all.push(("NoNewPrivileges", true.into()));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(result: &str, code: i32, status: i32) -> String {
        let (tail, left_out, log_fault) = (Vec::new(), 0, None);
        TransientEnd { result: result.into(), code, status, tail, left_out, log_fault }.ending()
    }

    #[test]
    fn every_end_has_its_words() {
        assert_eq!(ended("exit-code", libc::CLD_EXITED, 2), "exited with 2");
        assert_eq!(ended("signal", libc::CLD_KILLED, 9), "was killed by SIGKILL");
        assert_eq!(ended("timeout", libc::CLD_KILLED, 15), "did not end in time");
        assert!(ended("exit-code", libc::CLD_EXITED, 203).contains("missing or cannot be executed"));
        assert_eq!(ended("protocol", 0, 0), "ended with protocol");
        assert_eq!(ended("success", 0, 0), "was stopped");
    }

    #[test]
    fn what_a_command_left_behind_does_not_make_it_late() {
        let state = |seconds: u64| UnitState {
            result: "timeout".into(),
            main_code: libc::CLD_EXITED,
            main_started_us: 1,
            main_ended_us: 1 + seconds * 1_000_000,
            ..UnitState::default()
        };
        assert_eq!(judged(&state(2), Duration::from_secs(10)), "success");
        assert_eq!(judged(&UnitState { main_status: 3, ..state(2) }, Duration::from_secs(10)), "exit-code");
        assert_eq!(judged(&state(11), Duration::from_secs(10)), "timeout");
    }
}
