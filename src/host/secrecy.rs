//! What is in this program's memory stays there: values of `.env` files and tokens are.

use nix::sys::resource::{Resource, setrlimit};

/// No core dump of this program or of what it starts is written, core(5), and no other account looks into it,
/// prctl(2). A core pattern that is a program gets no memory of ours either. Called first of all.
pub fn keep_memory() {
    // Neither can fail for a process that asks it of itself.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap_or_default();
    if nix::unistd::geteuid().is_root() {
        nix::sys::prctl::set_dumpable(false).unwrap_or_default();
    }
}
