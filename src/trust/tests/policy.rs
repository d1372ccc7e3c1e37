//! What the manifest wants signed, and what that comes to.

use git2::{Oid, Repository};

use super::world::{World, refused};
use crate::ledger::KnownGood;
use crate::plan::Intent;
use crate::trust::{Lineage, Pin, Standing, Subject, assess, below, lineage};

const COMMITS: &str = "branch = \"main\"\nverify = { signed = \"commits\", allowed-signers = \"SIGNERS\" }";
const TIP: &str = "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"SIGNERS\" }";
const TAGS: &str =
    "tags = \"v{version}\"\nverify = { signed = \"tag\", allowed-signers = \"SIGNERS\", max-age = \"30d\" }";

#[test]
fn every_first_parent_commit_since_the_last_known_good_one_is_signed() {
    let mut world = World::new(COMMITS, "");
    let old = world.commit("old, unsigned", &[], false);
    let known = world.commit("known-good, unsigned", &[&old], false);
    world.bases = vec![known.clone()];
    let side = world.commit("side, unsigned", &[&known], false);
    let merge = world.commit("merge", &[&known, &side], true);
    let tip = world.commit("tip", &[&merge], true);
    let found = world.ask(&tip, None, &known);
    assert_eq!(refused(&found), "");
    let Standing::Verified { by } = &found.standing else { panic!("{found:?}") };
    assert!(by.starts_with(&format!(
        "release@example.org (commit {} and 1 commit before it, ssh ED25519 SHA256:",
        &tip[..10]
    )));

    let middle = world.commit("middle, unsigned", &[&known], false);
    let tip = world.commit("tip after it", &[&middle], true);
    let said = refused(&world.ask(&tip, None, &known));
    assert!(said.contains(&format!("the commit {} is not signed", &middle[..10])), "{said}");
    // The known-good one on the second parent's side is no way around.
    let other = world.commit("another way, unsigned", &[&old], false);
    let around = world.commit("merge of the known-good one", &[&other, &known], true);
    assert!(refused(&world.ask(&around, None, &known)).contains(&other[..10]));
    // An approval counts as a base.
    let pin = |revision: &str| Pin { revision: revision.to_owned(), label: None, by: "root".into(), time: 1 };
    world.memory.approve(pin(&middle), None);
    assert_eq!(refused(&world.ask(&tip, None, &known)), "");
}

#[test]
fn of_an_install_of_which_nothing_is_recorded_what_is_checked_out_is_the_base_and_is_verified_itself() {
    let mut world = World::new(COMMITS, "");
    let head = world.commit("checked out, unsigned", &[], false);
    let tip = world.commit("tip", &[&head], true);
    assert_eq!(refused(&world.ask(&tip, None, &head)), "");
    assert!(refused(&world.ask(&head, None, &head)).contains("is not signed"));
    // As soon as something is recorded, where the checkout stands no longer counts.
    let forged = world.commit("put there by the owner", &[&head], false);
    let tip = world.commit("after it", &[&forged], true);
    world.bases = vec![head];
    assert!(refused(&world.ask(&tip, None, &forged)).contains("is not signed"));
}

#[test]
fn the_first_release_of_a_new_install_is_verified_itself_and_a_link_that_was_taken_away_makes_none_new() {
    let mut world = World::new(COMMITS, "");
    let nothing = crate::source::releases::nothing(&world.repository()).unwrap();
    let first = world.commit("first", &[], false);
    let tip = world.commit("tip", &[&first], true);
    assert_eq!(refused(&world.ask(&tip, None, &nothing)), "");
    assert!(refused(&world.ask(&first, None, &nothing)).contains("is not signed"));
    let foreign = world.commit("another project", &[], true);
    let forged = world.commit("forged", &[&tip], false);
    let after = world.commit("after it", &[&forged], true);
    world.bases = vec![tip];
    assert!(refused(&world.ask(&foreign, None, &nothing)).contains("has no commit in common"));
    assert!(refused(&world.ask(&after, None, &nothing)).contains("is not signed"));
}

#[test]
fn a_tip_is_verified_alone_and_a_tag_on_it_does_not_count() {
    let mut world = World::new(TIP, "");
    let head = world.commit("head", &[], false);
    let middle = world.commit("middle", &[&head], false);
    let tip = world.commit("tip", &[&middle], true);
    assert!(world.ask(&tip, None, &head).standing.is_verified());
    world.tag("v1.0.0", &middle);
    assert!(refused(&world.ask(&middle, Some("v1.0.0"), &head)).contains("is not signed"));
}

#[test]
fn a_bare_commit_is_verified_by_any_signed_tag_of_the_shape_that_names_it() {
    let mut world = World::new(TAGS, "");
    let head = world.commit("head", &[], false);
    let release = world.commit("release", &[&head], false);
    assert!(refused(&world.ask(&release, None, &head)).contains("no tag that is followed names the commit"));
    world.tag("other-1.0.0", &release);
    assert!(refused(&world.ask(&release, None, &head)).contains("no tag that is followed names the commit"));
    world.tag("v1.0.0", &release);
    let found = world.ask(&release, None, &head);
    assert!(found.standing.words().starts_with("verified by release@example.org (tag v1.0.0, "), "{found:?}");
}

#[test]
fn what_has_no_commit_in_common_is_of_another_repository_whoever_signed_it() {
    let mut world = World::new(TAGS, "");
    let head = world.commit("head", &[], true);
    let foreign = world.commit("another project", &[], true);
    world.tag("v2.0.0", &foreign);
    let said = refused(&world.ask(&foreign, Some("v2.0.0"), &head));
    assert!(said.contains("has no commit in common with what is installed"), "{said}");
}

#[test]
fn a_tag_that_moved_is_refused_until_it_is_approved_and_one_that_vanished_is_told() {
    let mut world = World::new(TAGS, "");
    let head = world.commit("head", &[], true);
    let (one, other) = (world.commit("one", &[&head], true), world.commit("other", &[&head], true));
    world.tag("v1.0.0", &one);
    assert_eq!(refused(&world.ask(&one, Some("v1.0.0"), &head)), "");
    world.tag("v1.0.0", &other);
    for _ in 0..2 {
        // What was seen first is not forgotten by looking again.
        let said = refused(&world.ask(&other, Some("v1.0.0"), &head));
        let what = format!("the tag v1.0.0 was moved: it was {} since ", &one[..10]);
        assert!(said.contains(&what) && said.contains("relift trust pin app v1.0.0"), "{said}");
    }
    // Where another tag is the target, it is an alarm and no more.
    world.tag("v1.1.0", &other);
    let found = world.ask(&other, Some("v1.1.0"), &head);
    assert!(found.blockers.is_empty() && found.alarms[0].contains("the tag v1.0.0 was moved"), "{found:?}");
    let object = crate::trust::tag_object(&world.repository(), "v1.0.0").map(|object| object.to_string());
    let pin = Pin { revision: other.clone(), label: Some("v1.0.0".into()), by: "root".into(), time: 1 };
    world.memory.approve(pin, object);
    let found = world.ask(&other, Some("v1.0.0"), &head);
    assert_eq!((refused(&found), found.standing.words()), (String::new(), "pinned by hand, by root".into()));

    world.git(&["tag", "-d", "v1.1.0"], b"");
    let found = world.ask(&other, Some("v1.0.0"), &head);
    assert!(found.alarms[0].contains("the tag v1.1.0 is gone from upstream"), "{found:?}");
    // An older one that is gone is nobody's concern.
    world.git(&["tag", "-d", "v1.0.0"], b"");
    world.tag("v1.2.0", &other);
    assert_eq!(world.ask(&other, Some("v1.2.0"), &head).alarms, Vec::<String>::new());
}

#[test]
fn an_old_signature_is_accepted_and_told_beyond_max_age() {
    let mut world = World::new(TAGS, "");
    let head = world.commit("head", &[], true);
    world.tag("v1.0.0", &head);
    assert_eq!(world.ask(&head, Some("v1.0.0"), &head).alarms, Vec::<String>::new());
    world.now += 31 * 86_400 + 3600;
    let found = world.ask(&head, Some("v1.0.0"), &head);
    assert!(found.blockers.is_empty(), "{found:?}");
    assert_eq!(
        found.alarms,
        [
            "the newest signature (tag v1.0.0) is 31 days old, and `max-age` is 30d: upstream may be frozen, or the mirror stale"
        ]
    );
}

#[test]
fn a_file_of_signers_that_is_missing_stops_an_upgrade_but_no_rollback() {
    let world = World::new(TIP, "");
    let head = world.commit("head", &[], true);
    std::fs::remove_file(world.path("signers")).unwrap();
    let ask = |intent, is_settled| {
        let subject = Subject { revision: &head, label: None, intent, is_settled, bases: [].into(), head: &head };
        assess(&world.install(), &world.repository(), &world.memory, &subject, world.now)
    };
    let error = ask(Intent::Upgrade, false).unwrap_err();
    assert!(error.to_string().contains("cannot be read, so nothing can be verified"), "{error}");
    assert_eq!(ask(Intent::Rollback, false).unwrap().blockers, vec![]);
    assert!(ask(Intent::Upgrade, true).unwrap().alarms[0].contains("nothing can be verified"));
}

#[test]
fn the_floor_is_what_was_proven_by_descent_and_by_version() {
    let world = World::new(TIP, "");
    let first = world.commit("1.0.0", &[], false);
    let second = world.commit("1.1.0", &[&first], false);
    let third = world.commit("1.2.0", &[&second], false);
    let aside = world.commit("aside", &[&first], false);
    let good = |tag: &str, revision: &str, version: &str| KnownGood {
        tag: tag.into(),
        revision: revision.into(),
        versions: [("manager".to_owned(), version.to_owned())].into(),
        run: None,
        env: Default::default(),
        artifacts: Default::default(),
    };
    let known = [good("a", &first, "1.0.0"), good("c", &third, "1.2.0")];
    let repository: Repository = world.repository();
    let lies = |target: &str| lineage(&repository, target, &known);
    let (behind, beside) = (Some("c".to_owned()), Some("c".to_owned()));
    assert_eq!(lies(&third), Lineage::default());
    assert_eq!(lies(&second), Lineage { behind: behind.clone(), beside: beside.clone() });
    assert_eq!(lies(&first), Lineage { behind, beside: beside.clone() });
    assert_eq!(lies(&aside), Lineage { behind: None, beside });
    assert_eq!(lies(&world.commit("next", &[&third], false)), Lineage::default());
    assert!(Oid::from_str(&aside).is_ok());

    let at = |version| below([("manager", version)], &known);
    assert_eq!(at(Some("1.2.0")), None);
    assert_eq!(at(Some("1.10.0")), None);
    assert_eq!(at(Some("not a version")), None);
    assert_eq!(at(None), None);
    assert_eq!(at(Some("1.1.9")).unwrap(), "manager 1.1.9 is below 1.2.0, which was proven here");
}
