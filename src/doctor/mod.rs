//! What `relift doctor` finds: observed values (`observe`, which alone touches the host) and pure judgements over them, one file
//! per section. Nothing is inferred that can be tried: a protection counts when it was seen to work here.

pub mod clock;
pub mod observe;
pub mod places;
pub mod protection;
pub mod remote;
pub mod room;
pub mod services;
pub mod timers;
pub mod tools;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// A run works; something beside it, or a later one, may not.
    Warning,
    /// A run fails, or a promise does not hold.
    Problem,
}

/// What the findings are about, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// git, ssh and what else is called.
    Tools,
    /// Owners and modes of what matters.
    Files,
    /// Disks and inodes.
    Room,
    /// The clock, time zones, locale.
    Clock,
    /// systemd, its managers and units.
    Services,
    /// Resolver and remotes.
    Network,
    /// What keeps root from harm, tried.
    Protection,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What it belongs to.
    pub section: Section,
    /// What was looked at: `git`, a path, a unit.
    pub subject: String,
    /// How much it matters.
    pub level: Level,
    /// What was found, without a final stop.
    pub what: String,
    /// What that means for a run.
    pub means: Option<String>,
    /// The command that mends it.
    pub mend: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn ok(section: Section, subject: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { section, subject: subject.into(), level: Level::Ok, what: what.into(), means: None, mend: None }
    }

    /// Something to look at.
    pub fn warning(section: Section, subject: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { level: Level::Warning, ..Finding::ok(section, subject, what) }
    }

    /// Something that has to be mended.
    pub fn problem(section: Section, subject: impl Into<String>, what: impl Into<String>) -> Finding {
        Finding { level: Level::Problem, ..Finding::ok(section, subject, what) }
    }

    /// What it means for a run.
    pub fn means(mut self, means: impl Into<String>) -> Finding {
        self.means = Some(means.into());
        self
    }

    /// The command that mends it.
    pub fn mend(mut self, mend: impl Into<String>) -> Finding {
        self.mend = Some(mend.into());
        self
    }
}

/// What trying something came to: a value, or why it could not be had.
pub type Tried<T> = std::result::Result<T, String>;

/// How many findings are of a level.
pub fn count(findings: &[Finding], level: Level) -> usize {
    findings.iter().filter(|finding| finding.level == level).count()
}
