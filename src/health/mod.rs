//! Health: probes, the gate that a run must reach, the soak that it must then hold.
//!
//! "Healthy" is running code proven, never "systemctl said 0": the unit runs a new invocation, its process has lived for
//! a while, systemd did not have to restart it, and the declared probes answer.

mod awake;
mod command;
mod container;
mod gate;
mod http;
mod journal;
mod managers;
mod number;
mod probe;
mod report;
mod tcp;
mod units;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Result, ended};
use crate::host::account::Account;
use crate::host::clock;
use crate::manifest::{Health, Install, Probe, Scope, Template};
use crate::report::Reporter;
pub use http::descend;
use managers::Managers;
use probe::Ready;
use units::{Verdict, Watch};

/// A unit that must be up, and what was known of it before the restart.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its manager.
    pub scope: Scope,
    /// Its name.
    pub unit: String,
    /// The invocation before the restart or start, empty where it had none; a new one is required. `None`: it was neither
    /// started nor restarted in this run.
    pub old_invocation: Option<String>,
}

/// One component's gate.
#[derive(Debug, Clone)]
pub struct Gate {
    /// The component.
    pub component: String,
    /// Its directory, where command probes run.
    pub directory: PathBuf,
    /// Units that must be active.
    pub units: Vec<Expected>,
    /// Probes that must answer.
    pub probes: Vec<Health>,
    /// The version that `{version}` stands for.
    pub version: Option<String>,
    /// The values of `${KEY}`; never printed.
    pub values: BTreeMap<String, String>,
    /// What no message may show: the secrets among the configuration files' values.
    pub secrets: Vec<String>,
    /// Where the new release begins in the journal: taken before the restart.
    pub mark: Mark,
    /// This release was proven here before, and comes back as it was.
    pub is_known: bool,
}

/// How a unit or a probe was before a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The component that it belongs to.
    pub component: String,
    /// The unit's name, or the probe as it is written.
    pub subject: String,
    /// What was wrong with it, redacted; `None`: nothing.
    pub fault: Option<String>,
}

/// How long one probe of [`baseline`] may take.
const BASELINE: Duration = Duration::from_secs(5);

impl Gate {
    /// A template with this gate's values and version; the error, in one line, names what is not there.
    fn fill(&self, template: &Template) -> std::result::Result<String, String> {
        template.fill(&self.values, self.version.as_deref()).map_err(|error| error.to_string())
    }
}

/// A text of others without secrets, and harmless for a terminal.
fn shown(text: &str, secrets: &[String]) -> String {
    crate::text::harmless(&crate::text::redact(text, secrets))
}

/// A place in the systemd journal, for a later [`Gate`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// A cursor, where a probe looks back. `None`: the journal was empty or absent then.
    pub cursor: Option<String>,
    /// The time, microseconds of the realtime clock: what is shown of a failure goes by it.
    pub micros: u64,
}

impl Mark {
    /// The journal's end, now. The cursor, which takes a journalctl(1), only where a probe of the install needs it.
    pub fn now(install: &Install) -> Mark {
        let is_probe = |health: &Health| matches!(health.probe, Probe::Journal { .. });
        let looks_back = install.components.iter().flat_map(|component| &component.health).any(is_probe);
        let micros = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
        Mark { cursor: looks_back.then(crate::host::systemd::journal::end).flatten(), micros }
    }
}

/// Proves what `what` names, such as `prove that it runs`: waits until every gate is reached, each probe within its own time and each unit within the longest of them (60 s where
/// there is none), then holds for `soak`; tells [`crate::report::Phase::Soak`] when that begins.
///
/// While it holds, everything is asked on: a unit that goes down fails at once, a probe that fails twice in a row.
/// The error says which unit or probe failed, how, and carries the last lines of the failing unit's journal, values of
/// `.env` redacted.
pub fn prove(what: &str, owner: &Account, gates: &[Gate], soak: Duration, reporter: &dyn Reporter) -> Result<()> {
    gate::prove(what, owner, gates, soak, reporter)
}

/// Measures the health that there is now, once and without waiting: a run tells by it what was down before. Journal
/// probes, which look back at a restart, are left out. An error where a manager cannot be asked.
pub fn baseline(owner: &Account, gates: &[Gate]) -> Result<Vec<Finding>> {
    let mut managers = Managers::new(owner);
    let mut findings = Vec::new();
    for gate in gates {
        for expected in &gate.units {
            let state = managers.unit(expected)?;
            let fault = match Watch::new(None, Duration::ZERO).see(clock::monotonic(), &state) {
                Verdict::Up | Verdict::Settling(_) => None,
                Verdict::Waiting(why) | Verdict::Failed(why) => Some(crate::text::harmless(&why)),
            };
            findings.push(Finding { component: gate.component.clone(), subject: expected.unit.clone(), fault });
        }
    }
    findings.extend(probes_now(owner, gates));
    Ok(findings)
}

/// All at the same time: the slowest one bounds them.
fn probes_now(owner: &Account, gates: &[Gate]) -> Vec<Finding> {
    let ready = gates.iter().flat_map(|gate| {
        let component = &gate.component;
        gate.probes.iter().map(move |health| (component.clone(), Ready::new(health, gate, owner)))
    });
    let asked = ready.filter(|(_, probe)| !probe.looks_back).map(|(component, mut probe)| {
        std::thread::spawn(move || {
            let fault = probe.ask_within(BASELINE).fault();
            Finding { component, subject: probe.name, fault }
        })
    });
    let asked: Vec<_> = asked.collect();
    asked.into_iter().map(|thread| ended(thread.join())).collect()
}
