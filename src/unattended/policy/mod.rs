//! When a run may start by itself: one judgement over values, `relift plan`, `status`, `check` and `upgrade --unattended` say the
//! same of it.
//!
//! | rule | waits | until |
//! |---|---|---|
//! | `hold` | an operator held the install | the hold ends, or is lifted |
//! | `window`, `freeze` | nothing is open now | the next opening |
//! | `splay` | other hosts start first | this host's place in the opening |
//! | `cooldown` | the release is too new | it is old enough |
//! | `attempts` | it failed for other reasons than its own | longer each time |
//! | `on-battery`, `inhibit`, `defer` | the host says so | the host says otherwise |
//!
//! A decision is needed, and nothing is waited for, where a window never opens, a release failed here, or was tried too often.

mod busy;
mod observe;
mod splay;
mod words;

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::host::clock::Boot;
use crate::host::systemd::Inhibitor;
use crate::ledger::{Attempts, Held, Hold};
use crate::manifest::{Calendar, Policy, Reach, Span};

pub use busy::{Answer, ask};
pub use observe::{Observer, is_chance, of_release};
pub use splay::place;
pub use words::{document, length, line, refusal, when};

/// How often openings that do not fit are passed over.
const LOOKS: usize = 400;

/// What a judgement looks at.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// Now.
    pub now: Timestamp,
    /// The host's time zone.
    pub zone: TimeZone,
    /// This host's place among those that share a splay, in 2^64 parts of it.
    pub place: u64,
    /// The hold, where there is one.
    pub hold: Option<Hold>,
    /// This boot, now.
    pub boot: Option<Boot>,
    /// When an unattended run last had its chance to start.
    pub last_chance: Option<Timestamp>,
    /// How long the last run took.
    pub expected: Option<Duration>,
    /// The release, where it is known.
    pub release: Option<Release>,
    /// Whether the host runs on battery.
    pub is_on_battery: bool,
    /// What others inhibit.
    pub inhibitors: Vec<Inhibitor>,
    /// What the `defer` command answered, where it was asked.
    pub answer: Option<Answer>,
}

/// What is known of the release that would be installed.
#[derive(Debug, Clone, Default)]
pub struct Release {
    /// What it is called.
    pub name: String,
    /// When it was first seen here.
    pub first_seen: Timestamp,
    /// The date of its commit, which its author chose.
    pub committed: Option<Timestamp>,
    /// Tries that failed for other reasons than its own.
    pub attempts: Option<Attempts>,
    /// What needs a decision, with the way to make it.
    pub decisions: Vec<(String, Option<String>)>,
}

/// The keys of the manifest that make a run wait, and the verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// `relift hold`.
    Hold,
    /// `window`.
    Window,
    /// `freeze`, or a window with `!`.
    Freeze,
    /// `window-fit`.
    WindowFit,
    /// `splay`.
    Splay,
    /// `cooldown`.
    Cooldown,
    /// `attempts`.
    Attempts,
    /// `on-battery`.
    OnBattery,
    /// `inhibit`.
    Inhibit,
    /// `defer`.
    Defer,
}

/// Why a run waits.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// The rule.
    pub rule: Rule,
    /// What it says, with its value.
    pub what: String,
}

/// Whether a run may start by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Now.
    Go {
        /// What an operator should know.
        warnings: Vec<String>,
    },
    /// Not now, and it resolves by itself.
    Defer {
        /// Why, at least one.
        why: Vec<Reason>,
        /// Not before then; `None`: it is not known when.
        until: Option<Timestamp>,
    },
    /// Somebody has to decide.
    Refuse {
        /// Why.
        why: String,
        /// How.
        hint: Option<String>,
    },
}

/// Judges. Pure.
pub fn judge(policy: &Policy, here: &Circumstances) -> Verdict {
    let now = here.now;
    let mut why = Vec::new();
    let mut earliest = now;
    let mut is_known = true;
    if let Some(hold) = &here.hold {
        match hold.at(now.as_second(), here.boot.as_ref()) {
            Held::Over => {}
            Held::Until(until) => {
                why.push(reason(Rule::Hold, words::held(hold, until, &here.zone)));
                match until.and_then(|until| Timestamp::from_second(until).ok()) {
                    Some(until) => earliest = earliest.max(until),
                    None => is_known = false,
                }
            }
        }
    }
    let is_held = !why.is_empty();
    if let Some(refused) = decision(policy, here).filter(|_| !is_held) {
        return refused;
    }
    for (reason, until) in here.release.iter().flat_map(|release| patience(policy, release, here)) {
        why.push(reason);
        earliest = earliest.max(until);
    }
    let calendar = match Calendar::of(&policy.schedule, here.zone.clone()) {
        Ok(calendar) => calendar,
        Err(error) if !is_held => return Verdict::Refuse { why: error.what, hint: error.hints.into_iter().next() },
        Err(error) => {
            why.push(reason(Rule::Window, error.what));
            return Verdict::Defer { why, until: None };
        }
    };
    let start = Starts { policy, here, calendar: &calendar };
    why.extend(start.closed_now());
    let begins = start.from(earliest);
    if begins.is_none() && !is_held {
        return Verdict::Refuse {
            why: match policy.window_fit && calendar.next(now).is_some() {
                true => format!("no window is as long as a run takes ({})", length(here.expected.unwrap_or_default())),
                false => format!("no window ever opens ({})", policy.schedule.windows().join(", ")),
            },
            hint: Some("correct `window` under [policy] in the manifest: relift config check".into()),
        };
    }
    why.extend(host(policy, here));
    if why.is_empty() {
        return Verdict::Go { warnings: start.warnings(now) };
    }
    let until = begins.filter(|begins| is_known && *begins > now);
    Verdict::Defer { why, until }
}

fn reason(rule: Rule, what: impl Into<String>) -> Reason {
    Reason { rule, what: what.into() }
}

/// What is waited for in vain.
fn decision(policy: &Policy, here: &Circumstances) -> Option<Verdict> {
    let release = here.release.as_ref()?;
    if let Some((why, hint)) = release.decisions.first() {
        let more = release.decisions.len() - 1;
        let more = if more == 0 { String::new() } else { format!(", and {more} more") };
        return Some(Verdict::Refuse { why: format!("{why}{more}"), hint: hint.clone() });
    }
    let attempts = release.attempts.as_ref().filter(|attempts| attempts.count >= policy.attempts)?;
    Some(Verdict::Refuse {
        why: format!(
            "{} was tried {} times in vain (attempts = {}), last on {}: {}",
            release.name,
            attempts.count,
            policy.attempts,
            when(Timestamp::from_second(attempts.last).unwrap_or_default(), &here.zone),
            attempts.why
        ),
        hint: Some("mend what is named, then run it by hand, which starts anew".into()),
    })
}

/// What the release itself has to wait for, and until when.
fn patience(policy: &Policy, release: &Release, here: &Circumstances) -> Vec<(Reason, Timestamp)> {
    let now = here.now;
    let mut waits = Vec::new();
    if let Some(cooldown) = policy.cooldown {
        let born = born(release, now);
        let ripe = born.saturating_add(cooldown).unwrap_or(Timestamp::MAX);
        if ripe > now {
            let age = now.duration_since(born).unsigned_abs();
            let what = format!("{} is {} old (cooldown {})", release.name, length(age), length(cooldown));
            waits.push((reason(Rule::Cooldown, what), ripe));
        }
    }
    if let Some(attempts) = &release.attempts {
        let last = Timestamp::from_second(attempts.last).unwrap_or_default();
        let again = last.saturating_add(backoff(attempts.count)).unwrap_or(Timestamp::MAX);
        // After a clock that was put back nobody waits until it has caught up: the number of tries is bounded anyway.
        if again > now && last <= now {
            let what = format!("attempt {} of {} failed: {}", attempts.count, policy.attempts, attempts.why);
            waits.push((reason(Rule::Attempts, what), again));
        }
    }
    waits
}

/// Since when a release ages: since it was first seen here, or since its commit where that is later. A date that is to come is
/// no date.
fn born(release: &Release, now: Timestamp) -> Timestamp {
    let seen = release.first_seen.min(now);
    release.committed.filter(|date| *date <= now).map_or(seen, |date| date.max(seen))
}

/// How long after so many failures: the first is tried again when the next run comes, then after 1 h, 4 h, 16 h, a day.
fn backoff(failures: u32) -> SignedDuration {
    match failures {
        0 | 1 => SignedDuration::ZERO,
        2..=4 => SignedDuration::from_hours(4i64.pow(failures - 2)),
        _ => SignedDuration::from_hours(24),
    }
}

/// What the host itself says.
fn host(policy: &Policy, here: &Circumstances) -> Vec<Reason> {
    let mut why = Vec::new();
    if policy.defer_on_battery && here.is_on_battery {
        why.push(reason(Rule::OnBattery, "the host runs on battery (on-battery = \"defer\")"));
    }
    for lock in &here.inhibitors {
        let Some(what) = lock.what.iter().find(|what| policy.inhibit.contains(what)) else { continue };
        why.push(reason(Rule::Inhibit, format!("{what} is inhibited by {}: {}", lock.who, lock.why)));
    }
    match &here.answer {
        Some(Answer::Busy(what)) => why.push(reason(Rule::Defer, format!("the host is busy: {what}"))),
        Some(Answer::Fault(what)) => why.push(reason(Rule::Defer, what.clone())),
        Some(Answer::Go) | None => {}
    }
    why
}

/// When runs start.
struct Starts<'a> {
    policy: &'a Policy,
    here: &'a Circumstances,
    calendar: &'a Calendar,
}

impl Starts<'_> {
    /// The first time from `at` on at which a run may start.
    fn from(&self, at: Timestamp) -> Option<Timestamp> {
        if at == self.here.now && self.is_catching_up() {
            return Some(at);
        }
        let mut at = at;
        if !self.policy.schedule.has_window()
            && let Some(release) = &self.here.release
        {
            let place = splay::share(self.policy.splay.unwrap_or_default(), self.here.place);
            let turn = release.first_seen.min(self.here.now).saturating_add(place).unwrap_or(Timestamp::MAX);
            at = at.max(turn);
        }
        for _ in 0..LOOKS {
            let opening = self.calendar.next(at)?;
            match self.turn(opening).map(|turn| turn.max(at)).filter(|turn| self.fits(*turn, opening)) {
                Some(turn) => return Some(turn),
                None => at = opening.until,
            }
        }
        None
    }

    /// This host's place in an opening; always in it.
    fn turn(&self, opening: Span) -> Option<Timestamp> {
        if !self.policy.schedule.has_window() {
            return Some(opening.since);
        }
        let room = match self.policy.window_fit {
            true => opening.length().checked_sub(self.here.expected.unwrap_or_default())?,
            false => opening.length(),
        };
        let splay = self.policy.splay.unwrap_or_default().min(room);
        opening.since.checked_add(splay::share(splay, self.here.place)).ok()
    }

    fn fits(&self, begin: Timestamp, opening: Span) -> bool {
        let ends = begin.saturating_add(self.here.expected.unwrap_or_default()).unwrap_or(Timestamp::MAX);
        !self.policy.window_fit || !self.policy.schedule.has_window() || ends <= opening.until
    }

    /// Why a run does not start at this very moment.
    fn closed_now(&self) -> Option<Reason> {
        let (now, schedule) = (self.here.now, &self.policy.schedule);
        if let Some((text, _)) = self.calendar.closed(now) {
            return Some(reason(Rule::Freeze, format!("nothing starts by itself now (\"{text}\")")));
        }
        if self.is_catching_up() {
            return None;
        }
        let Some(opening) = self.calendar.opening(now) else {
            let windows = schedule.windows().join(", ");
            return Some(reason(Rule::Window, format!("it is outside its window ({windows})")));
        };
        let splay = length(self.policy.splay.unwrap_or_default());
        let turn = self.turn(opening);
        match self.from(now) {
            Some(begin)
                if begin > now && turn.is_some_and(|turn| turn > now)
                    || (!schedule.has_window() && self.from(now) > Some(now)) =>
            {
                Some(reason(Rule::Splay, format!("other hosts start first (splay {splay})")))
            }
            Some(begin) if begin > now => {
                let left = length(opening.until.duration_since(now).unsigned_abs());
                let takes = length(self.here.expected.unwrap_or_default());
                Some(reason(
                    Rule::WindowFit,
                    format!("the window ends in {left}, and a run takes {takes} (window-fit)"),
                ))
            }
            _ => None,
        }
    }

    /// Whether no run had a chance in the last opening, so that this one may start outside.
    fn is_catching_up(&self) -> bool {
        let (policy, here) = (self.policy, self.here);
        if !policy.catch_up || !policy.schedule.has_window() || self.calendar.closed(here.now).is_some() {
            return false;
        }
        let missed = |last: Span| here.last_chance.is_some_and(|chance| chance < last.since);
        self.calendar.opening(here.now).is_none() && self.calendar.last(here.now).is_some_and(missed)
    }

    fn warnings(&self, now: Timestamp) -> Vec<String> {
        let opening = self.calendar.opening(now).filter(|_| self.policy.schedule.has_window());
        let late = opening
            .zip(self.here.expected)
            .filter(|(opening, expected)| now.saturating_add(*expected).unwrap_or(Timestamp::MAX) > opening.until);
        late.map(|(opening, expected)| {
            let left = length(opening.until.duration_since(now).unsigned_abs());
            format!("the window ends in {left}, and the last run took {}: it may end after it", length(expected))
        })
        .into_iter()
        .collect()
    }
}

/// Whether anything is ever started by itself.
pub fn is_asked(policy: &Policy) -> bool {
    policy.unattended != Reach::None
}

#[cfg(test)]
mod tests;
