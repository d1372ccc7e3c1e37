//! The order of a run's changes: each stage for all components before the next.

use super::draft::Stages;
use super::steps;
use super::subject::Case;
use super::unit::{self, Relations};
use super::{Contents, FileChange, backup, procedures, services, units};
use crate::action::{Action, Linger, Quiesce, SetAside, Tree};
use crate::host::fs::Content;
use crate::host::systemd::Verb;
use crate::manifest::Scope;
use crate::source::git::Goal;
use crate::source::{Direction, releases};

/// All changes, in order; none where nothing changes.
pub(super) fn actions(
    case: &Case,
    mut components: Vec<Stages>,
    procedures: procedures::Stages,
    contents: &mut Contents,
) -> Vec<Action> {
    let mut stage = |of: fn(&mut Stages) -> &mut Vec<Action>| -> Vec<Action> {
        components.iter_mut().flat_map(|stages| std::mem::take(of(stages))).collect()
    };
    // What ran last is undone first.
    let mut actions = stage(|stages| &mut stages.undo);
    actions.reverse();
    actions.splice(0..0, procedures.back);
    actions.extend(stage(|stages| &mut stages.reruns));
    actions.extend(procedures.reruns);
    let before_tree = actions.len();
    actions.extend(tree(case, contents));
    let is_swap = |action: &&Action| matches!(action, Action::Layout(_));
    let (swap, changes): (Vec<_>, Vec<_>) = case.offer.changes.iter().partition(is_swap);
    let before_changes = actions.len();
    actions.extend(changes.into_iter().cloned());
    actions.extend(stage(|stages| &mut stages.env));
    actions.extend(stage(|stages| &mut stages.artifacts));
    actions.extend(stage(|stages| &mut stages.steps));
    actions.extend(procedures.migrate);
    actions.extend(stage(|stages| &mut stages.checks));
    let late_steps = stage(|stages| &mut stages.late_steps);
    // What runs is led to the new release when all of it is there.
    let is_made = actions.iter().chain(&late_steps).any(|action| matches!(action, Action::Step(_)));
    match case.offer.from.revision == case.offer.to.revision && !is_made {
        false => actions.extend(swap.into_iter().cloned()),
        // The same release, and nothing of it is made anew: it stays in its directory.
        true => stay(case, &mut actions, before_changes),
    }
    let services = stage(|stages| &mut stages.services);
    let relations = relations(&components);
    // Stopped while its file is there: a timer whose file goes under it ends as failed.
    let is_stop = |action: &Action| matches!(action, Action::Service(service) if service.verb == Verb::Stop);
    let (stops, services): (Vec<_>, Vec<_>) = services.into_iter().partition(is_stop);
    let (mut stops, services) = (by_relations(stops, &relations), by_relations(services, &relations));
    // What needs others ends before them; a socket before what it would start again.
    stops.reverse();
    stops.sort_by_key(|stop| !matches!(stop, Action::Service(service) if !service.unit.ends_with(".service")));
    actions.extend(stops);
    actions.extend(linger(case, &components));
    actions.extend(units::actions(components.into_iter().flat_map(|stages| stages.units)));
    // Everything that may fail and can be undone has been done.
    actions.extend(late_steps);
    actions.extend(procedures.late);
    let stops = if case.quiesces { backup::stops(case, &services) } else { Vec::new() };
    actions.extend(services);
    actions.extend(case.offer.around.after.iter().cloned());
    actions.extend(procedures.resume);
    if !actions.is_empty() {
        let quiesce = quiesce(case, &relations);
        let runs_steps = actions.iter().any(|action| matches!(action, Action::Step(_)));
        actions.splice(before_tree..before_tree, backup::action(case, &quiesce.units, runs_steps));
        // First of all, so that what is undone last finds what ran before running again.
        let held = case.offer.around.before.iter().cloned();
        let first = procedures.first.into_iter().chain([Action::Quiesce(quiesce)]).chain(stops).chain(held);
        actions.splice(0..0, first);
    }
    steps::link_reruns(&mut actions);
    backup::link(&mut actions);
    actions
}

/// Takes what unpacks the target out again; its checks look at what is there.
fn stay(case: &Case, actions: &mut Vec<Action>, from: usize) {
    let Some(leads) = case.leads() else { return };
    let mut at = 0;
    actions.retain(|action| {
        at += 1;
        at <= from || !matches!(action, Action::Directory(_))
    });
    for action in actions {
        if let Action::Check(check) = action {
            check.command.base = leads.from.as_deref().map(releases::below);
        }
    }
}

/// What the units of all components say of their order, by scope.
type Order = Vec<(Scope, String, Relations)>;

fn relations(components: &[Stages]) -> Order {
    let work = components.iter().flat_map(|stages| &stages.units);
    let work = work.flat_map(|work| work.leaves.as_deref().into_iter().chain([work]));
    let told = work.flat_map(|work| work.relations.iter().map(|(name, says)| (work.scope, name.clone(), says.clone())));
    told.collect()
}

/// In the order that the units ask for, else as they are given.
fn sorted<T>(items: Vec<T>, relations: &Order, unit: impl Fn(&T) -> Option<(Scope, String)>) -> Vec<T> {
    // Names of the two scopes are apart.
    let full = |scope: Scope, name: &str| format!("{scope:?}/{name}");
    let told = |item: &T| {
        let Some((scope, name)) = unit(item) else { return (String::new(), Relations::default()) };
        let says = relations.iter().find(|(of, known, _)| *of == scope && *known == name);
        let says = says.map(|(.., says)| says.clone()).unwrap_or_default();
        let within = |names: Vec<String>| names.iter().map(|name| full(scope, name)).collect();
        (full(scope, &name), Relations { after: within(says.after), before: within(says.before) })
    };
    let order = unit::ordered(&items.iter().map(told).collect::<Vec<_>>());
    let mut items: Vec<Option<T>> = items.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| items[at].take()).collect()
}

fn by_relations(actions: Vec<Action>, relations: &Order) -> Vec<Action> {
    sorted(actions, relations, |action| match action {
        Action::Service(service) => Some((service.scope, service.unit.clone())),
        _ => None,
    })
}

/// Units of an account that come to be there run without a login only where it lingers.
fn linger(case: &Case, components: &[Stages]) -> Option<Action> {
    let mut work = components.iter().flat_map(|stages| &stages.units);
    let arrives = work.any(|work| work.scope == Scope::User && work.file == FileChange::Installed);
    let account = case.install.owner.clone();
    (arrives && case.survey.lingers == Some(false)).then_some(Action::Linger(Linger { account }))
}

/// What runs is noted for every installed component: the tree is everybody's. In the order in which it would start again.
fn quiesce(case: &Case, relations: &Order) -> Quiesce {
    let installed = case.survey.installed(case.install);
    let units = installed.flat_map(|(_, component, surveyed)| services::names(component, surveyed)).collect();
    Quiesce { units: sorted(units, relations, |unit| Some(unit.clone())) }
}

/// The switch of a git checkout; that of another source is among the changes of its offer.
fn tree(case: &Case, contents: &mut Contents) -> Option<Action> {
    case.install.checkout()?;
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
