//! `[source.packages]`.

use super::super::super::document::Key;
use super::super::super::{PackagesSource, raw};
use super::super::Look;
use super::range;

pub(super) fn packages(look: &mut Look<'_>, key: &Key, raw: &raw::Packages) -> Option<PackagesSource> {
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let (packages, repositories) = (raw.packages.clone(), raw.repositories.clone());
    Some(PackagesSource { packages, repositories, allow: allow? })
}
