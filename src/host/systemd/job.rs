//! The end of a job: told by the `JobRemoved` signal, or seen when the job's object is gone.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use zbus::blocking::{Connection, MessageIterator};
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

use super::bus::{Bus, MANAGER, MANAGER_PATH, Peer, SYSTEMD};

/// How many ends are kept that nobody asked for yet. More than a boot enqueues; one that is lost is seen by looking.
const KEPT: usize = 4096;
/// How often a job is looked for beside the signal, which a re-executing manager may lose.
const LOOK: Duration = Duration::from_millis(500);

/// Ends of jobs as they were told.
#[derive(Default)]
pub(super) struct Removed {
    ends: Mutex<VecDeque<End>>,
    told: Condvar,
}

struct End {
    job: String,
    result: String,
    /// Who told it: any client of a bus can send such a signal.
    sender: Option<String>,
}

/// How a wait for a job ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The manager's own word.
    Told(String),
    /// The job is gone and no word of it came.
    Vanished,
    /// It is still there at the bound.
    Pending,
}

impl Removed {
    /// Collects what is told on a connection, until that is closed.
    pub(super) fn listen(self: &Arc<Self>, connection: &Connection, peer: Peer) -> zbus::Result<()> {
        let rule = zbus::MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .interface(MANAGER)?
            .member("JobRemoved")?
            .path(MANAGER_PATH)?;
        let rule = if peer == Peer::Bus { rule.sender(SYSTEMD)? } else { rule };
        let signals = MessageIterator::for_match_rule(rule.build(), connection, Some(1024))?;
        let removed = self.clone();
        std::thread::spawn(move || {
            for message in signals {
                let Ok(message) = message else { break };
                let sender = message.header().sender().map(|name| name.to_string());
                if let Ok((_, job, _, result)) = message.body().deserialize::<(u32, OwnedObjectPath, String, String)>()
                {
                    removed.push(End { job: job.to_string(), result, sender });
                }
            }
        });
        Ok(())
    }

    /// Forgets what was told so far: job ids are used again after a reboot or a re-execution only, but why keep them.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn push(&self, end: End) {
        let mut ends = self.lock();
        if ends.len() == KEPT {
            ends.pop_front();
        }
        ends.push_back(end);
        self.told.notify_all();
    }

    /// The result of a job, waiting for it at most `patience`; only what `manager` told counts, where a name is given.
    fn take(&self, job: &str, manager: Option<&str>, patience: Duration) -> Option<String> {
        let until = Instant::now() + patience;
        let mut ends = self.lock();
        loop {
            let known = |end: &End| end.job == job && (manager.is_none() || end.sender.as_deref() == manager);
            if let Some(at) = ends.iter().position(known) {
                return ends.remove(at).map(|end| end.result);
            }
            let left = until.checked_duration_since(Instant::now())?;
            ends = self.told.wait_timeout(ends, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<End>> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that was enqueued and whose end is awaited.
pub(super) struct Waiting {
    job: String,
    manager: Option<String>,
    looked: Instant,
}

impl Waiting {
    /// For the job that a manager just enqueued.
    pub(super) fn new(bus: &Bus, job: &OwnedObjectPath) -> Waiting {
        Waiting { job: job.to_string(), manager: bus.manager_name(), looked: Instant::now() }
    }

    /// Waits at most `patience`, which may be nothing, for the end.
    pub(super) fn wait(&mut self, bus: &mut Bus, patience: Duration) -> zbus::Result<Ended> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if let Some(result) = bus.removed.take(&self.job, self.manager.as_deref(), left.min(LOOK)) {
                return Ok(Ended::Told(result));
            }
            if self.looked.elapsed() >= LOOK {
                self.looked = Instant::now();
                if !self.is_queued(bus)? {
                    // The manager tells the end before it answers that the job is gone; re-executed, it has a new name.
                    self.manager = bus.manager_name();
                    let told = bus.removed.take(&self.job, self.manager.as_deref(), Duration::from_millis(50));
                    return Ok(told.map_or(Ended::Vanished, Ended::Told));
                }
            }
            if Instant::now() >= until {
                return Ok(Ended::Pending);
            }
        }
    }

    fn is_queued(&self, bus: &mut Bus) -> zbus::Result<bool> {
        let method = (self.job.as_str(), "org.freedesktop.DBus.Properties", "Get");
        let asked: zbus::Result<OwnedValue> = bus.call(method, &("org.freedesktop.systemd1.Job", "State"));
        match asked {
            Ok(_) => Ok(true),
            Err(zbus::Error::MethodError(name, ..)) if name.contains(".Unknown") => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(job: &str, result: &str, sender: &str) -> End {
        End { job: job.into(), result: result.into(), sender: Some(sender.into()) }
    }

    #[test]
    fn an_end_told_by_somebody_else_is_not_believed() {
        let removed = Removed::default();
        removed.push(end("/job/1", "done", ":1.66"));
        removed.push(end("/job/1", "failed", ":1.0"));
        assert_eq!(removed.take("/job/1", Some(":1.0"), Duration::ZERO).as_deref(), Some("failed"));
        assert_eq!(removed.take("/job/1", Some(":1.0"), Duration::ZERO), None);
    }

    #[test]
    fn an_end_that_is_told_wakes_who_waits() {
        let removed = Arc::new(Removed::default());
        let teller = removed.clone();
        let thread = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            teller.push(end("/job/2", "done", ":1.0"));
        });
        let start = Instant::now();
        assert_eq!(removed.take("/job/2", None, Duration::from_secs(10)).as_deref(), Some("done"));
        assert!(start.elapsed() < Duration::from_secs(5));
        thread.join().expect("told");
    }

    #[test]
    fn what_nobody_asks_for_does_not_pile_up() {
        let removed = Removed::default();
        (0..KEPT + 10).for_each(|id| removed.push(end(&format!("/job/{id}"), "done", ":1.0")));
        assert_eq!(removed.lock().len(), KEPT);
        assert!(removed.take(&format!("/job/{}", KEPT + 9), None, Duration::ZERO).is_some());
    }
}
