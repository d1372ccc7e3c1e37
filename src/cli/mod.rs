//! The command line: one file per verb.

pub mod globals;
pub mod internal;
pub mod output;
