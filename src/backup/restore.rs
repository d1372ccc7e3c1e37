//! Putting a backup back: file by file, each beside its place and renamed, so that whoever looks sees one or the other.
//! May be begun again after a kill at any point, and ends the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::listing::{Entry, Kind};
use super::pack::{Counted, unpacked};
use super::sqlite::SIDECARS;
use super::walk;
use crate::error::{Context, Error, Result};
use crate::host::fs::{NodeKind, Rooted};

/// What is restored.
pub(super) struct Restore<'a> {
    /// The backup's directory.
    pub directory: &'a Path,
    /// What of it.
    pub part: Part<'a>,
    /// Only what is at or below these; empty: everything.
    pub only: &'a [PathBuf],
}

/// A part of a backup: what is restored below one directory.
pub(super) struct Part<'a> {
    /// The archive of its files.
    pub archive: &'a str,
    /// What was declared.
    pub paths: Vec<PathBuf>,
    /// Its SQLite databases.
    pub databases: Vec<PathBuf>,
    /// What was declared and not there.
    pub absent: Vec<PathBuf>,
    /// Everything in it, parents first.
    pub entries: &'a [Entry],
}

impl Restore<'_> {
    fn wants(&self, path: &Path) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| path.starts_with(only))
    }
}

/// Restores below `target`. What is at the declared paths and not in the backup goes. Not durable by itself.
pub(super) fn restore(order: &Restore, target: &Rooted) -> Result<()> {
    let entries: BTreeMap<PathBuf, &Entry> =
        order.part.entries.iter().map(|entry| (entry.path.path(), entry)).collect();
    parents(order, target)?;
    files(order, &entries, target)?;
    for entry in order.part.entries {
        if let Kind::Database { archive, .. } = &entry.kind
            && order.wants(&entry.path.path())
        {
            database(order.directory, archive, entry, target)?;
        }
    }
    for absent in order.part.absent.iter().filter(|path| order.wants(path)) {
        remove(absent, target)?;
    }
    let known: BTreeSet<&Path> = entries.keys().map(PathBuf::as_path).collect();
    for top in &order.part.paths {
        extra(order, target, top, &known)?;
    }
    // Last, and inside out: what is made in a directory changes its time.
    for entry in order.part.entries.iter().rev() {
        if entry.kind == Kind::Directory && order.wants(&entry.path.path()) {
            target.dress_directory(&entry.path.path(), &entry.meta())?;
        }
    }
    Ok(())
}

/// The directories that lead to what was declared are nobody's in the backup.
fn parents(order: &Restore, target: &Rooted) -> Result<()> {
    for path in order.part.paths.iter().chain(&order.part.databases) {
        if let Some(parent) = path.parent()
            && order.wants(path)
            && target.node(parent)?.is_none()
            && parent != Path::new("")
        {
            target.make_directories(parent, 0, 0)?;
        }
    }
    Ok(())
}

/// What was not there goes, and with a database what SQLite keeps beside it.
fn remove(absent: &Path, target: &Rooted) -> Result<()> {
    if absent == Path::new(".") {
        return target.entries(absent)?.iter().try_for_each(|name| target.remove_tree(name));
    }
    target.remove_tree(absent)?;
    SIDECARS.iter().try_for_each(|suffix| target.remove_tree(&beside(absent, suffix)))
}

fn files(order: &Restore, entries: &BTreeMap<PathBuf, &Entry>, target: &Rooted) -> Result<()> {
    let path = order.directory.join(order.part.archive);
    let what = || format!("{} cannot be read", path.display());
    let mut archive = tar::Archive::new(unpacked(&path)?);
    let mut left: usize = entries.values().filter(|entry| is_in_archive(entry)).count();
    for item in archive.entries().with_context(what)? {
        let mut item = item.with_context(what)?;
        let name = item.path().with_context(what)?.into_owned();
        // Neither `.` nor a final `/`, as the list has it.
        let name: PathBuf = name.components().collect();
        let Some(entry) = entries.get(&name) else {
            return Err(Error::failed(format!("{} is in {}, but not listed", name.display(), path.display())));
        };
        left = left.saturating_sub(1);
        if order.wants(&name) {
            one(entry, &name, &mut item, target)?;
        }
    }
    match left {
        0 => Ok(()),
        left => Err(Error::failed(format!("{left} things that are listed are missing in {}", path.display()))),
    }
}

fn is_in_archive(entry: &Entry) -> bool {
    !matches!(entry.kind, Kind::Database { .. } | Kind::NotKept)
}

fn one(entry: &Entry, path: &Path, bytes: &mut dyn Read, target: &Rooted) -> Result<()> {
    let there = target.node(path)?.map(|node| node.kind);
    let is_directory = there == Some(NodeKind::Directory);
    if is_directory != (entry.kind == Kind::Directory) && there.is_some() {
        // No rename puts one in the place of the other.
        target.remove_tree(path)?;
    }
    match &entry.kind {
        Kind::Directory if is_directory => Ok(()),
        Kind::Directory => target.make_directory(path),
        Kind::Link { target: says } => target.place_link(path, &says.os(), &entry.meta()),
        Kind::HardLink { of } => target.place_hard_link(path, &of.path()),
        Kind::File { size, sha256, data } => write(entry, path, bytes, (*size, sha256, data.as_deref()), target),
        Kind::Database { .. } | Kind::NotKept => Ok(()),
    }
}

fn database(directory: &Path, archive: &str, entry: &Entry, target: &Rooted) -> Result<()> {
    let Kind::Database { size, sha256, .. } = &entry.kind else { return Ok(()) };
    let path = entry.path.path();
    // A log of another state beside the copy would be played into it.
    SIDECARS.iter().try_for_each(|suffix| target.remove_tree(&beside(&path, suffix)))?;
    if target.is_directory(&path) {
        target.remove_tree(&path)?;
    }
    write(entry, &path, &mut unpacked(&directory.join(archive))?, (*size, sha256, None), target)
}

/// The path of what SQLite keeps beside a database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn write(
    entry: &Entry,
    path: &Path,
    bytes: &mut dyn Read,
    (size, sum, data): (u64, &str, Option<&[(u64, u64)]>),
    target: &Rooted,
) -> Result<()> {
    let what = || format!("{} cannot be restored", target.path().join(path).display());
    let mut fresh = target.fresh(path)?;
    let mut counted = Counted::new(bytes);
    let filled = match data {
        None => io::copy(&mut counted, &mut fresh.file).map(drop),
        Some(data) => with_holes(&mut counted, &mut fresh.file, size, data),
    };
    let (found, written) = (counted.bytes, counted.finish().1);
    if filled.is_ok() && (found != size || written != sum) {
        fresh.discard();
        return Err(Error::failed(what()).because("its bytes are not those that were backed up"));
    }
    match filled {
        Ok(()) => fresh.settle(&entry.meta()).with_context(what),
        Err(error) => {
            fresh.discard();
            Err(Error::failed(what()).because(error))
        }
    }
}

/// Writes what is data and leaves holes where there were some.
fn with_holes(bytes: &mut dyn Read, file: &mut File, size: u64, data: &[(u64, u64)]) -> io::Result<()> {
    let mut at = 0;
    let mut pass = |count: u64, to: &mut dyn Write| -> io::Result<()> {
        match io::copy(&mut (&mut *bytes).take(count), to)? {
            copied if copied == count => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    for (begin, end) in data {
        pass(begin.saturating_sub(at), &mut io::sink())?;
        file.seek(SeekFrom::Start(*begin))?;
        pass(end.saturating_sub(*begin), file)?;
        at = *end;
    }
    pass(size.saturating_sub(at), &mut io::sink())?;
    file.set_len(size)
}

/// Removes what is there and was not when the backup was taken.
fn extra(order: &Restore, target: &Rooted, path: &Path, known: &BTreeSet<&Path>) -> Result<()> {
    if !target.is_directory(path) {
        return Ok(());
    }
    for name in target.entries(path)? {
        let below = walk::below(path, &name);
        let leads = order.only.is_empty() || order.only.iter().any(|only| only.starts_with(&below));
        if known.contains(below.as_path()) {
            if order.wants(&below) || leads {
                extra(order, target, &below, known)?;
            }
        } else if order.wants(&below) {
            target.remove_tree(&below)?;
        }
    }
    Ok(())
}
