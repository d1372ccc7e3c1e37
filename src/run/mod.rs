//! Runs: the state machine that executes a plan, its journal, its undo, and recovery from any kill.

mod commit;
pub mod decide;
mod execute;
mod gates;
pub mod journal;
mod lock;
mod prepare;
pub mod record;
mod recover;
mod restore;
mod undo;

pub use execute::{Engine, execute};
pub use gates::missing_keys;
pub use lock::{Lock, lock, lock_install};
pub use prepare::in_the_way;
pub use recover::{Recovered, close, recover};

/// A named instant of a run. In test builds, `RELIFT_KILL_AT` names the one at which the process kills itself, as a
/// power cut or an OOM killer would, by how the name begins: `before-00007`, `after-00012-commit`.
pub(crate) fn checkpoint(name: &str) {
    if cfg!(debug_assertions) && std::env::var("RELIFT_KILL_AT").is_ok_and(|at| name.starts_with(&at)) {
        // The signal cannot be handled: nothing after this line runs.
        nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap_or_default();
        std::thread::park();
    }
}
