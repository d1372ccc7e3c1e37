//! What the package managers of this host know: when a package changed, whose a file is, whether a transaction goes on.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::process::Command;

/// Where dpkg keeps what it knows of each package.
const DPKG: &str = "/var/lib/dpkg/info";
/// Where pacman does.
const PACMAN: &str = "/var/lib/pacman/local";
/// Locks by fcntl(2) that are held while packages change: those of apt and dpkg, and rpm's in its usual places.
const LOCKS: [&str; 6] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/rpm/.rpm.lock",
    "/usr/lib/sysimage/rpm/.rpm.lock",
    "/root/.rpmdb/.rpm.lock",
    "/var/lib/zypp/zypp.lock",
];
/// pacman's, which is there or not.
const PACMAN_LOCK: &str = "/var/lib/pacman/db.lck";
/// How long a question to a package manager may take.
const ASKED: Duration = Duration::from_secs(20);

/// The packages whose names match one of `patterns` (`*` stands for anything), each with when it was unpacked last,
/// microseconds of the realtime clock.
pub fn changed(patterns: &[&str]) -> Vec<(String, u64)> {
    if patterns.is_empty() {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, path) in
        dpkg().into_iter().chain(pacman()).filter(|(name, _)| patterns.iter().any(|one| matches(one, name)))
    {
        found.extend(path.metadata().ok().map(|meta| (name, micros(meta.mtime(), meta.mtime_nsec()))));
    }
    found.extend(rpm(patterns));
    found
}

/// Whether a name is one that a pattern stands for.
pub fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(pieces.next().unwrap_or_default()) else { return false };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else { return rest.is_empty() };
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    rest.ends_with(last)
}

/// When the newest file at or below `path` changed in any way (ctime of inode(7)), microseconds; byte code that Python writes
/// for itself is none. At most so many entries are looked at.
pub fn newest_below(path: &Path, most: usize) -> Option<u64> {
    let (mut newest, mut left, mut open) = (None, most, vec![path.to_owned()]);
    while let Some(path) = open.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        left = left.saturating_sub(1);
        if left == 0 {
            break;
        }
        if !meta.is_dir() {
            newest = newest.max(Some(micros(meta.ctime(), meta.ctime_nsec())));
        } else if path.file_name().is_none_or(|name| name != "__pycache__") {
            open.extend(std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    newest
}

/// When a file changed in any way, microseconds.
pub fn changed_at(path: &Path) -> Option<u64> {
    path.metadata().ok().map(|meta| micros(meta.ctime(), meta.ctime_nsec()))
}

/// The package that a file is of.
pub fn owner(path: &Path) -> Option<String> {
    let of = |argv: &[&str], path: &Path| {
        let command = Command::new(argv.iter().copied()).args([path]).env("LC_ALL", "C").timeout(ASKED);
        command.output().ok().filter(|output| output.success()).map(|output| output.text())
    };
    // Before the directories were merged, packages said /lib for what is in /usr/lib.
    let unmerged = path.strip_prefix("/usr").map(|rest| Path::new("/").join(rest)).ok();
    let dpkg = std::iter::once(path.to_owned()).chain(unmerged).find_map(|path| {
        let text = of(&["dpkg-query", "--search", "--"], &path)?;
        let name = text.lines().next()?.split_once(": ")?.0.split([',', ':']).next()?.to_owned();
        (!name.starts_with("diversion")).then_some(name)
    });
    let rpm = || of(&["rpm", "--query", "--queryformat", "%{NAME}\\n", "--file", "--"], path);
    let rpm = || rpm().and_then(|text| text.lines().next().map(str::to_owned));
    dpkg.or_else(rpm).filter(|name| !name.is_empty())
}

/// The lock of a package manager that is held now.
pub fn busy() -> Option<&'static str> {
    let held = LOCKS.iter().find(|path| locked(path).is_some()).copied();
    held.or_else(|| Path::new(PACMAN_LOCK).exists().then_some(PACMAN_LOCK))
}

/// Who holds a lock: its process and the name of it. `None`: nobody that can be seen from here.
pub fn holder(lock: &str) -> Option<(i32, String)> {
    let pid = locked(lock).filter(|pid| *pid > 0)?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((pid, crate::text::harmless(name.trim())))
}

/// The process that holds a lock by fcntl(2), 0 where it is not of this namespace.
fn locked(path: &str) -> Option<i32> {
    let file = File::open(path).ok()?;
    let mut lock =
        libc::flock { l_type: libc::F_WRLCK as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    // SAFETY: the descriptor is open, and the kernel writes no more than the structure.
    let asked = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) };
    (asked == 0 && lock.l_type != libc::F_UNLCK as i16).then_some(lock.l_pid)
}

fn micros(seconds: i64, nanos: i64) -> u64 {
    u64::try_from(seconds * 1_000_000 + nanos / 1000).unwrap_or_default()
}

/// `NAME.list` or `NAME:ARCHITECTURE.list`, written when a package is unpacked.
fn dpkg() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(DPKG).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let file = entry.file_name().into_string().ok()?;
        let name = file.strip_suffix(".list")?;
        Some((name.split(':').next().unwrap_or(name).to_owned(), entry.path()))
    };
    entries.filter_map(of).collect()
}

/// `NAME-VERSION-RELEASE/desc`.
fn pacman() -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(PACMAN).into_iter().flatten().flatten();
    let of = |entry: std::fs::DirEntry| {
        let directory = entry.file_name().into_string().ok()?;
        let name = directory.rsplitn(3, '-').nth(2)?.to_owned();
        Some((name, entry.path().join("desc")))
    };
    entries.filter_map(of).collect()
}

/// rpm tells the second: its end, so that what was started within it counts as older.
fn rpm(patterns: &[&str]) -> Vec<(String, u64)> {
    if !Path::new("/usr/bin/rpm").exists() {
        return Vec::new();
    }
    let command = Command::new(["rpm", "--query", "--all", "--queryformat", "%{NAME} %{INSTALLTIME}\\n", "--"]);
    let output = command.args(patterns.iter().copied()).timeout(ASKED).output();
    let text = output.map(|output| output.text()).unwrap_or_default();
    let line = |line: &str| {
        let (name, seconds) = line.split_once(' ')?;
        Some((name.to_owned(), seconds.parse::<u64>().ok()? * 1_000_000 + 999_999))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything_and_nothing_else_does() {
        for (pattern, name, is) in [
            ("python3", "python3", true),
            ("python3", "python3.11", false),
            ("python3*", "python3", true),
            ("python3.*-minimal", "python3.11-minimal", true),
            ("python3.*-minimal", "python3.11", false),
            ("lib*ssl*", "libssl3", true),
            ("lib*ssl*", "openssl", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
        ] {
            assert_eq!(matches(pattern, name), is, "{pattern} {name}");
        }
    }

    #[test]
    fn what_is_written_below_a_path_is_seen_but_not_the_byte_code_of_python() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(newest_below(place.path(), 10), None);
        std::fs::create_dir_all(place.path().join("deep/__pycache__")).unwrap();
        std::fs::write(place.path().join("deep/__pycache__/x.pyc"), "").unwrap();
        assert_eq!(newest_below(place.path(), 10), None);
        std::fs::write(place.path().join("deep/x.py"), "").unwrap();
        let seen = newest_below(place.path(), 10);
        assert_eq!(seen, changed_at(&place.path().join("deep/x.py")));
        assert!(seen.is_some());
    }
}
