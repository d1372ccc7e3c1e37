//! Which file systems of the host a twin is laid over.
//!
//! An overlay does not descend into what is mounted below its lower directory, so each file system gets one of its own.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// File systems on disks, which an overlay can lie on. What is not listed (network, FUSE, FAT) stays out of a twin.
const KINDS: [&str; 9] = ["ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "zfs", "bcachefs", "tmpfs"];
/// Where a twin has file systems of its own, or where other tools keep theirs.
const OWN: [&str; 10] = [
    "/proc",
    "/sys",
    "/dev",
    "/run",
    "/tmp",
    "/snap",
    "/var/snap",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/kubelet",
];

/// The mount points that a twin lays an overlay on, parents first, from the text of `/proc/self/mountinfo` (proc(5)).
/// Below `except` nothing is taken: the twin's own disk may lie there.
pub(super) fn lower(mountinfo: &str, except: Option<&Path>) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::from("/")];
    for line in mountinfo.lines() {
        let Some((at, kind)) = mount_point(line) else { continue };
        let own = OWN.iter().map(Path::new).chain(except).any(|own| at.starts_with(own));
        // The last mount on a path hides those before it.
        found.retain(|known| known == Path::new("/") || !known.starts_with(&at));
        if !own && at != Path::new("/") && KINDS.contains(&kind) {
            found.push(at);
        }
    }
    found.sort();
    found
}

/// The mount point and the file system's kind in one line of mountinfo.
fn mount_point(line: &str) -> Option<(PathBuf, &str)> {
    let (head, tail) = line.split_once(" - ")?;
    Some((unescaped(head.split(' ').nth(4)?), tail.split(' ').next()?))
}

/// mountinfo writes space, tab, newline and backslash as `\ooo`.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|_| byte == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = &tail[3..];
            }
            None => {
                bytes.push(byte);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
24 22 0:22 / /run rw - tmpfs tmpfs rw
25 22 8:2 / /var rw - xfs /dev/sda2 rw
26 25 8:3 / /var/my\\040data rw - ext4 /dev/sda3 rw
27 22 8:4 / /boot/efi rw - vfat /dev/sda4 rw
28 22 0:40 / /home rw - nfs4 server:/home rw
29 25 0:41 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
30 22 8:5 / /usr rw master:3 - btrfs /dev/sda5 rw
31 22 8:6 / /opt/data rw - ext4 /dev/sda6 rw
32 22 0:50 / /opt rw - fuse.sshfs far:/opt rw
";

    #[test]
    fn every_disk_of_the_host_is_in_the_twin_and_nothing_else() {
        let expected = ["/", "/usr", "/var", "/var/my data"].map(PathBuf::from);
        assert_eq!(lower(MOUNTS, None), expected);
    }

    #[test]
    fn the_twins_own_disk_is_not_in_the_twin() {
        let expected = ["/", "/usr"].map(PathBuf::from);
        assert_eq!(lower(MOUNTS, Some(Path::new("/var"))), expected);
    }
}
