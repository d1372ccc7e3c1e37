//! Places that are ours alone: nobody else can have put them there, or can put anything into them.

use std::fs::{self, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::make_private;
use crate::error::{Error, Result};

/// Makes sure that a directory of ours is that, or that it is not there: no link, root's (or the caller's), with nobody
/// else to write to it, and below directories of which the same is true. On the way to it a link of root's own is
/// followed, as where `/var` is kept elsewhere.
pub fn must_be_ours(path: &Path) -> Result<()> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return path.parent().filter(|parent| *parent != Path::new("")).map_or(Ok(()), must_be_ours);
        }
        Err(error) => return Err(super::ours("looked at", path, error)),
    };
    if !meta.is_dir() {
        let what = if meta.is_symlink() { "it is a symbolic link" } else { "it is no directory" };
        return Err(refused(path, what).hint(format!("look at it, then remove it: rm {}", path.display())));
    }
    if let Some(who) = other_writer(&meta) {
        return Err(refused(path, who).hint(format!(
            "see what was put there, then give it back to root: chown root:root {0} && chmod go-w {0}",
            path.display()
        )));
    }
    above(path)
}

/// Makes a directory that nobody else gets into, and makes sure that it is ours; one that is open to others is closed.
pub fn make_ours(path: &Path) -> Result<()> {
    must_be_ours(path)?;
    make_private(path, 0o700)?;
    must_be_ours(path)?;
    let meta = fs::symlink_metadata(path).map_err(|error| super::ours("looked at", path, error))?;
    match meta.mode() & 0o077 {
        0 => Ok(()),
        _ => {
            fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(|error| super::ours("closed", path, error))
        }
    }
}

/// The directories above, links resolved.
fn above(path: &Path) -> Result<()> {
    let real = path.canonicalize().map_err(|error| super::ours("looked at", path, error))?;
    for directory in real.ancestors().skip(1) {
        let meta = fs::symlink_metadata(directory).map_err(|error| super::ours("looked at", directory, error))?;
        // In a sticky directory of root's nobody moves what is another's.
        let is_sticky = meta.mode() & 0o1000 != 0 && meta.uid() == 0;
        if let Some(who) = other_writer(&meta).filter(|_| !is_sticky) {
            return Err(refused(path, format!("{} above it: {who}", directory.display()))
                .hint(format!("give it back to root: chown root:root {0} && chmod go-w {0}", directory.display())));
        }
    }
    Ok(())
}

fn other_writer(meta: &Metadata) -> Option<String> {
    let is_trusted = [0, nix::unistd::geteuid().as_raw()].contains(&meta.uid());
    match meta.mode() {
        _ if !is_trusted => Some(format!("it belongs to uid {}, not to root", meta.uid())),
        mode if mode & 0o002 != 0 => Some("every account may write to it".into()),
        mode if mode & 0o020 != 0 && meta.gid() != 0 => {
            Some(format!("the group with gid {} may write to it", meta.gid()))
        }
        _ => None,
    }
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Error {
    Error::refused(format!("{} is not used", path.display()))
        .because(why)
        .because("what is there could be another account's doing; nothing was changed")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    const OTHER: u32 = 65_534;

    #[test]
    fn a_directory_that_is_a_link_anothers_or_open_to_others_is_not_ours() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("relift");
        make_ours(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        for (mode, says) in [(0o702, "every account"), (0o720, "gid 65534")] {
            chown(&path, Some(0), Some(OTHER)).expect("this test needs root");
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = make_ours(&path).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        make_ours(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700, "what is open to readers is closed");
        chown(&path, Some(OTHER), None).unwrap();
        assert!(make_ours(&path).unwrap_err().to_string().contains("uid 65534"));
        fs::remove_dir(&path).unwrap();
        symlink("elsewhere", &path).unwrap();
        assert!(make_ours(&path).unwrap_err().to_string().contains("symbolic link"));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(make_ours(&path).unwrap_err().to_string().contains("no directory"));
    }

    #[test]
    fn a_directory_below_one_that_others_may_write_to_is_not_ours() {
        let place = tempfile::tempdir().unwrap();
        let (parent, path) = (place.path().join("lib"), place.path().join("lib/relift"));
        make_ours(&path).unwrap();
        fs::set_permissions(&parent, Permissions::from_mode(0o777)).unwrap();
        assert!(must_be_ours(&path).unwrap_err().to_string().contains("above it: every account"));
        assert!(must_be_ours(&path.join("not/yet")).is_err(), "nor is one that is still to be made");
        fs::set_permissions(&parent, Permissions::from_mode(0o1777)).unwrap();
        must_be_ours(&path).unwrap();
        // A link of root's on the way is root's affair.
        symlink("lib", place.path().join("moved")).unwrap();
        must_be_ours(&place.path().join("moved/relift")).unwrap();
    }
}
