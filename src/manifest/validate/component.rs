//! `[[component]]` with its files, checks and steps.

use std::time::Duration;

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{
    Check, CheckAt, Component, Dialect, EnvFile, RelPath, RunAs, Step, StepUndo, VersionSource, raw, words,
};
use super::procedure::env_files;
use super::{Look, health, needs, source, units};

/// How long a check may take where the manifest says nothing: it may have to build an environment first.
const CHECK: Duration = Duration::from_secs(300);
/// How long a step may take where the manifest says nothing.
const STEP: Duration = Duration::from_secs(600);

pub(super) fn all(look: &mut Look<'_>, key: &Key, manifest: &raw::Manifest) -> Option<Vec<Component>> {
    let raw = &manifest.component;
    // A cone of git's is made of directories; packages have none.
    if manifest.source.git.as_ref().is_some_and(|git| git.sparse)
        && manifest.install.layout != Some(raw::Layout::Releases)
    {
        for (at, _) in raw.iter().enumerate().filter(|(_, one)| one.path == ".") {
            let fault = Fault::new("`path` is missing or `.`, so that the component has no directory of its own");
            let help = "name its directory: path = \"manager\"; or keep the whole tree checked out: sparse = false";
            look.fault(&key.index(at).name("path"), fault.help(help));
        }
    }
    look.unique("component", raw.iter().enumerate().map(|(at, one)| (key.index(at).name("name"), one.name.as_str())));
    if manifest.source.packages.is_none() {
        apart(look, key, raw);
    }
    units::apart(look, key, raw);
    let components: Vec<Option<Component>> =
        raw.iter().enumerate().map(|(at, raw)| component(look, &key.index(at), raw)).collect();
    components.into_iter().collect()
}

/// A path belongs to one component, or no one could say which of them changed.
fn apart(look: &mut Look<'_>, key: &Key, raw: &[raw::Component]) {
    for (at, one) in raw.iter().enumerate() {
        for other in &raw[..at] {
            let inside = |inner: &str, outer: &str| {
                outer == "." || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'))
            };
            let what = match () {
                () if one.path == other.path => "is the path of",
                () if inside(&one.path, &other.path) => "is inside",
                () if inside(&other.path, &one.path) => "holds",
                () => continue,
            };
            let fault = Fault::new(format!("\"{}\" {what} component \"{}\"", one.path, other.name));
            look.fault(&key.index(at).name("path"), fault.help("give each component a directory of its own"));
        }
    }
}

fn component(look: &mut Look<'_>, key: &Key, raw: &raw::Component) -> Option<Component> {
    let name = look.take(&key.name("name"), words::component_name(&raw.name));
    let path = look.take(&key.name("path"), words::component_path(&raw.path));
    let installed_if = raw.installed_if.as_deref().map(words::relative);
    let installed_if = look.take_optional(&key.name("installed-if"), installed_if);
    let version = match &raw.version {
        Some(raw) => version(look, &key.name("version"), raw).map(Some),
        None => Some(None),
    };
    let changelog = look.take_optional(&key.name("changelog"), raw.changelog.as_deref().map(words::relative));
    let env = envs(look, key, raw);
    let artifacts = look.each(&key.name("artifacts"), &raw.artifacts, words::relative);
    let checks = list(&raw.check, |at, one| check(look, &key.name("check").index(at), one));
    let names = raw.step.iter().enumerate();
    look.unique("step", names.map(|(at, step)| (key.name("step").index(at).name("name"), step.name.as_str())));
    let steps = list(&raw.step, |at, one| step(look, &key.name("step").index(at), one, &raw.name));
    let units = list(&raw.unit, |at, one| units::unit(look, &key.name("unit").index(at), one));
    let health = list(&raw.health, |at, one| health::health(look, &key.name("health").index(at), one, raw));
    let needs = list(&raw.needs, |at, one| needs::needs(look, &key.name("needs").index(at), one, raw));
    let packages = look.each(&key.name("packages"), &raw.packages, source::package);
    if raw.health.is_empty() && !raw.unit.is_empty() {
        look.warn(format!(
            "component {} declares no health: only the state of its units is looked at, not whether it answers",
            raw.name
        ));
    }
    Some(Component {
        name: name?,
        path: path?,
        installed_if: installed_if?,
        version: version?,
        changelog: changelog?,
        env: env?,
        artifacts: artifacts?,
        checks: checks?,
        steps: steps?,
        units: units?,
        health: health?,
        needs: needs?,
        packages: packages?,
    })
}

fn list<R, T>(raw: &[R], mut one: impl FnMut(usize, &R) -> Option<T>) -> Option<Vec<T>> {
    let taken: Vec<Option<T>> = raw.iter().enumerate().map(|(at, raw)| one(at, raw)).collect();
    taken.into_iter().collect()
}

fn version(look: &mut Look<'_>, key: &Key, raw: &raw::Version) -> Option<VersionSource> {
    let file = look.take(&key.name("file"), words::relative(&raw.file))?;
    let structured = raw.file.ends_with(".toml") || raw.file.ends_with(".json");
    let fault = match (&raw.key, structured) {
        (None, true) => Fault::new(format!("\"{file}\" is more than a version")).help(format!(
            "name the value in it: version = {{ file = \"{file}\", key = \"{}\" }}",
            usual_key(file.file_name())
        )),
        (Some(_), false) => Fault::new(format!("a value can be named in .toml and .json files, not in \"{file}\""))
            .help("leave `key` out where the whole file is the version"),
        (Some(text), true) if text.split('.').any(str::is_empty) => Fault::new(format!("\"{text}\" names no value"))
            .help("write the names with dots, such as \"project.version\""),
        _ => return Some(VersionSource { file, key: raw.key.clone() }),
    };
    look.fault(&key.name(if raw.key.is_some() { "key" } else { "file" }), fault);
    None
}

/// Where a version usually stands in a file of this name.
fn usual_key(file: &str) -> &'static str {
    match file {
        "pyproject.toml" => "project.version",
        "Cargo.toml" => "package.version",
        _ => "version",
    }
}

fn envs(look: &mut Look<'_>, key: &Key, raw: &raw::Component) -> Option<Vec<EnvFile>> {
    let key = key.name("env");
    look.unique("file", raw.env.iter().enumerate().map(|(at, env)| (key.index(at).name("file"), env.file.as_str())));
    list(&raw.env, |at, env| {
        let file = look.take(&key.index(at).name("file"), words::relative(&env.file));
        let example = look.take(&key.index(at).name("example"), words::relative(&env.example));
        if env.file == env.example {
            look.warn(format!("component {}: the example of {} is the file itself", raw.name, env.file));
        }
        let public = look.each(&key.index(at).name("public"), &env.public, key_name);
        let dialect = env.dialect.map(|dialect| match dialect {
            raw::Dialect::Systemd => Dialect::Systemd,
            raw::Dialect::Dotenv => Dialect::Dotenv,
            raw::Dialect::Compose => Dialect::Compose,
        });
        Some(EnvFile { file: file?, example: example?, dialect, public: public? })
    })
}

fn key_name(text: &str) -> Looked<String> {
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    match is_name {
        true => Ok(text.to_owned()),
        false => Err(Fault::new(format!("\"{}\" is no key of a configuration file", crate::text::harmless(text)))
            .help("write the key alone, such as \"LOG_LEVEL\"")),
    }
}

pub(super) fn run_as(raw: Option<raw::As>) -> RunAs {
    match raw {
        None | Some(raw::As::Owner) => RunAs::Owner,
        Some(raw::As::Root) => RunAs::Root,
    }
}

fn check(look: &mut Look<'_>, key: &Key, raw: &raw::Check) -> Option<Check> {
    let run = look.take(&key.name("run"), words::argv(&raw.run));
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), CHECK);
    let at = match raw.at {
        None | Some(raw::At::Staged) => CheckAt::Staged,
        Some(raw::At::Switched) => CheckAt::Switched,
    };
    let env_files = env_files(look, &key.name("env-file"), &raw.env_file);
    Some(Check { run: run?, at, run_as: run_as(raw.run_as), timeout: timeout?, env_files: env_files? })
}

fn step(look: &mut Look<'_>, key: &Key, raw: &raw::Step, component: &str) -> Option<Step> {
    let label = format!("component {component}, step {}", raw.name);
    let name = look.take(&key.name("name"), step_name(&raw.name));
    let run = look.take(&key.name("run"), words::argv(&raw.run));
    let timeout = look.take_or(&key.name("timeout"), raw.timeout.as_deref().map(words::bound), STEP);
    let when_changed = match &raw.when {
        Some(when) => changed(look, &key.name("when").name("changed"), &when.changed),
        None => Some(Vec::new()),
    };
    let undo = undo(look, &key.name("undo"), raw.undo.as_ref());
    if raw.undo.is_none() {
        look.warn(format!("{label}: no undo is declared, so it counts as irreversible"));
    }
    let by_itself = matches!(undo, Some(StepUndo::Pure | StepUndo::Rerun));
    let idempotent = raw.idempotent.unwrap_or(by_itself);
    if undo == Some(StepUndo::Rerun) && !idempotent {
        let fault = Fault::new("a step that is undone by running it again may be run again");
        look.fault(&key.name("idempotent"), fault.help("leave `idempotent` out, or declare another `undo`"));
    }
    let env_files = env_files(look, &key.name("env-file"), &raw.env_file)?;
    let (run_as, when_changed) = (run_as(raw.run_as), when_changed?);
    let (undo, undo_timeout) = (undo?, undo_timeout(look, &key.name("undo"), raw.undo.as_ref())?);
    let (name, run, timeout) = (name?, run?, timeout?);
    Some(Step { name, run, run_as, when_changed, undo, undo_timeout, idempotent, timeout, env_files })
}

fn step_name(text: &str) -> Looked<String> {
    match text.trim().is_empty() || text.chars().any(char::is_control) || text.chars().count() > 64 {
        true => Err(Fault::new("is not a name").help("write 1 to 64 characters, none of them a control character")),
        false => Ok(text.to_owned()),
    }
}

pub(super) fn changed(look: &mut Look<'_>, key: &Key, paths: &[String]) -> Option<Vec<RelPath>> {
    if paths.is_empty() {
        let fault = Fault::new("no path is named, so the step would never run");
        look.fault(key, fault.help("name paths, or leave `when` out: then it runs whenever the component changed"));
    }
    look.each(key, paths, words::relative)
}

pub(super) fn undo(look: &mut Look<'_>, key: &Key, raw: Option<&raw::Undo>) -> Option<StepUndo> {
    match raw {
        None | Some(raw::Undo::Rule(raw::UndoRule::Irreversible)) => Some(StepUndo::Irreversible),
        Some(raw::Undo::Rule(raw::UndoRule::Pure)) => Some(StepUndo::Pure),
        Some(raw::Undo::Rule(raw::UndoRule::Rerun)) => Some(StepUndo::Rerun),
        Some(raw::Undo::Rule(raw::UndoRule::RestoreBackup)) => Some(StepUndo::RestoreBackup),
        Some(raw::Undo::Command(command)) => look.take(&key.name("run"), words::argv(&command.run)).map(StepUndo::Run),
    }
}

/// The bound of a command that undoes something, where it has one of its own.
pub(super) fn undo_timeout(look: &mut Look<'_>, key: &Key, raw: Option<&raw::Undo>) -> Option<Option<Duration>> {
    let Some(raw::Undo::Command(command)) = raw else { return Some(None) };
    look.take_optional(&key.name("timeout"), command.timeout.as_deref().map(words::bound))
}
