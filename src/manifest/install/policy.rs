//! What may happen by itself, and how a release must prove itself.

use std::time::Duration;

use super::RunAs;

/// What an unattended run does about new keys of a configuration file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EnvPolicy {
    /// They are added with upstream's defaults.
    #[default]
    AddNew,
    /// They are named, and the file stays as it is.
    Report,
    /// The run stops before it begins.
    Stop,
}

/// How far something may move by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// Not at all.
    None,
    /// `x.y.Z`.
    Patch,
    /// `x.Y.z`.
    Minor,
    /// `X.y.z`.
    Major,
}

/// `defer` under `[policy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Defer {
    /// Program and arguments.
    pub run: Vec<String>,
    /// Who runs it.
    pub run_as: RunAs,
    /// How long it may take.
    pub timeout: Duration,
}

/// `[policy]`.
#[derive(Debug, Clone)]
pub struct Policy {
    /// What a run with `--unattended` may do.
    pub unattended: Reach,
    /// When such a run may start.
    pub schedule: crate::manifest::Schedule,
    /// Whether it waits for a window that is as long as the runs before took.
    pub window_fit: bool,
    /// Whether it may start outside a window after one in which none could.
    pub catch_up: bool,
    /// How old a release must be, since it was first seen here.
    pub cooldown: Option<Duration>,
    /// The time over which hosts spread their starts.
    pub splay: Option<Duration>,
    /// How often it tries a release that fails for other reasons than its own.
    pub attempts: u32,
    /// Whether it waits for mains.
    pub defer_on_battery: bool,
    /// What keeps it from starting while it is inhibited: the words of systemd-inhibit(1).
    pub inhibit: Vec<String>,
    /// What is asked before it starts.
    pub defer: Option<Defer>,
    /// How long the gate must hold before a release counts as known-good.
    pub soak: Duration,
    /// What such a run does about new keys of a configuration file.
    pub env: EnvPolicy,
    /// How many known-good releases are kept.
    pub keep_known_good: usize,
    /// Whether such a run may install what nothing vouches for.
    pub allow_unverified: bool,
    /// What must be free on the host before a run changes anything.
    pub require: Require,
}

/// What must be free on the host, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Require {
    /// On the filesystem of the root.
    pub disk: Option<u64>,
    /// Memory that programs may take without swapping.
    pub memory: Option<u64>,
}
