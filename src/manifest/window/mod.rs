//! When a run may start by itself: windows (`Mon..Fri 02:00-04:00 Europe/Paris`), what is taken out of them
//! (`!Sat 02:00-03:00`), and days on which nothing starts (`2026-12-20..2027-01-05`).
//!
//! Days and zones are written as in systemd.time(7). A window is open while the clock on the wall, in its zone, shows a time in
//! it, see `opening`.

mod days;
mod opening;

use jiff::civil::{Date, Time};

use super::problem::{Fault, Looked};
use crate::error::{Error, Result};
use days::Days;

pub use opening::{Calendar, Span};

/// The windows of a policy and the days that are taken out of them. Empty: at any time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schedule {
    windows: Vec<Window>,
    /// Windows that are taken out: those with a `!`, and days on which nothing starts.
    closures: Vec<Window>,
    freezes: Vec<Freeze>,
}

/// A window whose form is right; whether its zone exists, the host knows.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// As it was written.
    text: String,
    /// What stands before the times: weekdays, dates.
    days: Days,
    from: Time,
    /// `None`: midnight at the end of the day.
    to: Option<Time>,
    /// As tzdata names it; `None`: the host's own.
    zone: Option<String>,
}

/// From the beginning of a day to the end of another one, in the host's time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Freeze {
    text: String,
    first: Date,
    last: Date,
}

impl Schedule {
    /// The windows as they were written, those with a `!` as well.
    pub fn windows(&self) -> Vec<String> {
        let closures = self.closures.iter().filter(|window| window.text.starts_with('!'));
        self.windows.iter().chain(closures).map(|window| window.text.clone()).collect()
    }

    /// The days on which nothing starts, as they were written.
    pub fn freeze(&self) -> Vec<String> {
        let days = self.closures.iter().filter(|window| !window.text.starts_with('!')).map(|window| &window.text);
        self.freezes.iter().map(|freeze| &freeze.text).chain(days).cloned().collect()
    }

    /// Whether a run may start at any time.
    pub fn is_always_open(&self) -> bool {
        self.windows.is_empty() && self.closures.is_empty() && self.freezes.is_empty()
    }

    /// Whether there is a window that is not taken out of others.
    pub fn has_window(&self) -> bool {
        !self.windows.is_empty()
    }

    /// The time zones that are named.
    pub fn zones(&self) -> impl Iterator<Item = &str> {
        self.windows.iter().chain(&self.closures).filter_map(|window| window.zone.as_deref())
    }

    /// Adds what `[policy] window` says: a window, or with a `!` what is taken out of the others.
    pub(super) fn add_window(&mut self, text: &str) -> Looked<()> {
        match text.strip_prefix('!') {
            Some(rest) => self.closures.push(Window { text: text.to_owned(), ..parse(rest.trim_start())? }),
            None => self.windows.push(parse(text)?),
        }
        Ok(())
    }

    /// Adds what `[policy] freeze` says: a day, days from one to another, or days as a window has them.
    pub(super) fn add_freeze(&mut self, text: &str) -> Looked<()> {
        let help = "write days: \"2026-12-20..2027-01-05\", \"2026-12-24\", \"*-12-24..26\" or \"Sat,Sun\"";
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        // A time behind a date would be read over.
        let date = |text: &str| text.parse::<Date>().ok().filter(|_| text.len() == "2026-12-24".len());
        if let (Some(first), Some(last)) = (date(first), date(last)) {
            if first > last {
                return Err(Fault::new(format!("`{text}` ends before it begins")).help(help));
            }
            self.freezes.push(Freeze { text: text.to_owned(), first, last });
            return Ok(());
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        let first = jiff::civil::date(*days::YEARS.start(), 1, 1);
        let days = Days::parse(&words).ok().filter(|days| !words.is_empty() && days.first_from(first).is_some());
        let days = days.ok_or_else(|| Fault::new(format!("`{text}` is no day and no range of days")).help(help))?;
        let midnight = Time::midnight();
        self.closures.push(Window { text: text.to_owned(), days, from: midnight, to: None, zone: None });
        Ok(())
    }

    /// Asks this host whether the zones exist, and whether there is any time to come at which a run may start. An error of kind
    /// `Usage` says which window does not work, and why.
    pub fn check(&self) -> Result<()> {
        let calendar = Calendar::of(self, jiff::tz::TimeZone::system())?;
        for window in &self.windows {
            let never = |cause: &str| {
                Err(Error::usage(format!("the window `{}` never opens", window.text))
                    .because(cause)
                    .hint("the form is that of systemd.time(7): systemd-analyze calendar shows the days of one"))
            };
            match window.days.first_from(jiff::civil::date(*days::YEARS.start(), 1, 1)) {
                None => return never("no day of the calendar is one of its days"),
                Some(_)
                    if window.days.first_from(jiff::Zoned::now().date().yesterday().unwrap_or(Date::MIN)).is_none() =>
                {
                    return never("all of its days are past");
                }
                Some(_) => {}
            }
        }
        match self.is_always_open() || calendar.next(jiff::Timestamp::now()).is_some() {
            true => Ok(()),
            false => Err(Error::usage("no window of [policy] ever opens")
                .because("everything is taken out of them by `!` and `freeze`")
                .hint("look at: relift config show")),
        }
    }
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
    let wrong = |time: &str| {
        Fault::new(format!("`{time}` is not a time of day"))
            .help("write HH:MM, from 00:00 to 23:59; a window may end at 24:00")
    };
    let start = time(from).ok_or_else(|| wrong(from))?;
    let end = if to == "24:00" { None } else { Some(time(to).ok_or_else(|| wrong(to))?) };
    let zone = &words[*at + 1..];
    let zone_char = |c: char| c.is_ascii_alphanumeric() || "/_+-".contains(c);
    if zone.len() > 1 || zone.iter().any(|word| !word.chars().all(zone_char)) {
        return Err(Fault::new(format!("`{}` is not a time zone", zone.join(" "))).help(help));
    }
    let days = Days::parse(&words[..*at])?;
    match end == Some(start) {
        true => Err(Fault::new("the window ends when it begins").help(help)),
        false => Ok(Window {
            text: text.to_owned(),
            days,
            from: start,
            to: end,
            zone: zone.first().map(|zone| (*zone).to_owned()),
        }),
    }
}

fn looks_like_range(word: &str) -> bool {
    word.contains(':') && word.split_once('-').is_some_and(|(from, to)| !from.contains('*') && !to.contains('*'))
}

fn time(text: &str) -> Option<Time> {
    let digits = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let (hour, minute) = text.split_once(':').filter(|(hour, minute)| digits(hour) && digits(minute))?;
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

#[cfg(test)]
mod tests;
