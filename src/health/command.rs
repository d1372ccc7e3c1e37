//! The command probe: a command, as the owner in the component's directory, that exits 0.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::Gate;
use super::number::{Trend, last_number};
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
        Ok(Answer { unhappy: None, .. }) => Outcome::Passed,
        Ok(Answer { unhappy: Some(ending), lines }) => Outcome::Failed(unhappy(&ending, &lines)),
    })
}

/// Asks a command for a number that must be below `below`.
pub(super) fn ask_number(
    run: &[String],
    below: f64,
    gate: &Gate,
    owner: &Account,
) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    let (run, directory, owner) = (run.to_vec(), gate.directory.clone(), owner.clone());
    let (begun, mut trend) = (Instant::now(), Trend::default());
    Box::new(move |bound| match answer(&run, &directory, &owner, bound) {
        Err(error) => Outcome::CouldNotRun(error.to_string()),
        Ok(Answer { unhappy: Some(ending), lines }) => Outcome::Failed(unhappy(&ending, &lines)),
        Ok(Answer { unhappy: None, lines }) => {
            let line = lines.first().map(String::as_str).unwrap_or_default();
            let Some(number) = last_number(line) else {
                return Outcome::Failed(format!("printed no number: \"{line}\""));
            };
            trend.note(begun.elapsed(), number);
            if number < below { Outcome::Passed } else { Outcome::Failed(trend.words(below)) }
        }
    })
}

fn unhappy(ending: &str, lines: &[String]) -> String {
    let said = lines.iter().rev().find(|line| !line.trim().is_empty());
    let said = said.map(|line| format!(": {line}")).unwrap_or_default();
    format!("{ending}{said}")
}

/// How it ended where it did not exit 0, and what it said: the first line, and the last ones.
struct Answer {
    unhappy: Option<String>,
    lines: Vec<String>,
}

/// As steps, in a unit of its own where there is systemd: it sees the host as it is, and not what the service that runs
/// the engine may see of it.
fn answer(run: &[String], directory: &Path, owner: &Account, bound: Duration) -> Result<Answer> {
    if !is_booted() {
        let output = Command::new(run).account(owner).cwd(directory).timeout(bound).output()?;
        let text = output.text();
        let lines = text.lines().take(1).map(str::to_owned).chain(output.stderr.iter().cloned()).collect();
        return Ok(Answer { unhappy: (!output.success()).then(|| output.ending()), lines });
    }
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    let mut first = None;
    let transient = Transient {
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
    };
    let end = Manager::system()?.run_watched(&transient, &mut |line| {
        first.get_or_insert_with(|| line.to_owned());
    })?;
    if end.could_not_run() {
        return Err(Error::failed(format!("{} {}", run.join(" "), end.ending())));
    }
    let lines = first.into_iter().chain(end.tail.iter().cloned()).collect();
    Ok(Answer { unhappy: (!end.success()).then(|| end.ending()), lines })
}
