//! The order of a run's changes.

use super::*;
use crate::action::Action;

#[test]
fn changes_stand_stage_by_stage_and_services_come_last() {
    let body = |name: &str| {
        let steps = step("sync", "undo = \"pure\"") + &step("migrate", "") + &step("after", "undo = \"pure\"");
        let check = "[[component.check]]\nrun = [\"check\"]\nat = \"switched\"\n[[component.check]]\nrun = [\"look\"]\nat = \"staged\"\n";
        component(name, &format!("artifacts = [\".venv\"]\n{steps}{check}{}", unit(&format!("{name}.service"), "")))
    };
    let mut world = World::new(&["manager", "runner"].map(body));
    for offer in &mut world.offer.components {
        offer.examples[0].1 = Some(b"PORT=80\nURL=http://h\n".to_vec());
        offer.units[0].1 = Some(UNIT.replace("/bin/app", "/bin/new"));
    }
    let plan = world.plan();
    assert!(matches!(&plan.actions[0], Action::Quiesce(quiesce) if quiesce.units.len() == 2));
    assert_eq!(
        titles(&plan)[1..],
        [
            "switch the tree to bbbbbbbbbb",
            "write manager/.env",
            "write runner/.env",
            "keep manager/.venv for the way back",
            "keep runner/.venv for the way back",
            "manager: sync",
            "runner: sync",
            "manager: check",
            "runner: check",
            "install manager.service, runner.service",
            "manager: migrate",
            "manager: after",
            "runner: migrate",
            "runner: after",
            "restart manager.service",
            "restart runner.service",
        ]
    );
    assert_eq!(
        plan.staged_checks.iter().map(|check| check.component.as_str()).collect::<Vec<_>>(),
        ["manager", "runner"]
    );
}

#[test]
fn a_rerun_stands_before_the_tree_and_knows_its_step() {
    let plan = World::single(&step("sync", "undo = \"rerun\"")).plan();
    let rerun = plan.actions.iter().position(|action| matches!(action, Action::Rerun(_))).unwrap();
    let step = plan.actions.iter().position(|action| matches!(action, Action::Step(_))).unwrap();
    let tree = plan.actions.iter().position(|action| matches!(action, Action::Tree(_))).unwrap();
    assert!(rerun < tree && tree < step);
    assert!(matches!(&plan.actions[rerun], Action::Rerun(found) if found.of == step));
    let plan = World::single(&format!("artifacts = [\".venv\"]\n{}", super::step("sync", "undo = \"rerun\""))).plan();
    assert!(!plan.actions.iter().any(|action| matches!(action, Action::Rerun(_))), "the saved artifact is put back");
}

#[test]
fn nothing_changed_is_an_empty_plan() {
    let plan = World::pair().unchanged().plan();
    assert!(plan.is_empty() && plan.blockers.is_empty() && plan.warnings.is_empty());
    assert!(plan.gates.iter().all(|gate| !gate.changes));
}

#[test]
fn only_the_named_component_changes_while_the_tree_is_everybodys() {
    let mut world = World::pair();
    world.request.only = vec!["runner".into()];
    let plan = world.plan();
    assert_eq!(titles(&plan)[1..], ["switch the tree to bbbbbbbbbb", "restart runner.service"]);
    assert_eq!(plan.components.iter().map(|component| component.name.as_str()).collect::<Vec<_>>(), ["runner"]);
    assert!(matches!(&plan.actions[0], Action::Quiesce(quiesce) if quiesce.units.len() == 2));
}
