//! What happens to unit files: three-way, by scope.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::moves::{self, Origin};
use super::subject::Subject;
use super::unit::{self, Impact, SettingChange};
use super::{Contents, FileChange};
use crate::action::{Action, FileSwap, Link, Units};
use crate::error::Result;
use crate::host::fs::Content;
use crate::manifest::{Scope, Unit};
use crate::survey::SurveyedUnit;

/// Where an operator's edits go.
pub(super) const LOCAL: &str = "50-local.conf";

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
    /// Every name that a link of it may have.
    pub related: Vec<String>,
    /// Links of the operator's own.
    pub keep: Vec<Link>,
    /// What it says of the order of units.
    pub relations: Vec<(String, unit::Relations)>,
    /// It comes from the other scope.
    pub origin: Option<Origin>,
    /// The work in the scope that it leaves.
    pub leaves: Option<Box<Work>>,
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
            let mut work = plan_unit(subject, unit, here, (base.as_deref(), theirs.as_deref()), contents)?;
            // A package may have replaced its file and left it to others to tell the manager.
            let reloads = &subject.surveyed.host.reloads;
            work.needs_reload |= here.states.iter().any(|(name, _)| reloads.contains(&(unit.scope, name.clone())));
            Ok(work)
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
    if unit.is_packaged {
        return Ok(untouched.of_package(here));
    }
    let Some(theirs) = theirs else {
        return gone(subject, unit, here, base, untouched, contents);
    };
    if here.states.iter().any(|(_, state)| state.is_masked()) {
        return Ok(untouched);
    }
    let merging = |error: crate::Error| error.while_(format!("{} cannot be merged", unit.file.file_name()));
    match (&here.installed, &here.elsewhere) {
        _ if here.is_linked => Ok(untouched.follow_link(here, base, theirs)),
        (Some(installed), _) => untouched.merge(unit, here, installed, (base, theirs), contents).map_err(merging),
        (None, Some(old)) => move_here(subject, unit, (here, old), (base, theirs), contents).map_err(merging),
        (None, None) => Ok(untouched.install(subject, unit, here, theirs, contents)),
    }
}

/// A unit whose file the target does not have: it goes with the release that had it, unless that would leave its component
/// without any unit, which is a mistake in the manifest rather than upstream's wish.
fn gone(
    subject: &Subject,
    unit: &Unit,
    here: &SurveyedUnit,
    base: Option<&str>,
    untouched: Work,
    contents: &mut Contents,
) -> Result<Work> {
    let others_stay = subject.offer.units.iter().any(|(_, theirs)| theirs.is_some());
    match () {
        () if !others_stay && !subject.is_rollback => Err(moves::no_file(subject, unit)),
        () if base.is_none() && !others_stay => Err(moves::no_file(subject, unit)),
        // Nobody knows whose it is.
        () if base.is_none() && here.installed.is_some() => Err(moves::no_file(subject, unit)),
        () if here.is_linked => Err(moves::no_file(subject, unit)
            .because("what is installed is a link to it")
            .hint(format!("remove the link: systemctl disable --now {}", unit.file.file_name()))),
        () if here.states.iter().any(|(_, state)| state.is_masked()) => Ok(untouched),
        () => Ok(untouched.remove(here, contents)),
    }
}

/// A unit that is installed in the other scope. Where that is declared as well, its own work takes it away.
fn move_here(
    subject: &Subject,
    unit: &Unit,
    (here, old): (&SurveyedUnit, &SurveyedUnit),
    (base, theirs): (Option<&str>, &str),
    contents: &mut Contents,
) -> Result<Work> {
    let mut work = Work::none(unit, here);
    let partner = subject
        .component
        .units
        .iter()
        .zip(&subject.offer.units)
        .find(|(declared, _)| declared.scope != unit.scope && declared.file.file_name() == unit.file.file_name());
    if partner.is_some_and(|(_, (_, theirs))| theirs.is_some()) {
        // Upstream ships both.
        return Ok(work.install(subject, unit, here, theirs, contents));
    }
    if old.states.iter().any(|(_, state)| state.is_masked()) {
        work.origin = Some(Origin { scope: moves::other(unit.scope), states: old.states.clone() });
        return Ok(work);
    }
    let base = partner.and_then(|(_, (base, _))| base.as_deref()).or(base);
    let mut work = moves::arrive(work, subject, (unit, here, old), (base, theirs), contents)?;
    let mut leaving = moves::leave(old, unit, contents);
    if partner.is_some() {
        // The other declaration removes the unit file itself; the drop-ins go with the move.
        leaving.swaps.retain(|swap| swap.path != old.file);
        leaving.disable.clear();
    }
    work.leaves = Some(Box::new(leaving));
    Ok(work)
}

/// The names that links of a unit may have or point to.
pub(super) fn related(unit: &Unit, versions: &[(&str, &[&str])]) -> Vec<String> {
    let mut names = unit.names();
    names.push(unit.file.file_name().to_owned());
    for (text, drop_ins) in versions {
        names.extend(unit::also(text, drop_ins));
        let links = unit.names().into_iter().flat_map(|name| unit::install_links(text, drop_ins, &name));
        // An alias lies beside the unit.
        names.extend(links.filter(|link| !link.contains('/')));
    }
    names.sort();
    names.dedup();
    names
}

impl Work {
    pub(super) fn none(unit: &Unit, here: &SurveyedUnit) -> Work {
        let drop_ins = texts(&here.drop_ins);
        let installed = here.installed.as_ref().map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
        let installed = installed.unwrap_or_default();
        let mut work = Work {
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
            related: related(unit, &[(&installed, &drop_ins)]),
            keep: Vec::new(),
            relations: unit.names().into_iter().map(|name| (name, unit::Relations::default())).collect(),
            origin: None,
            leaves: None,
        };
        work.relate(&installed, &drop_ins);
        work
    }

    /// A unit whose file is a package's: it comes and goes with it, and systemd is told by the transaction.
    fn of_package(mut self, here: &SurveyedUnit) -> Work {
        let told = |(name, texts): &(String, Vec<String>)| {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (text, drop_ins) = texts.split_first().map_or(("", [].as_slice()), |(text, rest)| (*text, rest));
            (name.clone(), unit::relations(text, drop_ins, name))
        };
        self.relations = here.texts.iter().map(told).collect();
        self
    }

    /// Notes what a version of the unit says of the order of units.
    pub(super) fn relate(&mut self, text: &str, drop_ins: &[&str]) {
        for (name, relations) in &mut self.relations {
            *relations = unit::relations(text, drop_ins, name);
        }
    }

    /// A unit that is a link into the checkout changes with the tree.
    fn follow_link(mut self, here: &SurveyedUnit, base: Option<&str>, theirs: &str) -> Work {
        let drop_ins = texts(&here.drop_ins);
        self.settings = unit::compare_with_drop_ins(base.unwrap_or(theirs), &drop_ins, theirs, &drop_ins);
        self.needs_reload = base != Some(theirs);
        self
    }

    /// A unit that the target does not have.
    pub(super) fn remove(mut self, here: &SurveyedUnit, contents: &mut Contents) -> Work {
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
        self.is_static = !moves::has_install(theirs);
        self.related = related(unit, &[(theirs, &texts(&here.drop_ins))]);
        self.relate(theirs, &texts(&here.drop_ins));
        self.enable = if self.is_static { Vec::new() } else { unit.names() };
        self
    }

    /// A unit that is installed: upstream's changes come in, the operator's go into a drop-in.
    fn merge(
        mut self,
        unit: &Unit,
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
        let (old, new) = (texts(&here.drop_ins), texts(&drop_ins));
        self.related = related(unit, &[(&mine, &old), (&merge.unit, &new)]);
        self.relate(&merge.unit, &new);
        if self.settings.iter().any(|change| change.impact == Impact::Reenable)
            && let Some(own) = moves::operators_links(here, &mine)
        {
            // Enabled until the next boot is not what `systemctl enable` would make of it.
            let enabled = here.states.iter().filter(|(_, state)| state.file == "enabled" || state.file == "alias");
            self.reenable = enabled.map(|(name, _)| name.clone()).collect();
            self.keep = if self.reenable.is_empty() { Vec::new() } else { own };
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

pub(super) fn owner(subject: &Subject, scope: Scope) -> (u32, u32) {
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
    let all = work.flat_map(|mut work| {
        let leaves = work.leaves.take().map(|leaves| *leaves);
        leaves.into_iter().chain([work])
    });
    for work in all.filter(concerned) {
        let units = scopes.entry(work.scope).or_insert_with(|| Units {
            scope: work.scope,
            directory: work.directory.clone(),
            files: Vec::new(),
            enable: Vec::new(),
            reenable: Vec::new(),
            disable: Vec::new(),
            related: Vec::new(),
            keep: Vec::new(),
        });
        units.files.extend(work.swaps);
        units.enable.extend(work.enable);
        units.reenable.extend(work.reenable);
        units.disable.extend(work.disable);
        units.related.extend(work.related);
        units.keep.extend(work.keep);
    }
    scopes.into_values().map(Action::Units).collect()
}
