//! The plan of one component, before those of all are put in order.

use std::collections::BTreeSet;

use super::configuration::Configuration;
use super::subject::{Case, Part, Subject};
use super::{
    Blocker, ComponentPlan, Contents, GatePlan, Intent, ServiceChange, StagedCheck, UnitPlan, notes, services, steps,
    unit, units,
};
use crate::action::{Action, Artifact, EnvFile, Service};
use crate::error::Result;
use crate::host::systemd::Verb;
use crate::manifest::{CheckAt, RunAs, Scope, StepUndo};
use crate::source::ComponentOffer;

/// What a component adds to the plan.
pub(super) struct Draft {
    pub component: ComponentPlan,
    pub gate: GatePlan,
    pub staged_checks: Vec<StagedCheck>,
    pub warnings: Vec<String>,
    pub blockers: Vec<Blocker>,
    pub stages: Stages,
}

/// The changes of a component by the part of a run that they belong to, in the order of the parts. Only the tree, which
/// is everybody's, is missing between `reruns` and `env`.
#[derive(Default)]
pub(super) struct Stages {
    /// Commands that undo steps, while the newer tree is there.
    pub undo: Vec<Action>,
    /// Where the undo of a run runs steps again.
    pub reruns: Vec<Action>,
    pub env: Vec<Action>,
    pub artifacts: Vec<Action>,
    pub steps: Vec<Action>,
    /// Steps from the first that nothing undoes: after everything else but restarts, in their declared order.
    pub late_steps: Vec<Action>,
    pub checks: Vec<Action>,
    pub units: Vec<units::Work>,
    pub services: Vec<Action>,
}

/// Plans a component.
pub(super) fn draft(
    case: &Case,
    part: Part,
    (configuration, rewritten): (Configuration, &BTreeSet<String>),
    contents: &mut Contents,
) -> Result<Draft> {
    let subject = Subject::new(part, case, rewritten);
    let planned = steps::plan(&subject, case.request);
    let work = units::plan(&subject, contents)?;
    let runs_steps = planned.iter().any(|step| step.plan.runs);
    let mut unit_plans = services::plan(&subject, &work, runs_steps);
    let reopened = services::reopened(&work, &mut unit_plans);

    let (staged_checks, checks) = checks(&subject, case.request.intent);
    let mut warnings = configuration.warnings;
    warnings.extend(work.iter().flat_map(|work| work.notes.clone()));
    warnings.extend(unasked(case, &subject));
    let mut blockers = configuration.blockers;
    blockers.extend(absent(&subject));
    blockers.extend(privileges(case, &unit_plans));

    let name = &part.component.name;
    let env_file = |swap| Action::EnvFile(EnvFile { component: name.clone(), swap });
    let mut stages = Stages {
        env: configuration.swaps.into_iter().map(env_file).collect(),
        artifacts: artifacts(case, &subject, runs_steps),
        checks,
        services: unit_plans.iter().flat_map(|unit| service(name, unit, &reopened)).collect(),
        units: work,
        ..Stages::default()
    };
    stages.take_steps(&planned);
    let component = ComponentPlan {
        name: name.clone(),
        path: part.component.path.to_string(),
        from_version: part.offer.from_version.clone(),
        to_version: part.offer.to_version.clone(),
        activated: activated(case, part),
        files_changed: part.offer.changed.len(),
        notes: release_notes(part.offer, case.request.intent),
        env: configuration.plans,
        steps: planned.into_iter().map(|step| step.plan).collect(),
        units: unit_plans,
    };
    let gate = gate(case, &subject, &component.units);
    Ok(Draft { component, gate, staged_checks, warnings, blockers, stages })
}

impl Stages {
    fn take_steps(&mut self, planned: &[steps::Planned]) {
        let mut is_past_return = false;
        for step in planned {
            self.undo.extend(step.before_tree.clone());
            is_past_return |= step.plan.runs && step.plan.undo == StepUndo::Irreversible;
            let steps = if is_past_return { &mut self.late_steps } else { &mut self.steps };
            steps.extend(step.after_tree.clone());
            self.reruns.extend(step.rerun.clone());
        }
    }
}

fn activated(case: &Case, part: Part) -> String {
    part.surveyed
        .activation
        .as_ref()
        .map_or(case.survey.checkout.head.clone(), |activation| activation.revision.clone())
}

fn absent(subject: &Subject) -> Option<Blocker> {
    let component = subject.component;
    (!subject.offer.present).then(|| {
        Blocker::impossible(
            format!("the target has no directory {} for the component {}", component.path, component.name),
            "correct `path` in the manifest, or stay below this release",
        )
    })
}

/// System units that gain power by the release: somebody has to have seen that. Going back is to what was seen before.
fn privileges(case: &Case, units: &[UnitPlan]) -> Vec<Blocker> {
    let is_seen = (case.request.attended || case.request.is_explicit) && !case.request.unattended;
    if is_seen || case.request.intent == Intent::Rollback {
        return Vec::new();
    }
    let system = units.iter().filter(|unit| unit.scope == Scope::System);
    let gains = system.flat_map(|unit| {
        unit::gains(&unit.settings, &case.install.root).into_iter().map(|gain| (unit.name.as_str(), gain))
    });
    let (name, to) = (&case.install.name, case.offer.to.short());
    let blocker = |(unit, gain): (&str, String)| {
        Blocker::refused(
            format!("{unit} {gain}"),
            format!(
                "look at it: relift units diff {name}; when it is meant, name the release: relift upgrade {name} --to {to}"
            ),
        )
    };
    gains.map(blocker).collect()
}

fn unasked(case: &Case, subject: &Subject) -> Option<String> {
    let component = subject.component;
    let is_told = subject.tree_changed()
        && component.askable(case.install.takes_over(component)).count() < component.health.len();
    is_told.then(|| {
        format!(
            "{}: no service of it is restarted (restart = \"never\"), so that probes which expect {{version}} are not asked",
            component.name
        )
    })
}

/// The checks on the staged tree and those on the switched one. A known-good release has passed its gate here: it may
/// be older than a check's script, and going back must not depend on it.
fn checks(subject: &Subject, intent: Intent) -> (Vec<StagedCheck>, Vec<Action>) {
    let component = subject.component;
    let (mut staged, mut switched) = (Vec::new(), Vec::new());
    let is_checked = match intent {
        Intent::Upgrade => subject.tree_changed() || subject.env_changed,
        Intent::Reconfigure => !subject.surveyed.host.is_empty() || subject.env_changed,
        Intent::Rollback => false,
    };
    for check in component.checks.iter().filter(|_| is_checked) {
        match check.at {
            CheckAt::Staged => staged.push(StagedCheck {
                component: component.name.clone(),
                path: component.path.to_string(),
                run: check.run.clone(),
                as_root: check.run_as == RunAs::Root,
                origin: subject.origin(check.run_as, false),
                timeout: check.timeout.as_secs(),
                env_files: check.env_files.clone(),
            }),
            CheckAt::Switched => switched.push(steps::check(subject, check)),
        }
    }
    (staged, switched)
}

/// The jobs of a unit.
fn service(component: &str, unit: &UnitPlan, reopened: &[(Scope, String)]) -> Vec<Action> {
    let is_apart = reopened.iter().any(|(scope, name)| *scope == unit.scope && *name == unit.name);
    let verbs: &[Verb] = match unit.service {
        ServiceChange::Restart if is_apart => &[Verb::Stop, Verb::Start],
        ServiceChange::Restart => &[Verb::Restart],
        ServiceChange::Reload => &[Verb::Reload],
        ServiceChange::Start => &[Verb::Start],
        ServiceChange::Stop => &[Verb::Stop],
        ServiceChange::Untouched | ServiceChange::LeftAlone => &[],
    };
    let job = |verb: &Verb| {
        let (component, name) = (component.to_owned(), unit.name.clone());
        Action::Service(Service { component, scope: unit.scope, unit: name, verb: *verb })
    };
    verbs.iter().map(job).collect()
}

fn artifacts(case: &Case, subject: &Subject, runs_steps: bool) -> Vec<Action> {
    let archives = &case.request.restore.artifacts;
    let mut actions = Vec::new();
    for (artifact, is_there) in subject.component.artifacts.iter().zip(&subject.surveyed.artifacts) {
        let path = artifact.below(&subject.component.path);
        let archive = archives.iter().find(|(known, _)| known == path.as_str());
        let install = archive.map(|(_, archive)| archive.clone());
        if install.is_none() && !runs_steps {
            continue;
        }
        let saved = is_there.then(|| format!("{}.tar", path.as_str().replace('%', "%25").replace('/', "%2F")));
        actions.push(Action::Artifact(Artifact {
            component: subject.component.name.clone(),
            path: path.as_str().into(),
            saved,
            install,
        }));
    }
    actions
}

fn gate(case: &Case, subject: &Subject, units: &[UnitPlan]) -> GatePlan {
    let is_up =
        |unit: &&UnitPlan| !matches!(unit.service, ServiceChange::LeftAlone | ServiceChange::Stop) && !unit.is_dormant;
    GatePlan {
        component: subject.component.name.clone(),
        units: units.iter().filter(is_up).map(|unit| (unit.scope, unit.name.clone())).collect(),
        probes: subject.component.askable(case.install.takes_over(subject.component)).count(),
        version: subject.offer.to_version.clone(),
        changes: subject.tree_changed()
            || subject.env_changed
            || !subject.surveyed.host.is_empty()
            || units.iter().any(|unit| unit.service != ServiceChange::Untouched),
        leaves: units
            .iter()
            .filter(|unit| unit.service == ServiceChange::Stop && !unit.is_dormant)
            .map(|unit| (unit.scope, unit.name.clone()))
            .collect(),
    }
}

fn release_notes(offer: &ComponentOffer, intent: Intent) -> Vec<notes::ReleaseNote> {
    let parse = |version: &Option<String>| version.as_deref().and_then(|text| semver::Version::parse(text).ok());
    let (from, to) = (parse(&offer.from_version), parse(&offer.to_version));
    let Some(changelog) = &offer.changelog else { return Vec::new() };
    match intent {
        Intent::Rollback => notes::between(changelog, to.as_ref(), from.as_ref(), false),
        Intent::Reconfigure => Vec::new(),
        // A branch may be ahead of its newest heading.
        Intent::Upgrade if offer.changed.is_empty() => Vec::new(),
        Intent::Upgrade if from == to => notes::between(changelog, to.as_ref(), to.as_ref(), true),
        Intent::Upgrade => notes::between(changelog, from.as_ref(), to.as_ref(), true),
    }
}
