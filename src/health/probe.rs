//! A probe of any kind, ready to be asked: what it is called in messages, and what it says.

use std::time::Duration;

use super::shown;
use super::{Gate, command, container, http, journal, tcp};
use crate::host::account::Account;
use crate::manifest::{Health, Probe};

/// What a probe says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It answered as it should.
    Passed,
    /// It did not: what was seen, and what was wanted where that is not plain.
    Failed(String),
    /// It did not, and whatever comes later does not change that.
    Lost(String),
    /// It could not be asked at all, which waiting does not change.
    CouldNotRun(String),
}

/// How a probe is asked.
type Ask = Box<dyn FnMut(Duration) -> Outcome + Send>;

/// A probe whose templates are filled.
pub(super) struct Ready {
    /// What it is called: templates as they are written, never as they are filled.
    pub(super) name: String,
    /// How long it may take until it answers as expected.
    pub(super) within: Duration,
    /// Whether it looks back at what was said since the restart, instead of asking how things are now.
    pub(super) looks_back: bool,
    /// The longest pause between two attempts.
    pub(super) pause: Duration,
    /// The bound of one attempt.
    bound: Duration,
    secrets: Vec<String>,
    ask: Ask,
}

/// The bound of one request: longer than a slow answer, short enough that a service which accepts before it can answer
/// is asked again.
const REQUEST: Duration = Duration::from_secs(10);
/// The pause after the first attempt that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(15);
/// The pause after an attempt that passed.
const CALM: Duration = Duration::from_millis(500);
/// The longest pause between two cheap attempts, and between two that start a process.
const PAUSE: Duration = Duration::from_millis(250);
const PROCESS_PAUSE: Duration = Duration::from_secs(1);

impl Ready {
    /// Fills a probe's templates. One that cannot be filled says so whenever it is asked.
    pub(super) fn new(health: &Health, gate: &Gate, owner: &Account) -> Ready {
        let (name, mut ask) = match &health.probe {
            Probe::Http { url, headers, status, json, body } => {
                let expect = http::Expect { status: *status, json, body: body.as_ref() };
                (format!("GET {}", url.0), http::ask(url, headers, &expect, gate))
            }
            Probe::Tcp { address } => (format!("TCP {}", address.0), gate.fill(address).map(tcp::ask)),
            Probe::Command { run, below } => {
                let ask = match below {
                    None => command::ask(run, gate, owner),
                    Some(below) => command::ask_number(run, *below, gate, owner),
                };
                (format!("command {}", run.join(" ")), Ok(ask))
            }
            Probe::Container { service, project, engine, wanted, unwanted } => {
                let wanted = container::Wanted {
                    engine: engine.clone(),
                    project: project.clone(),
                    service: service.clone(),
                    wanted: wanted.clone(),
                    unwanted: unwanted.clone(),
                };
                (container::name(service), Ok(container::ask(wanted)))
            }
            Probe::Journal { wanted, unwanted } => (
                journal::name(wanted.as_ref(), unwanted.as_ref()),
                Ok(journal::ask(wanted.clone(), unwanted.clone(), gate, owner)),
            ),
        };
        if let Err(why) = stays_here(health, gate) {
            ask = Err(why);
        }
        let looks_back = matches!(health.probe, Probe::Journal { .. });
        let (pause, bound) = match health.probe {
            Probe::Http { .. } | Probe::Tcp { .. } => (PAUSE, REQUEST.min(health.within)),
            Probe::Container { .. } => (PROCESS_PAUSE, REQUEST),
            Probe::Command { .. } | Probe::Journal { .. } => (PROCESS_PAUSE, health.within),
        };
        let name = crate::text::harmless(&name);
        let ask = ask.unwrap_or_else(|why| Box::new(move |_| Outcome::CouldNotRun(why.clone())));
        Ready { name, within: health.within, looks_back, pause, bound, secrets: gate.secrets.clone(), ask }
    }

    /// The pause after an attempt: `before` grows by half up to the longest while it fails; short ones make that a service
    /// which is up after 80 ms passes in about 100 ms.
    pub(super) fn pause_after(&self, outcome: &Outcome, before: Duration) -> Duration {
        match outcome {
            Outcome::Passed => self.pause.max(CALM),
            _ => (before + before / 2).clamp(FIRST_PAUSE, self.pause),
        }
    }

    /// Asks once; the answer shows no secret.
    pub(super) fn ask(&mut self) -> Outcome {
        self.ask_within(self.bound)
    }

    /// Asks once, for at most `bound`.
    pub(super) fn ask_within(&mut self, bound: Duration) -> Outcome {
        match (self.ask)(bound) {
            Outcome::Passed => Outcome::Passed,
            Outcome::Failed(why) => Outcome::Failed(shown(&why, &self.secrets)),
            Outcome::Lost(why) => Outcome::Lost(shown(&why, &self.secrets)),
            Outcome::CouldNotRun(why) => Outcome::CouldNotRun(shown(&why, &self.secrets)),
        }
    }
}

/// What a repository declares asks this host alone, also with the values of a `.env` put in: a secret among them may not go
/// elsewhere.
fn stays_here(health: &Health, gate: &Gate) -> Result<(), String> {
    let (template, is_url) = match &health.probe {
        Probe::Http { url, .. } => (url, true),
        Probe::Tcp { address } => (address, false),
        Probe::Command { .. } | Probe::Container { .. } | Probe::Journal { .. } => return Ok(()),
    };
    let filled = gate.fill(template)?;
    let host = match is_url {
        true => filled.parse::<ureq::http::Uri>().ok().and_then(|uri| {
            let is_plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
            uri.host().filter(|_| is_plain).map(str::to_owned)
        }),
        false => filled.rsplit_once(':').map(|(host, _)| host.to_owned()),
    };
    match !health.loopback_only || host.is_some_and(|host| crate::host::net::is_loopback(&host)) {
        true => Ok(()),
        false => Err("the repository's manifest declares it, and it would ask another host than this one".into()),
    }
}

impl Outcome {
    /// What is wrong, `None` where nothing is.
    pub(super) fn fault(&self) -> Option<String> {
        match self {
            Outcome::Passed => None,
            Outcome::Failed(why) | Outcome::Lost(why) => Some(why.clone()),
            Outcome::CouldNotRun(why) => Some(format!("could not be asked: {why}")),
        }
    }
}
