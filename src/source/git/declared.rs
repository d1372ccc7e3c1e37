//! The files of a release that are read and not only switched: versions, changelogs, examples, units. Their content decides
//! what is planned, so they must be what they seem to be, and of a size that fits into memory many times over.

use std::path::Path;

use git2::{Commit, ObjectType, Repository, TreeEntry};

use crate::error::{Context, Error, Result};
use crate::manifest::Component;

/// The largest file that is read, in bytes. The largest changelog in use is well below; systemd reads lines of 1 MiB at most.
pub const LARGEST: usize = 8 << 20;

/// Makes sure that everything that is read of a component is there as a plain file of a bounded size, or not there.
///
/// # Errors
/// What is there otherwise, by its path.
pub fn readable(repository: &Repository, to: &Commit, component: &Component) -> Result<()> {
    let tree = to.tree().context("the mirror cannot be read")?;
    let units = component.units.iter().map(|unit| unit.file.as_str());
    let examples = component.env.iter().map(|env| env.example.as_str());
    let version = component.version.iter().map(|version| version.file.as_str());
    let changelog = component.changelog.iter().map(|path| path.as_str());
    for file in units.chain(examples).chain(version).chain(changelog) {
        let path = format!("{}/{file}", component.path);
        let Ok(entry) = tree.get_path(Path::new(&path)) else { continue };
        fits(repository, &entry).map_err(|what| {
            Error::failed(format!("{path} of the release {what}"))
                .hint("ask upstream for a release in which it is a plain file, or stay on this one")
        })?;
    }
    Ok(())
}

/// Whether an entry is a plain file that may be read; else what it is.
pub fn fits(repository: &Repository, entry: &TreeEntry) -> std::result::Result<(), String> {
    match (entry.kind(), entry.filemode() & 0o170_000) {
        (Some(ObjectType::Blob), 0o100_000) => {}
        (Some(ObjectType::Blob), 0o120_000) => return Err("is no plain file: it is a symbolic link".into()),
        (Some(ObjectType::Tree), _) => return Err("is no plain file: it is a directory".into()),
        (Some(ObjectType::Commit), _) => return Err("is no plain file: it is a submodule".into()),
        _ => return Err("is no plain file".into()),
    }
    // The header alone: the content of what is too large is never unpacked.
    let header = repository.odb().and_then(|objects| objects.read_header(entry.id()));
    match header {
        Ok((size, _)) if size > LARGEST => {
            Err(format!("has {} MiB, and at most {} MiB are read", size >> 20, LARGEST >> 20))
        }
        _ => Ok(()),
    }
}
