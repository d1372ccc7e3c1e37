//! What the processes of a service run with.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How much of one process's mappings is read, bytes.
const MOST: usize = 8 << 20;
/// How many processes of a service are looked at.
const PROCESSES: usize = 500;

/// A process, as proc(5) shows it. One that ends meanwhile is none.
#[derive(Debug, Clone, Default)]
pub struct Process {
    /// What `/proc/PID/exe` is read as.
    pub program: String,
    /// The text of `/proc/PID/maps`.
    pub maps: String,
}

/// The processes of the control group that the main process of `unit` is in, itself first.
pub fn processes(main: u32, unit: &str) -> Vec<Process> {
    let mut pids = BTreeSet::new();
    if let Some(group) = group(main, unit) {
        members(&group, &mut pids);
    }
    pids.remove(&main);
    std::iter::once(main).chain(pids).take(PROCESSES).filter_map(process).collect()
}

fn process(pid: u32) -> Option<Process> {
    let place = PathBuf::from(format!("/proc/{pid}"));
    let program = std::fs::read_link(place.join("exe")).ok()?;
    let mut maps = std::fs::read(place.join("maps")).ok()?;
    maps.truncate(MOST);
    Some(Process { program: program.to_string_lossy().into_owned(), maps: String::from_utf8_lossy(&maps).into_owned() })
}

/// The control group of the unit on the way to the process's own, cgroups(7).
fn group(main: u32, unit: &str) -> Option<PathBuf> {
    let text = std::fs::read_to_string(format!("/proc/{main}/cgroup")).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let own = Path::new(path).ancestors().find(|group| group.file_name().is_some_and(|name| name == unit))?;
    Some(Path::new("/sys/fs/cgroup").join(own.strip_prefix("/").unwrap_or(own)))
}

fn members(group: &Path, pids: &mut BTreeSet<u32>) {
    let text = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        members(&entry.path(), pids);
    }
}
