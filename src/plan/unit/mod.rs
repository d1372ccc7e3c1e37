//! Units: semantic comparison and a three-way merge of what upstream ships with what is installed.

mod accounts;
pub mod arguments;
mod impact;
mod install;
mod keys;
mod merge;
mod privilege;
mod redacted;
mod relations;
pub mod robust;
mod settings;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use settings::Settings;

pub use accounts::accounts;
pub use install::{also, install_links};
pub use privilege::gains;
pub use redacted::{diff, shown_sides};
pub use relations::{Relations, ordered, relations};

/// What a difference between two versions of a unit asks for, mildest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Impact {
    /// Nothing: comments, order, `Description=`, `Documentation=`.
    Nothing,
    /// `[Install]` changed: enable again.
    Reenable,
    /// A daemon-reload is enough.
    Reload,
    /// A reload job: what is mounted is mounted again with its new options, systemd.mount(5).
    Remount,
    /// The unit must be restarted.
    Restart,
}

/// One setting that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// `Service`, `Unit`, `Install`, ...
    pub section: String,
    /// The setting.
    pub key: String,
    /// Its values before (empty: absent), in order.
    pub before: Vec<String>,
    /// Its values after (empty: absent).
    pub after: Vec<String>,
    /// What it asks for.
    pub impact: Impact,
}

/// Compares two unit files by the settings in effect: comments, blanks, the order of different settings, names of units
/// written on one line or on several, defaults spelled out, and `X-` settings make no difference.
pub fn compare(before: &str, after: &str) -> Vec<SettingChange> {
    compare_with_drop_ins(before, &[], after, &[])
}

/// The same for units with drop-ins, each list in the order in which systemd reads them. Values of `Environment=`, `SetCredential=` and
/// the like are told as `<set>` and `<changed>`.
pub fn compare_with_drop_ins(
    before: &str,
    before_drop_ins: &[&str],
    after: &str,
    after_drop_ins: &[&str],
) -> Vec<SettingChange> {
    let before = Settings::of(before, before_drop_ins);
    let after = Settings::of(after, after_drop_ins);
    let mut changes = Vec::new();
    for group in before.groups(&after) {
        let (old, new) = (before.values(group), after.values(group));
        let mut keys: Vec<&str> = old.iter().chain(new).map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        keys.dedup();
        changes.extend(keys.into_iter().filter_map(|key| setting_change(&group.0, key, old, new)));
    }
    changes
}

fn setting_change(
    section: &str,
    key: &str,
    old: &[(String, String)],
    new: &[(String, String)],
) -> Option<SettingChange> {
    let of_key = |values: &[(String, String)]| -> Vec<String> {
        values.iter().filter(|(found, _)| found == key).map(|(_, value)| value.clone()).collect()
    };
    let (old, new) = (of_key(old), of_key(new));
    if old == new {
        return None;
    }
    let known: Vec<String> = old.iter().flat_map(|value| arguments::secrets(value)).collect();
    let mark = |secret: &str| if known.iter().any(|known| known == secret) { "<set>" } else { "<changed>" };
    let after = new.iter().map(|value| match keys::is_secret(key) {
        true => if old.contains(value) { "<set>" } else { "<changed>" }.to_owned(),
        false => arguments::without_secrets(value, mark),
    });
    Some(SettingChange {
        section: section.to_owned(),
        key: key.to_owned(),
        after: after.collect(),
        before: old.iter().map(|value| shown(key, value, "<set>")).collect(),
        impact: impact::impact(section, key),
    })
}

/// A value, or what stands for it where it may be a secret.
fn shown(key: &str, value: &str, instead: &'static str) -> String {
    match keys::is_secret(key) {
        true => instead.to_owned(),
        false => arguments::without_secrets(value, |_| instead),
    }
}

/// What a set of changes asks for in all.
pub fn impact(changes: &[SettingChange]) -> Impact {
    changes.iter().map(|change| change.impact).max().unwrap_or(Impact::Nothing)
}

/// The result of a three-way merge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merge {
    /// The unit file to install: upstream's bytes, unchanged.
    pub unit: String,
    /// The operator's edits of the installed unit, as a drop-in `50-local.conf`; `None` where there are none.
    pub local: Option<String>,
    /// What the operator should know of the merge, one sentence each.
    pub notes: Vec<String>,
}

/// What upstream shipped at the activated revision (`base`), ships at the target (`theirs`), and what is installed (`mine`). Edits of
/// the operator are lifted into a drop-in which, over upstream's unit, gives what the operator had changed and else what
/// upstream has. `base == None`: unknown, so that every difference between `mine` and `theirs` counts as the operator's, apart from
/// dependencies that only upstream has.
///
/// A list that was only added to gets the additions; one in which something was removed or replaced is reset and written anew. A
/// setting that was taken out is reset, or set to its default where systemd ignores an empty assignment. `[Install]` settings are
/// lifted like others: `systemctl enable` reads them from drop-ins (systemd 252), so that enabling again keeps the operator's.
///
/// # Errors
/// [`crate::error::Kind::Refused`]: both sides changed a setting differently (both are shown, and how to settle it), or the operator took
/// something out that no drop-in takes away, such as a dependency.
pub fn merge(base: Option<&str>, theirs: &str, mine: &str) -> Result<Merge> {
    merge::merge(base, theirs, mine)
}

/// The drop-in to write where there is one already: the `existing` text with the new edits after it, which thereby win.
pub fn extended_local(existing: &str, local: &str) -> String {
    let separator = if existing.is_empty() || existing.ends_with('\n') { "" } else { "\n" };
    format!("{existing}{separator}{local}")
}

#[cfg(test)]
mod pairs;
#[cfg(test)]
mod tests;
