//! The bytes that a plan speaks of, by hash: old and new `.env` files and units.

use std::collections::BTreeMap;

use crate::host::fs::{Content, Image};

/// Files by the SHA-256 of their bytes. Never printed.
#[derive(Clone, Default)]
pub struct Contents(BTreeMap<String, Vec<u8>>);

impl Contents {
    /// Keeps the bytes of a file and gives its image for the plan.
    pub fn keep(&mut self, content: &Content) -> Image {
        self.0.insert(content.image.sha256.clone(), content.bytes.clone());
        content.image.clone()
    }

    /// The bytes of an image.
    pub fn bytes(&self, image: &Image) -> Option<&[u8]> {
        self.0.get(&image.sha256).map(Vec::as_slice)
    }

    /// Everything, by hash.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(hash, bytes)| (hash.as_str(), bytes.as_slice()))
    }
}

impl std::fmt::Debug for Contents {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Contents({} files)", self.0.len())
    }
}
