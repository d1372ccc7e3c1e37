//! The next boot: what a run changes starts only when recovery has put it back.
//!
//! While a run is open, a drop-in orders `relift-recover.service` before the units of the system manager that the run
//! concerns. That service is of `Type=notify`, and counts as started as soon as they may start: recovery goes on from there
//! to start them itself and to prove them. (User managers start in their own time; what they started meanwhile is restarted.)

use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::host::fs::{make_private, remove_durably, write_durably};

const DIRECTORY: &str = "/etc/systemd/system/relift-recover.service.d";

/// Orders recovery before these units at the next boot. No manager has to be told: a boot reads everything anew.
pub fn hold_back(install: &str, units: &[&str]) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    let text = format!(
        "# A run of relift on {install} is open. This is removed at its end.\n[Unit]\nBefore={}\n",
        units.join(" ")
    );
    let held =
        make_private(Path::new(DIRECTORY), 0o755).and_then(|()| write_durably(&file(install), text.as_bytes(), 0o644));
    if held.is_err() {
        // Nothing is begun yet, and nothing stays behind.
        let_go(install)?;
    }
    held
}

/// Forgets that order.
pub fn let_go(install: &str) -> Result<()> {
    remove_durably(&file(install))?;
    match std::fs::remove_dir(DIRECTORY) {
        // Another install's run is open, or an operator has drop-ins there.
        Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("{DIRECTORY} cannot be removed")),
    }
}

/// Tells the manager that started this process that what waits for it may start, sd_notify(3). Nothing where it was not
/// started as a service of `Type=notify`.
pub fn ready() {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&socket),
    };
    // A manager that does not listen any more waits for nothing.
    let told = UnixDatagram::unbound().and_then(|from| from.send_to_addr(b"READY=1", &address?));
    told.map(drop).unwrap_or_default();
}

fn file(install: &str) -> PathBuf {
    Path::new(DIRECTORY).join(format!("50-{install}.conf"))
}
