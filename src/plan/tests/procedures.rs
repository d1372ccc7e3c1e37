//! Where hooks and migrations stand, which run, and what they refuse.

use super::*;
use crate::action::Action;
use crate::ledger::MigrationRan;
use crate::manifest::HookPlace;

fn hook(at: &str, more: &str) -> String {
    format!("[[hook]]\nat = \"{at}\"\nrun = [\"bin/{at}\"]\n{more}\n")
}

fn undone(by: &str) -> String {
    format!("undo = {{ run = [\"bin/{by}\"] }}\n")
}

fn migration(version: &str, more: &str) -> String {
    format!("[[migration]]\nversion = \"{version}\"\nrun = [\"bin/{version}\"]\n{more}\n")
}

/// A manager with a service and a step, and what is declared beside it.
fn world(more: &str) -> World {
    let step = step("sync", "undo = \"pure\"");
    let check = "[[component.check]]\nrun = [\"look\"]\nat = \"switched\"\n";
    World::new(&[component("manager", &format!("{step}{check}{}", unit("manager.service", ""))), more.to_owned()])
}

fn every_place() -> String {
    [
        hook("verify", ""),
        hook("resume", ""),
        hook("migrate", &undone("unmigrate")),
        hook("quiesce", &undone("resume")),
        hook("drain", &undone("undrain")),
        hook("preflight", ""),
    ]
    .concat()
}

#[test]
fn hooks_stand_at_their_places_whatever_their_order_in_the_manifest() {
    let plan = world(&(every_place() + &migration("1.1.0", "undo = \"pure\""))).plan();
    assert_eq!(
        titles(&plan),
        [
            "drain",
            "quiesce",
            "note what runs",
            "switch the tree to bbbbbbbbbb",
            "manager: sync",
            "manager: migration 1.1.0",
            "migrate",
            "manager: check",
            "restart manager.service",
            "resume",
        ]
    );
    assert_eq!((plan.preflight[0].name.as_str(), plan.verify[0].name.as_str()), ("preflight", "verify"));
    let places: Vec<Option<HookPlace>> = plan.procedures.iter().map(|one| one.place).collect();
    use HookPlace::*;
    assert_eq!(places, [Some(Preflight), Some(Drain), Some(Quiesce), None, Some(Migrate), Some(Resume), Some(Verify)]);
    let Action::Step(drain) = &plan.actions[0] else { panic!() };
    assert_eq!(drain.with.env[0], ("RELIFT_OLD_VERSION".to_owned(), "1.0.0".to_owned()));
    assert_eq!(drain.with.env[3], ("RELIFT_NEW_REVISION".to_owned(), "b".repeat(40)));
}

#[test]
fn nothing_runs_where_nothing_changes_and_a_path_that_is_named_must() {
    assert!(world(&every_place()).unchanged().plan().is_empty());
    let when = |path: &str| hook("drain", &format!("{}when = {{ changed = [\"{path}\"] }}", undone("undrain")));
    let runs = |world: &World| world.plan().procedures[0].runs;
    let mut world = self::world(&when("manager/db"));
    world.offer.components[0].changed = vec!["db/schema.sql".into()];
    assert!(runs(&world), "paths are relative to the root where no component is named");
    world.offer.components[0].changed = vec!["dbx".into()];
    assert!(!runs(&world));
    let mut world = self::world(&format!("{}component = \"manager\"\n", when("db")));
    world.offer.components[0].changed = vec!["db/schema.sql".into()];
    assert!(runs(&world));
}

#[test]
fn from_what_nothing_undoes_on_migrations_come_after_everything_but_restarts() {
    let declared = [
        migration("1.0.1", "undo = \"pure\""),
        migration("1.0.2", ""),
        migration("1.1.0", "undo = \"pure\""),
        hook("migrate", "undo = \"pure\""),
    ];
    let mut world = world(&declared.concat());
    world.offer.components[0].units[0].1 = Some(UNIT.replace("/bin/app", "/bin/new"));
    let plan = world.plan();
    let late = ["manager: migration 1.0.2", "manager: migration 1.1.0", "migrate", "restart manager.service"];
    assert_eq!(titles(&plan)[titles(&plan).len() - 4..], late);
    assert_eq!(titles(&plan)[3], "manager: migration 1.0.1");
    assert_eq!(plan.irreversible(), ["migration 1.0.2"]);
    assert!(plan.blockers.iter().any(|blocker| blocker.what.contains("no backup is declared: migration 1.0.2")));
}

#[test]
fn what_root_runs_before_the_switch_is_code_of_the_release_that_is_left() {
    let declared = [
        hook("drain", &format!("as = \"root\"\n{}", undone("undrain"))),
        hook("preflight", "as = \"root\""),
        hook("verify", "as = \"root\""),
    ];
    let said = world(&declared.concat()).blockers();
    // The present release is vouched for by nobody, the target by upstream.
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("aaaaaaaaaa") && said[0].contains("preflight") && said[0].contains("drain"), "{said:?}");
    assert!(!said[0].contains("verify"), "{said:?}");
}

fn ran(version: &str) -> MigrationRan {
    MigrationRan { component: "manager".into(), version: version.parse().unwrap(), run: "run".into() }
}

#[test]
fn a_rollback_takes_back_what_ran_here_in_the_tree_of_the_newer_release() {
    let declared = migration("1.0.1", &undone("un101"))
        + &migration("1.0.2", "undo = \"pure\"")
        + &migration("1.1.0", &undone("un110"))
        + &migration("1.0.3", &undone("un103"));
    let mut world = world(&declared).versions(&[("1.1.0", "1.0.0")]);
    world.request.intent = Intent::Rollback;
    world.survey.migrations = ["1.0.1", "1.0.2", "1.1.0"].map(ran).into();
    let plan = world.plan();
    let before_tree: Vec<String> = titles(&plan).into_iter().take_while(|title| !title.contains("the tree")).collect();
    assert_eq!(before_tree, ["note what runs", "manager: migration 1.1.0", "manager: migration 1.0.1"]);
    let Action::Step(back) = &plan.actions[1] else { panic!() };
    assert_eq!(back.run, ["bin/un110"]);
    assert_eq!(back.undo, crate::manifest::StepUndo::Run(vec!["bin/1.1.0".into()]));
    assert!(back.with.migration.as_ref().unwrap().is_back);
    let stays = plan.procedures.iter().find(|one| one.name == "migration 1.0.2").unwrap();
    assert!(!stays.runs && stays.why.contains("does not run again"));
}

#[test]
fn a_change_of_the_first_number_needs_its_guide_where_migrations_are_declared() {
    let said = |declared: &str, is_explicit: bool| {
        let mut world = world(declared).versions(&[("1.9.0", "2.0.0")]);
        world.request.is_explicit = is_explicit;
        world.blockers()
    };
    assert_eq!(said("", true), Vec::<String>::new());
    assert_eq!(said(&migration("2.0.0", "undo = \"pure\""), true), Vec::<String>::new());
    assert_eq!(said(&migration("1.9.5", "undo = \"pure\"\ncovers = \"2\""), true), Vec::<String>::new());
    assert_eq!(
        said(&migration("1.9.5", "undo = \"pure\""), true),
        ["manager 1.9.0 -> 2.0.0 is a change of the first number, and no [[migration]] is a guide to 2"]
    );
    assert_eq!(said(&migration("2.0.0", "undo = \"pure\""), false).len(), 1, "--to is asked for as well");
}

#[test]
fn a_version_that_cannot_be_read_is_said_where_migrations_depend_on_it() {
    let world = world(&migration("1.0.1", "undo = \"pure\"")).versions(&[("1.0.0", "2026-11")]);
    let said = world.blockers();
    assert!(said.iter().any(|said| said.contains("its version \"2026-11\" cannot be read")), "{said:?}");
}
