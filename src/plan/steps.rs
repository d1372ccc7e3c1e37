//! Which steps run, why, and where in the order they and their undo stand.

use super::subject::Subject;
use super::{Intent, Origin, Plan, Release, Request, StepPlan};
use crate::action::{self, Act, Action, Rerun, With};
use crate::manifest::{Check, RunAs, Step, StepUndo};

/// A step with the actions that it becomes.
pub(super) struct Planned {
    /// For a person.
    pub plan: StepPlan,
    /// In the present tree, before the switch: a rollback's undo command.
    pub before_tree: Option<Action>,
    /// In the new tree.
    pub after_tree: Option<Action>,
    /// Where its undo runs it again.
    pub rerun: Option<Action>,
}

/// Plans the steps of a component.
pub(super) fn plan(subject: &Subject, request: &Request) -> Vec<Planned> {
    subject.component.steps.iter().map(|step| plan_step(subject, request, step)).collect()
}

fn plan_step(subject: &Subject, request: &Request, step: &Step) -> Planned {
    let (why, concerned) = reason(subject, step);
    // A rollback undoes what the present release did, with its code, while that is there.
    let ran_before = request.intent == Intent::Rollback && matches!(step.undo, StepUndo::Run(_));
    let mut planned = Planned {
        plan: StepPlan {
            name: step.name.clone(),
            run: step.run.clone(),
            as_root: step.run_as == RunAs::Root,
            origin: subject.origin(step.run_as, ran_before),
            why,
            runs: concerned,
            undo: step.undo.clone(),
        },
        before_tree: None,
        after_tree: None,
        rerun: None,
    };
    if !concerned {
        return planned;
    }
    let action = action(subject, step, ran_before);
    match (request.intent, &step.undo) {
        (Intent::Upgrade | Intent::Reconfigure, undo) => {
            // Putting the saved artifacts back is the same as running it again, without the network.
            let is_rerun = *undo == StepUndo::Rerun && subject.component.artifacts.is_empty() && subject.has_present();
            planned.rerun =
                is_rerun.then(|| Action::Rerun(Rerun { step: self::action(subject, step, true), of: usize::MAX }));
            planned.after_tree = Some(Action::Step(action));
        }
        (Intent::Rollback, StepUndo::Run(command)) => {
            let back = action.inverse(command.clone());
            planned.plan.run = command.clone();
            planned.before_tree = Some(Action::Step(back));
        }
        (Intent::Rollback, StepUndo::Rerun) if has_archives(subject, request) => {
            planned.plan.runs = false;
            planned.plan.why = "what it made is put back from the archive".into();
        }
        (Intent::Rollback, StepUndo::Rerun) if subject.is_kept() && !subject.component.artifacts.is_empty() => {
            planned.plan.runs = false;
            planned.plan.why = "what it made is kept with the release".into();
        }
        (Intent::Rollback, StepUndo::Rerun) => planned.after_tree = Some(Action::Step(action)),
        (Intent::Rollback, StepUndo::Pure) => {
            planned.plan.runs = false;
            planned.plan.why = "leaves nothing that matters to the old release".into();
        }
        (Intent::Rollback, StepUndo::RestoreBackup) => {
            planned.plan.runs = false;
            planned.plan.why = "what it did to the data stays: a rollback puts no backup back".into();
        }
        // It stays `runs` and irreversible: the plan is refused for it.
        (Intent::Rollback, StepUndo::Irreversible) => {}
    }
    planned
}

/// Why a step runs, or why not.
fn reason(subject: &Subject, step: &Step) -> (String, bool) {
    if subject.is_new {
        return ("the component is new here".into(), true);
    }
    if let Some((_, why)) = subject.surveyed.host.steps.iter().find(|(name, _)| *name == step.name) {
        return (why.clone(), true);
    }
    if step.when_changed.is_empty() {
        return match (subject.tree_changed(), subject.env_changed) {
            (true, _) => ("the component changed".into(), true),
            (_, true) => (".env changed".into(), true),
            _ => ("the component did not change".into(), false),
        };
    }
    let matches = |path: &&crate::manifest::RelPath| {
        let is_env = subject.component.env.iter().any(|env| env.file == **path);
        let below = format!("{path}/");
        (is_env && subject.env_changed)
            || subject.offer.changed.iter().any(|changed| changed == path.as_str() || changed.starts_with(&below))
    };
    let watched = || step.when_changed.iter().map(|path| path.as_str()).collect::<Vec<_>>().join(", ");
    match step.when_changed.iter().find(matches) {
        Some(path) => (format!("{path} changed"), true),
        None if subject.runs_older => ("the running process is older than the checkout".into(), true),
        None => (format!("no change in {}", watched()), false),
    }
}

fn has_archives(subject: &Subject, request: &Request) -> bool {
    let mut paths = subject.component.artifacts.iter().map(|artifact| artifact.below(&subject.component.path));
    !subject.component.artifacts.is_empty()
        && paths.all(|path| request.restore.artifacts.iter().any(|(known, _)| known == path.as_str()))
}

/// `of_present`: it is code of the release that the run begins with.
fn action(subject: &Subject, step: &Step, of_present: bool) -> action::Step {
    let component = subject.component;
    action::Step {
        component: component.name.clone(),
        path: component.path.to_string(),
        base: subject.base(of_present),
        name: step.name.clone(),
        run: step.run.clone(),
        as_root: step.run_as == RunAs::Root,
        timeout: step.timeout.as_secs(),
        undo: step.undo.clone(),
        undo_timeout: step.undo_timeout.map(|bound| bound.as_secs()),
        idempotent: step.idempotent,
        origin: subject.origin(step.run_as, of_present).unwrap_or_default(),
        with: With { env_files: step.env_files.clone(), ..With::default() },
    }
}

/// A check on the switched tree.
pub(super) fn check(subject: &Subject, check: &Check) -> Action {
    let component = subject.component;
    let command = action::Step {
        component: component.name.clone(),
        path: component.path.to_string(),
        base: subject.base(false),
        name: "check".into(),
        run: check.run.clone(),
        as_root: check.run_as == RunAs::Root,
        timeout: check.timeout.as_secs(),
        undo: StepUndo::Pure,
        undo_timeout: None,
        idempotent: true,
        origin: subject.origin(check.run_as, false).unwrap_or_default(),
        with: With { env_files: check.env_files.clone(), ..With::default() },
    };
    Action::Check(action::Check { command })
}

/// What root would run although nothing vouches for its release: the releases with the names of the commands.
pub(super) fn refused(plan: &Plan) -> Vec<(Release, Vec<String>)> {
    let of_action = |action: &Action| match action {
        Action::Step(step) | Action::Check(action::Check { command: step }) | Action::Rerun(Rerun { step, .. }) => {
            Some((step.origin.clone(), step.title()))
        }
        _ => None,
    };
    let staged = plan.staged_checks.iter().filter_map(|check| {
        Some((check.origin.clone()?, format!("{}: check {}", check.component, check.run.join(" "))))
    });
    let looks = plan.preflight.iter().chain(&plan.verify).map(|step| (step.origin.clone(), step.title()));
    let mut found: Vec<(Release, Vec<String>)> = Vec::new();
    for (origin, command) in staged.chain(looks).chain(plan.actions.iter().filter_map(of_action)) {
        let Origin::Refused { release } = origin else { continue };
        match found.iter_mut().find(|(known, _)| *known == release) {
            Some((_, commands)) if commands.contains(&command) => {}
            Some((_, commands)) => commands.push(command),
            None => found.push((release, vec![command])),
        }
    }
    found
}

/// Tells every rerun the place of its step, now that the order is known.
pub(super) fn link_reruns(actions: &mut [Action]) {
    let place = |actions: &[Action], step: &action::Step| {
        actions.iter().position(|action| matches!(action, Action::Step(other) if other.component == step.component && other.name == step.name && other.with.place == step.with.place))
    };
    for at in 0..actions.len() {
        if let Action::Rerun(rerun) = &actions[at] {
            let of = place(actions, &rerun.step).unwrap_or(usize::MAX);
            let step = rerun.step.clone();
            actions[at] = Action::Rerun(Rerun { step, of });
        }
    }
}
