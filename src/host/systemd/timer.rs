//! A command that a transient timer starts again and again, systemd.timer(5): what systemd-run(1) does, on the connection
//! that is there.

use std::time::Duration;

use zbus::zvariant::{OwnedObjectPath, Value};

use super::Verb;
use super::bus::{Bus, MANAGER, MANAGER_PATH};
use super::explain::Asked;
use super::job::Waiting;
use super::local::Local;
use super::transient::{COLLECT, Property};
use crate::error::{Error, Result};

/// How exactly it keeps its time: by default systemd takes a minute.
const ACCURACY: Duration = Duration::from_secs(1);
/// How long starting a timer may take, and stopping one.
const BOUND: Duration = Duration::from_secs(20);

/// A timer and the service that it starts, of the system manager. Both are gone once the timer is stopped.
#[derive(Debug, Clone)]
pub struct Timer {
    /// What both are called, without `.timer`, `.service`.
    pub name: String,
    /// Their description.
    pub description: String,
    /// Program, by its whole path, and arguments; nothing in them is expanded.
    pub argv: Vec<String>,
    /// From now to the first start, and from each end to the next start.
    pub period: Duration,
    /// An exit status that is none of failure.
    pub also_success: i32,
}

impl Local {
    /// See [`super::Manager::start_timer`].
    pub(super) fn start_timer(&mut self, timer: &Timer) -> Result<()> {
        let (name, service) = (format!("{}.timer", timer.name), format!("{}.service", timer.name));
        let asked = Asked::of(&self.bus, &name, format!("{name} cannot be started"));
        let program = timer.argv.first().ok_or_else(|| Error::failed("a timer without a program cannot be started"))?;
        let period = micros(timer.period);
        let own: Vec<Property> = vec![
            ("Description", timer.description.as_str().into()),
            COLLECT,
            ("TimersMonotonic", Value::from(vec![("OnActiveSec", period), ("OnUnitInactiveSec", period)])),
            ("AccuracyUSec", micros(ACCURACY).into()),
            ("RemainAfterElapse", false.into()),
        ];
        let argv: Vec<String> = timer.argv.iter().map(|word| word.replace('$', "$$")).collect();
        // Not `ExecStartEx`, which is nothing to the file that systemd 252 makes of it and reads at the next reload.
        let exec = vec![(program.as_str(), argv, false)];
        let of_service: Vec<Property> = vec![
            ("Description", timer.description.as_str().into()),
            COLLECT,
            ("Type", "oneshot".into()),
            ("SuccessExitStatus", Value::from((vec![timer.also_success], Vec::<i32>::new()))),
            ("ExecStart", Value::from(exec)),
        ];
        let body = (name.as_str(), "fail", own, vec![(service.as_str(), of_service)]);
        let start = |bus: &Bus| -> zbus::Result<OwnedObjectPath> {
            bus.removed.clear();
            bus.call_once((MANAGER_PATH, MANAGER, "StartTransientUnit"), &body)
        };
        let job = match start(&self.bus) {
            // One that was left over.
            Err(zbus::Error::MethodError(why, ..)) if why.ends_with(".UnitExists") => {
                self.stop_timer(&name)?;
                start(&self.bus)
            }
            job => job,
        };
        let waiting = Waiting::new(&self.bus, &job.map_err(|error| asked.failed(error))?);
        let ended = self.end_of_job(waiting, (Verb::Start, &name), BOUND, &asked)?;
        match ended.is_done() {
            true => Ok(()),
            false => {
                Err(Error::failed(format!("{name} cannot be started")).because(format!("its job ended: {}", ended.0)))
            }
        }
    }

    /// See [`super::Manager::stop_timer`].
    pub(super) fn stop_timer(&mut self, name: &str) -> Result<()> {
        let asked = Asked::of(&self.bus, name, format!("{name} cannot be stopped"));
        self.bus.removed.clear();
        let job: OwnedObjectPath = match self.bus.manager("StopUnit", &(name, "replace")) {
            Err(zbus::Error::MethodError(why, ..)) if why.ends_with(".NoSuchUnit") => return Ok(()),
            job => job.map_err(|error| asked.failed(error))?,
        };
        self.end_of_job(Waiting::new(&self.bus, &job), (Verb::Stop, name), BOUND, &asked).map(drop)
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
