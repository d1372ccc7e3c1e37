use std::path::Path;

use super::*;
use crate::manifest::{self, Install};
use crate::survey::SurveyedUnit;

const STARTED: u64 = 1_000_000_000_000;
const LATER: u64 = STARTED + 10;

fn install(needs: &str) -> Install {
    let text = format!(
        "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/a.git\"\nbranch = \"main\"\n\
         [[component]]\nname = \"manager\"\npath = \"manager\"\n[[component.step]]\nname = \"sync\"\nrun = [\"make\"]\nundo = \"pure\"\n\
         [[component.unit]]\nfile = \"one.service\"\n[[component.unit]]\nfile = \"two.service\"\nscope = \"user\"\n{needs}"
    );
    manifest::parse("app", Path::new("app.toml"), &text).unwrap_or_else(|problems| panic!("{}", problems.render(false)))
}

/// Both services run since [`STARTED`].
fn surveyed(install: &Install) -> Surveyed {
    let state = UnitState { active: "active".into(), main_pid: 7, main_started_us: STARTED, ..UnitState::default() };
    let unit = |unit: &manifest::Unit| SurveyedUnit {
        states: vec![(unit.file.file_name().to_owned(), state.clone())],
        ..SurveyedUnit::default()
    };
    Surveyed {
        is_installed: true,
        units: install.components[0].units.iter().map(unit).collect(),
        ..Surveyed::default()
    }
}

fn seen(package: &str, at: u64) -> Seen {
    Seen { packages: [("python3*".to_owned(), (package.to_owned(), at))].into(), ..Seen::default() }
}

const NEEDS: &str =
    "[[component.needs]]\npackages = [\"python3*\"]\npaths = [\"/usr/lib/python3\"]\nsteps = [\"sync\"]\n";

fn judged(needs: &str, seen: &Seen, touched: Option<&Touched>) -> HostChange {
    let install = install(needs);
    judge(&install.components[0], &surveyed(&install), seen, touched)
}

#[test]
fn what_was_started_before_its_package_changed_is_started_anew_and_its_steps_run_again() {
    let change = judged(NEEDS, &seen("python3.11", LATER), None);
    let why = "python3.11 changed since it was started";
    assert_eq!(change.restart(Scope::System, "one.service"), Some(why));
    assert_eq!(change.restart(Scope::User, "two.service"), Some(why));
    assert_eq!(change.restart(Scope::System, "two.service"), None);
    assert_eq!(change.steps, [("sync".to_owned(), "python3.11 changed".to_owned())]);
    assert_eq!(judged(NEEDS, &seen("python3.11", STARTED - 1), None), HostChange::default());
    assert_eq!(
        judged("", &seen("python3.11", LATER), None),
        HostChange::default(),
        "what is not declared is not looked at"
    );
    let without = NEEDS.replace("steps", "restart = false\nsteps");
    let change = judged(&without, &seen("python3.11", LATER), None);
    assert!(change.restarts.is_empty() && change.steps.len() == 1);
}

#[test]
fn what_failed_with_the_old_package_is_tried_with_the_new_one() {
    let install = install(NEEDS);
    let mut failed = surveyed(&install);
    let state = &mut failed.units[0].states[0].1;
    (state.active, state.main_pid) = ("failed".into(), 0);
    let change = judge(&install.components[0], &failed, &seen("python3", LATER), None);
    assert!(change.restart(Scope::System, "one.service").is_some());
    failed.units[0].states[0].1.active = "inactive".into();
    let change = judge(&install.components[0], &failed, &seen("python3", LATER), None);
    assert_eq!(change.restart(Scope::System, "one.service"), None, "it was stopped");
}

#[test]
fn steps_that_ran_since_do_not_run_again() {
    let met = |met_us| Seen { met_us: Some(met_us), ..seen("python3", LATER) };
    assert!(judged(NEEDS, &met(LATER), None).steps.is_empty());
    assert_eq!(judged(NEEDS, &met(LATER - 1), None).steps.len(), 1);
}

#[test]
fn a_service_that_crashed_and_came_back_after_the_change_still_has_its_steps_run() {
    let seen = Seen { met_us: Some(STARTED - 2), ..seen("python3", STARTED - 1) };
    let change = judged(NEEDS, &seen, None);
    assert!(change.restarts.is_empty(), "it runs with the new one");
    assert_eq!(change.steps.len(), 1);
}

#[test]
fn a_path_that_a_hook_tells_of_counts_as_one_that_changed() {
    let told = |path: &str| Touched { since_us: LATER, until_us: LATER, paths: vec![path.into()] };
    let change = |path: &str| judged(NEEDS, &Seen::default(), Some(&told(path)));
    assert_eq!(change("/usr/lib/python3/x.py").restarts.len(), 2);
    assert_eq!(change("/usr/lib/python3").restarts.len(), 2);
    assert!(change("/usr/lib/python3.11/x.py").is_empty());
    assert!(change("/usr/lib").is_empty(), "the directory of a trigger says nothing of what is in it");
}

#[test]
fn what_runs_with_what_was_replaced_is_started_anew_without_being_declared() {
    let mut seen = Seen::default();
    seen.stale.insert((Scope::User, "two.service".into()), "its program was replaced".into());
    let change = judged("", &seen, None);
    assert_eq!(change.noticed, [(Scope::User, "two.service".to_owned(), "its program was replaced".to_owned())]);
    assert!(change.restarts.is_empty());
    assert_eq!(change.words(), ["two.service: its program was replaced"]);
    seen.unit_files.insert((Scope::System, "one.service".into()), "the package x replaced it".into());
    let change = judged("", &seen, None);
    assert_eq!(change.reloads, [(Scope::System, "one.service".to_owned())]);
    assert_eq!(change.restart(Scope::System, "one.service"), Some("the package x replaced it"));
    let install = install("");
    let mut stopped = surveyed(&install);
    stopped.units.iter_mut().for_each(|unit| unit.states[0].1.active = "inactive".into());
    assert!(judge(&install.components[0], &stopped, &seen, None).is_empty());
}
