//! The supervisor of a twin: a single-threaded process that holds the disk, the network and PID 1.
//!
//! Everything it makes but the control group lives in namespaces of its own, so the kernel removes it when it ends. It ends
//! when its standard input does, whatever happened to the caller.

use std::io::{BufRead, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, clone, unshare};
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, pipe2};

use super::cgroup::Cgroup;
use super::inside::{self, Content};
use super::mounts;
use super::protocol::{Reply, Request};
use super::{Disk, Spec, layers};
use crate::error::{Context, Error, Result};

/// Where the supervisor works: hidden below a file system of its own, so that nothing is left on the host.
const STAGE: &str = "/tmp";
/// Stack of the process that becomes PID 1, in bytes.
const STACK: usize = 1 << 20;

/// Serves requests until standard input ends, then puts everything away.
pub fn supervise() -> Result<()> {
    outlive_signals()?;
    let mut supervisor = Supervisor::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let reply =
            match serde_json::from_str(&line).context("the request cannot be read").and_then(|r| supervisor.serve(r)) {
                Ok(pid) => Reply::Done(pid),
                Err(error) => Reply::from(error),
            };
        let mut text = serde_json::to_string(&reply).context("a reply cannot be written")?;
        text.push('\n');
        // A caller that went away is seen as the end of standard input.
        std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()).unwrap_or_default();
    }
    supervisor.end()
}

/// Signals that end the caller reach this process too, and it still has to put things away.
fn outlive_signals() -> Result<()> {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGPIPE].into_iter().try_for_each(|which| {
        // SAFETY: no handler of ours is installed, the signals are ignored.
        unsafe { signal(which, SigHandler::SigIgn) }.map(drop).context("signals cannot be ignored")
    })
}

#[derive(Default)]
struct Supervisor {
    twin: Option<Prepared>,
    init: Option<Pid>,
}

/// What outlives PID 1.
struct Prepared {
    spec: Spec,
    contents: Vec<Content>,
    lower: Vec<PathBuf>,
    cgroup: Cgroup,
    fresh: bool,
}

impl Supervisor {
    fn serve(&mut self, request: Request) -> Result<i32> {
        match request {
            Request::Probe => probe().map(|()| 0),
            Request::Setup(spec) => {
                self.twin = Some(prepare(spec)?);
                Ok(0)
            }
            Request::Boot => self.boot(),
            Request::Cut => self.cut().map(|()| 0),
        }
    }

    fn boot(&mut self) -> Result<i32> {
        self.cut()?;
        let twin = self.twin.as_mut().ok_or_else(|| Error::failed("the twin has no disk yet"))?;
        let init = start(twin)?;
        twin.fresh = false;
        self.init = Some(init);
        Ok(init.as_raw())
    }

    /// Kills PID 1. The kernel kills every process of its pid namespace before the wait returns (pid_namespaces(7)).
    fn cut(&mut self) -> Result<()> {
        let Some(init) = self.init.take() else { return Ok(()) };
        kill(init, Signal::SIGKILL).context("the twin's PID 1 cannot be killed")?;
        waitpid(init, None).context("the twin's PID 1 cannot be waited for")?;
        self.twin.as_ref().map_or(Ok(()), |twin| twin.cgroup.clear())
    }

    fn end(&mut self) -> Result<()> {
        self.cut()?;
        self.twin.take().map_or(Ok(()), |twin| twin.cgroup.remove())
    }
}

/// Namespaces of its own, in which nothing that happens to mounts is seen outside.
fn set_apart() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).map_err(|errno| {
        Error::failed("this process may not make namespaces of its own")
            .because(errno)
            .hint("this looks like an unprivileged container; use a real or virtual host")
    })?;
    mounts::all_private()
}

/// A file system of its own to mount things in.
fn stage() -> Result<()> {
    mounts::fresh("tmpfs", Path::new(STAGE), MsFlags::empty(), "mode=0700")
}

/// Does what a boot needs of the kernel, and leaves it to the end of this process to undo it.
fn probe() -> Result<()> {
    inside::systemd()?;
    set_apart()?;
    stage()?;
    let [upper, work, root] = disk_directories(&Path::new(STAGE).join("disk"), 0)?;
    mounts::overlay(Path::new("/"), &upper, &work, &root)?;
    mounts::device(&Path::new(STAGE).join("null"), 1, 3)?;
    Cgroup::create(&Path::new(STAGE).join("cgroup"))?.remove()?;
    let flags =
        CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC | CloneFlags::CLONE_NEWCGROUP;
    unshare(flags).context("this process may not make namespaces of its own")
}

fn prepare(spec: Spec) -> Result<Prepared> {
    // Everything of the host is opened before the stage hides a part of it.
    set_apart()?;
    let contents = spec.files.iter().map(Content::open).collect::<Result<Vec<_>>>()?;
    let directory = match &spec.disk {
        Disk::Memory(_) => None,
        Disk::Directory(path) => Some((path.as_path(), open_directory(path)?)),
    };
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").context("/proc/self/mountinfo cannot be read")?;
    let lower = layers::lower(&mountinfo, directory.as_ref().map(|(path, _)| *path));
    stage()?;
    let disk = Path::new(STAGE).join("disk");
    mounts::directory(&disk, 0o755)?;
    match (&spec.disk, &directory) {
        (_, Some((_, open))) => mounts::bind(Path::new(&format!("/proc/self/fd/{}", open.as_raw_fd())), &disk)?,
        (Disk::Memory(Some(bytes)), _) => {
            mounts::fresh("tmpfs", &disk, MsFlags::empty(), &format!("mode=755,size={bytes}"))?
        }
        _ => mounts::fresh("tmpfs", &disk, MsFlags::empty(), "mode=755")?,
    }
    let fresh = !disk.join("0").exists();
    (0..lower.len()).try_for_each(|at| disk_directories(&disk, at).map(drop))?;
    inside::loopback_up()?;
    let cgroup = Cgroup::create(&Path::new(STAGE).join("cgroup"))?;
    Ok(Prepared { spec, contents, lower, cgroup, fresh })
}

fn open_directory(path: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
    nix::fcntl::open(path, flags, nix::sys::stat::Mode::empty())
        .with_context(|| format!("the disk of the twin, {}, cannot be opened", path.display()))
}

/// Upper, work and mount directory of the `at`-th file system.
fn disk_directories(disk: &Path, at: usize) -> Result<[PathBuf; 3]> {
    let directories = ["upper", "work", "root"].map(|name| disk.join(at.to_string()).join(name));
    directories.iter().try_for_each(|path| mounts::directory(path, 0o755))?;
    Ok(directories)
}

/// Starts PID 1 and waits until it has become systemd or has said why not.
fn start(twin: &Prepared) -> Result<Pid> {
    let (go, release) = pipe2(OFlag::O_CLOEXEC).context("no pipe")?;
    let (failure, report) = pipe2(OFlag::O_CLOEXEC).context("no pipe")?;
    let boot = || {
        let error = match wait_for_release(&go, &release).and_then(|()| become_init(twin)) {
            Ok(never) => match never {},
            Err(error) => error,
        };
        tell(&report, error);
        1
    };
    let mut stack = vec![0; STACK];
    let flags =
        CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    // SAFETY: this process has one thread and memory is not shared, so the child may do what it likes; it ends in exec or exit.
    let child = unsafe { clone(Box::new(boot), &mut stack, flags, Some(libc::SIGCHLD)) };
    let child = child.context("no process can be started in namespaces of its own")?;
    drop(report);
    let adopted = twin.cgroup.adopt(child.as_raw());
    if adopted.is_ok() {
        nix::unistd::write(&release, b"!").context("PID 1 of the twin cannot be released")?;
    }
    drop(release);
    let started = adopted.and_then(|()| read_failure(failure));
    if started.is_err() {
        waitpid(child, None).context("the twin's PID 1 cannot be waited for")?;
        twin.cgroup.clear()?;
    }
    started.map(|()| child)
}

fn become_init(twin: &Prepared) -> Result<std::convert::Infallible> {
    let disk = Path::new(STAGE).join("disk");
    let root = disk.join("0/root");
    for (at, lower) in twin.lower.iter().enumerate() {
        let [upper, work, _] = ["upper", "work", "root"].map(|name| disk.join(at.to_string()).join(name));
        let place = lower.strip_prefix("/").map_or_else(|_| root.clone(), |below| root.join(below));
        mounts::overlay(lower, &upper, &work, &place)?;
    }
    // On the twin's disk, as hier(7) wants it kept over a boot, and empty: what others left there is not the twin's.
    let (own, place) = (disk.join("var-tmp"), root.join("var/tmp"));
    [&own, &place].into_iter().try_for_each(|path| mounts::directory(path, 0o1777))?;
    mounts::bind(&own, &place)?;
    inside::become_systemd(&twin.spec, &twin.contents, twin.fresh, &root)
}

/// PID 1 begins when it is in its control group, and not at all when the supervisor died before.
fn wait_for_release(go: &OwnedFd, release: &OwnedFd) -> Result<()> {
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("PID 1 cannot be bound to its supervisor")?;
    // This process's copy of the writing end would keep the pipe open.
    nix::unistd::close(release.as_raw_fd()).context("a pipe cannot be closed")?;
    match nix::unistd::read(go, &mut [0]) {
        Ok(1) => Ok(()),
        _ => Err(Error::failed("the supervisor of the twin went away")),
    }
}

fn tell(report: &OwnedFd, error: Error) {
    let text = serde_json::to_string(&Reply::from(error)).unwrap_or_default();
    // Nobody is left to be told when this fails; the status says that there was an error.
    nix::unistd::write(report, text.as_bytes()).map(drop).unwrap_or_default();
}

/// The pipe closes without a word when exec succeeds.
fn read_failure(pipe: OwnedFd) -> Result<()> {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut std::fs::File::from(pipe), &mut text).context("PID 1 cannot be heard")?;
    match text.as_str() {
        "" => Ok(()),
        text => serde_json::from_str::<Reply>(text).context("PID 1 cannot be understood")?.into_result().map(drop),
    }
}
