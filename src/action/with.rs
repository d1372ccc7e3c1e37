//! What a command of the operator's may have beyond a step: its place in the run, its versions, files that a shell reads,
//! and a directory for what it saves.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::host::fs::{make_private, remove_durably};
use crate::manifest::HookPlace;

/// What a command has beyond a step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct With {
    /// The hook's place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<HookPlace>,
    /// The migration that it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub migration: Option<MigrationOf>,
    /// Where it starts, relative to its directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// More of its environment; no secret is in it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, String)>,
    /// Files whose variables a shell exports to it: relative to its directory, or absolute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env_files: Vec<String>,
    /// Where directories of runs for what commands save are; root's, and everybody may pass through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scratch: Option<PathBuf>,
}

/// A migration, and which way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationOf {
    /// The component whose version is meant.
    pub component: String,
    /// The version that asks for it.
    pub version: semver::Version,
    /// It is taken back.
    pub is_back: bool,
}

impl With {
    /// Whether it is a step and nothing more.
    pub fn is_nothing(&self) -> bool {
        *self == With::default()
    }
}

/// The directory of a command for what it saves: the account's alone, the same for the command and its undo.
pub(super) fn scratch(all: &Path, run: &str, name: &str, account: &Account) -> Result<PathBuf> {
    let of_run = all.join(run);
    let directory = of_run.join(name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-"));
    if !directory.is_dir() {
        if let Some(cache) = all.parent() {
            make_private(cache, 0o755)?;
        }
        make_private(all, 0o711)?;
        make_private(&of_run, 0o711)?;
        make_private(&directory, 0o700)?;
        std::os::unix::fs::chown(&directory, Some(account.uid), Some(account.gid))
            .with_context(|| format!("{} cannot be given to {}", directory.display(), account.name))?;
    }
    Ok(directory)
}

/// Removes what commands of runs saved. To be called when no run is open.
pub fn remove_scratch(all: &Path) -> Result<()> {
    match std::fs::remove_dir_all(all) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(_) => remove_durably(all),
    }
}

/// The name of the directory of all that below an install's cache.
pub const SCRATCH: &str = "scratch";
