//! The list of what a backup holds: `manifest.json`, written last, so that a backup without it does not exist.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::restore::Part;
use crate::host::fs::{Meta, sha256};
use crate::source::compose::Volume;

/// The format of a backup, and of one that holds volumes.
pub const FORMAT: u32 = 1;
pub const WITH_VOLUMES: u32 = 2;

/// The archive of everything below the root but databases.
pub(super) const FILES: &str = "files.tar.zst";

/// Why a backup was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A run changes what is installed.
    Run,
    /// Another backup is about to be restored over it.
    BeforeRestore,
    /// An operator asked for it.
    ByHand,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// The version of the format.
    pub format: u32,
    /// Its id, a ULID. That of a run's backup is the run's.
    pub id: String,
    /// The install.
    pub install: String,
    /// The run that it belongs to.
    #[serde(default)]
    pub run: Option<String>,
    /// Why it was taken.
    pub reason: Reason,
    /// When it was begun, seconds since the epoch.
    pub time: i64,
    /// The version of relift that took it.
    pub version: String,
    /// The checkout that everything is relative to.
    pub root: PathBuf,
    /// The declared paths.
    pub paths: Vec<Name>,
    /// The declared SQLite databases.
    pub databases: Vec<Name>,
    /// Declared things that were not there.
    #[serde(default)]
    pub absent: Vec<Name>,
    /// Everything that is in it, parents before what is in them.
    pub entries: Vec<Entry>,
    /// The named volumes in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<OfVolume>,
    /// Its other files.
    pub archives: Vec<Archive>,
    /// SHA-256 of this list's JSON with this field empty.
    pub sum: String,
}

/// A named volume in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfVolume {
    /// Which one.
    pub volume: Volume,
    /// Everything that is in it, its own directory as `.`; empty: there was no such volume.
    pub entries: Vec<Entry>,
    /// The file of the backup that holds it.
    pub archive: String,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archive {
    /// Its name in the backup's directory.
    pub file: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// SHA-256 of it as it lies there.
    pub sha256: String,
}

/// One thing in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the checkout.
    pub path: Name,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// When it was last written: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Extended attributes, POSIX ACLs among them: name and value in hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub xattrs: Vec<(String, String)>,
}

/// The kinds of things in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its length, bytes.
        size: u64,
        /// SHA-256 of its bytes.
        sha256: String,
        /// Where its data is, begin and end, when it has holes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<Vec<(u64, u64)>>,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: Name,
    },
    /// Another name of a file before it.
    HardLink {
        /// That file.
        of: Name,
    },
    /// A SQLite database: a consistent copy by SQLite itself.
    Database {
        /// The copy's length, bytes.
        size: u64,
        /// SHA-256 of the copy.
        sha256: String,
        /// The file of the backup that holds it.
        archive: String,
    },
    /// A pipe, socket or device: named, not kept.
    NotKept,
}

/// A path or a link's target. Linux takes any bytes: what is no UTF-8, control characters and `%` are written as `%XX`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// Names a path.
    pub fn of(path: impl AsRef<OsStr>) -> Name {
        let mut text = String::new();
        for chunk in path.as_ref().as_bytes().utf8_chunks() {
            for c in chunk.valid().chars() {
                match c == '%' || c.is_control() {
                    true => c.to_string().bytes().for_each(|byte| text.push_str(&format!("%{byte:02X}"))),
                    false => text.push(c),
                }
            }
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("%{byte:02X}")));
        }
        Name(text)
    }

    /// The bytes that it names.
    pub fn os(&self) -> OsString {
        let (bytes, mut plain, mut at) = (self.0.as_bytes(), Vec::new(), 0);
        while at < bytes.len() {
            let escaped = (bytes[at] == b'%').then(|| self.0.get(at + 1..at + 3)).flatten();
            match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(byte) => {
                    plain.push(byte);
                    at += 3;
                }
                None => {
                    plain.push(bytes[at]);
                    at += 1;
                }
            }
        }
        OsString::from_vec(plain)
    }

    /// The path that it names.
    pub fn path(&self) -> PathBuf {
        PathBuf::from(self.os())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `other` or below it.
    pub fn is_within(&self, other: &Path) -> bool {
        self.path().starts_with(other)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Entry {
    /// An entry with what was looked at.
    pub fn new(path: &Path, kind: Kind, meta: Meta) -> Entry {
        let Meta { mode, uid, gid, mtime, xattrs } = meta;
        Entry { path: Name::of(path), kind, mode, uid, gid, mtime, xattrs }
    }

    /// What it is given when it is restored.
    pub fn meta(&self) -> Meta {
        Meta { mode: self.mode, uid: self.uid, gid: self.gid, mtime: self.mtime, xattrs: self.xattrs.clone() }
    }

    /// Its bytes, for a file or a database.
    pub fn size(&self) -> u64 {
        match &self.kind {
            Kind::File { size, .. } | Kind::Database { size, .. } => *size,
            _ => 0,
        }
    }
}

impl Listing {
    /// The sum that it ought to have.
    pub fn computed_sum(&self) -> String {
        let unsealed = Listing { sum: String::new(), ..self.clone() };
        // Serializing plain values to memory cannot fail; an empty sum would be refused on reading.
        serde_json::to_vec(&unsealed).map(|bytes| sha256(&bytes)).unwrap_or_default()
    }

    /// The bytes of everything in it, as it is restored.
    pub fn size(&self) -> u64 {
        self.all().map(|(_, entry)| entry.size()).sum()
    }

    /// The bytes of its files.
    pub fn stored(&self) -> u64 {
        self.archives.iter().map(|archive| archive.bytes).sum()
    }

    /// Names of pipes, sockets and devices.
    pub fn not_kept(&self) -> impl Iterator<Item = Name> {
        self.all().filter(|(_, entry)| entry.kind == Kind::NotKept).map(|(place, entry)| match place {
            Some(volume) => Name::of(in_volume(&volume.name).join(entry.path.path())),
            None => entry.path.clone(),
        })
    }

    /// Everything in it, with the volume that it is in.
    pub fn all(&self) -> impl Iterator<Item = (Option<&Volume>, &Entry)> {
        let of_volumes = self.volumes.iter().flat_map(|one| one.entries.iter().map(|entry| (Some(&one.volume), entry)));
        self.entries.iter().map(|entry| (None, entry)).chain(of_volumes)
    }

    /// What was declared, as a restore takes it.
    pub fn tops(&self) -> Vec<String> {
        let volumes = self.volumes.iter().map(|one| Name::of(in_volume(&one.volume.name)));
        self.paths.iter().chain(&self.databases).cloned().chain(volumes).map(|name| name.to_string()).collect()
    }

    /// The volume that a path is in, and the path in it.
    pub fn volume_of<'p>(&self, path: &'p Path) -> Option<(&OfVolume, &'p Path)> {
        let within = |one: &OfVolume| path.strip_prefix(in_volume(&one.volume.name)).ok();
        self.volumes.iter().find_map(|one| Some((one, within(one)?)))
    }

    /// What lies below the root.
    pub(super) fn part(&self) -> Part<'_> {
        let paths = |names: &[Name]| names.iter().map(Name::path).collect();
        Part {
            archive: FILES,
            paths: paths(&self.paths),
            databases: paths(&self.databases),
            absent: paths(&self.absent),
            entries: &self.entries,
        }
    }
}

impl OfVolume {
    /// What lies below its directory.
    pub(super) fn part(&self) -> Part<'_> {
        let top = || vec![PathBuf::from(".")];
        let absent = if self.entries.is_empty() { top() } else { Vec::new() };
        Part { archive: &self.archive, paths: top(), databases: Vec::new(), absent, entries: &self.entries }
    }
}

/// What a volume is called among the paths of a backup.
pub fn in_volume(name: &str) -> PathBuf {
    PathBuf::from(format!("volume:{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_linux_takes_comes_back_as_it_was() {
        for bytes in [&b"plain/p\xc3\xa4th"[..], b"100%", b"a\xffb", b"%41", b"new\nline", b"\x1b[2J", b"%"] {
            let name = Name::of(OsStr::from_bytes(bytes));
            assert_eq!(name.os().as_bytes(), bytes, "{name}");
            assert!(!name.as_str().contains(char::is_control), "{name}");
        }
        assert_eq!(Name::of("a%b").as_str(), "a%25b");
    }
}
