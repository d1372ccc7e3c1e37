//! Whether a remote answers, asked as a fetch would ask it, with nothing kept.

use std::path::Path;
use std::time::Duration;

use super::call::{Remote, SOURCE, explain};
use crate::error::{Context, Result};
use crate::host::account::Account;

/// Asks for the remote's HEAD within `bound`. `place` is a scratch directory of root's own.
///
/// # Errors
/// What git said, in words, with what to do next.
pub fn answers(url: &str, owner: &Account, place: &Path, bound: Duration) -> Result<()> {
    let config = place.join("remote.gitconfig");
    let remote = Remote { url: url.to_owned(), owner: owner.clone(), config };
    std::fs::write(&remote.config, remote.config_text())
        .with_context(|| format!("{} cannot be written", remote.config.display()))?;
    let command = remote.git(place).args(["ls-remote", "--quiet", "--", SOURCE, "HEAD"]);
    let output = command.timeout(bound).output()?;
    if output.success() { Ok(()) } else { Err(explain(&remote, &output)) }
}
