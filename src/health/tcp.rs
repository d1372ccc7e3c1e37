//! The TCP probe: a connection that opens.

use std::time::Duration;

use super::probe::Outcome;
use crate::host::net::{self, Fault};

/// Asks an address, `host:port`.
pub(super) fn ask(address: String) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    Box::new(move |bound| match net::connect(&address, bound) {
        Ok(()) => Outcome::Passed,
        Err(Fault::Unreachable(why)) => Outcome::Failed(why),
        Err(Fault::Unusable) => Outcome::CouldNotRun("the address is not host:port".into()),
    })
}
