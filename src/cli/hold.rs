//! `relift hold` and `unhold`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SpanRelativeTo, Timestamp};

use super::globals::Globals;
use super::session::Session;
use super::status::when;
use super::trust::caller;
use super::{aftermath, output};
use crate::error::{Error, Exit, Result};
use crate::host::clock;
use crate::ledger::Hold;

/// Arguments of `relift hold`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The install; may be left out when there is only one
    name: Option<String>,
    /// Why, for whoever meets the hold
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// When the hold ends by itself: 2026-12-01, or "2026-12-01 14:00"
    #[arg(long, value_name = "DATE", conflicts_with = "length")]
    until: Option<String>,
    /// How long it lasts: 3d, 12h
    #[arg(long = "for", value_name = "TIME", id = "length")]
    length: Option<String>,
}

/// Arguments of `relift unhold`.
#[derive(Debug, clap::Args)]
pub struct UnholdArgs {
    /// The install; may be left out when there is only one
    name: Option<String>,
}

/// Holds an install: upgrades are refused until it is lifted, or ends by itself. Rolling back stays possible.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let now = Timestamp::now();
    let until = match (&args.until, &args.length) {
        (Some(date), _) => Some(date_of(date, now, clock::zone())?),
        (None, Some(length)) => Some(after(length, now)?),
        (None, None) => None,
    };
    let session = Session::open(globals, args.name.as_deref())?;
    let _lock = session.runtime_lock(globals)?;
    let until = until.map(Timestamp::as_second);
    session.ledger().set_hold(Some(&Hold {
        reason: args.reason.as_deref().map(crate::text::harmless),
        since: now.as_second(),
        until,
        by: Some(caller()),
        is_length: args.length.is_some(),
        boot: clock::boot(),
    }))?;
    aftermath::refresh(&globals.paths(), &session.install);
    let end = until.map(|until| format!(" until {}", when(until))).unwrap_or_default();
    say(globals, &format!("{} is held{end}: relift unhold {0} lifts it", session.install.name));
    Ok(Exit::Done)
}

/// Lifts the hold; one that is not there is no error.
pub fn unhold(args: &UnholdArgs, globals: &Globals) -> Result<Exit> {
    let session = Session::open(globals, args.name.as_deref())?;
    let _lock = session.runtime_lock(globals)?;
    session.ledger().set_hold(None)?;
    aftermath::refresh(&globals.paths(), &session.install);
    say(globals, &format!("{} is not held", session.install.name));
    Ok(Exit::Done)
}

/// The beginning of a day, or a time of it, in the host's time zone.
fn date_of(text: &str, now: Timestamp, zone: TimeZone) -> Result<Timestamp> {
    let is_date = text.len() == "2026-12-01".len();
    let time: Option<DateTime> = match is_date {
        true => text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)),
        false => text.parse().ok(),
    };
    let time = time.and_then(|time| time.to_zoned(zone).ok()).map(|time| time.timestamp());
    let time = time.ok_or_else(|| {
        Error::usage(format!("`{}` is no date", crate::text::harmless(text)))
            .hint("write --until 2026-12-01, or --until \"2026-12-01 14:00\"")
    })?;
    match time > now {
        true => Ok(time),
        false => Err(Error::usage(format!("{} is past: the hold would be over at once", when(time.as_second())))),
    }
}

/// After a span of at most ten years.
fn after(text: &str, now: Timestamp) -> Result<Timestamp> {
    let wrong = || {
        Error::usage(format!("`{}` is no time span", crate::text::harmless(text)))
            .hint("write a number and a unit, at most ten years: --for 3d, --for 12h, --for 2w")
    };
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    match span.as_secs() {
        1..=315_576_000 => now.checked_add(span).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

fn say(globals: &Globals, text: &str) {
    if !globals.quiet && !globals.json {
        output::data(&format!("{text}\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_ends_at_a_date_or_after_a_time_that_is_to_come() {
        let now: Timestamp = "2026-11-21T18:00:00Z".parse().unwrap();
        let paris = || TimeZone::get("Europe/Paris").unwrap();
        let until = |text: &str| date_of(text, now, paris()).map(|time| time.to_string());
        assert_eq!(until("2026-12-01").unwrap(), "2026-11-30T23:00:00Z");
        assert_eq!(until("2026-12-01 14:00").unwrap(), "2026-12-01T13:00:00Z");
        for text in ["2026-11-21", "2026-02-30", "tomorrow", "", "2026-12-01 25:00", "12"] {
            assert!(until(text).is_err(), "{text}");
        }
        let length = |text: &str| after(text, now).map(|time| time.duration_since(now).as_secs());
        assert_eq!(
            (length("3d").unwrap(), length("12h").unwrap(), length("2w").unwrap()),
            (259_200, 43_200, 1_209_600)
        );
        for text in ["0s", "-3d", "3", "", "11y", "3 parsecs"] {
            assert!(length(text).is_err(), "{text}");
        }
    }
}
