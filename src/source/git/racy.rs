//! Files written in the moment in which git looked at them (gitformat-index(5), "racy" entries), as a switch leaves those of
//! a small release: what stat(2) says of them proves nothing, their bytes do.

use std::path::Path;

use git2::{ObjectType, Oid};

use crate::host::fs::Rooted;

/// How much is read of them in all, in bytes: git reads them as fast, and tells more.
const MOST: u64 = 4 << 20;

/// What may still be read.
pub struct Budget(u64);

impl Budget {
    /// For one look at a checkout.
    pub fn whole() -> Budget {
        Budget(MOST)
    }

    /// Whether a regular file of this size is this blob, byte by byte; `false`: it is not, or git must tell.
    pub fn is_blob(&mut self, directory: &Rooted, name: &Path, size: u64, id: &[u8]) -> bool {
        let Some(left) = self.0.checked_sub(size) else { return false };
        self.0 = left;
        let Ok(Some(content)) = directory.read(name) else { return false };
        Oid::hash_object(ObjectType::Blob, &content.bytes).is_ok_and(|found| found.as_bytes() == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_of_these_bytes_is_the_blob_and_not_too_much_is_read() {
        let place = tempfile::tempdir().unwrap();
        let root = Rooted::open(&place.path().canonicalize().unwrap()).unwrap();
        std::fs::write(place.path().join("one"), "one\n").unwrap();
        std::os::unix::fs::symlink("one", place.path().join("link")).unwrap();
        nix::unistd::mkfifo(&place.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let id = |bytes: &[u8]| Oid::hash_object(ObjectType::Blob, bytes).unwrap();
        let is = |name: &str, bytes: &[u8]| {
            Budget::whole().is_blob(&root, Path::new(name), bytes.len() as u64, id(bytes).as_bytes())
        };
        assert!(is("one", b"one\n"));
        assert!(!is("one", b"0ne\n"), "of the same size, and other bytes");
        assert!(!is("link", b"one\n") && !is("pipe", b"") && !is("gone", b""));
        let mut budget = Budget::whole();
        assert!(!budget.is_blob(&root, Path::new("one"), MOST + 1, id(b"one\n").as_bytes()));
        assert!(budget.is_blob(&root, Path::new("one"), MOST, id(b"one\n").as_bytes()));
        assert!(!budget.is_blob(&root, Path::new("one"), 4, id(b"one\n").as_bytes()), "it was read already");
    }
}
