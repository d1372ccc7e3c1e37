//! What unattended runs wait for: holds that end by themselves, when a release was first seen, how often it was tried.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Hold, Ledger};
use crate::error::Result;
use crate::host::clock::Boot;

/// How many releases are remembered as seen.
const SEEN: usize = 100;

/// Tries of one release that failed for other reasons than its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The commit, full hex.
    pub revision: String,
    /// How many failed.
    pub count: u32,
    /// When the last one ended, seconds since the epoch.
    pub last: i64,
    /// Why it failed.
    pub why: String,
}

/// What a hold is worth at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Until then, seconds since the epoch; `None`: until it is lifted.
    Until(Option<i64>),
    /// It ended by itself.
    Over,
}

impl Hold {
    /// Whether it holds at `now`. A hold for a time, set in this boot, is measured by the clock that nobody sets. Where the clock
    /// was put back before its beginning, it lasts as long as it was meant to from now on, and no longer.
    pub fn at(&self, now: i64, boot: Option<&Boot>) -> Held {
        let Some(until) = self.until else { return Held::Until(None) };
        let length = until.saturating_sub(self.since).max(0);
        let measured = self.boot.as_ref().zip(boot).filter(|(set, now)| set.id == now.id && set.seconds <= now.seconds);
        let left = match measured {
            Some((set, boot)) if self.is_length => length - (boot.seconds - set.seconds),
            _ if now < self.since => length,
            _ => until.saturating_sub(now),
        };
        // Two clocks that tick apart are no jump.
        let end = now.saturating_add(left);
        let end = if (end - until).abs() <= 2 { until } else { end };
        if end > now { Held::Until(Some(end)) } else { Held::Over }
    }

    /// The same hold counted from `now`, where the clock was put back before its beginning: or it would last until the clock
    /// has caught up.
    pub fn counted_anew(&self, now: i64, boot: Option<&Boot>) -> Option<Hold> {
        match self.at(now, boot) {
            Held::Until(Some(until)) if now < self.since => {
                Some(Hold { since: now, until: Some(until), boot: boot.cloned(), ..self.clone() })
            }
            _ => None,
        }
    }
}

impl Ledger {
    /// When a release was first seen here, seconds since the epoch.
    pub fn first_seen(&self, revision: &str) -> Result<Option<i64>> {
        Ok(self.seen()?.remove(revision))
    }

    /// Remembers that a release was seen, and tells since when. One that was seen in the future, by a clock that was put back
    /// since, is seen now. Call it under the lock of what is remembered of the source: checks run beside upgrades.
    pub fn see(&self, revision: &str, now: i64) -> Result<i64> {
        let mut seen = self.seen()?;
        if let Some(first) = seen.get(revision).filter(|first| **first <= now) {
            return Ok(*first);
        }
        seen.insert(revision.to_owned(), now);
        while seen.len() > SEEN {
            let oldest = seen.iter().min_by_key(|(_, first)| **first).map(|(revision, _)| revision.clone());
            oldest.and_then(|revision| seen.remove(&revision));
        }
        self.store("seen.json", &seen).map(|()| now)
    }

    /// The hold that counts at `now`, with its end where it has one; one that ended by itself is none.
    pub fn held(&self, now: i64) -> Result<Option<(Hold, Option<i64>)>> {
        Ok(self.hold()?.and_then(|hold| match hold.at(now, crate::host::clock::boot().as_ref()) {
            Held::Until(until) => Some((hold, until)),
            Held::Over => None,
        }))
    }

    fn seen(&self) -> Result<BTreeMap<String, i64>> {
        Ok(self.load("seen.json")?.unwrap_or_default())
    }

    /// The tries of a release that failed for other reasons than its own.
    pub fn attempts(&self, revision: &str) -> Result<Option<Attempts>> {
        Ok(self.last_attempts()?.filter(|attempts| attempts.revision == revision))
    }

    /// The tries of the release that was tried last.
    pub fn last_attempts(&self) -> Result<Option<Attempts>> {
        Ok(self.load::<Option<Attempts>>("attempts.json")?.flatten())
    }

    /// Counts one more; tries of another release are forgotten.
    pub fn count_attempt(&self, revision: &str, now: i64, why: &str) -> Result<Attempts> {
        let count = self.attempts(revision)?.map_or(0, |attempts| attempts.count).saturating_add(1);
        let attempts = Attempts { revision: revision.to_owned(), count, last: now, why: why.to_owned() };
        self.store("attempts.json", &Some(&attempts)).map(|()| attempts)
    }

    /// Starts anew: somebody looks after it, or it worked.
    pub fn forget_attempts(&self) -> Result<()> {
        match self.last_attempts()? {
            None => Ok(()),
            Some(_) => self.store("attempts.json", &None::<Attempts>),
        }
    }

    /// When an unattended run last had its chance to start in a window, seconds since the epoch.
    pub fn last_chance(&self) -> Result<Option<i64>> {
        self.load("chance.json")
    }

    /// Remembers that it had one.
    pub fn had_chance(&self, now: i64) -> Result<()> {
        self.store("chance.json", &now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const SET: i64 = 1_800_000_000;

    fn boot(id: &str, seconds: i64) -> Boot {
        Boot { id: id.into(), seconds }
    }

    fn hold(is_length: bool) -> Hold {
        let boot = Some(boot("one", 1000));
        Hold { reason: None, since: SET, until: Some(SET + 3 * DAY), by: None, is_length, boot }
    }

    #[test]
    fn a_hold_ends_by_itself_and_one_without_an_end_does_not() {
        for is_length in [false, true] {
            let hold = hold(is_length);
            assert_eq!(hold.at(SET + DAY, None), Held::Until(Some(SET + 3 * DAY)));
            assert_eq!(hold.at(SET + 3 * DAY, None), Held::Over);
            let endless = Hold { until: None, ..hold };
            assert_eq!(endless.at(SET + 1000 * DAY, None), Held::Until(None));
        }
    }

    #[test]
    fn a_clock_that_jumps_back_prolongs_a_hold_by_its_own_length_at_most() {
        // Back by a year, after another boot, where nothing but the clock is left to ask.
        let back = SET - 365 * DAY;
        for is_length in [false, true] {
            let held = hold(is_length);
            assert_eq!(held.at(back, Some(&boot("two", 5))), Held::Until(Some(back + 3 * DAY)));
            let anew = held.counted_anew(back, Some(&boot("two", 5))).unwrap();
            assert_eq!(anew.at(back + 2 * DAY, None), Held::Until(Some(back + 3 * DAY)));
            assert_eq!(anew.at(back + 3 * DAY, None), Held::Over);
            assert_eq!(anew.counted_anew(back + DAY, None), None, "once");
        }
        // In the same boot, a hold for a time is not prolonged at all.
        let after = |days: i64| boot("one", 1000 + days * DAY);
        assert_eq!(hold(true).at(back, Some(&after(2))), Held::Until(Some(back + DAY)));
        assert_eq!(hold(true).at(back, Some(&after(3))), Held::Over);
    }

    #[test]
    fn a_clock_that_jumps_forward_ends_a_hold_until_a_date_and_not_one_for_a_time() {
        let (far, one_day) = (SET + 365 * DAY, boot("one", 1000 + DAY));
        assert_eq!(hold(false).at(far, Some(&one_day)), Held::Over);
        assert_eq!(hold(true).at(far, Some(&one_day)), Held::Until(Some(far + 2 * DAY)));
    }

    #[test]
    fn a_release_ages_since_it_was_first_seen_and_not_since_a_time_to_come() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::below(place.path());
        assert_eq!(ledger.first_seen("a").unwrap(), None);
        assert_eq!(ledger.see("a", 100).unwrap(), 100);
        assert_eq!(ledger.see("a", 900).unwrap(), 100);
        // The clock was put back.
        assert_eq!(ledger.see("a", 50).unwrap(), 50);
        for at in 0..200 {
            ledger.see(&format!("r{at}"), 1000 + at).unwrap();
        }
        assert_eq!((ledger.seen().unwrap().len(), ledger.first_seen("r199").unwrap()), (SEEN, Some(1199)));
    }

    #[test]
    fn tries_are_counted_for_one_release_and_forgotten_when_somebody_looks_after_it() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::below(place.path());
        ledger.forget_attempts().unwrap();
        assert_eq!(ledger.count_attempt("a", 1, "full").unwrap().count, 1);
        assert_eq!(ledger.count_attempt("a", 2, "full").unwrap().count, 2);
        assert_eq!(ledger.count_attempt("b", 3, "away").unwrap().count, 1);
        assert_eq!(ledger.attempts("a").unwrap(), None);
        ledger.forget_attempts().unwrap();
        assert_eq!(ledger.attempts("b").unwrap(), None);
    }

    #[test]
    fn a_hold_of_an_older_relift_is_still_one() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::below(place.path());
        ledger.set_hold(None).unwrap();
        std::fs::create_dir_all(place.path().join("ledger")).unwrap();
        let old = r#"{"format": 1, "content": {"reason": "exams", "since": 7}}"#;
        std::fs::write(place.path().join("ledger/hold.json"), old).unwrap();
        let hold = ledger.hold().unwrap().unwrap();
        assert_eq!((hold.at(9, None), hold.reason.as_deref()), (Held::Until(None), Some("exams")));
    }
}
