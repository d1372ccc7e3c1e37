//! Root's own programs that verify signatures.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;

/// How long one signature may take.
const BOUND: Duration = Duration::from_secs(30);

/// `name`, found in root's own PATH and written by root alone, with nothing of anybody's environment.
pub fn command(name: &str, package: &str) -> Result<Command> {
    Ok(Command::new([found(name, package)?])
        .env("LC_ALL", "C")
        .env("TZ", "UTC0")
        .env("HOME", "/nonexistent")
        .timeout(BOUND))
}

fn found(name: &str, package: &str) -> Result<PathBuf> {
    let is_roots = |path: &PathBuf| {
        path.is_absolute()
            && path.metadata().is_ok_and(|metadata| {
                let mode = metadata.mode();
                metadata.is_file() && metadata.uid() == 0 && mode & 0o111 != 0 && mode & 0o022 == 0
            })
    };
    Account::root().places(name).into_iter().find(is_roots).ok_or_else(|| {
        Error::failed(format!("{name} is not installed, so no signature can be verified"))
            .hint(format!("apt-get install {package}"))
    })
}
