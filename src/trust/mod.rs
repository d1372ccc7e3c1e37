//! What a release is trusted on: a signature that the manifest wants, an operator's word, or nothing.

mod standing;

pub use standing::Standing;
