//! What versions, policy and irreversible steps refuse.

use super::*;
use crate::manifest::{Reach, Source};
use crate::trust::{Lineage, Standing};

fn lockstep() -> World {
    let mut world = World::pair();
    world.install.lockstep = vec![vec!["manager".into(), "runner".into()]];
    world
}

#[test]
fn components_in_lockstep_agree_or_the_plan_names_both_versions() {
    for (versions, only, apart) in [
        ([("1.0.0", "1.1.0"), ("1.0.0", "1.1.5")], "", None),
        ([("1.0.0", "1.1.0"), ("1.0.0", "1.2.0")], "", Some("manager 1.1.0 and runner 1.2.0")),
        ([("1.0.0", "1.1.0"), ("1.0.0", "1.1.0")], "manager", Some("manager 1.1.0 and runner 1.0.0")),
        ([("1.0.0", "1.1.0"), ("1.0.0", "1.1.0")], "runner", Some("manager 1.0.0 and runner 1.1.0")),
        ([("1.0.0", "1.0.1"), ("1.0.0", "1.0.2")], "runner", None),
        ([("1.0.0", "1.1.0"), ("1.0.0", "unreleased")], "", None),
    ] {
        let mut world = lockstep().versions(&versions);
        world.request.only = Some(only.to_owned()).filter(|only| !only.is_empty()).into_iter().collect();
        let expected = apart.map(|pair| format!("{pair} would run side by side, and must share MAJOR.MINOR"));
        assert_eq!(world.blockers(), expected.into_iter().collect::<Vec<_>>(), "{versions:?} {only}");
    }
}

#[test]
fn a_component_that_is_not_installed_here_breaks_no_lockstep() {
    let mut world = lockstep().versions(&[("1.0.0", "1.1.0"), ("1.0.0", "1.2.0")]);
    world.survey.components[1].is_installed = false;
    world.survey.components[1].units.clear();
    world.offer.components.pop();
    assert_eq!(world.blockers(), Vec::<String>::new());
    assert_eq!(world.plan().components.len(), 1);
}

#[test]
fn a_major_step_and_what_leaves_the_range_want_a_named_target() {
    for (from, to, range, is_explicit, refused) in [
        ("1.0.0", "2.0.0", None, false, Some("manager 1.0.0 -> 2.0.0 is a major step, which has its own guide")),
        ("1.0.0", "2.0.0", None, true, None),
        // As packages often have it.
        ("1.2", "2.0", None, false, Some("manager 1.2 -> 2.0 is a major step, which has its own guide")),
        ("1.2", "1.3", None, false, None),
        ("1.9.0", "1.10.0", None, false, None),
        (
            "1.0.0",
            "1.8.0",
            Some("~1.7"),
            false,
            Some("manager 1.0.0 -> 1.8.0 leaves the range ~1.7 that the manifest allows"),
        ),
        ("1.0.0", "1.8.0", Some("~1.7"), true, None),
        ("1.0.0", "1.7.3", Some("~1.7"), false, None),
    ] {
        let mut world = World::single("").versions(&[(from, to)]);
        let Source::Git(source) = &mut world.install.source else { unreachable!() };
        source.allow = range.map(|range| range.parse().unwrap());
        world.request.is_explicit = is_explicit;
        let expected: Vec<&str> = refused.into_iter().collect();
        assert_eq!(world.blockers(), expected, "{from} {to} {range:?} {is_explicit}");
        assert!(world.plan().blockers.iter().all(|blocker| blocker.refused));
    }
}

#[test]
fn a_run_by_itself_goes_no_further_than_the_policy() {
    use Reach::{Major, Minor, None, Patch};
    for (to, least) in [("1.0.1", Patch), ("1.1.0", Minor), ("2.0.0", Major), ("1.0.0", Patch)] {
        for policy in [None, Patch, Minor, Major] {
            let mut world = World::single("").versions(&[("1.0.0", to)]);
            world.install.policy.unattended = policy;
            world.request.unattended = true;
            let blockers = world.blockers();
            let is_refused = blockers.iter().any(|what| what.contains("more than an unattended run may do"));
            assert_eq!(is_refused, policy < least, "{to} under {policy:?}: {blockers:?}");
            world.request.unattended = false;
            assert!(!world.blockers().iter().any(|what| what.contains("unattended")));
        }
    }
    let mut world = World::single("").unchanged();
    world.install.policy.unattended = None;
    world.request.unattended = true;
    assert_eq!(world.blockers(), Vec::<String>::new(), "nothing moves");
}

#[test]
fn a_run_by_itself_takes_no_step_that_it_cannot_measure_and_none_back() {
    use Reach::{Major, Minor, Patch};
    let (none, unreadable) = ("", "next");
    for (from, to, least) in [
        // Precedence is that of semver: 1.10 is above 1.9, and what is behind a `+` is not compared.
        ("1.9.0", "1.10.0", Some(Minor)),
        ("1.0.0+b", "1.0.0+a", Some(Patch)),
        // A pre-release is taken where one is installed already; to leave it is a step like any other.
        ("1.0.0", "1.0.1-rc.1", None),
        ("1.1.0-rc.1", "1.1.0-rc.2", Some(Patch)),
        ("1.1.0-rc.2", "1.1.0", Some(Patch)),
        ("1.1.0-rc.2", "1.2.0-rc.1", Some(Minor)),
        ("1.1.0", "1.1.0-rc.1", None),
        ("1.1.0", "1.0.9", None),
        ("2.0.0", "1.9.0", None),
        // What cannot be read may be anything.
        ("1.0.0", unreadable, Some(Major)),
        (unreadable, "1.0.0", Some(Major)),
        ("1.0.0", none, Some(Major)),
        (none, "1.0.0", Some(Major)),
        (unreadable, unreadable, Some(Patch)),
        (none, none, Some(Patch)),
    ] {
        for policy in [Patch, Minor, Major] {
            let mut world = World::single("").versions(&[(from, to)]);
            let version = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            world.offer.components[0].from_version = version(from);
            world.offer.components[0].to_version = version(to);
            (world.install.policy.unattended, world.install.policy.allow_unverified) = (policy, true);
            (world.request.unattended, world.request.is_explicit) = (true, true);
            let blockers = world.blockers();
            let may = least.is_some_and(|least| least <= policy);
            assert_eq!(blockers.is_empty(), may, "{from} -> {to} under {policy:?}: {blockers:?}");
        }
    }
}

#[test]
fn of_several_components_the_one_that_goes_furthest_counts() {
    use Reach::{Major, Minor, Patch};
    for policy in [Patch, Minor, Major] {
        let mut world = World::pair().versions(&[("1.0.0", "1.0.1"), ("1.0.0", "1.1.0")]);
        (world.install.policy.unattended, world.install.policy.allow_unverified) = (policy, true);
        let foreseen = by_itself(&world.install, &world.plan());
        world.request.unattended = true;
        let blockers = world.blockers();
        assert_eq!(blockers.is_empty(), policy >= Minor, "{policy:?}: {blockers:?}");
        assert!(blockers.iter().all(|what| what.starts_with("runner 1.0.0 -> 1.1.0 is more than")), "{blockers:?}");
        // A plan that somebody looks at foretells the same.
        assert_eq!(foreseen.into_iter().map(|blocker| blocker.what).collect::<Vec<_>>(), blockers, "{policy:?}");
    }
}

#[test]
fn an_irreversible_step_wants_the_flag_and_somebody_who_gives_it() {
    for (allowed, unattended, stops) in [(false, false, true), (true, false, false), (true, true, true)] {
        let mut world = World::single(&step("migrate", ""));
        world.install.backup = Some(super::backup::declared(manifest::BackupWhen::Prepare));
        world.install.policy.unattended = Reach::Major;
        world.request.allow_irreversible = allowed;
        world.request.unattended = unattended;
        let expected: &[&str] = if stops { &["nothing undoes this step: migrate"] } else { &[] };
        assert_eq!(world.blockers(), expected, "{allowed} {unattended}");
    }
    let world = World::single(&step("migrate", "when = { changed = [\"migrations\"] }"));
    assert_eq!(world.blockers(), Vec::<String>::new(), "it does not run");
}

#[test]
fn packages_that_nothing_puts_back_are_told_whether_or_not_that_is_allowed() {
    let package = |version: &str| crate::source::packages::Package {
        name: "app".into(),
        version: version.into(),
        arch: "all".into(),
    };
    let change =
        crate::source::packages::Change { name: "app".into(), from: Some(package("1.0-1")), to: package("1.1-1") };
    let mut world = World::pair();
    world.offer.changes.push(crate::action::Action::Packages(crate::action::Packages {
        manager: manifest::PackageManager::Apt,
        label: "app 1.1-1".into(),
        back: "app 1.0-1".into(),
        changes: vec![change],
        automatic: Vec::new(),
        without: vec!["app 1.0-1".into()],
        conffiles: Vec::new(),
        keep: Vec::new(),
        store: "/var/lib/relift/app/packages".into(),
        config: "/var/cache/relift/app/apt/apt.conf".into(),
        timeout: 1,
        lock_timeout: 1,
    }));
    assert!(
        world
            .blockers()
            .iter()
            .any(|said| said.starts_with("this cannot be undone: the repository has no longer app 1.0-1"))
    );
    world.request.allow_irreversible = true;
    let plan = world.plan();
    assert!(!plan.blockers.iter().any(|blocker| blocker.what.contains("cannot be undone")), "{:?}", plan.blockers);
    assert_eq!(plan.without_way_back(), ["app 1.0-1"]);
    assert_eq!(crate::cli::describe::document(&plan)["reversible"], false);
}

#[test]
fn what_only_a_run_by_itself_is_refused_for_is_foretold_to_whoever_looks_at_the_plan() {
    let mut world = World::single(&step("migrate", "")).versions(&[("1.0.0", "1.1.0")]);
    world.install.backup = Some(super::backup::declared(manifest::BackupWhen::Prepare));
    (world.install.policy.unattended, world.install.policy.allow_unverified) = (Reach::Patch, false);
    (world.offer.standing, world.request.allow_irreversible) = (Standing::Unverified, true);
    let foreseen: Vec<String> =
        by_itself(&world.install, &world.plan()).into_iter().map(|blocker| blocker.what).collect();
    assert!(world.blockers().is_empty());
    world.request.unattended = true;
    let (mut foreseen, mut refused) = (foreseen, world.blockers());
    foreseen.sort();
    refused.sort();
    assert_eq!((foreseen.len(), &foreseen), (3, &refused));
}

#[test]
fn an_upgrade_never_goes_back() {
    let mut world = World::single("");
    world.offer.direction = Direction::Back;
    assert_eq!(world.blockers(), ["bbbbbbbbbb is older than what is installed: that is a step back"]);
    world.request.intent = Intent::Rollback;
    assert_eq!(world.blockers(), Vec::<String>::new());
}

#[test]
fn nobody_being_asked_what_nothing_vouches_for_is_refused_unless_the_policy_allows_it() {
    let mut world = World::pair();
    world.install.policy.unattended = Reach::Minor;
    let unverified = "releases of this source are not verified, and nobody is asked in an unattended run";
    for (unattended, allowed, standing, expected) in [
        (true, false, Standing::Unverified, vec![unverified]),
        (true, true, Standing::Unverified, vec![]),
        (false, false, Standing::Unverified, vec![]),
        (true, false, Standing::Verified { by: "upstream".into() }, vec![]),
        (true, false, Standing::Pinned { by: "root".into() }, vec![]),
    ] {
        (world.request.unattended, world.install.policy.allow_unverified) = (unattended, allowed);
        world.offer.standing = standing;
        assert_eq!(world.blockers(), expected, "{unattended} {allowed} {:?}", world.offer.standing);
    }
}

#[test]
fn below_the_floor_goes_nobody_by_itself_and_an_operator_who_names_it() {
    let mut world = World::pair();
    world.install.policy.unattended = Reach::Minor;
    let step = |why: &str| format!("bbbbbbbbbb is a step back: {why}");
    let behind = step("known-good/1, which was proven here, came after it");
    let beside = step("it does not descend from known-good/2, the last known-good release");
    world.offer.lineage = Lineage { behind: Some("known-good/1".into()), beside: Some("known-good/2".into()) };
    // (nobody is asked, the target was named, what is said)
    for (unattended, named, expected) in
        [(true, true, vec![behind.as_str()]), (false, false, vec![behind.as_str()]), (false, true, vec![])]
    {
        (world.request.unattended, world.request.is_explicit) = (unattended, named);
        assert_eq!(world.blockers(), expected, "{unattended} {named}");
    }
    assert!(world.plan().warnings.contains(&behind), "an operator is told");
    let target = std::mem::replace(&mut world.offer.to.revision, "a".repeat(40));
    assert!(world.blockers().is_empty(), "what runs already is no step");
    world.offer.to.revision = target;
    world.offer.lineage.behind = None;
    for (unattended, expected) in [(true, vec![beside.as_str()]), (false, vec![])] {
        (world.request.unattended, world.request.is_explicit) = (unattended, false);
        assert_eq!(world.blockers(), expected, "{unattended}");
    }
    // By version, beside the line of what is installed: not even by name.
    world.offer.lineage = Lineage::default();
    world.survey.known_good = vec![known_good("9.0.0", &"c".repeat(40))];
    world.offer.direction = Direction::Diverged;
    (world.request.unattended, world.request.is_explicit) = (false, true);
    assert_eq!(world.blockers(), [step("manager 1.1.0 is below 9.0.0, which was proven here")]);
}

#[test]
fn a_step_back_to_what_was_never_here_is_an_operators_who_names_it_and_asks_for_it() {
    let mut world = World::pair();
    world.install.policy.unattended = Reach::Major;
    world.offer.direction = Direction::Back;
    let refused = ["bbbbbbbbbb is older than what is installed: that is a step back"];
    // (asked for, named, nobody is asked, allowed)
    for (asked, named, unattended, allowed) in
        [(true, true, false, true), (false, true, false, false), (true, false, false, false), (true, true, true, false)]
    {
        let request = &mut world.request;
        (request.allow_downgrades, request.is_explicit, request.unattended) = (asked, named, unattended);
        assert_eq!(world.plan().is_downgrade, allowed);
        match allowed {
            true => assert_eq!(world.blockers(), Vec::<String>::new()),
            false => assert_eq!(world.blockers()[0], refused[0], "{asked} {named} {unattended}"),
        }
    }
    let request = &mut world.request;
    (request.allow_downgrades, request.is_explicit, request.unattended) = (true, true, false);
    world.offer.lineage.behind = Some("known-good/1".into());
    let told = |world: &World, words: &str| {
        let warnings = world.plan().warnings;
        assert!(warnings.iter().any(|warning| warning.contains(words)), "{words}: {warnings:?}");
    };
    told(
        &world,
        "a step back that was asked for (--allow-downgrades): it is older than what is installed and than known-good/1",
    );
    told(&world, "data stays as newer releases left it");
    told(&world, "no backup is declared, and none is taken");
    world.survey.known_good = vec![known_good("9.0.0", &"c".repeat(40)), known_good("1.1.0", &world.offer.to.revision)];
    told(&world, "manager 1.1.0 is below 9.0.0, which was proven here: it goes below the floor");
    told(&world, "relift rollback app --to known-good/1.1.0 brings back");
    // Beside the line of what is installed it is a step back by its version.
    world.offer.direction = Direction::Diverged;
    assert!(world.plan().is_downgrade && world.blockers().is_empty());
    world.offer.direction = Direction::Forward;
    assert!(!world.plan().is_downgrade, "forward is an upgrade, whatever is allowed");
}

/// A release that was proven here.
fn known_good(version: &str, revision: &str) -> crate::ledger::KnownGood {
    crate::ledger::KnownGood {
        tag: format!("known-good/{version}"),
        revision: revision.into(),
        versions: [("manager".to_owned(), version.to_owned())].into(),
        run: None,
        env: Default::default(),
        artifacts: Default::default(),
    }
}
