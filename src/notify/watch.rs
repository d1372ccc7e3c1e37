//! What nobody else would tell: that nothing checks any more, that a run died and nobody recovers it.

use super::memory::{Found, Memory};
use super::news::Matter;
use crate::host::clock;
use crate::host::paths::Paths;
use crate::ledger::{Held, Ledger, is_newest_ended, open_run};
use crate::manifest::Install;
use crate::run::is_held;

/// How many checks may be missed.
const MISSED: i64 = 3;
/// How long a run may be open with nobody at it before that is told, seconds: its dead-man begins after one minute.
const GRACE: i64 = 5 * 60;

/// What is to be told of an install now. Where no check was ever seen, the watch begins.
pub fn look(paths: &Paths, install: &Install, memory: &mut Memory, now: i64) -> Vec<Found> {
    let mut found = Vec::new();
    if !install.notify.is_empty() {
        let checked = *memory.checked.get_or_insert(now);
        found.extend(unchecked(install, checked, now));
    }
    found.extend(dead(paths, &install.name, now));
    found.extend(over(paths, &install.name, now));
    found
}

fn unchecked(install: &Install, checked: i64, now: i64) -> Option<Found> {
    let expected = install.notify.iter().map(|notify| notify.expect_check.as_secs()).min()?;
    let limit = i64::try_from(expected).unwrap_or(i64::MAX).saturating_mul(MISSED);
    let name = &install.name;
    (now - checked > limit).then(|| Found {
        matter: Matter::Checks,
        digest: "unchecked".into(),
        headline: format!("{name} was not checked for {}", age(now - checked)),
        state: format!("a check is expected every {}; none was seen, and no unattended upgrade", age(limit / MISSED)),
        next: vec![format!("relift check {name}"), "systemctl list-timers 'relift-*'".into()],
    })
}

fn dead(paths: &Paths, name: &str, now: i64) -> Option<Found> {
    let state = paths.state(name);
    if is_newest_ended(&state).unwrap_or(false) {
        return None;
    }
    let found = |run: &str, what: String| Found {
        matter: Matter::Run,
        digest: run.to_owned(),
        headline: what,
        state: "it is neither finished nor undone: files and services may be of both releases".into(),
        next: vec![format!("relift recover {name}"), format!("relift status {name}")],
    };
    let journal = match open_run(&state) {
        Ok(journal) => journal?,
        Err(error) => {
            return Some(found("unreadable", format!("{name}: its newest run cannot be read: {}", error.what)));
        }
    };
    let last = journal.span().map_or(now, |(_, last)| last);
    // A time of the future is of a clock that was set back.
    let is_old = now - last > GRACE || last > now;
    (is_old && !is_held(&paths.runtime(), name))
        .then(|| found(journal.run(), format!("{name}: run {} died and is still open", journal.run())))
}

/// A hold that ended by itself, for as long as it is written down.
fn over(paths: &Paths, name: &str, now: i64) -> Option<Found> {
    let hold = Ledger::below(&paths.state(name)).hold().ok()??;
    let until = hold.until.filter(|_| hold.at(now, clock::boot().as_ref()) == Held::Over)?;
    let reason = hold.reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    Some(Found {
        matter: Matter::Hold,
        digest: until.to_string(),
        headline: format!("{name}: its hold{reason} is over"),
        state: "upgrades go on by themselves, as the policy says".into(),
        next: vec![format!("relift unhold {name}"), format!("relift hold {name} --for 7d")],
    })
}

/// A span in its largest unit.
fn age(seconds: i64) -> String {
    let (count, unit) = match seconds {
        172_800.. => (seconds / 86_400, "day"),
        7_200.. => (seconds / 3_600, "hour"),
        _ => (seconds / 60, "minute"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}
