//! What the manifest wants to be free on the host (`require` under [policy]), looked at for the plan and again in *prepare*.

use std::path::Path;

use crate::error::{Context, Result};
use crate::host::fs::free_bytes;
use crate::manifest::{Install, Require};
use crate::plan::Blocker;
use crate::text::bytes;

/// What is missing now.
pub fn lacking(install: &Install) -> Result<Vec<Blocker>> {
    let require = install.policy.require;
    let disk = require.disk.map(|_| free_bytes(&install.root)).transpose()?;
    let memory = match require.memory {
        Some(_) => available(&std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo cannot be read")?),
        None => None,
    };
    Ok(judge(&install.root, require, disk, memory))
}

/// Pure. What is not known is not missed.
fn judge(root: &Path, require: Require, disk: Option<u64>, memory: Option<u64>) -> Vec<Blocker> {
    let mut missing = Vec::new();
    if let (Some(wanted), Some(free)) = (require.disk, disk)
        && free < wanted
    {
        missing.push(Blocker::impossible(
            format!(
                "only {} are free on the filesystem of {}, and `require` under [policy] wants {}",
                bytes(free),
                root.display(),
                bytes(wanted)
            ),
            format!("make room: df -h {0}; what takes it: du -xhd1 {0}", root.display()),
        ));
    }
    if let (Some(wanted), Some(free)) = (require.memory, memory)
        && free < wanted
    {
        missing.push(Blocker::impossible(
            format!(
                "only {} of memory are available, and `require` under [policy] wants {}",
                bytes(free),
                bytes(wanted)
            ),
            "see what takes it: systemd-cgtop -m",
        ));
    }
    missing
}

/// `MemAvailable` of proc_meminfo(5), bytes.
fn available(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_and_not_there_stops_and_nothing_else_does() {
        let of = |require: Require, disk: u64, memory: u64| {
            let found = judge(Path::new("/opt/app"), require, Some(disk), Some(memory));
            found.into_iter().map(|blocker| blocker.what).collect::<Vec<_>>()
        };
        let both = Require { disk: Some(100 << 20), memory: Some(512 << 20) };
        assert_eq!(of(both, 100 << 20, 512 << 20), Vec::<String>::new());
        assert_eq!(of(Require::default(), 0, 0), Vec::<String>::new());
        assert_eq!(
            of(both, (100 << 20) - 1, 256 << 20),
            [
                "only 100.00 MiB are free on the filesystem of /opt/app, and `require` under [policy] wants 100.00 MiB",
                "only 256.00 MiB of memory are available, and `require` under [policy] wants 512.00 MiB"
            ]
        );
        assert!(judge(Path::new("/"), both, None, None).is_empty());
    }

    #[test]
    fn available_memory_is_read_as_the_kernel_writes_it() {
        assert_eq!(available("MemTotal:  2 kB\nMemAvailable:    1024 kB\n"), Some(1 << 20));
        assert_eq!(available("MemTotal: 2 kB\n"), None);
        assert_eq!(available("MemAvailable: 99999999999999999999 kB"), None);
    }
}
