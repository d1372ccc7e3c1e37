//! Whether a remote answers, asked as a fetch would ask it, with nothing kept.

use std::path::Path;
use std::time::Duration;

use super::call::explain;
use super::remote::{Remote, SOURCE};
use crate::error::{Context, Result};
use crate::host::account::Account;
use crate::manifest::GitSource;

/// Asks for the remote's HEAD within `bound`. `place` is a scratch directory of root's own.
///
/// # Errors
/// What git said, in words, with what to do next.
pub fn answers(source: &GitSource, owner: &Account, place: &Path, bound: Duration) -> Result<()> {
    let remote = Remote::of(place, source, owner);
    std::fs::write(&remote.config, remote.config_text())
        .with_context(|| format!("{} cannot be written", remote.config.display()))?;
    let lent = remote.lend()?;
    let command = remote.git(place, lent.as_ref()).args(["ls-remote", "--quiet", "--", SOURCE, "HEAD"]);
    let output = command.timeout(bound).output()?;
    if output.success() { Ok(()) } else { Err(explain(&remote, &output)) }
}
