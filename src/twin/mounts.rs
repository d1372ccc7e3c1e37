//! mount(2), with a sentence for each failure.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, makedev, mknod};

use crate::error::{Context, Error, Result};

/// A new file system of kind `kind` at `at`.
pub(super) fn fresh(kind: &str, at: &Path, flags: MsFlags, options: &str) -> Result<()> {
    mount(Some(kind), at, Some(kind), flags, Some(options)).map_err(|errno| {
        let error = Error::failed(format!("no {kind} can be mounted on {}", at.display())).because(errno);
        match errno {
            nix::errno::Errno::EPERM => {
                error.hint("this looks like an unprivileged container; use a real or virtual host")
            }
            nix::errno::Errno::EINVAL if kind == "overlay" => error.hint(
                "the kernel lays overlays two deep: this host's own root may be an overlay already, as in a container",
            ),
            nix::errno::Errno::ENODEV => error.hint(format!("the kernel has no {kind}; try: modprobe {kind}")),
            _ => error,
        }
    })
}

/// The tree at `from`, at `to` as well.
pub(super) fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>)
        .with_context(|| format!("{} cannot be shown at {}", from.display(), to.display()))
}

/// The file system at `at` becomes read-only in this mount namespace.
pub(super) fn read_only(at: &Path) -> Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(None::<&str>, at, None::<&str>, flags, None::<&str>)
        .with_context(|| format!("{} cannot be made read-only", at.display()))
}

/// Nothing that is mounted here is seen outside, and nothing from outside arrives here.
pub(super) fn all_private() -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>)
        .context("the mounts of this process cannot be made private")
}

/// What is mounted here is seen in the namespaces that are made from this one.
pub(super) fn all_shared() -> Result<()> {
    let flags = MsFlags::MS_REC | MsFlags::MS_SHARED;
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).context("the mounts of the twin cannot be shared")
}

/// Makes a directory and its parents with these permission bits; one that is there stays as it is.
pub(super) fn directory(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(path)
        .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)))
        .with_context(|| format!("the directory {} cannot be made", path.display()))
}

/// An overlay over `lower`; what is written goes to `upper`.
pub(super) fn overlay(lower: &Path, upper: &Path, work: &Path, at: &Path) -> Result<()> {
    let [lower, upper, work] = [lower, upper, work].map(escaped);
    fresh("overlay", at, MsFlags::empty(), &format!("lowerdir={lower},upperdir={upper},workdir={work}"))
}

/// The overlay's options separate paths by `:` and themselves by `,`.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace('\\', "\\\\").replace(':', "\\:").replace(',', "\\,")
}

/// A character device that every account may use.
pub(super) fn device(path: &Path, major: u64, minor: u64) -> Result<()> {
    let all = Mode::from_bits_truncate(0o666);
    mknod(path, SFlag::S_IFCHR, all, makedev(major, minor))
        .and_then(|()| nix::sys::stat::fchmodat(nix::fcntl::AT_FDCWD, path, all, FchmodatFlags::FollowSymlink))
        .with_context(|| format!("the device {} cannot be made", path.display()))
}
