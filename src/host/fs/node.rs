//! What is below a [`Rooted`] directory, whatever its kind, and making it so again.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, UtimensatFlags, fstat, fstatat, futimens, mkdirat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, LinkatFlags, Uid, UnlinkatFlags, fchown, linkat, symlinkat, unlinkat};

use super::{Rooted, sha256};
use crate::error::{Error, Result};
use crate::host::xattr;

/// What kind of thing is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link and what it says.
    Link(OsString),
    /// A pipe, a socket or a device.
    Special,
}

/// What is at a path, looked at without opening it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its kind.
    pub kind: NodeKind,
    /// Its owner, group, permission bits and time.
    pub meta: Meta,
    /// Its length in bytes.
    pub size: u64,
    /// What it takes on the disk, bytes.
    pub allocated: u64,
    /// Device and inode.
    pub id: (u64, u64),
    /// How many names it has.
    pub links: u64,
}

/// Whose something is, who may use it, and when it was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of the last change: seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Extended attributes: name and value in hex. Those of a link are not read.
    pub xattrs: Vec<(String, String)>,
}

/// A file that is written beside its place.
#[derive(Debug)]
pub struct Fresh {
    /// To be written.
    pub file: File,
    parent: OwnedFd,
    temporary: String,
    name: PathBuf,
}

impl Rooted {
    /// What is at `path`; `None` where there is nothing. Extended attributes are left out.
    pub fn node(&self, path: &Path) -> Result<Option<Node>> {
        let fd = match self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(self.error("be looked at", path, errno)),
        };
        let wrong = |errno| self.error("be looked at", path, errno);
        let stat = fstat(&fd).map_err(wrong)?;
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFDIR => NodeKind::Directory,
            libc::S_IFREG => NodeKind::File,
            libc::S_IFLNK => NodeKind::Link(readlinkat(&fd, "").map_err(wrong)?),
            _ => NodeKind::Special,
        };
        Ok(Some(node(kind, &stat)))
    }

    /// The directory at `path`, to look at what is in it; `None` where there is none.
    pub fn below(&self, path: &Path) -> Option<Rooted> {
        let directory = self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).ok()?;
        Some(Rooted::of(directory, self.path().join(path)))
    }

    /// stat(2) of a name in the directory itself, no link followed; `None` where there is nothing.
    pub fn status(&self, name: &Path) -> Option<FileStat> {
        fstatat(self.descriptor(), name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }

    /// Opens the regular file at `path`, and tells what it is, its attributes included. `None`: nothing is there.
    pub fn open_file(&self, path: &Path) -> Result<Option<(File, Node)>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        self.opened(path, flags, NodeKind::File)
    }

    /// The same for a directory.
    pub fn open_directory(&self, path: &Path) -> Result<Option<(File, Node)>> {
        self.opened(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, NodeKind::Directory)
    }

    fn opened(&self, path: &Path, flags: OFlag, kind: NodeKind) -> Result<Option<(File, Node)>> {
        let file = match self.resolve(path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(self.error("be read", path, errno)),
        };
        let stat = fstat(&file).map_err(|errno| self.error("be read", path, errno))?;
        if kind == NodeKind::File && stat.st_mode & libc::S_IFMT != libc::S_IFREG {
            return Err(Error::failed(format!("{} is no regular file", self.path().join(path).display())));
        }
        let mut node = node(kind, &stat);
        node.meta.xattrs = xattr::list(&file);
        Ok(Some((file, node)))
    }

    /// Begins a file beside `path`, private until [`Fresh::settle`] puts it there.
    pub fn fresh(&self, path: &Path) -> Result<Fresh> {
        let (parent, name) = self.parent(path)?;
        let temporary = temporary(&name);
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = vacate(&parent, &temporary)
            .and_then(|()| openat(&parent, temporary.as_str(), flags, Mode::from_bits_truncate(0o600)));
        let file = made.map(File::from).map_err(|errno| self.error("be written", path, errno))?;
        Ok(Fresh { file, parent, temporary, name })
    }

    /// Puts a symbolic link at `path`, atomically.
    pub fn place_link(&self, path: &Path, target: &OsString, meta: &Meta) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let temporary = temporary(&name);
        vacate(&parent, &temporary)
            .and_then(|()| symlinkat(target.as_os_str(), &parent, temporary.as_str()))
            .and_then(|()| super::rooted::give_link(&parent, Path::new(&temporary), meta.uid, meta.gid))
            .and_then(|()| {
                let time = time(meta.mtime);
                utimensat(&parent, temporary.as_str(), &time, &time, UtimensatFlags::NoFollowSymlink)
            })
            .and_then(|()| renameat(&parent, temporary.as_str(), &parent, &name))
            .map_err(|errno| self.error("be written", path, errno))
    }

    /// Puts another name of the file at `of` at `path`, atomically.
    pub fn place_hard_link(&self, path: &Path, of: &Path) -> Result<()> {
        let (from, first) = self.parent(of)?;
        let (parent, name) = self.parent(path)?;
        let temporary = temporary(&name);
        vacate(&parent, &temporary)
            .and_then(|()| linkat(&from, &first, &parent, temporary.as_str(), LinkatFlags::empty()))
            .and_then(|()| renameat(&parent, temporary.as_str(), &parent, &name))
            // rename(2) does nothing between two names of the same file.
            .and_then(|()| vacate(&parent, &temporary))
            .map_err(|errno| self.error("be written", path, errno))
    }

    /// Makes a directory, 0700 and root's until it is given its own.
    pub fn make_directory(&self, path: &Path) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        mkdirat(&parent, &name, Mode::from_bits_truncate(0o700)).map_err(|errno| self.error("be made", path, errno))
    }

    /// Gives the directory at `path` its owner, attributes, mode and time.
    pub fn dress_directory(&self, path: &Path, meta: &Meta) -> Result<()> {
        let Some((directory, _)) = self.open_directory(path)? else {
            return Err(self.error("be written", path, Errno::ENOENT));
        };
        dress(&directory, meta).map_err(|error| {
            Error::failed(format!("{} cannot be written", self.path().join(path).display())).because(error)
        })
    }
}

impl Fresh {
    /// Gives the file its owner, attributes, mode and time, and puts it into its place.
    pub fn settle(self, meta: &Meta) -> std::io::Result<()> {
        dress(&self.file, meta)?;
        Ok(renameat(&self.parent, self.temporary.as_str(), &self.parent, &self.name)?)
    }

    /// Gives it up.
    pub fn discard(self) {
        // What stays is removed when its place is written the next time.
        vacate(&self.parent, &self.temporary).unwrap_or_default();
    }
}

fn dress(file: &File, meta: &Meta) -> std::io::Result<()> {
    fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))?;
    xattr::apply(file, &meta.xattrs)?;
    file.set_permissions(fs::Permissions::from_mode(meta.mode))?;
    let time = time(meta.mtime);
    Ok(futimens(file, &time, &time)?)
}

fn node(kind: NodeKind, stat: &FileStat) -> Node {
    Node {
        kind,
        meta: Meta {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (stat.st_mtime, stat.st_mtime_nsec),
            xattrs: Vec::new(),
        },
        size: stat.st_size.max(0) as u64,
        // stat(2): in units of 512 bytes, whatever the block size.
        allocated: stat.st_blocks.max(0) as u64 * 512,
        id: (stat.st_dev, stat.st_ino),
        links: stat.st_nlink,
    }
}

fn time((seconds, nanoseconds): (i64, i64)) -> TimeSpec {
    TimeSpec::new(seconds, nanoseconds)
}

/// A name beside `name` that fits wherever `name` does, and is the same each time.
fn temporary(name: &Path) -> String {
    format!(".{}.relift-new", &sha256(name.as_os_str().as_encoded_bytes())[..16])
}

fn vacate(parent: &OwnedFd, name: &str) -> nix::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno),
    }
}
