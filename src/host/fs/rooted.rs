//! A directory that root works in although a service account may write there: every path below it is resolved with
//! openat2(2), `RESOLVE_BENEATH` and `RESOLVE_NO_SYMLINKS`.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, fstat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchown, unlinkat};

use super::{Content, Image, Times, sha256};
use crate::error::{Context, Error, Result};
use crate::host::xattr;

/// The largest file that is read whole: configuration and units, never data.
const LARGEST: u64 = 16 << 20;

/// A directory below which files are read and replaced without following links.
#[derive(Debug)]
pub struct Rooted {
    directory: OwnedFd,
    path: PathBuf,
}

impl Rooted {
    /// Opens a directory that must be there. On the way to it, links are followed where root alone can make them: a
    /// checkout may lie in the home of its owner, who could put a link to anywhere in its place.
    pub fn open(path: &Path) -> Result<Rooted> {
        let directory = walk(path).map_err(|stop| {
            let error = Error::failed(format!("{} cannot be opened", path.display()));
            match stop {
                Stop::Errno(errno) => error.because(errno.desc()),
                Stop::Link(link) => error
                    .because(format!(
                        "{} is a symbolic link that another account than root can make, and root does not follow it",
                        link.display()
                    ))
                    .hint(format!("name the directory itself: readlink -f {}", path.display())),
            }
        })?;
        Ok(Rooted { directory, path: path.to_owned() })
    }

    pub(super) fn of(directory: OwnedFd, path: PathBuf) -> Rooted {
        Rooted { directory, path }
    }

    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.directory
    }

    /// The directory itself.
    pub fn into_descriptor(self) -> OwnedFd {
        self.directory
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose the directory is; `None` where that cannot be told.
    pub fn owner(&self) -> Option<u32> {
        fstat(&self.directory).ok().map(|stat| stat.st_uid)
    }

    /// When the file at `path` was last written, and when anything of it last changed (its name, too); `None` where there is none.
    pub fn times(&self, path: &Path) -> Option<Times> {
        let file = self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty()).ok()?;
        let stat = fstat(&file).ok()?;
        let micros = |seconds: i64, nanos: i64| u64::try_from(seconds * 1_000_000 + nanos / 1000).unwrap_or_default();
        Some(Times {
            written_us: micros(stat.st_mtime, stat.st_mtime_nsec),
            changed_us: micros(stat.st_ctime, stat.st_ctime_nsec),
        })
    }

    /// Whether something of any kind is at `path`, links themselves included.
    pub fn exists(&self, path: &Path) -> Result<bool> {
        match self.resolve(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, Mode::empty()) {
            Ok(_) => Ok(true),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(false),
            // A link in the last place is something that is there.
            Err(Errno::ELOOP) => Ok(true),
            Err(errno) => Err(self.error("be looked at", path, errno)),
        }
    }

    /// Whether a directory, not a link to one, is at `path`.
    pub fn is_directory(&self, path: &Path) -> bool {
        self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty()).is_ok()
    }

    /// The file at `path`; `None` where there is nothing. Links, devices and directories are errors that say so.
    pub fn read(&self, path: &Path) -> Result<Option<Content>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let file = match self.resolve(path, flags, Mode::empty()) {
            Ok(fd) => File::from(fd),
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
            Err(errno) => return Err(self.error("be read", path, errno)),
        };
        let meta = file.metadata().with_context(|| format!("{} cannot be read", self.path.join(path).display()))?;
        let unsafe_kind = match (meta.is_file(), meta.nlink()) {
            (false, _) => Some("it is no regular file"),
            (true, 2..) => Some("it has more than one hard link, so that replacing it would part them"),
            _ if meta.len() > LARGEST => Some("it is larger than 16 MiB"),
            _ => None,
        };
        if let Some(reason) = unsafe_kind {
            return Err(Error::failed(format!("{} is not read", self.path.join(path).display())).because(reason));
        }
        let mut bytes = Vec::new();
        let read = (&file).take(LARGEST + 1).read_to_end(&mut bytes);
        read.with_context(|| format!("{} cannot be read", self.path.join(path).display()))?;
        let image = Image {
            sha256: sha256(&bytes),
            mode: meta.permissions().mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            xattrs: xattr::list(&file),
        };
        Ok(Some(Content { bytes, image }))
    }

    /// Puts `content` at `path`, atomically and durably: bytes, mode, owner and attributes, or nothing.
    pub fn replace(&self, path: &Path, content: &Content) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let temporary = format!(".{}.relift-new", name.display());
        self.write_new(&parent, &temporary, content)
            .and_then(|()| Ok(renameat(&parent, temporary.as_str(), &parent, &name)?))
            .and_then(|()| Ok(nix::unistd::fsync(&parent)?))
            .inspect_err(|_| unlinkat(&parent, temporary.as_str(), UnlinkatFlags::NoRemoveDir).unwrap_or_default())
            .with_context(|| format!("{} cannot be written", self.path.join(path).display()))
    }

    /// Removes the file at `path`, durably; nothing there is no error.
    pub fn remove(&self, path: &Path) -> Result<()> {
        if !self.exists(path)? {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        match unlinkat(&parent, &name, UnlinkatFlags::NoRemoveDir).and_then(|()| nix::unistd::fsync(&parent)) {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(self.error("be removed", path, errno)),
        }
    }

    /// Removes what [`Rooted::replace`] leaves beside `path` when it is killed.
    pub fn remove_temporary(&self, path: &Path) -> Result<()> {
        let Some(name) = path.file_name() else { return Ok(()) };
        self.remove(&path.with_file_name(format!(".{}.relift-new", name.display())))
    }

    /// Where the symbolic link at `path` points to; `None` where there is no link.
    pub fn link(&self, path: &Path) -> Result<Option<PathBuf>> {
        if !self.exists(path)? {
            return Ok(None);
        }
        let (parent, name) = self.parent(path)?;
        match nix::fcntl::readlinkat(&parent, &name) {
            Ok(target) => Ok(Some(PathBuf::from(target))),
            Err(Errno::EINVAL | Errno::ENOENT) => Ok(None),
            Err(errno) => Err(self.error("be read", path, errno)),
        }
    }

    /// Makes a symbolic link at `path`, where nothing is, owned by `uid` and `gid`. Durable.
    pub fn make_link(&self, path: &Path, target: &Path, uid: u32, gid: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        nix::unistd::symlinkat(target, &parent, &name)
            .and_then(|()| give_link(&parent, &name, uid, gid))
            .and_then(|()| nix::unistd::fsync(&parent))
            .map_err(|errno| self.error("be made", path, errno))
    }

    /// Leads the symbolic link at `path` to `target`, by a rename: whoever looks meanwhile finds what was there or what is to be.
    /// Makes it where nothing is; a directory in its place is an error. Durable.
    pub fn lead(&self, path: &Path, target: &Path, uid: u32, gid: u32) -> Result<()> {
        let (parent, name) = self.parent(path)?;
        let temporary = PathBuf::from(format!(".{}.relift-new", name.display()));
        unlinkat(&parent, &temporary, UnlinkatFlags::NoRemoveDir)
            .or_else(|errno| if errno == Errno::ENOENT { Ok(()) } else { Err(errno) })
            .and_then(|()| nix::unistd::symlinkat(target, &parent, &temporary))
            .and_then(|()| give_link(&parent, &temporary, uid, gid))
            .and_then(|()| renameat(&parent, &temporary, &parent, &name))
            .and_then(|()| nix::unistd::fsync(&parent))
            .map_err(|errno| self.error("be made to lead elsewhere", path, errno))
    }

    /// Renames what is at `path`, of whatever kind, within its directory; something at the new name is an error. Durable.
    pub fn rename(&self, path: &Path, name: &Path) -> Result<()> {
        self.move_to(path, &path.with_file_name(name))
    }

    /// Moves what is at `path`, of whatever kind; something at the new place is an error. Durable.
    pub fn move_to(&self, path: &Path, to: &Path) -> Result<()> {
        let ((old_parent, old), (parent, name)) = (self.parent(path)?, self.parent(to)?);
        nix::fcntl::renameat2(&old_parent, &old, &parent, &name, nix::fcntl::RenameFlags::RENAME_NOREPLACE)
            .and_then(|()| nix::unistd::fsync(&parent))
            .and_then(|()| nix::unistd::fsync(&old_parent))
            .map_err(|errno| self.error("be renamed", path, errno))
    }

    /// The names in a directory; none where there is no such directory.
    pub fn entries(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let directory = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()) {
            Ok(directory) => directory,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(self.error("be listed", path, errno)),
        };
        let listed = nix::dir::Dir::from_fd(directory).map_err(|errno| self.error("be listed", path, errno))?;
        let names = listed.into_iter().map(|entry| {
            let entry = entry.map_err(|errno| self.error("be listed", path, errno))?;
            Ok(PathBuf::from(std::ffi::OsStr::from_bytes(entry.file_name().to_bytes())))
        });
        let names: Vec<PathBuf> = names.collect::<Result<_>>()?;
        Ok(names.into_iter().filter(|name| !matches!(name.to_str(), Some("." | ".."))).collect())
    }

    /// Removes what is at `path` with everything below it, through no link and to no other filesystem; nothing there is no
    /// error. Not durable by itself.
    pub fn remove_tree(&self, path: &Path) -> Result<()> {
        if !self.exists(path)? {
            return Ok(());
        }
        let (parent, name) = self.parent(path)?;
        clear(&parent, &name).map_err(|errno| self.error("be removed", path, errno))
    }

    /// Removes an empty directory; one that is not empty, or not there, stays as it is.
    pub fn remove_empty_directory(&self, path: &Path) -> Result<()> {
        let Ok((parent, name)) = self.parent(path) else { return Ok(()) };
        match unlinkat(&parent, &name, UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => Ok(()),
            Err(errno) => Err(self.error("be removed", path, errno)),
        }
    }

    /// Makes the directories of `path` that are missing, 0755, owned by `uid` and `gid`.
    pub fn make_directories(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        let mut so_far = PathBuf::new();
        for part in path.components() {
            so_far.push(part);
            if self.exists(&so_far)? {
                continue;
            }
            let (parent, name) = self.parent(&so_far)?;
            nix::sys::stat::mkdirat(&parent, &name, Mode::from_bits_truncate(0o700))
                .and_then(|()| give_new_directory(&parent, &name, uid, gid))
                .and_then(|()| nix::unistd::fsync(&parent))
                .map_err(|errno| self.error("be made", &so_far, errno))?;
        }
        Ok(())
    }

    fn write_new(&self, parent: &OwnedFd, name: &str, content: &Content) -> std::io::Result<()> {
        // What a run that died left under our own name.
        unlinkat(parent, name, UnlinkatFlags::NoRemoveDir).or_else(|errno| match errno {
            Errno::ENOENT => Ok(()),
            other => Err(other),
        })?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = openat(parent, name, flags, Mode::from_bits_truncate(0o600))?;
        let mut file = File::from(fd);
        file.write_all(&content.bytes)?;
        fchown(&file, Some(Uid::from_raw(content.image.uid)), Some(Gid::from_raw(content.image.gid)))?;
        xattr::apply(&file, &content.image.xattrs)?;
        file.set_permissions(fs::Permissions::from_mode(content.image.mode))?;
        file.sync_all()
    }

    pub(super) fn parent(&self, path: &Path) -> Result<(OwnedFd, PathBuf)> {
        let name = path.file_name().ok_or_else(|| Error::failed(format!("{} names no file", path.display())))?;
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let directory = match path.parent() {
            Some(parent) if parent != Path::new("") => self.resolve(parent, flags, Mode::empty()),
            _ => self.resolve(Path::new("."), flags, Mode::empty()),
        };
        let directory = directory.map_err(|errno| self.error("be reached", path, errno))?;
        Ok((directory, PathBuf::from(name)))
    }

    pub(super) fn resolve(&self, path: &Path, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(self.directory.as_fd(), path, how)
    }

    pub(super) fn error(&self, what: &str, path: &Path, errno: Errno) -> Error {
        let path = self.path.join(path);
        let error = Error::failed(format!("{} cannot {what}", path.display()));
        match errno {
            Errno::ELOOP => error
                .because("it is, or leads through, a symbolic link, which root does not follow in a directory of another account")
                .hint(format!("replace the link by a file: cp --remove-destination \"$(readlink -f {0})\" {0}", path.display())),
            Errno::EACCES | Errno::EPERM => error.kind(crate::error::Kind::NotPermitted).because(errno.desc()),
            errno => error.because(errno.desc()),
        }
    }
}

/// Gives the directory `name`, which was just made, to an account, 0755. In a directory of that account another thing may
/// be there by now: given away is what is root's and empty, by its descriptor.
fn give_new_directory(parent: &OwnedFd, name: &Path, uid: u32, gid: u32) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = File::from(openat(parent, name, flags, Mode::empty())?);
    let copy = directory.try_clone().map_err(|_| Errno::EMFILE)?;
    let listed = nix::dir::Dir::from_fd(copy.into())?;
    if fstat(&directory)?.st_uid != nix::unistd::geteuid().as_raw() || listed.into_iter().count() > 2 {
        return Err(Errno::EEXIST);
    }
    nix::sys::stat::fchmod(&directory, Mode::from_bits_truncate(0o755))?;
    fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
}

/// Gives the symbolic link `name`, which was just made, to an account: a link of root's with one name, whatever else
/// somebody put there meanwhile.
pub(super) fn give_link(parent: &OwnedFd, name: &Path, uid: u32, gid: u32) -> nix::Result<()> {
    let link = openat(parent, name, OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
    let stat = fstat(&link)?;
    let is_link = stat.st_mode & libc::S_IFMT == libc::S_IFLNK;
    if !is_link || stat.st_nlink != 1 || stat.st_uid != nix::unistd::geteuid().as_raw() {
        return Err(Errno::EEXIST);
    }
    nix::unistd::fchownat(&link, "", Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::AT_EMPTY_PATH)
}

/// Why a directory is not opened.
enum Stop {
    Errno(Errno),
    Link(PathBuf),
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

/// How many links a path may lead through, as for the kernel.
const LINKS: u32 = 40;

/// Opens a directory step by step, each step from the one before: nothing that is looked at can be another thing later.
fn walk(path: &Path) -> std::result::Result<OwnedFd, Stop> {
    let place = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let top = || nix::fcntl::open("/", place, Mode::empty());
    let mut at = if path.is_absolute() { top()? } else { nix::fcntl::open(".", place, Mode::empty())? };
    let mut links = 0;
    let mut left: Vec<OsString> = words(path);
    while let Some(name) = left.pop() {
        let next = openat(&at, name.as_os_str(), OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())?;
        let stat = fstat(&next)?;
        if stat.st_mode & libc::S_IFMT != libc::S_IFLNK {
            at = next;
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Errno::ELOOP.into());
        }
        let parent = fstat(&at)?;
        let is_shared = parent.st_mode & 0o022 != 0 && parent.st_mode & libc::S_ISVTX == 0;
        if !is_trusted(stat.st_uid) || !is_trusted(parent.st_uid) || is_shared {
            return Err(Stop::Link(PathBuf::from(name)));
        }
        let target = PathBuf::from(nix::fcntl::readlinkat(&next, "")?);
        if target.is_absolute() {
            at = top()?;
        }
        left.extend(words(&target));
    }
    Ok(openat(&at, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?)
}

/// The steps of a path, last first.
fn words(path: &Path) -> Vec<OsString> {
    let steps = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let mut steps: Vec<OsString> = steps.collect();
    steps.reverse();
    steps
}

/// Root, and whoever this process is.
fn is_trusted(uid: u32) -> bool {
    uid == 0 || uid == nix::unistd::geteuid().as_raw()
}

/// Removes `name` in a directory, and everything below it.
fn clear(parent: &OwnedFd, name: &Path) -> nix::Result<()> {
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::EISDIR) => {}
        Err(errno) => return Err(errno),
    }
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let directory = openat2(parent.as_fd(), name, OpenHow::new().flags(flags).resolve(resolve))?;
    let listed = nix::dir::Dir::from_fd(directory.try_clone().map_err(|_| Errno::EMFILE)?)?;
    for entry in listed {
        let entry = entry?;
        let name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            clear(&directory, Path::new(name))?;
        }
    }
    unlinkat(parent, name, UnlinkatFlags::RemoveDir)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;

    /// Some account that is neither root nor us.
    const OTHER: u32 = 65_534;

    #[test]
    fn a_root_is_not_opened_through_a_link_that_its_owner_can_make() {
        let place = tempfile::tempdir().unwrap();
        let (home, private) = (place.path().join("home"), place.path().join("private"));
        fs::create_dir_all(private.join("data")).unwrap();
        fs::create_dir(&home).unwrap();
        symlink(&private, place.path().join("ours")).unwrap();
        assert!(Rooted::open(&place.path().join("ours/data")).unwrap().exists(Path::new(".")).unwrap());

        // A link of root's in a directory of another account may be one that the account moved there.
        symlink(&private, home.join("app")).unwrap();
        chown(&home, Some(OTHER), Some(OTHER)).expect("this test needs root");
        let error = Rooted::open(&home.join("app")).unwrap_err();
        assert!(error.to_string().contains("app is a symbolic link that another account"), "{error}");
        assert!(Rooted::open(&home.join("app/data")).is_err());
        fs::remove_file(home.join("app")).unwrap();
        fs::create_dir(home.join("app")).unwrap();
        assert!(Rooted::open(&home.join("app")).is_ok());
        symlink("app", place.path().join("theirs")).unwrap();
        std::os::unix::fs::lchown(place.path().join("theirs"), Some(OTHER), Some(OTHER)).unwrap();
        assert!(Rooted::open(&place.path().join("theirs")).is_err());
    }

    #[test]
    fn a_link_that_is_led_elsewhere_is_never_missing_and_leads_to_one_or_the_other() {
        let place = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            fs::create_dir_all(place.path().join("releases").join(name)).unwrap();
            fs::write(place.path().join("releases").join(name).join("file"), name).unwrap();
        }
        let rooted = Rooted::open(place.path()).unwrap();
        let lead = |name: &str| {
            let target = Path::new("releases").join(name);
            rooted.lead(Path::new("current"), &target, OTHER, OTHER).expect("this test needs root");
        };
        lead("one");
        let is_over = std::sync::atomic::AtomicBool::new(false);
        let looks = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| {
                let mut looks = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    let text = fs::read_to_string(place.path().join("current/file")).expect("`current` was missing");
                    assert!(["one", "two"].contains(&text.as_str()));
                    looks += 1;
                }
                looks
            });
            for turn in 0..200 {
                lead(["two", "one"][turn % 2]);
            }
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            watcher.join().unwrap()
        });
        assert!(looks > 50, "{looks}");
        let link = place.path().join("current").symlink_metadata().unwrap();
        assert_eq!((link.uid(), link.file_type().is_symlink()), (OTHER, true));
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "nothing is left beside it");

        // A directory that somebody put there is not replaced, and nothing in it is touched.
        fs::remove_file(place.path().join("current")).unwrap();
        fs::create_dir(place.path().join("current")).unwrap();
        assert!(rooted.lead(Path::new("current"), Path::new("releases/one"), OTHER, OTHER).is_err());
        rooted.rename(Path::new("current"), Path::new("aside")).unwrap();
        assert!(rooted.rename(Path::new("aside"), Path::new("releases")).is_err());
        assert!(place.path().join("aside").is_dir());
    }

    #[test]
    fn a_tree_is_removed_and_what_its_links_lead_to_is_not() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("tree/deep/er")).unwrap();
        fs::create_dir(place.path().join("kept")).unwrap();
        fs::write(place.path().join("kept/file"), b"x").unwrap();
        symlink("../kept", place.path().join("tree/link")).unwrap();
        symlink("../../../kept", place.path().join("tree/deep/er/link")).unwrap();
        let rooted = Rooted::open(place.path()).unwrap();
        rooted.remove_tree(Path::new("tree")).unwrap();
        rooted.remove_tree(Path::new("tree")).unwrap();
        assert!(!place.path().join("tree").exists() && place.path().join("kept/file").exists());
        assert!(rooted.remove_tree(Path::new("kept/../../x")).is_err());
    }

    #[test]
    fn a_pipe_in_the_place_of_a_directory_keeps_nobody_waiting() {
        let place = tempfile::tempdir().unwrap();
        let pipe = place.path().join("pipe");
        nix::unistd::mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
        assert!(crate::host::fs::sync_filesystem(&pipe).is_err() && Rooted::open(&pipe).is_err());
    }
}
