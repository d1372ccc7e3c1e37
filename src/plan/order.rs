//! The order of a run's changes: each stage for all components before the next.

use super::draft::Stages;
use super::steps;
use super::subject::Case;
use super::{Contents, backup, services, units};
use crate::action::{Action, Quiesce, SetAside, Tree};
use crate::host::fs::Content;
use crate::host::systemd::Verb;
use crate::source::Direction;
use crate::source::git::Goal;

/// All changes, in order; none where nothing changes.
pub(super) fn actions(case: &Case, mut components: Vec<Stages>, contents: &mut Contents) -> Vec<Action> {
    let mut stage = |of: fn(&mut Stages) -> &mut Vec<Action>| -> Vec<Action> {
        components.iter_mut().flat_map(|stages| std::mem::take(of(stages))).collect()
    };
    // What ran last is undone first.
    let mut actions = stage(|stages| &mut stages.undo);
    actions.reverse();
    actions.extend(stage(|stages| &mut stages.reruns));
    let before_tree = actions.len();
    actions.extend(tree(case, contents));
    actions.extend(stage(|stages| &mut stages.env));
    actions.extend(stage(|stages| &mut stages.artifacts));
    actions.extend(stage(|stages| &mut stages.steps));
    actions.extend(stage(|stages| &mut stages.checks));
    let late_steps = stage(|stages| &mut stages.late_steps);
    let services = stage(|stages| &mut stages.services);
    // Stopped while its file is there: a timer whose file goes under it ends as failed.
    let is_stop = |action: &Action| matches!(action, Action::Service(service) if service.verb == Verb::Stop);
    let (stops, services): (Vec<_>, Vec<_>) = services.into_iter().partition(is_stop);
    actions.extend(stops);
    actions.extend(units::actions(components.into_iter().flat_map(|stages| stages.units)));
    // Everything that may fail and can be undone has been done.
    actions.extend(late_steps);
    let stops = if case.quiesces { backup::stops(case, &services) } else { Vec::new() };
    actions.extend(services);
    if !actions.is_empty() {
        let quiesce = quiesce(case);
        actions.splice(before_tree..before_tree, backup::action(case, &quiesce.units));
        actions.splice(0..0, std::iter::once(Action::Quiesce(quiesce)).chain(stops));
    }
    steps::link_reruns(&mut actions);
    backup::link(&mut actions);
    actions
}

/// What runs is noted for every installed component: the tree is everybody's.
fn quiesce(case: &Case) -> Quiesce {
    let installed = case.survey.installed(case.install);
    let units = installed.flat_map(|(_, component, surveyed)| services::names(component, surveyed));
    Quiesce { units: units.collect() }
}

fn tree(case: &Case, contents: &mut Contents) -> Option<Action> {
    let (checkout, offer) = (&case.survey.checkout, case.offer);
    let present = Goal { revision: checkout.head.clone(), cone: checkout.cone.clone() };
    let goal = Goal { revision: offer.to.revision.clone(), cone: case.survey.goal_cone(case.install) };
    if goal == present {
        return None;
    }
    let aside = |(path, content): &(std::path::PathBuf, Content)| SetAside {
        path: path.clone(),
        image: contents.keep(content),
    };
    Some(Action::Tree(Tree {
        label: offer.to.short(),
        branch: checkout.branch.clone(),
        is_forward: offer.direction == Direction::Forward,
        set_aside: case.survey.discarded.iter().map(aside).collect(),
        from: present,
        to: goal,
    }))
}
