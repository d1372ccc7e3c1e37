//! Files: atomic, durable, and never through a link that somebody else controls.
//!
//! [`Rooted`] is a directory that root works in although a service account may write there: every path is resolved with
//! openat2(2), `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`.

mod node;
mod private;
mod rooted;

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};

pub use node::{Fresh, Meta, Node, NodeKind};
pub use private::{make_ours, must_be_ours};
pub use rooted::Rooted;

/// What a file was, without its bytes: enough to tell whether it still is that, and to make it so again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// SHA-256 of the bytes, lower-case hex.
    pub sha256: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Extended attributes, POSIX ACLs among them: name and value in hex.
    pub xattrs: Vec<(String, String)>,
}

/// A file with its bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The rest.
    pub image: Image,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes may be a `.env`.
        f.debug_struct("Content").field("image", &self.image).finish_non_exhaustive()
    }
}

/// The times of a file, microseconds of the realtime clock, inode(7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// When its bytes were last written.
    pub written_us: u64,
    /// When anything of it last changed.
    pub changed_us: u64,
}

impl Content {
    /// A new file.
    pub fn new(bytes: Vec<u8>, mode: u32, uid: u32, gid: u32) -> Content {
        let image = Image { sha256: sha256(&bytes), mode, uid, gid, xattrs: Vec::new() };
        Content { bytes, image }
    }

    /// The same file with other bytes: mode, owner, ACL and attributes stay.
    pub fn with_bytes(&self, bytes: Vec<u8>) -> Content {
        let image = Image { sha256: sha256(&bytes), ..self.image.clone() };
        Content { bytes, image }
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of lower-case hex; `None` where it is not that.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Makes a directory of our own with all its parents; a new one gets `mode`.
pub fn make_private(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_private(parent, 0o755)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(ours("made", path, error)),
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(|error| ours("made", path, error))?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Writes a file of our own, atomically and durably: temporary file, fsync, rename, fsync of the directory.
pub fn write_durably(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    write_synced(path, bytes, mode)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Writes files of our own into one directory, by name: each is whole and durable when this returns. One that is there
/// with these bytes is not written again.
pub fn write_all_durably<'a>(
    directory: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    mode: u32,
) -> Result<()> {
    let mut is_touched = false;
    for (name, bytes) in files {
        let path = directory.join(name);
        is_touched = true;
        if !fs::read(&path).is_ok_and(|there| there == bytes) {
            write_synced(&path, bytes, mode)?;
        }
    }
    // Also for what is there: whoever wrote it may have been killed before it came to this.
    if is_touched { sync_directory(directory) } else { Ok(()) }
}

/// Writes a file whose bytes are durable, and whose name is not yet.
fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let written = tempfile::Builder::new()
        .prefix(".tmp-")
        .permissions(fs::Permissions::from_mode(mode))
        .tempfile_in(parent)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)
        });
    written.map(drop).map_err(|error| ours("written", path, error))
}

/// Removes a file of our own; nothing there is no error.
pub fn remove_durably(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Ok(()) => path.parent().map_or(Ok(()), sync_directory),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ours("removed", path, error)),
    }
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<()> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(|error| ours("made durable", path, error))
}

/// Makes everything on the filesystem of `path` durable, syncfs(2): git itself syncs nothing that it writes to a work tree.
pub fn sync_filesystem(path: &Path) -> Result<()> {
    // A directory and nothing else: opening a pipe that somebody put there would wait for a writer.
    let open = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open(path);
    let directory = open.map_err(|error| ours("made durable", path, error))?;
    // SAFETY: the descriptor is open for the whole call.
    match unsafe { libc::syncfs(directory.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(ours("made durable", path, std::io::Error::last_os_error())),
    }
}

/// Bytes that an unprivileged account may still write on the filesystem of `path`, statvfs(3).
pub fn free_bytes(path: &Path) -> Result<u64> {
    let stat = nix::sys::statvfs::statvfs(path)
        .with_context(|| format!("the free space of {} cannot be read", path.display()))?;
    Ok(stat.blocks_available() as u64 * stat.fragment_size() as u64)
}

/// Whether what is at `path` is mounted read-only, for everybody or for the service that this process belongs to, statvfs(3).
pub fn is_read_only(path: &Path) -> Result<bool> {
    let stat = nix::sys::statvfs::statvfs(path)
        .with_context(|| format!("how {} is mounted cannot be read", path.display()))?;
    Ok(stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY))
}

fn ours(what: &str, path: &Path, error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::PermissionDenied => crate::error::Kind::NotPermitted,
        _ => crate::error::Kind::Failed,
    };
    Error::new(kind, format!("{} cannot be {what}", path.display())).because(error)
}
