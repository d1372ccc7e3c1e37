//! Releases in the mirror: which packages, and their configuration files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::package::Package;
use super::tool::{Conffile, Tool};
use super::version::semantic;
use super::{keep, leading};
use crate::error::{Error, Result};
use crate::host::fs::sha256;
use crate::host::packages::matches;
use crate::manifest::{Component, Install, PackagesSource, Source};
use crate::source::Place;
use crate::source::git::Mirror;
use crate::source::snapshot::{self, Entry, EntryKind, FORMAT, Meta};

/// Whether a package belongs to a component.
pub fn is_of(component: &Component, name: &str) -> bool {
    component.packages.is_empty() || component.packages.iter().any(|pattern| matches(pattern, name))
}

/// The release of these packages, where the mirror has it.
pub fn known(place: &Place, mirror: &Mirror, packages: &[Package]) -> Option<String> {
    snapshot::named(mirror.repository(), &key(place.install, packages))
}

/// The release of these packages, made of what is at hand of them.
pub fn import(place: &Place, mirror: &Mirror, tool: &dyn Tool, packages: &[Package]) -> Result<String> {
    let mut conffiles = BTreeMap::new();
    for package in packages {
        let found = match keep::file(place, tool, package) {
            Some(file) => tool.conffiles(&file)?,
            None => Vec::new(),
        };
        conffiles.insert(package.name.clone(), found);
    }
    let revision = write(place, mirror, packages, &conffiles)?;
    if let Some(by) = tool.vouched() {
        snapshot::vouch(mirror.repository(), &revision, &by)?;
    }
    Ok(revision)
}

/// The release that is installed. Where there is no file of a package, what was not edited of its configuration is taken from the host.
pub fn observed(place: &Place, mirror: &Mirror, tool: &dyn Tool, packages: &[Package]) -> Result<String> {
    if let Some(revision) = known(place, mirror, packages) {
        return Ok(revision);
    }
    let mut conffiles = BTreeMap::new();
    for package in packages {
        let found = match keep::file(place, tool, package) {
            Some(file) => tool.conffiles(&file)?,
            None => tool.shipped(package)?,
        };
        conffiles.insert(package.name.clone(), found);
    }
    write(place, mirror, packages, &conffiles)
}

/// The packages of a release, sorted; none where the commit is none of ours.
pub fn packages(mirror: &Mirror, revision: &str) -> Vec<Package> {
    let meta = snapshot::meta(mirror.repository(), revision);
    meta.map(|meta| meta.identity.iter().filter_map(|line| Package::parse(line)).collect()).unwrap_or_default()
}

/// What a release is called: the version of its first package, as the package manager has it.
pub fn label(source: &PackagesSource, mirror: &Mirror, revision: &str) -> Option<String> {
    leading(source, &packages(mirror, revision)).map(|package| package.version.clone())
}

/// The configuration files of a component in a release, absolute.
pub fn conffiles(mirror: &Mirror, revision: &str, component: &Component) -> BTreeMap<PathBuf, Vec<u8>> {
    let below = component.path.join("conffiles");
    let mut found = BTreeMap::new();
    let repository = mirror.repository();
    let tree = git2::Oid::from_str(revision).and_then(|oid| {
        repository.find_commit(oid)?.tree()?.get_path(below.as_ref())?.to_object(repository)?.peel_to_tree()
    });
    let Ok(tree) = tree else { return found };
    let visit = |parent: &str, entry: &git2::TreeEntry| {
        if let Ok(blob) = repository.find_blob(entry.id()) {
            let path = format!("/{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
            found.insert(PathBuf::from(path), blob.content().to_vec());
        }
        git2::TreeWalkResult::Ok
    };
    tree.walk(git2::TreeWalkMode::PreOrder, visit).unwrap_or_default();
    found
}

/// What the same packages of the same manifest are found by.
fn key(install: &Install, packages: &[Package]) -> String {
    let layout = install.components.iter().map(|one| format!("{} {}", one.path, one.packages.join(",")));
    let lines: Vec<String> = layout.chain(packages.iter().map(ToString::to_string)).collect();
    format!("packages/{}", sha256(lines.join("\n").as_bytes()))
}

fn write(
    place: &Place,
    mirror: &Mirror,
    packages: &[Package],
    conffiles: &BTreeMap<String, Vec<Conffile>>,
) -> Result<String> {
    let mut entries = BTreeMap::new();
    for component in &place.install.components {
        let path = component.path.join("packages");
        let text: &mut Vec<u8> = entries.entry(path).or_default();
        let mut lines: Vec<String> = String::from_utf8_lossy(text).lines().map(str::to_owned).collect();
        lines.extend(packages.iter().filter(|one| is_of(component, &one.name)).map(ToString::to_string));
        lines.sort();
        lines.dedup();
        *text = lines.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
        for package in packages.iter().filter(|one| is_of(component, &one.name)) {
            for (path, bytes) in conffiles.get(&package.name).into_iter().flatten() {
                entries.insert(component.path.join(&format!("conffiles{path}")), bytes.clone());
            }
        }
    }
    let Source::Packages(source) = &place.install.source else {
        return Err(Error::failed(format!("{} is not made of packages", place.install.name)));
    };
    let version = leading(source, packages).map(|one| one.version.clone()).unwrap_or_default();
    let version = semantic(&version).map_or(version, |semantic| semantic.to_string());
    let meta = Meta {
        snapshot: FORMAT,
        version,
        identity: packages.iter().map(ToString::to_string).collect(),
        empty: Vec::new(),
        time: 0,
    };
    let entries = entries.into_iter().map(|(path, bytes)| Ok(Entry { path, kind: EntryKind::File, bytes }));
    let revision = snapshot::write(mirror.repository(), entries, &meta)?.to_string();
    let key = key(place.install, packages);
    // Two of us may find the same at once: what they write is the same.
    match snapshot::name(mirror.repository(), &key, &revision) {
        Err(error) if snapshot::named(mirror.repository(), &key).as_deref() != Some(&revision) => Err(error),
        _ => Ok(revision),
    }
}
