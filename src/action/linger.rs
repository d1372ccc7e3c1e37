//! Lingering: user units run without a login only where their account lingers, loginctl(1).

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Act, Seen, Sight, Site};
use crate::error::{Error, Result};
use crate::host::systemd;

/// How long a user manager may take to end with everything in it.
const GONE: Duration = Duration::from_secs(100);

/// `loginctl enable-linger` for the owner, since units of theirs are installed for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linger {
    /// The owner's name, for the title.
    pub account: String,
}

impl Act for Linger {
    fn title(&self) -> String {
        format!("let {} linger: its user manager runs without a login", self.account)
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("end the lingering of {}", self.account))
    }

    fn seen(&self, site: &mut Site) -> Result<Seen> {
        Ok(Seen::Lingered { lingers: systemd::lingering(&site.owner)?, runs: systemd::has_user_manager(&site.owner) })
    }

    fn sight(&self, site: &mut Site, seen: &Seen, is_done: bool) -> Result<Sight> {
        Ok(match (systemd::lingering(&site.owner)?, seen) {
            (true, Seen::Lingered { lingers: true, .. }) => Sight::whole_or_not(is_done),
            (true, _) => Sight::After,
            (false, _) => Sight::Before,
        })
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        systemd::enable_linger(&site.owner)?;
        site.forget_user_manager();
        durable()
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        let Seen::Lingered { lingers: false, runs } = *seen else { return Ok(Vec::new()) };
        if systemd::lingering(&site.owner)? {
            systemd::disable_linger(&site.owner)?;
        }
        site.forget_user_manager();
        let deadline = Instant::now() + GONE;
        while !runs && systemd::has_user_manager(&site.owner) {
            if Instant::now() > deadline {
                return Err(Error::failed(format!("the user manager of {} does not end", self.account))
                    .because("its account no longer lingers")
                    .hint(format!("systemctl status user@{}.service", site.owner.uid)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        durable()?;
        Ok(Vec::new())
    }
}

/// logind keeps a file for each account that lingers.
fn durable() -> Result<()> {
    crate::host::fs::sync_filesystem(Path::new("/var/lib/systemd"))
}
