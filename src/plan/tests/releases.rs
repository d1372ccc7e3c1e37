//! Releases in directories of their own: what is made before the link is led to them, and where commands work.

use super::*;
use crate::action::{self, Action, Directory};
use crate::manifest::Layout;

/// From `releases/one`, or from nothing, to `releases/two`.
fn beside(from: Option<&str>, more: &str) -> World {
    let mut world = World::single(more);
    world.install.layout = Layout::Releases;
    world.offer.changes = vec![
        Action::Directory(Directory { name: "two".into(), revision: "b".repeat(40) }),
        Action::Layout(action::Layout {
            from: from.map(str::to_owned),
            to: "two".into(),
            revision: "b".repeat(40),
            previous: None,
        }),
    ];
    world
}

/// Where each command of the plan works.
fn bases(plan: &Plan) -> Vec<(String, Option<String>)> {
    let shown = |base: &Option<PathBuf>| base.as_ref().map(|base| base.display().to_string());
    let base = |action: &Action| match action {
        Action::Step(step) => Some((step.name.clone(), shown(&step.base))),
        Action::Check(check) => Some(("check".into(), shown(&check.command.base))),
        Action::Rerun(rerun) => Some((format!("{} again", rerun.step.name), shown(&rerun.step.base))),
        _ => None,
    };
    plan.actions.iter().filter_map(base).collect()
}

fn at(name: &str, base: &str) -> (String, Option<String>) {
    (name.into(), Some(base.into()))
}

const CHECK: &str = "[[component.check]]\nrun = [\"check\"]\nat = \"switched\"\n";

#[test]
fn everything_that_may_fail_is_done_before_the_link_is_led_to_the_release() {
    let body = format!(
        "artifacts = [\".venv\"]\n{}{}{CHECK}{}",
        step("sync", "undo = \"pure\""),
        step("migrate", ""),
        unit("manager.service", "")
    );
    let mut world = beside(Some("one"), &body);
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nURL=http://h\n".to_vec());
    world.offer.components[0].units[0].1 = Some(UNIT.replace("/bin/app", "/bin/new"));
    let plan = world.plan();
    assert_eq!(
        titles(&plan)[1..],
        [
            "unpack releases/two",
            "write shared/manager/.env",
            "manager: sync",
            "manager: check",
            "lead current to releases/two",
            "install manager.service",
            "manager: migrate",
            "restart manager.service",
        ],
        "what steps make is in the directory of its release: nothing of it is saved"
    );
    let two = "releases/two";
    assert_eq!(bases(&plan), [at("sync", two), at("check", two), at("migrate", two)]);
    assert_eq!(plan.layout.in_tree(&plan.components[0].env[0].file), "manager/.env");
    assert!(!plan.has_checkout() && !plan.is_first());
}

#[test]
fn what_undoes_a_step_works_in_the_release_that_it_is_code_of() {
    let steps = step("sync", "undo = \"rerun\"") + &step("load", "undo = { run = [\"unload\"] }");
    let plan = beside(Some("one"), &steps).plan();
    assert_eq!(
        bases(&plan),
        [at("sync again", "releases/one"), at("sync", "releases/two"), at("load", "releases/two")]
    );
    // Of a first release, nothing is there in which a step could run again.
    let plan = beside(None, &steps).plan();
    assert_eq!(bases(&plan), [at("sync", "releases/two"), at("load", "releases/two")]);
    assert!(plan.is_first());

    let mut world = beside(Some("one"), &steps).versions(&[("1.1.0", "1.0.0")]);
    (world.request.intent, world.offer.direction) = (Intent::Rollback, Direction::Back);
    assert_eq!(bases(&world.plan()), [at("load", "releases/one"), at("sync", "releases/two")]);
}

#[test]
fn a_rollback_to_a_directory_that_is_there_makes_nothing_of_it_again() {
    let sync = format!("artifacts = [\".venv\"]\n{}", step("sync", "undo = \"rerun\""));
    let mut world = beside(Some("one"), &sync).versions(&[("1.1.0", "1.0.0")]);
    (world.request.intent, world.offer.direction) = (Intent::Rollback, Direction::Back);
    assert_eq!(titles(&world.plan())[1..], ["unpack releases/two", "manager: sync", "lead current to releases/two"]);
    world.offer.changes.remove(0);
    let plan = world.plan();
    assert_eq!(titles(&plan)[1..], ["lead current to releases/two"]);
    assert_eq!(plan.components[0].steps[0].why, "what it made is kept with the release");
}

#[test]
fn the_same_release_gets_a_directory_of_its_own_only_where_something_of_it_is_made_anew() {
    let edited = "PORT=81\nTOKEN=other\n";
    let world = |more: &str| {
        let mut world = beside(Some("one"), more).unchanged().env(edited);
        let activation = world.survey.components[0].activation.as_mut().unwrap();
        activation.env.insert("shared/manager/.env".into(), "another".into());
        world
    };
    let unit = unit("manager.service", "");
    let plan = world(&format!("{CHECK}{unit}")).plan();
    assert_eq!(titles(&plan)[1..], ["manager: check", "restart manager.service"]);
    assert_eq!(bases(&plan), [at("check", "releases/one")]);
    let plan = world(&format!("{}{unit}", step("sync", "undo = \"pure\""))).plan();
    assert_eq!(
        titles(&plan)[1..],
        ["unpack releases/two", "manager: sync", "lead current to releases/two", "restart manager.service"]
    );
    assert!(beside(Some("one"), &unit).unchanged().plan().is_empty(), "nothing differs");
}

#[test]
fn a_configuration_file_that_is_missing_is_made_in_what_is_shared() {
    let mut world = beside(None, "");
    world.survey.components[0].env[0] = None;
    let blocker = &world.plan().blockers[0];
    assert_eq!(blocker.what, "shared/manager/.env is missing");
    let hint = blocker.hint.as_deref().unwrap();
    assert!(hint.contains("mirror.git show bbbbbbbbbb:manager/.env.example"), "{hint}");
}
