//! Hooks and migrations: which run, why, and where they stand in a run.

use std::collections::BTreeSet;
use std::path::PathBuf;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::migrations::{chain, unguided};
use super::reach::read;
use super::subject::{Case, Part, Subject};
use super::{Blocker, Intent, Origin, may_run_as_root};
use crate::action::{self, Action, MigrationOf, Rerun, With};
use crate::manifest::{Hook, HookPlace, Migration, Procedure, RelPath, RunAs, StepUndo};

/// What a hook or a migration would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcedurePlan {
    /// The hook's place; nothing for a migration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<HookPlace>,
    /// Its name: `drain`, `migration 3.39.0`.
    pub name: String,
    /// The component that it is about; nothing for the whole install.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The command; empty where there is only something to read.
    pub run: Vec<String>,
    /// Whether root runs it.
    pub as_root: bool,
    /// Where root runs it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Why it runs, or why it does not.
    pub why: String,
    /// Whether it runs.
    pub runs: bool,
    /// How it is undone.
    pub undo: StepUndo,
    /// What the operator should know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Where the guide is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Everything that hooks and migrations add to a plan.
#[derive(Default)]
pub(super) struct Procedures {
    /// For a person.
    pub plans: Vec<ProcedurePlan>,
    /// Asked before any change.
    pub preflight: Vec<action::Step>,
    /// Asked in the gate.
    pub verify: Vec<action::Step>,
    /// What stops the run.
    pub blockers: Vec<Blocker>,
    /// By their places among the changes.
    pub stages: Stages,
}

/// Changes by the place in a run.
#[derive(Default)]
pub(super) struct Stages {
    /// Before everything: drain, quiesce.
    pub first: Vec<Action>,
    /// In the present tree: a rollback takes migrations back.
    pub back: Vec<Action>,
    /// Where the undo of a run runs something again.
    pub reruns: Vec<Action>,
    /// After tree and steps.
    pub migrate: Vec<Action>,
    /// From the first that nothing undoes: after everything else but restarts.
    pub late: Vec<Action>,
    /// After the restarts.
    pub resume: Vec<Action>,
}

/// Plans the hooks and the migrations of an install. `rewritten`: the configuration files that the whole plan rewrites.
pub(super) fn plan(case: &Case, rewritten: &BTreeSet<String>) -> Procedures {
    let mut planned = Procedures::default();
    if case.request.intent == Intent::Reconfigure {
        return planned;
    }
    let parts: Vec<Part> = case.parts().collect();
    for part in &parts {
        planned.migrations(case, part);
    }
    for hook in &case.install.hooks {
        planned.hook(case, &parts, rewritten, hook);
    }
    planned.plans.sort_by_key(|plan| (plan.place.unwrap_or(HookPlace::Migrate), plan.place.is_some()));
    planned
}

impl Procedures {
    fn hook(&mut self, case: &Case, parts: &[Part], rewritten: &BTreeSet<String>, hook: &Hook) {
        let is_meant = |part: &&Part| hook.component.as_ref().is_none_or(|name| *name == part.component.name);
        let subjects: Vec<Subject> =
            parts.iter().filter(is_meant).map(|part| Subject::new(*part, case, rewritten)).collect();
        let of_present = hook.at.is_before_the_switch();
        let (why, runs) = match (&hook.component, subjects.is_empty()) {
            (Some(name), true) => (format!("{name} is not part of this run"), false),
            _ if of_present && !case.has_present() => ("nothing is installed yet".into(), false),
            _ => reason(hook, &subjects),
        };
        let origin = origin(case, hook.procedure.run_as, of_present);
        self.plans.push(ProcedurePlan {
            place: Some(hook.at),
            name: hook.name.clone(),
            component: hook.component.clone(),
            run: hook.procedure.run.clone(),
            as_root: hook.procedure.run_as == RunAs::Root,
            origin: origin.clone(),
            why,
            runs,
            undo: hook.procedure.undo.clone(),
            note: None,
            url: None,
        });
        if !runs {
            return;
        }
        let versions = parts.iter().filter(is_meant).find(|part| part.offer.to_version.is_some());
        let with = With { place: Some(hook.at), ..with(case, versions, &hook.procedure) };
        let component = parts.iter().find(|part| Some(&part.component.name) == hook.component.as_ref());
        let step = step(component, &hook.name, &hook.procedure, (case.base(of_present), origin, with));
        self.place(hook.at, step);
    }

    fn place(&mut self, at: HookPlace, step: action::Step) {
        if step.undo == StepUndo::Rerun {
            self.stages.reruns.push(Action::Rerun(Rerun { step: step.clone(), of: usize::MAX }));
        }
        let is_late = !self.stages.late.is_empty() || step.undo == StepUndo::Irreversible;
        match at {
            HookPlace::Preflight => self.preflight.push(step),
            HookPlace::Verify => self.verify.push(step),
            HookPlace::Drain => {
                // Whatever order they are declared in, what drains comes before what suspends.
                let is_drain =
                    |action: &Action| matches!(action, Action::Step(step) if step.with.place == Some(HookPlace::Drain));
                let end = self.stages.first.iter().take_while(|action| is_drain(action)).count();
                self.stages.first.insert(end, Action::Step(step));
            }
            HookPlace::Quiesce => self.stages.first.push(Action::Step(step)),
            HookPlace::Migrate if is_late => self.stages.late.push(Action::Step(step)),
            HookPlace::Migrate => self.stages.migrate.push(Action::Step(step)),
            HookPlace::Resume => self.stages.resume.push(Action::Step(step)),
        }
    }

    fn migrations(&mut self, case: &Case, part: &Part) {
        let name = &part.component.name;
        let declared: Vec<&Migration> = of(case, name);
        let (Some(from), Some(to)) = (&part.offer.from_version, &part.offer.to_version) else { return };
        if declared.is_empty() || from == to {
            return;
        }
        let (from, to) = match (read(Some(from)), read(Some(to))) {
            (Some(from), Some(to)) => (from, to),
            (readable, _) => {
                let unread = if readable.is_none() { from } else { to };
                self.blockers.push(Blocker::impossible(
                    format!("which migrations of {name} are due is not known: its version \"{unread}\" cannot be read"),
                    "migrations need versions of the form MAJOR.MINOR.PATCH, as in 3.39.0",
                ));
                return;
            }
        };
        let is_back = to.cmp_precedence(&from).is_lt();
        if is_back && case.request.intent != Intent::Rollback && !case.is_downgrade() {
            return;
        }
        let ran = case.survey.migrations.iter().filter(|ran| ran.component == *name);
        let done: BTreeSet<Version> = ran.map(|ran| ran.version.clone()).collect();
        for migration in chain(&from, &to, &declared, &done) {
            self.migration(case, part, migration, is_back);
        }
    }

    fn migration(&mut self, case: &Case, part: &Part, migration: &Migration, is_back: bool) {
        let name = format!("migration {}", migration.version);
        let mut plan = ProcedurePlan {
            place: None,
            name: name.clone(),
            component: Some(part.component.name.clone()),
            run: Vec::new(),
            as_root: false,
            origin: None,
            why: format!("{} asks for it", migration.version),
            runs: false,
            undo: StepUndo::Pure,
            note: migration.note.clone(),
            url: migration.url.clone(),
        };
        let Some(procedure) = &migration.procedure else {
            plan.why = "to be read".into();
            return self.plans.push(plan);
        };
        let origin = origin(case, procedure.run_as, is_back);
        let id = MigrationOf { component: part.component.name.clone(), version: migration.version.clone(), is_back };
        let with = With { migration: Some(id), ..with(case, Some(part), procedure) };
        let step = step(Some(part), &name, procedure, (case.base(is_back), origin.clone(), with));
        (plan.run, plan.undo, plan.as_root) = (procedure.run.clone(), procedure.undo.clone(), step.as_root);
        (plan.origin, plan.runs) = (origin, true);
        match (is_back, &procedure.undo) {
            (false, _) => self.place(HookPlace::Migrate, step),
            (true, StepUndo::Run(command)) => {
                plan.why = format!("takes back what {} asked for", migration.version);
                plan.run = command.clone();
                self.stages.back.push(Action::Step(step.inverse(command.clone())));
            }
            // It stays `runs` and irreversible: the plan is refused for it.
            (true, StepUndo::Irreversible) => {}
            (true, _) => {
                plan.runs = false;
                plan.why = "what it did stays, and it does not run again".into();
            }
        }
        self.plans.push(plan);
    }
}

/// The migrations of a component.
fn of<'a>(case: &Case<'a>, component: &str) -> Vec<&'a Migration> {
    case.install.migrations.iter().filter(|migration| migration.component == component).collect()
}

/// Components whose first number goes up without a guide to the new one.
pub(super) fn without_guide(case: &Case) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    for part in case.parts() {
        let versions = (part.offer.from_version.as_deref(), part.offer.to_version.as_deref());
        let (Some(from), Some(to)) = versions else { continue };
        let (Some(from), Some(to)) = (read(Some(from)), read(Some(to))) else { continue };
        let missing = unguided(&from, &to, &of(case, &part.component.name));
        if let Some(first) = missing.first() {
            let numbers = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            blockers.push(Blocker::refused(
                format!(
                    "{} {from} -> {to} is a change of the first number, and no [[migration]] is a guide to {numbers}",
                    part.component.name
                ),
                format!(
                    "declare what it asks for: [[migration]] version = \"{first}.0.0\", or covers = \"{first}\", with run, note or url"
                ),
            ));
        }
    }
    blockers
}

/// Why a hook runs, or why not.
fn reason(hook: &Hook, subjects: &[Subject]) -> (String, bool) {
    if hook.when_changed.is_empty() {
        let changed: Vec<&str> = subjects
            .iter()
            .filter(|subject| subject.tree_changed())
            .map(|subject| subject.component.name.as_str())
            .collect();
        return match changed.as_slice() {
            [] => ("the release changes nothing of it".into(), false),
            [one] => (format!("{one} changes"), true),
            several => (format!("{} change", several.join(", ")), true),
        };
    }
    let is_new = |subject: &&Subject| hook.component.is_some() && subject.is_new;
    if subjects.iter().any(|subject| is_new(&subject)) {
        return ("the component is new here".into(), true);
    }
    let changes = |path: &&RelPath| subjects.iter().any(|subject| changes(subject, path, hook.component.is_some()));
    match hook.when_changed.iter().find(changes) {
        Some(path) => (format!("{path} changed"), true),
        None => {
            let watched = hook.when_changed.iter().map(RelPath::as_str).collect::<Vec<_>>().join(", ");
            (format!("no change in {watched}"), false)
        }
    }
}

/// Whether a path changes, that is relative to the component, or to the root.
fn changes(subject: &Subject, path: &RelPath, of_component: bool) -> bool {
    let component = subject.component;
    let full = |text: &str| if of_component { text.to_owned() } else { component.path.join(text) };
    let below = format!("{path}/");
    let is_env = component.env.iter().any(|env| full(env.file.as_str()) == path.as_str());
    (is_env && subject.env_changed)
        || subject
            .offer
            .changed
            .iter()
            .map(|changed| full(changed))
            .any(|changed| changed == path.as_str() || changed.starts_with(&below))
}

/// As for steps: what runs before the switch is code of the release that is left.
fn origin(case: &Case, run_as: RunAs, of_present: bool) -> Option<Origin> {
    let (offer, trust_checkout) = (case.offer, case.install.trust_checkout);
    let (release, standing) = match of_present {
        true => (&offer.from, &offer.standing_of_present),
        false => (&offer.to, &offer.standing),
    };
    (run_as == RunAs::Root).then(|| may_run_as_root(release, standing, trust_checkout))
}

fn with(case: &Case, versions: Option<&Part>, procedure: &Procedure) -> With {
    let (old, new) =
        versions.map_or((None, None), |part| (part.offer.from_version.clone(), part.offer.to_version.clone()));
    let env = [
        ("RELIFT_OLD_VERSION", old.unwrap_or_default()),
        ("RELIFT_NEW_VERSION", new.unwrap_or_default()),
        ("RELIFT_OLD_REVISION", case.offer.from.revision.clone()),
        ("RELIFT_NEW_REVISION", case.offer.to.revision.clone()),
    ];
    With {
        place: None,
        migration: None,
        cwd: procedure.cwd.as_ref().map(ToString::to_string),
        env: env.map(|(key, value)| (key.to_owned(), value)).into(),
        env_files: procedure.env_files.clone(),
        scratch: Some(case.survey.scratch.clone()),
    }
}

fn step(
    part: Option<&Part>,
    name: &str,
    procedure: &Procedure,
    (base, origin, with): (Option<PathBuf>, Option<Origin>, With),
) -> action::Step {
    action::Step {
        component: part.map(|part| part.component.name.clone()).unwrap_or_default(),
        path: part.map_or_else(|| ".".into(), |part| part.component.path.to_string()),
        base,
        name: name.to_owned(),
        run: procedure.run.clone(),
        as_root: procedure.run_as == RunAs::Root,
        timeout: procedure.timeout.as_secs(),
        undo: procedure.undo.clone(),
        undo_timeout: procedure.undo_timeout.map(|bound| bound.as_secs()),
        idempotent: procedure.idempotent,
        origin: origin.unwrap_or_default(),
        with,
    }
}
