//! What of this host the story could have touched by mistake.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::voice::Measured;
use crate::sample::Site;

/// Files and directories that installing and upgrading the sample changes in the twin, wherever the sample is.
const PLACES: [&str; 13] = [
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/subuid",
    "/etc/subgid",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/etc/systemd",
    "/usr/lib/systemd",
    "/var/lib/systemd/linger",
    "/usr/bin/relift",
];

/// Inode, size, mode, owner and times of everything there.
#[derive(Debug, PartialEq, Eq)]
pub struct Footprint(BTreeMap<PathBuf, String>);

impl Footprint {
    /// As it is now.
    pub fn take(site: &Site) -> Footprint {
        let Site { name, root, bare, .. } = site;
        let mut found = BTreeMap::new();
        let own =
            ["/etc/relift/", "/var/lib/relift/", "/var/cache/relift/", "/home/"].map(|place| format!("{place}{name}"));
        let own = own.iter().map(Path::new).chain([Path::new(root), bare.as_path()]);
        PLACES.iter().map(Path::new).chain(own).for_each(|place| walk(place, &mut found));
        let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        found.insert("the host name".into(), name);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let of_a_twin = mounts.lines().filter(|line| line.contains("/tmp/disk/")).collect::<String>();
        found.insert("the mounts".into(), of_a_twin);
        Footprint(found)
    }

    /// Whether nothing has changed since.
    pub fn compared_with(&self, later: &Footprint) -> Measured {
        let paths = self.0.keys().chain(later.0.keys());
        let changed: Vec<_> = paths.filter(|path| self.0.get(*path) != later.0.get(*path)).collect();
        match changed.first() {
            None => Measured::of("this host", true, "accounts, units, manifests, mounts, name: untouched".into()),
            Some(path) => {
                let saw = format!("{} was changed meanwhile, by this or by something else", path.display());
                Measured::of("this host", false, saw)
            }
        }
    }
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    // What is not there, before as well as after, is as it was.
    let Ok(meta) = fs::symlink_metadata(path) else { return };
    let (size, times) = (meta.size(), [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()]);
    let line = format!("{} {:o} {}:{} {size} {times:?}", meta.ino(), meta.mode(), meta.uid(), meta.gid());
    found.insert(path.to_owned(), line);
    if meta.is_dir() {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        entries.for_each(|entry| walk(&entry.path(), found));
    }
}
