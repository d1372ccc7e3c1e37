//! A unit that upstream ships for the other scope from now on, and one that it no longer ships.

use std::path::Path;

use super::subject::Subject;
use super::units::{LOCAL, Work, owner, related};
use super::{Contents, FileChange};
use crate::action::FileSwap;
use crate::error::{Error, Result};
use crate::host::fs::Content;
use crate::host::systemd::UnitState;
use crate::manifest::{Scope, Unit};
use crate::plan::unit;
use crate::survey::SurveyedUnit;

/// What a unit that is moved was like in the scope that it leaves.
pub(super) struct Origin {
    pub scope: Scope,
    pub states: Vec<(String, UnitState)>,
}

impl Origin {
    /// The state of one unit, or of one instance.
    pub fn state(&self, name: &str) -> Option<&UnitState> {
        self.states.iter().find(|(known, _)| known == name).map(|(_, state)| state)
    }
}

/// What a scope is called in a sentence.
pub(super) fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::User => "user",
    }
}

/// The other of the two.
pub(super) fn other(scope: Scope) -> Scope {
    match scope {
        Scope::System => Scope::User,
        Scope::User => Scope::System,
    }
}

/// The unit of the other scope, taken away: its file, its drop-ins, its links.
pub(super) fn leave(old: &SurveyedUnit, declared: &Unit, contents: &mut Contents) -> Work {
    let scope = other(declared.scope);
    let mut work = Work::none(&Unit { scope, ..declared.clone() }, old).remove(old, contents);
    let drop_ins = old.drop_in_files.iter().map(|(path, content)| FileSwap {
        path: path.clone(),
        before: Some(contents.keep(content)),
        after: None,
    });
    work.swaps.splice(0..0, drop_ins);
    work
}

/// The unit in its new scope: upstream's file, with what the operator had changed of the old one beside it.
pub(super) fn arrive(
    mut work: Work,
    subject: &Subject,
    (declared, here, old): (&Unit, &SurveyedUnit, &SurveyedUnit),
    (base, theirs): (Option<&str>, &str),
    contents: &mut Contents,
) -> Result<Work> {
    let name = declared.file.file_name();
    let mine = old.installed.as_ref().map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
    let mine = mine.unwrap_or_else(|| theirs.to_owned());
    let merge = unit::merge(base, theirs, &mine)?;
    work.notes = merge.notes.iter().map(|note| format!("{name}: {note}")).collect();
    let (uid, gid) = owner(subject, declared.scope);
    let mut put = |path: std::path::PathBuf, text: Vec<u8>, mode: u32, contents: &mut Contents| {
        let after = Some(contents.keep(&Content::new(text, mode, uid, gid)));
        work.swaps.push(FileSwap { path, before: None, after });
    };
    put(here.file.clone(), merge.unit.clone().into_bytes(), 0o644, contents);
    let place = here.file.with_file_name(format!("{name}.d"));
    let mut drop_ins: Vec<(String, String, u32)> = Vec::new();
    for (path, content) in &old.drop_in_files {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        drop_ins.push((file, String::from_utf8_lossy(&content.bytes).into_owned(), content.image.mode));
    }
    if let Some(local) = &merge.local {
        match drop_ins.iter_mut().find(|(file, ..)| file == LOCAL) {
            Some((_, text, _)) => *text = unit::extended_local(text, local),
            None => drop_ins.push((LOCAL.to_owned(), local.clone(), 0o644)),
        }
    }
    for (file, text, mode) in &drop_ins {
        put(place.join(Path::new(file)), text.clone().into_bytes(), *mode, contents);
    }
    work.file = FileChange::Installed;
    work.lifted = merge.local.is_some();
    drop_ins.sort();
    let texts: Vec<&str> = drop_ins.iter().map(|(_, text, _)| text.as_str()).collect();
    let before: Vec<&str> = old.drop_ins.values().map(String::as_str).collect();
    work.settings = unit::compare_with_drop_ins(&mine, &before, &merge.unit, &texts);
    work.is_static = !has_install(theirs);
    let enabled = old.states.iter().filter(|(_, state)| state.is_enabled()).map(|(name, _)| name.clone());
    work.enable = if work.is_static { Vec::new() } else { enabled.collect() };
    work.related = related(declared, &[(theirs, &texts)]);
    work.relate(theirs, &texts);
    if !old.drop_in_files.is_empty() {
        work.notes.push(format!(
            "{name} moves to the {} scope with your drop-ins: look whether they still fit there",
            scope_name(declared.scope)
        ));
    }
    let own: Vec<String> = foreign_links(old, &mine).collect();
    if !own.is_empty() {
        work.notes.push(format!(
            "{name} was also wanted by {}, which the {} scope does not have: those links go",
            own.join(", "),
            scope_name(declared.scope)
        ));
    }
    work.origin = Some(Origin { scope: other(declared.scope), states: old.states.clone() });
    Ok(work)
}

/// Links that the unit's `[Install]` does not ask for.
fn foreign_links<'a>(old: &'a SurveyedUnit, text: &'a str) -> impl Iterator<Item = String> + 'a {
    let drop_ins: Vec<&str> = old.drop_ins.values().map(String::as_str).collect();
    let known: Vec<String> =
        old.states.iter().flat_map(|(name, _)| unit::install_links(text, &drop_ins, name)).collect();
    let directory = old.file.parent().map(Path::to_path_buf).unwrap_or_default();
    let relative = move |path: &Path| {
        let path = path.strip_prefix(".").unwrap_or(path);
        path.strip_prefix(&directory).unwrap_or(path).display().to_string()
    };
    let paths = old.links.iter().map(move |link| relative(&link.path));
    paths.filter(move |path| !known.contains(path)).filter_map(|path| {
        path.split_once('/').map(|(place, _)| place.trim_end_matches(".wants").trim_end_matches(".requires").to_owned())
    })
}

/// Whether a unit file can be enabled.
pub(super) fn has_install(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "[Install]")
}

/// The links that an operator made beside those of `[Install]`; `None` where not one of `[Install]`'s is there, so that the unit is
/// not enabled by it.
pub(super) fn operators_links(here: &SurveyedUnit, installed: &str) -> Option<Vec<crate::action::Link>> {
    let drop_ins: Vec<&str> = here.drop_ins.values().map(String::as_str).collect();
    let names = here.states.iter().map(|(name, _)| name);
    let known: Vec<String> = names.flat_map(|name| unit::install_links(installed, &drop_ins, name)).collect();
    let directory = here.file.parent().map(Path::to_path_buf).unwrap_or_default();
    let is_known = |link: &crate::action::Link| {
        let path = link.path.strip_prefix(".").unwrap_or(&link.path);
        known.iter().any(|known| path == directory.join(known))
    };
    let (of_install, own): (Vec<_>, Vec<_>) = here.links.iter().cloned().partition(is_known);
    (known.is_empty() || !of_install.is_empty()).then_some(own)
}

/// A release without a file that is declared, where that leaves the component without any unit.
pub(super) fn no_file(subject: &Subject, unit: &Unit) -> Error {
    let file = unit.file.below(&subject.component.path);
    Error::failed(format!("the release has no file {file} for the unit {}", unit.file.file_name()))
        .hint("correct `file` in the manifest, or remove the unit: systemctl disable --now, then its file")
}
