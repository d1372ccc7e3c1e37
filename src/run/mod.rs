//! Runs: the state machine that executes a plan, its journal, its undo, and recovery from any kill.

mod aside;
mod commit;
pub mod decide;
mod execute;
mod gates;
pub mod journal;
mod lock;
mod peers;
mod prepare;
mod prove;
pub mod record;
mod recover;
pub mod rehearse;
mod require;
mod reserve;
mod restore;
pub mod robust;
pub mod runs;
mod undo;
mod verify;

pub use execute::{Engine, execute};
pub use gates::{declared_secrets, missing_keys, secrets_of};
pub use lock::{Lock, is_held, lock, lock_install, lock_root};
pub use peers::ask as ask_peers;
pub use prepare::{in_the_way, may_be_in_the_way};
pub use recover::{Outlook, Recovered, close, outlook, recover};
pub use require::lacking;
pub use verify::foresee as foresee_units;

/// A named instant of a run. In test builds, `RELIFT_KILL_AT` names the one at which the process kills itself, as a
/// power cut or an OOM killer would, by how the name begins, or by its first and last word: `before-00007`, `before-gate`.
pub(crate) fn checkpoint(name: &str) {
    let words = name.split_once('-').and_then(|(when, rest)| Some(format!("{when}-{}", rest.split_once('-')?.1)));
    let is_here = |at: String| name.starts_with(&at) || words.as_ref() == Some(&at);
    if cfg!(debug_assertions) && std::env::var("RELIFT_KILL_AT").is_ok_and(is_here) {
        // The signal cannot be handled: nothing after this line runs.
        nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).unwrap_or_default();
        std::thread::park();
    }
}
