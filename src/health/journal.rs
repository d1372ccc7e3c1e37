//! The journal probe: a line that must have come since the restart, or must not.

use std::time::Duration;

use regex::Regex;

use super::probe::Outcome;
use super::{Expected, Gate};
use crate::host::account::Account;
use crate::host::systemd::journal::{self, Entry, Origin};
use crate::manifest::Scope;

/// What the probe is called.
pub(super) fn name(wanted: Option<&Regex>, unwanted: Option<&Regex>) -> String {
    let wanted = wanted.map(|pattern| format!("with /{pattern}/"));
    let unwanted = unwanted.map(|pattern| format!("without /{pattern}/"));
    let patterns: Vec<String> = wanted.into_iter().chain(unwanted).collect();
    format!("journal {}", patterns.join(" and "))
}

/// Where a unit's lines come from.
pub(super) fn origin(expected: &Expected, owner: &Account) -> Origin {
    Origin { unit: expected.unit.clone(), uid: (expected.scope == Scope::User).then_some(owner.uid) }
}

/// Asks the journal of the gate's units; every line is read once.
pub(super) fn ask(
    wanted: Option<Regex>,
    unwanted: Option<Regex>,
    gate: &Gate,
    owner: &Account,
) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    let origins: Vec<Origin> = gate.units.iter().map(|expected| origin(expected, owner)).collect();
    let mut cursor = gate.mark.cursor.clone();
    let mut seen = Seen { wanted, unwanted, found: None };
    Box::new(move |_| {
        if origins.is_empty() {
            return Outcome::CouldNotRun("the component has no unit whose journal could be read".into());
        }
        match journal::after(cursor.as_deref(), &origins) {
            Err(error) => Outcome::CouldNotRun(error.to_string()),
            Ok(entries) => {
                if let Some(last) = entries.last() {
                    cursor = Some(last.cursor.clone());
                }
                seen.add(&entries)
            }
        }
    })
}

/// What was seen so far.
struct Seen {
    /// Cleared when it came.
    wanted: Option<Regex>,
    unwanted: Option<Regex>,
    /// The unwanted line: it stays said.
    found: Option<String>,
}

impl Seen {
    fn add(&mut self, entries: &[Entry]) -> Outcome {
        for entry in entries {
            if self.wanted.as_ref().is_some_and(|pattern| pattern.is_match(&entry.message)) {
                self.wanted = None;
            }
            if self.found.is_none() && self.unwanted.as_ref().is_some_and(|pattern| pattern.is_match(&entry.message)) {
                self.found = Some(entry.message.clone());
            }
        }
        match (&self.found, &self.wanted) {
            // No later line takes it back: waiting changes nothing.
            (Some(line), _) => Outcome::Lost(format!("the journal says: {line}")),
            (None, Some(_)) => Outcome::Failed("no such line has come".into()),
            (None, None) => Outcome::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(wanted: Option<&str>, unwanted: Option<&str>) -> Seen {
        let pattern = |text: &str| Regex::new(text).expect("a pattern");
        Seen { wanted: wanted.map(pattern), unwanted: unwanted.map(pattern), found: None }
    }

    fn said(lines: &[&str]) -> Vec<Entry> {
        lines.iter().map(|line| Entry { message: (*line).into(), cursor: "c".into(), micros: 0 }).collect()
    }

    #[test]
    fn a_wanted_line_counts_once_it_came() {
        let mut seen = seen(Some("(?i)ready"), None);
        assert!(matches!(seen.add(&said(&["starting"])), Outcome::Failed(_)));
        assert_eq!(seen.add(&said(&["Ready."])), Outcome::Passed);
        assert_eq!(seen.add(&[]), Outcome::Passed);
    }

    #[test]
    fn an_unwanted_line_stays_said() {
        let mut seen = seen(Some("ready"), Some("panicked"));
        assert!(
            matches!(seen.add(&said(&["ready", "thread panicked at"])), Outcome::Lost(why) if why.contains("panicked at"))
        );
        assert!(matches!(seen.add(&said(&["ready"])), Outcome::Lost(_)));
    }
}
