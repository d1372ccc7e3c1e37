//! What execve(2) passes on to this program, and a caller may have left in any state.

use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::{Mode, umask};

/// Makes it as a login shell would have it: children can be waited for, no signal is blocked, no alarm rings, and what is
/// made is for its owner to use. Called before anything is started.
pub fn reset() {
    // SAFETY: no handler is set, only the default; and no thread runs yet that could read the environment.
    unsafe {
        // Ignored, it would reap children before they can be asked how they ended, wait(2).
        let _ = signal(Signal::SIGCHLD, SigHandler::SigDfl);
        // A file that may not grow is an error of its write, and not the end of a run.
        let _ = signal(Signal::SIGXFSZ, SigHandler::SigIgn);
        libc::alarm(0);
        // Threads with the stack that somebody else thought of.
        std::env::remove_var("RUST_MIN_STACK");
    }
    // Each thread that allocates gets 64 MiB of address space of its own otherwise, mallopt(3), which may be bounded.
    #[cfg(target_env = "gnu")]
    // SAFETY: no thread runs yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
    SigSet::empty().thread_set_mask().unwrap_or_default();
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
}
