//! A manager whose bus or socket this process may use.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::bus::{Address, Bus, CALL};
use super::explain::Asked;
use super::job::{Ended, Waiting};
use super::unit::{UnitState, object_path};
use super::{JobResult, Verb};
use crate::error::{Error, Result};
use crate::host::interrupt;

/// How long `daemon-reload` may take: generators run in it. systemctl(1) gives it 180 s.
pub(super) const RELOAD: Duration = Duration::from_secs(180);

/// How soon a wait for a job notices that somebody asked for an end.
const ATTENTION: Duration = Duration::from_millis(200);

/// Of `ListUnitsByPatterns`: the name, and what else is listed.
type UnitListing = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Kind, link, destination.
type LinkChange = (String, String, String);

/// A manager that this process talks to.
pub(super) struct Local {
    pub(super) bus: Bus,
}

impl Local {
    /// PID 1.
    pub(super) fn system() -> Result<Local> {
        Ok(Local { bus: Bus::open(Address::System, CALL)? })
    }

    /// The user manager of the account that this process is.
    pub(super) fn user(uid: u32) -> Result<Local> {
        Ok(Local { bus: Bus::open(Address::User(PathBuf::from(format!("/run/user/{uid}"))), CALL)? })
    }

    pub(super) fn is_user(&self) -> bool {
        self.bus.is_user()
    }

    pub(super) fn unit(&mut self, name: &str) -> Result<UnitState> {
        let state = self.running(name)?;
        // The property of the unit is cached from before an enable or disable; this is looked up.
        let file = match self.bus.manager::<_, String>("GetUnitFileState", &name) {
            Ok(file) => file,
            Err(zbus::Error::MethodError(..)) => String::new(),
            Err(error) => return Err(unreadable(&self.bus, name, error)),
        };
        Ok(UnitState { file, ..state })
    }

    /// All properties at one instant: an empty interface name means all of them to sd-bus, as for `systemctl show`. The unit is
    /// loaded by being asked for.
    pub(super) fn running(&mut self, name: &str) -> Result<UnitState> {
        let path = object_path(name);
        let all: zbus::Result<HashMap<String, OwnedValue>> =
            self.bus.call((&path, "org.freedesktop.DBus.Properties", "GetAll"), &"");
        let all = all.map_err(|error| unreadable(&self.bus, name, error))?;
        Ok(UnitState::from_properties(&all))
    }

    pub(super) fn matching(&mut self, pattern: &str) -> Result<Vec<String>> {
        let asked = Asked::of(&self.bus, "", format!("the units {pattern} cannot be listed"));
        let (none, patterns): (&[&str], _) = (&[], [pattern]);
        let loaded: Vec<UnitListing> =
            self.bus.manager("ListUnitsByPatterns", &(none, &patterns[..])).map_err(|error| asked.failed(error))?;
        let files: Vec<(String, String)> =
            self.bus.manager("ListUnitFilesByPatterns", &(none, &patterns[..])).map_err(|error| asked.failed(error))?;
        let loaded = loaded.into_iter().filter(|unit| unit.2 != "not-found").map(|unit| unit.0);
        let files = files.into_iter().filter_map(|(path, _)| path.rsplit('/').next().map(str::to_owned));
        Ok(loaded.chain(files).collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// On a connection of its own, whose calls may take as long as a reload does.
    pub(super) fn reload(&mut self) -> Result<()> {
        let asked = Asked::of(&self.bus, "", "systemd could not read its units again (daemon-reload)");
        let mut patient = Bus::unheard(self.bus.address(), RELOAD)?;
        patient.manager("Reload", &()).map_err(|error| asked.failed(error))
    }

    pub(super) fn job(&mut self, verb: Verb, unit: &str, timeout: Duration) -> Result<JobResult> {
        let past = match verb {
            Verb::Start => "started",
            Verb::Stop => "stopped",
            Verb::Restart => "restarted",
            Verb::Reload => "reloaded",
        };
        let asked = Asked::of(&self.bus, unit, format!("{unit} cannot be {past}"));
        let method = match verb {
            Verb::Start => "StartUnit",
            Verb::Stop => "StopUnit",
            Verb::Restart => "RestartUnit",
            Verb::Reload => "ReloadUnit",
        };
        if matches!(verb, Verb::Start | Verb::Restart) {
            self.keep(unit);
        }
        self.bus.removed.clear();
        let job: OwnedObjectPath = self.bus.manager(method, &(unit, "replace")).map_err(|error| asked.failed(error))?;
        let waiting = Waiting::new(&self.bus, &job);
        self.end_of_job(waiting, (verb, unit), timeout, &asked)
    }

    /// How a job that was enqueued ended.
    pub(super) fn end_of_job(
        &mut self,
        mut waiting: Waiting,
        (verb, unit): (Verb, &str),
        timeout: Duration,
        asked: &Asked,
    ) -> Result<JobResult> {
        let deadline = Instant::now() + timeout;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now()).min(ATTENTION);
            match waiting.wait(&mut self.bus, patience).map_err(|error| asked.failed(error))? {
                Ended::Told(result) => return Ok(JobResult(result)),
                Ended::Vanished => return self.job_by_state(verb, unit),
                Ended::Pending if Instant::now() >= deadline => return Err(self.pending(verb, unit, timeout)),
                // The job goes on; the undo that follows replaces it.
                Ended::Pending => interrupt::check()?,
            }
        }
    }

    /// Takes a reference, held as long as this connection: a oneshot that did its work, or a unit whose conditions are not
    /// met, is forgotten otherwise before it can be asked how it went. Where there is no bus, references do not exist;
    /// what is wrong with the unit itself is told by the job.
    fn keep(&mut self, unit: &str) {
        if self.bus.is_shared() {
            self.bus.manager::<_, ()>("RefUnit", &unit).unwrap_or_default();
        }
    }

    /// What a job that ended unseen did, from the unit's state.
    fn job_by_state(&mut self, verb: Verb, unit: &str) -> Result<JobResult> {
        let state = self.running(unit)?;
        let ended_well = state.kind == "oneshot" && state.active == "inactive" && state.result == "success";
        let reached = match verb {
            Verb::Stop => matches!(state.active.as_str(), "inactive" | "failed"),
            Verb::Start | Verb::Restart => state.is_active() || ended_well,
            Verb::Reload => state.is_active(),
        };
        Ok(JobResult(if reached { "done" } else { "failed" }.to_owned()))
    }

    fn pending(&mut self, verb: Verb, unit: &str, timeout: Duration) -> Error {
        let word = verb.word();
        let late = Error::failed(format!("the {word} job of {unit} did not end within {} s", timeout.as_secs()));
        let scope = if self.is_user() { "systemctl --user" } else { "systemctl" };
        let late = match self.running(unit) {
            Ok(state) => late.because(format!("it is {} ({})", state.active, state.sub)),
            Err(error) => late.because(error),
        };
        late.hint(format!("{scope} list-jobs")).hint(format!("{scope} status {unit}"))
    }

    pub(super) fn enable(&mut self, unit: &str) -> Result<()> {
        let asked = Asked::of(&self.bus, unit, format!("{unit} cannot be enabled"));
        let done: zbus::Result<(bool, Vec<LinkChange>)> =
            self.bus.manager("EnableUnitFiles", &(&[unit][..], false, false));
        done.map(|_| ()).map_err(|error| asked.failed(error))
    }

    pub(super) fn disable(&mut self, unit: &str) -> Result<()> {
        let asked = Asked::of(&self.bus, unit, format!("{unit} cannot be disabled"));
        let done: zbus::Result<Vec<LinkChange>> = self.bus.manager("DisableUnitFiles", &(&[unit][..], false));
        done.map(|_| ()).map_err(|error| asked.failed(error))
    }

    pub(super) fn reset_failed(&mut self, unit: &str) -> Result<()> {
        let asked = Asked::of(&self.bus, unit, format!("the failure of {unit} cannot be cleared"));
        match self.bus.manager("ResetFailedUnit", &unit) {
            Err(zbus::Error::MethodError(name, ..)) if name.ends_with(".NoSuchUnit") => Ok(()),
            other => other.map_err(|error| asked.failed(error)),
        }
    }
}

fn unreadable(bus: &Bus, name: &str, error: zbus::Error) -> Error {
    Asked::of(bus, name, format!("the state of {name} cannot be read")).failed(error)
}
