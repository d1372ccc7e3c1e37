//! The backup of a run in its journal: recorded when it is proven, looked at before the point of no return, and what was
//! lost when it was put back.

use std::fmt;

use super::journal::Journal;
use super::record::Body;
use crate::action::{Act, Action, Backup, Site};
use crate::backup::{self, Listing};
use crate::error::{Error, Result};
use crate::manifest::BackupWhen;
use crate::plan::Plan;
use crate::report::during;

/// Data that was put back from a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    backup: String,
    minutes: u64,
}

impl Lost {
    /// Records are stamped in whole seconds, so that nearly one more may have passed than lies between them.
    fn between(backup: &str, taken: i64, put_back: i64) -> Self {
        let seconds = u64::try_from(put_back - taken).unwrap_or(0) + 1;
        Self { backup: backup.to_owned(), minutes: seconds.div_ceil(60) }
    }

    /// The minutes between the backup and its return, rounded up: at least one.
    pub fn minutes(&self) -> u64 {
        self.minutes
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = crate::text::minutes(self.minutes());
        write!(f, "restored from backup, {minutes} lost (backup {})", self.backup)
    }
}

/// The backup in a plan, and its place.
pub(super) fn planned(plan: &Plan) -> Option<(usize, &Backup)> {
    plan.actions.iter().enumerate().find_map(|(at, action)| match action {
        Action::Backup(backup) => Some((at, backup)),
        _ => None,
    })
}

/// The record of a backup that was proven.
pub(super) fn backed_up(listing: &Listing) -> Body {
    Body::BackedUp { backup: listing.id.clone(), time: listing.time, bytes: listing.size() }
}

/// Takes the backup where it is taken now, and gives its record.
pub(super) fn apply(backup: &Backup, site: &Site) -> Result<Option<Body>> {
    match backup.when {
        BackupWhen::Prepare => Ok(None),
        BackupWhen::Quiesced => {
            let taken = during(site.reporter, format!("{}, and prove it", backup.title()), || backup.take(site))?;
            Ok(Some(backed_up(&taken)))
        }
    }
}

/// Makes sure that the run's backup is there: past this nothing else leads back.
pub(super) fn is_at_hand(plan: &Plan, journal: &Journal) -> Result<()> {
    let Some((_, backup)) = planned(plan) else {
        return Err(Error::failed("nothing undoes the next step, and the run has no backup"));
    };
    let Some((id, _)) = journal.backup() else {
        return Err(Error::failed("nothing undoes the next step, and the backup was not proven"));
    };
    backup::open(&backup.store.join(id)).map(drop)
}

/// The command that puts the run's backup back by hand, where there is one.
pub(super) fn way_back(journal: &Journal) -> Option<String> {
    let (id, _) = journal.backup()?;
    let install = &journal.start()?.plan.install;
    Some(format!("the data as it was before the run: relift backup restore {install} {id}"))
}

/// What was lost, where the run's backup was put back. From the records alone, so that recovery says the same.
pub(super) fn lost(journal: &Journal) -> Option<Lost> {
    let (at, backup) = planned(&journal.start()?.plan)?;
    let (id, taken) = journal.backup()?;
    let undone = |action: usize| journal.records().iter().find(|record| record.body == Body::Undone { action });
    let was_put_back = backup.of.iter().any(|step| undone(*step).is_some());
    let put_back = undone(at).filter(|_| was_put_back)?;
    Some(Lost::between(id, taken, put_back.time))
}

#[cfg(test)]
mod tests {
    use super::Lost;

    #[test]
    fn what_was_lost_is_never_said_to_be_less_than_it_was() {
        for (put_back, minutes) in [(0, 1), (1, 1), (59, 1), (60, 2), (119, 2), (120, 3), (-5, 1)] {
            assert_eq!(Lost::between("B", 1000, 1000 + put_back).minutes(), minutes, "{put_back} s");
        }
    }
}
