//! A release of a Compose project: the reference files under their names, and `images`, a line for each pinned service.

use std::path::{Path, PathBuf};

use git2::{ObjectType, Oid, Repository, TreeWalkMode, TreeWalkResult};

use crate::error::{Context, Error, Result};
use crate::source::snapshot::{self, Entry, EntryKind, Meta};

/// The file of a release that names its images.
pub const IMAGES: &str = "images";
/// The largest reference file, and how many there may be: they are configuration.
const LARGEST: u64 = 4 << 20;
const MOST: usize = 500;

/// An image that a service runs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin {
    /// The service.
    pub service: String,
    /// Registry and repository.
    pub image: String,
    /// The tag by which it was found.
    pub tag: String,
    /// `sha256:...`, of the manifest.
    pub digest: String,
}

impl Pin {
    /// The image by its digest.
    pub fn reference(&self) -> String {
        format!("{}@{}", self.image, self.digest)
    }

    /// As the plan shows it: the tag, and the first digits of the digest.
    pub fn words(&self) -> String {
        let digest = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        format!("{} ({})", self.tag, digest.get(..12).unwrap_or(digest))
    }
}

/// The lines of `images`.
pub fn lines(pins: &[Pin]) -> String {
    let mut pins: Vec<&Pin> = pins.iter().collect();
    pins.sort();
    pins.iter().map(|pin| format!("{} {} {} {}\n", pin.service, pin.image, pin.tag, pin.digest)).collect()
}

/// What [`lines`] wrote.
pub fn pins(text: &str) -> Vec<Pin> {
    let pin = |line: &str| {
        let mut words = line.split(' ').map(str::to_owned);
        Some(Pin { service: words.next()?, image: words.next()?, tag: words.next()?, digest: words.next()? })
    };
    text.lines().filter_map(pin).collect()
}

/// Our own Compose file that pins images: JSON, which is YAML as well.
pub fn overriding(pins: &[Pin]) -> String {
    let mut services = serde_json::Map::new();
    for pin in pins {
        services.insert(pin.service.clone(), serde_json::json!({ "image": pin.reference(), "x-relift-tag": pin.tag }));
    }
    let mut text = serde_json::to_string_pretty(&serde_json::json!({ "services": services })).unwrap_or_default();
    text.push('\n');
    text
}

/// Writes a release into the mirror and gives its commit.
pub fn write(repository: &Repository, version: &str, files: &[Entry], pins: &[Pin]) -> Result<String> {
    let images = (!pins.is_empty()).then(|| Entry {
        path: IMAGES.into(),
        kind: EntryKind::File,
        bytes: lines(pins).into_bytes(),
    });
    let mut identity: Vec<String> = pins.iter().map(Pin::reference).collect();
    identity.sort();
    identity.dedup();
    let meta = Meta { snapshot: snapshot::FORMAT, version: version.to_owned(), identity, empty: Vec::new(), time: 0 };
    let entries = files.iter().cloned().chain(images).map(Ok);
    Ok(snapshot::write(repository, entries, &meta)?.to_string())
}

/// The files of a release in the mirror, `images` among them.
pub fn files(repository: &Repository, revision: &str) -> Result<Vec<Entry>> {
    let failed = "the mirror cannot be read";
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let tree = repository.find_commit(oid).and_then(|commit| commit.tree()).context(failed)?;
    let mut found = Vec::new();
    tree.walk(TreeWalkMode::PreOrder, |parent, entry| {
        if let (Some(ObjectType::Blob), Ok(blob)) = (entry.kind(), repository.find_blob(entry.id())) {
            let path = format!("{parent}{}", String::from_utf8_lossy(entry.name_bytes()));
            let kind = if entry.filemode() == 0o100755 { EntryKind::Program } else { EntryKind::File };
            found.push(Entry { path, kind, bytes: blob.content().to_vec() });
        }
        TreeWalkResult::Ok
    })
    .context(failed)?;
    Ok(found)
}

/// Takes `images` out of the files of a release.
pub fn apart(files: Vec<Entry>) -> (Vec<Entry>, Vec<Pin>) {
    let (images, files): (Vec<_>, Vec<_>) = files.into_iter().partition(|entry| entry.path == IMAGES);
    let text = images.first().map(|entry| String::from_utf8_lossy(&entry.bytes).into_owned());
    (files, pins(&text.unwrap_or_default()))
}

/// Reads the reference files of a version from their directory.
pub fn reference(directory: &Path) -> Result<Vec<Entry>> {
    let mut found = Vec::new();
    collect(directory, Path::new(""), &mut found)?;
    if found.is_empty() {
        return Err(Error::failed(format!("there are no reference files in {}", directory.display())));
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn collect(top: &Path, below: &Path, found: &mut Vec<Entry>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let directory = top.join(below);
    let failed = || format!("the reference files in {} cannot be read", directory.display());
    for entry in std::fs::read_dir(&directory).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        let (path, kind) = (below.join(entry.file_name()), entry.file_type().with_context(failed)?);
        if kind.is_dir() && entry.file_name() != ".git" {
            collect(top, &path, found)?;
        } else if kind.is_file() && path != Path::new(IMAGES) {
            let meta = entry.metadata().with_context(failed)?;
            if meta.len() > LARGEST || found.len() >= MOST {
                return Err(Error::failed(format!("{} is no directory of reference files", top.display()))
                    .because(format!("{} is too large, or they are too many", path.display()))
                    .hint("correct `reference` in the manifest"));
            }
            let kind = if meta.permissions().mode() & 0o100 == 0 { EntryKind::File } else { EntryKind::Program };
            let bytes = std::fs::read(entry.path()).with_context(failed)?;
            found.push(Entry { path: path.to_string_lossy().into_owned(), kind, bytes });
        }
    }
    Ok(())
}

/// The versions whose reference files are on this host, each with its directory.
pub fn versions(reference: &str) -> Result<Vec<(String, PathBuf)>> {
    let Some((before, after)) = reference.split_once("{version}") else {
        let directory = PathBuf::from(reference);
        let named = std::fs::read_to_string(directory.join("VERSION")).unwrap_or_default();
        if !directory.is_dir() {
            return Err(Error::failed(format!("the reference files are not there: {reference}"))
                .hint("install what brings them, or correct `reference` in the manifest"));
        }
        let version = if named.trim().is_empty() { "unversioned" } else { named.trim() };
        return Ok(vec![(version.to_owned(), directory)]);
    };
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let (suffix, rest) = after.split_once('/').map_or((after, ""), |(suffix, rest)| (suffix, rest));
    let parent = PathBuf::from(format!("{parent}/"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&parent).with_context(|| format!("{} cannot be read", parent.display()))? {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy().into_owned();
        let version = name.strip_prefix(prefix).and_then(|name| name.strip_suffix(suffix));
        let directory = entry.path().join(rest);
        if let Some(version) = version.filter(|version| semver::Version::parse(version).is_ok() && directory.is_dir()) {
            found.push((version.to_owned(), directory));
        }
    }
    found.sort_by_key(|(version, _)| semver::Version::parse(version).ok());
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(service: &str, digest: &str) -> Pin {
        Pin { service: service.into(), image: "r:5000/app".into(), tag: "v1.0.0".into(), digest: digest.into() }
    }

    #[test]
    fn images_come_back_as_they_were_written_whatever_their_order_was() {
        let (one, two) = (pin("web", "sha256:aa"), pin("job", "sha256:bb"));
        assert_eq!(lines(&[one.clone(), two.clone()]), lines(&[two.clone(), one.clone()]));
        assert_eq!(pins(&lines(&[one.clone(), two.clone()])), [two, one]);
    }

    #[test]
    fn the_override_names_images_by_digest_alone() {
        let text = overriding(&[pin("web", "sha256:aa")]);
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["services"]["web"]["image"], "r:5000/app@sha256:aa");
    }

    #[test]
    fn versions_are_found_in_the_name_of_a_directory() {
        let top = tempfile::tempdir().unwrap();
        for name in ["app-1.10.0/ref", "app-1.9.0/ref", "app-next/ref", "app-2.0.0"] {
            std::fs::create_dir_all(top.path().join(name)).unwrap();
        }
        let found = versions(&format!("{}/app-{{version}}/ref", top.path().display())).unwrap();
        let names: Vec<&str> = found.iter().map(|(version, _)| version.as_str()).collect();
        assert_eq!(names, ["1.9.0", "1.10.0"]);
    }
}
