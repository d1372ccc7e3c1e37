//! The backup in a plan: where it stands, what is stopped for it, and which steps want one.

use super::*;
use crate::action::{Action, Backup};
use crate::backup::{Measured, Outlook, Scope as Data};
use crate::manifest::BackupWhen;

/// `[backup]` of `manager/data`, taken at `when`.
pub(super) fn declared(when: BackupWhen) -> manifest::Backup {
    let path = manifest::RelPath::parse("manager/data").unwrap();
    manifest::Backup { paths: vec![path], sqlite: vec![], volumes: vec![], keep: 3, when, directory: None }
}

/// The install backs that up, and there is something.
fn backed_up(mut world: World, when: BackupWhen) -> World {
    world.install.backup = Some(declared(when));
    world.survey.backup = Some(Outlook {
        scope: Data { paths: vec!["manager/data".into()], databases: vec![], volumes: vec![] },
        store: "/var/lib/relift/app/backups".into(),
        cache: "/var/cache/relift/app".into(),
        measured: Measured { bytes: 4096, files: 1, largest_database: 0 },
        of_runs: vec![("RUN1".into(), "RUN1".into())],
    });
    world
}

fn pair(steps: &str, when: BackupWhen) -> World {
    let body = |name: &str| component(name, &format!("{steps}{}", unit(&format!("{name}.service"), "")));
    let table = "[backup]\npaths = [\"manager/data\"]\n".to_owned();
    let [manager, runner] = ["manager", "runner"].map(body);
    backed_up(World::new(&[manager, runner, table]), when)
}

fn backup(plan: &Plan) -> (usize, &Backup) {
    let found = plan.actions.iter().enumerate().find_map(|(at, action)| match action {
        Action::Backup(backup) => Some((at, backup)),
        _ => None,
    });
    found.expect("the plan has a backup")
}

#[test]
fn a_backup_stands_before_the_tree_and_knows_the_steps_that_it_undoes() {
    let steps = step("sync", "undo = \"rerun\"") + &step("migrate", "undo = \"restore-backup\"");
    let plan = pair(&steps, BackupWhen::Prepare).plan();
    let (at, found) = backup(&plan);
    let place = |wanted: fn(&Action) -> bool| plan.actions.iter().position(wanted).unwrap();
    let rerun = plan.actions.iter().rposition(|action| matches!(action, Action::Rerun(_))).unwrap();
    // Undone backwards: the tree, the data, what runs again in the old tree with it, and what ran before.
    assert!(place(|action| matches!(action, Action::Quiesce(_))) < rerun && rerun < at);
    assert_eq!(at + 1, place(|action| matches!(action, Action::Tree(_))));
    let undone: Vec<String> = found.of.iter().map(|step| plan.actions[*step].act().title()).collect();
    assert_eq!(undone, ["manager: migrate", "runner: migrate"]);
    assert_eq!(found.units.len(), 2);
    assert!(plan.blockers.is_empty() && plan.irreversible().is_empty());
    assert!(!titles(&plan).iter().any(|title| title.starts_with("stop ")), "nothing is stopped while it is taken");
}

#[test]
fn for_a_quiesced_backup_whatever_runs_is_stopped_first_and_started_again_last() {
    let mut world = pair("", BackupWhen::Quiesced);
    world.request.only = Vec::new();
    world.offer.components[1].changed.clear();
    let plan = world.plan();
    assert_eq!(
        titles(&plan)[1..],
        [
            "stop manager.service",
            "stop runner.service",
            "back up manager/data",
            "switch the tree to bbbbbbbbbb",
            "restart manager.service",
            "restart runner.service",
        ]
    );
    assert_eq!(plan.components[1].units[0].why, "it is stopped for the backup");
    assert_eq!(plan.gates[1].units.len(), 1, "what was stopped is proven again");
}

#[test]
fn timers_stop_before_their_services_and_what_is_not_up_is_not_stopped() {
    let units = unit("a.service", "")
        + &unit("a.timer", "")
        + &unit("off.service", "")
        + &unit("kept.service", "restart = \"never\"");
    let mut world = backed_up(World::single(&units), BackupWhen::Quiesced);
    let off = &mut world.survey.components[0].units[2].states[0].1;
    (off.active, off.sub) = ("inactive".into(), "dead".into());
    let plan = world.plan();
    let stops: Vec<String> = titles(&plan).into_iter().filter(|title| title.starts_with("stop ")).collect();
    assert_eq!(stops, ["stop a.timer", "stop a.service"]);
    let starts: Vec<String> = titles(&plan).into_iter().filter(|title| title.starts_with("restart ")).collect();
    // A timer starts before what it triggers, systemd.timer(5).
    assert_eq!(starts, ["restart a.timer", "restart a.service"]);
    assert_eq!(plan.warnings, ["restart = \"never\": kept.service goes on while the backup is taken"]);
}

#[test]
fn nothing_to_do_is_nothing_to_back_up_and_a_rollback_leaves_data_alone() {
    for when in [BackupWhen::Prepare, BackupWhen::Quiesced] {
        assert!(pair("", when).unchanged().plan().is_empty());
    }
    let mut world = pair(&step("migrate", "undo = \"restore-backup\""), BackupWhen::Quiesced);
    world.request.intent = Intent::Rollback;
    world.offer.direction = Direction::Back;
    let plan = world.plan();
    assert!(!plan.actions.iter().any(|action| matches!(action, Action::Backup(_) | Action::Step(_))), "{plan:?}");
    assert_eq!(plan.components[0].steps[0].why, "what it did to the data stays: a rollback puts no backup back");
    assert_eq!(plan.warnings, ["data stays as it is; what backups there are: relift backup list app"]);
    world.survey.known_good = vec![crate::ledger::KnownGood {
        tag: "known-good/x".into(),
        revision: "a".repeat(40),
        versions: Default::default(),
        run: Some("RUN1".into()),
        env: Default::default(),
        artifacts: Default::default(),
    }];
    assert_eq!(
        world.plan().warnings,
        ["data stays as it is; the backup from before this release: relift backup restore app RUN1"]
    );
}

#[test]
fn a_step_that_nothing_undoes_comes_last_and_wants_a_backup() {
    let body = step("migrate", "") + &step("after", "undo = \"pure\"");
    let mut world = World::single(&(body.clone() + &unit("manager.service", "")));
    world.request.allow_irreversible = true;
    assert_eq!(world.blockers(), ["nothing undoes this step, and no backup is declared: migrate"]);
    assert!(world.plan().blockers[0].refused);
    let mut world = backed_up(world, BackupWhen::Prepare);
    assert_eq!(world.blockers(), Vec::<String>::new());
    assert_eq!(titles(&world.plan())[3..], ["manager: migrate", "manager: after", "restart manager.service"]);
    world.request.unattended = true;
    world.install.policy.unattended = manifest::Reach::Major;
    assert_eq!(world.blockers(), ["nothing undoes this step: migrate"], "whatever a timer passes");
}
