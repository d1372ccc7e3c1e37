//! What the filesystems do.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::{Context, Result};
use crate::host::fs::{Content, Rooted, write_durably};
use crate::host::xattr;

/// A scratch place of root's on the filesystem of `path`: below the nearest directory above it (or it) that is there.
pub fn scratch(path: &Path) -> Result<TempDir> {
    let near = path.ancestors().find(|near| fs::symlink_metadata(near).is_ok_and(|meta| meta.is_dir()));
    let near = near.unwrap_or(Path::new("/"));
    tempfile::Builder::new()
        .prefix(".relift-doctor-")
        .permissions(fs::Permissions::from_mode(0o700))
        .tempdir_in(near)
        .with_context(|| format!("a scratch place in {} cannot be made", near.display()))
}

/// The place nearest above `path` that is on its filesystem and that root alone writes; `None`: there is none.
pub fn own_place_beside(path: &Path) -> Option<PathBuf> {
    let device = fs::metadata(path).ok()?.dev();
    let is_ours = |place: &&Path| {
        fs::symlink_metadata(place)
            .is_ok_and(|meta| meta.is_dir() && meta.dev() == device && meta.uid() == 0 && meta.mode() & 0o022 == 0)
    };
    path.ancestors().skip(1).find(is_ours).map(Path::to_owned)
}

/// Whether a path below `place` is resolved without following a link, at its end or on its way, and a plain one is.
pub fn refuses_links(place: &Path) -> Result<bool> {
    let doing = || format!("links in {} cannot be planted", place.display());
    fs::create_dir(place.join("inside")).with_context(doing)?;
    fs::write(place.join("inside/plain"), "plain").with_context(doing)?;
    fs::write(place.join("outside"), "outside").with_context(doing)?;
    symlink(place.join("outside"), place.join("inside/end")).with_context(doing)?;
    symlink(place, place.join("inside/way")).with_context(doing)?;
    let rooted = Rooted::open(&place.join("inside"))?;
    let is_refused = |path: &str| !matches!(rooted.read(Path::new(path)), Ok(Some(_)));
    let plain = rooted.read(Path::new("plain"))?.is_some_and(|content| content.bytes == b"plain");
    Ok(plain && is_refused("end") && is_refused("way/outside") && is_refused("../outside"))
}

/// Whether a file is what was last written to it, after it was replaced and synced as records of a journal are.
pub fn writes_durably(place: &Path) -> Result<bool> {
    let file = place.join("record");
    for text in ["first", "second"] {
        write_durably(&file, text.as_bytes(), 0o600)?;
    }
    crate::host::fs::sync_filesystem(place)?;
    let left = fs::read_dir(place).with_context(|| format!("{} cannot be read", place.display()))?.count();
    Ok(left == 1 && fs::read(&file).is_ok_and(|bytes| bytes == b"second"))
}

/// Whether an attribute and an ACL go along when a file is replaced as a `.env` is.
pub fn keeps_attributes(place: &Path) -> Result<bool> {
    let path = place.join("kept");
    let doing = || format!("{} cannot be given an attribute", path.display());
    fs::write(&path, "old").with_context(doing)?;
    // acl(5) as the kernel has it: version 2, then tag, permissions, id of each entry; user:1:r-- among them.
    let entry = |tag: u16, permissions: u16, id: u32| {
        [tag.to_le_bytes().as_slice(), &permissions.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    let nobody = u32::MAX;
    let entries =
        [entry(1, 6, nobody), entry(2, 4, 1), entry(4, 4, nobody), entry(16, 4, nobody), entry(32, 0, nobody)].concat();
    let acl = [2u32.to_le_bytes().as_slice(), &entries].concat();
    let wanted = [("system.posix_acl_access", acl.as_slice()), ("user.relift", b"kept")];
    let wanted = wanted.map(|(name, value)| (name.to_owned(), crate::host::fs::hex(value)));
    xattr::apply(&File::open(&path).with_context(doing)?, &wanted).with_context(doing)?;
    let rooted = Rooted::open(place)?;
    let Some(content) = rooted.read(Path::new("kept"))? else { return Ok(false) };
    let new: Content = content.with_bytes(b"new".to_vec());
    rooted.replace(Path::new("kept"), &new)?;
    let after = rooted.read(Path::new("kept"))?;
    Ok(after.is_some_and(|after| wanted.iter().all(|pair| after.image.xattrs.contains(pair)) && after == new))
}
