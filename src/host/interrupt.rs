//! Signals: Ctrl-C and SIGTERM ask for an orderly undo, a second one changes nothing; losing the terminal stops nothing. A
//! run that is over its time ends in the same way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGPIPE, SIGTERM};

use crate::error::{Context, Error, Result};

static REQUESTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();
static BOUND: OnceLock<(Instant, Duration)> = OnceLock::new();
/// Something was ended by the bound: what fails for another reason, and is then undone for longer than that, was not.
static IS_OVER: AtomicBool = AtomicBool::new(false);
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

/// What goes on for longer than this from now is ended as by a signal. The first bound of a process counts.
pub fn bound(time: Duration) {
    BOUND.get_or_init(|| (Instant::now(), time));
}

/// Whether somebody asked for an end, ever, or something was ended by the bound.
pub fn requested() -> bool {
    is_signalled() || IS_OVER.load(Ordering::Relaxed)
}

/// An error when what may still be interrupted is to end. Everything that waits asks this.
pub fn check() -> Result<()> {
    if SHIELDED.load(Ordering::Relaxed) {
        return Ok(());
    }
    match (is_signalled(), overdue()) {
        (true, _) => Err(Error::failed("it was interrupted")),
        (false, Some(time)) => {
            IS_OVER.store(true, Ordering::Relaxed);
            Err(Error::failed(format!("it was not done within {} s", time.as_secs_f64()))
                .hint("give it more time: --timeout, which counts from the approval on"))
        }
        (false, None) => Ok(()),
    }
}

fn is_signalled() -> bool {
    REQUESTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// The bound that has passed.
fn overdue() -> Option<Duration> {
    BOUND.get().filter(|(since, time)| since.elapsed() >= *time).map(|(_, time)| *time)
}
