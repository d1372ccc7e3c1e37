//! The repository's own manifest, read from the mirror.

use git2::{ObjectType, Oid};

use super::mirror::Mirror;
use crate::error::{Context, Error, Kind, Result};
use crate::manifest::{REPOSITORY_MANIFEST, REPOSITORY_MANIFEST_LONGEST, RepositoryManifest};
use crate::plan::abbreviate;

/// The manifest at the top of a revision; `None`: it has none. A link, a directory and what is too long are refused, unread.
pub fn repository_manifest(mirror: &Mirror, revision: &str) -> Result<Option<RepositoryManifest>> {
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let repository = mirror.repository();
    let tree = repository.find_commit(oid).and_then(|commit| commit.tree()).context("the target cannot be read")?;
    let Some(entry) = tree.get_name(REPOSITORY_MANIFEST) else { return Ok(None) };
    let title = format!("{REPOSITORY_MANIFEST} at {}", abbreviate(revision));
    let refused = |why: &str| {
        Error::new(Kind::Refused, format!("{title} is not read: {why}"))
            .hint("ask upstream to correct it, or let the host's manifest say it all: [source.git] manifest = false")
    };
    if entry.kind() != Some(ObjectType::Blob) || !matches!(entry.filemode(), 0o100644 | 0o100755 | 0o100664) {
        return Err(refused("it is no regular file"));
    }
    let (length, _) =
        repository.odb().and_then(|odb| odb.read_header(entry.id())).context("the mirror cannot be read")?;
    if length > REPOSITORY_MANIFEST_LONGEST {
        return Err(refused(&format!("it is longer than {} KiB", REPOSITORY_MANIFEST_LONGEST >> 10)));
    }
    let blob = repository.find_blob(entry.id()).context("the mirror cannot be read")?;
    match std::str::from_utf8(blob.content()) {
        Ok(text) => Ok(Some(RepositoryManifest { revision: revision.to_owned(), text: text.to_owned() })),
        Err(_) => Err(refused("it is not UTF-8")),
    }
}
