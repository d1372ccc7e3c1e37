//! What happens to unit files: three-way, by scope.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::subject::Subject;
use super::unit::{self, Impact, SettingChange};
use super::{Contents, FileChange};
use crate::action::{Action, FileSwap, Units};
use crate::error::{Error, Result};
use crate::host::fs::Content;
use crate::manifest::{Scope, Unit};
use crate::survey::SurveyedUnit;

/// Where an operator's edits go.
const LOCAL: &str = "50-local.conf";

/// The work on one declared unit.
pub(super) struct Work {
    pub scope: Scope,
    pub directory: PathBuf,
    pub swaps: Vec<FileSwap>,
    pub enable: Vec<String>,
    pub reenable: Vec<String>,
    pub disable: Vec<String>,
    pub file: FileChange,
    pub settings: Vec<SettingChange>,
    pub lifted: bool,
    /// What the operator should know of the merge.
    pub notes: Vec<String>,
    /// It has no `[Install]` section: something else starts it.
    pub is_static: bool,
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
    (base, theirs): (Option<&str>, Option<&str>),
    contents: &mut Contents,
) -> Result<Work> {
    let untouched = Work::none(unit, here);
    let theirs = match theirs {
        Some(theirs) => theirs,
        // What came with the release that is left goes with it.
        None if subject.is_rollback && base.is_some() => return Ok(untouched.remove(here, contents)),
        None => return Err(no_file(subject, unit)),
    };
    if here.states.iter().any(|(_, state)| state.is_masked()) {
        return Ok(untouched);
    }
    match &here.installed {
        _ if here.is_linked => Ok(untouched.follow_link(here, base, theirs)),
        None => Ok(untouched.install(subject, unit, here, theirs, contents)),
        Some(installed) => untouched
            .merge(here, installed, (base, theirs), contents)
            .map_err(|error| error.while_(format!("{} cannot be merged", unit.file.file_name()))),
    }
}

fn no_file(subject: &Subject, unit: &Unit) -> Error {
    let file = unit.file.below(&subject.component.path);
    Error::failed(format!("the release has no file {file} for the unit {}", unit.file.file_name()))
        .hint("correct `file` in the manifest, or remove the unit: systemctl disable --now, then its file")
}

impl Work {
    fn none(unit: &Unit, here: &SurveyedUnit) -> Work {
        Work {
            scope: unit.scope,
            directory: here.directory.clone(),
            swaps: Vec::new(),
            enable: Vec::new(),
            reenable: Vec::new(),
            disable: Vec::new(),
            file: FileChange::Kept,
            settings: Vec::new(),
            lifted: false,
            notes: Vec::new(),
            is_static: false,
            needs_reload: false,
        }
    }

    /// A unit that is a link into the checkout changes with the tree.
    fn follow_link(mut self, here: &SurveyedUnit, base: Option<&str>, theirs: &str) -> Work {
        let drop_ins = texts(&here.drop_ins);
        self.settings = unit::compare_with_drop_ins(base.unwrap_or(theirs), &drop_ins, theirs, &drop_ins);
        self.needs_reload = base != Some(theirs);
        self
    }

    /// A unit that the release which is gone back to did not have.
    fn remove(mut self, here: &SurveyedUnit, contents: &mut Contents) -> Work {
        let Some(installed) = &here.installed else { return self };
        self.swaps.push(FileSwap { path: here.file.clone(), before: Some(contents.keep(installed)), after: None });
        self.file = FileChange::Removed;
        let enabled = here.states.iter().filter(|(_, state)| state.is_enabled());
        self.disable = enabled.map(|(name, _)| name.clone()).collect();
        self
    }

    /// A unit that is new here.
    fn install(
        mut self,
        subject: &Subject,
        unit: &Unit,
        here: &SurveyedUnit,
        theirs: &str,
        contents: &mut Contents,
    ) -> Work {
        let (uid, gid) = owner(subject, unit.scope);
        let content = Content::new(theirs.as_bytes().to_vec(), 0o644, uid, gid);
        self.swaps.push(FileSwap { path: here.file.clone(), before: None, after: Some(contents.keep(&content)) });
        self.file = FileChange::Installed;
        self.is_static = !theirs.lines().any(|line| line.trim() == "[Install]");
        self.enable = if self.is_static { Vec::new() } else { unit.names() };
        self
    }

    /// A unit that is installed: upstream's changes come in, the operator's go into a drop-in.
    fn merge(
        mut self,
        here: &SurveyedUnit,
        installed: &Content,
        (base, theirs): (Option<&str>, &str),
        contents: &mut Contents,
    ) -> Result<Work> {
        let mine = String::from_utf8_lossy(&installed.bytes);
        let merge = unit::merge(base, theirs, &mine)?;
        let name = here.file.file_name().unwrap_or_default().to_string_lossy();
        self.notes = merge.notes.iter().map(|note| format!("{name}: {note}")).collect();
        if merge.unit.as_bytes() != installed.bytes.as_slice() {
            self.file = FileChange::Replaced;
            self.swaps.push(FileSwap {
                path: here.file.clone(),
                before: Some(contents.keep(installed)),
                after: Some(contents.keep(&installed.with_bytes(merge.unit.clone().into_bytes()))),
            });
        }
        let mut drop_ins = here.drop_ins.clone();
        if let Some(local) = &merge.local {
            let text = unit::extended_local(drop_ins.get(LOCAL).map_or("", String::as_str), local);
            self.lifted = true;
            self.swaps.push(lift(here, &text, installed, contents));
            drop_ins.insert(LOCAL.into(), text);
        }
        // With what the operator's drop-ins override: a line that has no effect here restarts nothing.
        self.settings = unit::compare_with_drop_ins(&mine, &texts(&here.drop_ins), &merge.unit, &texts(&drop_ins));
        if self.settings.iter().any(|change| change.impact == Impact::Reenable) {
            let enabled = here.states.iter().filter(|(_, state)| state.is_enabled());
            self.reenable = enabled.map(|(name, _)| name.clone()).collect();
        }
        Ok(self)
    }
}

fn texts(drop_ins: &BTreeMap<String, String>) -> Vec<&str> {
    drop_ins.values().map(String::as_str).collect()
}

/// The drop-in that keeps the operator's edits.
fn lift(here: &SurveyedUnit, text: &str, unit: &Content, contents: &mut Contents) -> FileSwap {
    let name = here.file.file_name().unwrap_or_default().to_string_lossy();
    let path = here.file.with_file_name(format!("{name}.d")).join(LOCAL);
    let bytes = text.as_bytes().to_vec();
    let after = match &here.local {
        Some(present) => present.with_bytes(bytes),
        None => Content::new(bytes, unit.image.mode, unit.image.uid, unit.image.gid),
    };
    FileSwap {
        path,
        before: here.local.as_ref().map(|present| contents.keep(present)),
        after: Some(contents.keep(&after)),
    }
}

fn owner(subject: &Subject, scope: Scope) -> (u32, u32) {
    match scope {
        Scope::System => (0, 0),
        Scope::User => subject.owner_ids,
    }
}

/// One action for each scope: the manager is reloaded once.
pub(super) fn actions(work: impl Iterator<Item = Work>) -> Vec<Action> {
    let mut scopes: BTreeMap<Scope, Units> = BTreeMap::new();
    let concerned = |work: &Work| {
        work.needs_reload || !work.swaps.is_empty() || !work.enable.is_empty() || !work.reenable.is_empty()
    };
    for work in work.filter(concerned) {
        let units = scopes.entry(work.scope).or_insert_with(|| Units {
            scope: work.scope,
            directory: work.directory.clone(),
            files: Vec::new(),
            enable: Vec::new(),
            reenable: Vec::new(),
            disable: Vec::new(),
        });
        units.files.extend(work.swaps);
        units.enable.extend(work.enable);
        units.reenable.extend(work.reenable);
        units.disable.extend(work.disable);
    }
    scopes.into_values().map(Action::Units).collect()
}
