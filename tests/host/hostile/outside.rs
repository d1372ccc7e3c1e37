//! Canaries: what no input may change, whatever it does to the install.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::harness::Host;

/// Where they are: the system's configuration, root's and another account's home, and files of our own.
const PLACES: &[&str] = &[
    "/etc",
    "/root/.ssh",
    "/home/other",
    "/srv/canary",
    "/usr/local/bin",
    "/usr/local/sbin",
    "/var/spool/cron",
    "/usr/lib/systemd/system",
];
/// What runs may change there, and a snapshot holds.
const NOT_HERE: &[&str] = &["/etc/systemd/system"];

/// Makes the canaries that a host does not have by itself.
pub fn plant(host: &Host) {
    host.must(
        "id other >/dev/null 2>&1 || useradd --create-home other
         install -d -m 700 /root/.ssh; echo 'ssh-ed25519 AAAA root' > /root/.ssh/authorized_keys; chmod 600 /root/.ssh/authorized_keys
         install -d -m 700 -o other -g other /home/other/.ssh; echo precious > /home/other/file; chown other: /home/other/file
         install -d -m 755 /srv/canary/directory/deep; echo canary > /srv/canary/file; echo s3cr3t-canary-of-root > /srv/canary/secret
         chmod 600 /srv/canary/secret; echo canary > /srv/canary/directory/deep/file",
    );
}

/// Each path outside, with everything that a change of it would change.
#[derive(PartialEq, Eq)]
pub struct Outside(BTreeMap<PathBuf, String>);

impl Outside {
    /// What is there now.
    pub fn of(host: &Host) -> Outside {
        let root = PathBuf::from(format!("/proc/{}/root", host.twin().init()));
        let mut found = BTreeMap::new();
        PLACES.iter().for_each(|place| walk(&root, Path::new(place), &mut found));
        // Whatever ran as root and should not have leaves this.
        if let Ok(entries) = fs::read_dir(root.join("tmp")) {
            let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            names.filter(|name| name.starts_with("owned")).for_each(|name| {
                found.insert(Path::new("/tmp").join(name), "it was run".into());
            });
        }
        Outside(found)
    }

    /// What differs, one line each.
    pub fn difference(&self, other: &Outside) -> String {
        let paths: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let lines = paths.into_iter().filter(|path| self.0.get(*path) != other.0.get(*path));
        lines.map(|path| format!("{}: {:?} -> {:?}\n", path.display(), self.0.get(path), other.0.get(path))).collect()
    }
}

fn walk(root: &Path, path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let place = root.join(path.strip_prefix("/").unwrap());
    let Ok(meta) = fs::symlink_metadata(&place) else { return };
    // A change of the bytes, the mode or the owner changes the time of change, which nobody can set.
    let state = format!(
        "{:o} {}:{} {} {}.{} {}.{}",
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.size(),
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ctime(),
        meta.ctime_nsec()
    );
    found.insert(path.to_owned(), state);
    if meta.is_dir() && !NOT_HERE.iter().any(|no| path == Path::new(no)) {
        for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
            walk(root, &path.join(entry.file_name()), found);
        }
    }
    if NOT_HERE.iter().any(|no| path == Path::new(no)) {
        found.remove(path);
    }
}
