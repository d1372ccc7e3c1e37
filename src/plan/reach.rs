//! How far a run goes, and what it may not do without anybody being asked.

use semver::Version;

use super::{Blocker, ComponentPlan, Plan, abbreviate, judge};
use crate::manifest::{EnvPolicy, Install, Reach};

/// Everything that keeps a plan from being executed by itself: what stops it anyway, and what is left to a person.
pub fn by_itself(install: &Install, plan: &Plan) -> Vec<Blocker> {
    let mut found = plan.blockers.clone();
    let more = beyond(plan, install.policy.unattended);
    let more = more
        .into_iter()
        .chain(judge::unvouched(install, &plan.standing, &plan.to.revision))
        .chain(judge::past_return(plan))
        .chain(new_keys(install, plan));
    for blocker in more {
        if found.iter().all(|known| known.what != blocker.what) {
            found.push(blocker);
        }
    }
    found
}

/// What `[policy] env = "stop"` stops.
fn new_keys(install: &Install, plan: &Plan) -> Vec<Blocker> {
    let files = plan.components.iter().flat_map(|component| &component.env);
    let files = files.filter(|_| install.policy.env == EnvPolicy::Stop);
    files.filter_map(|file| super::configuration::stopped(&install.name, &file.file, &file.changes)).collect()
}

/// Components that would go further than a run by itself may: of several, the one that goes furthest counts.
pub(super) fn beyond(plan: &Plan, reach: Reach) -> Vec<Blocker> {
    let steps = plan.components.iter().map(|component| (component, step(component, plan)));
    steps
        .filter_map(|(component, step)| {
            let policy = format!("unattended = \"{}\"", format!("{reach:?}").to_lowercase());
            let why = match step {
                Step::Up(step) if step <= reach => return None,
                Step::Up(_) => format!("is more than an unattended run may do ({policy})"),
                Step::Unknown if reach == Reach::Major => return None,
                Step::Unknown => format!("cannot be told to be less than a major step ({policy})"),
                Step::Down => "goes back, which an unattended run never does".to_owned(),
                Step::PreRelease => {
                    "is a pre-release, which an unattended run takes only where one is installed".to_owned()
                }
            };
            Some(Blocker::refused(
                format!("{} {why}", super::lockstep::arrow(component)),
                format!("run it by hand: relift upgrade {}", plan.install),
            ))
        })
        .collect()
}

/// Where a component goes.
enum Step {
    /// Up, or nowhere.
    Up(Reach),
    /// To a version of lower precedence.
    Down,
    /// From a release to a pre-release.
    PreRelease,
    /// One of its versions is missing or cannot be read.
    Unknown,
}

fn step(component: &ComponentPlan, plan: &Plan) -> Step {
    let is_same = plan.from == plan.to;
    let (from, to) = match (&component.from_version, &component.to_version) {
        // Whatever it is called, nothing else is installed.
        _ if is_same && component.activated == plan.to.revision => return Step::Up(Reach::None),
        // It has no versions: its commits are all there is.
        (None, None) => return Step::Up(if is_same { Reach::None } else { Reach::Patch }),
        // No step that anybody called one, readable or not.
        (Some(from), Some(to)) if from == to => return Step::Up(if is_same { Reach::None } else { Reach::Patch }),
        (from, to) => (read(from.as_deref()), read(to.as_deref())),
    };
    let (Some(from), Some(to)) = (from, to) else { return Step::Unknown };
    match () {
        () if to.cmp_precedence(&from).is_lt() => Step::Down,
        () if !to.pre.is_empty() && from.pre.is_empty() => Step::PreRelease,
        () if to.major != from.major => Step::Up(Reach::Major),
        () if to.minor != from.minor => Step::Up(Reach::Minor),
        () => Step::Up(Reach::Patch),
    }
}

/// A version of a component. Packages often have but two numbers: 2.4 is 2.4.0.
pub(super) fn read(text: Option<&str>) -> Option<Version> {
    let text = text?;
    let is_short = text.split('.').count() == 2 && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    Version::parse(text).ok().or_else(|| is_short.then(|| Version::parse(&format!("{text}.0")).ok()).flatten())
}

/// The words for a release that failed here before with this configuration.
pub fn failed_before(revision: &str, run: &str, why: &str) -> String {
    format!("{} failed here before (run {run}): {why}", abbreviate(revision))
}
