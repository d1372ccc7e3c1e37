//! What is possible, but must not be: policy, versions, irreversible steps.

use super::subject::Case;
use super::{Blocker, Intent, Plan, abbreviate, lockstep, origin, procedures, reach, steps};
use crate::manifest::Install;
use crate::source::Direction;
use crate::trust::Standing;

/// Adds what refuses a plan, and what failed here before.
pub(super) fn judge(case: &Case, plan: &mut Plan) {
    plan.blockers.extend(older(case));
    plan.blockers.extend(elsewhere(case, plan));
    let refused = steps::refused(plan);
    plan.blockers
        .extend(refused.iter().map(|(release, commands)| origin::unverified(&plan.install, release, commands)));
    plan.blockers.extend(lockstep::broken(case.install, case.survey, case.offer, &case.request.only));
    plan.blockers.extend(packages_for_good(case, plan));
    match case.request.intent {
        Intent::Rollback => plan.blockers.extend(irreversible_back(case, plan)),
        Intent::Upgrade => upgrade(case, plan),
        Intent::Reconfigure => {
            plan.blockers.extend(irreversible(case, plan));
            plan.blockers.extend(without_backup(case, plan));
        }
    }
}

/// What is activated is reconfigured, and nothing else: another release at the same time is an upgrade.
fn elsewhere(case: &Case, plan: &Plan) -> Option<Blocker> {
    let (name, head) = (&case.install.name, &case.survey.checkout.head);
    let other = plan.components.iter().find(|component| component.activated != *head)?;
    (case.request.intent == Intent::Reconfigure).then(|| {
        Blocker::refused(
            format!(
                "the checkout is at {}, and {} was activated at {}",
                abbreviate(head),
                other.name,
                abbreviate(&other.activated)
            ),
            format!("finish that first: relift upgrade {name} --to {}", abbreviate(head)),
        )
    })
}

fn upgrade(case: &Case, plan: &mut Plan) {
    let request = case.request;
    plan.blockers.extend(lockstep::major_steps(plan, request.is_explicit));
    plan.blockers.extend(procedures::without_guide(case));
    if let (Some(range), false) = (case.install.source.allow(), request.is_explicit) {
        plan.blockers.extend(lockstep::outside(plan, range));
    }
    if request.unattended {
        plan.blockers.extend(reach::beyond(plan, case.install.policy.unattended));
        plan.blockers.extend(case.offer.around.to_be_seen.iter().cloned());
    }
    if !request.unattended {
        plan.warnings.extend(case.offer.around.to_be_seen.iter().map(|seen| seen.what.clone()));
    }
    floor(case, plan);
    plan.blockers.extend(unverified(case));
    plan.blockers.extend(irreversible(case, plan));
    plan.blockers.extend(without_backup(case, plan));
    if case.survey.checkout.has_submodules {
        plan.warnings.push("the checkout has submodules, which are left as they are".into());
    }
    let target = &case.offer.to.revision;
    if let Some(failed) = case.survey.failed.iter().find(|failed| failed.revision == *target) {
        plan.warnings.push(reach::failed_before(target, &failed.run, &failed.why));
    }
}

fn older(case: &Case) -> Option<Blocker> {
    let name = &case.install.name;
    let is_older = case.offer.direction == Direction::Back && case.request.intent == Intent::Upgrade;
    (is_older && !case.is_downgrade()).then(|| {
        let what = format!("{} is older than what is installed: that is a step back", case.offer.to.short());
        Blocker::refused(what, way_back(name, &case.offer.to.short()))
    })
}

fn way_back(name: &str, to: &str) -> String {
    format!(
        "go back to a known-good release: relift rollback {name}; what there is: relift status {name}; to one that never ran here: relift upgrade {name} --to {to} --allow-downgrades"
    )
}

/// What an operator should know who takes a step back that no rollback takes: above all, of data.
fn downgrade(case: &Case, plan: &mut Plan) {
    let (name, to) = (&case.install.name, case.offer.to.short());
    let floor = case.lower().map(|lower| format!("{lower}: it goes below the floor")).unwrap_or_else(|| {
        let behind = case.offer.lineage.behind.as_ref();
        let above = behind.map(|tag| format!(" and than {tag}, which was proven here")).unwrap_or_default();
        format!("it is older than what is installed{above}")
    });
    plan.warnings.push(format!("{to} is a step back that was asked for (--allow-downgrades): {floor}"));
    let known = case.survey.known_good.iter().rev().find(|entry| entry.revision == case.offer.to.revision);
    plan.warnings.extend(known.map(|entry| {
        format!(
            "{to} was proven here: relift rollback {name} --to {} brings back its .env and what its steps made as well",
            entry.tag
        )
    }));
    let backup = match case.install.backup {
        Some(_) => format!("a backup is taken before; what there is: relift backup list {name}"),
        None => "no backup is declared, and none is taken".into(),
    };
    plan.warnings.push(format!(
        "data stays as newer releases left it, but for migrations that are taken back, and {to} has to read it: {backup}"
    ));
}

/// What was proven here is not left for something older: by itself never, by an operator who names it with a warning.
fn floor(case: &Case, plan: &mut Plan) {
    let (request, offer) = (case.request, case.offer);
    if plan.is_activated() {
        // After a rollback to what upstream went back to as well, nothing is left.
        return;
    }
    let to = offer.to.short();
    if plan.is_downgrade {
        return downgrade(case, plan);
    }
    let is_new = offer.direction != Direction::Same;
    let lower = case.lower().filter(|_| is_new);
    let behind = offer.lineage.behind.as_ref().map(|tag| format!("{tag}, which was proven here, came after it"));
    let beside = offer.lineage.beside.as_ref().filter(|_| request.unattended && is_new);
    let beside = beside.map(|tag| format!("it does not descend from {tag}, the last known-good release"));
    // Whatever is checked out: that it is a step back is said once.
    let is_said = offer.direction == Direction::Back;
    let Some(why) = lower.clone().or(behind).or(beside).filter(|_| !is_said) else { return };
    let name = &plan.install;
    let what = format!("{to} is a step back: {why}");
    let is_lower_aside = offer.direction == Direction::Diverged && lower.is_some();
    if request.unattended || !request.is_explicit || is_lower_aside {
        let hint = match is_lower_aside {
            true => way_back(name, &to),
            false => format!(
                "ask upstream whether a release was withdrawn; where it is right, name it: relift upgrade {name} --to {to}"
            ),
        };
        plan.blockers.push(Blocker::refused(what, hint));
    } else {
        plan.warnings.push(what);
    }
}

/// Nobody is asked, and nothing vouches for the release.
fn unverified(case: &Case) -> Option<Blocker> {
    let offer = case.offer;
    unvouched(case.install, &offer.standing, &offer.to.revision).filter(|_| case.request.unattended)
}

/// The same for a run by itself, whoever asks.
pub(super) fn unvouched(install: &Install, standing: &Standing, revision: &str) -> Option<Blocker> {
    let is_refused = !install.source.is_verified() && !install.policy.allow_unverified && !standing.is_verified();
    let (name, target) = (&install.name, abbreviate(revision));
    is_refused.then(|| {
        Blocker::refused(
            "releases of this source are not verified, and nobody is asked in an unattended run",
            format!(
                "say who signs them: `verify` under [source.*]; or accept unsigned ones: allow-unverified = true under [policy]; or approve {target} alone: relift trust pin {name} {target}"
            ),
        )
    })
}

/// Packages of which there is no file any more, so that nothing puts them back.
fn packages_for_good(case: &Case, plan: &Plan) -> Option<Blocker> {
    let is_allowed = case.request.allow_irreversible && !case.request.unattended;
    let lost = plan.without_way_back();
    (!lost.is_empty() && !is_allowed).then(|| {
        Blocker::refused(
            format!("this cannot be undone: the repository has no longer {}, and no file of it is kept here", lost.join(", ")),
            "put the package file where the package manager keeps its own (/var/cache/apt/archives), or pass --allow-irreversible on a terminal",
        )
    })
}

fn irreversible(case: &Case, plan: &Plan) -> Option<Blocker> {
    let is_allowed = case.request.allow_irreversible && !case.request.unattended;
    past_return(plan).filter(|_| !is_allowed)
}

/// Steps that nothing undoes.
pub(super) fn past_return(plan: &Plan) -> Option<Blocker> {
    let steps = plan.irreversible().join(", ");
    (!steps.is_empty()).then(|| {
        Blocker::refused(
            format!("nothing undoes this step: {steps}"),
            "declare its `undo` in the manifest, or pass --allow-irreversible on a terminal",
        )
    })
}

/// Past a step that nothing undoes, a backup is the only way back.
fn without_backup(case: &Case, plan: &Plan) -> Option<Blocker> {
    let steps = plan.irreversible().join(", ");
    (!steps.is_empty() && case.install.backup.is_none()).then(|| {
        Blocker::refused(
            format!("nothing undoes this step, and no backup is declared: {steps}"),
            "name the data that it changes under [backup] in the manifest: paths = [...], sqlite = [...]",
        )
    })
}

fn irreversible_back(case: &Case, plan: &Plan) -> Option<Blocker> {
    let steps = plan.irreversible().join(", ");
    (!steps.is_empty() && !case.request.allow_irreversible).then(|| {
        Blocker::refused(
            format!("a step ran for the newer release, and nothing undoes it: {steps}"),
            "where the older release copes with what it did, pass --allow-irreversible",
        )
    })
}
