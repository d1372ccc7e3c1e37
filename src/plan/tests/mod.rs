//! The plan from values: an install with two components, what is here of it, and what a target offers.

mod backup;
mod order;
mod procedures;
mod reconfigure;
mod releases;
mod rollback;
mod root;
mod services;
mod steps;
mod units;
mod versions;

use std::path::{Path, PathBuf};

use super::*;
use crate::host::fs::Content;
use crate::host::systemd::UnitState;
use crate::ledger::Activation;
use crate::manifest::{self, Install};
use crate::source::{ComponentOffer, Direction, Offer};
use crate::survey::{Survey, Surveyed, SurveyedUnit};

/// What every unit is, here and upstream.
const UNIT: &str = "[Service]\nExecStart=/bin/app\n[Install]\nWantedBy=multi-user.target\n";
/// What every example is, at both revisions.
const EXAMPLE: &str = "PORT=80\n";
/// A value that no plan may show.
const CANARY: &str = "canary-5f0c";

/// Everything that `build` takes.
struct World {
    install: Install,
    survey: Survey,
    offer: Offer,
    request: Request,
}

/// A component called `name` with a configuration file, and more keys or tables.
fn component(name: &str, more: &str) -> String {
    format!(
        "[[component]]\nname = \"{name}\"\npath = \"{name}\"\nversion = {{ file = \"VERSION\" }}\nenv = [{{ file = \".env\", example = \".env.example\" }}]\n{more}\n"
    )
}

/// A system unit with more keys.
fn unit(file: &str, more: &str) -> String {
    format!("[[component.unit]]\nfile = \"{file}\"\nscope = \"system\"\n{more}\n")
}

/// A step with more keys.
fn step(name: &str, more: &str) -> String {
    format!("[[component.step]]\nname = \"{name}\"\nrun = [\"make\", \"{name}\"]\n{more}\n")
}

fn up() -> UnitState {
    let [load, active, sub, file] = ["loaded", "active", "running", "enabled"].map(str::to_owned);
    UnitState { load, active, sub, file, kind: "simple".into(), main_pid: 1, ..UnitState::default() }
}

fn file(text: &str) -> Content {
    Content::new(text.as_bytes().to_vec(), 0o640, 1000, 1000)
}

impl World {
    /// Every component went from 1.0.0 to 1.1.0 in one file and runs; all their units are up.
    fn new(components: &[String]) -> World {
        let head = "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/app.git\"\nbranch = \"main\"\nsparse = false\n";
        let text = format!("{head}{}", components.concat());
        let install = manifest::parse("app", Path::new("/etc/relift/app.toml"), &text).unwrap();
        let mut survey = Survey { components: install.components.iter().map(surveyed).collect(), ..Survey::default() };
        survey.checkout.head = "a".repeat(40);
        survey.checkout.branch = Some("main".into());
        let release = |digit: &str| Release { revision: digit.repeat(40), label: None };
        let offer = Offer {
            from: release("a"),
            to: release("b"),
            standing: crate::trust::Standing::Verified { by: "upstream".into() },
            lineage: crate::trust::Lineage::default(),
            standing_of_present: crate::trust::Standing::Unverified,
            direction: Direction::Forward,
            commits: Vec::new(),
            commits_total: 1,
            components: install.components.iter().map(offered).collect(),
            blockers: Vec::new(),
            added: Vec::new(),
            leaving: Vec::new(),
            warnings: Vec::new(),
            changes: Vec::new(),
            sections: Vec::new(),
            around: Default::default(),
        };
        let request = Request {
            intent: Intent::Upgrade,
            is_explicit: false,
            allow_irreversible: false,
            allow_downgrades: false,
            unattended: false,
            attended: false,
            only: Vec::new(),
            answers: Vec::new(),
            restore: Restore::default(),
        };
        World { install, survey, offer, request }
    }

    /// A manager and a runner, each with a service.
    fn pair() -> World {
        World::new(&["manager", "runner"].map(|name| component(name, &unit(&format!("{name}.service"), ""))))
    }

    /// A component alone.
    fn single(more: &str) -> World {
        World::new(&[component("manager", more)])
    }

    /// The checkout is at the target, and nothing differs.
    fn unchanged(mut self) -> World {
        self.offer.to = self.offer.from.clone();
        self.offer.direction = Direction::Same;
        for offer in &mut self.offer.components {
            offer.changed.clear();
            offer.to_version = offer.from_version.clone();
        }
        self
    }

    /// From and to these versions, component by component.
    fn versions(mut self, versions: &[(&str, &str)]) -> World {
        for (offer, (from, to)) in self.offer.components.iter_mut().zip(versions) {
            offer.from_version = Some((*from).to_owned());
            offer.to_version = Some((*to).to_owned());
        }
        self
    }

    fn plan(&self) -> Plan {
        build(&self.install, &self.survey, &self.offer, &self.request).unwrap().0
    }

    /// What stops the run, a line each.
    fn blockers(&self) -> Vec<String> {
        self.plan().blockers.into_iter().map(|blocker| blocker.what).collect()
    }

    /// The first component's first configuration file is this.
    fn env(mut self, text: &str) -> World {
        self.survey.components[0].env[0] = Some(file(text));
        self
    }
}

fn surveyed(component: &manifest::Component) -> Surveyed {
    let unit = |unit: &manifest::Unit| SurveyedUnit {
        directory: "/etc/systemd/system".into(),
        file: unit.file.file_name().into(),
        installed: Some(Content::new(UNIT.into(), 0o644, 0, 0)),
        states: unit.names().into_iter().map(|name| (name, up())).collect(),
        ..SurveyedUnit::default()
    };
    Surveyed {
        is_installed: true,
        is_checked_out: true,
        activation: Some(Activation {
            revision: "a".repeat(40),
            version: Some("1.0.0".into()),
            env: Default::default(),
        }),
        env: component.env.iter().map(|_| Some(file(&format!("PORT=81\nTOKEN={CANARY}\n")))).collect(),
        env_times: Vec::new(),
        artifacts: component.artifacts.iter().map(|_| true).collect(),
        units: component.units.iter().map(unit).collect(),
        host: Default::default(),
    }
}

fn offered(component: &manifest::Component) -> ComponentOffer {
    ComponentOffer {
        present: true,
        from_version: Some("1.0.0".into()),
        to_version: Some("1.1.0".into()),
        changed: vec!["src/app.py".into()],
        changelog: None,
        examples: component.env.iter().map(|_| (Some(EXAMPLE.into()), Some(EXAMPLE.into()))).collect(),
        units: component.units.iter().map(|_| (Some(UNIT.into()), Some(UNIT.into()))).collect(),
    }
}

fn answer(file: &str, key: &str, value: &str) -> Answer {
    Answer { file: file.into(), key: key.into(), decision: env::Decision::Set(value.into()) }
}

/// The titles of the actions, in order.
fn titles(plan: &Plan) -> Vec<String> {
    plan.actions.iter().map(|action| action.act().title()).collect()
}

#[test]
fn a_plan_holds_no_value_of_a_configuration_file() {
    let mut world = World::pair();
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nNEW=changeme\nURL=http://h\n".to_vec());
    world.request.answers = vec![answer("manager/.env", "NEW", &format!("{CANARY}-answer"))];
    let (plan, contents) = build(&world.install, &world.survey, &world.offer, &world.request).unwrap();
    assert!(plan.components[0].env[0].rewritten);
    assert!(contents.iter().any(|(_, bytes)| String::from_utf8_lossy(bytes).contains("canary-5f0c-answer")));
    for shown in [serde_json::to_string(&plan).unwrap(), format!("{plan:?} {contents:?}")] {
        assert!(!shown.contains(CANARY), "{shown}");
    }
}

#[test]
fn a_whole_checkout_that_becomes_sparse_is_warned_of_by_name() {
    let mut world = World::pair();
    let manifest::Source::Git(source) = &mut world.install.source else { unreachable!() };
    source.sparse = true;
    assert_eq!(world.plan().warnings, Vec::<String>::new(), "nothing leaves");
    world.offer.leaving = vec!["docs".into(), "other".into()];
    assert_eq!(
        world.plan().warnings,
        [
            "from now on only manager, runner are checked out; docs, other leave the work tree (git sparse-checkout disable brings them back; `sparse = false` keeps them)"
        ]
    );
    world.offer.leaving = (0..7).map(|at| format!("d{at}")).collect();
    assert!(world.plan().warnings[0].contains("; d0, d1, d2, d3, d4 and 2 more leave the work tree"));
}

#[test]
fn a_new_key_without_a_value_of_ones_own_stops_the_run_until_it_is_answered() {
    let mut world = World::pair();
    world.offer.components[0].examples[0].1 = Some(b"PORT=80\nNEW=changeme\n".to_vec());
    assert_eq!(world.blockers(), ["manager/.env needs a value for the new key NEW: its default is a placeholder"]);
    assert!(world.plan().blockers[0].refused);
    world.request.answers = vec![answer("manager/.env", "NEW", "mine")];
    assert_eq!(world.blockers(), Vec::<String>::new());
    world.request.answers = vec![answer("runner/.env", "NEW", "mine")];
    assert_eq!(world.blockers().len(), 1, "an answer for another file is none for this one");
    world.survey.components[0].env[0] = None;
    assert_eq!(world.blockers(), ["manager/.env is missing"]);
    assert_eq!(world.env("PORT=1\nNAME=\u{e9}\nNEW=1\n").blockers(), Vec::<String>::new());
}

#[test]
fn a_file_that_is_no_text_and_a_directory_that_is_gone_are_impossible() {
    let mut world = World::pair();
    world.survey.components[0].env[0] = Some(Content::new(b"PORT=1\nNAME=\xe9\n".to_vec(), 0o640, 1, 1));
    world.offer.components[1].present = false;
    let plan = world.plan();
    let words: Vec<&str> = plan.blockers.iter().map(|blocker| &blocker.what[..28]).collect();
    assert_eq!(words, ["line 2 of manager/.env is no", "the target has no directory "]);
    assert!(plan.blockers.iter().all(|blocker| !blocker.refused));
    assert_eq!(plan.root, PathBuf::from("/opt/app"));
}
