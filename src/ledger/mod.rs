//! What is remembered between runs: what is activated, what was known-good, what failed, what is held.
//!
//! Small files below `/var/lib/relift/NAME/ledger/`, each whole or absent.

mod history;
mod patience;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Context, Error, Result};
use crate::host::fs::{Image, make_private, remove_durably, write_durably};
use crate::manifest::RepositoryManifest;
use crate::trust::Memory;

pub use history::{Past, downtime, history, is_newest_ended, last_downtime, open_run};
pub use patience::{Attempts, Held};

/// The format that this version writes.
const FORMAT: u32 = 1;

/// The ledger of an install.
#[derive(Debug, Clone)]
pub struct Ledger {
    directory: PathBuf,
}

/// What runs: recorded per component, never derived from where HEAD is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activated {
    /// By component.
    pub components: BTreeMap<String, Activation>,
}

/// What a component runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    /// The commit, full hex.
    pub revision: String,
    /// Its version.
    pub version: Option<String>,
    /// SHA-256 of its configuration files, by path relative to the checkout, when it was started with them.
    pub env: BTreeMap<String, String>,
}

/// A release that passed its gate and soak here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownGood {
    /// `known-good/20261121T081530Z`: the tag in the checkout.
    pub tag: String,
    /// The commit, full hex.
    pub revision: String,
    /// Versions by component.
    pub versions: BTreeMap<String, String>,
    /// The run that proved it; `None`: it was found running and healthy.
    pub run: Option<String>,
    /// Its configuration files as they were when it was left, by path relative to the checkout; bytes by hash beside it.
    #[serde(default)]
    pub env: BTreeMap<String, Image>,
    /// Archives of what its steps had made, by path relative to the checkout.
    #[serde(default)]
    pub artifacts: BTreeMap<String, PathBuf>,
}

/// The directory of a release, where each has one of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directory {
    /// The commit that was unpacked there, full hex.
    pub revision: String,
    /// When it was: ULIDs sort by time. Empty: it was found there.
    pub run: String,
    /// A run that led to it passed its gate.
    pub is_proven: bool,
}

/// A release that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRelease {
    /// The commit, full hex.
    pub revision: String,
    /// Hash of the configuration that it failed with; empty: whatever the configuration, an operator rolled it back.
    pub configuration: String,
    /// The run.
    pub run: String,
    /// Why.
    pub why: String,
    /// Seconds since the epoch.
    pub time: i64,
}

/// A migration that ran here: it does not run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationRan {
    /// The component whose version is meant.
    pub component: String,
    /// The version that asked for it.
    pub version: semver::Version,
    /// The run.
    pub run: String,
}

/// No upgrades until released.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Seconds since the epoch.
    pub since: i64,
    /// When it ends by itself, seconds since the epoch; see [`Hold::at`].
    #[serde(default)]
    pub until: Option<i64>,
    /// The account that set it.
    #[serde(default)]
    pub by: Option<String>,
    /// Whether it was set for a time, and not until a date.
    #[serde(default)]
    pub is_length: bool,
    /// The boot in which it was set.
    #[serde(default)]
    pub boot: Option<crate::host::clock::Boot>,
}

#[derive(Serialize, Deserialize)]
struct Stored<T> {
    format: u32,
    #[serde(rename = "content")]
    content: T,
}

impl Ledger {
    /// The ledger below an install's state directory.
    pub fn below(state: &Path) -> Ledger {
        Ledger { directory: state.join("ledger") }
    }

    /// What is activated.
    pub fn activated(&self) -> Result<Activated> {
        Ok(self.load("activated.json")?.unwrap_or_default())
    }

    /// Records what is activated.
    pub fn set_activated(&self, activated: &Activated) -> Result<()> {
        self.store("activated.json", activated)
    }

    /// Known-good releases, oldest first.
    pub fn known_good(&self) -> Result<Vec<KnownGood>> {
        Ok(self.load("known-good.json")?.unwrap_or_default())
    }

    /// Records the known-good releases: one file, so that the list is whole or as it was.
    pub fn set_known_good(&self, known_good: &[KnownGood]) -> Result<()> {
        self.store("known-good.json", &known_good)
    }

    /// The directories of releases that we unpacked, by name.
    pub fn releases(&self) -> Result<BTreeMap<String, Directory>> {
        Ok(self.load("releases.json")?.unwrap_or_default())
    }

    /// Records them. Call it under the lock of the install.
    pub fn set_releases(&self, releases: &BTreeMap<String, Directory>) -> Result<()> {
        self.store("releases.json", releases)
    }

    /// The repository's own manifest as it was activated; `None`: it has none, or it is not read.
    pub fn repository_manifest(&self) -> Result<Option<RepositoryManifest>> {
        Ok(self.load::<Option<RepositoryManifest>>("manifest.json")?.flatten())
    }

    /// Records the repository's manifest that is activated.
    pub fn set_repository_manifest(&self, manifest: Option<&RepositoryManifest>) -> Result<()> {
        match (manifest, self.repository_manifest()?) {
            (None, None) => Ok(()),
            (manifest, _) => self.store("manifest.json", &manifest),
        }
    }

    /// Releases that failed here.
    pub fn failed(&self) -> Result<Vec<FailedRelease>> {
        Ok(self.load("failed.json")?.unwrap_or_default())
    }

    /// Remembers a failed release; an older memory of the same release is replaced.
    pub fn remember_failed(&self, release: FailedRelease) -> Result<()> {
        let mut failed = self.failed()?;
        failed.retain(|known| known.revision != release.revision);
        failed.push(release);
        let first = failed.len().saturating_sub(50);
        self.store("failed.json", &failed[first..].to_vec())
    }

    /// Forgets that a release failed, since it works now.
    pub fn forget_failed(&self, revision: &str) -> Result<()> {
        let mut failed = self.failed()?;
        let before = failed.len();
        failed.retain(|known| known.revision != revision);
        if failed.len() == before { Ok(()) } else { self.store("failed.json", &failed) }
    }

    /// Migrations that ran here and were not taken back.
    pub fn migrations(&self) -> Result<Vec<MigrationRan>> {
        Ok(self.load("migrations.json")?.unwrap_or_default())
    }

    /// Records them.
    pub fn set_migrations(&self, ran: &[MigrationRan]) -> Result<()> {
        if self.migrations()? == ran { Ok(()) } else { self.store("migrations.json", &ran) }
    }

    /// The hold, where there is one.
    pub fn hold(&self) -> Result<Option<Hold>> {
        self.load("hold.json")
    }

    /// Sets or lifts the hold.
    pub fn set_hold(&self, hold: Option<&Hold>) -> Result<()> {
        match hold {
            Some(hold) => self.store("hold.json", hold),
            None => remove_durably(&self.directory.join("hold.json")),
        }
    }

    /// When the steps that a component's needs ask for ran last, microseconds of the realtime clock, by component.
    pub fn needs_met(&self) -> Result<BTreeMap<String, u64>> {
        Ok(self.load("needs.json")?.unwrap_or_default())
    }

    /// Records that they ran.
    pub fn set_needs_met(&self, met: &BTreeMap<String, u64>) -> Result<()> {
        self.store("needs.json", met)
    }

    /// The revisions that were proven or activated here.
    pub fn proven(&self) -> Result<BTreeSet<String>> {
        let activated = self.activated()?.components.into_values().map(|activation| activation.revision);
        Ok(self.known_good()?.into_iter().map(|entry| entry.revision).chain(activated).collect())
    }

    /// What is remembered of the source: its tags, what was verified, what was approved.
    pub fn trust(&self) -> Result<Memory> {
        Ok(self.load("trust.json")?.unwrap_or_default())
    }

    /// Remembers it. Call it under the lock of what is remembered: checks run beside upgrades.
    pub fn set_trust(&self, memory: &Memory) -> Result<()> {
        self.store("trust.json", memory)
    }

    /// Where bytes of a known-good release are kept, by hash.
    pub fn content(&self) -> PathBuf {
        self.directory.join("content")
    }

    /// Where archives of a known-good release are kept.
    pub fn artifacts(&self) -> PathBuf {
        self.directory.join("artifacts")
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.directory.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::failed(format!("{} cannot be read", path.display())).because(error)),
        };
        let stored: Stored<T> = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} cannot be understood", path.display()))
            .map_err(|error| {
                error.hint("it was written by another version of relift, or by hand; move it away to start anew")
            })?;
        match stored.format {
            FORMAT => Ok(Some(stored.content)),
            format => Err(Error::failed(format!(
                "{} is of format {format}, and this relift reads format {FORMAT}",
                path.display()
            ))),
        }
    }

    fn store<T: Serialize>(&self, name: &str, content: &T) -> Result<()> {
        make_private(&self.directory, 0o700)?;
        let stored = Stored { format: FORMAT, content };
        let bytes = serde_json::to_vec_pretty(&stored).with_context(|| format!("{name} cannot be written"))?;
        write_durably(&self.directory.join(name), &bytes, 0o600)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_release_is_remembered_once_and_forgotten_when_it_works() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::below(place.path());
        let failed = |why: &str| FailedRelease {
            revision: "abc".into(),
            configuration: "c".into(),
            run: "r".into(),
            why: why.into(),
            time: 1,
        };
        ledger.remember_failed(failed("first")).unwrap();
        ledger.remember_failed(failed("second")).unwrap();
        assert_eq!(ledger.failed().unwrap(), vec![failed("second")]);
        ledger.forget_failed("abc").unwrap();
        assert_eq!(ledger.failed().unwrap(), vec![]);
    }

    #[test]
    fn a_ledger_of_another_format_is_refused_and_not_overwritten() {
        let place = tempfile::tempdir().unwrap();
        let ledger = Ledger::below(place.path());
        ledger.set_hold(Some(&Hold { since: 1, ..Hold::default() })).unwrap();
        let path = place.path().join("ledger/hold.json");
        std::fs::write(&path, r#"{"format": 7, "content": {"reason": null, "since": 1}}"#).unwrap();
        assert!(ledger.hold().unwrap_err().to_string().contains("format 7"));
    }
}
