//! The gate and the soak: units looked at in turn, every probe asked by a thread of its own, one loop that decides.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::awake::Awake;
use super::managers::Managers;
use super::probe::{Outcome, Ready};
use super::report::{Failure, Subject, When};
use super::units::{ALONE, KNOWN, PROBED, Verdict, Watch};
use super::{Expected, Gate};
use crate::error::Result;
use crate::host::account::Account;
use crate::host::{clock, interrupt};
use crate::manifest::Probe;
use crate::report::{Event, Phase, Reporter, during, seconds_left};

/// How long a unit may take to come up where no probe says.
const WITHIN: Duration = Duration::from_secs(60);
/// The first and the longest pause between two looks at the units, and that during the soak.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LOOK: Duration = Duration::from_millis(250);
const SOAK_LOOK: Duration = Duration::from_millis(500);
/// A probe's own bound may end it a little after ours: its own words are better.
const LATE: Duration = Duration::from_millis(300);
/// How late in the soak a probe must have been asked for its answer to count: one that passed before and hangs since says
/// nothing until its own bound.
const RECENT: Duration = Duration::from_secs(2);
/// How many failures in a row of a probe that has passed count: one alone may be a dropped packet or a pause of the
/// garbage collector, and would undo an upgrade for nothing.
const TOLERATED: u32 = 1;

/// See [`super::prove`].
pub(super) fn prove(
    what: &str,
    owner: &Account,
    gates: &[Gate],
    soak: Duration,
    reporter: &dyn Reporter,
) -> Result<()> {
    let mut proof = Proof::begin(owner, gates);
    during(reporter, what, || proof.reach(soak, reporter))?;
    if soak.is_zero() {
        return Ok(());
    }
    reporter.tell(Event::Phase { phase: Phase::Soak });
    during(reporter, "see that it goes on running", || proof.hold(soak, reporter))
}

/// What is being proven.
struct Proof<'a> {
    owner: &'a Account,
    managers: Managers<'a>,
    /// What bounds are measured by.
    awake: Awake,
    soaking: Option<Instant>,
    units: Vec<UnitTrack<'a>>,
    probes: Vec<ProbeTrack<'a>>,
    outcomes: Receiver<Said>,
    /// Kept so that `outcomes` never ends, and handed to the threads of probes.
    _sender: Sender<Said>,
    next_look: Instant,
    pause: Duration,
    told: Instant,
}

/// What a probe said, by its place, and when it was asked.
type Said = (usize, Instant, Outcome);

struct UnitTrack<'a> {
    gate: &'a Gate,
    expected: &'a Expected,
    watch: Watch,
    verdict: Verdict,
    within: Duration,
    /// Since when it has not been up, by the proof's clock.
    down_since: Option<Duration>,
}

struct ProbeTrack<'a> {
    gate: &'a Gate,
    name: String,
    within: Duration,
    last: Option<Outcome>,
    /// When it was asked what it answered last.
    asked: Option<Instant>,
    has_passed: bool,
    failures: u32,
    /// Dropped with the proof, which ends the probe's thread.
    _stop: Sender<()>,
}

impl<'a> Proof<'a> {
    /// Looks until everything is as wanted.
    fn reach(&mut self, soak: Duration, reporter: &dyn Reporter) -> Result<()> {
        while !self.is_as_wanted()? {
            self.tell(soak, reporter);
        }
        Ok(())
    }

    /// Looks on for `soak`.
    fn hold(&mut self, soak: Duration, reporter: &dyn Reporter) -> Result<()> {
        let since = Instant::now();
        self.soaking = Some(since);
        let last = since + soak.saturating_sub(RECENT);
        while !(self.is_as_wanted()? && since.elapsed() >= soak && self.were_all_asked_since(last)) {
            self.tell(soak, reporter);
        }
        Ok(())
    }

    /// One look at everything; an error when something has failed for good.
    fn is_as_wanted(&mut self) -> Result<bool> {
        interrupt::check()?;
        self.listen();
        self.look()?;
        self.judge_probes()?;
        Ok(self.is_reached())
    }

    fn begin(owner: &'a Account, gates: &'a [Gate]) -> Proof<'a> {
        let (sender, outcomes) = channel();
        let begun = Instant::now();
        let units = gates.iter().flat_map(|gate| gate.units.iter().map(move |expected| track(gate, expected)));
        let healths = gates.iter().flat_map(|gate| gate.probes.iter().map(move |health| (gate, health)));
        let probes = healths.enumerate().map(|(at, (gate, health))| {
            let ready = Ready::new(health, gate, owner);
            let (stop, stopped) = channel();
            let (name, within) = (ready.name.clone(), ready.within);
            let sender = sender.clone();
            std::thread::spawn(move || ask_on(at, ready, &sender, &stopped));
            ProbeTrack { gate, name, within, last: None, asked: None, has_passed: false, failures: 0, _stop: stop }
        });
        Proof {
            owner,
            managers: Managers::new(owner),
            awake: Awake::begin(),
            soaking: None,
            units: units.collect(),
            probes: probes.collect(),
            outcomes,
            _sender: sender,
            next_look: begun,
            pause: FIRST_LOOK,
            told: begun,
        }
    }

    /// Takes what probes said until it is time to look at the units.
    fn listen(&mut self) {
        loop {
            let left = self.next_look.saturating_duration_since(Instant::now());
            let (at, asked, outcome) = match self.outcomes.recv_timeout(left) {
                Ok(said) => said,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            };
            let probe = &mut self.probes[at];
            let passed = outcome == Outcome::Passed;
            probe.failures = if passed { 0 } else { probe.failures + 1 };
            probe.has_passed |= passed;
            probe.last = Some(outcome);
            probe.asked = Some(asked);
            if self.probes.iter().all(|probe| probe.last == Some(Outcome::Passed)) {
                // It may be the last that was missing.
                return;
            }
        }
    }

    /// Looks at every unit, when it is time to.
    fn look(&mut self) -> Result<()> {
        if Instant::now() < self.next_look {
            return Ok(());
        }
        for at in 0..self.units.len() {
            let state = self.managers.unit(self.units[at].expected)?;
            let unit = &mut self.units[at];
            unit.verdict = unit.watch.see(clock::monotonic(), &state);
            if let Some(why) = unit.failure(self.awake.elapsed()) {
                let subject = Subject::Unit(unit.expected);
                return Err(self.failure(self.units[at].gate, subject, why, self.units[at].within).error());
            }
        }
        self.pause = match self.soaking {
            None => (self.pause + self.pause / 2).min(LOOK),
            Some(_) => SOAK_LOOK,
        };
        let settled = self.units.iter().filter_map(|unit| match unit.verdict {
            Verdict::Settling(left) => Some(left + Duration::from_millis(1)),
            _ => None,
        });
        // No later than when the last one is believed.
        let pause = settled.max().map_or(self.pause, |left| left.clamp(FIRST_LOOK, self.pause));
        self.next_look = Instant::now() + pause;
        Ok(())
    }

    fn judge_probes(&self) -> Result<()> {
        let elapsed = self.awake.elapsed();
        for probe in &self.probes {
            if let Some(why) = probe.failure(elapsed, self.soaking.is_some()) {
                return Err(self.failure(probe.gate, Subject::Probe(&probe.name), why, probe.within).error());
            }
        }
        Ok(())
    }

    fn is_reached(&self) -> bool {
        let up = self.units.iter().all(|unit| unit.verdict == Verdict::Up);
        up && self.probes.iter().all(|probe| probe.last == Some(Outcome::Passed))
    }

    /// Whether what every probe answered last was asked then or later.
    fn were_all_asked_since(&self, then: Instant) -> bool {
        self.probes.iter().all(|probe| probe.asked.is_some_and(|asked| asked >= then))
    }

    fn failure<'f>(&'f self, gate: &'f Gate, subject: Subject<'f>, why: String, within: Duration) -> Failure<'f> {
        let when = match self.soaking {
            None => When::Gate { waited: self.awake.elapsed(), within },
            Some(since) => When::Soak { held: since.elapsed() },
        };
        Failure { owner: self.owner, gate, subject, why, when }
    }

    /// Tells what is waited for, once per second.
    fn tell(&mut self, soak: Duration, reporter: &dyn Reporter) {
        let second = Duration::from_secs(1);
        if self.told.elapsed() < second {
            return;
        }
        self.told += second * self.told.elapsed().as_secs() as u32;
        let (what, left) = match self.soaking {
            Some(since) => ("the health to hold".to_owned(), soak.saturating_sub(since.elapsed())),
            None => match self.missing() {
                Some((what, within)) => (what, within.saturating_sub(self.awake.elapsed())),
                None => return,
            },
        };
        reporter.tell(Event::Waiting { what, left: seconds_left(left) });
    }

    /// The first thing that is missing, and how long it may take.
    fn missing(&self) -> Option<(String, Duration)> {
        let unit = self.units.iter().find_map(|unit| {
            let why = match &unit.verdict {
                Verdict::Waiting(why) => why.clone(),
                Verdict::Settling(_) => "has just started".into(),
                Verdict::Up | Verdict::Failed(_) => return None,
            };
            Some((format!("{}: {} {why}", unit.gate.component, unit.expected.unit), unit.within))
        });
        let probe = || {
            let probe = self.probes.iter().find(|probe| probe.last != Some(Outcome::Passed))?;
            let fault = probe.last.as_ref().and_then(Outcome::fault).unwrap_or_else(|| "no answer yet".into());
            Some((format!("{}: {}: {fault}", probe.gate.component, probe.name), probe.within))
        };
        unit.or_else(probe)
    }
}

fn track<'a>(gate: &'a Gate, expected: &'a Expected) -> UnitTrack<'a> {
    // That no unwanted line has come yet is no evidence of life.
    let is_asked = gate.probes.iter().any(|health| !matches!(health.probe, Probe::Journal { .. }));
    let settle = match (is_asked, gate.is_known) {
        (false, _) => ALONE,
        (true, false) => PROBED,
        (true, true) => KNOWN,
    };
    let watch = Watch::new(expected.old_invocation.clone(), settle);
    let within = gate.probes.iter().map(|probe| probe.within).max().unwrap_or(WITHIN);
    let verdict = Verdict::Waiting("has not been looked at".into());
    UnitTrack { gate, expected, watch, verdict, within, down_since: Some(Duration::ZERO) }
}

impl UnitTrack<'_> {
    /// Why waiting for it has an end, by its last verdict.
    fn failure(&mut self, now: Duration) -> Option<String> {
        let (why, allowed) = match &self.verdict {
            Verdict::Up => {
                self.down_since = None;
                return None;
            }
            Verdict::Failed(why) => return Some(why.clone()),
            Verdict::Waiting(why) => (why.clone(), self.within),
            // It came up in time; what is missing now is our own wait.
            Verdict::Settling(_) => ("is started again and again".into(), self.within + ALONE * 2),
        };
        let since = *self.down_since.get_or_insert(now);
        (now.saturating_sub(since) > allowed).then_some(why)
    }
}

impl ProbeTrack<'_> {
    /// Why waiting for it has an end.
    fn failure(&self, elapsed: Duration, soaking: bool) -> Option<String> {
        let Some(last) = &self.last else {
            return (elapsed > self.within + LATE).then(|| "has not answered".into());
        };
        let over = match last {
            Outcome::Passed => false,
            Outcome::Lost(_) => true,
            Outcome::CouldNotRun(_) => !soaking || self.failures > TOLERATED,
            Outcome::Failed(_) if soaking => self.failures > TOLERATED,
            Outcome::Failed(_) => elapsed > self.within && (!self.has_passed || self.failures > TOLERATED),
        };
        if over { last.fault() } else { None }
    }
}

/// Asks a probe until nobody listens any more.
fn ask_on(at: usize, mut ready: Ready, sender: &Sender<Said>, stopped: &Receiver<()>) {
    let mut pause = Duration::ZERO;
    loop {
        let asked = Instant::now();
        let outcome = ready.ask();
        pause = ready.pause_after(&outcome, pause);
        let listened = sender.send((at, asked, outcome)).is_ok();
        if !listened || stopped.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Mark;
    use super::*;
    use crate::manifest::{Health, Scope, Template};

    fn gate() -> Gate {
        Gate {
            component: "manager".into(),
            directory: "/".into(),
            units: Vec::new(),
            probes: Vec::new(),
            version: None,
            values: [("TOKEN".to_owned(), "a-long-secret".to_owned())].into(),
            secrets: vec!["a-long-secret".into()],
            mark: Mark::default(),
            is_known: false,
        }
    }

    fn tracked(gate: &Gate, last: Option<Outcome>, failures: u32, has_passed: bool) -> ProbeTrack<'_> {
        let within = Duration::from_secs(10);
        ProbeTrack { gate, name: "GET /".into(), within, last, asked: None, has_passed, failures, _stop: channel().0 }
    }

    #[test]
    fn what_was_proven_before_is_believed_sooner_and_only_where_a_probe_asks() {
        let health = Health {
            probe: Probe::Tcp { address: Template("127.0.0.1:1".into()) },
            within: EARLY,
            loopback_only: false,
        };
        let expected = Expected { scope: Scope::System, unit: "app.service".into(), old_invocation: None };
        let settles = |gate: Gate| track(&gate, &expected).watch.settle();
        let asked = || Gate { probes: vec![health.clone()], ..gate() };
        assert_eq!(settles(gate()), ALONE);
        assert_eq!(settles(Gate { is_known: true, ..gate() }), ALONE, "nothing but the unit tells");
        assert_eq!(settles(asked()), PROBED);
        assert_eq!(settles(Gate { is_known: true, ..asked() }), KNOWN);
    }

    const EARLY: Duration = Duration::from_secs(5);
    const OVER: Duration = Duration::from_secs(11);

    #[test]
    fn a_probe_has_its_time_and_no_more() {
        let gate = gate();
        let failed = || Some(Outcome::Failed("connection refused".into()));
        assert_eq!(tracked(&gate, failed(), 9, false).failure(EARLY, false), None);
        assert!(tracked(&gate, failed(), 9, false).failure(OVER, false).is_some());
        assert_eq!(tracked(&gate, None, 0, false).failure(EARLY, false), None);
        assert!(tracked(&gate, None, 0, false).failure(OVER, false).is_some());
    }

    #[test]
    fn one_blip_during_the_soak_is_tolerated_and_two_are_not() {
        let gate = gate();
        let failed = || Some(Outcome::Failed("answered 502, wanted 200".into()));
        assert_eq!(tracked(&gate, failed(), 1, true).failure(OVER, true), None);
        assert!(tracked(&gate, failed(), 2, true).failure(OVER, true).is_some());
    }

    #[test]
    fn a_service_that_hangs_since_its_first_answer_does_not_pass_a_short_soak() {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for (at, stream) in listener.incoming().flatten().enumerate() {
                let mut stream = stream;
                if at == 0 {
                    let count = stream.read(&mut [0; 1024]).unwrap();
                    assert!(count > 0);
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
                } else {
                    held.push(stream);
                }
            }
        });
        let probe = Probe::Http { url: Template(url), headers: Vec::new(), status: 200, json: Vec::new(), body: None };
        let health = Health { probe, within: Duration::from_millis(1500), loopback_only: false };
        let gates = [Gate { probes: vec![health], ..gate() }];
        let proven =
            prove("prove that it runs", &Account::root(), &gates, Duration::from_secs(1), &crate::report::Silent);
        assert!(proven.unwrap_err().what.contains("no answer in time"));
    }

    #[test]
    fn what_waiting_does_not_change_is_not_waited_for() {
        let gate = gate();
        let lost = tracked(&gate, Some(Outcome::Lost("it panicked".into())), 1, false);
        assert!(lost.failure(EARLY, false).is_some() && lost.failure(EARLY, true).is_some());
        let mute = tracked(&gate, Some(Outcome::CouldNotRun("no key PORT".into())), 1, false);
        assert_eq!(mute.failure(EARLY, false).as_deref(), Some("could not be asked: no key PORT"));
    }
}
