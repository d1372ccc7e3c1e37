//! Walking what an account owns as root: every step through [`Rooted`], which follows no link.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::listing::{Entry, Kind, Name};
use super::pack::Counted;
use crate::error::{Error, Result};
use crate::host::fs::{Node, NodeKind, Rooted};

/// What a file's bytes go to. The entry says everything but the hash.
pub(super) trait Sink {
    /// Takes one thing; `bytes` are a file's, exactly as many as its entry says.
    fn take(&mut self, entry: &Entry, bytes: Option<&mut dyn Read>) -> io::Result<()>;
}

/// A sink that keeps nothing: for comparing.
pub(super) struct Nowhere;

impl Sink for Nowhere {
    fn take(&mut self, _: &Entry, bytes: Option<&mut dyn Read>) -> io::Result<()> {
        bytes.map_or(Ok(()), |bytes| io::copy(bytes, &mut io::sink()).map(drop))
    }
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Everything, parents first.
    pub entries: Vec<Entry>,
    /// Tops that are not there.
    pub absent: Vec<Name>,
    /// Files that were written while they were read.
    pub restless: Vec<Name>,
}

struct Walk<'a> {
    root: &'a Rooted,
    skip: &'a dyn Fn(&Path) -> bool,
    sink: &'a mut dyn Sink,
    found: Found,
    seen: BTreeMap<(u64, u64), Name>,
}

/// Walks everything at and below `tops`, but what `skip` names.
pub(super) fn walk(
    root: &Rooted,
    tops: &[PathBuf],
    skip: &dyn Fn(&Path) -> bool,
    sink: &mut dyn Sink,
) -> Result<Found> {
    let mut walk = Walk { root, skip, sink, found: Found::default(), seen: BTreeMap::new() };
    for top in tops {
        match root.node(top)? {
            None => walk.found.absent.push(Name::of(top)),
            Some(node) => walk.visit(top, node)?,
        }
    }
    Ok(walk.found)
}

/// A name in a directory; what is in `.` goes without it.
pub(super) fn below(directory: &Path, name: &Path) -> PathBuf {
    if directory == Path::new(".") { name.to_owned() } else { directory.join(name) }
}

impl Walk<'_> {
    fn visit(&mut self, path: &Path, node: Node) -> Result<()> {
        if (self.skip)(path) {
            return Ok(());
        }
        match &node.kind {
            NodeKind::Directory => self.directory(path),
            NodeKind::File => self.file(path, &node),
            NodeKind::Link(target) => {
                let entry = Entry::new(path, Kind::Link { target: Name::of(target) }, node.meta);
                self.keep(entry, None)
            }
            NodeKind::Special => {
                self.found.entries.push(Entry::new(path, Kind::NotKept, node.meta));
                Ok(())
            }
        }
    }

    fn directory(&mut self, path: &Path) -> Result<()> {
        // What went between two looks is as if it had never been there.
        let Some((_, node)) = self.root.open_directory(path)? else { return Ok(()) };
        self.keep(Entry::new(path, Kind::Directory, node.meta), None)?;
        let mut names = self.root.entries(path)?;
        names.sort();
        for name in names {
            let below = below(path, &name);
            if let Some(node) = self.root.node(&below)? {
                self.visit(&below, node)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, node: &Node) -> Result<()> {
        if node.links > 1
            && let Some(first) = self.seen.get(&node.id)
        {
            let entry = Entry::new(path, Kind::HardLink { of: first.clone() }, node.meta.clone());
            return self.keep(entry, None);
        }
        let Some((file, node)) = self.root.open_file(path)? else { return Ok(()) };
        let wrong = |error: io::Error| {
            Error::failed(format!("{} cannot be backed up", self.root.path().join(path).display())).because(error)
        };
        let data = if node.allocated < node.size { Some(segments(&file, node.size).map_err(wrong)?) } else { None };
        let kind = Kind::File { size: node.size, sha256: String::new(), data };
        let mut entry = Entry::new(path, kind, node.meta.clone());
        let mut counted = Counted::new(Exactly { file: &file, left: node.size });
        self.sink.take(&entry, Some(&mut counted)).map_err(wrong)?;
        let (_, sum) = counted.finish();
        if let Kind::File { sha256, .. } = &mut entry.kind {
            *sha256 = sum;
        }
        let after = file.metadata().map_err(wrong)?;
        let mtime = {
            use std::os::unix::fs::MetadataExt;
            (after.mtime(), after.mtime_nsec())
        };
        if after.len() != node.size || mtime != node.meta.mtime {
            self.found.restless.push(entry.path.clone());
        }
        if node.links > 1 {
            self.seen.insert(node.id, entry.path.clone());
        }
        self.found.entries.push(entry);
        Ok(())
    }

    fn keep(&mut self, entry: Entry, bytes: Option<&mut dyn Read>) -> Result<()> {
        self.sink.take(&entry, bytes).map_err(|error| {
            let path = self.root.path().join(entry.path.path());
            Error::failed(format!("{} cannot be backed up", path.display())).because(error)
        })?;
        self.found.entries.push(entry);
        Ok(())
    }
}

/// As many bytes of a file as it had: what is appended meanwhile is not read, and what is cut off is an error.
struct Exactly<'a> {
    file: &'a File,
    left: u64,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if room == 0 {
            return Ok(0);
        }
        let count = self.file.read(&mut buffer[..room])?;
        if count == 0 {
            return Err(io::Error::other(
                "it was cut off while it was read; a backup that is `quiesced` stops services first",
            ));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Where a file with holes has its data, lseek(2).
fn segments(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let seek = |from: u64, whence: i32| -> io::Result<Option<u64>> {
        // SAFETY: the descriptor is open for the whole call.
        match unsafe { libc::lseek(file.as_raw_fd(), from as i64, whence) } {
            at if at >= 0 => Ok(Some(at as u64)),
            _ => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
                error => Err(error),
            },
        }
    };
    let mut found = Vec::new();
    let mut at = 0;
    while at < size
        && let Some(begin) = seek(at, libc::SEEK_DATA)?
    {
        let end = seek(begin, libc::SEEK_HOLE)?.unwrap_or(size).min(size);
        if begin >= end {
            break;
        }
        found.push((begin, end));
        at = end;
    }
    // The offset is the reader's.
    seek(0, libc::SEEK_SET)?;
    Ok(found)
}
