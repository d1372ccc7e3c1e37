//! The command line: one file per verb.

pub mod config;
pub mod globals;
pub mod init;
pub mod output;
