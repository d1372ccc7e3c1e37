//! Disks: room and inodes for a run.

use std::path::PathBuf;

use super::Finding;
use super::Section::Room;
use crate::text::{bytes, word};

/// A filesystem, statvfs(3).
#[derive(Debug, Clone)]
pub struct Disk {
    /// The place that is on it.
    pub path: PathBuf,
    /// Bytes that a run wants there: records, a staged tree, a backup.
    pub wants: u64,
    /// Bytes that are free.
    pub free: u64,
    /// Bytes in all.
    pub total: u64,
    /// Inodes that are free.
    pub inodes: u64,
    /// Inodes in all; 0 where the filesystem makes them as it goes (btrfs, xfs with room).
    pub inodes_total: u64,
    /// Whether nothing can be written.
    pub is_read_only: bool,
}

/// As many files as a run makes beside the tree, and then some.
const INODES: u64 = 2_000;

/// What is found about a disk.
pub fn judge(disk: &Disk) -> Finding {
    let subject = disk.path.display().to_string();
    let look = |what: &str| format!("see what takes it: {what} {}", word(&subject));
    if disk.is_read_only {
        return Finding::problem(Room, &subject, "is on a filesystem that is mounted read-only")
            .means("a run could write nothing")
            .mend(format!("see why (an error of the disk?): dmesg | tail; then mount -o remount,rw \"$(findmnt -nT {} -o TARGET)\"", word(&subject)));
    }
    if disk.inodes_total > 0 && disk.inodes < INODES {
        return Finding::problem(Room, &subject, format!("{} inodes are free", disk.inodes))
            .means("a run could make no files, and stops before its first change")
            .mend(look("df -i"));
    }
    let free = format!("{} free of {}", bytes(disk.free), bytes(disk.total));
    if disk.free < disk.wants {
        return Finding::problem(Room, &subject, format!("{free}, and a run wants {}", bytes(disk.wants)))
            .means("a run stops before its first change")
            .mend(look("df -h"));
    }
    let is_short = |free: u64, total: u64| total > 0 && free < total / 20;
    if disk.free < 2 * disk.wants || is_short(disk.inodes, disk.inodes_total) || is_short(disk.free, disk.total) {
        return Finding::warning(Room, &subject, format!("{free}, {} inodes", disk.inodes))
            .means("a run works, and the next ones may not")
            .mend(look("df -h"));
    }
    Finding::ok(Room, subject, free)
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    fn disk() -> Disk {
        let free = 50 << 30;
        Disk {
            path: "/".into(),
            wants: 64 << 20,
            free,
            total: 2 * free,
            inodes: 1 << 20,
            inodes_total: 2 << 20,
            is_read_only: false,
        }
    }

    #[test]
    fn a_disk_is_judged_by_what_a_run_wants() {
        let level = |change: fn(&mut Disk)| {
            let mut disk = disk();
            change(&mut disk);
            judge(&disk).level
        };
        assert_eq!(level(|_| {}), Level::Ok);
        assert_eq!(level(|disk| disk.free = 63 << 20), Level::Problem);
        assert_eq!(level(|disk| disk.free = 100 << 20), Level::Warning);
        assert_eq!(level(|disk| disk.free = 4 << 30), Level::Warning);
        assert_eq!(level(|disk| disk.inodes = 100), Level::Problem);
        assert_eq!(level(|disk| disk.inodes = 50_000), Level::Warning);
        assert_eq!(level(|disk| (disk.inodes, disk.inodes_total) = (0, 0)), Level::Ok);
        assert_eq!(level(|disk| disk.is_read_only = true), Level::Problem);
    }
}
