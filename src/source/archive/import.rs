//! Making a release of what an archive holds.

use std::io::{BufRead, Read};

use git2::{Oid, Repository};

use super::entry::{Header, Judged, Tree, What, judge};
use super::unpack::Frame;
use crate::error::{Context, Error, Result};
use crate::source::snapshot::{self, Entry, EntryKind, FORMAT, Meta};
use crate::text::harmless;

/// How many entries an archive may have.
pub const ENTRIES: usize = 200_000;
/// The largest file of a release, bytes: each is in memory once.
pub const LARGEST: u64 = 1 << 30;
/// The longest line that the child writes, bytes.
const LINE: u64 = 32 << 10;
/// The last second of the year 9999.
const LAST_TIME: u64 = 253_402_300_799;

/// What is known of an archive before it is read.
pub struct Of<'a> {
    /// The release's version.
    pub version: &'a str,
    /// The archive's SHA-256.
    pub sha256: &'a str,
    /// Whether the one directory that all of it is in is left out.
    pub strips: bool,
    /// The most that it may come to, bytes.
    pub most: u64,
}

/// Why an archive is no release.
pub enum Refusal {
    /// What is wrong with it.
    Archive(String),
    /// The child ended before it told all.
    Ended,
    /// It is this host's.
    Host(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Host(error)
    }
}

/// Where the bytes of files and links are kept until the release is written.
pub trait Store {
    /// Keeps them.
    fn keep(&mut self, bytes: &[u8]) -> Result<Oid>;
}

impl Store for &Repository {
    fn keep(&mut self, bytes: &[u8]) -> Result<Oid> {
        self.blob(bytes).context("the release cannot be written into the mirror")
    }
}

/// What an archive holds, judged.
pub struct Contents {
    /// Files and links without the top, and where their bytes are.
    pub files: Vec<(String, EntryKind, Oid)>,
    /// Directories that nothing is in.
    pub empty: Vec<String>,
    /// The newest time of an entry, seconds since the epoch.
    pub time: i64,
}

/// Imports what a child tells of an archive: the commit of its release.
pub fn import(repository: &Repository, frames: impl BufRead, of: &Of) -> std::result::Result<Oid, Refusal> {
    let mut store = repository;
    let Contents { files, empty, time } = judged(frames, of, &mut store)?;
    let meta = Meta { snapshot: FORMAT, version: of.version.into(), identity: vec![of.sha256.into()], empty, time };
    let entries = files.into_iter().map(|(path, kind, oid)| {
        let bytes = repository.find_blob(oid).context("the mirror cannot be read")?.content().to_vec();
        Ok(Entry { path, kind, bytes })
    });
    Ok(snapshot::write(repository, entries, &meta)?)
}

/// Reads what a child tells; what the archive may hold is said here.
pub fn judged(mut frames: impl BufRead, of: &Of, store: &mut impl Store) -> std::result::Result<Contents, Refusal> {
    let (mut tree, mut files, mut newest, mut left) = (Tree::default(), Vec::new(), 0, of.most);
    let refused = |path: &str, why: &str| Refusal::Archive(format!("{} {why}", harmless(path)));
    loop {
        let (path, size, time, entry) = match frame(&mut frames)? {
            Frame::End => break,
            Frame::Piece { .. } => return Err(Refusal::Ended),
            Frame::Refused { why } => return Err(Refusal::Archive(harmless(&why))),
            Frame::Entry { path, kind, mode, size, link, time } => {
                let link = link.as_deref().map(str::as_bytes);
                let header = Header { path: path.as_bytes(), kind: kind.as_type(), mode, size, link };
                let entry = judge(&header).map_err(|why| refused(&path, &why))?;
                (path, size, time, entry)
            }
        };
        tree.add(&entry).map_err(|why| refused(&path, &why))?;
        if tree.len() > ENTRIES {
            return Err(Refusal::Archive(format!("it has more than {ENTRIES} entries")));
        }
        left = left.checked_sub(size).filter(|_| size <= LARGEST).ok_or_else(|| {
            let bound = crate::text::bytes(LARGEST.min(of.most));
            refused(
                &path,
                &format!("is too large: more than {bound}, or more than `max-unpacked` with what is before it"),
            )
        })?;
        newest = newest.max(time.min(LAST_TIME));
        let bytes = content(&mut frames, size)?;
        keep(entry, &bytes, &mut files, store)?;
    }
    if files.is_empty() {
        return Err(Refusal::Archive("it holds no file".into()));
    }
    let top = tree.top(of.strips);
    if let Some(why) = tree.leaving(top) {
        return Err(Refusal::Archive(harmless(&why)));
    }
    let stripped = usize::from(top.is_some());
    let files = files.into_iter().map(|(path, kind, oid)| (path[stripped..].join("/"), kind, oid)).collect();
    Ok(Contents { files, empty: tree.empty(top), time: newest as i64 })
}

type Kept = Vec<(Vec<String>, EntryKind, Oid)>;

fn keep(entry: Judged, bytes: &[u8], files: &mut Kept, store: &mut impl Store) -> Result<()> {
    let (kind, oid) = match entry.what {
        What::Directory => return Ok(()),
        What::File { is_program } => {
            (if is_program { EntryKind::Program } else { EntryKind::File }, store.keep(bytes)?)
        }
        What::Link { target } => (EntryKind::Link, store.keep(target.as_bytes())?),
        // The tree has it.
        What::HardLink { of } => match files.iter().rev().find(|(path, ..)| *path == of) {
            Some((_, kind, oid)) => (*kind, *oid),
            None => return Ok(()),
        },
    };
    files.push((entry.path, kind, oid));
    Ok(())
}

fn frame(frames: &mut impl BufRead) -> std::result::Result<Frame, Refusal> {
    let mut line = Vec::new();
    frames.by_ref().take(LINE).read_until(b'\n', &mut line).map_err(|_| Refusal::Ended)?;
    match line.ends_with(b"\n") {
        true => serde_json::from_slice(&line).map_err(|_| Refusal::Ended),
        false if line.len() as u64 == LINE => Err(Refusal::Archive("an entry has a name that is too long".into())),
        false => Err(Refusal::Ended),
    }
}

fn content(frames: &mut impl BufRead, size: u64) -> std::result::Result<Vec<u8>, Refusal> {
    let mut bytes = Vec::new();
    while (bytes.len() as u64) < size {
        let left = size - bytes.len() as u64;
        match frame(frames)? {
            Frame::Piece { size: piece @ 1.. } if piece <= left => {
                let read = frames.by_ref().take(piece).read_to_end(&mut bytes).map_err(|_| Refusal::Ended)?;
                if (read as u64) < piece {
                    return Err(Refusal::Ended);
                }
            }
            Frame::Refused { why } => return Err(Refusal::Archive(harmless(&why))),
            _ => return Err(Refusal::Ended),
        }
    }
    Ok(bytes)
}
