//! SIGKILL at any instant for a run and everything that it started: an upgrade, one that fails and comes back, a rollback,
//! and the recovery of each.

use std::thread;
use std::time::{Duration, Instant};

use super::bed::{Bed, FAIL, ROLLBACK, UPGRADE, hosts};
use super::dice::Dice;
use super::figures::{Ended, Figure, is_soak, rounds, seed};

#[test]
fn a_run_killed_at_any_instant_with_all_that_it_started_ends_at_exactly_old_or_exactly_new() {
    let rounds = rounds(12, 1000);
    let hosts = hosts(rounds);
    let shares = (0..hosts).map(|share| rounds / hosts + usize::from(share < rounds % hosts));
    let figures: Vec<_> = thread::scope(|scope| {
        let hosts: Vec<_> =
            shares.enumerate().map(|(share, rounds)| scope.spawn(move || killed(share as u64, rounds))).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    let all = figures.into_iter().reduce(|mut all, one| {
        all.add(one);
        all
    });
    let all = all.unwrap();
    assert_eq!(all.times(), rounds);
    // A few rounds on a busy machine may all strike in the same phase.
    let covers = all.ended(Ended::Old) > 0 && all.ended(Ended::New) > 0;
    assert!(covers || !is_soak(), "the kills do not cover a run");
    all.publish();
}

/// How long each kind of run takes when nobody kills it.
struct Lengths([(&'static str, Duration); 3]);

impl Lengths {
    /// Measured from an installed 1.0.0, and back.
    fn measure(bed: &Bed) -> Lengths {
        let time = |arguments: &'static str, code: i32| {
            bed.calm();
            let begun = bed.begin("exec", arguments);
            let start = begun.begun;
            begun.ended().exits(code);
            (arguments, start.elapsed())
        };
        Lengths([time(FAIL, 3), time(UPGRADE, 0), time(ROLLBACK, 0)])
    }

    fn of(&self, arguments: &str) -> Duration {
        self.0.iter().find(|(known, _)| *known == arguments).map(|(_, length)| *length).unwrap()
    }
}

fn killed(share: u64, rounds: usize) -> Figure {
    let bed = Bed::new();
    let lengths = Lengths::measure(&bed);
    let seed = seed();
    let mut dice = Dice::new(seed.wrapping_add(share << 32));
    let mut figure =
        Figure::new("random", "SIGKILL of the run's cgroup at a random instant", "run and recovery").seeded(seed);
    let mut at = Ended::Old;
    let begun = Instant::now();
    for round in 0..rounds {
        let (what, ended) = one(&bed, &lengths, &mut dice, at);
        let context = format!("host {share}, round {round}, {what}");
        if is_soak() {
            println!("{context}: {ended:?}, {:?} a round", begun.elapsed() / (round as u32 + 1));
        }
        let is_wrong = ended.is_err();
        at = ended.as_ref().copied().unwrap_or(at);
        figure.count(ended.map_err(|wrong| format!("{context}: {wrong}")));
        if is_wrong {
            // What comes after something wrong proves nothing; the rounds that are left are not made.
            break;
        }
    }
    println!("host {share}: {:?} a round", begun.elapsed() / rounds as u32);
    figure
}

/// One run that is killed, and its recovery, which may be killed as well; where the host then is.
fn one(bed: &Bed, lengths: &Lengths, dice: &mut Dice, at: Ended) -> (String, Result<Ended, String>) {
    bed.calm();
    let run = match (at, dice.below(5)) {
        (_, 0 | 1) => FAIL,
        (Ended::Old, _) => UPGRADE,
        _ => ROLLBACK,
    };
    let mut what = kill(bed, dice, run, lengths.of(run));
    // About as long as a recovery takes.
    while dice.below(3) == 0 {
        what += &format!(", then {}", kill(bed, dice, "recover app", lengths.of(UPGRADE)));
    }
    let ended = bed.recovered().and_then(|ended| match (run, ended) {
        (FAIL, ended) if ended != at => Err(format!("{ended:?} after a run that cannot have succeeded\n")),
        _ => Ok(ended),
    });
    (what, ended)
}

fn kill(bed: &Bed, dice: &mut Dice, arguments: &str, length: Duration) -> String {
    let (after, with_steps) = (dice.within(length), dice.below(2) == 0);
    let run = bed.begin("exec", arguments);
    thread::sleep(after.saturating_sub(run.begun.elapsed()));
    let out = run.kill(with_steps);
    format!(
        "`{arguments}` killed after {} ms{} ({})",
        after.as_millis(),
        if with_steps { " with its steps" } else { "" },
        out.code
    )
}
