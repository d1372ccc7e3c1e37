//! Maintenance windows: days, a range of times and a time zone, `Mon..Fri 02:00-04:00 Europe/Paris`.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::problem::{Fault, Looked};
use crate::error::{Error, Result};
use crate::host::process::Command;

/// A window whose form is right; whether its days and zone exist, systemd knows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// What stands before the times: weekdays, dates.
    days: String,
    from: String,
    to: String,
    /// The time zone, as tzdata names it; the host's own where empty.
    zone: String,
}

/// Asks systemd whether the days, times and zone of a window exist: `systemd-analyze calendar`, systemd.time(7).
/// An error of kind `Usage` says which part does not; one of kind `Failed`, that it cannot be asked.
pub fn window_is_valid(text: &str) -> Result<()> {
    let window = parse(text).map_err(|fault| {
        let error = Error::usage(format!("the window `{text}` is not valid")).because(fault.what);
        fault.help.into_iter().fold(error, Error::hint)
    })?;
    for time in [&window.from, &window.to] {
        let calendar = [window.days.as_str(), time, window.zone.as_str()];
        let calendar = calendar.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let command = Command::new(["systemd-analyze", "calendar", "--", &calendar]).timeout(Duration::from_secs(10));
        if !command.output()?.success() {
            return Err(Error::usage(format!("the window `{text}` is not valid"))
                .because(format!("systemd does not know the time `{calendar}`"))
                .hint(format!("try it: systemd-analyze calendar '{calendar}'; the form is that of systemd.time(7)")));
        }
    }
    Ok(())
}

/// Whether a window is open at `now`. systemd reckons days, zones and daylight saving: the window is open when its last
/// beginning is less than its length ago.
pub fn window_is_open(text: &str, now: Timestamp) -> Result<bool> {
    let window =
        parse(text).map_err(|fault| Error::usage(format!("the window `{text}` is not valid")).because(fault.what))?;
    let earliest = now - window.length();
    let calendar = [window.days.as_str(), &window.from, &window.zone];
    let calendar = calendar.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let base = format!("--base-time=@{}", earliest.as_second());
    let command = Command::new(["systemd-analyze", "calendar", &base, "--", &calendar]).env("TZ", "UTC");
    let answer = command.timeout(Duration::from_secs(10)).succeed()?.text();
    let begins = answer.lines().find_map(|line| line.trim().strip_prefix("Next elapse: "));
    let begins = begins.and_then(|text| jiff::fmt::strtime::parse("%a %Y-%m-%d %H:%M:%S UTC", text.trim()).ok());
    let begins = begins.and_then(|parsed| parsed.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok());
    Ok(begins.is_some_and(|begins| begins.timestamp() <= now))
}

impl Window {
    /// From its beginning to its end, over midnight where the end is the earlier time.
    fn length(&self) -> SignedDuration {
        let minutes = |text: &str| {
            text.split(':').filter_map(|part| part.parse::<i64>().ok()).fold(0, |sum, part| sum * 60 + part)
        };
        SignedDuration::from_mins((minutes(&self.to) - minutes(&self.from)).rem_euclid(24 * 60))
    }
}

/// The form alone, without asking systemd.
pub(super) fn check(text: &str) -> Looked<String> {
    parse(text).map(|_| text.to_owned())
}

fn parse(text: &str) -> Looked<Window> {
    let help = "write days, a range of times and a time zone: \"Mon..Fri 02:00-04:00 Europe/Paris\"";
    let words: Vec<&str> = text.split_whitespace().collect();
    let ranges: Vec<usize> = (0..words.len()).filter(|at| looks_like_range(words[*at])).collect();
    let [at] = ranges.as_slice() else {
        let what = format!("holds {} ranges of times, not one", ranges.len());
        return Err(Fault::new(what).help(help));
    };
    let (from, to) = words[*at].split_once('-').unwrap_or_default();
    for time in [from, to] {
        if !is_time(time) {
            return Err(Fault::new(format!("`{time}` is not a time of day")).help("write HH:MM, from 00:00 to 23:59"));
        }
    }
    let (days, zone) = (&words[..*at], &words[*at + 1..]);
    let calendar = |c: char| c.is_ascii_alphanumeric() || "*-.,/~:".contains(c);
    if days.len() > 2 || days.iter().any(|word| !word.chars().all(calendar)) {
        return Err(Fault::new(format!("`{}` is neither weekdays nor dates", days.join(" "))).help(help));
    }
    let zone_char = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    if zone.len() > 1 || zone.iter().any(|word| !word.chars().all(zone_char)) {
        return Err(Fault::new(format!("`{}` is not a time zone", zone.join(" "))).help(help));
    }
    match from == to {
        true => Err(Fault::new("the window ends when it begins").help(help)),
        false => Ok(Window { days: days.join(" "), from: from.into(), to: to.into(), zone: zone.concat() }),
    }
}

fn looks_like_range(word: &str) -> bool {
    word.contains(':') && word.split_once('-').is_some_and(|(from, to)| !from.contains('*') && !to.contains('*'))
}

fn is_time(text: &str) -> bool {
    let digits = |text: &str| text.len() == 2 && text.chars().all(|c| c.is_ascii_digit());
    let part = |text: &str, below: u8| digits(text) && text.parse::<u8>().is_ok_and(|number| number < below);
    text.split_once(':').is_some_and(|(hour, minute)| part(hour, 24) && part(minute, 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_systemd_knows_are_valid() {
        for text in ["Mon..Fri 02:00-04:00 Europe/Paris", "22:00-04:00", "Sat,Sun 00:00-23:59 UTC"] {
            assert!(window_is_valid(text).is_ok(), "{text}: {:?}", window_is_valid(text));
        }
        assert!(window_is_valid("Mon *-*-1..7 02:00-03:00").is_ok());
    }

    #[test]
    fn systemd_refuses_days_and_zones_that_do_not_exist() {
        for text in ["Moonday 02:00-04:00", "02:00-04:00 Mars/Olympus"] {
            assert!(check(text).is_ok(), "{text}");
            assert_eq!(window_is_valid(text).unwrap_err().kind, crate::error::Kind::Usage, "{text}");
        }
    }

    #[test]
    fn a_window_is_open_between_its_ends_in_its_own_zone_and_over_midnight() {
        let paris = "Mon..Fri 02:00-04:00 Europe/Paris";
        let cases = [
            // Winter: Paris is an hour ahead of UTC.
            (paris, "2026-11-23T00:59:59Z", false),
            (paris, "2026-11-23T01:00:00Z", true),
            (paris, "2026-11-23T02:59:59Z", true),
            (paris, "2026-11-23T03:00:00Z", false),
            // Summer: two hours.
            (paris, "2026-07-20T00:30:00Z", true),
            (paris, "2026-07-20T02:30:00Z", false),
            // A Sunday.
            (paris, "2026-11-22T01:30:00Z", false),
            // Friday's window goes on into Saturday.
            ("Fri 22:00-04:00 UTC", "2026-11-21T03:30:00Z", true),
            ("Fri 22:00-04:00 UTC", "2026-11-20T03:30:00Z", false),
        ];
        for (text, now, is_open) in cases {
            assert_eq!(window_is_open(text, now.parse().unwrap()).unwrap(), is_open, "{text} at {now}");
        }
    }

    #[test]
    fn a_window_has_one_range_of_times() {
        let bad = ["", "Mon..Fri", "02:00", "02:00-25:00", "2:00-4:00", "02:00-03:00 04:00-05:00", "02:00-02:00"];
        for text in bad.into_iter().chain(["02:00-04:00 Europe/Paris now", "$(x) 02:00-04:00"]) {
            assert!(check(text).is_err(), "{text}");
        }
    }
}
