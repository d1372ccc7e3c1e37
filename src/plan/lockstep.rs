//! Versions against the rules: pairs that must share MAJOR.MINOR, major steps, ranges.

use semver::{Version, VersionReq};

use super::reach::read;
use super::{Blocker, ComponentPlan, Plan};
use crate::manifest::{Install, Reach};
use crate::source::Offer;
use crate::survey::Survey;

/// Pairs that would run side by side with different MAJOR.MINOR.
pub fn broken(install: &Install, survey: &Survey, offer: &Offer, only: &[String]) -> Vec<Blocker> {
    let version = |name: &String| {
        let mut installed = survey.installed(install).zip(&offer.components);
        let (_, offered) = installed.find(|((_, component, _), _)| component.name == *name)?;
        let moves = only.is_empty() || only.contains(name);
        let text = if moves { &offered.to_version } else { &offered.from_version };
        Some((name.clone(), read(text.as_deref())?))
    };
    let mut blockers = Vec::new();
    for group in &install.lockstep {
        let versions: Vec<(String, Version)> = group.iter().filter_map(version).collect();
        let differs = |(_, version): &&(String, Version)| {
            (version.major, version.minor) != (versions[0].1.major, versions[0].1.minor)
        };
        if let Some((name, version)) = versions.iter().find(differs) {
            let (first, with) = &versions[0];
            blockers.push(Blocker::refused(
                format!("{first} {with} and {name} {version} would run side by side, and must share MAJOR.MINOR"),
                "upgrade them together, to a release in which they agree",
            ));
        }
    }
    blockers
}

/// Components that would go up by a major version without the operator having named the target.
pub fn major_steps(plan: &Plan, is_explicit: bool) -> Vec<Blocker> {
    let steps =
        plan.components.iter().filter(|_| !is_explicit).filter_map(|component| Some((component, step(component)?)));
    steps
        .filter(|(_, step)| *step == Reach::Major)
        .map(|(component, _)| {
            Blocker::refused(
                format!("{} is a major step, which has its own guide", arrow(component)),
                format!(
                    "read the notes (relift plan), then name the target: relift upgrade {} --to {}",
                    plan.install,
                    plan.to.short()
                ),
            )
        })
        .collect()
}

/// Components that would leave the range that the manifest allows.
pub fn outside(plan: &Plan, range: &VersionReq) -> Vec<Blocker> {
    let parsed =
        plan.components.iter().filter_map(|component| Some((component, read(component.to_version.as_deref())?)));
    parsed
        .filter(|(_, version)| !range.matches(version))
        .map(|(component, _)| {
            Blocker::refused(
                format!("{} leaves the range {range} that the manifest allows", arrow(component)),
                format!("widen `allow`, or name the target: relift upgrade {} --to {}", plan.install, plan.to.short()),
            )
        })
        .collect()
}

/// How far a component goes up; `None` where a version is missing, is no semver, or did not go up.
fn step(component: &ComponentPlan) -> Option<Reach> {
    let from = read(component.from_version.as_deref())?;
    let to = read(component.to_version.as_deref())?;
    match () {
        () if to <= from => None,
        () if to.major != from.major => Some(Reach::Major),
        () if to.minor != from.minor => Some(Reach::Minor),
        () => Some(Reach::Patch),
    }
}

pub(super) fn arrow(component: &ComponentPlan) -> String {
    let text = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".into());
    format!("{} {} -> {}", component.name, text(&component.from_version), text(&component.to_version))
}
