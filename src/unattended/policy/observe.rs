//! Looking at what a judgement is made from.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::{Circumstances, Release};
use crate::error::Result;
use crate::host::{clock, power, systemd};
use crate::ledger::{Ledger, history};
use crate::manifest::{Calendar, Install, Policy};
use crate::plan::{Intent, Plan, by_itself};
use crate::run::record::Outcome;
use crate::source::git::Mirror;

/// How many runs are looked through for one that was done.
const RUNS: usize = 10;

/// What is looked at.
pub struct Observer<'a> {
    /// The install.
    pub install: &'a Install,
    /// Its state directory.
    pub state: &'a Path,
    /// What `--root` gave.
    pub root: &'a Path,
}

impl Observer<'_> {
    /// The circumstances, without the release and the `defer` command; and what could not be looked at.
    pub fn look(&self) -> Result<(Circumstances, Vec<String>)> {
        let ledger = Ledger::below(self.state);
        let policy = &self.install.policy;
        let mut warnings = Vec::new();
        let inhibitors = match policy.inhibit.is_empty() {
            true => Vec::new(),
            false => systemd::inhibitors().unwrap_or_else(|error| {
                warnings.push(format!("what inhibits a shutdown is not known: {error}"));
                Vec::new()
            }),
        };
        let here = Circumstances {
            now: Timestamp::now(),
            zone: clock::zone(),
            place: super::place(self.root, &self.install.name),
            hold: ledger.hold()?,
            boot: clock::boot(),
            last_chance: ledger.last_chance()?.and_then(|time| Timestamp::from_second(time).ok()),
            expected: expected(self.state),
            release: None,
            is_on_battery: power::is_on_battery(&self.root.join("sys")),
            inhibitors,
            answer: None,
        };
        Ok((here, warnings))
    }
}

/// What is known of the release that a plan is about; `now` is when it is seen where it never was.
pub fn of_release(install: &Install, state: &Path, mirror: &Mirror, plan: &Plan, now: Timestamp) -> Result<Release> {
    let ledger = Ledger::below(state);
    let revision = &plan.to.revision;
    let time = |seconds: i64| Timestamp::from_second(seconds).ok();
    let committed = mirror.repository().revparse_single(revision).ok();
    let committed = committed.and_then(|object| Some(object.peel_to_commit().ok()?.time().seconds()));
    Ok(Release {
        name: plan.target_words(),
        first_seen: ledger.first_seen(revision)?.and_then(time).unwrap_or(now),
        committed: committed.and_then(time),
        attempts: ledger.attempts(revision)?,
        decisions: by_itself(install, plan).into_iter().map(|blocker| (blocker.what, blocker.hint)).collect(),
    })
}

/// Whether a window is open, in which a run has its chance.
pub fn is_chance(policy: &Policy, here: &Circumstances) -> bool {
    let calendar = Calendar::of(&policy.schedule, here.zone.clone());
    calendar.is_ok_and(|calendar| calendar.opening(here.now).is_some())
}

/// How long the newest upgrade that was done took.
fn expected(state: &Path) -> Option<Duration> {
    let past = history(state, RUNS).ok()?;
    let is_done = |end: &crate::run::record::End| end.outcome == Outcome::Done;
    let newest =
        past.iter().find(|past| past.plan.intent == Intent::Upgrade && past.end.as_ref().is_some_and(is_done))?;
    u64::try_from(newest.last - newest.began).ok().map(Duration::from_secs)
}
