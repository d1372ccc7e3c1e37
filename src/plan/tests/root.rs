//! What root runs, and where its code comes from.

use super::*;
use crate::action::{Action, Rerun, Step};
use crate::trust::Standing;

/// A component with a step and two checks that root runs.
fn rooted(undo: &str) -> World {
    let checks = ["staged", "switched"]
        .map(|at| format!("[[component.check]]\nrun = [\"./check\", \"{at}\"]\nat = \"{at}\"\nas = \"root\"\n"));
    let mut world =
        World::single(&format!("{}{}", step("init", &format!("as = \"root\"\nundo = {undo}")), checks.concat()));
    world.offer.standing = Standing::Unverified;
    world.offer.to.label = Some("v1.1.0".into());
    world
}

fn verified() -> Standing {
    Standing::Verified { by: "a key".into() }
}

fn pinned() -> Standing {
    Standing::Pinned { by: "alice".into() }
}

/// Of every command that root would run: the words of its origin.
fn origins(plan: &Plan) -> Vec<String> {
    let actions = plan.actions.iter().filter_map(of_action).filter(|step| step.as_root);
    let staged = plan.staged_checks.iter().map(|check| check.origin.clone().unwrap().words());
    staged.chain(actions.map(|step| step.origin.words())).collect()
}

fn of_action(action: &Action) -> Option<&Step> {
    match action {
        Action::Step(step) | Action::Rerun(Rerun { step, .. }) => Some(step),
        Action::Check(check) => Some(&check.command),
        _ => None,
    }
}

#[test]
fn root_runs_what_was_verified_or_pinned_from_an_export_and_says_so() {
    for (standing, words) in
        [(verified(), "from verified v1.1.0 (exported)"), (pinned(), "from pinned v1.1.0 (exported)")]
    {
        let mut world = rooted("\"pure\"");
        world.offer.standing = standing;
        let plan = world.plan();
        assert_eq!(origins(&plan), [words; 3]);
        assert!(plan.blockers.is_empty(), "{:?}", plan.blockers);
        let shown = crate::cli::describe::text(&plan, None);
        assert!(shown.contains(&format!(" as root, {words}")), "{shown}");
        assert!(shown.contains(&format!("(as root, {words}, on a staged copy)")), "{shown}");
        let document = crate::cli::describe::document(&plan);
        let origin = &document["components"][0]["steps"][0]["origin"]["export"];
        assert_eq!(origin["release"]["label"], "v1.1.0", "{document}");
        assert!(origin["standing"]["state"] == "verified" || origin["standing"]["state"] == "pinned", "{document}");
        assert_eq!(document["staged_checks"][0]["origin"]["export"]["release"]["revision"], "b".repeat(40));
    }
}

#[test]
fn root_runs_nothing_that_nothing_vouches_for_whoever_asks() {
    for (unattended, is_explicit) in [(false, false), (true, false), (false, true)] {
        let mut world = rooted("\"pure\"");
        world.install.policy.unattended = manifest::Reach::Major;
        (world.request.unattended, world.request.is_explicit) = (unattended, is_explicit);
        let plan = world.plan();
        let blocker = plan.blockers.iter().find(|blocker| blocker.what.contains("root")).unwrap();
        assert!(blocker.refused);
        assert_eq!(
            blocker.what,
            "root would run code of v1.1.0, for which nothing vouches: manager: check ./check staged, manager: init, manager: check"
        );
        assert_eq!(
            blocker.hint.as_deref().unwrap(),
            "require a signature ([source.git] verify), approve this release by hand (relift trust pin app v1.1.0), or let root run what is in the checkout ([install] trust-checkout = true)"
        );
        assert_eq!(origins(&plan), ["refused: nothing vouches for v1.1.0"; 3]);
    }
}

#[test]
fn a_release_that_nothing_vouches_for_goes_on_where_root_runs_nothing_of_it() {
    let mut world = World::single(&step("sync", "undo = \"pure\""));
    assert_eq!(world.blockers(), Vec::<String>::new());
    world = rooted("\"pure\"").unchanged();
    assert_eq!(world.blockers(), Vec::<String>::new(), "a step that does not run is no reason");
}

#[test]
fn trust_checkout_runs_what_the_owner_has_there_and_says_so() {
    let mut world = rooted("\"pure\"");
    world.install.trust_checkout = true;
    for standing in [Standing::Unverified, verified()] {
        world.offer.standing = standing;
        let plan = world.plan();
        assert_eq!(origins(&plan), ["from the checkout (trust-checkout)"; 3]);
        assert!(plan.blockers.is_empty());
    }
}

#[test]
fn an_undo_in_the_old_tree_asks_what_vouches_for_the_old_release() {
    let mut world = rooted("\"rerun\"");
    world.offer.standing = verified();
    world.offer.from.label = Some("v1.0.0".into());
    assert_eq!(
        world.blockers(),
        ["root would run code of v1.0.0, for which nothing vouches: manager: init"],
        "its undo runs it again there"
    );
    world.offer.standing_of_present = pinned();
    let plan = world.plan();
    assert!(plan.blockers.is_empty());
    assert!(origins(&plan).contains(&"from pinned v1.0.0 (exported)".to_owned()), "{:?}", origins(&plan));
}

#[test]
fn a_rollback_undoes_with_the_code_of_the_release_that_it_leaves() {
    let mut world = rooted("{ run = [\"make\", \"uninit\"] }");
    world.request.intent = Intent::Rollback;
    world.offer.from.label = Some("v1.2.0".into());
    world.offer.standing = verified();
    assert_eq!(world.blockers(), ["root would run code of v1.2.0, for which nothing vouches: manager: init"]);
    world.offer.standing_of_present = verified();
    assert_eq!(origins(&world.plan()), ["from verified v1.2.0 (exported)"]);
}

#[test]
fn a_record_of_an_older_version_reads_as_what_it_meant() {
    let mut world = rooted("\"pure\"");
    world.install.trust_checkout = true;
    let mut old = serde_json::to_value(world.plan()).unwrap();
    old["components"][0]["steps"][0].as_object_mut().unwrap().remove("origin");
    old["staged_checks"][0].as_object_mut().unwrap().remove("origin");
    let plan: Plan = serde_json::from_value(old.clone()).unwrap();
    assert!(!old.to_string().contains("origin"), "the checkout is what a record without it means: {old}");
    assert!(plan.actions.iter().all(|action| match action {
        Action::Step(step) => step.origin.is_checkout(),
        _ => true,
    }));
}
