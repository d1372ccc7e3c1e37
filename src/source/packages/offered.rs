//! What the repositories offer: which versions, and what getting there would do to the host.

use std::path::PathBuf;

use super::package::{Change, Package, Transaction};
use super::tool::{Available, Installed, Tool, store};
use super::version::{compare, semantic, upstream};
use super::{keep, leading, manager, merged, release, shown, tool};
use crate::action::{self, Action};
use crate::error::{Error, Result};
use crate::host::packages::matches;
use crate::manifest::PackagesSource;
use crate::plan::Blocker;
use crate::source::git::Mirror;
use crate::source::{Direction, Offer, Place, snapshot};
use crate::survey::Survey;

/// The versions to go to, sorted by name as what is here: the first package's newest that `allow` admits, or the named one; of the
/// others the same version where there is one, else the newest.
pub fn wanted(source: &PackagesSource, tool: &dyn Tool, here: &[Package], to: Option<&str>) -> Result<Vec<Package>> {
    let Some(first) = leading(source, here) else {
        return Err(Error::failed(format!("none of the packages is installed here: {}", source.packages.join(", ")))
            .hint("install the first version with the package manager; the ones that follow come by relift"));
    };
    let names: Vec<&str> = here.iter().map(|package| package.name.as_str()).collect();
    let all = tool.available(&names)?;
    let of = |name: &str| -> Vec<&Package> {
        all.iter().map(|one| &one.package).filter(|package| package.name == name).collect()
    };
    let newest = |found: Vec<&Package>| found.into_iter().max_by(|a, b| compare(&a.version, &b.version)).cloned();
    let offered = of(&first.name);
    let chosen = match to {
        Some(to) => {
            let exact: Vec<&Package> = offered.iter().copied().filter(|one| one.version == to).collect();
            let alike = || offered.iter().copied().filter(|one| upstream(&one.version) == to).collect();
            let is_here = first.version == to || upstream(&first.version) == to;
            let found = newest(if exact.is_empty() { alike() } else { exact });
            found.or_else(|| is_here.then(|| first.clone())).ok_or_else(|| no_version(source, first, to, &offered))?
        }
        None => {
            let is_allowed = |one: &&Package| {
                source
                    .allow
                    .as_ref()
                    .is_none_or(|range| semantic(&one.version).is_some_and(|version| range.matches(&version)))
            };
            let found = newest(offered.iter().copied().filter(is_allowed).collect());
            match found {
                // What is installed may be newer than all that there is, and stays.
                Some(found) if compare(&found.version, &first.version).is_gt() => found,
                _ => first.clone(),
            }
        }
    };
    let is_back = compare(&chosen.version, &first.version).is_lt();
    let follow = |package: &Package| {
        let offered = of(&package.name);
        let same = |alike: fn(&str) -> &str| {
            let alike = offered.iter().copied().filter(|one| alike(&one.version) == alike(&chosen.version));
            newest(alike.collect())
        };
        match () {
            () if package.name == first.name => chosen.clone(),
            () if chosen == *first && to.is_some() => package.clone(),
            () if let Some(found) = same(|version| version).or_else(|| same(upstream)) => found,
            () if is_back => package.clone(),
            () => newest(offered)
                .filter(|found| compare(&found.version, &package.version).is_gt())
                .unwrap_or(package.clone()),
        }
    };
    Ok(here.iter().map(follow).collect())
}

fn no_version(source: &PackagesSource, first: &Package, to: &str, offered: &[&Package]) -> Error {
    let mut versions: Vec<&str> = offered.iter().map(|one| one.version.as_str()).collect();
    versions.sort_by(|a, b| compare(b, a));
    versions.truncate(8);
    let there = match (versions.is_empty(), manager(source)) {
        (false, _) => versions.join(", "),
        (true, crate::manifest::PackageManager::Apt) => "none of it".to_owned(),
        (true, crate::manifest::PackageManager::Dnf) => {
            "none of it, unless it is excluded on this host: excludepkgs, dnf.conf(5)".to_owned()
        }
    };
    Error::failed(format!("the repositories have no {} {to}", first.name)).hint(format!("they have {there}"))
}

/// Adds the transaction to an offer: its changes, what is told of it, and what stops it.
pub fn complete(
    source: &PackagesSource,
    place: &Place,
    mirror: &Mirror,
    survey: &Survey,
    offer: &mut Offer,
) -> Result<()> {
    let tool = tool::tool(source, place)?;
    let tool = tool.as_ref();
    let (from, to) = (release::packages(mirror, &offer.from.revision), release::packages(mirror, &offer.to.revision));
    (offer.commits, offer.commits_total, offer.added) = (Vec::new(), 0, Vec::new());
    offer.lineage = snapshot::lineage(mirror.repository(), &offer.to.revision, &survey.known_good);
    offer.from.label = release::label(source, mirror, &offer.from.revision);
    offer.to.label = release::label(source, mirror, &offer.to.revision);
    offer.direction = direction(source, offer, &from, &to);
    versions(source, place, mirror, survey, offer);
    let installed = tool.installed()?;
    offer.blockers.extend(tool.trouble()?);
    // What is the same release may have lost its companions; what is installed counts.
    let is_here = |package: &&Package| installed.iter().any(|one| one.is_whole && one.package == **package);
    let goals: Vec<Package> = to.iter().filter(|one| !is_here(one)).cloned().collect();
    if goals.is_empty() || !offer.blockers.is_empty() {
        return Ok(());
    }
    let specs = with_companions(place, &installed, offer, goals.clone());
    let transaction = match tool.simulate(&specs) {
        Ok(transaction) => transaction,
        Err(error) => {
            let detail = error.detail.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ");
            offer.blockers.push(Blocker::impossible(
                format!("{}: {}", error.what, crate::text::harmless(&detail)),
                "allow the repository that has what is missing under `repositories`, or install that first",
            ));
            return Ok(());
        }
    };
    let names: Vec<&str> = transaction.changes.iter().map(|one| one.name.as_str()).collect();
    let mut available = tool.available(&names)?;
    for one in &mut available {
        if transaction.changes.iter().any(|change| change.to == one.package) {
            one.needs = tool.needs(one);
        }
    }
    offer.blockers.extend(stops(source, &transaction, &installed));
    offer.blockers.extend(room(place, tool, &transaction, &available)?);
    offer.sections.push(shown::packages(source, tool, place, &transaction, &available));
    let merged = merged::merged(source, place, mirror, tool, offer)?;
    offer.sections.extend(shown::conffiles(place, mirror, offer, tool, &merged));
    let automatic = tool.automatic()?;
    offer.changes.push(Action::Packages(action::Packages {
        manager: manager(source),
        label: leading(source, &to).map(Package::words).unwrap_or_default(),
        back: leading(source, &from).map(Package::words).unwrap_or_default(),
        automatic: names.iter().filter(|name| automatic.contains(**name)).map(|name| name.to_string()).collect(),
        without: without_way_back(place, tool, &transaction, &available),
        conffiles: watched(place, mirror, offer, tool, &transaction)?,
        keep: declared(place).into_iter().chain(merged.keys().cloned()).collect(),
        store: store(place.state),
        config: tool.config(),
        timeout: source.timeout.as_secs(),
        lock_timeout: source.lock_timeout.as_secs(),
        changes: transaction.changes,
    }));
    let write = merged::action(&merged, offer);
    offer.changes.extend(write);
    Ok(())
}

fn direction(source: &PackagesSource, offer: &Offer, from: &[Package], to: &[Package]) -> Direction {
    let versions = leading(source, from).zip(leading(source, to));
    match versions.map(|(from, to)| compare(&from.version, &to.version)) {
        _ if offer.from.revision == offer.to.revision => Direction::Same,
        Some(std::cmp::Ordering::Greater) => Direction::Back,
        _ => Direction::Forward,
    }
}

/// Versions of the components are those of their packages, and only what is of a component's packages changes it.
fn versions(source: &PackagesSource, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) {
    let (from, to) = (offer.from.revision.clone(), offer.to.revision.clone());
    for ((_, component, surveyed), offered) in survey.installed(place.install).zip(&mut offer.components) {
        let base = surveyed.activation.as_ref().map_or(&from, |activation| &activation.revision);
        let of = |revision: &str| -> Vec<Package> {
            let all = release::packages(mirror, revision);
            all.into_iter().filter(|package| release::is_of(component, &package.name)).collect()
        };
        let version = |packages: &[Package]| leading(source, packages).map(|one| upstream(&one.version).to_owned());
        let (old, new) = (of(base), of(&to));
        if component.version.is_none() {
            (offered.from_version, offered.to_version) = (version(&old), version(&new));
        }
        if old == new {
            offered.changed.clear();
        }
    }
}

/// What else was changed with the release when a run went away from it, where that is not as it was then.
fn with_companions(place: &Place, installed: &[Installed], offer: &Offer, mut goals: Vec<Package>) -> Vec<Package> {
    for package in keep::companions(place, &offer.to.revision) {
        let is_other = installed.iter().any(|one| one.package.name == package.name && one.package != package);
        if is_other && goals.iter().all(|goal| goal.name != package.name) {
            goals.push(package);
        }
    }
    goals
}

/// Removals, and what an operator holds.
fn stops(source: &PackagesSource, transaction: &Transaction, installed: &[Installed]) -> Vec<Blocker> {
    let mut found = Vec::new();
    if !transaction.removes.is_empty() {
        found.push(Blocker::impossible(
            format!("the transaction would remove {}", transaction.removes.join(", ")),
            "look at why, and remove it yourself where that is meant; relift removes no package",
        ));
    }
    let is_held = |one: &&Change| installed.iter().any(|here| here.is_held && here.package.name == one.name);
    for change in transaction.changes.iter().filter(is_held) {
        let release = match manager(source) {
            crate::manifest::PackageManager::Apt => format!("apt-mark unhold {}", change.name),
            crate::manifest::PackageManager::Dnf => format!("dnf versionlock delete {}", change.name),
        };
        found.push(Blocker::refused(
            format!("{} is held on this host", change.name),
            format!("where that is no longer meant: {release}"),
        ));
    }
    found
}

/// Whether there is room for the files and for what is in them.
fn room(place: &Place, tool: &dyn Tool, transaction: &Transaction, available: &[Available]) -> Result<Vec<Blocker>> {
    let of = |package: &Package| available.iter().find(|one| one.package == *package);
    let to_get = transaction.changes.iter().filter(|one| !keep::has(place, tool, &one.to));
    let download: u64 = to_get.filter_map(|one| of(&one.to)).map(|one| one.size).sum();
    let unpacked: u64 = transaction.changes.iter().filter_map(|one| of(&one.to)).map(|one| one.installed).sum();
    let mut found = Vec::new();
    // dpkg and rpm unpack beside what is there.
    for (need, at) in [(download, store(place.state)), (unpacked, PathBuf::from("/usr"))] {
        found.extend(keep::short_of(need, &at)?.map(|(what, hint)| Blocker::impossible(what, hint)));
    }
    Ok(found)
}

/// The packages that could not be put back.
fn without_way_back(place: &Place, tool: &dyn Tool, transaction: &Transaction, available: &[Available]) -> Vec<String> {
    let old = transaction.changes.iter().filter_map(|one| one.from.as_ref());
    let is_offered = |package: &Package| {
        available.iter().any(|one| one.package.name == package.name && one.package.version == package.version)
    };
    old.filter(|package| !keep::has(place, tool, package) && !is_offered(package)).map(Package::words).collect()
}

/// Every configuration file that the transaction may touch, absolute.
fn watched(
    place: &Place,
    mirror: &Mirror,
    offer: &Offer,
    tool: &dyn Tool,
    transaction: &Transaction,
) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for change in &transaction.changes {
        if change.from.is_some() {
            found.extend(tool.conffile_paths(&change.name)?);
        }
        if let Some(file) = keep::file(place, tool, &change.to) {
            found.extend(tool.conffiles(&file)?.into_iter().map(|(path, _)| PathBuf::from(path)));
        }
    }
    for component in &place.install.components {
        found.extend(release::conffiles(mirror, &offer.to.revision, component).into_keys());
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The configuration files that relift itself merges, absolute: the package manager's version of them is not what stays.
pub(super) fn declared(place: &Place) -> Vec<PathBuf> {
    let files = place
        .install
        .components
        .iter()
        .flat_map(|component| component.env.iter().map(move |env| env.file.below(&component.path)));
    files.map(|file| place.install.root.join(file.as_str())).collect()
}

/// Whether a package is one of the named.
pub(super) fn is_named(source: &PackagesSource, name: &str) -> bool {
    source.packages.iter().any(|pattern| matches(pattern, name))
}
