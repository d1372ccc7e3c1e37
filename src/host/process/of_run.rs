//! The children of a run: whoever comes after it finds them by a variable of their environment.

use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::error::{Context, Error, Result};

/// The variable by which the children of a run are known, whatever they forked.
pub(super) const RUN_VARIABLE: &str = "RELIFT_RUN";

static RUN: RwLock<Option<String>> = RwLock::new(None);

/// Every child from here on belongs to this run.
pub fn belong_to(run: &str) {
    *RUN.write().unwrap_or_else(PoisonError::into_inner) = Some(run.to_owned());
}

/// The run that children belong to.
pub(super) fn run() -> Option<String> {
    RUN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Kills the processes that an earlier life of a run started directly, and waits until they are gone: git may still write
/// to the tree after the program that started it was killed.
pub fn end_those_of(run: &str, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    let wanted = format!("{RUN_VARIABLE}={run}");
    loop {
        let alive = those_of(&wanted)?;
        if alive.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let list = alive.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
            return Err(Error::failed(format!("processes of the run {run} cannot be ended: {list}"))
                .hint(format!("see what they wait for: ps -o pid,stat,wchan,args -p {}", list.replace(' ', ""))));
        }
        for pid in alive {
            // It may have ended meanwhile.
            nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap_or_default();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn those_of(variable: &str) -> Result<Vec<i32>> {
    let entries = std::fs::read_dir("/proc").context("/proc cannot be read")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let belongs = |pid: &i32| {
        // Of a zombie, and of one that just ended, nothing can be read: neither writes any more.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|pair| pair == variable.as_bytes())
    };
    let own = std::process::id() as i32;
    Ok(pids.filter(|pid| *pid != own && belongs(pid)).collect())
}
