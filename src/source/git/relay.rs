//! Servers that speak no protocol version 2 over HTTP: git's helper then takes the objects in itself, and it runs as the
//! owner, who may not write to the mirror. So the owner fetches into a repository of its own, which the mirror is
//! filled from.

use std::path::Path;

use super::call::{LOCAL, explain, in_checkout};
use super::credential::Lent;
use super::mirror::FETCH;
use super::remote::Remote;
use super::watch::converse;
use crate::error::{Context, Result};
use crate::host::fs::make_private;
use crate::host::process::Output;
use crate::report::Reporter;

/// What git's helper says when a server speaks an older protocol and there is no repository to fetch into: 2.25 and later.
const TOO_OLD: &str = "fetch attempted without a local repo";

/// Whether a conversation ended because the server speaks an older protocol.
pub(super) fn is_needed(output: &Output) -> bool {
    !output.success() && output.stderr.iter().any(|line| line.contains(TOO_OLD))
}

/// Brings a repository of the owner's below `cache` up to date; its URL.
pub(super) fn refill(
    remote: &Remote,
    cache: &Path,
    lent: Option<&Lent>,
    refspecs: &[String],
    reporter: &dyn Reporter,
) -> Result<String> {
    let (owner, place) = (&remote.owner, cache.join("relay"));
    make_private(cache, 0o755)?;
    make_private(&place, 0o700)?;
    std::os::unix::fs::lchown(&place, Some(owner.uid), Some(owner.gid))
        .with_context(|| format!("{} cannot be given to {}", place.display(), owner.name))?;
    let repository = place.join("relay.git");
    in_checkout(owner, &place)
        .args(["init", "--quiet", "--bare", "--template="])
        .args([&repository])
        .timeout(LOCAL)
        .succeed()
        .map_err(|error| error.while_(format!("{} cannot be made", repository.display())))?;
    // The URL holds no password: a manifest that pins one is refused.
    let git_dir = format!("--git-dir={}", repository.display());
    let command = remote.owners_git(lent).args([git_dir]).args(FETCH).args([&remote.url]).args(refspecs);
    let output = converse(command, reporter)?;
    match output.success() {
        true => Ok(format!("file://{}", repository.display())),
        false => Err(explain(remote, &output)),
    }
}
