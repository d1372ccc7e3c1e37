//! How the sample's service hands over: a listener from systemd, one that systemd keeps for the next process, and an end that leaves no
//! client without its answer. sd_listen_fds(3), sd_notify(3).

use std::io::IoSlice;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket};

use crate::error::{Context, Error, Result};

/// The first descriptor that systemd passes.
const FIRST: i32 = 3;
/// How long answers may take after SIGTERM: less than `TimeoutStopSec=` of the sample's units.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// How soon a signal is noticed.
const ATTENTION: u16 = 20;

/// Answers that are being given.
static ANSWERS: AtomicUsize = AtomicUsize::new(0);
static TERM: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);
static HUP: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// The listener that systemd passed, sd_listen_fds(3).
pub(super) fn passed() -> Option<TcpListener> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID")? != std::process::id() || number("LISTEN_FDS")? == 0 {
        return None;
    }
    // SAFETY: systemd opened this descriptor for us and nothing else here has taken it; this is called once.
    Some(TcpListener::from(unsafe { OwnedFd::from_raw_fd(FIRST) }))
}

/// Gives the listener to systemd to keep (`FileDescriptorStoreMax=`): the next process gets it.
pub(super) fn store(listener: &TcpListener) -> Result<()> {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else {
        return Err(Error::failed("systemd keeps no descriptors for this service: NOTIFY_SOCKET is not set"));
    };
    let told = || -> nix::Result<()> {
        let name = path.as_encoded_bytes();
        let address = match name {
            [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
            _ => UnixAddr::new(path.as_os_str())?,
        };
        let sender = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        let descriptors = [listener.as_raw_fd()];
        let message = [IoSlice::new(b"FDSTORE=1\nFDNAME=http")];
        let passed = [ControlMessage::ScmRights(&descriptors)];
        sendmsg(sender.as_raw_fd(), &message, &passed, MsgFlags::empty(), Some(&address)).map(drop)
    };
    told().context("systemd cannot be given the listener")
}

/// From now on SIGTERM and SIGHUP are noted.
pub(super) fn heed_signals() -> Result<()> {
    use signal_hook::consts::{SIGHUP, SIGTERM};
    signal_hook::flag::register(SIGTERM, Arc::clone(&TERM))
        .and_then(|_| signal_hook::flag::register(SIGHUP, Arc::clone(&HUP)))
        .map(drop)
        .context("signals cannot be handled")
}

/// What comes next.
pub(super) enum Next {
    /// A connection.
    Client(std::net::TcpStream),
    /// Somebody asked to read the files again.
    Reload,
    /// Somebody asked to end; every answer was given.
    End,
}

/// Waits for the next connection or signal.
pub(super) fn next(listener: &TcpListener) -> Result<Next> {
    listener.set_nonblocking(true).context("the listener cannot be asked without waiting")?;
    loop {
        if TERM.load(Ordering::Relaxed) {
            last_answers();
            return Ok(Next::End);
        }
        if HUP.swap(false, Ordering::Relaxed) {
            return Ok(Next::Reload);
        }
        // SAFETY: the listener outlives the call.
        let descriptor = unsafe { BorrowedFd::borrow_raw(listener.as_raw_fd()) };
        let mut waiting = [PollFd::new(descriptor, PollFlags::POLLIN)];
        // A signal ends the wait, and is looked at above.
        poll(&mut waiting, PollTimeout::from(ATTENTION)).unwrap_or_default();
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).context("a connection cannot be waited for")?;
                return Ok(Next::Client(stream));
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("a connection cannot be accepted"),
        }
    }
}

/// Waits for the answers that are being given.
fn last_answers() {
    let deadline = Instant::now() + LAST_ANSWERS;
    while ANSWERS.load(Ordering::Acquire) > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// One answer that is being given, until it is dropped.
pub(super) struct Answering;

impl Answering {
    /// Counted from now on.
    pub(super) fn begin() -> Answering {
        ANSWERS.fetch_add(1, Ordering::AcqRel);
        Answering
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        ANSWERS.fetch_sub(1, Ordering::AcqRel);
    }
}
