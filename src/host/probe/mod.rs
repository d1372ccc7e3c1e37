//! Trying what protections rest on, in scratch places of root's own that are gone afterwards.

pub mod files;
pub mod process;
pub mod system;
pub mod units;
