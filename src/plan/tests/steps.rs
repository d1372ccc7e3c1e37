//! Which steps run, and why.

use super::*;

/// Whether the step runs and the reason that is told.
fn reason(world: &World) -> (bool, String) {
    let step = world.plan().components.swap_remove(0).steps.swap_remove(0);
    (step.runs, step.why)
}

fn watching(paths: &str) -> World {
    World::single(&format!(
        "{}{}",
        step("sync", &format!("undo = \"pure\"\nwhen = {{ changed = [{paths}] }}")),
        unit("manager.service", "")
    ))
}

#[test]
fn a_step_runs_when_what_it_names_changed() {
    for (paths, changed, runs, why) in [
        ("\"uv.lock\"", "uv.lock", true, "uv.lock changed"),
        ("\"uv.lock\"", "uv.lock.bak", false, "no change in uv.lock"),
        ("\"uv.lock\"", "sub/uv.lock", false, "no change in uv.lock"),
        ("\"scripts\"", "scripts/deep/init.py", true, "scripts changed"),
        ("\"scripts\"", "scripts2/init.py", false, "no change in scripts"),
        ("\"a\", \"b\"", "b", true, "b changed"),
        ("\"a\", \"b\"", "c", false, "no change in a, b"),
        ("\".env\"", "c", false, "no change in .env"),
    ] {
        let mut world = watching(paths);
        world.offer.components[0].changed = vec![changed.into()];
        assert_eq!(reason(&world), (runs, why.to_owned()), "{paths} {changed}");
    }
}

#[test]
fn a_step_runs_when_the_configuration_that_it_names_changed() {
    let mut world = watching("\".env\"");
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nURL=http://h\n".to_vec());
    assert_eq!(reason(&world), (true, ".env changed".into()), "upstream has a new key");
    let mut world = watching("\".env\"").unchanged();
    let activation = world.survey.components[0].activation.as_mut().unwrap();
    activation.env.insert("manager/.env".into(), "0".repeat(64));
    assert_eq!(reason(&world), (true, ".env changed".into()), "the operator edited it since");
}

#[test]
fn a_step_that_names_nothing_runs_when_anything_of_the_component_changed() {
    let plain = || World::single(&format!("{}{}", step("sync", "undo = \"pure\""), unit("manager.service", "")));
    assert_eq!(reason(&plain()), (true, "the component changed".into()));
    assert_eq!(reason(&plain().unchanged()), (false, "the component did not change".into()));
    let mut world = plain().unchanged();
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nURL=http://h\n".to_vec());
    assert_eq!(reason(&world), (true, ".env changed".into()));
}

#[test]
fn every_step_runs_for_a_component_that_is_new_and_for_a_process_that_is_older() {
    let mut world = watching("\"uv.lock\"").unchanged();
    world.survey.components[0].is_checked_out = false;
    assert_eq!(reason(&world), (true, "the component is new here".into()));
    let mut world = watching("\"uv.lock\"").unchanged();
    world.survey.checkout.head_moved = 100;
    world.survey.components[0].activation = None;
    world.survey.components[0].units[0].states[0].1.main_started_us = 99_000_000;
    assert_eq!(reason(&world), (true, "the running process is older than the checkout".into()));
    world.survey.components[0].units[0].states[0].1.main_started_us = 100_000_000;
    assert_eq!(reason(&world), (false, "no change in uv.lock".into()));
    assert!(world.plan().is_empty());
}
