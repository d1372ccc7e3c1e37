//! The three-way merge: an operator's edits of an installed unit, lifted into a drop-in over upstream's new one.

use std::collections::BTreeMap;

use super::impact::impact;
use super::keys::{Nature, Reset, is_secret, nature, reset, resetting};
use super::settings::{Settings, ends_in_backslash};
use super::{Impact, Merge, shown};
use crate::error::{Error, Result};
use crate::text::harmless;

type Group = (String, String);
type Values = [(String, String)];

/// What a drop-in has to say about one group of settings.
enum Edit {
    /// Nothing.
    Agrees,
    /// These assignments.
    Assign(Vec<(String, String)>),
    /// Upstream and the operator want different things.
    Conflict,
    /// A drop-in cannot take this away.
    Inexpressible,
}

/// See [`super::merge`].
pub(super) fn merge(base: Option<&str>, theirs: &str, mine: &str) -> Result<Merge> {
    let sides = [base.unwrap_or(theirs), theirs, mine].map(|unit| Settings::of(unit, &[]));
    let [before, upstream, local] = &sides;
    let mut lifted: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let (mut conflicts, mut stuck, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    for group in upstream.groups(local) {
        match edit(group, before.values(group), upstream.values(group), local.values(group)) {
            Edit::Agrees => {}
            Edit::Assign(assignments) => lifted.entry(&group.0).or_default().extend(assignments),
            Edit::Conflict => conflicts.push(group),
            Edit::Inexpressible if base.is_none() => notes.push(format!(
                "{} is as upstream has it: no drop-in takes it away",
                named(group, upstream.values(group))
            )),
            Edit::Inexpressible => stuck.push(group),
        }
    }
    if !conflicts.is_empty() {
        return Err(conflict(&conflicts, &sides));
    }
    if !stuck.is_empty() {
        return Err(inexpressible(&stuck, upstream));
    }
    Ok(Merge { unit: theirs.to_owned(), local: (!lifted.is_empty()).then(|| drop_in(&lifted)), notes })
}

fn edit(group: &Group, base: &Values, theirs: &Values, mine: &Values) -> Edit {
    if mine == base || mine == theirs {
        return Edit::Agrees;
    }
    let nature = nature(&group.0, &group.1);
    if nature == Nature::Dependencies {
        return dependencies(base, theirs, mine);
    }
    // nobody is asked about a description
    let is_cosmetic = impact(&group.0, &group.1) == Impact::Nothing;
    if theirs == base || is_cosmetic {
        return assign(group, nature, theirs, mine);
    }
    match mine.strip_prefix(base) {
        // what was only added to a list goes with whatever upstream did to it; but one more ExecStart= makes another service, and
        // the first entry of a list decides whether it allows or denies
        Some(extra) if nature == Nature::List && group.1 != "ExecStart" => {
            let contested = extra.iter().chain(theirs).any(|(key, value)| reset(key, value) != Reset::No)
                || group.1 == "Environment" && sets_same_variable(extra, base, theirs)
                || base.is_empty() && extra.iter().chain(theirs).any(|(_, value)| value.starts_with('~'));
            if contested {
                return Edit::Conflict;
            }
            let new: Vec<_> = extra.iter().filter(|value| !theirs.contains(value)).cloned().collect();
            if new.is_empty() { Edit::Agrees } else { Edit::Assign(new) }
        }
        _ => Edit::Conflict,
    }
}

/// Whether upstream newly sets a variable that is among the `extra` ones.
fn sets_same_variable(extra: &Values, base: &Values, theirs: &Values) -> bool {
    let new = theirs.iter().filter(|value| !base.contains(value) && !extra.contains(value));
    let new: Vec<&str> = new.flat_map(|(_, value)| variables(value)).collect();
    extra.iter().flat_map(|(_, value)| variables(value)).any(|name| new.contains(&name))
}

fn variables(value: &str) -> impl Iterator<Item = &str> {
    value.split([' ', '"', '\'']).filter_map(|word| word.split_once('=')).map(|(name, _)| name)
}

/// Units are a set: what the operator added is added to upstream's; what the operator removed must be gone upstream as well.
fn dependencies(base: &Values, theirs: &Values, mine: &Values) -> Edit {
    if base.iter().any(|unit| !mine.contains(unit) && theirs.contains(unit)) {
        return Edit::Inexpressible;
    }
    let new: Vec<&(String, String)> =
        mine.iter().filter(|unit| !base.contains(unit) && !theirs.contains(unit)).collect();
    let Some((key, _)) = new.first() else { return Edit::Agrees };
    let words: Vec<&str> = new.iter().map(|(_, unit)| unit.as_str()).collect();
    Edit::Assign(vec![(key.clone(), words.join(" "))])
}

/// What makes `theirs` into `mine`, where only the operator changed the group.
fn assign(group: &Group, nature: Nature, theirs: &Values, mine: &Values) -> Edit {
    let key = || mine.first().or(theirs.first()).map_or_else(|| group.1.clone(), |(key, _)| key.clone());
    match (nature, mine.strip_prefix(theirs)) {
        (Nature::List, Some(extra)) => Edit::Assign(extra.to_vec()),
        (Nature::List, None) => {
            let reset = (key(), resetting(&key(), mine.first().map(|(_, value)| value.as_str())).to_owned());
            Edit::Assign(std::iter::once(reset).chain(mine.iter().cloned()).collect())
        }
        (Nature::Single { .. }, _) if !mine.is_empty() => Edit::Assign(mine.to_vec()),
        (Nature::Single { default: Some(default), .. }, _) => Edit::Assign(vec![(key(), default.to_owned())]),
        (Nature::Single { resets: true, .. }, _) => Edit::Assign(vec![(key(), String::new())]),
        (Nature::Single { .. } | Nature::Dependencies, _) => Edit::Inexpressible,
    }
}

fn drop_in(lifted: &BTreeMap<&str, Vec<(String, String)>>) -> String {
    let mut text = String::from("# Settings of this host that differ from the unit as upstream ships it.\n");
    // [Unit] first, [Install] last, as people write units
    let rank = |section: &str| (section != "Unit", section == "Install");
    let mut sections: Vec<_> = lifted.iter().collect();
    sections.sort_by_key(|(section, _)| rank(section));
    for (section, assignments) in sections {
        text.push_str(&format!("\n[{section}]\n"));
        for (key, value) in assignments {
            // a blank after a final backslash keeps the next line apart
            let guard = if ends_in_backslash(value) { " " } else { "" };
            text.push_str(&format!("{key}={value}{guard}\n"));
        }
    }
    text
}

fn named((section, group): &Group, values: &Values) -> String {
    let key = group.trim_end_matches('*');
    let values: Vec<String> = values.iter().map(|(_, value)| shown(key, value, "<changed>")).collect();
    let value = if is_secret(key) { "<changed>".to_owned() } else { values.join(" ") };
    harmless(&format!("[{section}] {key}={value}"))
}

fn conflict(groups: &[&Group], [before, upstream, local]: &[Settings; 3]) -> Error {
    let names: Vec<String> =
        groups.iter().map(|(section, group)| format!("[{section}] {}=", group.trim_end_matches('*'))).collect();
    let mut error =
        Error::refused(format!("the unit was changed here and upstream in different ways: {}", names.join(", ")));
    for group in groups {
        error = error.because(format!("here: {}", lines(local.values(group))));
        error = error.because(format!("upstream: {}", lines(upstream.values(group))));
    }
    let old: Vec<String> = groups.iter().map(|group| lines(before.values(group))).collect();
    error
        .hint(format!(
            "to keep yours: put it into a drop-in with \"systemctl edit UNIT\", and in the unit file itself go back to: {}",
            old.join("; ")
        ))
        .hint("to take upstream's: write upstream's lines into the installed unit file; then run the command again")
}

/// The assignments of a group in one line.
fn lines(values: &Values) -> String {
    if values.is_empty() {
        return "(not set)".to_owned();
    }
    let line = |(key, value): &(String, String)| format!("{key}={}", shown(key, value, "<changed>"));
    harmless(&values.iter().map(line).collect::<Vec<_>>().join(", "))
}

fn inexpressible(groups: &[&Group], upstream: &Settings) -> Error {
    let names: Vec<String> = groups.iter().map(|group| named(group, upstream.values(group))).collect();
    Error::refused(format!(
        "the installed unit leaves out what no drop-in can take away from upstream's: {}",
        names.join(", ")
    ))
    .because(
        "systemd only adds dependencies, and ignores an empty assignment to settings whose default the host decides",
    )
    .hint(
        "put the lines back into the installed unit, or write there the value that you want instead of leaving it out",
    )
}
