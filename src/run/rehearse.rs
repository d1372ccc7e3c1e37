//! A rehearsal of an open run's actions, for tests: each is undone or redone once more, and looked at.

use std::path::Path;

use serde::Serialize;

use super::gates;
use super::record::Body;
use crate::action::{Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::ledger::open_run;
use crate::report::Reporter;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Way {
    /// The last first.
    Undo,
    /// In order.
    Redo,
    /// Nothing is changed.
    Look,
}

/// What was seen of an action afterwards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsed {
    /// The action.
    pub title: String,
    /// What is there of its subject.
    pub sight: Sight,
}

/// Undoes or redoes every action that the open run of an install began; its journal is left as it is.
pub fn rehearse(state: &Path, way: Way, reporter: &dyn Reporter) -> Result<Vec<Rehearsed>> {
    let none = || Error::failed("there is no open run to rehearse");
    let journal = open_run(state)?.ok_or_else(none)?;
    let plan = journal.start().map(|begin| begin.plan.clone()).ok_or_else(none)?;
    let mut site = Site::new(&plan, journal.run(), journal.directory(), reporter)?;
    site.hide(gates::secrets(&plan, &[], &site)?);
    let intents = journal.records().iter().filter_map(|record| match &record.body {
        Body::Intent { action, seen } => Some((*action, seen.clone())),
        _ => None,
    });
    let mut intents: Vec<(usize, Seen)> = intents.collect();
    if way == Way::Undo {
        intents.reverse();
    }
    for (at, seen) in &intents {
        let act = plan.actions[*at].act();
        match way {
            Way::Undo => {
                let remarks = act.undo(&mut site, seen)?;
                if let Some(remark) = remarks.into_iter().next() {
                    return Err(Error::failed(remark));
                }
            }
            Way::Redo => act.redo(&mut site, seen)?,
            Way::Look => {}
        }
    }
    let look = |(at, seen): &(usize, Seen)| {
        let act = plan.actions[*at].act();
        Ok(Rehearsed { title: act.title(), sight: act.sight(&mut site, seen, way == Way::Redo)? })
    };
    intents.iter().map(look).collect()
}
