//! The control group of a twin. Without one, the systemds of several twins would share the root of the hierarchy and
//! kill each other's services.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::mount::MsFlags;

use super::mounts;
use crate::error::{Context, Error, Result};

/// How long the kernel may take until the groups of killed processes are empty.
const EMPTY_BOUND: Duration = Duration::from_secs(5);

/// What a group is called, before the pid of its supervisor.
const PREFIX: &str = "relift-twin-";

/// A group below the caller's own, in a mount of the hierarchy that only this mount namespace sees.
#[derive(Debug)]
pub(super) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Mounts the hierarchy at `at` and makes the group of this supervisor in it.
    pub(super) fn create(at: &Path) -> Result<Cgroup> {
        mounts::directory(at, 0o755)?;
        mounts::fresh("cgroup2", at, MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC, "")?;
        let own = fs::read_to_string("/proc/self/cgroup").context("/proc/self/cgroup cannot be read")?;
        let parent = at.join(own_group(&own));
        sweep(&parent)?;
        let path = parent.join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("no control group {} can be made", path.display()))?;
        Ok(Cgroup { path })
    }

    /// Moves a process into it.
    pub(super) fn adopt(&self, pid: i32) -> Result<()> {
        fs::write(self.path.join("cgroup.procs"), pid.to_string())
            .context("the twin cannot be moved to its control group")
    }

    /// Removes what a systemd that was killed left below it.
    pub(super) fn clear(&self) -> Result<()> {
        children(&self.path).iter().try_for_each(|child| remove(child))
    }

    /// Removes it.
    pub(super) fn remove(&self) -> Result<()> {
        remove(&self.path)
    }
}

/// The caller's group below the root of the hierarchy, cgroups(7); the root for a caller that entered a cgroup namespace
/// from outside.
fn own_group(proc_self_cgroup: &str) -> &str {
    let own = proc_self_cgroup.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    if own.starts_with("..") { "" } else { own }
}

/// Removes the groups of supervisors that were killed; their processes died with them.
fn sweep(parent: &Path) -> Result<()> {
    let supervisor = |path: &Path| path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse::<u32>().ok();
    let dead = |path: &Path| supervisor(path).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    children(parent).iter().filter(|path| dead(path)).try_for_each(|path| remove(path))
}

fn children(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries.iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(fs::DirEntry::path).collect()
}

fn remove(path: &Path) -> Result<()> {
    children(path).iter().try_for_each(|child| remove(child))?;
    let deadline = Instant::now() + EMPTY_BOUND;
    loop {
        match fs::remove_dir(path) {
            Err(error) if error.kind() == std::io::ErrorKind::ResourceBusy && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(
                    Error::failed(format!("the control group {} cannot be removed", path.display())).because(error)
                );
            }
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::own_group;

    #[test]
    fn the_twin_lives_below_the_callers_own_group() {
        assert_eq!(own_group("4:memory:/x\n0::/user.slice/session-3.scope\n"), "user.slice/session-3.scope");
        assert_eq!(own_group("0::/\n"), "");
        assert_eq!(own_group("0::/../../elsewhere\n"), "");
    }
}
