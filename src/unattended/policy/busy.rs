//! The `defer` command: whether the host is busy with something that only it knows of.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::remove_durably;
use crate::host::systemd::{Manager, Transient};
use crate::manifest::{Defer, RunAs, writers_of};

/// `EX_TEMPFAIL` of sysexits(3).
const BUSY: i32 = 75;
/// The longest reason that is told, in characters.
const REASON: usize = 200;

/// What it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Start.
    Go,
    /// Not now, and why.
    Busy(String),
    /// It cannot be asked, or failed: what happened.
    Fault(String),
}

/// Asks it in a transient unit: whatever it forks ends with it. Values in `hide` are not told.
pub fn ask(install: &str, defer: &Defer, owner: &Account, state: &Path, hide: Vec<String>) -> Answer {
    let fault = |what: String| Answer::Fault(format!("the `defer` command {}: {what}", defer.run.join(" ")));
    let account = if defer.run_as == RunAs::Root { Account::root() } else { owner.clone() };
    if let Some(writer) = other_writer(Path::new(&defer.run[0]), &account) {
        return fault(format!("it is not run, {writer}"));
    }
    let run = || -> Result<_> {
        let log = state.join("defer.log");
        remove_durably(&log)?;
        let mut env = account.environment();
        env.push(("RELIFT_INSTALL".into(), install.to_owned()));
        env.push(("TERM".into(), "dumb".into()));
        let transient = Transient {
            name: format!("relift-{install}-defer.service"),
            description: format!("relift {install}: is the host busy"),
            argv: defer.run.clone(),
            account: account.clone(),
            cwd: PathBuf::from("/"),
            read_only: None,
            env,
            timeout: defer.timeout,
            log,
            hide,
            is_quiet: false,
        };
        Manager::system()?.run(&transient)
    };
    match run() {
        Err(error) => fault(error.to_string()),
        Ok(end) if end.success() => Answer::Go,
        Ok(end) => {
            let last = end.tail.iter().rev().map(|line| line.trim()).find(|line| !line.is_empty());
            let last = last.map(|line| crate::text::shortened(line, REASON));
            match (end.result.as_str(), end.code, end.status) {
                ("exit-code", libc::CLD_EXITED, BUSY) => {
                    Answer::Busy(last.unwrap_or_else(|| "no reason is given".into()))
                }
                _ => fault(last.map_or(format!("it {}", end.ending()), |last| format!("it {}: {last}", end.ending()))),
            }
        }
    }
}

/// Who else may write what would be run with the rights of `account`.
fn other_writer(program: &Path, account: &Account) -> Option<String> {
    let of_owner = format!("belongs to uid {}, not to root", account.uid);
    match writers_of(program) {
        Err(error) => Some(error.to_string()),
        Ok(writers) => writers.into_iter().find(|writer| account.is_root() || !writer.ends_with(&of_owner)),
    }
}
