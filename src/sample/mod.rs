//! A small monorepo with a service in it, made by code: what `relift try` upgrades, and what the tests upgrade in many shapes.
//!
//! [`Release`] is one version of it, [`Repository`] publishes releases, [`Site`] says how it is installed on a host,
//! [`Look`] what is found there, and [`serve`] is the service itself, which behaves as the release's `behaviour` file says.

mod behaviour;
mod drain;
mod files;
mod look;
mod release;
mod repository;
mod service;
mod site;

pub use look::Look;
pub use release::{Entry, Release};
pub use repository::Repository;
pub use service::serve;
pub use site::Site;

/// The components of the sample. The manager has a system unit, the runner a user unit.
pub const COMPONENTS: [&str; 2] = ["manager", "runner"];
