//! `[source.packages]`.

use std::time::Duration;

use super::super::super::document::Key;
use super::super::super::problem::{Fault, Looked};
use super::super::super::{PackageManager, PackagesSource, raw, words};
use super::super::Look;
use super::range;

/// How long a transaction may take where the manifest says nothing.
const TRANSACTION: Duration = Duration::from_secs(15 * 60);
/// How long to wait for a lock where the manifest says nothing.
const LOCK: Duration = Duration::from_secs(60);

pub(super) fn packages(look: &mut Look<'_>, key: &Key, raw: &raw::Packages) -> Option<PackagesSource> {
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    if raw.packages.is_empty() {
        let fault = Fault::new("no package is named");
        look.fault(&key.name("packages"), fault.help("name the packages: packages = [\"app\", \"app-*\"]"));
    }
    let packages = look.each(&key.name("packages"), &raw.packages, name);
    let repositories = look.each(&key.name("repositories"), &raw.repositories, repository);
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), TRANSACTION);
    let lock_timeout = look.take_or(&key.name("lock-timeout"), raw.lock_timeout.as_deref().map(words::bound), LOCK);
    let manager = raw.manager.map(|manager| match manager {
        raw::PackageManager::Apt => PackageManager::Apt,
        raw::PackageManager::Dnf => PackageManager::Dnf,
    });
    Some(PackagesSource {
        packages: packages?,
        repositories: repositories?,
        manager,
        timeout: timeout?,
        lock_timeout: lock_timeout?,
        allow: allow?,
    })
}

/// A name of deb-control(5) or of rpm, or a pattern of them. It becomes an argument of the package manager: no option.
pub(in super::super) fn name(text: &str) -> Looked<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:*".contains(c));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" is not the name of a package", crate::text::harmless(text)))
            .help("write the name alone, such as \"app\" or \"app-*\"; versions go into `allow`")),
    }
}

fn repository(text: &str) -> Looked<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '*')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-._:/*".contains(c));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" names no repository", crate::text::harmless(text))).help(
            "write a file's name in sources.list.d, the host of a URI or a suite; for dnf the id of a repository",
        )),
    }
}
