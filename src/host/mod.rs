//! The only raw effects: files, processes, accounts, systemd, the clock and the network.
//!
//! Everything above this module decides; this module does.

pub mod account;
pub mod clock;
pub mod credential;
pub mod download;
pub mod fs;
pub mod http;
pub mod identity;
pub mod inherited;
pub mod interrupt;
pub mod journal;
pub mod limits;
pub mod maintenance;
pub mod mapped;
pub mod net;
pub mod occupants;
pub mod own;
pub mod packages;
pub mod paths;
pub mod power;
pub mod probe;
pub mod process;
pub mod secrecy;
#[cfg(test)]
pub(crate) mod served;
pub mod systemd;
mod xattr;
