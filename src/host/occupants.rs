//! Who works in a directory: processes that are not ours.

use std::path::Path;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupant {
    /// Its id.
    pub pid: i32,
    /// Its first two arguments, for a person: those that follow may hold secrets.
    pub words: String,
}

/// The processes of a program (`git`, and `git-...`) that work at or below `directory`, from proc_pid_cwd(5). One that
/// ends meanwhile is none.
pub fn working_in(directory: &Path, program: &str) -> Vec<Occupant> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| occupant(pid, directory, program)).collect()
}

fn occupant(pid: i32, directory: &Path, program: &str) -> Option<Occupant> {
    let process = Path::new("/proc").join(pid.to_string());
    let name = std::fs::read_to_string(process.join("comm")).ok()?;
    let is_of_it = name.trim_end() == program || name.starts_with(&format!("{program}-"));
    let works = is_of_it && std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(directory));
    let arguments = std::fs::read(process.join("cmdline")).ok().filter(|_| works)?;
    let words: Vec<_> = arguments.split(|byte| *byte == 0).take(2).map(String::from_utf8_lossy).collect();
    Some(Occupant { pid, words: crate::text::harmless(words.join(" ").trim_end()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_process_is_found_where_it_works_and_nowhere_else() {
        let place = tempfile::tempdir().unwrap();
        let below = place.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let mut child = Command::new("sleep").arg("60").current_dir(&below).spawn().unwrap();
        let directory = place.path().canonicalize().unwrap();
        // The kernel gives a process its name a moment after the files that exec closes.
        let mut looks = (0..500).map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            working_in(&directory, "sleep")
        });
        let found = looks.find(|found| !found.is_empty()).unwrap_or_default();
        let elsewhere = working_in(&below.join("deeper"), "sleep");
        let other = working_in(place.path(), "slee");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found, [Occupant { pid: child.id() as i32, words: "sleep 60".into() }]);
        assert!(elsewhere.is_empty() && other.is_empty());
    }
}
