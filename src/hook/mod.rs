//! What package managers tell, and what becomes of it.
//!
//! A hook runs inside a transaction of somebody else's: it looks whether it should do anything at all ([`Circumstances`]),
//! leaves a request for each install in `/run/relift/requests`, and ends. A path unit starts the worker, `relift hook run`, which
//! waits until the package managers' locks are free and reconfigures what depends on what changed. A request is removed only
//! when that is done or refused for good; one that has to wait for a window, a hold or another run is moved to `waiting/`, where
//! the path unit does not see it and a timer takes it up.

mod circumstances;
mod given;
mod request;
mod store;

pub use circumstances::{Circumstances, is_allowed, is_no, is_yes};
pub use given::{Manager, told};
pub use request::Request;
pub use store::{Pending, Store};
