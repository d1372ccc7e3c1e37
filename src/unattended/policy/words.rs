//! A verdict as it is read: the same words in `plan`, `status`, `check`, in errors and in JSON.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Verdict;
use crate::error::Error;
use crate::ledger::Hold;

/// `Tue 2026-11-24 02:17 CET`.
pub fn when(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// `45 s`, `20 min`, `3 h`, `2 days`: in the largest unit of which it has one, and the next where that matters.
pub fn length(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, unit: &str, rest: u64, small: &str| match rest {
        0 => format!("{large} {unit}"),
        rest => format!("{large} {unit} {rest} {small}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "days", seconds % 86_400 / 3600, "h"),
    }
}

/// What comes after *by itself:*.
pub fn line(verdict: &Verdict, zone: &TimeZone) -> String {
    match verdict {
        Verdict::Go { warnings } if warnings.is_empty() => "now".into(),
        Verdict::Go { warnings } => format!("now; {}", warnings.join("; ")),
        Verdict::Defer { why, until } => {
            let why: Vec<&str> = why.iter().map(|reason| reason.what.as_str()).collect();
            let begin = until.map_or("not now".to_owned(), |until| format!("not before {}", when(until, zone)));
            format!("{begin}: {}", why.join("; "))
        }
        Verdict::Refuse { why, .. } => format!("no: {why}"),
    }
}

/// A hold in words; `until` as [`Hold::at`] tells it.
pub(super) fn held(hold: &Hold, until: Option<i64>, zone: &TimeZone) -> String {
    let time = |seconds: i64| when(Timestamp::from_second(seconds).unwrap_or_default(), zone);
    let reason = hold.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let by = hold.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let until = until.map(|until| format!(" until {}", time(until))).unwrap_or_default();
    format!("it is held{until} (since {}{by}){reason}", time(hold.since))
}

/// A verdict for a program.
pub fn document(verdict: &Verdict) -> Value {
    match verdict {
        Verdict::Go { warnings } => json!({"verdict": "go", "warnings": warnings}),
        Verdict::Defer { why, until } => {
            json!({"verdict": "defer", "why": why, "until": until.map(Timestamp::as_second)})
        }
        Verdict::Refuse { why, hint } => json!({"verdict": "refuse", "why": why, "hint": hint}),
    }
}

/// The error of a run that does not start: the rule, its value, and the way past it. `None`: it starts.
pub fn refusal(install: &str, verdict: &Verdict, zone: &TimeZone) -> Option<Error> {
    let by_hand = format!("to run it now, by hand: relift upgrade {install}");
    match verdict {
        Verdict::Go { .. } => None,
        Verdict::Defer { why, until } => {
            let error = match why.as_slice() {
                [only] => Error::refused(format!("{install} is not upgraded by itself now: {}", only.what)),
                _ => why.iter().fold(
                    Error::refused(format!("{install} is not upgraded by itself now: {} reasons", why.len())),
                    |error, reason| error.because(&reason.what),
                ),
            };
            let error =
                until.iter().fold(error, |error, until| error.hint(format!("not before {}", when(*until, zone))));
            Some(match why.iter().any(|reason| reason.rule == super::Rule::Hold) {
                true => error.hint(format!("to lift the hold: relift unhold {install}")),
                false => error.hint(by_hand),
            })
        }
        Verdict::Refuse { why, hint } => {
            let error = Error::refused(format!("{install} is not upgraded by itself: {why}"));
            Some(hint.iter().fold(error, Error::hint).hint(by_hand))
        }
    }
}
