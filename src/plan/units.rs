//! What happens to unit files: three-way, by scope.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::build::Subject;
use super::unit::{self, Impact, SettingChange};
use super::{Contents, FileChange};
use crate::action::{Action, FileSwap, Units};
use crate::error::{Error, Result};
use crate::host::fs::Content;
use crate::manifest::{Scope, Unit};
use crate::survey::SurveyedUnit;

/// The work on one declared unit.
pub(super) struct Work {
    pub scope: Scope,
    pub directory: PathBuf,
    pub swaps: Vec<FileSwap>,
    pub enable: Vec<String>,
    pub reenable: Vec<String>,
    pub file: FileChange,
    pub settings: Vec<SettingChange>,
    pub lifted: bool,
    /// Files outside our own swaps changed: a linked unit whose target moved with the tree.
    pub needs_reload: bool,
}

impl Work {
    /// What the change of the file asks for.
    pub fn impact(&self) -> Impact {
        unit::impact(&self.settings)
    }
}

/// Plans the unit files of a component, in the manifest's order.
pub(super) fn plan(subject: &Subject, contents: &mut Contents) -> Result<Vec<Work>> {
    let declared = subject.component.units.iter().zip(&subject.surveyed.units).zip(&subject.offer.units);
    declared
        .map(|((unit, here), (base, theirs))| {
            plan_unit(subject, unit, here, (base.as_deref(), theirs.as_deref()), contents)
        })
        .collect()
}

fn plan_unit(
    subject: &Subject,
    unit: &Unit,
    here: &SurveyedUnit,
    upstream: (Option<&str>, Option<&str>),
    contents: &mut Contents,
) -> Result<Work> {
    let mut work = Work {
        scope: unit.scope,
        directory: here.directory.clone(),
        swaps: Vec::new(),
        enable: Vec::new(),
        reenable: Vec::new(),
        file: FileChange::Kept,
        settings: Vec::new(),
        lifted: false,
        needs_reload: false,
    };
    let (base, theirs) = upstream;
    let theirs = theirs.ok_or_else(|| {
        Error::failed(format!(
            "the release has no file {} for the unit {}",
            unit.file.below(&subject.component.path),
            unit.file.file_name()
        ))
        .hint("correct `file` in the manifest, or remove the unit: systemctl disable --now, then its file")
    })?;
    if here.states.iter().any(|(_, state)| state.is_masked()) {
        return Ok(work);
    }
    if here.is_linked {
        work.settings = unit::compare(base.unwrap_or(theirs), theirs);
        work.needs_reload = !work.settings.is_empty();
        return Ok(work);
    }
    let Some(installed) = &here.installed else {
        let (uid, gid) = owner(subject, unit.scope);
        let content = Content::new(theirs.as_bytes().to_vec(), 0o644, uid, gid);
        work.swaps.push(FileSwap { path: here.file.clone(), before: None, after: Some(contents.keep(&content)) });
        work.file = FileChange::Installed;
        work.enable = unit.names();
        return Ok(work);
    };
    let mine = String::from_utf8_lossy(&installed.bytes);
    // Before the first run nothing is known of what was shipped but the present tree.
    let merge = unit::merge(base, theirs, &mine)
        .map_err(|error| error.while_(format!("{} cannot be merged", unit.file.file_name())))?;
    let mut after = merge.unit.clone();
    if let Some(local) = &merge.local {
        after.push_str(local);
        work.lifted = true;
        work.swaps.extend(lift(here, local, installed, contents)?);
    }
    work.settings = unit::compare(&mine, &after);
    if merge.unit.as_bytes() != installed.bytes.as_slice() {
        let content = installed.with_bytes(merge.unit.into_bytes());
        work.swaps.insert(
            0,
            FileSwap {
                path: here.file.clone(),
                before: Some(contents.keep(installed)),
                after: Some(contents.keep(&content)),
            },
        );
        work.file = FileChange::Replaced;
    }
    if work.settings.iter().any(|change| change.impact == Impact::Reenable) {
        work.reenable =
            here.states.iter().filter(|(_, state)| state.is_enabled()).map(|(name, _)| name.clone()).collect();
    }
    Ok(work)
}

/// The drop-in that keeps the operator's edits; one that is there already is added to, never replaced.
fn lift(here: &SurveyedUnit, local: &str, unit: &Content, contents: &mut Contents) -> Result<Option<FileSwap>> {
    let name = here.file.file_name().unwrap_or_default().to_string_lossy();
    let path = here.file.with_file_name(format!("{name}.d")).join("50-local.conf");
    let (before, content) = match &here.local {
        Some(present) if present.bytes.windows(local.len().max(1)).any(|window| window == local.as_bytes()) => {
            return Ok(None);
        }
        Some(present) => {
            let mut bytes = present.bytes.clone();
            if !bytes.ends_with(b"\n") {
                bytes.push(b'\n');
            }
            bytes.extend_from_slice(local.as_bytes());
            (Some(contents.keep(present)), present.with_bytes(bytes))
        }
        None => (None, Content::new(local.as_bytes().to_vec(), 0o644, unit.image.uid, unit.image.gid)),
    };
    Ok(Some(FileSwap { path, before, after: Some(contents.keep(&content)) }))
}

fn owner(subject: &Subject, scope: Scope) -> (u32, u32) {
    match scope {
        Scope::System => (0, 0),
        Scope::User => subject.owner_ids,
    }
}

/// One action for each scope: the manager is reloaded once.
pub(super) fn actions(work: Vec<Vec<Work>>) -> Vec<Action> {
    let mut scopes: BTreeMap<Scope, Units> = BTreeMap::new();
    let concerned = |work: &Work| {
        work.needs_reload || !work.swaps.is_empty() || !work.enable.is_empty() || !work.reenable.is_empty()
    };
    for work in work.into_iter().flatten().filter(concerned) {
        let units = scopes.entry(work.scope).or_insert_with(|| Units {
            scope: work.scope,
            directory: work.directory.clone(),
            files: Vec::new(),
            enable: Vec::new(),
            reenable: Vec::new(),
        });
        units.files.extend(work.swaps);
        units.enable.extend(work.enable);
        units.reenable.extend(work.reenable);
    }
    scopes.into_values().map(Action::Units).collect()
}
