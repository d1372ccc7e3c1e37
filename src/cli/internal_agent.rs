//! `relift internal agent`, hidden: what a child that has become an account runs, see `host::systemd`.

use crate::error::Result;

/// Serves requests on standard input until it ends.
pub fn run() -> Result<()> {
    crate::host::systemd::serve_agent()
}
