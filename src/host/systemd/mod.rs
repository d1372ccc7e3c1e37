//! systemd over D-Bus, the system manager and an account's user manager behind one face.
//!
//! The D-Bus interface is org.freedesktop.systemd1(5). Every call and every wait has a bound; a manager that re-executes
//! itself (`systemctl daemon-reexec`) in the middle is waited for and asked again.

mod agent;
pub mod boot;
mod bus;
pub mod deadman;
mod explain;
mod inhibit;
mod job;
pub mod journal;
mod linger;
mod local;
mod output;
mod private;
mod timer;
mod transient;
mod unit;
mod verify;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::Account;
use super::process::Command;
use crate::error::{Error, Kind, Result};

pub use agent::serve as serve_agent;
pub use inhibit::{Inhibition, Inhibitor, inhibit, inhibitors};
pub use linger::{disable_linger, enable_linger, lingering};
pub use output::Secrets;
pub use timer::Timer;
pub use transient::{Transient, TransientEnd};
pub use unit::UnitState;
pub use verify::verify;

/// A connection to one systemd manager.
pub struct Manager {
    way: Way,
}

/// How the manager is reached.
enum Way {
    /// Over a bus or socket that this process may use.
    Local(Box<local::Local>),
    /// Through a child that has become the account.
    Agent(Box<agent::Agent>),
}

/// What a job does: the manager's `StartUnit`, `StopUnit`, `RestartUnit`, `ReloadUnit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// `systemctl start`.
    Start,
    /// `systemctl stop`.
    Stop,
    /// `systemctl restart`: starts a unit that is stopped, too.
    Restart,
    /// `systemctl reload`.
    Reload,
}

impl Verb {
    /// The word that systemctl(1) has for it.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Reload => "reload",
        }
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

/// Whether this host was booted with systemd, sd_booted(3).
pub fn is_booted() -> bool {
    std::fs::symlink_metadata("/run/systemd/system").is_ok_and(|place| place.is_dir())
}

/// Whether this host is going down: systemd starts nothing any more. Asked of systemctl(1), since the bus may be gone by then.
pub fn is_stopping() -> bool {
    let asked = Command::new(["systemctl", "is-system-running"]).timeout(Duration::from_secs(10)).output();
    asked.is_ok_and(|output| output.text() == "stopping")
}

impl Manager {
    /// Connects to the system manager, over the system bus.
    pub fn system() -> Result<Manager> {
        Ok(Manager { way: Way::Local(Box::new(local::Local::system()?)) })
    }

    /// Connects to the user manager of `account`: directly where this process is that account, else through a child that
    /// has become it, since a user's bus admits nobody else, root included. An error with the command that mends it
    /// where the account has no user manager.
    pub fn user(account: &Account) -> Result<Manager> {
        let caller = nix::unistd::geteuid();
        if !caller.is_root() && caller.as_raw() != account.uid {
            let what = format!("the user manager of {} admits nobody but {} itself", account.name, account.name);
            return Err(Error::new(Kind::NotPermitted, what).hint("run it as root"));
        }
        expect_user_manager(account)?;
        let way = match caller.as_raw() == account.uid {
            true => Way::Local(Box::new(local::Local::user(account.uid)?)),
            false => Way::Agent(Box::new(agent::Agent::of(account)?)),
        };
        Ok(Manager { way })
    }

    /// The state of a unit; a unit that is not there has `load == "not-found"`.
    pub fn unit(&mut self, name: &str) -> Result<UnitState> {
        match &mut self.way {
            Way::Local(local) => local.unit(name),
            Way::Agent(agent) => agent.unit(name),
        }
    }

    /// The same in one call, for those who do not ask how it is enabled: of that, what the manager knew when it last looked.
    pub fn running(&mut self, name: &str) -> Result<UnitState> {
        match &mut self.way {
            Way::Local(local) => local.running(name),
            Way::Agent(agent) => agent.running(name),
        }
    }

    /// The names of the loaded units and of the unit files that match a glob (`worker@*.service`), sorted.
    pub fn matching(&mut self, pattern: &str) -> Result<Vec<String>> {
        match &mut self.way {
            Way::Local(local) => local.matching(pattern),
            Way::Agent(agent) => agent.matching(pattern),
        }
    }

    /// `daemon-reload`; returns when the manager has read everything again.
    pub fn reload(&mut self) -> Result<()> {
        match &mut self.way {
            Way::Local(local) => local.reload(),
            Way::Agent(agent) => agent.reload(),
        }
    }

    /// Enqueues a job with mode `replace` and waits for its end, at most `timeout`. A unit that is missing, masked or
    /// unreadable, and a job that has not ended at the bound, are errors; a job that failed is a [`JobResult`].
    pub fn job(&mut self, verb: Verb, unit: &str, timeout: Duration) -> Result<JobResult> {
        match &mut self.way {
            Way::Local(local) => local.job(verb, unit, timeout),
            Way::Agent(agent) => agent.job(verb, unit, timeout),
        }
    }

    /// `systemctl enable`, without a reload.
    pub fn enable(&mut self, unit: &str) -> Result<()> {
        match &mut self.way {
            Way::Local(local) => local.enable(unit),
            Way::Agent(agent) => agent.enable(unit),
        }
    }

    /// `systemctl disable`, without a reload.
    pub fn disable(&mut self, unit: &str) -> Result<()> {
        match &mut self.way {
            Way::Local(local) => local.disable(unit),
            Way::Agent(agent) => agent.disable(unit),
        }
    }

    /// Clears `failed` and the start-limit counter of a unit; a unit that is not loaded is no error.
    pub fn reset_failed(&mut self, unit: &str) -> Result<()> {
        match &mut self.way {
            Way::Local(local) => local.reset_failed(unit),
            Way::Agent(agent) => agent.reset_failed(unit),
        }
    }

    /// Runs a command in a transient service and waits for its end. System manager only.
    pub fn run(&mut self, command: &Transient) -> Result<TransientEnd> {
        self.run_watched(command, &mut |_| {})
    }

    /// As [`Manager::run`], and tells every line of output as it comes, made harmless for a terminal.
    pub fn run_watched(&mut self, command: &Transient, told: &mut dyn FnMut(&str)) -> Result<TransientEnd> {
        self.system_only()?.run(command, told)
    }

    /// Starts a transient timer, in the place of one of its name that is there. System manager only.
    pub fn start_timer(&mut self, timer: &Timer) -> Result<()> {
        self.system_only()?.start_timer(timer)
    }

    /// Stops a timer by its unit's name; one that is not there is no error. System manager only.
    pub fn stop_timer(&mut self, name: &str) -> Result<()> {
        self.system_only()?.stop_timer(name)
    }

    /// Stops a transient service that an earlier run left and waits until its cgroup is empty, at most `timeout`.
    /// A service that is gone is no error. System manager only.
    pub fn end(&mut self, name: &str, timeout: Duration) -> Result<()> {
        self.system_only()?.end(name, timeout)
    }

    fn system_only(&mut self) -> Result<&mut local::Local> {
        match &mut self.way {
            Way::Local(local) if !local.is_user() => Ok(local),
            _ => Err(Error::failed("transient units are run by the system manager alone")),
        }
    }
}

fn expect_user_manager(account: &Account) -> Result<()> {
    let runtime = account.runtime_dir();
    if listens_in(&runtime) {
        return Ok(());
    }
    let cause = match runtime.exists() {
        true => format!("{} holds neither systemd/private nor bus", runtime.display()),
        false => format!("{} does not exist", runtime.display()),
    };
    Err(Error::failed(format!("the account {} has no user manager that runs", account.name))
        .because(cause)
        .hint(format!("loginctl enable-linger {}", account.name))
        .hint(format!("systemctl status user@{}.service", account.uid)))
}

/// Whether the user manager of an account runs.
pub fn has_user_manager(account: &Account) -> bool {
    listens_in(&account.runtime_dir())
}

/// Whether a user manager, or the bus that it is on, listens in this runtime directory.
fn listens_in(runtime: &Path) -> bool {
    ["systemd/private", "bus"].iter().any(|socket| runtime.join(socket).exists())
}
