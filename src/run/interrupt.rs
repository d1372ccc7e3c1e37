//! Signals: Ctrl-C and SIGTERM ask for an orderly undo, a second one changes nothing; losing the terminal stops nothing.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

use crate::error::{Context, Result};

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// Starts to listen; before this the signals have their usual effect.
pub fn listen() -> Result<()> {
    let flag = REQUESTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, flag.clone()).context("signals cannot be handled")?;
    }
    for signal in [SIGHUP, SIGPIPE] {
        signal_hook::flag::register(signal, Arc::default()).context("signals cannot be handled")?;
    }
    Ok(())
}

/// Whether somebody asked for an end.
pub fn requested() -> bool {
    REQUESTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}
