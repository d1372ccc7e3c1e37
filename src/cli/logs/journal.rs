//! What of the journal is a run's: from the cursor of its first line to that of its last. Neither depends on the clock, nor on
//! how often the host was booted between them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::line::{Line, Origin};
use crate::action::Action;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::systemd::journal::{Origin as Unit, Said, stream, sync};
use crate::manifest::Scope;
use crate::run::journal::Journal;

/// How long one reading may take.
const BOUND: Duration = Duration::from_secs(600);
/// How long a run is followed at most.
const FOLLOWED: Duration = Duration::from_secs(30 * 86_400);
/// How long the engine and the services may say something after a run's end.
const LAST_WORDS: Duration = Duration::from_millis(600);
/// How often it is looked whether a run has ended.
const LOOK: Duration = Duration::from_millis(300);

/// The part of the journal that is a run's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    first: String,
    /// `None`: the run is open.
    last: Option<String>,
}

/// How many lines of each step there are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Steps(BTreeMap<String, u64>);

impl Steps {
    /// In the journal.
    pub fn counted(run: &Journal) -> Steps {
        let mut steps = Steps::default();
        // What cannot be counted is not there.
        stream(&[], [of_run(run)], BOUND, &mut |said| {
            if let Some(Said { step: Some(step), component, .. }) = said {
                steps.add(key(component.as_deref(), &step), 1);
            }
            true
        })
        .unwrap_or_default();
        steps
    }

    /// More of one.
    pub fn add(&mut self, step: String, count: u64) {
        *self.0.entry(step).or_default() += count;
    }

    /// Those of which `known` has fewer.
    pub fn beyond(&self, known: &Steps) -> BTreeSet<String> {
        let has_fewer = |(step, count): &(&String, &u64)| known.0.get(*step).copied().unwrap_or(0) < **count;
        self.0.iter().filter(has_fewer).map(|(step, _)| step.clone()).collect()
    }
}

impl Range {
    /// Where a run is in the journal; `None` where its beginning is not.
    pub fn of(run: &Journal) -> Result<Option<Range>> {
        // What a run that has just ended said last may still be on its way.
        if run.end().is_some() {
            sync();
        }
        let mut first = None;
        stream(&[], [of_run(run)], BOUND, &mut |said| {
            first = first.take().or(said);
            first.is_none()
        })?;
        // The engine's first words, once the run has its id.
        let Some(first) = first.filter(|said| said.entry.message.ends_with(&format!(": run {}", run.run()))) else {
            return Ok(None);
        };
        let mut last = None;
        if run.end().is_some() {
            stream(&["--lines=1".to_owned()], [of_run(run)], BOUND, &mut |said| {
                last = last.take().or(said);
                true
            })?;
        }
        Ok(Some(Range { first: first.entry.cursor, last: last.map(|said: Said| said.entry.cursor) }))
    }
}

/// What the run's engine and steps said: root alone writes that.
fn of_run(run: &Journal) -> Vec<String> {
    vec![format!("RELIFT_RUN={}", run.run()), "SYSLOG_IDENTIFIER=relift".into(), "_UID=0".into()]
}

/// The units that a run concerns.
pub fn units(run: &Journal) -> Vec<Unit> {
    let Some(plan) = run.start().map(|begin| &begin.plan) else { return Vec::new() };
    let uid = Account::named(&plan.owner).map(|owner| owner.uid).ok();
    let units = plan.actions.iter().flat_map(|action| match action {
        Action::Quiesce(quiesce) => quiesce.units.clone(),
        Action::Service(service) => vec![(service.scope, service.unit.clone())],
        _ => Vec::new(),
    });
    let origin = |(scope, unit): (Scope, String)| match scope {
        Scope::System => Some(Unit { unit, uid: None }),
        Scope::User => Some(Unit { unit, uid: Some(uid?) }),
    };
    let mut units: Vec<Unit> = units.filter_map(origin).collect();
    units.sort_by(|a, b| (&a.unit, a.uid).cmp(&(&b.unit, b.uid)));
    units.dedup();
    units
}

/// Gives every line of the run with its cursor, in the order of the journal. Where there is no range, those of units alone, by
/// the times that the run recorded.
pub fn read(run: &Journal, range: Option<&Range>, units: &[Unit], each: &mut dyn FnMut(String, Line)) -> Result<()> {
    let own = units.iter().flat_map(Unit::all);
    let Some(range) = range else {
        let Some((began, ended)) = run.span().filter(|_| !units.is_empty()) else { return Ok(()) };
        let words = [format!("--since=@{began}"), format!("--until=@{}", ended + 1)];
        return stream(&words, own, BOUND, &mut |said| {
            said.into_iter().for_each(|said| each(said.entry.cursor.clone(), line(run.run(), said)));
            true
        });
    };
    let groups = [of_run(run)].into_iter().chain(own);
    stream(&[format!("--cursor={}", range.first)], groups, BOUND, &mut |said| {
        let Some(said) = said else { return true };
        let is_last = range.last.as_ref() == Some(&said.entry.cursor);
        each(said.entry.cursor.clone(), line(run.run(), said));
        !is_last
    })
}

/// Gives every line after a cursor, until the run has ended, however much its services go on to say.
pub fn follow(run: &Journal, last: Option<String>, units: &[Unit], each: &mut dyn FnMut(Line)) -> Result<()> {
    let groups: Vec<_> = [of_run(run)].into_iter().chain(units.iter().flat_map(Unit::all)).collect();
    let from = |last: Option<&String>| last.map(|last| format!("--cursor={last}"));
    let mut last = last;
    let mut new = |said: Said, last: &mut Option<String>| {
        let cursor = Some(said.entry.cursor.clone());
        if *last != cursor {
            each(line(run.run(), said));
            *last = cursor;
        }
    };
    let words: Vec<String> =
        ["--follow".to_owned(), "--no-tail".into()].into_iter().chain(from(last.as_ref())).collect();
    let (mut ended, mut looked) = (None, Instant::now());
    stream(&words, groups.clone(), FOLLOWED, &mut |said| {
        said.into_iter().for_each(|said| new(said, &mut last));
        if ended.is_none() && looked.elapsed() >= LOOK {
            looked = Instant::now();
            // A run whose records are gone is over as well.
            ended = Journal::open(run.directory()).map_or(true, |run| run.end().is_some()).then_some(looked);
        }
        ended.is_none_or(|ended| ended.elapsed() < LAST_WORDS)
    })?;
    // journald lets who follows wait for a quarter of a second, and longer where the host is busy: what it was told by now is
    // read once more, without following.
    sync();
    let words: Vec<String> = from(last.as_ref()).into_iter().collect();
    stream(&words, groups, BOUND, &mut |said| {
        said.into_iter().for_each(|said| new(said, &mut last));
        true
    })
}

fn line(run: &str, said: Said) -> Line {
    let origin = match (said.run.as_deref() == Some(run), said.step, said.unit) {
        (true, Some(step), _) => Origin::Step(key(said.component.as_deref(), &step)),
        (false, _, Some(unit)) => Origin::Unit(unit),
        _ => Origin::Engine,
    };
    Line { micros: said.entry.micros, boot: Some(said.boot), origin, text: said.entry.message }
}

/// As the file of a command's output is called.
fn key(component: Option<&str>, step: &str) -> String {
    let step = step.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{}/{step}", component.unwrap_or_default())
}
