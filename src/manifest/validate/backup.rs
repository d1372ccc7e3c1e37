//! `[backup]`, and the steps that ask for one.

use std::path::{Component, Path, PathBuf};

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Backup, BackupWhen, RelPath, raw, words};
use super::Look;
use super::policy::keep;
use super::source::compose_name;

/// How many backups are kept where the manifest says nothing.
const KEEP: usize = 5;

/// `None`: there was a fault.
pub(super) fn backup(look: &mut Look<'_>, top: &Key, raw: &raw::Manifest) -> Option<Option<Backup>> {
    let key = top.name("backup");
    let Some(table) = &raw.backup else {
        return if needs_one(look, top, raw) { None } else { Some(None) };
    };
    if table.paths.is_empty() && table.sqlite.is_empty() && table.volumes.is_empty() {
        let fault = Fault::new("nothing is named, so there would be nothing in a backup");
        look.fault(&key, fault.help("name files and directories under `paths`, SQLite databases under `sqlite`"));
        return None;
    }
    let paths = look.each(&key.name("paths"), &table.paths, path);
    let sqlite = look.each(&key.name("sqlite"), &table.sqlite, path);
    apart(look, &key.name("paths"), &table.paths);
    look.unique("database", names(&key.name("sqlite"), &table.sqlite));
    if let (Some(paths), Some(sqlite)) = (&paths, &sqlite) {
        for (at, _) in sqlite.iter().enumerate().filter(|(_, database)| paths.contains(database)) {
            let fault = Fault::new(format!("\"{}\" stands under `paths` as well", sqlite[at]));
            look.fault(
                &key.name("sqlite").index(at),
                fault.help("leave it out there: a database is copied by SQLite, never as a file"),
            );
        }
    }
    let volumes = volumes(look, &key, raw, table);
    let keep = look.take_or(&key.name("keep"), table.keep.map(keep), KEEP);
    let directory = look.take_optional(&key.name("directory"), table.directory.as_deref().map(directory));
    let when = match table.when {
        None | Some(raw::BackupWhen::Prepare) => BackupWhen::Prepare,
        Some(raw::BackupWhen::Quiesced) => BackupWhen::Quiesced,
    };
    Some(Some(Backup { paths: paths?, sqlite: sqlite?, volumes: volumes?, keep: keep?, when, directory: directory? }))
}

/// Named volumes: a Compose project's, copied when its containers are stopped.
fn volumes(look: &mut Look<'_>, top: &Key, raw: &raw::Manifest, table: &raw::Backup) -> Option<Vec<String>> {
    let key = top.name("volumes");
    if table.volumes.is_empty() {
        return Some(Vec::new());
    }
    look.unique("volume", names(&key, &table.volumes));
    let volumes = look.each(&key, &table.volumes, |text| compose_name(text, "a volume"));
    if raw.source.compose.is_none() {
        look.fault(&key, Fault::new("only a Compose project has volumes").help("name files under `paths`"));
        return None;
    }
    if !matches!(table.when, Some(raw::BackupWhen::Quiesced)) {
        let fault = Fault::new("a volume is copied when its containers are stopped");
        look.fault(&key, fault.help("add when = \"quiesced\" to [backup]"));
        return None;
    }
    volumes
}

/// Whether a step is undone by a backup that is declared nowhere.
fn needs_one(look: &mut Look<'_>, top: &Key, raw: &raw::Manifest) -> bool {
    let mut is_needed = false;
    for (at, component) in raw.component.iter().enumerate() {
        for (number, step) in component.step.iter().enumerate() {
            if matches!(step.undo, Some(raw::Undo::Rule(raw::UndoRule::RestoreBackup))) {
                is_needed = true;
                let fault = Fault::new("\"restore-backup\" needs a backup, and none is declared")
                    .help("add a [backup] table with `paths` or `sqlite`");
                look.fault(&top.name("component").index(at).name("step").index(number).name("undo"), fault);
            }
        }
    }
    is_needed
}

fn path(text: &str) -> Looked<RelPath> {
    let path = words::relative(text)?;
    match Path::new(path.as_str()).components().next() {
        Some(Component::Normal(first)) if first == ".git" => {
            Err(Fault::new("git's own files are not data")
                .help("releases are kept by git: name what git does not have"))
        }
        _ => Ok(path),
    }
}

fn names<'n>(key: &Key, list: &'n [String]) -> Vec<(Key, &'n str)> {
    list.iter().enumerate().map(|(at, text)| (key.index(at), text.as_str())).collect()
}

/// A path that another holds would be in the backup twice.
fn apart(look: &mut Look<'_>, key: &Key, paths: &[String]) {
    look.unique("path", names(key, paths));
    for (at, one) in paths.iter().enumerate() {
        let holder = paths.iter().find(|other| *other != one && Path::new(one).starts_with(other));
        if let Some(holder) = holder {
            let fault = Fault::new(format!("\"{one}\" is inside \"{holder}\", which is backed up as a whole"));
            look.fault(&key.index(at), fault.help("leave it out"));
        }
    }
}

fn directory(text: &str) -> Looked<PathBuf> {
    let path = Path::new(text);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match path.is_absolute() && is_plain && path != Path::new("/") && !text.contains(char::is_control) {
        true => Ok(path.components().collect()),
        false => Err(Fault::new(format!("\"{text}\" is no place for backups"))
            .help("write an absolute path without `.` and `..`, such as \"/srv/backups\"")),
    }
}
