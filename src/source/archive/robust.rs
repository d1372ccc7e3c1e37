//! What holds for any bytes: the target of the fuzzers, and of a test over their seeds.

use git2::Oid;

use super::import::{Contents, Of, Store, judged};
use super::unpack::unpack;
use crate::error::Result;
use crate::source::snapshot::EntryKind;

/// What an archive of any bytes may come to here, bytes.
const MOST: u64 = 1 << 20;

struct Counted(u64);

impl Store for Counted {
    fn keep(&mut self, bytes: &[u8]) -> Result<Oid> {
        self.0 += bytes.len() as u64;
        Ok(Oid::ZERO_SHA1)
    }
}

/// Whatever the bytes are: they are refused, or each path of the release is plain, below it, there once, and below no other
/// file, no link leaves, and it is no larger than it may be.
pub fn any_bytes(bytes: &[u8]) {
    let mut frames = Vec::new();
    unpack(bytes, bytes.len() as u64, MOST, &mut frames).expect("memory takes all");
    let of = Of { version: "1.0.0", sha256: "", strips: true, most: MOST };
    let mut store = Counted(0);
    let Ok(Contents { files, .. }) = judged(frames.as_slice(), &of, &mut store) else { return };
    assert!(store.0 <= 2 * MOST, "{}", store.0);
    let paths: Vec<&str> = files.iter().map(|(path, ..)| path.as_str()).collect();
    for (at, path) in paths.iter().enumerate() {
        assert!(!path.is_empty() && !path.starts_with('/'), "{path:?}");
        for part in path.split('/') {
            assert!(!matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git"), "{path:?}");
        }
        let above = |other: &str| path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let mut others = paths.iter().enumerate().filter(|(other, _)| *other != at);
        assert!(!others.any(|(_, other)| above(other)), "{path:?} is below another, or twice");
    }
    assert!(files.iter().all(|(_, kind, _)| matches!(kind, EntryKind::File | EntryKind::Program | EntryKind::Link)));
}
