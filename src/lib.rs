//! Relift upgrades what is installed on a host the way a package manager upgrades packages.

pub mod action;
pub mod cli;
pub mod error;
pub mod health;
pub mod host;
pub mod ledger;
pub mod manifest;
pub mod plan;
pub mod report;
pub mod run;
pub mod sample;
pub mod source;
pub mod survey;
pub mod text;
pub mod twin;

pub use error::{Error, Exit, Result};
