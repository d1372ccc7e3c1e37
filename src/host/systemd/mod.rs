//! systemd over D-Bus, the system manager and an account's user manager behind one face.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::Account;
use crate::error::Result;

/// A connection to one systemd manager.
pub struct Manager {}

/// What a job does: the manager's `StartUnit`, `StopUnit`, `RestartUnit`, `ReloadUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    Start,
    Stop,
    Restart,
    Reload,
}

/// What a manager knows of a unit, org.freedesktop.systemd1(5).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `loaded`, `not-found`, `masked`, `bad-setting`, `error`.
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`.
    pub active: String,
    /// `running`, `exited`, `auto-restart`, ...
    pub sub: String,
    /// `enabled`, `disabled`, `static`, `masked`, empty where there is no file.
    pub file: String,
    /// `success`, `exit-code`, `signal`, `timeout`, `start-limit-hit`, ...; empty for units that have none.
    pub result: String,
    /// The invocation's id in lower-case hex; empty when it has none.
    pub invocation: String,
    /// 0 when there is no main process.
    pub main_pid: u32,
    /// Automatic restarts since the last manual start.
    pub restarts: u32,
    /// When the main process started, microseconds of the realtime clock; 0 when it never did.
    pub main_started_us: u64,
    /// When the unit last became active, microseconds of the realtime clock; 0 when it never did.
    pub active_since_us: u64,
    /// The unit file that is loaded; empty when there is none.
    pub fragment: String,
    /// The drop-ins that are loaded.
    pub drop_ins: Vec<String>,
    /// Whether files changed since the manager read them.
    pub needs_reload: bool,
    /// `simple`, `notify`, `oneshot`, ...; empty for units that are no service.
    pub kind: String,
}

impl UnitState {
    /// Whether it is up: `active` or `reloading`.
    pub fn is_active(&self) -> bool {
        matches!(self.active.as_str(), "active" | "reloading")
    }

    /// Whether an operator masked it.
    pub fn is_masked(&self) -> bool {
        self.load == "masked" || self.file.starts_with("masked")
    }

    /// Whether it starts by itself: `enabled` or `enabled-runtime`.
    pub fn is_enabled(&self) -> bool {
        self.file.starts_with("enabled")
    }
}

/// How a job ended: systemd's own word, `done`, `failed`, `dependency`, `timeout`, `canceled`, `skipped`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult(pub String);

impl JobResult {
    /// Whether the job did what it should.
    pub fn is_done(&self) -> bool {
        self.0 == "done"
    }
}

/// A command in a transient service of the system manager, systemd.exec(5).
#[derive(Debug, Clone)]
pub struct Transient {
    /// The unit's name, `relift-...service`.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Program and arguments; nothing in them is expanded.
    pub argv: Vec<String>,
    /// Who it runs as.
    pub account: Account,
    /// Its working directory.
    pub cwd: PathBuf,
    /// Its whole environment.
    pub env: Vec<(String, String)>,
    /// Its bound; the whole cgroup is killed at it.
    pub timeout: Duration,
    /// Where its standard output and error are appended, opened by the caller.
    pub log: PathBuf,
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
}

impl Manager {
    /// Connects to the system manager.
    pub fn system() -> Result<Manager> {
        todo!()
    }

    /// Connects to the user manager of `account`, through a child that has become it.
    pub fn user(account: &Account) -> Result<Manager> {
        let _ = account;
        todo!()
    }

    /// The state of a unit; a unit that is not there has `load == "not-found"`.
    pub fn unit(&mut self, name: &str) -> Result<UnitState> {
        let _ = name;
        todo!()
    }

    /// `daemon-reload`.
    pub fn reload(&mut self) -> Result<()> {
        todo!()
    }

    /// Enqueues a job with mode `replace` and waits for its end, at most `timeout`.
    pub fn job(&mut self, verb: Verb, unit: &str, timeout: Duration) -> Result<JobResult> {
        let _ = (verb, unit, timeout);
        todo!()
    }

    /// `systemctl enable`, without a reload.
    pub fn enable(&mut self, unit: &str) -> Result<()> {
        let _ = unit;
        todo!()
    }

    /// `systemctl disable`, without a reload.
    pub fn disable(&mut self, unit: &str) -> Result<()> {
        let _ = unit;
        todo!()
    }

    /// Clears `failed` and the start-limit counter of a unit; a unit that is not loaded is no error.
    pub fn reset_failed(&mut self, unit: &str) -> Result<()> {
        let _ = unit;
        todo!()
    }

    /// Runs a command in a transient service and waits for its end. System manager only.
    pub fn run(&mut self, command: &Transient) -> Result<TransientEnd> {
        let _ = command;
        todo!()
    }

    /// Stops a transient service that an earlier run left and waits until its cgroup is empty.
    pub fn end(&mut self, name: &str, timeout: Duration) -> Result<()> {
        let _ = (name, timeout);
        todo!()
    }
}
pub fn is_booted() -> bool { todo!() }
