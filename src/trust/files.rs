//! Files that say whom to trust: root's, and writable by root alone.

use std::path::Path;

use crate::error::{Error, Result};
use crate::manifest::{Install, Source, writers_of};

/// No file of signers, keyring or revocation list is longer, in bytes.
const LONGEST: u64 = 16 << 20;

/// Makes sure that no account but root wrote, or could replace, what `verify` of the source names, and that no release brings it.
pub fn check(install: &Install) -> Result<()> {
    let files = match &install.source {
        Source::Git(source) => source.verify.as_ref().map(|verify| verify.files()),
        Source::Archive(source) => source.verify.as_ref().map(|verify| verify.files()),
        Source::Packages(_) | Source::Compose(_) => None,
    };
    files.unwrap_or_default().into_iter().try_for_each(|(key, path)| one(install, key, path))
}

fn one(install: &Install, key: &str, path: &Path) -> Result<()> {
    let place = format!("`{key}` of the manifest names {}", path.display());
    let looked = path.canonicalize().and_then(|real| Ok((real.metadata()?, real)));
    let (metadata, real) = looked.map_err(|error| {
        Error::failed(format!("{} cannot be read, so nothing can be verified", path.display()))
            .because(error)
            .hint(format!("{place}: put it there again, owned by root"))
    })?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(
            Error::failed(format!("{} is no file of at most {} MiB", path.display(), LONGEST >> 20)).hint(place)
        );
    }
    let root = install.root.canonicalize().unwrap_or_else(|_| install.root.clone());
    if real.starts_with(&root) || path.starts_with(&install.root) {
        return Err(Error::refused(format!(
            "{} is in the checkout: a release would say whom to trust",
            path.display()
        ))
        .hint(format!("{place}: keep it outside, such as in /etc/relift")));
    }
    // The name as it is written and what it leads to: a link in a directory of another account is that account's to change.
    match [path, &real].iter().map(|path| writers_of(path)).collect::<Result<Vec<_>>>()?.into_iter().flatten().next() {
        None => Ok(()),
        Some(who) => Err(Error::refused(format!("{} is not used to verify anything", path.display()))
            .because(who)
            .because("another account than root would say whom to trust")
            .hint("give it back to root: chown root:root PATH && chmod go-w PATH")),
    }
}
