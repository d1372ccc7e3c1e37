//! What upstream offered when it was last asked: kept in the mirror as it came, so that it can be looked at again without the
//! network, and its signature as well.

use std::collections::BTreeMap;

use git2::Repository;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::sums::{newest_of, sums};
use crate::error::{Context, Error, Result};
use crate::manifest::ArchiveSource;

/// The ref of the last one.
const REF: &str = "refs/relift/listing";

/// What upstream offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The newest version, where a file of its own tells it.
    #[serde(default)]
    pub latest: Option<String>,
    /// Files of sums, by the version that each is of; one of every release is called by no version.
    #[serde(default)]
    pub files: BTreeMap<String, Listed>,
}

/// A file of sums, as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Its signature, where one is wanted and there is one.
    #[serde(default)]
    pub signature: Option<String>,
}

impl Listing {
    /// The last one; `None`: upstream was never asked.
    pub fn load(repository: &Repository) -> Option<Listing> {
        let note = repository.find_reference(REF).ok()?.target()?;
        serde_json::from_slice(repository.find_blob(note).ok()?.content()).ok()
    }

    /// Keeps it.
    pub fn keep(&self, repository: &Repository) -> Result<()> {
        let failed = "what upstream offers cannot be noted";
        let note = repository.blob(&serde_json::to_vec(self).context(failed)?).context(failed)?;
        repository.reference(REF, note, true, "").map(drop).context(failed)
    }

    /// The file that has the sum of a version.
    pub fn file_of(&self, source: &ArchiveSource, version: &Version) -> Option<&Listed> {
        self.files.get(&key(source, version))
    }

    /// The SHA-256 of a version's archive; `None`: no file names it.
    pub fn sum_of(&self, source: &ArchiveSource, version: &Version) -> Result<Option<String>> {
        let Some(file) = self.file_of(source, version) else { return Ok(None) };
        Ok(read(file)?.remove(source.url.of(version).name()))
    }

    /// Every version that is offered, with the SHA-256 of its archive.
    pub fn versions(&self, source: &ArchiveSource) -> Result<BTreeMap<Version, String>> {
        if source.has_sums_of_each() {
            let versions = self.files.keys().filter_map(|version| Version::parse(version).ok());
            return versions
                .filter_map(|version| Some(self.sum_of(source, &version).transpose()?.map(|sum| (version, sum))))
                .collect();
        }
        let Some(file) = self.files.get("") else { return Ok(BTreeMap::new()) };
        let named = read(file)?.into_iter();
        Ok(named.filter_map(|(name, sum)| Some((source.url.version_of(&name)?, sum))).collect())
    }

    /// The newest version, where a file of its own tells it.
    pub fn newest(&self, source: &ArchiveSource) -> Result<Option<Version>> {
        let (Some(text), Some(place)) = (&self.latest, &source.latest) else { return Ok(None) };
        let version = newest_of(text);
        version.map(Some).map_err(|why| Error::failed(format!("{} is not used: {why}", place.shown())))
    }
}

/// By what name a version's file of sums is kept.
pub fn key(source: &ArchiveSource, version: &Version) -> String {
    if source.has_sums_of_each() { version.to_string() } else { String::new() }
}

fn read(file: &Listed) -> Result<BTreeMap<String, String>> {
    sums(&file.text).map_err(|why| {
        Error::failed(format!("{} is not used: {why}", file.name)).hint("ask upstream to publish it again")
    })
}
