//! The command probe: a command, as the owner in the component's directory, that exits 0.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Gate;
use super::probe::Outcome;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;
use crate::host::systemd::{Manager, Transient, is_booted};

static ASKED: AtomicU32 = AtomicU32::new(0);

/// Asks a command.
pub(super) fn ask(run: &[String], gate: &Gate, owner: &Account) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    let (run, directory, owner) = (run.to_vec(), gate.directory.clone(), owner.clone());
    Box::new(move |bound| match answer(&run, &directory, &owner, bound) {
        Err(error) => Outcome::CouldNotRun(error.to_string()),
        Ok(None) => Outcome::Passed,
        Ok(Some((ending, lines))) => {
            let said = lines.iter().rev().find(|line| !line.trim().is_empty());
            let said = said.map(|line| format!(": {line}")).unwrap_or_default();
            Outcome::Failed(format!("{ending}{said}"))
        }
    })
}

/// How it ended and what it said last, where it did not exit 0.
type Unhappy = Option<(String, Vec<String>)>;

/// As steps, in a unit of its own where there is systemd: it sees the host as it is, and not what the service that runs
/// the engine may see of it.
fn answer(run: &[String], directory: &Path, owner: &Account, bound: Duration) -> Result<Unhappy> {
    if !is_booted() {
        let output = Command::new(run).account(owner).cwd(directory).timeout(bound).output()?;
        return Ok((!output.success()).then(|| (output.ending(), output.stderr)));
    }
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let end = Manager::system()?.run(&Transient {
        name: format!("relift-probe-{}-{number}.service", std::process::id()),
        description: format!("relift probe: {}", run.join(" ")),
        argv: run.to_vec(),
        account: owner.clone(),
        cwd: directory.to_owned(),
        read_only: None,
        env: owner.environment(),
        timeout: bound,
        log: "/dev/null".into(),
        hide: Vec::new(),
        is_quiet: true,
    })?;
    if end.could_not_run() {
        return Err(Error::failed(format!("{} {}", run.join(" "), end.ending())));
    }
    Ok((!end.success()).then(|| (end.ending(), end.tail)))
}
