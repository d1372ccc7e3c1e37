//! `[source.archive]`.

use super::super::super::document::Key;
use super::super::super::{ArchiveSource, raw};
use super::super::Look;
use super::range;

pub(super) fn archive(look: &mut Look<'_>, key: &Key, raw: &raw::Archive) -> Option<ArchiveSource> {
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let (url, checksums) = (raw.url.clone(), raw.checksums.clone());
    Some(ArchiveSource { url, checksums, allow: allow? })
}
