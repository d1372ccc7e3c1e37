//! What an entry of an archive may be. Pure: nothing here reads an archive.
//!
//! An archive is refused whole: what leaves out an entry is another release than its maker published.

use std::collections::{BTreeMap, BTreeSet};

use crate::text::harmless;

/// The deepest path, in parts.
pub const DEEPEST: usize = 64;
/// The longest path, bytes (PATH_MAX less the root).
pub const LONGEST_PATH: usize = 2048;
/// The longest part of a path, bytes (NAME_MAX).
pub const LONGEST_NAME: usize = 255;

/// What an entry says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// Another name of a file before it.
    HardLink,
    /// Anything else: a device, a pipe, a sparse file.
    Other(&'static str),
}

/// An entry as its header has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its path.
    pub path: &'a [u8],
    /// What it is.
    pub kind: Type,
    /// Its permissions, mode(7).
    pub mode: u32,
    /// Bytes that follow it.
    pub size: u64,
    /// Where it leads, for links.
    pub link: Option<&'a [u8]>,
}

/// An entry that may be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// Its path, in plain parts; empty: the top itself.
    pub path: Vec<String>,
    /// What it is.
    pub what: What,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A plain file; whether it is a program.
    File { is_program: bool },
    /// A symbolic link, and where it leads.
    Link { target: String },
    /// Another name of the file at this path.
    HardLink { of: Vec<String> },
}

/// Judges one entry by itself. The error is the end of a sentence that begins with its path.
pub fn judge(header: &Header) -> Result<Judged, String> {
    let path = path(header.path)?;
    if header.mode & 0o7000 != 0 {
        return Err(format!("is setuid, setgid or sticky (mode {:04o})", header.mode & 0o7777));
    }
    let what = match header.kind {
        Type::Directory => What::Directory,
        Type::File => What::File { is_program: header.mode & 0o111 != 0 },
        Type::Link => What::Link { target: target(header.link.unwrap_or_default())? },
        Type::HardLink => What::HardLink {
            of: self::path(header.link.unwrap_or_default()).map_err(|why| format!("is a link to what {why}"))?,
        },
        Type::Other(what) => return Err(format!("is {what}")),
    };
    if header.size != 0 && !matches!(what, What::File { .. }) {
        return Err("is no file, and has content".into());
    }
    if path.is_empty() && what != What::Directory {
        return Err("is the top of the archive, and no directory".into());
    }
    Ok(Judged { path, what })
}

/// A path in plain parts; what begins with `./` is the same without.
fn path(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "has a name that is not UTF-8")?;
    if text.is_empty() || bytes.len() > LONGEST_PATH {
        return Err(format!("has no name, or one of more than {LONGEST_PATH} bytes"));
    }
    if text.starts_with('/') {
        return Err("is an absolute path".into());
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.len() > DEEPEST {
        return Err(format!("is more than {DEEPEST} directories deep"));
    }
    parts.into_iter().map(|part| name(part).map(|()| part.to_owned())).collect()
}

fn name(part: &str) -> Result<(), String> {
    match () {
        () if part == ".." => Err("leaves the archive by `..`".into()),
        () if part.len() > LONGEST_NAME => Err(format!("has a name of more than {LONGEST_NAME} bytes")),
        () if harmless(part) != part => {
            Err("has control characters, or such as hide or reorder text, in its name".into())
        }
        () if is_gits(part) => Err("has the name of a repository's own directory".into()),
        () => Ok(()),
    }
}

/// What git takes for `.git` on some file system: case, trailing dots and spaces, the short name and streams of NTFS.
fn is_gits(part: &str) -> bool {
    let plain = part.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    plain.eq_ignore_ascii_case(".git") || plain.eq_ignore_ascii_case("git~1") || part.contains('\\')
}

/// Where a symbolic link leads. `..` is right at its beginning alone: behind a name, which may be a link itself, it leads
/// nobody knows where. Whether it leaves, [`Tree`] sees, which knows where the link is.
fn target(bytes: &[u8]) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "leads to a name that is not UTF-8")?;
    if text.is_empty() || text.len() > LONGEST_PATH || harmless(text) != text {
        return Err("leads to no name that can be shown".into());
    }
    if text.starts_with('/') {
        return Err(format!("leads out of the archive, to {text}"));
    }
    let behind = text.split('/').skip_while(|part| matches!(*part, ".." | "." | ""));
    match behind.into_iter().any(|part| part == "..") {
        true => Err(format!("leads to {text}, with `..` behind a name")),
        false => Ok(text.to_owned()),
    }
}

/// The entries of one archive together.
#[derive(Debug, Default)]
pub struct Tree {
    entries: BTreeMap<Vec<String>, What>,
    /// Directories that something is in, named by an entry or not.
    inhabited: BTreeSet<Vec<String>>,
}

impl Tree {
    /// Adds an entry. The error is the end of a sentence that begins with its path.
    pub fn add(&mut self, judged: &Judged) -> Result<(), String> {
        let Judged { path, what } = judged;
        for depth in 1..path.len() {
            match self.entries.get(&path[..depth]) {
                Some(What::Directory) | None => {}
                Some(_) => return Err(format!("is below {}, which is no directory", path[..depth].join("/"))),
            }
        }
        if *what != What::Directory && self.inhabited.contains(path) {
            return Err("is no directory, and something before it is below it".into());
        }
        if let What::HardLink { of } = what
            && !matches!(self.entries.get(of), Some(What::File { .. } | What::HardLink { .. }))
        {
            return Err(format!("is a link to {}, which is no file before it", of.join("/")));
        }
        match self.entries.get(path) {
            None => {}
            Some(What::Directory) if *what == What::Directory => return Ok(()),
            Some(_) => return Err("is there twice".into()),
        }
        for depth in 0..path.len() {
            self.inhabited.insert(path[..depth].to_vec());
        }
        if !path.is_empty() {
            self.entries.insert(path.clone(), what.clone());
        }
        Ok(())
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The one directory that everything is in, where `strips` and there is one.
    pub fn top(&self, strips: bool) -> Option<&str> {
        let first = self.entries.keys().next()?.first()?;
        let is_one = self.entries.keys().all(|path| path.first() == Some(first));
        // What something is in is a directory.
        let is_directory = self.inhabited.contains(&[first.clone()][..]);
        (strips && is_one && is_directory).then_some(first)
    }

    /// A link that leaves what is left of the archive without its `top`, in words.
    pub fn leaving(&self, top: Option<&str>) -> Option<String> {
        let stripped = usize::from(top.is_some());
        self.entries.iter().find_map(|(path, what)| {
            let What::Link { target } = what else { return None };
            let up = target.split('/').take_while(|part| matches!(*part, ".." | "." | "")).filter(|part| *part == "..");
            let leaves = up.count() > path.len() - 1 - stripped.min(path.len() - 1);
            leaves.then(|| format!("{} leads out of the release, to {target}", path.join("/")))
        })
    }

    /// Directories that nothing is in, without the top.
    pub fn empty(&self, top: Option<&str>) -> Vec<String> {
        let stripped = usize::from(top.is_some());
        let is_empty = |path: &&Vec<String>| !self.inhabited.contains(*path) && path.len() > stripped;
        let directories = self.entries.iter().filter(|(_, what)| **what == What::Directory).map(|(path, _)| path);
        directories.filter(is_empty).map(|path| path[stripped..].join("/")).collect()
    }
}

#[cfg(test)]
mod tests;
