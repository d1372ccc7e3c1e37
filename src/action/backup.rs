//! The backup of a run: taken in *prepare* or once the services are stopped; its undo puts the data back.
//!
//! It stands before the tree, so that its undo comes when steps, units and tree are back, and before `Quiesce` starts what
//! ran.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::quiesce::JOB_TIMEOUT;
use super::{Act, Seen, Sight, Site};
use crate::backup::{self, Listing, Measured, Order, Reason, Scope as Data};
use crate::error::{Error, Result};
use crate::host::systemd::Verb;
use crate::ledger::Ledger;
use crate::manifest::{BackupWhen, Scope};
use crate::report::{Event, during};

/// A backup under the id of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// What is backed up.
    pub data: Data,
    /// How much that was when the plan was made.
    pub measured: Measured,
    /// When it is taken.
    pub when: BackupWhen,
    /// Where it is kept.
    pub store: PathBuf,
    /// Where the owner may be given a directory.
    pub cache: PathBuf,
    /// How many backups are kept.
    pub keep: usize,
    /// The units of the install, which are stopped while data is put back.
    pub units: Vec<(Scope, String)>,
    /// The places of the steps that it undoes among the plan's actions: it is only put back when one of them was begun.
    pub of: Vec<usize>,
}

impl Backup {
    /// Takes the run's backup and proves it; older ones beyond what is kept go. Nothing live is changed.
    pub fn take(&self, site: &Site) -> Result<Listing> {
        let listing = self.keep(site, site.run.clone(), Reason::Run)?;
        let mut needed = vec![site.run.clone()];
        let state = site.directory.ancestors().nth(2).unwrap_or(&site.directory);
        needed.extend(Ledger::below(state).known_good()?.last().and_then(|entry| entry.run.clone()));
        for text in backup::prune(&self.store, self.keep, &needed) {
            site.reporter.tell(Event::Warning { text: format!("an old backup stays: {text}") });
        }
        Ok(listing)
    }

    fn keep(&self, site: &Site, id: String, reason: Reason) -> Result<Listing> {
        let order = Order {
            store: &self.store,
            cache: &self.cache,
            id,
            install: &site.install,
            run: Some(site.run.clone()),
            reason,
            root: &site.root,
            owner: &site.owner,
            scope: &self.data,
        };
        let taken = backup::take(&order)?;
        for text in taken.warnings {
            site.reporter.tell(Event::Warning { text });
        }
        Ok(taken.listing)
    }

    /// What the new release made of the data is kept as well, once: a restore that is begun again finds a mixture.
    fn keep_present(&self, site: &Site) -> Result<()> {
        let is_kept = |stored: &backup::Stored| {
            let listing = stored.listing.as_ref().ok();
            listing.is_some_and(|one| one.run.as_ref() == Some(&site.run) && one.reason == Reason::BeforeRestore)
        };
        if backup::list(&self.store)?.iter().any(is_kept) {
            return Ok(());
        }
        let kept = backup::next_id(&self.store).and_then(|id| self.keep(site, id, Reason::BeforeRestore));
        let text = match kept {
            Ok(listing) => format!("the data as the undone release left it is in the backup {}", listing.id),
            Err(error) => format!("the data as the undone release left it is not kept: {error}"),
        };
        site.reporter.tell(Event::Warning { text });
        Ok(())
    }
}

/// Stops units, what starts others first. One that cannot be stopped is an error.
pub fn stop_units(site: &mut Site, units: &[(Scope, String)]) -> Result<()> {
    for (scope, unit) in in_order_of_stopping(units) {
        let manager = site.manager(scope)?;
        let state = manager.running(&unit)?;
        if !state.is_active() && state.active != "activating" {
            continue;
        }
        let result = manager.job(Verb::Stop, &unit, JOB_TIMEOUT)?;
        if !result.is_done() {
            return Err(Error::failed(format!(
                "{unit} cannot be stopped, and it may write to the data that is put back"
            ))
            .because(format!("the job ended as `{}`", result.0)));
        }
    }
    Ok(())
}

/// What starts others first: a timer or a socket would start its service again.
pub fn in_order_of_stopping(units: &[(Scope, String)]) -> Vec<(Scope, String)> {
    let (services, starters): (Vec<_>, Vec<_>) =
        units.iter().cloned().partition(|(_, unit)| unit.ends_with(".service"));
    starters.into_iter().chain(services).collect()
}

impl Act for Backup {
    fn title(&self) -> String {
        let names: Vec<String> = self.data.names().iter().map(|path| path.display().to_string()).collect();
        format!("back up {}", names.join(", "))
    }

    fn undo_title(&self) -> Option<String> {
        Some("put the data back from the backup".into())
    }

    fn sight(&self, _: &mut Site, _: &Seen, is_done: bool) -> Result<Sight> {
        // Half a backup is none, and it is taken anew.
        Ok(Sight::whole_or_not(is_done))
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        match self.when {
            // It was taken before anything was changed.
            BackupWhen::Prepare => Ok(()),
            BackupWhen::Quiesced => self.take(site).map(drop),
        }
    }

    fn undo(&self, site: &mut Site, _: &Seen) -> Result<Vec<String>> {
        let directory = self.store.join(&site.run);
        // Before anything is stopped for it.
        backup::verify(&directory)?;
        stop_units(site, &self.units)?;
        let reporter = site.reporter;
        during(reporter, "keep the data of the undone release", || self.keep_present(site))?;
        crate::run::checkpoint("restore-begins");
        backup::put_back(&directory, &site.root, &[])?;
        crate::run::checkpoint("restore-ends");
        Ok(Vec::new())
    }
}
