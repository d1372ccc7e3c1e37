//! `[[hook]]`, `[[migration]]` and `[[compatibility.peer]]`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use semver::{Version, VersionReq};

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{
    Accepts, Hook, HookPlace, Migration, Peer, PeerProbe, Procedure, RelPath, StepUndo, Template, raw, words,
};
use super::component::{changed, run_as, undo, undo_timeout};
use super::{Look, health, near_or_list};

const MINUTE: Duration = Duration::from_secs(60);
/// How long a peer may take to answer where the manifest says nothing.
const ANSWER: Duration = Duration::from_secs(10);

pub(super) fn hooks(look: &mut Look<'_>, key: &Key, manifest: &raw::Manifest) -> Option<Vec<Hook>> {
    let mut count = BTreeMap::new();
    let taken: Vec<Option<Hook>> = manifest
        .hook
        .iter()
        .enumerate()
        .map(|(number, raw)| {
            let at = place(raw.at);
            let number_there = *count.entry(at).and_modify(|count| *count += 1).or_insert(1);
            let name = match number_there {
                1 => at.word().to_owned(),
                more => format!("{} {more}", at.word()),
            };
            hook(look, &key.index(number), raw, (at, name), manifest)
        })
        .collect();
    let hooks: Vec<Hook> = taken.into_iter().collect::<Option<_>>()?;
    let has = |place: HookPlace| hooks.iter().any(|hook| hook.at == place);
    for place in [HookPlace::Drain, HookPlace::Quiesce] {
        if has(place) && !has(HookPlace::Resume) {
            look.warn(format!(
                "a hook at {} and none at resume: where no restart does, nothing ends that after an upgrade that went well",
                place.word()
            ));
        }
    }
    Some(hooks)
}

fn hook(
    look: &mut Look<'_>,
    key: &Key,
    raw: &raw::Hook,
    (at, name): (HookPlace, String),
    manifest: &raw::Manifest,
) -> Option<Hook> {
    if let Some(component) = &raw.component {
        known(look, &key.name("component"), component, manifest);
    }
    let when_changed = match &raw.when {
        Some(when) => changed(look, &key.name("when").name("changed"), &when.changed),
        None => Some(Vec::new()),
    };
    let undo = hook_undo(look, key, raw, at);
    let (minutes, cwd) = (default_minutes(at), raw.cwd.as_deref().map(words::relative));
    let run = look.take(&key.name("run"), words::argv(&raw.run));
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), MINUTE * minutes);
    let cwd: Option<Option<RelPath>> = look.take_optional(&key.name("cwd"), cwd);
    let env_files = env_files(look, &key.name("env-file"), &raw.env_file);
    let (undo, undo_timeout) = (undo?, undo_timeout(look, &key.name("undo"), raw.undo.as_ref())?);
    let idempotent = raw.idempotent.unwrap_or(matches!(undo, StepUndo::Pure | StepUndo::Rerun));
    let procedure = Procedure {
        run: run?,
        run_as: run_as(raw.run_as),
        cwd: cwd?,
        undo,
        undo_timeout,
        idempotent,
        timeout: timeout?,
        env_files: env_files?,
    };
    Some(Hook { at, name, component: raw.component.clone(), when_changed: when_changed?, procedure })
}

fn place(raw: raw::Place) -> HookPlace {
    match raw {
        raw::Place::Preflight => HookPlace::Preflight,
        raw::Place::Drain => HookPlace::Drain,
        raw::Place::Quiesce => HookPlace::Quiesce,
        raw::Place::Migrate => HookPlace::Migrate,
        raw::Place::Resume => HookPlace::Resume,
        raw::Place::Verify => HookPlace::Verify,
    }
}

fn default_minutes(at: HookPlace) -> u32 {
    match at {
        HookPlace::Drain => 15,
        HookPlace::Migrate => 30,
        HookPlace::Preflight | HookPlace::Quiesce | HookPlace::Resume | HookPlace::Verify => 5,
    }
}

/// What only looks has no undo; what suspends must have one; only what migrates may have none.
fn hook_undo(look: &mut Look<'_>, key: &Key, raw: &raw::Hook, at: HookPlace) -> Option<StepUndo> {
    let key = key.name("undo");
    if at.only_looks() {
        if raw.undo.is_some() {
            let fault = Fault::new(format!("what runs at {} only looks: nothing of it is undone", at.word()));
            look.fault(&key, fault.help("leave it out, or run what changes something at another place"));
        }
        return Some(StepUndo::Pure);
    }
    let undo = match (&raw.undo, at) {
        (None, HookPlace::Resume) => Some(StepUndo::Pure),
        (None, HookPlace::Drain | HookPlace::Quiesce) => {
            let fault = Fault::new(format!("nothing says how a {} is ended when the run is undone", at.word()));
            look.fault(&key, fault.help("undo = { run = [...] }, or undo = \"pure\" where a restart is enough"));
            return None;
        }
        (raw, _) => undo(look, &key, raw.as_ref()),
    };
    if at != HookPlace::Migrate && undo == Some(StepUndo::Irreversible) {
        let fault = Fault::new(format!("a hook at {} cannot be irreversible: no upgrade could be undone", at.word()));
        look.fault(&key, fault.help("undo = { run = [...] }; what nothing undoes runs at migrate"));
    }
    if at == HookPlace::Migrate && raw.undo.is_none() {
        look.warn("a hook at migrate declares no undo, so it counts as irreversible");
    }
    undo
}

pub(super) fn migrations(look: &mut Look<'_>, key: &Key, manifest: &raw::Manifest) -> Option<Vec<Migration>> {
    let first = first_with_version(manifest);
    let taken: Vec<Option<Migration>> = manifest
        .migration
        .iter()
        .enumerate()
        .map(|(at, raw)| migration(look, &key.index(at), raw, first, manifest))
        .collect();
    let mut seen: BTreeMap<(String, Version), Key> = BTreeMap::new();
    for (at, migration) in taken.iter().enumerate() {
        let Some(migration) = migration else { continue };
        let (key, id) = (key.index(at).name("version"), (migration.component.clone(), migration.version.clone()));
        if let Some(before) = seen.get(&id) {
            let fault = Fault::new(format!("the migration of {} {} is declared twice", id.0, id.1));
            look.fault(&key, fault.help(format!("the first is `{before}`; a version has one migration")));
        } else {
            seen.insert(id, key);
        }
    }
    taken.into_iter().collect()
}

fn migration(
    look: &mut Look<'_>,
    key: &Key,
    raw: &raw::Migration,
    first: Option<&str>,
    manifest: &raw::Manifest,
) -> Option<Migration> {
    let version = look.take(&key.name("version"), version(&raw.version));
    let component = versioned(look, key, raw.component.as_deref(), first, manifest);
    let covers = look.take_optional(&key.name("covers"), raw.covers.as_deref().map(first_number));
    let url = look.take_optional(&key.name("url"), raw.url.as_deref().map(link));
    let procedure = match raw.run.is_empty() {
        true => {
            only_to_read(look, key, raw);
            Some(None)
        }
        false => procedure(look, key, raw).map(Some),
    };
    Some(Migration {
        version: version?,
        component: component?,
        procedure: procedure?,
        note: raw.note.as_deref().map(crate::text::harmless),
        url: url?,
        covers: covers?,
    })
}

/// What a command alone has stands in no migration without one.
fn only_to_read(look: &mut Look<'_>, key: &Key, raw: &raw::Migration) {
    if raw.note.is_none() && raw.url.is_none() {
        look.fault(key, Fault::new("says nothing and runs nothing").help("give `run`, `note` or `url`"));
    }
    let given = [
        ("as", raw.run_as.is_some()),
        ("undo", raw.undo.is_some()),
        ("idempotent", raw.idempotent.is_some()),
        ("timeout", raw.timeout.is_some()),
        ("env-file", !raw.env_file.is_empty()),
    ];
    for (name, _) in given.into_iter().filter(|(_, given)| *given) {
        look.fault(&key.name(name), Fault::new("belongs to a command").help("add run = [...]"));
    }
}

fn procedure(look: &mut Look<'_>, key: &Key, raw: &raw::Migration) -> Option<Procedure> {
    let run = look.take(&key.name("run"), words::argv(&raw.run));
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), MINUTE * 30);
    let env_files = env_files(look, &key.name("env-file"), &raw.env_file);
    let undo = undo(look, &key.name("undo"), raw.undo.as_ref());
    if undo == Some(StepUndo::Rerun) {
        let fault = Fault::new("a migration runs once: running it again undoes nothing");
        look.fault(
            &key.name("undo"),
            fault.help("undo = { run = [...] }, \"pure\", \"restore-backup\" or \"irreversible\""),
        );
    }
    if raw.undo.is_none() {
        look.warn(format!("migration {}: no undo is declared, so it counts as irreversible", raw.version));
    }
    let (undo, undo_timeout) = (undo?, undo_timeout(look, &key.name("undo"), raw.undo.as_ref())?);
    let idempotent = raw.idempotent.unwrap_or(undo == StepUndo::Pure);
    let (run_as, cwd) = (run_as(raw.run_as), None);
    let (run, timeout, env_files) = (run?, timeout?, env_files?);
    Some(Procedure { run, run_as, cwd, undo, undo_timeout, idempotent, timeout, env_files })
}

fn version(text: &str) -> Looked<Version> {
    Version::parse(text).map_err(|error| {
        Fault::new(format!("\"{}\" is no version: {error}", crate::text::harmless(text)))
            .help("write all three numbers: \"3.39.0\"")
    })
}

fn first_number(text: &str) -> Looked<u64> {
    text.parse().map_err(|_| {
        Fault::new(format!("\"{}\" is no first number of a version", crate::text::harmless(text)))
            .help("write it alone: covers = \"4\"")
    })
}

fn link(text: &str) -> Looked<String> {
    let is_link = (text.starts_with("https://") || text.starts_with("http://"))
        && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    match is_link {
        true => Ok(text.to_owned()),
        false => Err(Fault::new("is not the address of a page").help("write https://...")),
    }
}

pub(super) fn peers(look: &mut Look<'_>, key: &Key, manifest: &raw::Manifest) -> Option<Vec<Peer>> {
    let raw: &[raw::Peer] = manifest.compatibility.as_ref().map_or(&[], |compatibility| &compatibility.peer);
    look.unique("peer", raw.iter().enumerate().map(|(at, one)| (key.index(at).name("name"), one.name.as_str())));
    let first = first_with_version(manifest);
    let taken: Vec<Option<Peer>> =
        raw.iter().enumerate().map(|(at, one)| peer(look, &key.index(at), one, first, manifest)).collect();
    taken.into_iter().collect()
}

fn peer(
    look: &mut Look<'_>,
    key: &Key,
    raw: &raw::Peer,
    first: Option<&str>,
    manifest: &raw::Manifest,
) -> Option<Peer> {
    let name = look.take(&key.name("name"), words::component_name(&raw.name));
    let component = versioned(look, key, raw.component.as_deref(), first, manifest);
    let within = look.take_or(&key.name("within"), raw.within.as_deref().map(words::bound), ANSWER);
    let probe = match (&raw.http, &raw.command) {
        (Some(url), None) => look
            .take(&key.name("http"), health::http_url(url).and_then(without_keys))
            .map(|url| PeerProbe::Http { url, field: raw.json.clone() }),
        (None, Some(run)) => {
            if raw.json.is_some() {
                look.fault(&key.name("json"), Fault::new("belongs to `http`").help("print one version to a line"));
            }
            look.take(&key.name("command"), words::argv(run)).map(|run| PeerProbe::Command { run })
        }
        _ => {
            look.fault(key, Fault::new("cannot be asked").help("give either http or command"));
            None
        }
    };
    if raw.accepts.is_empty() {
        let fault = Fault::new("nothing is accepted, so that every release would be refused");
        look.fault(&key.name("accepts"), fault.help("accepts = [{ ours = \">=1.3, <2\", theirs = \">=1.2\" }]"));
    }
    let rows: Vec<Option<Accepts>> = raw
        .accepts
        .iter()
        .enumerate()
        .map(|(at, row)| {
            let key = key.name("accepts").index(at);
            let ours = look.take(&key.name("ours"), range(&row.ours));
            let theirs = look.take(&key.name("theirs"), range(&row.theirs));
            Some(Accepts { ours: ours?, theirs: theirs? })
        })
        .collect();
    let must_answer = raw.unreachable.map(|unreachable| matches!(unreachable, raw::Unreachable::Stop));
    let accepts = rows.into_iter().collect::<Option<_>>();
    Some(Peer { name: name?, component: component?, probe: probe?, accepts: accepts?, must_answer, within: within? })
}

/// A plan asks before anything is approved, and a peer may be another host: no value of a `.env` goes there.
fn without_keys(url: Template) -> Looked<Template> {
    match url.keys().is_empty() && !url.names_version() {
        true => Ok(url),
        false => Err(Fault::new("nothing is put into the address of a peer").help("write it out")),
    }
}

fn range(text: &str) -> Looked<VersionReq> {
    VersionReq::parse(text).map_err(|error| {
        Fault::new(format!("\"{}\" is no range of versions: {error}", crate::text::harmless(text)))
            .help("write it as Cargo does: \">=1.3, <2\"")
    })
}

fn first_with_version(manifest: &raw::Manifest) -> Option<&str> {
    manifest
        .component
        .iter()
        .find(|component| has_version(component, manifest))
        .map(|component| component.name.as_str())
}

/// Packages and Compose projects have versions of their own.
fn has_version(component: &raw::Component, manifest: &raw::Manifest) -> bool {
    component.version.is_some() || manifest.source.packages.is_some() || manifest.source.compose.is_some()
}

/// A component that has a version: the one that is named, or the first.
fn versioned(
    look: &mut Look<'_>,
    key: &Key,
    named: Option<&str>,
    first: Option<&str>,
    manifest: &raw::Manifest,
) -> Option<String> {
    let Some(name) = named else {
        if first.is_none() {
            let fault = Fault::new("is about a version, and no component declares one");
            look.fault(key, fault.help("add version = { file = \"VERSION\" } to a component"));
        }
        return first.map(str::to_owned);
    };
    let key = key.name("component");
    if !has_version(known(look, &key, name, manifest)?, manifest) {
        let fault = Fault::new(format!("\"{name}\" declares no version"));
        look.fault(&key, fault.help(format!("add version = {{ file = \"VERSION\" }} to component {name}")));
        return None;
    }
    Some(name.to_owned())
}

fn known<'m>(look: &mut Look<'_>, key: &Key, name: &str, manifest: &'m raw::Manifest) -> Option<&'m raw::Component> {
    let found = manifest.component.iter().find(|component| component.name == name);
    if found.is_none() {
        let names: Vec<&str> = manifest.component.iter().map(|component| component.name.as_str()).collect();
        let fault = Fault::new(format!("no component is called \"{}\"", crate::text::harmless(name)));
        look.fault(key, fault.help(near_or_list(name, &names)));
    }
    found
}

/// Files that a shell reads.
pub(super) fn env_files(look: &mut Look<'_>, key: &Key, files: &[String]) -> Option<Vec<String>> {
    look.each(key, files, |text| {
        let path = Path::new(text);
        let climbs = path.components().any(|part| matches!(part, std::path::Component::ParentDir));
        match path.is_absolute() {
            true if !climbs && !text.chars().any(char::is_control) => Ok(text.to_owned()),
            true => Err(Fault::new("is written without `..` and control characters")),
            false => words::relative(text).map(|path| path.to_string()),
        }
    })
}

#[cfg(test)]
mod tests;
