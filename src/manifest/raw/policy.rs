//! `[policy]`.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{As, is_no};

/// What may happen by itself, and how a release must prove itself.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Policy {
    /// How far an unattended run may go. Default: `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unattended: Option<Unattended>,
    /// When an unattended run may start: days and a time zone as in systemd.time(7), and a range of times:
    /// `Mon..Fri 02:00-04:00 Europe/Paris`. Several are a list; one with `!` before it is taken out of the others:
    /// `!Sat 02:00-03:00`. A run that began in a window may end after it. Default: at any time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<OneOrMore>,
    /// Days on which no unattended run starts, in the host's time zone: `2026-12-20..2027-01-05`, `2026-12-24`, `*-12-24..26`,
    /// `Sat,Sun`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<String>,
    /// Whether an unattended run waits for a window that is as long as the runs before took. Otherwise it warns. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub window_fit: bool,
    /// Whether an unattended run may start outside its window when nothing was up to start one in the last window: after a
    /// night in which the host was off. Never on a day of `freeze`. Default: false.
    #[serde(default, skip_serializing_if = "is_no")]
    pub catch_up: bool,
    /// How old a release must be before an unattended run takes it, since it was first seen by this host: `24h`, `3d`. Its
    /// commit's own date counts only where it is later. Default: as soon as it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<String>,
    /// The time over which the hosts that share a window spread their starts, at most `24h`: each has its own place in it,
    /// always the same. Without a window it counts from when the release was first seen. Default: all start at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub splay: Option<String>,
    /// How often unattended runs try a release that fails for other reasons than its own, such as a full disk or a network
    /// that is away, from 1 to 100; later tries wait longer. A run by hand starts anew. Default: 3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<i64>,
    /// What an unattended run does while the host runs on battery. Default: `defer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_battery: Option<OnBattery>,
    /// While one of these is inhibited (systemd-inhibit(1), mode `block`), no unattended run starts. Default: `["shutdown"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inhibit: Option<Vec<Inhibit>>,
    /// A command that is asked before an unattended run starts: exit status 0 lets it start, 75 says that the host is busy,
    /// and its last line why. Any other end is a fault, and the run waits as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defer: Option<Defer>,
    /// How long a new release must stay healthy before it counts as known-good. Default: `30s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soak: Option<String>,
    /// What an unattended run does about new keys of a configuration file: `add-new` adds them with upstream's defaults,
    /// `report` names them and leaves the file as it is, `stop` waits for a person. Default: `add-new`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvPolicy>,
    /// How many known-good releases are kept, at least 1. Default: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_known_good: Option<i64>,
    /// Whether an unattended run may install what no signature and nobody vouches for. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_unverified: bool,
    /// What must be free on the host before a run changes anything. Default: nothing more than a run itself needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require: Option<Require>,
}

/// What must be free on the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Require {
    /// On the filesystem of the root: `500MiB`, `4GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<String>,
    /// Memory that programs may take without swapping (`MemAvailable`, proc_meminfo(5)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}

/// One text, or several.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(untagged)]
pub(in crate::manifest) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// What an unattended run does on battery.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum OnBattery {
    Defer,
    Ignore,
}

/// What can be inhibited, systemd-inhibit(1).
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Inhibit {
    Shutdown,
    Sleep,
    Idle,
}

/// A command that may say that the host is busy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::manifest) struct Defer {
    /// The program and its arguments; no shell is involved.
    pub run: Vec<String>,
    /// Who runs it. Default: `owner`.
    #[serde(rename = "as", skip_serializing_if = "Option::is_none")]
    pub run_as: Option<As>,
    /// How long it may take, at most `5min`. Default: `10s`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
}

/// How far an unattended run may go.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum Unattended {
    None,
    Patch,
    Minor,
    Major,
}

/// What an unattended run does about new keys.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(in crate::manifest) enum EnvPolicy {
    AddNew,
    Report,
    Stop,
}
