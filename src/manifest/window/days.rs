//! Days of the calendar as systemd.time(7) writes them: weekdays, and dates with lists, ranges and repetitions.

use jiff::civil::{Date, Weekday};

use super::super::problem::{Fault, Looked};

/// The years that systemd reckons with; nothing is looked for beyond them.
pub(super) const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

const HELP: &str = "write weekdays and dates as systemd.time(7) has them: \"Mon..Fri\", \"Sat,Sun\", \"*-*-1..7\", \"2026-12-24\", \"*-*~1\"";

/// Days: all conditions hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Days {
    /// Monday first; none: every weekday.
    weekdays: Vec<Weekday>,
    /// None of a list: any.
    years: Vec<Numbers>,
    months: Vec<Numbers>,
    days: Vec<Numbers>,
    /// Days are counted from the end of the month: `~`.
    from_end: bool,
}

/// `START`, `START..STOP`, `START/STEP`, `START..STOP/STEP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    start: i16,
    stop: Option<i16>,
    step: i16,
}

impl Days {
    /// From the words that stand before a time of day.
    pub(super) fn parse(words: &[&str]) -> Looked<Days> {
        let fault = || Fault::new(format!("`{}` is neither weekdays nor dates", words.join(" "))).help(HELP);
        let is_weekday = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
        let days = match words {
            [] => Some(Days::default()),
            [only] if is_weekday(only) => weekdays(only).map(|weekdays| Days { weekdays, ..Days::default() }),
            [only] => dates(only),
            [first, second] => weekdays(first).zip(dates(second)).map(|(weekdays, days)| Days { weekdays, ..days }),
            _ => None,
        };
        days.ok_or_else(fault)
    }

    /// Whether a day is one of them.
    pub(super) fn has(&self, date: Date) -> bool {
        let length = date.days_in_month();
        let any = |list: &[Numbers], number: i16| list.is_empty() || list.iter().any(|one| one.has(number));
        let day = |one: &Numbers| if self.from_end { one.counted_back(length) } else { *one };
        (self.weekdays.is_empty() || self.weekdays.contains(&date.weekday()))
            && any(&self.years, date.year())
            && any(&self.months, i16::from(date.month()))
            && (self.days.is_empty() || self.days.iter().any(|one| day(one).has(i16::from(date.day()))))
    }

    /// The first of them from `date` on; `None`: there is none that systemd would reckon with.
    pub(super) fn first_from(&self, date: Date) -> Option<Date> {
        let mut date = date;
        while *YEARS.start() > date.year() || !self.has(date) {
            if date.year() > *YEARS.end() {
                return None;
            }
            // A month that has none of them is left at once.
            let is_other = |list: &[Numbers], number: i16| !list.is_empty() && !list.iter().any(|one| one.has(number));
            date = match is_other(&self.years, date.year()) || is_other(&self.months, i16::from(date.month())) {
                true => date.last_of_month().tomorrow().ok()?,
                false => date.tomorrow().ok()?,
            };
        }
        (date.year() <= *YEARS.end()).then_some(date)
    }
}

impl Numbers {
    fn has(&self, number: i16) -> bool {
        let is_step = self.step > 0 && number > self.start && (number - self.start) % self.step == 0;
        number == self.start || (is_step && self.stop.is_none_or(|stop| number <= stop))
    }

    /// From the end of a month of `length` days, as systemd turns it round. Every month has 28 of them.
    fn counted_back(&self, length: i8) -> Numbers {
        let turned = |number: i16| i16::from(length) + 1 - number;
        match self.stop {
            Some(stop) => Numbers { start: turned(stop), stop: Some(turned(self.start)), ..*self },
            None => Numbers { start: turned(self.start), ..*self },
        }
    }

    /// As systemd wants it: a repetition repeats at least once.
    fn is_valid(&self, (least, most): (i16, i16), from_end: bool) -> bool {
        let repeats = match self.stop {
            Some(stop) => (least..=most).contains(&stop) && self.start + self.step <= stop,
            None if from_end => self.start - self.step >= least,
            None => self.start + self.step <= most,
        };
        (least..=most).contains(&self.start) && self.step <= most - least && repeats
    }
}

fn weekdays(text: &str) -> Option<Vec<Weekday>> {
    let mut found = Vec::new();
    for part in text.split(',') {
        let ends = part.split_once("..").or_else(|| part.split_once('-'));
        let (first, last) = match ends {
            Some((first, last)) => (weekday(first)?, weekday(last)?),
            None => (weekday(part)?, weekday(part)?),
        };
        let (first, last) = (first.to_monday_zero_offset(), last.to_monday_zero_offset());
        if first > last {
            return None;
        }
        found.extend((first..=last).filter_map(|day| Weekday::from_monday_zero_offset(day).ok()));
    }
    Some(found)
}

fn weekday(text: &str) -> Option<Weekday> {
    const NAMES: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
    let text = text.to_ascii_lowercase();
    let at = NAMES.iter().position(|name| *name == text || name.get(..3) == Some(text.as_str()))?;
    Weekday::from_monday_zero_offset(i8::try_from(at).ok()?).ok()
}

/// `YEAR-MONTH-DAY` or `MONTH-DAY`, with `~` before a day that is counted from the end of its month.
fn dates(text: &str) -> Option<Days> {
    let from_end = text.contains('~');
    let (before, day) = text.rsplit_once(['-', '~'])?;
    let (year, month) = before.split_once('-').unwrap_or(("*", before));
    let is_misplaced =
        before.contains('~') || text.ends_with(['-', '~']) || (from_end && !text[before.len()..].starts_with('~'));
    let days = Days {
        weekdays: Vec::new(),
        years: numbers(year)?.into_iter().map(whole_year).collect(),
        months: numbers(month)?,
        days: numbers(day)?,
        from_end,
    };
    let valid = |list: &[Numbers], bounds, from_end| list.iter().all(|one| one.is_valid(bounds, from_end));
    let is_valid = valid(&days.years, (*YEARS.start(), *YEARS.end()), false)
        && valid(&days.months, (1, 12), false)
        && valid(&days.days, (1, if from_end { 28 } else { 31 }), from_end);
    (is_valid && !is_misplaced).then_some(days)
}

/// A year of two digits is one of 1970 to 2069.
fn whole_year(numbers: Numbers) -> Numbers {
    let whole = |year: i16| match year {
        0..=69 => 2000 + year,
        70..=99 => 1900 + year,
        year => year,
    };
    Numbers { start: whole(numbers.start), stop: numbers.stop.map(whole), ..numbers }
}

fn numbers(text: &str) -> Option<Vec<Numbers>> {
    if text == "*" {
        return Some(Vec::new());
    }
    let number = |text: &str| {
        let is_plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<i16>().ok()).flatten()
    };
    let one = |part: &str| {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let (start, stop) = range.split_once("..").map_or((range, None), |(start, stop)| (start, Some(stop)));
        let (start, stop) = (number(start)?, stop.map(number).map_or(Some(None), |stop| stop.map(Some))?);
        let step = match step {
            Some(step) => number(step).filter(|step| *step > 0)?,
            None => i16::from(stop.is_some()),
        };
        if stop.is_some_and(|stop| stop < start) {
            return None;
        }
        // The last that is reached; `3..3` is 3.
        match stop.map(|stop| stop - (stop - start) % step) {
            Some(stop) if stop == start => Some(Numbers { start, stop: None, step: 0 }),
            stop => Some(Numbers { start, stop, step }),
        }
    };
    text.split(',').map(one).collect()
}
