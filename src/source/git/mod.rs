//! Git: a private mirror of our own to fetch, compare and read from; work in the checkout by a child as its owner.
//!
//! git2 reads the mirror; the `git` program moves objects and trees.

mod call;
mod checkout;
pub mod credential;
mod declared;
mod difference;
mod export;
mod glance;
mod index;
mod listing;
mod locks;
mod manifest;
mod mirror;
mod news;
mod offer;
mod packet;
mod packs;
mod pins;
mod plain;
mod preflight;
mod racy;
mod reach;
mod relay;
mod remote;
pub mod robust;
mod seed;
mod settings;
mod stage;
pub mod switch;
mod take;
mod target;
mod tip;
mod untouched;
mod upstream;
mod v2;
mod watch;

pub use checkout::{Checkout, Dirty, Operation, by_hand};
pub use export::{beneath, export};
pub use glance::head_at_a_glance;
pub use manifest::repository_manifest;
pub use mirror::{Mirror, Refs, configured_by_us_alone};
pub use offer::{WorkTree, offer, parse_version, was_shipped};
pub use pins::{pin, pin_all, unpin};
pub use plain::list as list_plainly;
pub use preflight::{preflight, remote_name, unknown_commit, without_password};
pub use reach::answers;
pub use remote::Remote;
pub use stage::{remove as remove_stage, stage};
pub use switch::Goal;
pub use target::{Target, candidates, choose};
