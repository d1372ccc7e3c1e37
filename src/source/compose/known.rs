//! Which releases there are, and which one is here.

use std::path::Path;

use git2::Repository;
use semver::Version;

use super::super::git::{Mirror, Target};
use super::super::snapshot::{self, Entry};
use super::Project;
use super::project::pins;
use super::registry::Repository as Registry;
use super::release::{self, Pin};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::manifest::{ComposeImage, ComposeSource, ImageTag};
use crate::source::Place;

/// The name under which the mirror knows the release that is offered.
pub const NEWEST: &str = "newest";

/// A release of the mirror as a target.
pub fn target(repository: &Repository, revision: String) -> Target {
    let label = snapshot::meta(repository, &revision).map(|meta| meta.version);
    Target { revision, label }
}

/// The version that is meant: a tag of the shape that is followed, or a version.
pub fn bare(source: &ComposeSource, to: &str) -> String {
    let shapes = source.images.iter().filter_map(|image| match &image.follow {
        ImageTag::Shape(shape) => shape.version(to),
        ImageTag::Moving(_) => None,
    });
    shapes.map(|version| version.to_string()).next().unwrap_or_else(|| to.to_owned())
}

/// Asks for the newest release.
pub fn newest(source: &ComposeSource, mirror: &Mirror) -> Result<Target> {
    import(source, mirror, None)
}

/// Asks for a release, or for the newest, and writes it into the mirror.
pub fn import(source: &ComposeSource, mirror: &Mirror, version: Option<&str>) -> Result<Target> {
    let (mut named, mut files) = (None, Vec::new());
    if let Some(reference) = &source.reference {
        let (version, found) = reference_of(source, reference, version)?;
        (named, files) = (Some(version), found);
    }
    // Images of the same release: what the reference says counts where it says a version.
    let wanted = version.map(str::to_owned).or(named.clone().filter(|named| Version::parse(named).is_ok()));
    let mut pinned = Vec::new();
    for image in &source.images {
        let (version, tag, digest) = found(source, image, wanted.as_deref())?;
        named = named.or(Some(version));
        pinned.extend(image.services.iter().map(|service| Pin {
            service: service.clone(),
            image: image.name.clone(),
            tag: tag.clone(),
            digest: digest.clone(),
        }));
    }
    let version = named.unwrap_or_default();
    let revision = release::write(mirror.repository(), &version, &files, &pinned)?;
    if Version::parse(&version).is_ok() {
        snapshot::name(mirror.repository(), &format!("version/{version}"), &revision)?;
    }
    Ok(Target { revision, label: Some(version) })
}

/// The reference files of a version, or of the newest that may be taken.
fn reference_of(source: &ComposeSource, reference: &str, version: Option<&str>) -> Result<(String, Vec<Entry>)> {
    let found = release::versions(reference)?;
    let is_wanted = |known: &str| match (version, Version::parse(known)) {
        (Some(version), _) => known == version,
        (None, Ok(known)) if reference.contains("{version}") => admits(source, &known),
        (None, _) => true,
    };
    let Some((known, directory)) = found.into_iter().rfind(|(known, _)| is_wanted(known)) else {
        let which = version.map_or("a release".to_owned(), |version| format!("the release {version}"));
        return Err(Error::failed(format!("the reference files of {which} are not in {reference}"))
            .hint("install what brings them, or correct `reference` and `allow` in the manifest"));
    };
    Ok((known, release::reference(&directory)?))
}

fn admits(source: &ComposeSource, version: &Version) -> bool {
    source.allow.as_ref().map_or(version.pre.is_empty(), |range| range.matches(version))
}

/// What the registry has of an image: version, tag and digest.
fn found(source: &ComposeSource, image: &ComposeImage, wanted: Option<&str>) -> Result<(String, String, String)> {
    let registry = Registry::of(&image.name);
    let (version, tag) = match (&image.follow, wanted.and_then(|wanted| Version::parse(wanted).ok())) {
        (ImageTag::Moving(tag), _) => {
            let digest = registry.digest(tag)?;
            let short = digest.get(7..15).unwrap_or_default().to_owned();
            return Ok((format!("{tag}-{short}"), tag.clone(), digest));
        }
        (ImageTag::Shape(shape), Some(version)) => (version.to_string(), shape.tag(&version)),
        (ImageTag::Shape(shape), None) => {
            let tags = registry.tags()?;
            let versions = tags.iter().filter_map(|tag| shape.version(tag)).filter(|version| admits(source, version));
            let newest = versions.max().ok_or_else(|| {
                Error::failed(format!("{} has no tag of the shape {shape}", image.name))
                    .hint("correct `tags` or `allow` in the manifest")
            })?;
            (newest.to_string(), shape.tag(&newest))
        }
    };
    let digest = registry.digest(&tag)?;
    Ok((version, tag, digest))
}

/// The release that is here, as a commit of the mirror.
pub fn present(source: &ComposeSource, place: &Place, mirror: &Mirror) -> Result<String> {
    let repository = mirror.repository();
    let activated = Ledger::below(place.state).activated()?;
    let activated = activated.components.values().map(|activation| activation.revision.clone()).next();
    let pinned = pinned(&pins(place.state));
    if let Some(activated) = activated.filter(|revision| snapshot::meta(repository, revision).is_some()) {
        let (files, images) = release::apart(release::files(repository, &activated)?);
        let same = |a: &[Pin], b: &[Pin]| {
            let key = |pins: &[Pin]| {
                let mut keys: Vec<_> = pins.iter().map(|pin| (pin.service.clone(), pin.reference())).collect();
                keys.sort();
                keys
            };
            key(a) == key(b)
        };
        return match pinned {
            Some(pinned) if !same(&pinned, &images) => release::write(repository, "unknown", &files, &pinned),
            _ => Ok(activated),
        };
    }
    let running = match pinned {
        Some(pinned) => pinned,
        None => running(source, place)?,
    };
    first(source, place, mirror, &running)
}

/// The pins of our own override; `None`: there is none.
fn pinned(path: &Path) -> Option<Vec<Pin>> {
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    let services = told["services"].as_object()?;
    let pin = |(service, told): (&String, &serde_json::Value)| {
        let (image, digest) = told["image"].as_str()?.split_once('@')?;
        let tag = told["x-relift-tag"].as_str()?.to_owned();
        Some(Pin { service: service.clone(), image: image.into(), tag, digest: digest.into() })
    };
    Some(services.iter().filter_map(pin).collect())
}

/// What the containers run of the images that are followed.
fn running(source: &ComposeSource, place: &Place) -> Result<Vec<Pin>> {
    if source.images.is_empty() {
        return Ok(Vec::new());
    }
    let project = Project::of(source, place)?;
    project.answers()?;
    let containers = project.containers()?;
    let mut found = Vec::new();
    for image in &source.images {
        for service in &image.services {
            let Some(container) = containers.iter().find(|container| container.service == *service) else {
                return Err(Error::failed(format!("the service {service} of {} has no container", source.project))
                    .because("which release is here is known only when it was started once")
                    .hint(format!("start it: cd {} && {}", project.root.display(), project.by_hand(false))));
            };
            let told = project.image(&container.image)?.unwrap_or_default();
            let digests = told["RepoDigests"].as_array().cloned().unwrap_or_default();
            let digest = digests.iter().filter_map(|digest| digest.as_str()?.split_once('@'));
            let digest = digest.filter(|(name, _)| *name == image.name).map(|(_, digest)| digest.to_owned()).next();
            let digest = digest.ok_or_else(|| {
                Error::failed(format!("what {service} runs is no image of {}", image.name))
                    .because(format!("its image is {}", container.named))
                    .hint("correct `name` under [[source.compose.image]], or pull that image and start the service with it")
            })?;
            let tag = container.named.rsplit_once(':').map(|(_, tag)| tag).filter(|tag| !tag.contains('/'));
            let tag = tag.unwrap_or("latest").to_owned();
            found.push(Pin { service: service.clone(), image: image.name.clone(), tag, digest });
        }
    }
    Ok(found)
}

/// The release that a host begins with: the reference files that its own stem from, and the images that run.
fn first(source: &ComposeSource, place: &Place, mirror: &Mirror, running: &[Pin]) -> Result<String> {
    let mut named = None;
    let mut files = Vec::new();
    if let Some(reference) = &source.reference {
        let known = release::versions(reference)?;
        let mut matching = None;
        for (version, directory) in known {
            let entries = release::reference(&directory)?;
            let is_here = |entry: &Entry| {
                std::fs::read(place.install.root.join(&entry.path)).is_ok_and(|bytes| bytes == entry.bytes)
            };
            let is_it = match &source.adopt {
                Some(adopt) => *adopt == version,
                None => entries.iter().filter(|entry| is_compose(source, &entry.path)).all(is_here),
            };
            if is_it {
                matching = Some((version, entries));
            }
        }
        if let Some((version, entries)) = matching {
            (named, files) = (Some(version), entries);
        } else if let Some(kept) = snapshot::named(mirror.repository(), ADOPTED) {
            // Noted when its reference files were here still.
            return Ok(kept);
        }
    }
    let of_image = source.images.first().zip(running.first()).map(|(image, pin)| match &image.follow {
        ImageTag::Shape(shape) => shape.version(&pin.tag).map_or("unknown".into(), |version| version.to_string()),
        ImageTag::Moving(tag) => format!("{tag}-{}", pin.digest.get(7..15).unwrap_or_default()),
    });
    let is_known = named.is_some();
    let version = named.or(of_image).unwrap_or_else(|| "unknown".into());
    let revision = release::write(mirror.repository(), &version, &files, running)?;
    if is_known {
        snapshot::name(mirror.repository(), ADOPTED, &revision)?;
    }
    Ok(revision)
}

/// The name under which the mirror knows what a host began with.
const ADOPTED: &str = "adopted";

/// Whether a reference file is one of the project's Compose files.
fn is_compose(source: &ComposeSource, path: &str) -> bool {
    source.files.iter().any(|file| file.as_str() == path)
}
