//! Time in which this process ran. One that was stopped (SIGSTOP, a frozen control group, a virtual machine that was paused)
//! has waited for nothing meanwhile, and what it waited for may have come.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the clock looks whether it runs.
const BEAT: Duration = Duration::from_millis(100);
/// What lies between two looks counts at most so much: a machine under load is late, and yet runs.
const LONGEST: Duration = Duration::from_secs(1);

/// A clock that begins at nothing.
pub(super) struct Awake(Arc<Mutex<Beat>>);

struct Beat {
    awake: Duration,
    last: Instant,
}

impl Beat {
    fn at(&mut self, now: Instant) -> Duration {
        self.awake += now.saturating_duration_since(self.last).min(LONGEST);
        self.last = self.last.max(now);
        self.awake
    }
}

impl Awake {
    /// Begins now. Where no thread can be had, it stands still for what nobody looked at.
    pub(super) fn begin() -> Awake {
        let beat = Arc::new(Mutex::new(Beat { awake: Duration::ZERO, last: Instant::now() }));
        let seen = Arc::downgrade(&beat);
        let thread = std::thread::Builder::new().spawn(move || {
            while let Some(beat) = seen.upgrade() {
                beat.lock().unwrap_or_else(PoisonError::into_inner).at(Instant::now());
                drop(beat);
                std::thread::sleep(BEAT);
            }
        });
        drop(thread);
        Awake(beat)
    }

    /// How long it has run.
    pub(super) fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let begun = Instant::now();
        let mut beat = Beat { awake: Duration::ZERO, last: begun };
        let seconds = |count: u64| begun + Duration::from_secs(count);
        assert_eq!(beat.at(seconds(1)), Duration::from_secs(1));
        assert_eq!(beat.at(seconds(61)), Duration::from_secs(2));
        assert_eq!(beat.at(seconds(60)), Duration::from_secs(2), "who was late to look takes nothing away");
        assert_eq!(beat.at(seconds(62)), Duration::from_secs(3));
    }

    #[test]
    fn it_goes_on_while_nobody_asks() {
        let clock = Awake::begin();
        std::thread::sleep(Duration::from_millis(1500));
        let elapsed = clock.elapsed();
        assert!(elapsed > Duration::from_millis(1100), "{elapsed:?}");
    }
}
