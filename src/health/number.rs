//! A number that must fall below a bound: a backlog that is worked off. Its trend, in words.

use std::time::Duration;

/// How many numbers the trend is told by: the first, and the newest.
const TOLD: usize = 4;
/// An estimate needs this much of a past.
const PAST: Duration = Duration::from_secs(1);

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Trend {
    /// When, since the first question, and what.
    seen: Vec<(Duration, f64)>,
}

/// The last number of a line: `backlog: 5,200 jobs, oldest 31.5` gives 31.5.
pub(super) fn last_number(line: &str) -> Option<f64> {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '+' | 'e' | 'E');
    let words = line.split(|c: char| !is_part(c)).map(|word| word.trim_matches([',', '.', 'e', 'E', '+']));
    let mut numbers = words.filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    let number: f64 = numbers.next_back()?.replace(',', "").parse().ok()?;
    number.is_finite().then_some(number)
}

impl Trend {
    /// Notes a number.
    pub fn note(&mut self, at: Duration, number: f64) {
        // A number that stays says nothing new but the time.
        match self.seen.as_mut_slice() {
            [.., (_, before), (last, newest)] if *before == number && *newest == number => *last = at,
            _ => self.seen.push((at, number)),
        }
    }

    /// `5200 -> 3100 -> 900, wanted below 100, about 40 s left`.
    pub fn words(&self, below: f64) -> String {
        let mut numbers: Vec<f64> = self.seen.iter().map(|(_, number)| *number).collect();
        numbers.dedup();
        let skipped = numbers.len().saturating_sub(TOLD);
        let newest = &numbers[skipped.min(numbers.len())..];
        let first = numbers
            .first()
            .filter(|_| skipped > 0)
            .map(|first| format!("{first}{}", if skipped > 1 { " -> ... -> " } else { " -> " }))
            .unwrap_or_default();
        let numbers = newest.iter().map(ToString::to_string).collect::<Vec<_>>().join(" -> ");
        format!("{first}{numbers}, wanted below {below}{}", self.outlook(below))
    }

    /// How long it takes at the pace so far.
    fn outlook(&self, below: f64) -> String {
        let ([(began, first), ..], [.., (now, number)]) = (self.seen.as_slice(), self.seen.as_slice()) else {
            return String::new();
        };
        let past = now.saturating_sub(*began);
        if past < PAST || *number < below {
            return String::new();
        }
        if number >= first {
            return ", and it does not fall".into();
        }
        let pace = (first - number) / past.as_secs_f64();
        format!(", about {:.0} s left", ((number - below) / pace).ceil().clamp(1.0, 1e6))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_of_a_line_counts() {
        let cases = [
            ("5200", Some(5200.0)),
            ("backlog: 5,200 jobs, oldest 31.5 s", Some(31.5)),
            ("queue=-3.", Some(-3.0)),
            ("2e3", Some(2000.0)),
            ("depth 7, done.", Some(7.0)),
            ("no number here", None),
            ("", None),
            ("NaN inf", None),
        ];
        for (line, number) in cases {
            assert_eq!(last_number(line), number, "{line}");
        }
    }

    #[test]
    fn the_trend_tells_the_pace_and_what_is_left() {
        let mut trend = Trend::default();
        let at = Duration::from_secs;
        trend.note(at(0), 5200.0);
        assert_eq!(trend.words(100.0), "5200, wanted below 100");
        trend.note(at(10), 3100.0);
        trend.note(at(20), 900.0);
        assert_eq!(trend.words(100.0), "5200 -> 3100 -> 900, wanted below 100, about 4 s left");
        for (second, number) in [(30, 800.0), (40, 700.0), (50, 700.0), (60, 700.0)] {
            trend.note(at(second), number);
        }
        assert_eq!(trend.words(100.0), "5200 -> 3100 -> 900 -> 800 -> 700, wanted below 100, about 8 s left");
        trend.note(at(70), 600.0);
        assert!(trend.words(100.0).starts_with("5200 -> ... -> 900 -> 800 -> 700 -> 600, "));
    }

    #[test]
    fn a_number_that_does_not_fall_is_told_so() {
        let mut trend = Trend::default();
        (0..100).for_each(|second| trend.note(Duration::from_secs(second), 40.0));
        assert_eq!(trend.words(10.0), "40, wanted below 10, and it does not fall");
        assert!(trend.seen.len() < 5, "what stays takes no room");
    }
}
