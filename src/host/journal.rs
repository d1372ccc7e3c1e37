//! Structured entries for journald, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The priorities of syslog(3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Priority {
    /// `LOG_ERR`.
    Err = 3,
    /// `LOG_WARNING`.
    Warning = 4,
    /// `LOG_INFO`.
    Info = 6,
}

/// How long one entry may wait for a journald that does not read.
const PATIENCE: Duration = Duration::from_millis(250);

/// The way to journald.
#[derive(Debug)]
pub struct Sink {
    socket: UnixDatagram,
    place: &'static str,
    is_deaf: AtomicBool,
}

impl Sink {
    /// Opens it. A journald that is not there is told with each entry.
    pub fn open() -> std::io::Result<Sink> {
        Sink::to("/run/systemd/journal/socket")
    }

    fn to(place: &'static str) -> std::io::Result<Sink> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Sink { socket, place, is_deaf: AtomicBool::new(false) })
    }

    /// Sends one entry. Values are single lines: line ends in them become spaces; empty ones are left out. A journald that
    /// does not read is waited for once: a run does not depend on it.
    pub fn send(&self, priority: Priority, message: &str, fields: &[(&str, &str)]) -> std::io::Result<()> {
        let sent = self.socket.send_to(entry(priority, message, fields).as_bytes(), self.place).map(drop);
        if let Err(error) = &sent
            && error.kind() == ErrorKind::WouldBlock
            && !self.is_deaf.swap(true, Ordering::Relaxed)
        {
            self.socket.set_nonblocking(true)?;
        }
        sent
    }
}

fn entry(priority: Priority, message: &str, fields: &[(&str, &str)]) -> String {
    let mut entry =
        format!("SYSLOG_IDENTIFIER=relift\nPRIORITY={}\nMESSAGE={}\n", priority as u8, message.replace('\n', " "));
    for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
        entry.push_str(&format!("{key}={}\n", value.replace('\n', " ")));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journald_that_does_not_read_is_waited_for_once() {
        let place: &'static str = Box::leak(format!("/tmp/relift-journal-{}", std::process::id()).into_boxed_str());
        let _deaf = UnixDatagram::bind(place).unwrap();
        let sink = Sink::to(place).unwrap();
        let start = std::time::Instant::now();
        let lost = (0..2_000).filter(|_| sink.send(Priority::Info, &"x".repeat(1_000), &[]).is_err()).count();
        std::fs::remove_file(place).unwrap();
        assert!(lost > 100, "{lost}");
        assert!(start.elapsed() < 8 * PATIENCE, "{:?}", start.elapsed());
    }

    #[test]
    fn a_line_end_in_a_value_starts_no_field_of_its_own() {
        let entry = entry(Priority::Info, "a\nPRIORITY=0", &[("RELIFT_RUN", "x\ny"), ("RELIFT_PHASE", "")]);
        assert_eq!(entry, "SYSLOG_IDENTIFIER=relift\nPRIORITY=6\nMESSAGE=a PRIORITY=0\nRELIFT_RUN=x y\n");
    }
}
