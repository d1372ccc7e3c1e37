//! What a child does between fork(2) and execve(2): nothing of ours is left to it, and it is whom it is to be. Only calls of
//! signal-safety(7) are made there.

use std::os::unix::process::CommandExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::Gid;

use crate::error::{Context, Result};
use crate::host::account::Account;

/// A session of its own, so that no terminal is its own, with nothing of ours open, umask(2) 022 and no core dumps.
pub(super) fn detach(command: &mut std::process::Command) {
    // SAFETY: only async-signal-safe system calls run between fork and exec.
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            // We ignore it; a child is ended by it.
            nix::sys::signal::signal(Signal::SIGXFSZ, nix::sys::signal::SigHandler::SigDfl)?;
            libc::umask(0o022);
            close_at_exec();
            Ok(setrlimit(Resource::RLIMIT_CORE, 0, 0)?)
        });
    }
}

/// An inherited bound that is lower stays.
pub(super) fn bound_files(command: &mut std::process::Command, bytes: u64) {
    // SAFETY: as above.
    unsafe {
        command.pre_exec(move || {
            let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE)?;
            Ok(setrlimit(Resource::RLIMIT_FSIZE, bytes.min(hard), bytes.min(hard))?)
        });
    }
}

/// Whatever else is open, whoever opened it, stays behind at exec; close_range(2).
fn close_at_exec() {
    // SAFETY: no memory is passed.
    match unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } {
        0 => {}
        // Before Linux 5.11. What is not open is no error.
        _ => (3..1024).for_each(|fd| {
            // SAFETY: as above.
            unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        }),
    }
}

/// Enters the working directory as whoever the child is by then: root can reach what its account cannot.
pub(super) fn enter(command: &mut std::process::Command, cwd: &std::path::Path) -> Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let place = std::ffi::CString::new(cwd.as_os_str().as_bytes())
        .with_context(|| format!("{} names no directory", cwd.display()))?;
    // SAFETY: as above; the name was made before the fork.
    unsafe {
        command.pre_exec(move || match libc::chdir(place.as_ptr()) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    Ok(())
}

pub(super) fn die_with_us(command: &mut std::process::Command) {
    let parent = nix::unistd::getpid();
    // SAFETY: only async-signal-safe system calls run between fork and exec.
    unsafe {
        command.pre_exec(move || {
            // After the change of account, which clears it.
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            match nix::unistd::getppid() == parent {
                true => Ok(()),
                false => Err(std::io::Error::other("its parent ended")),
            }
        });
    }
}

pub(super) fn become_account(command: &mut std::process::Command, account: Account) {
    let caller_is_root = nix::unistd::geteuid().is_root();
    let groups = groups_of(&account);
    // SAFETY: only async-signal-safe system calls run between fork and exec; the group list was made before.
    unsafe {
        command.pre_exec(move || {
            if caller_is_root {
                nix::unistd::setgroups(&groups)?;
                nix::unistd::setgid(Gid::from_raw(account.gid))?;
                nix::unistd::setuid(nix::unistd::Uid::from_raw(account.uid))?;
            }
            if account.uid != 0 && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
}

/// How long what was looked up of an account's groups holds: a run starts a dozen children of it, the last when its services
/// have been watched for a while.
const FRESH: Duration = Duration::from_secs(5);

/// The groups that were looked up, of whom, and when.
static GROUPS: Mutex<Vec<(Account, Instant, Vec<Gid>)>> = Mutex::new(Vec::new());

/// Looks up the groups of an account, ahead of a child of it: in a thread, while something else is done.
pub fn know_groups(account: &Account) {
    groups_of(account);
}

/// The groups of an account, getgrouplist(3). Where systemd is asked as well, nss-systemd(8), its manager has to answer.
fn groups_of(account: &Account) -> Vec<Gid> {
    let mut known = GROUPS.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(_, looked_up, _)| looked_up.elapsed() < FRESH);
    if let Some((_, _, groups)) = known.iter().find(|(of, ..)| of == account) {
        return groups.clone();
    }
    let primary = Gid::from_raw(account.gid);
    let name = std::ffi::CString::new(account.name.clone()).unwrap_or_default();
    let groups = nix::unistd::getgrouplist(&name, primary).unwrap_or_else(|_| vec![primary]);
    known.push((account.clone(), Instant::now(), groups.clone()));
    groups
}
