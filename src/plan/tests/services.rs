//! Which services restart, and why.

use super::*;
use ServiceChange::{LeftAlone, Reload, Restart, Start, Untouched};

/// What happens to the first component's first unit.
fn first(world: &World) -> (ServiceChange, String) {
    let unit = world.plan().components.swap_remove(0).units.swap_remove(0);
    (unit.service, unit.why)
}

fn with(file: &str, more: &str) -> World {
    World::single(&unit(file, more))
}

#[test]
fn only_what_changed_is_restarted() {
    let mut world = World::pair();
    world.offer.components[1].changed.clear();
    let units = |world: &World| -> Vec<_> {
        let components = world.plan().components.into_iter();
        components.map(|component| (component.units[0].service, component.units[0].why.clone())).collect()
    };
    assert_eq!(units(&world), [(Restart, "the component changed".into()), (Untouched, "nothing of it changed".into())]);
    world.offer.components[0].changed.clear();
    world.offer.components[1].examples[0].1 = Some(b"PORT=80\nURL=http://h\n".to_vec());
    assert_eq!(units(&world), [(Untouched, "nothing of it changed".into()), (Restart, ".env changed".into())]);
    assert_eq!(world.plan().restarts().len(), 1);
}

#[test]
fn a_unit_is_restarted_reloaded_or_left_by_what_changed_in_it() {
    let changed = |theirs: &str| {
        let mut world = with("manager.service", "");
        world.offer.components[0].units[0].1 = Some(theirs.into());
        world.offer.components[0].changed = vec!["manager.service".into()];
        world
    };
    for (theirs, service, why) in [
        (UNIT.replace("/bin/app", "/bin/app --new"), Restart, "its unit changed"),
        (format!("{UNIT}# a remark\n"), Untouched, "nothing of it changed"),
        (UNIT.replace("[Service]", "[Unit]\nDescription=App\n[Service]"), Untouched, "nothing of it changed"),
        (UNIT.replace("[Service]", "[Service]\nTimeoutStopSec=5"), Untouched, "a daemon-reload is enough"),
    ] {
        let world = changed(&theirs);
        assert_eq!(first(&world), (service, why.into()), "{theirs}");
        assert_eq!(world.plan().components[0].units[0].file, FileChange::Replaced, "{theirs}");
    }
}

#[test]
fn the_policy_of_a_unit_says_how() {
    for (policy, is_changed, expected) in [
        ("if-changed", true, (Restart, "the component changed")),
        ("if-changed", false, (Untouched, "nothing of it changed")),
        ("never", true, (Untouched, "restart = \"never\"")),
        ("always", true, (Restart, "the component changed")),
        ("always", false, (Restart, "restart = \"always\"")),
        ("reload", true, (Reload, "the component changed")),
        ("reload", false, (Untouched, "nothing of it changed")),
    ] {
        let world = with("manager.service", &format!("restart = \"{policy}\""));
        let world = if is_changed { world } else { world.unchanged() };
        assert_eq!(first(&world), (expected.0, expected.1.to_owned()), "{policy} {is_changed}");
    }
    let mut failed = with("manager.service", "restart = \"reload\"");
    failed.survey.components[0].units[0].states[0].1.active = "failed".into();
    assert_eq!(first(&failed).0, Restart, "what is not up cannot be reloaded");
    let mut edited = with("manager.service", "restart = \"reload\"");
    edited.offer.components[0].units[0].1 = Some(UNIT.replace("/bin/app", "/bin/new"));
    assert_eq!(first(&edited), (Restart, "its unit changed".into()), "a reload does not start a new command");
}

#[test]
fn what_the_operator_stopped_stays_so_and_what_failed_is_tried_again() {
    let state = |change: fn(&mut UnitState)| {
        let mut world = with("manager.service", "");
        change(&mut world.survey.components[0].units[0].states[0].1);
        let gates = world.plan().gates[0].units.len();
        (first(&world), gates)
    };
    let is = |service, why: &str, gates| ((service, why.to_owned()), gates);
    assert_eq!(state(|it| it.file = "masked".into()), is(LeftAlone, "masked", 0));
    assert_eq!(state(|it| it.active = "inactive".into()), is(LeftAlone, "stopped", 0));
    let disabled = |it: &mut UnitState| (it.active, it.file) = ("inactive".into(), "disabled".into());
    assert_eq!(state(disabled), is(LeftAlone, "disabled and stopped", 0));
    let idle = |it: &mut UnitState| (it.active, it.file) = ("inactive".into(), "static".into());
    assert_eq!(state(idle), is(LeftAlone, "not running; something else starts it", 0));
    assert_eq!(state(|it| it.active = "failed".into()), is(Restart, "the component changed", 1));
    assert_eq!(state(|it| it.active = "activating".into()), is(Restart, "the component changed", 1));
    assert_eq!(state(|it| it.file = "disabled".into()), is(Restart, "the component changed", 1));
    assert_eq!(state(|it| it.kind = "oneshot".into()), is(Restart, "the component changed", 0));
}

#[test]
fn a_unit_that_is_new_is_started_unless_something_else_does() {
    let mut world = with("manager.service", "");
    world.survey.components[0].units[0].installed = None;
    world.survey.components[0].units[0].states[0].1 = UnitState::default();
    assert_eq!(first(&world), (Start, "the unit is new here".into()));
    world.offer.components[0].units[0].1 = Some("[Service]\nExecStart=/bin/app\n".into());
    assert_eq!(first(&world).0, LeftAlone);
}

#[test]
fn timers_and_sockets_restart_for_their_own_file_alone() {
    for (file, section) in
        [("manager.timer", "[Timer]\nOnCalendar=daily\n"), ("manager.socket", "[Socket]\nListenStream=80\n")]
    {
        let mut world = with(file, "");
        world.survey.components[0].units[0].installed = Some(Content::new(section.into(), 0o644, 0, 0));
        world.offer.components[0].units[0] = (Some(section.into()), Some(section.into()));
        assert_eq!(first(&world), (Untouched, "nothing of it changed".into()), "{file}");
        let theirs = section.replace("daily", "weekly").replace("80", "81");
        world.offer.components[0].units[0].1 = Some(theirs);
        assert_eq!(first(&world), (Restart, "its unit changed".into()), "{file}");
    }
}

#[test]
fn a_probe_for_a_version_that_no_restart_brings_is_not_asked() {
    let health = "[[component.health]]\nhttp = \"http://127.0.0.1:1/\"\nexpect = { json = { version = \"{version}\" } }\n[[component.health]]\ntcp = \"127.0.0.1:1\"\n";
    let probes = |policy: &str| {
        let plan = World::single(&(unit("manager.service", &format!("restart = \"{policy}\"")) + health)).plan();
        (plan.gates[0].probes, plan.warnings)
    };
    assert_eq!(probes("if-changed"), (2, Vec::new()));
    let (asked, warnings) = probes("never");
    assert_eq!(asked, 1);
    assert_eq!(
        warnings,
        [
            "manager: no service of it is restarted (restart = \"never\"), so that probes which expect {version} are not asked"
        ]
    );
}
