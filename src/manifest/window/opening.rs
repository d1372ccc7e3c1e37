//! When windows open and close: by the clock on the wall in their zones.
//!
//! An hour that does not exist: a window that would begin in it begins at its end (systemd, which knows no ranges, leaves such
//! a time out), and one that lies in it does not open that day. An hour that exists twice: a window begins when the clock shows
//! its time first, and ends when the clock shows its end first.

use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::{Freeze, Schedule, Window};
use crate::error::{Error, Result};

/// How far the ends of an opening are looked for: longer than any splay, so that it makes no difference beyond.
const FAR: SignedDuration = SignedDuration::from_hours(8 * 24);
/// How often an opening may be looked for behind what closes it. Two centuries have 80,000 days.
const LOOKS: usize = 200_000;
/// How far back a window that was missed is looked for.
const BACK: i64 = 40;

/// From a time until another one, which does not belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Span {
    fn has(&self, at: Timestamp) -> bool {
        self.since <= at && at < self.until
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.until.duration_since(self.since).unsigned_abs()
    }
}

/// A schedule with the zones of this host: what opens when.
#[derive(Debug, Clone)]
pub struct Calendar {
    opens: Vec<(Window, TimeZone)>,
    closes: Vec<(Window, TimeZone)>,
    freezes: Vec<(Freeze, Span)>,
}

impl Calendar {
    /// `zone` is the host's own. An error where this host does not know a zone.
    pub fn of(schedule: &Schedule, zone: TimeZone) -> Result<Calendar> {
        let zoned = |window: &Window| {
            let zone = match window.zone.as_deref() {
                None => zone.clone(),
                Some(name) => TimeZone::get(name).map_err(|_| {
                    Error::usage(format!("the window `{}` names the time zone {name}, which this host does not know", window.text))
                        .hint(format!("write it as /usr/share/zoneinfo has it; where that is empty: apt-get install tzdata, or UTC instead of {name}"))
                })?,
            };
            Ok((window.clone(), zone))
        };
        let frozen = |freeze: &Freeze| {
            let after = freeze.last.tomorrow().unwrap_or(Date::MAX);
            let at = |date: Date| shown(&zone, date.at(0, 0, 0, 0));
            (freeze.clone(), Span { since: at(freeze.first), until: at(after) })
        };
        Ok(Calendar {
            opens: schedule.windows.iter().map(zoned).collect::<Result<_>>()?,
            closes: schedule.closures.iter().map(zoned).collect::<Result<_>>()?,
            freezes: schedule.freezes.iter().map(frozen).collect(),
        })
    }

    /// The opening that holds `at`.
    pub fn opening(&self, at: Timestamp) -> Option<Span> {
        if self.closed(at).is_some() {
            return None;
        }
        let (earliest, latest) = (at.saturating_sub(FAR).unwrap_or(at), at.saturating_add(FAR).unwrap_or(at));
        let mut span = match self.opens.is_empty() {
            true => Span { since: earliest, until: latest },
            false => self.span(at)?,
        };
        while let Some(more) = self.span(span.until).filter(|more| more.until > span.until && span.until < latest) {
            span.until = more.until;
        }
        let before = |at: Timestamp| at - SignedDuration::from_secs(1);
        while let Some(more) =
            self.span(before(span.since)).filter(|more| more.since < span.since && span.since > earliest)
        {
            span.since = more.since;
        }
        self.cut(&mut span, at);
        Some(span)
    }

    /// The first opening that holds `at` or comes after it; `None`: there is none.
    pub fn next(&self, at: Timestamp) -> Option<Span> {
        let mut at = at;
        for _ in 0..LOOKS {
            if !self.opens.is_empty() {
                at = self
                    .opens
                    .iter()
                    .filter_map(|(window, zone)| window.first(zone, at))
                    .map(|span| span.since.max(at))
                    .min()?;
            }
            match self.closed(at) {
                None => return self.opening(at),
                Some((_, until)) => at = until,
            }
        }
        None
    }

    /// The last opening that was over at `at`, within weeks.
    pub fn last(&self, at: Timestamp) -> Option<Span> {
        let ended = |(window, zone): &(Window, TimeZone)| -> Vec<Span> {
            let today = at.to_zoned(zone.clone()).date();
            let days = (-BACK..=1).filter_map(|days| today.checked_add(jiff::Span::new().days(days)).ok());
            days.filter_map(|day| window.on(zone, day)).filter(|span| span.until <= at).collect()
        };
        let mut spans: Vec<Span> = self.opens.iter().flat_map(ended).collect();
        spans.sort_by_key(|span| std::cmp::Reverse(span.until));
        let second = SignedDuration::from_secs(1);
        let open = |span: Span| self.opening(span.until - second).or_else(|| self.opening(span.since));
        spans.into_iter().filter_map(open).find(|span| span.until <= at)
    }

    /// What keeps everything closed at `at`, as it was written, and its end.
    pub fn closed(&self, at: Timestamp) -> Option<(&str, Timestamp)> {
        let frozen = self
            .freezes
            .iter()
            .filter(|(_, span)| span.has(at))
            .map(|(freeze, span)| (freeze.text.as_str(), span.until));
        let shut = self
            .closes
            .iter()
            .filter_map(|(window, zone)| Some((window.text.as_str(), window.holding(zone, at)?.until)));
        frozen.chain(shut).max_by_key(|(_, until)| *until)
    }

    fn span(&self, at: Timestamp) -> Option<Span> {
        let here = self.opens.iter().filter_map(|(window, zone)| window.holding(zone, at));
        here.reduce(|one, other| Span { since: one.since.min(other.since), until: one.until.max(other.until) })
    }

    /// Leaves of an opening what is around `at`, which nothing closes.
    fn cut(&self, span: &mut Span, at: Timestamp) {
        let mut closures: Vec<Span> = self.freezes.iter().map(|(_, span)| *span).collect();
        for (window, zone) in &self.closes {
            let mut from = span.since;
            while let Some(closure) = window.first(zone, from).filter(|closure| closure.since < span.until) {
                from = closure.until;
                closures.push(closure);
            }
        }
        for closure in closures {
            if closure.since > at {
                span.until = span.until.min(closure.since);
            } else if closure.until <= at {
                span.since = span.since.max(closure.until);
            }
        }
    }
}

impl Window {
    /// The span of a day, where the clock shows any of it; over midnight where it ends before it begins.
    fn on(&self, zone: &TimeZone, day: Date) -> Option<Span> {
        if !self.days.has(day) {
            return None;
        }
        let end: DateTime = match self.to {
            Some(to) if to > self.from => day.to_datetime(to),
            Some(to) => day.tomorrow().ok()?.to_datetime(to),
            None => day.tomorrow().ok()?.to_datetime(Time::midnight()),
        };
        let span = Span { since: shown(zone, day.to_datetime(self.from)), until: shown(zone, end) };
        (span.since < span.until).then_some(span)
    }

    /// The first span that ends after `at`.
    pub(super) fn first(&self, zone: &TimeZone, at: Timestamp) -> Option<Span> {
        let mut day = at.to_zoned(zone.clone()).date().yesterday().ok()?;
        loop {
            day = self.days.first_from(day)?;
            if let Some(span) = self.on(zone, day).filter(|span| span.until > at) {
                return Some(span);
            }
            day = day.tomorrow().ok()?;
        }
    }

    fn holding(&self, zone: &TimeZone, at: Timestamp) -> Option<Span> {
        let today = at.to_zoned(zone.clone()).date();
        let days = [today.yesterday().ok(), Some(today)];
        days.into_iter().flatten().filter_map(|day| self.on(zone, day)).find(|span| span.has(at))
    }
}

/// When the clock on the wall first shows this time, or a later one where it jumps over it.
fn shown(zone: &TimeZone, time: DateTime) -> Timestamp {
    let ambiguous = zone.to_ambiguous_timestamp(time);
    let offset = ambiguous.offset();
    match (offset, ambiguous.compatible()) {
        (AmbiguousOffset::Gap { .. }, Ok(later)) => {
            let jump = zone.preceding(later + SignedDuration::from_secs(1)).next();
            jump.map_or(later, |jump| jump.timestamp())
        }
        (_, Ok(first)) => first,
        // Nine millennia from here.
        (_, Err(_)) => Timestamp::MAX,
    }
}
