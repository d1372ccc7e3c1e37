//! How much of what steps print the journal takes, so that journald's bound for a service is never what drops a line.

use std::time::{Duration, Instant};

/// How many lines of steps go into the journal in half a minute, and of one step altogether; the run's log has them all. journald
/// takes 10,000 in half a minute from one service, journald.conf(5), and drops what is beyond, whether a step said it or the
/// engine. Its half minute and ours may overlap.
const STEP_LINES: usize = 4_500;
/// journald's half minute.
const INTERVAL: Duration = Duration::from_secs(30);

/// Which lines of steps the journal takes.
#[derive(Debug, Default, Clone)]
pub struct Share {
    /// The step whose lines come now.
    pub step: (String, String),
    /// Lines of this step.
    lines: usize,
    /// When the interval began, and how many lines of any step it has.
    since: Option<Instant>,
    taken: usize,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is sent.
    Taken,
    /// It is the first one of its step that is not taken, and none after it is.
    Cut,
    /// The run's log alone has it.
    LeftOut,
}

impl Share {
    /// Of the next line, which is one of `step`'s.
    pub fn of(&mut self, step: (String, String), now: Instant) -> Fate {
        if self.step != step {
            (self.step, self.lines) = (step, 0);
        }
        if self.since.is_none_or(|since| now.duration_since(since) >= INTERVAL) {
            (self.since, self.taken) = (Some(now), 0);
        }
        match self.lines {
            lines if lines > STEP_LINES => Fate::LeftOut,
            lines if lines == STEP_LINES || self.taken == STEP_LINES => {
                self.lines = STEP_LINES + 1;
                Fate::Cut
            }
            _ => {
                (self.lines, self.taken) = (self.lines + 1, self.taken + 1);
                Fate::Taken
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str) -> (String, String) {
        ("app".into(), name.into())
    }

    fn taken(share: &mut Share, name: &str, count: usize, now: Instant) -> usize {
        (0..count).filter(|_| share.of(step(name), now) == Fate::Taken).count()
    }

    #[test]
    fn steps_together_leave_room_for_what_the_engine_says() {
        let (mut share, now) = (Share::default(), Instant::now());
        assert_eq!(taken(&mut share, "build", STEP_LINES - 100, now), STEP_LINES - 100);
        assert_eq!(taken(&mut share, "assets", 50_000, now), 100);
        assert_eq!(taken(&mut share, "migrate", 50_000, now + INTERVAL / 2), 0);
        assert_eq!(share.of(step("check"), now + INTERVAL / 2), Fate::Cut);
        assert_eq!(share.of(step("check"), now + INTERVAL), Fate::LeftOut, "a step's lines have no gap");
        assert_eq!(taken(&mut share, "init", 10, now + INTERVAL), 10);
    }

    #[test]
    fn a_step_that_prints_for_long_is_cut_once() {
        let (mut share, now) = (Share::default(), Instant::now());
        let fates = (0..2 * STEP_LINES).map(|line| share.of(step("build"), now + INTERVAL * (line / 1_000) as u32));
        let fates: Vec<Fate> = fates.collect();
        assert_eq!(fates.iter().filter(|fate| **fate == Fate::Taken).count(), STEP_LINES);
        assert_eq!(fates.iter().position(|fate| *fate == Fate::Cut), Some(STEP_LINES));
        assert!(fates[STEP_LINES + 1..].iter().all(|fate| *fate == Fate::LeftOut));
    }
}
