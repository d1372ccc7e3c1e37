//! Git: a private mirror of our own to fetch, compare and read from; work in the checkout by a child as its owner.
//!
//! git2 reads the mirror; the `git` program moves objects and trees.

mod call;
mod checkout;
mod declared;
mod locks;
mod mirror;
mod offer;
mod pins;
mod preflight;
mod stage;
pub mod switch;
mod target;

pub use call::Remote;
pub use checkout::{Checkout, Dirty, Operation, by_hand};
pub use mirror::{Mirror, Refs};
pub use offer::{offer, parse_version, was_shipped};
pub use pins::{pin, unpin};
pub use preflight::{preflight, remote_name, unknown_commit, without_password};
pub use stage::{remove as remove_stage, stage};
pub use switch::Goal;
pub use target::{Target, candidates, choose};
