//! Going back: steps are undone in the tree that they belong to, files and archives are put back.

use super::*;

fn back(more: &str) -> World {
    let mut world = World::single(more).versions(&[("1.1.0", "1.0.0")]);
    world.request.intent = Intent::Rollback;
    world.offer.direction = Direction::Back;
    world
}

#[test]
fn undo_commands_run_last_first_before_the_tree_goes() {
    let undo = |name: &str| step(name, &format!("undo = {{ run = [\"un{name}\"] }}"));
    let plan = back(&(undo("one") + &undo("two"))).plan();
    assert_eq!(
        titles(&plan)[1..],
        ["manager: two", "manager: one", "switch the tree to bbbbbbbbbb"],
        "a step may build on the one before it"
    );
    assert_eq!(plan.components[0].steps[0].run, ["unone"]);
}

#[test]
fn a_pure_step_does_not_run_and_a_rerun_does_unless_an_archive_has_what_it_made() {
    let plan = back(&step("init", "undo = \"pure\"")).plan();
    assert_eq!(titles(&plan)[1..], ["switch the tree to bbbbbbbbbb"]);
    assert_eq!(plan.components[0].steps[0].why, "leaves nothing that matters to the old release");
    let sync = format!("artifacts = [\".venv\"]\n{}", step("sync", "undo = \"rerun\""));
    let mut world = back(&sync);
    assert_eq!(
        titles(&world.plan())[1..],
        ["switch the tree to bbbbbbbbbb", "keep manager/.venv for the way back", "manager: sync"]
    );
    world.request.restore.artifacts = vec![("manager/.venv".into(), "/var/lib/x.tar".into())];
    let plan = world.plan();
    assert_eq!(titles(&plan)[1..], ["switch the tree to bbbbbbbbbb", "put back manager/.venv"]);
    assert_eq!(plan.components[0].steps[0].why, "what it made is put back from the archive");
}

#[test]
fn the_configuration_of_then_is_put_back_and_no_key_is_added() {
    let mut world = back("");
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nNEW=changeme\n".to_vec());
    let kept = world.plan();
    assert!(!kept.components[0].env[0].rewritten && kept.blockers.is_empty());
    let then = file("PORT=1\n");
    world.request.restore.env = vec![("manager/.env".into(), then.clone())];
    let plan = world.plan();
    assert!(plan.components[0].env[0].rewritten);
    assert_eq!(plan.components[0].env[0].after, then.image.sha256);
}

#[test]
fn a_step_that_nothing_undoes_refuses_the_way_back_and_checks_do_not_hold_it_up() {
    let check = "[[component.check]]\nrun = [\"look\"]\nat = \"staged\"\n";
    let mut world = back(&(step("migrate", "") + check));
    assert_eq!(world.blockers(), ["a step ran for the newer release, and nothing undoes it: migrate"]);
    assert_eq!(world.plan().staged_checks, []);
    world.request.allow_irreversible = true;
    assert_eq!(world.blockers(), Vec::<String>::new());
    assert_eq!(titles(&world.plan())[1..], ["switch the tree to bbbbbbbbbb"], "it is not run again");
}
