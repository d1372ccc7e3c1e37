//! The floor: what was proven here is not left for something older by itself.

use std::collections::BTreeMap;

use git2::{Oid, Repository};
use semver::Version;

use crate::ledger::KnownGood;

/// How a target lies to the known-good releases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The newest known-good release that the target is only an ancestor of.
    pub behind: Option<String>,
    /// The last known-good release, where the target does not descend from it.
    pub beside: Option<String>,
}

/// Looks it up in the mirror. What the mirror does not have counts as not descended from.
pub fn lineage(repository: &Repository, target: &str, known_good: &[KnownGood]) -> Lineage {
    let Ok(target) = Oid::from_str(target) else { return Lineage::default() };
    let descends = |child, parent| repository.graph_descendant_of(child, parent).unwrap_or(false);
    let id = |entry: &KnownGood| Oid::from_str(&entry.revision).ok();
    let behind = known_good.iter().rev().find(|entry| id(entry).is_some_and(|known| descends(known, target)));
    let beside =
        known_good.last().filter(|entry| id(entry).is_none_or(|known| known != target && !descends(target, known)));
    Lineage { behind: behind.map(|entry| entry.tag.clone()), beside: beside.map(|entry| entry.tag.clone()) }
}

/// A component whose version in the target is lower than one that was proven here, in words.
pub fn below<'a>(
    versions: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    known_good: &[KnownGood],
) -> Option<String> {
    let parse = |text: &str| Version::parse(text).ok();
    let mut floor: BTreeMap<&str, Version> = BTreeMap::new();
    for (name, version) in known_good.iter().flat_map(|entry| &entry.versions) {
        let Some(version) = parse(version) else { continue };
        let highest = floor.entry(name).or_insert_with(|| version.clone());
        *highest = version.max(highest.clone());
    }
    versions.into_iter().find_map(|(name, version)| {
        let (version, floor) = (parse(version?)?, floor.get(name)?);
        (version < *floor).then(|| format!("{name} {version} is below {floor}, which was proven here"))
    })
}
