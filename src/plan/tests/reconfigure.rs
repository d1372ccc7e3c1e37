//! The same release once more, on a host whose packages changed.

use super::*;
use ServiceChange::{LeftAlone, Restart, Untouched};

const WHY: &str = "python3 changed since it was started";

/// A manager with two services and a step, of which nothing changed.
fn world() -> World {
    let more = [unit("one.service", ""), unit("two.service", "restart = \"reload\""), step("sync", "undo = \"pure\"")];
    let mut world = World::single(&more.concat()).unchanged();
    world.request.intent = Intent::Reconfigure;
    world.request.unattended = true;
    world
}

fn changed(mut world: World, services: &[&str], steps: &[&str]) -> World {
    let host = &mut world.survey.components[0].host;
    host.restarts = services.iter().map(|name| (Scope::System, (*name).to_owned(), WHY.to_owned())).collect();
    host.steps = steps.iter().map(|name| ((*name).to_owned(), "python3 changed".to_owned())).collect();
    world
}

fn services(world: &World) -> Vec<ServiceChange> {
    world.plan().components[0].units.iter().map(|unit| unit.service).collect()
}

#[test]
fn what_runs_with_replaced_packages_is_restarted_and_nothing_else() {
    let world = changed(world(), &["one.service"], &[]);
    let plan = world.plan();
    assert_eq!(titles(&plan)[1..], ["restart one.service"], "the first notes what runs");
    assert_eq!(services(&world), [Restart, Untouched]);
    assert_eq!(plan.components[0].units[0].why, WHY);
    assert_eq!(plan.host_changes, [format!("one.service: {WHY}")]);
    assert_eq!((plan.blockers.len(), plan.gates[0].changes), (0, true));
    assert_eq!(plan.from, plan.to);
    assert!(self::world().plan().is_empty(), "nothing changed, nothing is done");
}

#[test]
fn a_unit_file_that_a_package_replaced_is_read_again_first() {
    let mut world = changed(world(), &["one.service"], &[]);
    world.survey.components[0].host.reloads = vec![(Scope::System, "one.service".into())];
    let titles = titles(&world.plan());
    assert_eq!(titles.len(), 3, "{titles:?}");
    assert_eq!(titles[2], "restart one.service");
    assert!(matches!(world.plan().actions[1], crate::action::Action::Units(_)), "{titles:?}");
}

#[test]
fn a_reload_would_keep_the_old_library_so_that_it_is_a_restart() {
    assert_eq!(services(&changed(world(), &["two.service"], &[])), [Untouched, Restart]);
    let mut never = changed(world(), &["one.service"], &[]);
    never.install.components[0].units[0].restart = manifest::RestartPolicy::Never;
    assert_eq!(services(&never), [Untouched, Untouched]);
    let mut masked = changed(world(), &["one.service"], &[]);
    masked.survey.components[0].units[0].states[0].1.file = "masked".into();
    assert_eq!(services(&masked), [LeftAlone, Untouched]);
}

#[test]
fn steps_run_again_with_their_reason_and_what_they_make_is_started() {
    let world = changed(world(), &[], &["sync"]);
    let plan = world.plan();
    assert_eq!(titles(&plan)[1..], ["manager: sync", "restart one.service", "reload two.service"]);
    assert_eq!((plan.components[0].steps[0].runs, plan.components[0].steps[0].why.as_str()), (true, "python3 changed"));
}

#[test]
fn a_step_that_nothing_undoes_is_not_for_a_hook_to_run() {
    let mut world = changed(world(), &[], &["sync"]);
    world.install.components[0].steps[0].undo = StepUndo::Irreversible;
    assert!(world.blockers()[0].contains("nothing undoes this step: sync"), "{:?}", world.blockers());
}

#[test]
fn another_release_than_the_activated_one_is_an_upgrade_and_refused() {
    let mut world = changed(world(), &["one.service"], &[]);
    world.survey.components[0].activation.as_mut().unwrap().revision = "c".repeat(40);
    assert_eq!(world.blockers(), ["the checkout is at aaaaaaaaaa, and manager was activated at cccccccccc"]);
    assert!(world.plan().blockers[0].refused);
    // The first run of an install knows of no activation: what is checked out is what runs.
    world.survey.components[0].activation = None;
    assert_eq!(world.blockers(), Vec::<String>::new());
}

#[test]
fn an_upgrade_does_not_look_at_packages() {
    let mut world = World::pair().unchanged();
    world.request.intent = Intent::Upgrade;
    assert!(world.plan().is_empty() && world.plan().host_changes.is_empty());
}
