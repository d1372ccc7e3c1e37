//! Unit files of the tree, and what of them this host has.

use std::path::{Path, PathBuf};

use super::FoundUnit;
use super::tree::{self, Tree};
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::host::packages;
use crate::manifest::{RelPath, RestartPolicy, Scope};

/// Where the system manager's units are, the administrator's first: systemd.unit(5).
const SYSTEM: [&str; 4] =
    ["/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"];
/// Where those of every user manager are, after the account's own.
const USER: [&str; 3] = ["/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"];
/// The kinds that are looked for.
const KINDS: [&str; 6] = ["service", "timer", "socket", "path", "target", "mount"];

/// The unit's own word for a scope.
pub(super) fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::User => "user",
    }
}

/// Whether a file's name is a unit's.
pub(super) fn is_unit_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && KINDS.contains(&kind))
}

fn places(owner: &Account) -> Vec<(Scope, PathBuf)> {
    let system = SYSTEM.iter().map(|place| (Scope::System, PathBuf::from(place)));
    let own = (Scope::User, owner.home.join(".config/systemd/user"));
    let user = USER.iter().map(|place| (Scope::User, PathBuf::from(place)));
    system.chain([own]).chain(user).collect()
}

/// Where a unit of this name is installed.
pub(super) fn installed(name: &str, owner: &Account) -> Option<(Scope, PathBuf)> {
    everywhere(name, owner).into_iter().next()
}

fn everywhere(name: &str, owner: &Account) -> Vec<(Scope, PathBuf)> {
    let files = places(owner).into_iter().map(|(scope, place)| (scope, place.join(name)));
    files.filter(|(_, file)| file.symlink_metadata().is_ok()).collect()
}

/// The unit files below a component, installed ones first.
pub(super) fn of(tree: &Tree<'_>, owner: &Account, component: &str) -> Vec<FoundUnit> {
    let files = tree.tracked_below(component).filter(|path| is_unit_file(path));
    let files = files.filter(|path| path.split('/').rev().skip(1).all(tree::is_ours));
    let mut units: Vec<FoundUnit> = files
        .filter_map(|path| {
            let text = tree.text(&format!("{component}/{path}")).unwrap_or_default();
            unit(RelPath::parse(path).ok()?, &text, owner)
        })
        .collect();
    units.sort_by_key(|unit| unit.installed.is_none());
    // The same unit twice in the tree, as in debian/ and systemd/: which one is meant cannot be told.
    let mut names: Vec<String> = Vec::new();
    for unit in &mut units {
        let name = unit.file.file_name().to_owned();
        if names.contains(&name) && unit.installed.take().is_some() {
            unit.notes.push("another file of this name is declared above; keep the one that upstream installs".into());
        }
        names.push(name);
    }
    units
}

fn unit(file: RelPath, text: &str, owner: &Account) -> Option<FoundUnit> {
    let name = file.file_name();
    let places = everywhere(name, owner);
    let mut notes = Vec::new();
    let instances = if name.contains("@.") { instances(name, owner) } else { Vec::new() };
    let restart = match name.ends_with(".service") && value(text, "Type") == Some("oneshot") {
        true => RestartPolicy::Never,
        false => RestartPolicy::IfChanged,
    };
    if restart == RestartPolicy::Never {
        notes.push("Type=oneshot: a restart would run its job, so it is left to what starts it".into());
    }
    if let [(_, first), others @ ..] = places.as_slice() {
        if first.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink()) {
            let target = std::fs::read_link(first).unwrap_or_default();
            notes.push(match target == Path::new("/dev/null") {
                true => "masked on this host; it stays masked".into(),
                false => format!("{} is a symlink to {}", first.display(), target.display()),
            });
        }
        for (scope, other) in others.iter().filter(|(_, other)| real(other) != real(first)) {
            notes.push(format!("also installed as {} ({} scope)", other.display(), scope_word(*scope)));
        }
    }
    let packages = places.first().map(|_| packages_of(text)).unwrap_or_default();
    Some(FoundUnit { packages, installed: places.into_iter().next(), file, instances, restart, notes })
}

/// The packages of what `ExecStart=` names: of the link that an interpreter mostly is, and of what it leads to.
fn packages_of(text: &str) -> Vec<String> {
    let program = value(text, "ExecStart").and_then(|command| command.split_whitespace().next()).unwrap_or_default();
    let program = Path::new(program.trim_start_matches(['-', '@', ':', '+', '!']));
    if !program.is_absolute() {
        return Vec::new();
    }
    let mut packages: Vec<String> = Vec::new();
    for owner in [program.to_owned(), real(program)].iter().filter_map(|path| packages::owner(path)) {
        if !packages.contains(&owner) {
            packages.push(owner);
        }
    }
    packages
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// The last value of a key; enough for `Type=`, which stands once.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let assignments = text.lines().filter_map(|line| line.trim().split_once('='));
    assignments.rev().find(|(name, _)| name.trim() == key).map(|(_, value)| value.trim())
}

/// The enabled instances of a template: the links in `*.wants` and `*.requires`.
fn instances(template: &str, owner: &Account) -> Vec<String> {
    let Some((stem, kind)) = template.split_once("@.") else { return Vec::new() };
    let mut found = Vec::new();
    for (_, place) in places(owner) {
        for directory in
            entries(&place).into_iter().filter(|name| name.ends_with(".wants") || name.ends_with(".requires"))
        {
            let names = entries(&place.join(directory)).into_iter();
            found.extend(names.filter_map(|name| {
                let instance = name.strip_prefix(stem)?.strip_prefix('@')?.strip_suffix(kind)?.strip_suffix('.')?;
                (!instance.is_empty()).then(|| instance.to_owned())
            }));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn entries(directory: &Path) -> Vec<String> {
    let Ok(list) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> = list.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Units of the administrator that run from the component and that upstream does not ship.
pub(super) fn foreign(tree: &Tree<'_>, owner: &Account, component: &str, known: &[FoundUnit]) -> Vec<String> {
    let directory = tree.git().root().join(component);
    let wanted = directory.display().to_string();
    // In its home the account may put links in the place of directories.
    let own = [(Path::new(SYSTEM[0]), Path::new(".")), (&owner.home, Path::new(".config/systemd/user"))];
    let mut notes = Vec::new();
    for (place, below) in own {
        let Ok(directory) = Rooted::open(place) else { continue };
        let mut names = directory.entries(below).unwrap_or_default();
        names.retain(|name| name.extension().is_some_and(|end| end == "service"));
        names.sort();
        for name in names {
            let file = below.join(&name);
            let text = || directory.read(&file).ok().flatten().filter(|file| file.bytes.len() <= 64 << 10);
            let runs_here = !known.iter().any(|unit| Path::new(unit.file.file_name()) == name)
                && text().is_some_and(|file| mentions(&String::from_utf8_lossy(&file.bytes), &wanted));
            if runs_here {
                notes.push(format!(
                    "{} runs from here, and upstream ships no such file: after an upgrade it is not restarted.",
                    place.join(below.strip_prefix(".").unwrap_or(below)).join(&name).display()
                ));
            }
        }
    }
    notes
}

fn mentions(text: &str, directory: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "-_.".contains(c));
    text.match_indices(directory).any(|(at, _)| ends(&text[at + directory.len()..]))
}
