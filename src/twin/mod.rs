//! Throw-away twins of this host: a copy-on-write copy of its file systems with a systemd of its own as PID 1.
//!
//! `relift try` shows upgrades on one, the tests run on many. A twin has its own mount, pid, uts, ipc, network and cgroup
//! namespaces; what it writes goes to an upper layer that is gone with it. The work is done by a supervisor, a child process
//! that owns the mounts and ends with its caller:
//!
//! caller (`Twin`) -> requests (`protocol`) -> supervisor -> PID 1 (`inside`: mounts from `layers`, units from `units`)

mod cgroup;
mod inside;
mod layers;
mod mounts;
mod process;
mod protocol;
mod supervisor;
mod units;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;
use process::Supervisor;
use protocol::Request;
pub use supervisor::supervise;

/// How long a boot may take. A twin of an idle host takes about half a second.
const BOOT_BOUND: Duration = Duration::from_secs(20);

/// What runs in a twin besides what it is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The journal, D-Bus, logind and what a user manager needs. Of the host's own services, timers, sockets, cron jobs,
    /// sysv scripts, fstab entries, lingering accounts and user units nothing starts.
    Own,
    /// `multi-user.target` as on the host, without what needs hardware, the host's network, or takes long.
    Full,
}

/// Where the upper layer of a twin lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// In memory, at most this many bytes; `None`: half of the host's memory (tmpfs(5)).
    Memory(Option<u64>),
    /// In this directory, which is the caller's to remove.
    Directory(PathBuf),
}

/// A file of the host that a twin gets a copy of when it first boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The file here.
    pub from: PathBuf,
    /// Its absolute path in the twin.
    pub to: PathBuf,
    /// Its permission bits; root owns it.
    pub mode: u32,
}

/// What a twin is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its host name: letters, digits and `-`.
    pub name: String,
    /// What runs in it.
    pub target: Target,
    /// Where its upper layer lies.
    pub disk: Disk,
    /// What it gets from here.
    pub files: Vec<Copy>,
    /// This program, whose hidden verb `internal twin-init` supervises the twin.
    pub program: PathBuf,
}

impl Spec {
    /// A twin in memory that has `program`, which is this one, as `/usr/bin/relift`.
    pub fn new(name: &str, target: Target, program: impl Into<PathBuf>) -> Spec {
        let program = program.into();
        let relift = Copy { from: program.clone(), to: "/usr/bin/relift".into(), mode: 0o755 };
        Spec { name: name.to_owned(), target, disk: Disk::Memory(None), files: vec![relift], program }
    }
}

/// A running twin. It ends when this value is dropped or when this process ends, in whatever way.
#[derive(Debug)]
pub struct Twin {
    spec: Spec,
    supervisor: Supervisor,
    init: i32,
}

impl Twin {
    /// Whether a twin can be had here: the mounts and namespaces are really tried. The error's first sentence says why not.
    pub fn possible(program: &Path) -> Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::failed("a twin of this host needs root").hint("run it from a root shell, or with sudo"));
        }
        Supervisor::start(program)?.ask(&Request::Probe).map(drop)
    }

    /// Boots a twin and waits until its target is reached, at most 20 seconds.
    pub fn boot(spec: Spec) -> Result<Twin> {
        let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if spec.name.is_empty() || spec.name.len() > 63 || !spec.name.chars().all(valid) {
            return Err(Error::usage(format!("`{}` is no host name for a twin", spec.name)));
        }
        let mut supervisor = Supervisor::start(&spec.program)?;
        supervisor.ask(&Request::Setup(spec.clone()))?;
        let init = supervisor.ask(&Request::Boot)?;
        let twin = Twin { spec, supervisor, init };
        twin.wait_until_booted()?;
        Ok(twin)
    }

    /// A command in the twin, as root, with nothing but a `PATH`; its paths are the twin's.
    pub fn command<S: Into<OsString>>(&self, argv: impl IntoIterator<Item = S>) -> Command {
        Command::new(self.entry()).args(argv)
    }

    /// The same for a caller that hands over its own terminal: standard input, output and error are inherited, and the
    /// environment holds root's variables and `TERM`.
    pub fn attached<S: Into<OsString>>(&self, argv: impl IntoIterator<Item = S>) -> std::process::Command {
        let mut entry = self.entry().into_iter();
        let mut command = std::process::Command::new(entry.next().unwrap_or_default());
        command.args(entry).args(argv.into_iter().map(Into::into)).env_clear().current_dir("/");
        command.envs(Account::root().environment());
        command.env("TERM", std::env::var_os("TERM").unwrap_or_else(|| "dumb".into()));
        command
    }

    /// The twin's PID 1, as seen from here. It changes when the twin boots again.
    pub fn init(&self) -> i32 {
        self.init
    }

    /// The process that holds the twin's network namespace as long as the twin is there, booted or not.
    pub fn supervisor(&self) -> u32 {
        self.supervisor.pid()
    }

    /// The name that it was booted with.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Cuts the power: PID 1 and with it every process is killed at once. What was written stays.
    pub fn cut(&mut self) -> Result<()> {
        self.supervisor.ask(&Request::Cut).map(drop)
    }

    /// Boots from the disk as it is; a twin that still runs is cut first.
    pub fn boot_again(&mut self) -> Result<()> {
        self.cut()?;
        self.init = self.supervisor.ask(&Request::Boot)?;
        self.wait_until_booted()
    }

    /// Ends the twin, and tells what could not be removed. Dropping does the same without telling.
    pub fn down(self) -> Result<()> {
        self.supervisor.end()
    }

    /// nsenter(1) into every namespace of PID 1, with no more power over the host's kernel than PID 1 has.
    fn entry(&self) -> Vec<OsString> {
        let target = format!("--target={}", self.init);
        let spaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd", "--", "setpriv"];
        let [bounding, inheritable] = inside::capability_options();
        let words = ["nsenter", &target].into_iter().chain(spaces).chain([bounding.as_str(), &inheritable, "--"]);
        words.map(OsString::from).collect()
    }

    fn wait_until_booted(&self) -> Result<()> {
        let deadline = Instant::now() + BOOT_BOUND;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let state = self.systemctl(&["is-system-running", "--wait"], left);
            match state.as_deref() {
                Some("running") => return Ok(()),
                Some("degraded") if self.spec.target == Target::Full => return Ok(()),
                Some("degraded") => return Err(self.no_boot("units failed in the twin", &["--failed"])),
                _ if left.is_zero() => {
                    let what = format!("the twin did not boot within {} seconds", BOOT_BOUND.as_secs());
                    return Err(self.no_boot(&what, &["list-jobs"]));
                }
                _ if !Path::new(&format!("/proc/{}/ns/pid", self.init)).exists() => {
                    return Err(self.no_boot("the twin's systemd ended while it booted", &[]));
                }
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    fn no_boot(&self, what: &str, listing: &[&str]) -> Error {
        let mut lines = self.supervisor.console();
        if !listing.is_empty() {
            let listing = [listing, &["--no-pager", "--no-legend", "--plain"]].concat();
            let text = self.systemctl(&listing, Duration::from_secs(5)).unwrap_or_default();
            lines.extend(text.lines().map(str::to_owned));
        }
        Error::failed(what).detail(lines)
    }

    /// What systemctl(1) prints; `None` where it could not be asked.
    fn systemctl(&self, words: &[&str], bound: Duration) -> Option<String> {
        let argv = ["systemctl"].iter().chain(words).copied();
        let output = self.command(argv).timeout(bound.max(Duration::from_millis(1))).output().ok()?;
        Some(output.text()).filter(|text| !text.is_empty())
    }
}
