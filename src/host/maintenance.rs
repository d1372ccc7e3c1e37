//! Where a package manager does its work, and what this host's administrator lets packages do.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::process::Command;

/// What an administrator's policy is, invoke-rc.d(8).
const POLICY: &str = "/usr/sbin/policy-rc.d";
/// How long it may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a policy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Policy {
    /// There is none.
    Absent,
    /// It ended with this status, or not in time, and printed this.
    Said(Option<i32>, String),
    /// It could not be asked.
    Unheard,
}

/// Whether `/` of this process is that of PID 1; `None`: that cannot be told. In a chroot it is not.
pub fn is_pid1s_root() -> Option<bool> {
    let id = |path: &str| std::fs::metadata(path).ok().map(|meta| (meta.dev(), meta.ino()));
    id("/").zip(id("/proc/1/root/")).map(|(own, first)| own == first)
}

/// Asks the policy whether packages may restart services.
pub fn policy_on_restarts() -> Policy {
    let is_there = |meta: std::fs::Metadata| meta.is_file() && meta.permissions().mode() & 0o111 != 0;
    if !Path::new(POLICY).metadata().is_ok_and(is_there) {
        return Policy::Absent;
    }
    match Command::new([POLICY, "relift", "restart"]).timeout(PATIENCE).output() {
        Ok(output) => Policy::Said(output.status.and_then(|status| status.code()), output.text()),
        Err(_) => Policy::Unheard,
    }
}
