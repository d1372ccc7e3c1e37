//! The manifest: raw TOML becomes a validated [`Install`]; nothing downstream sees raw input.
//!
//! The keys are the public interface of DESIGN section 3.

mod install;

pub use install::*;
