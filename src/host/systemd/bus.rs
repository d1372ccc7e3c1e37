//! One D-Bus connection to one manager: opened and called within bounds, opened again when the manager went away to
//! re-execute itself.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zbus::blocking::Connection;
use zbus::blocking::connection::Builder;
use zbus::zvariant::{DynamicType, Type};

use super::job::Removed;
use super::private;
use crate::error::{Error, Result};

/// The manager's name on a bus.
pub(super) const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The object of the manager.
pub(super) const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
/// The interface of the manager.
pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// How long connecting and authenticating may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one call may take. systemctl(1) takes 25 s.
pub(super) const CALL: Duration = Duration::from_secs(25);
/// How long a manager may be away to re-execute itself. It takes a fraction of a second; a loaded host is given more.
const AWAY: Duration = Duration::from_secs(15);

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A message bus, which passes messages on.
    Bus,
    /// The manager itself, at its private socket.
    Manager,
}

/// Which manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// PID 1.
    System,
    /// The user manager that listens below this runtime directory.
    User(PathBuf),
}

/// A connection to a manager.
pub(super) struct Bus {
    address: Address,
    patience: Duration,
    peer: Peer,
    connection: Connection,
    /// How often it was opened again: what the other end keeps for a connection (references) is lost with it.
    pub(super) reopened: u32,
    /// The ends of jobs that were told on this connection.
    pub(super) removed: Arc<Removed>,
}

impl Bus {
    /// Connects to a manager; each call may then take `patience`.
    pub(super) fn open(address: Address, patience: Duration) -> Result<Bus> {
        if let Some(bus) = idle(&address, patience) {
            return Ok(bus);
        }
        let mut bus = Bus::unheard(address, patience)?;
        bus.listen()?;
        Ok(bus)
    }

    /// The same on a connection of its own, to which no end of a job is told.
    pub(super) fn unheard(address: Address, patience: Duration) -> Result<Bus> {
        let (connection, peer) = connect(&address, patience)?;
        Ok(Bus { address, patience, peer, connection, reopened: 0, removed: Arc::default() })
    }

    /// Whether the manager is an account's.
    pub(super) fn is_user(&self) -> bool {
        self.address != Address::System
    }

    /// Whether a message bus is between us and the manager.
    pub(super) fn is_shared(&self) -> bool {
        self.peer == Peer::Bus
    }

    /// Where to connect to the same manager once more.
    pub(super) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Calls a method of the manager's object.
    pub(super) fn manager<B, R>(&mut self, method: &str, body: &B) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        self.call((MANAGER_PATH, MANAGER, method), body)
    }

    /// Calls a method (object, interface, name) and reads its reply. While the manager is away the call is made again.
    pub(super) fn call<B, R>(&mut self, method: (&str, &str, &str), body: &B) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let until = Instant::now() + AWAY;
        loop {
            match self.call_once(method, body) {
                Err(error) if is_away(&error) && Instant::now() < until => self.come_back(),
                result => return result,
            }
        }
    }

    /// As [`Bus::call`], never made twice.
    pub(super) fn call_once<B, R>(&self, (path, interface, name): (&str, &str, &str), body: &B) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let destination = (self.peer == Peer::Bus).then_some(SYSTEMD);
        let reply = self.connection.call_method(destination, path, Some(interface), name, body)?;
        reply.body().deserialize()
    }

    /// The unique bus name of the manager; `None` where the peer is the manager itself or nobody has the name now.
    pub(super) fn manager_name(&self) -> Option<String> {
        let bus = "org.freedesktop.DBus";
        let ask = || {
            let reply =
                self.connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "GetNameOwner", &SYSTEMD)?;
            reply.body().deserialize::<String>()
        };
        (self.peer == Peer::Bus).then(ask)?.ok()
    }

    /// Calls a method of another service of the system bus.
    pub(super) fn other<B, R>(
        &self,
        service: &str,
        (path, interface, name): (&str, &str, &str),
        body: &B,
    ) -> zbus::Result<R>
    where
        B: Serialize + DynamicType,
        R: DeserializeOwned + Type,
    {
        let reply = self.connection.call_method(Some(service), path, Some(interface), name, body)?;
        reply.body().deserialize()
    }

    /// A moment's wait, and a new connection where the old one was closed. What fails here fails again, and is told,
    /// in the call that follows.
    fn come_back(&mut self) {
        std::thread::sleep(Duration::from_millis(20));
        if !self.connection.is_closed() {
            return;
        }
        if let Ok((connection, peer)) = connect(&self.address, self.patience) {
            (self.connection, self.peer) = (connection, peer);
            self.reopened += 1;
            self.listen().unwrap_or_default();
        }
    }

    /// Collects the ends of jobs from now on.
    fn listen(&mut self) -> Result<()> {
        let told = |address: &Address, error: zbus::Error| match &error {
            zbus::Error::InputOutput(cause) if cause.kind() == std::io::ErrorKind::TimedOut => {
                unreachable_bus(address, "the manager did not answer in time")
            }
            _ => unreachable_bus(address, error),
        };
        self.removed.listen(&self.connection, self.peer).map_err(|error| told(&self.address, error))?;
        // A manager tells a bus nothing until somebody subscribes; at its private socket it tells everything.
        if self.peer == Peer::Bus {
            match self.manager::<_, ()>("Subscribe", &()) {
                Err(zbus::Error::MethodError(name, ..)) if name.as_str().ends_with("AlreadySubscribed") => {}
                other => return other.map_err(|error| told(&self.address, error)),
            }
        }
        Ok(())
    }
}

/// Connections to the system manager that nobody uses just now: to open one takes longer than most of what is asked.
static IDLE: Mutex<Vec<(Connection, Arc<Removed>)>> = Mutex::new(Vec::new());

/// One that was used before and is open.
fn idle(address: &Address, patience: Duration) -> Option<Bus> {
    if !is_kept(address, patience) {
        return None;
    }
    let mut kept = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    kept.retain(|(connection, _)| !connection.is_closed());
    let (connection, removed) = kept.pop()?;
    Some(Bus { address: address.clone(), patience, peer: Peer::Bus, connection, reopened: 0, removed })
}

fn is_kept(address: &Address, patience: Duration) -> bool {
    *address == Address::System && patience == CALL
}

impl Drop for Bus {
    fn drop(&mut self) {
        if is_kept(&self.address, self.patience) && !self.connection.is_closed() {
            let mut kept = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
            return kept.push((self.connection.clone(), self.removed.clone()));
        }
        // Closing ends the thread that listens; a connection that is closed already is what is wanted.
        self.connection.clone().close().unwrap_or_default();
    }
}

/// Whether the call failed because the manager is re-executing itself, and not because of what was asked.
pub(super) fn is_away(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::InputOutput(cause) => cause.kind() != std::io::ErrorKind::TimedOut,
        zbus::Error::MethodError(name, ..) => {
            let name = name.strip_prefix("org.freedesktop.DBus.Error.").unwrap_or_default();
            matches!(name, "NoReply" | "NameHasNoOwner" | "ServiceUnknown" | "Disconnected")
                || name.starts_with("Spawn.")
        }
        _ => false,
    }
}

fn connect(address: &Address, patience: Duration) -> Result<(Connection, Peer)> {
    let told = |cause: String| unreachable_bus(address, cause);
    let Address::User(runtime) = address else {
        let builder = Builder::system().map_err(|error| told(error.to_string()))?;
        return Ok((build(builder, patience).map_err(told)?, Peer::Bus));
    };
    let (shared, own) = (runtime.join("bus"), runtime.join("systemd/private"));
    let mut cause = format!("neither {} nor {} is there", shared.display(), own.display());
    if shared.exists() {
        let socket = UnixStream::connect(&shared).map_err(|error| error.to_string());
        match socket.and_then(|socket| build(Builder::async_io_unix_stream(socket), patience)) {
            Ok(connection) if is_there(&connection) => return Ok((connection, Peer::Bus)),
            Ok(_) => cause = "the manager is not on the user's bus".into(),
            Err(error) => cause = error,
        }
    }
    // systemctl(1) takes this way, too: a broken bus does not mean a broken manager.
    if own.exists() {
        let socket = private::connect(&own).map_err(|error| told(error.to_string()))?;
        let builder = Builder::async_io_unix_stream(socket).p2p();
        return Ok((build(builder, patience).map_err(told)?, Peer::Manager));
    }
    Err(told(cause))
}

/// Connects in a thread of its own: a bus that accepts and then says nothing must not hold us.
fn build(builder: Builder<'static>, patience: Duration) -> std::result::Result<Connection, String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may be waiting any more.
        sender.send(builder.method_timeout(patience).build()).unwrap_or_default();
    });
    match receiver.recv_timeout(CONNECT) {
        Ok(connection) => connection.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", CONNECT.as_secs())),
    }
}

/// Whether the manager has its name on the bus.
fn is_there(bus: &Connection) -> bool {
    let name = "org.freedesktop.DBus";
    bus.call_method(Some(name), "/org/freedesktop/DBus", Some(name), "GetNameOwner", &SYSTEMD).is_ok()
}

fn unreachable_bus(address: &Address, cause: impl std::fmt::Display) -> Error {
    match address {
        Address::User(runtime) => {
            let uid = runtime.file_name().unwrap_or_default().to_string_lossy();
            Error::failed(format!("the user manager below {} cannot be reached", runtime.display()))
                .because(cause)
                .hint(format!("systemctl status user@{uid}.service"))
        }
        Address::System if super::is_booted() => Error::failed("the system bus cannot be reached")
            .because(cause)
            .hint("systemctl status dbus.socket dbus.service"),
        Address::System => Error::failed("systemd does not run here")
            .because("/run/systemd/system does not exist, see sd_booted(3)")
            .hint("run relift on a host that was booted with systemd"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_not_asked_again() {
        let timeout = std::io::Error::from(std::io::ErrorKind::TimedOut);
        assert!(!is_away(&zbus::Error::InputOutput(Arc::new(timeout))));
        let broken = std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        assert!(is_away(&zbus::Error::InputOutput(Arc::new(broken))));
    }

    #[test]
    fn a_user_manager_without_a_socket_is_named() {
        let nowhere = tempfile::tempdir().expect("a directory");
        let error = Bus::open(Address::User(nowhere.path().into()), CALL).err().expect("nobody listens");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
    }

    #[test]
    fn a_socket_that_accepts_and_says_nothing_holds_nobody() {
        let place = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(place.path().join("systemd")).expect("a directory");
        let listener = std::os::unix::net::UnixListener::bind(place.path().join("systemd/private")).expect("a socket");
        let start = Instant::now();
        let error = Bus::open(Address::User(place.path().into()), CALL).err().expect("nobody answers");
        assert!(start.elapsed() < CONNECT + Duration::from_secs(5), "{error}");
        assert!(error.to_string().contains("no answer"), "{error}");
        drop(listener);
    }
}
