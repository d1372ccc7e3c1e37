//! `--nagios` of `relift check` and `relift status`.

use super::output;
use crate::error::{Error, Exit, Result};
use crate::host::clock;
use crate::host::paths::Paths;
use crate::manifest::Install;
use crate::unattended::Happening;
use crate::unattended::monitor::nagios::{Finding, Judge, Level, report};
use crate::unattended::monitor::{Status, status};

/// Options of a verb that can be a monitoring plugin.
#[derive(Debug, clap::Args)]
pub struct Plugin {
    /// Print one line for a monitoring plugin, and exit 0, 1, 2 or 3: OK, WARNING, CRITICAL, UNKNOWN
    #[arg(long = "nagios", conflicts_with = "json")]
    pub wanted: bool,
    /// With --nagios: something new is OK, and no WARNING
    #[arg(long, requires = "wanted")]
    ok_if_new: bool,
}

impl Plugin {
    /// Judges an install as it is now; `happening`: what its source was just found to offer.
    pub fn look(&self, paths: &Paths, install: &Install, happening: Option<&Happening>) -> Finding {
        let known = status::published(paths, &install.name)
            .and_then(|memory| status::gather(paths, install, memory, happening, clock::now()));
        match known {
            Ok(status) => self.judge(&status),
            Err(error) => unknown(&install.name, &error),
        }
    }

    /// Judges an install by the summary that every account may read.
    pub fn look_from_afar(&self, paths: &Paths, name: &str) -> Finding {
        match status::published(paths, name) {
            Ok(Some(status)) => self.judge(&status),
            Ok(None) => Finding::unknown(
                name,
                "nothing is known of it: its manifest has no [monitoring], or nothing has run since the boot",
            ),
            Err(error) => unknown(name, &error),
        }
    }

    fn judge(&self, status: &Status) -> Finding {
        let now = clock::now();
        let uptime = i64::try_from(clock::monotonic().as_secs()).unwrap_or(i64::MAX);
        Judge { now, booted: now.saturating_sub(uptime), ok_if_new: self.ok_if_new }.one(status)
    }
}

/// Nothing can be told, and why.
pub fn unknown(name: &str, error: &Error) -> Finding {
    let why: Vec<&str> = [error.what.as_str()].into_iter().chain(error.causes.iter().map(String::as_str)).collect();
    Finding::unknown(name, why.join(": "))
}

/// Prints the findings, or why there are none.
pub fn tell(findings: Result<Vec<Finding>>) -> Exit {
    let (text, level) = report(&findings.unwrap_or_else(|error| vec![unknown("relift", &error)]));
    output::data(&text);
    // The statuses of a plugin, by the numbers of ours.
    match level {
        Level::Ok => Exit::Done,
        Level::Warning => Exit::Failed,
        Level::Critical => Exit::Refused,
        Level::Unknown => Exit::PutBack,
    }
}
