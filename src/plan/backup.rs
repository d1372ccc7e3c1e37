//! The backup of a run: whether there is one, where it stands, and what is stopped for it.

use super::subject::Case;
use super::{Intent, Plan};
use crate::action::{Action, Backup, Service, in_order_of_stopping};
use crate::host::systemd::Verb;
use crate::manifest::{BackupWhen, RestartPolicy, Scope, StepUndo};

/// The backup, for whatever an upgrade changes, and before steps that run again. A rollback takes none: it leaves data alone.
pub(super) fn action(case: &Case, units: &[(Scope, String)], runs_steps: bool) -> Option<Action> {
    let declared = case.install.backup.as_ref()?;
    let outlook = case.survey.backup.as_ref()?;
    let is_taken = match case.request.intent {
        Intent::Upgrade => true,
        Intent::Reconfigure => runs_steps,
        Intent::Rollback => false,
    };
    is_taken.then(|| {
        Action::Backup(Backup {
            data: outlook.scope.clone(),
            measured: outlook.measured,
            when: declared.when,
            store: outlook.store.clone(),
            cache: outlook.cache.clone(),
            keep: declared.keep,
            units: units.to_vec(),
            of: Vec::new(),
        })
    })
}

/// Tells the backup which steps it undoes, now that the order is known.
pub(super) fn link(actions: &mut [Action]) {
    let is_restored = |action: &Action| match action {
        Action::Step(step) => step.undo == StepUndo::RestoreBackup,
        Action::ComposeUp(up) => up.restores,
        _ => false,
    };
    let steps: Vec<usize> = (0..actions.len()).filter(|at| is_restored(&actions[*at])).collect();
    for action in actions {
        if let Action::Backup(backup) = action {
            backup.of = steps.clone();
        }
    }
}

/// Whether units have to be stopped for the plan's backup.
pub(super) fn quiesces(plan: &Plan) -> bool {
    plan.actions.iter().any(|action| matches!(action, Action::Backup(backup) if backup.when == BackupWhen::Quiesced))
}

/// The stops before the backup: of everything that is up and is restarted later, what starts others first.
pub(super) fn stops(case: &Case, services: &[Action]) -> Vec<Action> {
    let restarts = services.iter().filter_map(|action| match action {
        Action::Service(service) if service.verb == Verb::Restart => Some(service),
        _ => None,
    });
    let up: Vec<&Service> = restarts.filter(|service| is_up(case, &service.unit)).collect();
    let units: Vec<(Scope, String)> = up.iter().map(|service| (service.scope, service.unit.clone())).collect();
    let stop = |(scope, unit): (Scope, String)| {
        let component = up.iter().find(|service| service.unit == unit).map(|service| service.component.clone());
        Action::Service(Service { component: component.unwrap_or_default(), scope, unit, verb: Verb::Stop })
    };
    in_order_of_stopping(&units).into_iter().map(stop).collect()
}

fn is_up(case: &Case, unit: &str) -> bool {
    let mut states = case.parts().flat_map(|part| &part.surveyed.units).flat_map(|unit| &unit.states);
    states.any(|(name, state)| name == unit && (state.is_active() || state.active == "activating"))
}

/// What the operator should know about data.
pub(super) fn tell(case: &Case, plan: &mut Plan) {
    if case.request.intent == Intent::Rollback && !plan.is_empty() {
        plan.warnings.extend(stays(case));
    }
    if case.quiesces {
        let kept =
            case.parts().flat_map(|part| &part.component.units).filter(|unit| unit.restart == RestartPolicy::Never);
        let names: Vec<&str> = kept.map(|unit| unit.file.file_name()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            plan.warnings.push(format!("restart = \"never\": {names} goes on while the backup is taken"));
        }
    }
}

/// Data stays in a rollback. Where a step of the release that is left changed it, the backup of before is named.
fn stays(case: &Case) -> Option<String> {
    let outlook = case.survey.backup.as_ref()?;
    let (name, head) = (&case.install.name, &case.survey.checkout.head);
    let run = case.survey.known_good.iter().find(|entry| entry.revision == *head).and_then(|entry| entry.run.as_ref());
    let backup = run.and_then(|run| outlook.of_runs.iter().find(|(of, _)| of == run));
    Some(match backup {
        Some((_, id)) => {
            format!("data stays as it is; the backup from before this release: relift backup restore {name} {id}")
        }
        None => format!("data stays as it is; what backups there are: relift backup list {name}"),
    })
}
