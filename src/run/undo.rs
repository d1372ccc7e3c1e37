//! Undo: what was begun is undone, in reverse, each action journaled; shared by a failing run and by recovery.

use super::decide::{Sights, past_return, way_back};
use super::journal::Journal;
use super::record::Body;
use super::reserve;
use crate::action::{Action, Sight, Site};
use crate::error::{Error, Result};
use crate::host::systemd::{self, Verb};
use crate::manifest::{Scope, StepUndo};
use crate::plan::Plan;
use crate::report::{Event, during};
use crate::source::releases;

/// Undoes everything that was begun and not undone, and looks whether it is. Remarks tell what could not be put back exactly: a
/// command that fails to undo its step keeps nothing else from being put back.
pub(super) fn undo(journal: &mut Journal, site: &mut Site) -> Result<Vec<String>> {
    let Some(plan) = journal.start().map(|begin| begin.plan.clone()) else { return Ok(Vec::new()) };
    if let Some(step) = past_return(journal.records()) {
        let title = plan.actions[step].act().title();
        return Err(Error::failed(format!("the step `{title}` was begun, and nothing undoes it"))
            .because("the new tree, `.env` and units are left in place for it"));
    }
    reserve::give_up(journal.directory());
    site.reloaded = reloaded(journal, &plan);
    let begun = journal.begun();
    let mut remarks = Vec::new();
    for back in way_back(journal.records(), &plan) {
        let action = &plan.actions[back.action];
        if let Some((_, seen)) = begun.iter().find(|(at, _)| *at == back.action && !back.is_moot) {
            tell_of_interruption(journal, site, back.action, action);
            let reporter = site.reporter;
            let undone = match action.act().undo_title() {
                None => action.act().undo(site, seen),
                Some(title) => during(reporter, title, || action.act().undo(site, seen)),
            };
            match undone {
                Ok(said) => remarks.extend(said),
                Err(error) if is_command(action) && !systemd::is_stopping() => {
                    journal.append(Body::NotUndone { action: back.action, why: told(&error) })?;
                    continue;
                }
                Err(error) => return Err(error),
            }
        }
        journal.append(Body::Undone { action: back.action })?;
    }
    remarks.splice(0..0, given_up(journal, &plan));
    // Unpacked in prepare, it may be there before the action that guards it was begun.
    releases::discard(&plan, site)?;
    remarks.extend(checked(journal, &plan, site)?);
    Ok(remarks)
}

/// Whether it is undone by a command of the operator's: what follows does not build on it.
fn is_command(action: &Action) -> bool {
    matches!(action, Action::Step(step) if matches!(step.undo, StepUndo::Run(_)))
}

/// Why a command failed, with the last that it said.
fn told(error: &Error) -> String {
    match error.detail.last() {
        Some(line) => format!("{error}: {line}"),
        None => error.to_string(),
    }
}

/// What could not be undone, with the command that would have: from the records alone, so that recovery says the same.
fn given_up(journal: &Journal, plan: &Plan) -> Vec<String> {
    let failed = journal.records().iter().filter_map(|record| match &record.body {
        Body::NotUndone { action, why } => Some((&plan.actions[*action], why)),
        _ => None,
    });
    let remark = |(action, why): (&Action, &String)| {
        let saved = match action {
            Action::Step(step) => step.with.scratch.as_ref(),
            _ => None,
        };
        let saved = saved.map(|place| format!("; what hooks saved is kept in {}", place.display())).unwrap_or_default();
        format!("`{}` was not undone, and everything else was: {why}{saved}", action.act().title())
    };
    failed.map(remark).collect()
}

/// What is there of each wanted action that was begun, undone since or not.
pub(super) fn sights(
    journal: &Journal,
    plan: &Plan,
    site: &mut Site,
    wanted: impl Fn(&Action) -> bool,
) -> Result<Sights> {
    let mut sights = Sights::new();
    for record in journal.records() {
        let Body::Intent { action: at, seen } = &record.body else { continue };
        let action = &plan.actions[*at];
        let is_undone = journal.has(|body| *body == Body::Undone { action: *at });
        let is_done = !is_undone && journal.has(|body| *body == Body::Done { action: *at });
        if wanted(action) {
            let is_unseen = is_undone && !leaves_something(action);
            sights.insert(*at, if is_unseen { Sight::Before } else { action.act().sight(site, seen, is_done)? });
        }
    }
    Ok(sights)
}

/// Whether looking tells what there is of it.
fn leaves_something(action: &Action) -> bool {
    matches!(
        action,
        Action::Tree(_)
            | Action::Layout(_)
            | Action::Directory(_)
            | Action::Packages(_)
            | Action::EnvFile(_)
            | Action::Units(_)
            | Action::Conffiles(_)
            | Action::ComposeFiles(_)
            | Action::ComposeHold(_)
    )
}

/// Whether a line about it tells an operator anything.
pub(super) fn is_worth_telling(action: &Action) -> bool {
    !matches!(action, Action::Quiesce(_) | Action::Rerun(_) | Action::Artifact(_) | Action::Check(_))
}

/// The account of what is where, a line for each action that changes something.
pub(super) fn account(plan: &Plan, sights: &Sights) -> Vec<String> {
    let told = plan.actions.iter().enumerate().filter(|(_, action)| is_worth_telling(action));
    told.map(|(at, action)| {
        let sight = sights.get(&at).copied().unwrap_or(Sight::Before);
        format!("{}: {}", action.act().title(), sight.words())
    })
    .collect()
}

/// An undo counts when what it put back is seen to be there.
fn checked(journal: &Journal, plan: &Plan, site: &mut Site) -> Result<Vec<String>> {
    let sights = sights(journal, plan, site, leaves_something)?;
    let wrong = sights.into_iter().filter(|(_, sight)| *sight != Sight::Before);
    Ok(wrong
        .map(|(at, _)| format!("`{}` was undone, and is not as it was before", plan.actions[at].act().title()))
        .collect())
}

/// The undo of a step works on what the step may have left half made.
fn tell_of_interruption(journal: &Journal, site: &Site, at: usize, action: &Action) {
    let Action::Step(step) = action else { return };
    if !step.idempotent && !journal.has(|body| *body == Body::Done { action: at }) {
        let text = format!("the step `{}` did not end: how far it came is not known", action.act().title());
        site.reporter.tell(Event::Warning { text });
    }
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
