//! Making the plan. Pure: everything it needs to know is in its arguments.

use super::contents::Contents;
use super::{
    Blocker, ComponentPlan, EnvPlan, FORMAT, GatePlan, Intent, Plan, ServiceChange, StagedCheck, abbreviate, env,
    lockstep, notes, services, steps, units,
};
use crate::action::{Action, Artifact, EnvFile, FileSwap, Quiesce, Service, SetAside, Tree};
use crate::error::Result;
use crate::host::fs::Content;
use crate::host::systemd::Verb;
use crate::manifest::{CheckAt, Component, Install, RunAs, Source, StepUndo};
use crate::source::git::Goal;
use crate::source::{ComponentOffer, Direction, Offer};
use crate::survey::{Survey, Surveyed};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Up, or back.
    pub intent: Intent,
    /// The operator named the target: a major step is theirs to take.
    pub is_explicit: bool,
    /// Steps that nothing undoes may run.
    pub allow_irreversible: bool,
    /// Nobody is asked: the policy decides.
    pub unattended: bool,
    /// Somebody at a terminal approves the plan.
    pub attended: bool,
    /// Only these components; empty: all.
    pub only: Vec<String>,
    /// Values that the operator gave for placeholders: file relative to the checkout, key, value.
    pub answers: Vec<(String, String, String)>,
    /// For a rollback: configuration files as they were, and archives of what steps had made.
    pub restore: Restore,
}

/// What a known-good release had beside the tree.
#[derive(Debug, Clone, Default)]
pub struct Restore {
    /// Configuration files by path relative to the checkout.
    pub env: Vec<(String, Content)>,
    /// Archives by path relative to the checkout.
    pub artifacts: Vec<(String, std::path::PathBuf)>,
}

/// What is known of one component while the plan is made.
pub(super) struct Subject<'a> {
    pub component: &'a Component,
    pub surveyed: &'a Surveyed,
    pub offer: &'a ComponentOffer,
    /// Its directory was not checked out before: everything about it is new.
    pub is_new: bool,
    /// Its `.env` is rewritten, or was edited since it was started.
    pub env_changed: bool,
    /// Its process is older than what is checked out.
    pub runs_older: bool,
    /// The owner of the install: uid and gid.
    pub owner_ids: (u32, u32),
}

impl Subject<'_> {
    /// Whether its part of the tree differs from what is activated.
    pub fn tree_changed(&self) -> bool {
        self.is_new || self.runs_older || !self.offer.changed.is_empty()
    }

    /// Whether more than its units differs: what a unit's change asks for, its settings say.
    pub fn code_changed(&self) -> bool {
        let is_unit = |path: &String| self.component.units.iter().any(|unit| unit.file.as_str() == path);
        self.is_new || self.offer.changed.iter().any(|path| !is_unit(path))
    }
}

/// Makes the plan and collects the bytes that it speaks of. `offer.components` follows `survey.installed`.
pub fn build(install: &Install, survey: &Survey, offer: &Offer, request: &Request) -> Result<(Plan, Contents)> {
    let mut contents = Contents::default();
    let mut plan = Plan { root: install.root.clone(), owner: install.owner.clone(), ..Plan::empty(&install.name) };
    plan.format = FORMAT;
    plan.intent = request.intent;
    plan.from = offer.from.clone();
    plan.to = offer.to.clone();
    plan.commits = offer.commits.clone();
    plan.commits_total = offer.commits_total;
    plan.soak = install.policy.soak.as_secs();
    plan.blockers = offer.blockers.clone();
    plan.warnings = offer.warnings.clone();
    plan.blockers.extend(survey.left_running(install));

    let (mut env_actions, mut artifacts, mut step_actions, mut checks) = (vec![], vec![], vec![], vec![]);
    let (mut undo_first, mut reruns, mut unit_work, mut service_actions) = (vec![], vec![], vec![], vec![]);
    let mut late_steps = vec![];
    let installed = survey.installed(install).zip(&offer.components);
    for ((_, component, surveyed), offered) in installed {
        if !request.only.is_empty() && !request.only.contains(&component.name) {
            continue;
        }
        let (env_plans, swaps) = env_changes(component, surveyed, offered, request, &mut plan, &mut contents)?;
        let subject = Subject {
            component,
            surveyed,
            offer: offered,
            is_new: !surveyed.is_checked_out,
            env_changed: !swaps.is_empty() || !surveyed.runs_with_its_env(component),
            owner_ids: survey.owner_ids,
            runs_older: surveyed.activation.is_none() && services::run_older_code(surveyed, survey.checkout.head_moved),
        };
        if !offered.present {
            plan.blockers.push(Blocker::impossible(
                format!("the target has no directory {} for the component {}", component.path, component.name),
                "correct `path` in the manifest, or stay below this release",
            ));
        }
        let planned_steps = steps::plan(&subject, request);
        let work = units::plan(&subject, &mut contents)?;
        plan.warnings.extend(work.iter().flat_map(|work| work.notes.clone()));
        let runs_steps = planned_steps.iter().any(|step| step.plan.runs);
        let service_plans = services::plan(&subject, &work, runs_steps);
        artifacts.extend(artifact_actions(&subject, request, runs_steps));
        let mut is_past_return = false;
        for step in &planned_steps {
            undo_first.extend(step.before_tree.clone());
            // What nothing undoes comes as late as the declared order of its component allows.
            is_past_return |= step.plan.runs && step.plan.undo == StepUndo::Irreversible;
            let steps = if is_past_return { &mut late_steps } else { &mut step_actions };
            steps.extend(step.after_tree.clone());
            reruns.extend(step.rerun.clone());
        }
        // A known-good release has passed its gate here. It may be older than a check's script, and going back must not
        // depend on it.
        let is_checked = request.intent == Intent::Upgrade && (subject.tree_changed() || subject.env_changed);
        for check in component.checks.iter().filter(|_| is_checked) {
            match check.at {
                CheckAt::Staged => plan.staged_checks.push(StagedCheck {
                    component: component.name.clone(),
                    path: component.path.to_string(),
                    run: check.run.clone(),
                    as_root: check.run_as == RunAs::Root,
                    timeout: check.timeout.as_secs(),
                }),
                CheckAt::Switched => checks.push(steps::check(component, check)),
            }
        }
        for service in &service_plans {
            let verb = match service.service {
                ServiceChange::Restart => Verb::Restart,
                ServiceChange::Reload => Verb::Reload,
                ServiceChange::Start => Verb::Start,
                ServiceChange::Untouched | ServiceChange::LeftAlone => continue,
            };
            let (component, scope, unit) = (component.name.clone(), service.scope, service.name.clone());
            service_actions.push(Action::Service(Service { component, scope, unit, verb }));
        }
        plan.gates.push(gate(&subject, &service_plans));
        plan.components.push(ComponentPlan {
            name: component.name.clone(),
            path: component.path.to_string(),
            from_version: offered.from_version.clone(),
            to_version: offered.to_version.clone(),
            activated: surveyed
                .activation
                .as_ref()
                .map_or(survey.checkout.head.clone(), |activation| activation.revision.clone()),
            files_changed: offered.changed.len(),
            notes: release_notes(offered, request.intent),
            env: env_plans,
            units: service_plans,
            steps: planned_steps.into_iter().map(|step| step.plan).collect(),
        });
        env_actions
            .extend(swaps.into_iter().map(|swap| Action::EnvFile(EnvFile { component: component.name.clone(), swap })));
        unit_work.push(work);
    }

    let mut actions = undo_first;
    actions.extend(reruns);
    actions.extend(tree(install, survey, offer, &mut contents));
    actions.extend(env_actions);
    actions.extend(artifacts);
    actions.extend(step_actions);
    actions.extend(late_steps);
    actions.extend(checks);
    actions.extend(units::actions(unit_work));
    actions.extend(service_actions);
    if !actions.is_empty() {
        let units = survey.installed(install).flat_map(|(_, component, surveyed)| services::names(component, surveyed));
        actions.insert(0, Action::Quiesce(Quiesce { units: units.collect() }));
    }
    steps::link_reruns(&mut actions);
    plan.actions = actions;
    judge(install, survey, offer, request, &mut plan);
    Ok((plan, contents))
}

fn env_changes(
    component: &Component,
    surveyed: &Surveyed,
    offer: &ComponentOffer,
    request: &Request,
    plan: &mut Plan,
    contents: &mut Contents,
) -> Result<(Vec<EnvPlan>, Vec<FileSwap>)> {
    let (mut plans, mut swaps) = (Vec::new(), Vec::new());
    for ((declared, mine), (base, theirs)) in component.env.iter().zip(&surveyed.env).zip(&offer.examples) {
        let file = declared.file.below(&component.path).to_string();
        let Some(mine) = mine else {
            let example = declared.example.below(&component.path);
            plan.blockers.push(Blocker::impossible(
                format!("{file} is missing"),
                format!(
                    "make it from the example and fill it in: cd {} && install -m 0640 -o {} {example} {file}",
                    plan.root.display(),
                    plan.owner
                ),
            ));
            continue;
        };
        if let Some((_, saved)) = request.restore.env.iter().find(|(path, _)| *path == file) {
            let rewritten = saved.image != mine.image;
            if rewritten {
                swaps.push(FileSwap {
                    path: file.clone().into(),
                    before: Some(contents.keep(mine)),
                    after: Some(contents.keep(saved)),
                });
            }
            plans.push(EnvPlan { file, changes: Vec::new(), rewritten, after: saved.image.sha256.clone() });
            continue;
        }
        if request.intent == Intent::Rollback {
            plans.push(EnvPlan { file, changes: Vec::new(), rewritten: false, after: mine.image.sha256.clone() });
            continue;
        }
        let base = if surveyed.activation.is_some() || surveyed.is_checked_out { base.as_deref() } else { None };
        let answers: Vec<(String, String)> = request
            .answers
            .iter()
            .filter(|(path, ..)| *path == file)
            .map(|(_, key, value)| (key.clone(), value.clone()))
            .collect();
        let compared = env::compare(base, theirs.as_deref(), &mine.bytes, &answers)
            .map_err(|error| error.while_(format!("{file} cannot be compared")))?;
        plan.warnings.extend(compared.warnings.iter().map(|warning| format!("{file}: {warning}")));
        if let Err(error) = std::str::from_utf8(&mine.bytes) {
            let line = 1 + mine.bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            plan.blockers.push(Blocker::impossible(
                format!("line {line} of {file} is not UTF-8: systemd and dotenv libraries refuse such a file, so that no release could start"),
                format!("write it in UTF-8; from Latin-1: iconv -f latin1 -t utf-8 {0} > {0}.new", plan.root.join(&file).display()),
            ));
        }
        let is_open = |key: &&str| answers.iter().all(|(answered, _)| answered != key);
        let full = plan.root.join(&file);
        for key in env::placeholders(&compared.changes).into_iter().filter(is_open) {
            plan.blockers.push(Blocker::refused(
                format!("{file} needs a value for the new key {key}: its default is a placeholder"),
                format!("run this on a terminal to be asked, or add {key}= to {}", full.display()),
            ));
        }
        // The plan at a terminal shows the warning, and whoever approves it has decided.
        for key in compared.stale.iter().filter(|_| !request.attended) {
            plan.blockers.push(Blocker::refused(
                format!("{file} still has the old default of {key}, and upstream now asks for a value of your own"),
                format!("set {key}= in {}, or approve the plan on a terminal if it is meant to stay", full.display()),
            ));
        }
        let rewritten = compared.merged != mine.bytes;
        let merged = mine.with_bytes(compared.merged);
        let after = merged.image.sha256.clone();
        if rewritten {
            swaps.push(FileSwap {
                path: file.clone().into(),
                before: Some(contents.keep(mine)),
                after: Some(contents.keep(&merged)),
            });
        }
        plans.push(EnvPlan { file, changes: compared.changes, rewritten, after });
    }
    Ok((plans, swaps))
}

fn tree(install: &Install, survey: &Survey, offer: &Offer, contents: &mut Contents) -> Option<Action> {
    let present = Goal { revision: survey.checkout.head.clone(), cone: survey.checkout.cone.clone() };
    let goal = Goal { revision: offer.to.revision.clone(), cone: survey.goal_cone(install) };
    if goal == present {
        return None;
    }
    let aside = |(path, content): &(std::path::PathBuf, Content)| SetAside {
        path: path.clone(),
        image: contents.keep(content),
    };
    Some(Action::Tree(Tree {
        label: offer.to.short(),
        branch: survey.checkout.branch.clone(),
        is_forward: offer.direction == Direction::Forward,
        set_aside: survey.discarded.iter().map(aside).collect(),
        from: present,
        to: goal,
    }))
}

fn artifact_actions(subject: &Subject, request: &Request, runs_steps: bool) -> Vec<Action> {
    let mut actions = Vec::new();
    for (artifact, is_there) in subject.component.artifacts.iter().zip(&subject.surveyed.artifacts) {
        let path = artifact.below(&subject.component.path);
        let install = request
            .restore
            .artifacts
            .iter()
            .find(|(known, _)| known == path.as_str())
            .map(|(_, archive)| archive.clone());
        if install.is_none() && !runs_steps {
            continue;
        }
        let saved = is_there.then(|| format!("{}.tar", path.as_str().replace('/', "-")));
        actions.push(Action::Artifact(Artifact {
            component: subject.component.name.clone(),
            path: path.as_str().into(),
            saved,
            install,
        }));
    }
    actions
}

fn gate(subject: &Subject, units: &[super::UnitPlan]) -> GatePlan {
    let is_up = |unit: &&super::UnitPlan| unit.service != ServiceChange::LeftAlone && !unit.is_dormant;
    GatePlan {
        component: subject.component.name.clone(),
        units: units.iter().filter(is_up).map(|unit| (unit.scope, unit.name.clone())).collect(),
        probes: subject.component.health.len(),
        version: subject.offer.to_version.clone(),
        changes: subject.tree_changed()
            || subject.env_changed
            || units.iter().any(|unit| unit.service != ServiceChange::Untouched),
    }
}

fn release_notes(offer: &ComponentOffer, intent: Intent) -> Vec<notes::ReleaseNote> {
    let parse = |version: &Option<String>| version.as_deref().and_then(|text| semver::Version::parse(text).ok());
    let (from, to) = (parse(&offer.from_version), parse(&offer.to_version));
    let Some(changelog) = &offer.changelog else { return Vec::new() };
    match intent {
        Intent::Rollback => notes::between(changelog, to.as_ref(), from.as_ref(), false),
        // A branch may be ahead of its newest heading.
        Intent::Upgrade if offer.changed.is_empty() => Vec::new(),
        Intent::Upgrade if from == to => notes::between(changelog, to.as_ref(), to.as_ref(), true),
        Intent::Upgrade => notes::between(changelog, from.as_ref(), to.as_ref(), true),
    }
}

/// What is possible, but must not be: policy, versions, irreversible steps.
fn judge(install: &Install, survey: &Survey, offer: &Offer, request: &Request, plan: &mut Plan) {
    let Source::Git(source) = &install.source;
    if offer.direction == Direction::Back && request.intent == Intent::Upgrade {
        plan.blockers.push(Blocker::refused(
            format!("{} is older than what is installed", offer.to.short()),
            format!(
                "go back to a known-good release: relift rollback {}; what there is: relift status {}",
                install.name, install.name
            ),
        ));
    }
    plan.blockers.extend(lockstep::broken(install, survey, offer, &request.only));
    if request.intent == Intent::Rollback {
        let steps = plan.irreversible().join(", ");
        if !steps.is_empty() && !request.allow_irreversible {
            plan.blockers.push(Blocker::refused(
                format!("a step ran for the newer release, and nothing undoes it: {steps}"),
                "where the older release copes with what it did, pass --allow-irreversible",
            ));
        }
        return;
    }
    plan.blockers.extend(lockstep::major_steps(plan, request.is_explicit));
    if let (Some(range), false) = (&source.allow, request.is_explicit) {
        plan.blockers.extend(lockstep::outside(plan, range));
    }
    if request.unattended {
        plan.blockers.extend(lockstep::beyond(plan, install.policy.unattended));
    }
    let irreversible = plan.irreversible().join(", ");
    if !irreversible.is_empty() && (!request.allow_irreversible || request.unattended) {
        plan.blockers.push(Blocker::refused(
            format!("nothing undoes this step: {irreversible}"),
            "declare its `undo` in the manifest, or pass --allow-irreversible on a terminal",
        ));
    }
    if survey.checkout.has_submodules {
        plan.warnings.push("the checkout has submodules, which are left as they are".into());
    }
    let shown = abbreviate(&offer.to.revision);
    if let Some(failed) = survey.failed.iter().find(|failed| failed.revision == offer.to.revision) {
        plan.warnings.push(format!("{shown} failed here before (run {}): {}", failed.run, failed.why));
    }
}
