//! Releases that are no commits of upstream's: we make one of each in our own mirror, the same of the same release on every
//! host, so that everything which works with commits works with them.

use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, Oid, Repository, Signature, Time};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Direction, Offer};
use crate::error::{Context, Error, Result};
use crate::ledger::KnownGood;
use crate::trust::Lineage;

/// What a release is, beside its files: the message of its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Meta {
    /// The version of this format.
    pub snapshot: u32,
    /// The release's version, as the source calls it.
    pub version: String,
    /// What identifies it at its source: the archive's SHA-256, the list of packages, the digests of images.
    pub identity: Vec<String>,
    /// Directories of it that hold nothing, which git has no way to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub empty: Vec<String>,
    /// When the source released it, seconds since the epoch; 0 where it does not tell.
    #[serde(default)]
    pub time: i64,
}

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// A file of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path, relative, without `.` and `..`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Its bytes, or where it leads.
    pub bytes: Vec<u8>,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A plain file.
    File,
    /// A plain file that may be executed.
    Program,
    /// A symbolic link.
    Link,
}

/// Writes a release into the mirror and gives its commit: the same for the same files and the same [`Meta`].
/// What the mirror has already is not written again.
pub fn write(repository: &Repository, entries: impl IntoIterator<Item = Result<Entry>>, meta: &Meta) -> Result<Oid> {
    let failed = "the release cannot be written into the mirror";
    let empty = repository.treebuilder(None).and_then(|builder| builder.write()).context(failed)?;
    let base = repository.find_tree(empty).context(failed)?;
    let mut update = TreeUpdateBuilder::new();
    for entry in entries {
        let Entry { path, kind, bytes } = entry?;
        let mode = match kind {
            EntryKind::File => FileMode::Blob,
            EntryKind::Program => FileMode::BlobExecutable,
            EntryKind::Link => FileMode::Link,
        };
        update.upsert(path, repository.blob(&bytes).context(failed)?, mode);
    }
    let tree = update.create_updated(repository, &base).context(failed)?;
    let tree = repository.find_tree(tree).context(failed)?;
    let who = Signature::new("relift", "relift", &Time::new(meta.time, 0)).context(failed)?;
    let message = serde_json::to_string_pretty(meta).context(failed)?;
    repository.commit(None, &who, &who, &message, &tree, &[]).context(failed)
}

/// What a commit that we made says of its release; `None`: it is another's.
pub fn meta(repository: &Repository, revision: &str) -> Option<Meta> {
    let commit = repository.find_commit(Oid::from_str(revision).ok()?).ok()?;
    serde_json::from_slice(commit.message_bytes()).ok().filter(|meta: &Meta| meta.snapshot <= FORMAT)
}

/// Notes what a release of ours stands on, such as who signed its archive. Kept beside it, for as long as the mirror is.
pub fn vouch(repository: &Repository, revision: &str, by: &str) -> Result<()> {
    let failed = "what vouches for the release cannot be noted";
    let note = repository.blob(by.as_bytes()).context(failed)?;
    repository.reference(&voucher(revision), note, true, "").map(drop).context(failed)
}

/// What was noted so; `None`: nothing vouches for it.
pub fn vouched(repository: &Repository, revision: &str) -> Option<String> {
    let note = repository.find_reference(&voucher(revision)).ok()?.target()?;
    Some(String::from_utf8_lossy(repository.find_blob(note).ok()?.content()).into_owned())
}

fn voucher(revision: &str) -> String {
    format!("refs/relift/vouched/{revision}")
}

/// Notes that the source offers a release under this name, which [`named`] finds again without the network.
pub fn name(repository: &Repository, name: &str, revision: &str) -> Result<()> {
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let made = repository.reference(&format!("refs/relift/offered/{name}"), oid, true, "");
    made.map(drop).with_context(|| format!("the release {name} cannot be noted"))
}

/// The release of this name.
pub fn named(repository: &Repository, name: &str) -> Option<String> {
    let found = repository.find_reference(&format!("refs/relift/offered/{name}"));
    Some(found.ok()?.target()?.to_string())
}

/// Opens the mirror below `state`, where there is one.
pub fn mirror(state: &Path) -> Result<Option<Repository>> {
    match Repository::open_bare(state.join("mirror.git")) {
        Ok(repository) => Ok(Some(repository)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(Error::failed("the mirror cannot be opened").because(error.to_string())),
    }
}

/// Says of an offer how its target lies to what is here, whose versions these are, and to what was proven: our commits are no
/// history that could tell it.
pub fn place(offer: &mut Offer, repository: &Repository, (from, to): (&str, &str), known_good: &[KnownGood]) {
    offer.commits.clear();
    offer.commits_total = 0;
    offer.direction = direction((&offer.from.revision, from), (&offer.to.revision, to));
    offer.lineage = lineage(repository, &offer.to.revision, known_good);
}

/// How one release lies to another: by their versions. What cannot be compared is as far as can be told newer.
fn direction(from: (&str, &str), to: (&str, &str)) -> Direction {
    match (Version::parse(from.1), Version::parse(to.1)) {
        _ if from.0 == to.0 => Direction::Same,
        (Ok(from), Ok(to)) if to < from => Direction::Back,
        _ => Direction::Forward,
    }
}

/// How a target lies to the known-good releases: below the highest of them or not.
pub fn lineage(repository: &Repository, target: &str, known_good: &[KnownGood]) -> Lineage {
    let version = |revision: &str| meta(repository, revision).and_then(|meta| Version::parse(&meta.version).ok());
    let Some(to) = version(target) else { return Lineage::default() };
    let higher = known_good.iter().rev().find(|entry| version(&entry.revision).is_some_and(|known| known > to));
    Lineage { behind: higher.map(|entry| entry.tag.clone()), beside: None }
}
