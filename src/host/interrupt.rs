//! Signals: Ctrl-C and SIGTERM ask for an orderly undo, a second one changes nothing; losing the terminal stops nothing.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

use crate::error::{Context, Error, Result};

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static SHIELDED: AtomicBool = AtomicBool::new(false);

/// Starts to listen; before this the signals have their usual effect. What begins here may be interrupted, even after
/// something in this process that might not: a timer's run first recovers the one before.
pub fn listen() -> Result<()> {
    SHIELDED.store(false, Ordering::Relaxed);
    let flag = REQUESTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, flag.clone()).context("signals cannot be handled")?;
    }
    for signal in [SIGHUP, SIGPIPE] {
        signal_hook::flag::register(signal, Arc::default()).context("signals cannot be handled")?;
    }
    Ok(())
}

/// From here on nothing is interrupted: a commit and an undo go to their end.
pub fn shield() {
    SHIELDED.store(true, Ordering::Relaxed);
}

/// Whether somebody asked for an end, ever.
pub fn requested() -> bool {
    REQUESTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// An error when somebody asked for an end of what may still be interrupted. Everything that waits asks this.
pub fn check() -> Result<()> {
    match requested() && !SHIELDED.load(Ordering::Relaxed) {
        false => Ok(()),
        true => Err(Error::failed("it was interrupted")),
    }
}
