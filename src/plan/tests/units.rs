//! Units that move between scopes, that upstream drops, and in which order all of them stop and start.

use super::*;
use crate::action::{Action, Link};
use crate::manifest::Scope;
use ServiceChange::{LeftAlone, Restart, Start, Stop};

/// A manager whose unit is declared for the user scope, and is installed in the system scope with this text.
fn moving(installed: &str) -> World {
    let declared = "[[component.unit]]\nfile = \"manager.service\"\nscope = \"user\"\n";
    let mut world = World::single(declared);
    world.survey.lingers = Some(false);
    let here = &mut world.survey.components[0].units[0];
    let old = SurveyedUnit { installed: Some(Content::new(installed.into(), 0o644, 0, 0)), ..here.clone() };
    here.installed = None;
    (here.directory, here.file) = ("/home/app".into(), ".config/systemd/user/manager.service".into());
    here.states = vec![("manager.service".into(), UnitState::default())];
    here.elsewhere = Some(Box::new(old));
    world
}

fn services(plan: &Plan) -> Vec<(Scope, ServiceChange, FileChange, String)> {
    let units = plan.components.iter().flat_map(|component| &component.units);
    units.map(|unit| (unit.scope, unit.service, unit.file, unit.why.clone())).collect()
}

#[test]
fn a_unit_of_the_other_scope_is_planned_as_a_move() {
    let plan = moving(UNIT).plan();
    assert_eq!(
        services(&plan),
        [
            (Scope::System, Stop, FileChange::Removed, "it moves to the user scope".into()),
            (Scope::User, Start, FileChange::Installed, "it moves from the system scope".into()),
        ]
    );
    assert_eq!(
        titles(&plan)[2..],
        [
            "stop manager.service",
            "let app linger: its user manager runs without a login",
            "remove manager.service",
            "install manager.service",
            "start manager.service",
        ]
    );
    let Action::Quiesce(quiesce) = &plan.actions[0] else { panic!("{:?}", plan.actions[0]) };
    assert_eq!(quiesce.units.len(), 2, "both are noted: {quiesce:?}");
    assert_eq!(plan.gates[0].leaves, [(Scope::System, "manager.service".into())]);
    assert_eq!(plan.gates[0].units, [(Scope::User, "manager.service".into())]);
    let mut lingers = moving(UNIT);
    lingers.survey.lingers = Some(true);
    assert!(!titles(&lingers.plan()).iter().any(|title| title.contains("linger")));
}

#[test]
fn a_moved_unit_is_in_its_new_scope_what_it_was_in_the_old_one() {
    let of = |change: fn(&mut UnitState)| {
        let mut world = moving(UNIT);
        let old = world.survey.components[0].units[0].elsewhere.as_mut().unwrap();
        change(&mut old.states[0].1);
        let plan = world.plan();
        let enabled = plan.actions.iter().find_map(|action| match action {
            Action::Units(units) if units.scope == Scope::User => Some(units.enable.len()),
            _ => None,
        });
        let (_, service, _, why) = services(&plan).pop().unwrap();
        (service, why, enabled)
    };
    let stopped = of(|it| it.active = "inactive".into());
    assert_eq!(stopped, (LeftAlone, "it moves from the system scope, where it was stopped".into(), Some(1)));
    let disabled = of(|it| (it.active, it.file) = ("inactive".into(), "disabled".into()));
    assert_eq!(
        disabled,
        (LeftAlone, "it moves from the system scope, where it was disabled and stopped".into(), Some(0))
    );
    assert_eq!(of(|it| it.file = "disabled".into()), (Start, "it moves from the system scope".into(), Some(0)));
    assert_eq!(of(|it| it.file = "masked".into()), (LeftAlone, "masked in the system scope".into(), None));
}

#[test]
fn edits_move_along_and_a_conflict_stops_the_move() {
    let world = moving(&UNIT.replace("[Service]\n", "[Service]\nNice=3\n"));
    let (plan, contents) = build(&world.install, &world.survey, &world.offer, &world.request).unwrap();
    let swap = plan.actions.iter().find_map(|action| match action {
        Action::Units(units) => units.files.iter().find(|swap| swap.path.ends_with("manager.service.d/50-local.conf")),
        _ => None,
    });
    let local = contents.bytes(swap.unwrap().after.as_ref().unwrap()).unwrap();
    assert!(String::from_utf8_lossy(local).ends_with("[Service]\nNice=3\n"));
    assert_eq!(swap.unwrap().after.as_ref().unwrap().uid, world.survey.owner_ids.0);

    let mut world = moving(&UNIT.replace("/bin/app", "/bin/mine"));
    world.offer.components[0].units[0].1 = Some(UNIT.replace("/bin/app", "/bin/theirs"));
    let error = build(&world.install, &world.survey, &world.offer, &world.request).unwrap_err();
    assert!(error.to_string().contains("manager.service cannot be merged"), "{error}");
}

#[test]
fn what_upstream_drops_goes_unless_nothing_would_be_left() {
    let mut world = World::single(&(unit("manager.service", "") + &unit("extra.service", "")));
    world.offer.components[0].units[1].1 = None;
    let plan = world.plan();
    let extra = &plan.components[0].units[1];
    assert_eq!(
        (extra.file, extra.service, extra.why.as_str()),
        (FileChange::Removed, Stop, "the release no longer has it")
    );
    assert!(titles(&plan).iter().any(|title| title == "stop extra.service"), "{:?}", titles(&plan));

    let mut gone = World::single(&(unit("manager.service", "") + &unit("extra.service", "")));
    gone.offer.components[0].units[1] = (None, None);
    gone.survey.components[0].units[1].installed = None;
    gone.survey.components[0].units[1].states[0].1 = UnitState { load: "not-found".into(), ..UnitState::default() };
    let extra = gone.plan().components[0].units[1].clone();
    assert_eq!((extra.service, extra.why.as_str()), (LeftAlone, "not installed, and the release does not have it"));

    for base in [None, Some(UNIT.to_owned())] {
        let mut only = World::single(&unit("manager.service", ""));
        only.offer.components[0].units[0] = (base, None);
        let error = build(&only.install, &only.survey, &only.offer, &only.request).unwrap_err();
        assert!(error.to_string().contains("the release has no file manager/manager.service"), "{error}");
    }
}

#[test]
fn enabling_again_knows_the_links_of_the_operators_own() {
    let link = |path: &str| Link { path: format!("./{path}").into(), to: "/etc/systemd/system/manager.service".into() };
    let of_install = link("multi-user.target.wants/manager.service");
    let own = link("graphical.target.wants/manager.service");
    let planned = |links: Vec<Link>| {
        let mut world = World::single(&unit("manager.service", ""));
        world.survey.components[0].units[0].links = links;
        world.offer.components[0].units[0].1 = Some(UNIT.replace("multi-user", "timers"));
        let units = world.plan().actions.into_iter().find_map(|action| match action {
            Action::Units(units) => Some((units.reenable, units.keep)),
            _ => None,
        });
        units.unwrap()
    };
    assert_eq!(planned(vec![own.clone(), of_install]), (vec!["manager.service".into()], vec![own.clone()]));
    assert_eq!(planned(vec![own]), (vec![], vec![]), "not enabled by its [Install]");
}

#[test]
fn a_socket_that_is_opened_anew_has_its_service_stopped_before_and_started_after() {
    let mut world = World::single(&(unit("manager.service", "") + &unit("manager.socket", "")));
    let socket = |port: u16| format!("[Socket]\nListenStream={port}\n[Install]\nWantedBy=sockets.target\n");
    world.survey.components[0].units[1].installed = Some(Content::new(socket(80).into(), 0o644, 0, 0));
    world.offer.components[0].units[1] = (Some(socket(80)), Some(socket(81)));
    world.offer.components[0].changed = vec!["manager.socket".into()];
    let plan = world.plan();
    assert_eq!(
        titles(&plan)[2..],
        [
            "stop manager.socket",
            "stop manager.service",
            "install manager.socket",
            "start manager.socket",
            "start manager.service",
        ]
    );
    let manager = &plan.components[0].units[0];
    assert_eq!((manager.service, manager.why.as_str()), (Restart, "manager.socket is opened"));
    let Action::Quiesce(quiesce) = &plan.actions[0] else { panic!("{:?}", plan.actions[0]) };
    assert_eq!(quiesce.units[0].1, "manager.socket", "opened first when the run is undone");
}
