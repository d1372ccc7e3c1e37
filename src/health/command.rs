//! The command probe: a command, as the owner in the component's directory, that exits 0.

use std::time::Duration;

use super::Gate;
use super::probe::Outcome;
use crate::host::account::Account;
use crate::host::process::Command;

/// Asks a command.
pub(super) fn ask(run: &[String], gate: &Gate, owner: &Account) -> Box<dyn FnMut(Duration) -> Outcome + Send> {
    let (run, directory, owner) = (run.to_vec(), gate.directory.clone(), owner.clone());
    Box::new(move |bound| {
        let command = Command::new(run.clone()).account(&owner).cwd(&directory).timeout(bound);
        match command.output() {
            Err(error) => Outcome::CouldNotRun(error.to_string()),
            Ok(output) if output.success() => Outcome::Passed,
            Ok(output) => {
                let said = output.stderr.iter().rev().find(|line| !line.trim().is_empty());
                let said = said.map(|line| format!(": {line}")).unwrap_or_default();
                Outcome::Failed(format!("{}{said}", output.ending()))
            }
        }
    })
}
