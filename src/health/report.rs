//! What the operator reads when health was not proven: who, what was seen, how long it was waited, the last lines said.

use std::time::Duration;

use super::shown;
use super::{Expected, Gate, journal};
use crate::error::Error;
use crate::host::account::Account;
use crate::host::systemd::journal as systemd_journal;
use crate::manifest::Scope;

/// How many lines of the journal an error carries.
const LINES: usize = 15;
/// What a process said just before it died takes this long to reach the journal.
const SETTLE: Duration = Duration::from_millis(100);

/// What failed.
pub(super) enum Subject<'a> {
    Unit(&'a Expected),
    /// By its name.
    Probe(&'a str),
}

/// When it failed.
pub(super) enum When {
    Gate { waited: Duration, within: Duration },
    Soak { held: Duration },
}

/// A failure to prove health.
pub(super) struct Failure<'a> {
    pub(super) owner: &'a Account,
    pub(super) gate: &'a Gate,
    pub(super) subject: Subject<'a>,
    pub(super) why: String,
    pub(super) when: When,
}

impl Failure<'_> {
    /// As the operator reads it.
    pub(super) fn error(&self) -> Error {
        let component = &self.gate.component;
        let what = match &self.subject {
            Subject::Unit(expected) => format!("{component}: {} {}", expected.unit, crate::text::harmless(&self.why)),
            // What the probe said holds no secret any more.
            Subject::Probe(name) => format!("{component}: {name}: {}", self.why),
        };
        let error = Error::failed(what).because(self.when());
        let error =
            self.lines().into_iter().fold(error, |error, line| error.detail([shown(&line, &self.gate.secrets)]));
        self.units().into_iter().fold(error, |error, expected| error.hint(self.journal_command(expected)))
    }

    fn when(&self) -> String {
        match (&self.when, &self.subject) {
            (When::Gate { waited, within }, _) if waited >= within => format!("waited {} s", within.as_secs_f64()),
            (When::Gate { waited, .. }, _) => format!("seen {:.1} s after the gate began", waited.as_secs_f64()),
            (When::Soak { held }, Subject::Unit(_)) => format!("it was healthy for {:.1} s before", held.as_secs_f64()),
            (When::Soak { held }, Subject::Probe(_)) => {
                format!("it was healthy before; this is {:.1} s into the soak", held.as_secs_f64())
            }
        }
    }

    /// The unit that failed, or those behind the probe that did.
    fn units(&self) -> Vec<&Expected> {
        match &self.subject {
            Subject::Unit(expected) => vec![expected],
            Subject::Probe(_) => self.gate.units.iter().collect(),
        }
    }

    fn lines(&self) -> Vec<String> {
        std::thread::sleep(SETTLE);
        let units = self.units();
        let each = LINES / units.len().max(1);
        let tail = |expected: &&Expected| {
            let origin = journal::origin(expected, self.owner);
            let lines = systemd_journal::tail(self.gate.mark.micros, &origin, each.max(3));
            // What cannot be read here is no reason to hide the failure itself.
            let lines = lines.unwrap_or_else(|error| vec![format!("(its journal cannot be read: {error})")]);
            let prefix = if units.len() > 1 { format!("{}: ", expected.unit) } else { String::new() };
            lines.into_iter().map(move |line| format!("{prefix}{line}")).collect::<Vec<_>>()
        };
        units.iter().flat_map(tail).collect()
    }

    fn journal_command(&self, expected: &Expected) -> String {
        match expected.scope {
            Scope::System => format!("journalctl -u {}", expected.unit),
            // Not `--user-unit`: for root that means the units of root's own user manager.
            Scope::User => {
                let (unit, uid) = (&expected.unit, self.owner.uid);
                format!("journalctl _SYSTEMD_USER_UNIT={unit} _UID={uid} + USER_UNIT={unit} _UID={uid}")
            }
        }
    }
}
