//! What a release is trusted on: a signature that the manifest wants, an operator's word, or nothing.
//!
//! What is verified is the object, never its name: a ref is resolved once, the raw object is read from our own mirror, and
//! exactly the bytes that were signed go to `ssh-keygen` or `gpgv`. The name counts only where it was signed as well.

mod archive;
mod assess;
mod detached;
mod files;
mod floor;
mod memory;
mod object;
mod openpgp;
mod program;
mod ssh;
mod standing;
mod verify;

pub use assess::{Assessment, Subject, assess};
pub use detached::{Payload, keys_of, suffix, verify as verify_detached};
pub use files::check as check_files;
pub use floor::{Lineage, below, lineage};
pub use memory::{Memory, Pin, Remembered, Seen};
pub use standing::Standing;
pub use verify::tag_object;

/// Who signed, and with which key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The principal of the allowed signers, or the user id of the key: never what the signed object says of itself.
    pub signer: String,
    /// `ssh ED25519 SHA256:...`, `OpenPGP FINGERPRINT`, `key KEYID, "COMMENT"` of minisign.
    pub key: String,
    /// When it was made, where the signature itself says; seconds since the epoch.
    pub time: Option<i64>,
    /// Whether it says the name of what it is of, and that is the right one.
    pub is_of_name: bool,
}

#[cfg(test)]
mod tests;
