//! What PID 1 does before it becomes systemd: the twin's own /proc, /sys, /dev and /run, its root, its name, its units.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::sched::{CloneFlags, unshare};

use super::{Copy, Spec, Target, mounts, units};
use crate::error::{Context, Error, Result};

/// Where distributions have systemd's manager, hier(7) before and after the merge of /usr.
const SYSTEMD: [&str; 2] = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"];
/// Devices of every container, devices.txt of the kernel: name, major, minor.
const DEVICES: [(&str, u64, u64); 7] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
    ("fuse", 10, 229),
];
/// What of /proc would reach the host's kernel when written to.
const KERNEL: [&str; 4] = ["/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus"];
/// capabilities(7) that act on the host's kernel and clock, which no namespace keeps apart.
const DROPPED: [(&str, libc::c_ulong); 3] = [("sys_module", 16), ("sys_rawio", 17), ("sys_time", 25)];

/// How setpriv(1) is told to give up the same as PID 1 does.
pub(super) fn capability_options() -> [String; 2] {
    let names: Vec<_> = DROPPED.iter().map(|(name, _)| format!("-{name}")).collect();
    ["--bounding-set", "--inh-caps"].map(|option| format!("{option}={}", names.join(",")))
}

/// The program that becomes PID 1.
pub(super) fn systemd() -> Result<PathBuf> {
    let found = SYSTEMD.iter().map(PathBuf::from).find(|path| path.exists());
    found.ok_or_else(|| Error::failed("this host has no systemd, which a twin needs as its PID 1"))
}

/// A file that the twin gets, opened while the host's paths are still in sight.
#[derive(Debug)]
pub(super) struct Content {
    source: File,
    copy: Copy,
}

impl Content {
    /// Opens it.
    pub(super) fn open(copy: &Copy) -> Result<Content> {
        let source = File::open(&copy.from).with_context(|| format!("{} cannot be opened", copy.from.display()))?;
        Ok(Content { source, copy: copy.clone() })
    }

    fn write(&self) -> Result<()> {
        let Copy { to, mode, .. } = &self.copy;
        mounts::directory(to.parent().unwrap_or(Path::new("/")), 0o755)?;
        let removed = fs::remove_file(to);
        if let Err(error) = removed.or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        }) {
            return Err(Error::failed(format!("{} cannot be replaced in the twin", to.display())).because(error));
        }
        let mut source = self.source.try_clone().context("a file for the twin cannot be read")?;
        let target = OpenOptions::new().write(true).create_new(true).mode(*mode).open(to);
        target
            .and_then(|mut target| std::io::copy(&mut source.by_ref(), &mut target))
            .map(drop)
            .with_context(|| format!("{} cannot be written in the twin", to.display()))
    }
}

/// Makes `root` the root of this process, which is PID 1 of its namespaces, and executes systemd.
pub(super) fn become_systemd(
    spec: &Spec,
    contents: &[Content],
    fresh: bool,
    root: &Path,
) -> Result<std::convert::Infallible> {
    unshare(CloneFlags::CLONE_NEWCGROUP).context("no cgroup namespace can be made")?;
    nix::unistd::setsid().context("no session can be made")?;
    mount_api(root)?;
    change_root(root)?;
    protect_kernel()?;
    nix::unistd::sethostname(&spec.name).context("the twin cannot be named")?;
    if fresh {
        identify(&spec.name)?;
        units::curate(spec.target)?;
        contents.iter().try_for_each(Content::write)?;
    }
    drop_capabilities()?;
    Err(execute(spec))
}

/// The file systems that systemd expects of a container's manager (systemd.io/CONTAINER_INTERFACE).
fn mount_api(root: &Path) -> Result<()> {
    let strict = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let at = |path: &str| root.join(path);
    ["proc", "sys", "dev", "run", "tmp"].iter().try_for_each(|name| mounts::directory(&at(name), 0o755))?;
    mounts::fresh("proc", &at("proc"), strict, "")?;
    mounts::fresh("sysfs", &at("sys"), strict, "")?;
    mounts::read_only(&at("sys"))?;
    mounts::fresh("cgroup2", &at("sys/fs/cgroup"), strict, "")?;
    mounts::fresh("tmpfs", &at("run"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=755")?;
    mounts::fresh("tmpfs", &at("tmp"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    mounts::fresh("tmpfs", &at("dev"), MsFlags::MS_NOSUID, "mode=755")?;
    ["dev/pts", "dev/shm"].iter().try_for_each(|name| mounts::directory(&at(name), 0o755))?;
    mounts::fresh("tmpfs", &at("dev/shm"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, "mode=1777")?;
    let terminals = "newinstance,ptmxmode=0666,mode=620,gid=5";
    mounts::fresh("devpts", &at("dev/pts"), MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC, terminals)?;
    DEVICES.iter().try_for_each(|(name, major, minor)| mounts::device(&at("dev").join(name), *major, *minor))?;
    let links = [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ];
    links.iter().try_for_each(|(name, to)| symlink(to, at("dev").join(name))).context("/dev cannot be filled")
}

/// pivot_root(2) onto itself: the old root lies on top of the new one and is let go.
fn change_root(root: &Path) -> Result<()> {
    nix::unistd::chdir(root)
        .and_then(|()| nix::unistd::pivot_root(".", "."))
        .and_then(|()| umount2(".", MntFlags::MNT_DETACH))
        .and_then(|()| nix::unistd::chdir("/"))
        .context("the twin's root cannot be made the root")?;
    // As on a host: what is mounted later is seen in the sandboxes of services. systemd leaves it to who starts a container.
    mounts::all_shared()
}

/// The host's kernel is not the twin's to configure; its network is.
fn protect_kernel() -> Result<()> {
    let network = Path::new("/proc/sys/net");
    for path in KERNEL.iter().map(Path::new).filter(|path| path.exists()) {
        mounts::bind(path, path)?;
        if network.starts_with(path) {
            mounts::bind(network, network)?;
        }
        mounts::read_only(path)?;
    }
    Ok(())
}

fn identify(name: &str) -> Result<()> {
    let random = fs::read_to_string("/proc/sys/kernel/random/uuid").context("no random id for the twin")?;
    let id = format!("{}\n", random.trim().replace('-', ""));
    replace("/etc/machine-id", &id)?;
    replace("/etc/hostname", &format!("{name}\n"))?;
    replace("/etc/hosts", &format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {name}\n"))?;
    replace("/etc/fstab", "# a twin mounts nothing of the host's\n")?;
    // D-Bus may have a copy of the host's id.
    if Path::new("/var/lib/dbus/machine-id").exists() {
        replace("/var/lib/dbus/machine-id", &id)?;
    }
    Ok(())
}

/// Writes a file of the twin anew, whatever it was before.
pub(super) fn replace(path: &str, text: &str) -> Result<()> {
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).with_context(|| format!("{path} cannot be replaced in the twin"))?;
    }
    let written = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
    written
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .with_context(|| format!("{path} cannot be written in the twin"))
}

fn drop_capabilities() -> Result<()> {
    DROPPED.iter().try_for_each(|(_, capability)| {
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
        match unsafe { libc::prctl(libc::PR_CAPBSET_DROP, *capability, 0, 0, 0) } {
            0 => Ok(()),
            _ => Err(Error::failed("capabilities cannot be given up").because(std::io::Error::last_os_error())),
        }
    })
}

/// Returns only when it fails.
fn execute(spec: &Spec) -> Error {
    let program = match systemd() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let unit = match spec.target {
        Target::Own => units::OWN_TARGET,
        Target::Full => "multi-user.target",
    };
    // What the console says goes where the supervisor's standard error goes.
    let console = || std::os::fd::AsFd::as_fd(&std::io::stderr()).try_clone_to_owned();
    let (Ok(stdout), Ok(stderr)) = (console(), console()) else {
        return Error::failed("the twin's console cannot be opened");
    };
    let error = Command::new(&program)
        .args(["--system", "--log-target=journal-or-kmsg", "--show-status=0", "--unit"])
        .arg(unit)
        .env_clear()
        .env("container", "relift-twin")
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .stdout(stdout)
        .stderr(stderr)
        .exec();
    Error::failed(format!("{} cannot be executed", program.display())).because(error)
}

/// Sets the loopback interface of this network namespace up, netdevice(7).
pub(super) fn loopback_up() -> Result<()> {
    let socket = nix::sys::socket::socket(
        nix::sys::socket::AddressFamily::Inet,
        nix::sys::socket::SockType::Datagram,
        nix::sys::socket::SockFlag::SOCK_CLOEXEC,
        None,
    )
    .context("no socket for the loopback interface")?;
    // SAFETY: an ifreq of zeros is valid; it holds the name and the flags that the request reads.
    let set = unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &request)
    };
    match set {
        0 => Ok(()),
        _ => Err(Error::failed("the loopback interface cannot be set up").because(std::io::Error::last_os_error())),
    }
}
