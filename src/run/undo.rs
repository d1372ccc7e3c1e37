//! Undo: what was begun is undone, in reverse, each action journaled; shared by a failing run and by recovery.

use super::journal::Journal;
use super::record::Body;
use crate::action::{Action, Site};
use crate::error::{Error, Result};
use crate::host::systemd::Verb;
use crate::manifest::Scope;
use crate::plan::Plan;
use crate::report::during;

/// Undoes everything that was begun and not undone. Remarks tell what could not be put back exactly.
pub(super) fn undo(journal: &mut Journal, site: &mut Site) -> Result<Vec<String>> {
    let Some(plan) = journal.start().map(|begin| begin.plan.clone()) else { return Ok(Vec::new()) };
    if let Some(step) = past_return(journal) {
        let title = plan.actions[step].act().title();
        return Err(Error::failed(format!("the step `{title}` was begun, and nothing undoes it"))
            .because("the new tree, `.env` and units are left in place for it"));
    }
    site.reloaded = reloaded(journal, &plan);
    let begun = journal.begun();
    let was_begun = |at: usize| begun.iter().any(|(action, _)| *action == at);
    let mut remarks = Vec::new();
    for (at, seen) in begun.iter().rev() {
        let action = &plan.actions[*at];
        let was_run = |step: &usize| was_begun(*step) || was_undone(journal, *step);
        let is_moot = match action {
            Action::Rerun(rerun) => !was_run(&rerun.of),
            Action::Backup(backup) => !backup.of.iter().any(was_run),
            _ => false,
        };
        if !is_moot {
            let reporter = site.reporter;
            remarks.extend(match action.act().undo_title() {
                None => action.act().undo(site, seen)?,
                Some(title) => during(reporter, title, || action.act().undo(site, seen))?,
            });
        }
        journal.append(Body::Undone { action: *at })?;
    }
    Ok(remarks)
}

fn past_return(journal: &Journal) -> Option<usize> {
    journal.records().iter().find_map(|record| match record.body {
        Body::PointOfNoReturn { action } => Some(action),
        _ => None,
    })
}

/// Units that the run told to reload, undone since or not.
fn reloaded(journal: &Journal, plan: &Plan) -> Vec<(Scope, String)> {
    let begun = journal.records().iter().filter_map(|record| match record.body {
        Body::Intent { action, .. } => plan.actions.get(action),
        _ => None,
    });
    let reloads = begun.filter_map(|action| match action {
        Action::Service(service) if service.verb == Verb::Reload => Some((service.scope, service.unit.clone())),
        _ => None,
    });
    reloads.collect()
}

fn was_undone(journal: &Journal, at: usize) -> bool {
    journal.has(|body| *body == Body::Undone { action: at })
}
