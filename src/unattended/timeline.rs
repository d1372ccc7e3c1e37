//! What a run told, with the time of each: a reporter that passes on what it hears.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::Happening;
use crate::report::{Event, Phase, Reporter};

/// Something that took a while: a phase, or what was done in one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// A phase's word, or what was done.
    pub name: String,
    /// Whether it is a phase; the others belong to the phase before them.
    pub is_phase: bool,
    /// Nanoseconds since the epoch.
    pub begun: i128,
    /// Nanoseconds since the epoch.
    pub ended: i128,
    /// Whether it failed.
    pub failed: bool,
}

/// Remembers what a run told, on its way to whoever watches.
pub struct Timeline<'a> {
    next: &'a dyn Reporter,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    run: Option<String>,
    spans: Vec<Span>,
    warnings: Vec<String>,
}

impl<'a> Timeline<'a> {
    /// Passes on to `next`.
    pub fn over(next: &'a dyn Reporter) -> Timeline<'a> {
        Timeline { next, heard: Mutex::default() }
    }

    /// Adds what was heard.
    pub fn fill(self, happening: &mut Happening) {
        let mut heard = self.heard.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard.end_phase(now(), false);
        happening.run = heard.run.or(happening.run.take());
        happening.spans = heard.spans;
        happening.warnings.extend(heard.warnings);
    }
}

impl Reporter for Timeline<'_> {
    fn tell(&self, event: Event) {
        let mut heard = self.heard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        heard.hear(&event, now());
        drop(heard);
        self.next.tell(event);
    }
}

fn now() -> i128 {
    jiff::Timestamp::now().as_nanosecond()
}

impl Heard {
    fn hear(&mut self, event: &Event, at: i128) {
        let begin =
            |name: &str, is_phase| Span { name: name.to_owned(), is_phase, begun: at, ended: at, failed: false };
        match event {
            Event::Run { run, .. } => self.run = Some(run.clone()),
            Event::Phase { phase } => {
                self.end_phase(at, *phase == Phase::Undo);
                self.spans.push(begin(phase.word(), true));
            }
            Event::Start { what } => self.spans.push(begin(what, false)),
            Event::Done { what } => self.end(what, at, false),
            Event::Failed { what } => self.end(what, at, true),
            Event::Warning { text } => self.warnings.push(text.clone()),
            Event::Progress { .. } | Event::Waiting { .. } | Event::Line { .. } => {}
        }
    }

    fn end(&mut self, what: &str, at: i128, failed: bool) {
        if let Some(span) = self.spans.iter_mut().rfind(|span| !span.is_phase && span.name == what) {
            (span.ended, span.failed) = (at, failed);
        }
    }

    /// A phase ends when the next one begins; what is followed by an undo has failed.
    fn end_phase(&mut self, at: i128, failed: bool) {
        if let Some(phase) = self.spans.iter_mut().rfind(|span| span.is_phase) {
            (phase.ended, phase.failed) = (at, failed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_and_what_is_done_in_them_have_their_times_and_the_one_before_an_undo_failed() {
        let mut heard = Heard::default();
        let told = [
            Event::Run { install: "app".into(), run: "R".into() },
            Event::Phase { phase: Phase::Switch },
            Event::Start { what: "switch the tree".into() },
            Event::Failed { what: "switch the tree".into() },
            Event::Phase { phase: Phase::Undo },
        ];
        told.iter().zip(10..).for_each(|(event, at)| heard.hear(event, at));
        heard.end_phase(20, false);
        let spans: Vec<_> = heard.spans.iter().map(|span| (&*span.name, span.begun, span.ended, span.failed)).collect();
        assert_eq!(spans, [("switch", 11, 14, true), ("switch the tree", 12, 13, true), ("undo", 14, 20, false)]);
        assert_eq!(heard.run.as_deref(), Some("R"));
    }
}
