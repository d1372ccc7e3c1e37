//! What a child that became an account has, and what this process would leave.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::host::account::Account;
use crate::host::process::Command;

/// How long a child that only looks at itself may take.
const BOUND: Duration = Duration::from_secs(10);

/// `/proc/self/status` of a child that became `account`, and whether it could read `secret`.
pub fn as_account(account: &Account, secret: &Path) -> Result<(String, bool)> {
    let look = |words: &[&str]| Command::new(words.iter().copied()).account(account).timeout(BOUND);
    let status = look(&["cat", "/proc/self/status"]).succeed()?.text();
    let reads = look(&["cat"]).args([secret]).output()?.success();
    Ok((status, reads))
}

/// The groups that the group data base gives an account.
pub fn groups_of(account: &Account) -> Vec<u32> {
    let name = std::ffi::CString::new(account.name.clone()).unwrap_or_default();
    let groups = nix::unistd::getgrouplist(&name, nix::unistd::Gid::from_raw(account.gid)).unwrap_or_default();
    groups.into_iter().map(nix::unistd::Gid::as_raw).collect()
}

/// Whether a crash of this process would leave a core dump: neither its limit nor its being dumpable keeps it from that.
pub fn dumps_core() -> bool {
    // SAFETY: the call takes no pointer.
    let is_dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE, 0, 0, 0, 0) } == 1;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills in the structure that it is given.
    unsafe { libc::getrlimit(libc::RLIMIT_CORE, &mut limit) };
    // core(5): a pattern that is a pipe is fed whatever the limit but 1.
    let is_piped = std::fs::read_to_string("/proc/sys/kernel/core_pattern").is_ok_and(|text| text.starts_with('|'));
    is_dumpable && (limit.rlim_cur > 1 || is_piped && limit.rlim_cur != 1)
}
