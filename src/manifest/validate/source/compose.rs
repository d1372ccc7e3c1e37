//! `[source.compose]`.

use super::super::super::document::Key;
use super::super::super::{ComposeSource, raw, words};
use super::super::Look;
use super::range;

pub(super) fn compose(look: &mut Look<'_>, key: &Key, raw: &raw::Compose) -> Option<ComposeSource> {
    let allow = look.take_optional(&key.name("allow"), raw.allow.as_deref().map(range));
    let files = look.each(&key.name("files"), &raw.files, words::relative);
    Some(ComposeSource { project: raw.project.clone(), files: files?, allow: allow? })
}
