//! Structured entries for journald, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
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
/// How many entries may wait so: a journald that reads by fits keeps a run up for five seconds in all.
const WAITS: u32 = 20;

/// The way to journald.
#[derive(Debug)]
pub struct Sink {
    socket: UnixDatagram,
    place: &'static str,
    is_deaf: AtomicBool,
    waits: AtomicU32,
}

impl Sink {
    /// Opens it. A journald that is not there is told with each entry.
    pub fn open() -> std::io::Result<Sink> {
        Sink::to("/run/systemd/journal/socket")
    }

    fn to(place: &'static str) -> std::io::Result<Sink> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Sink { socket, place, is_deaf: AtomicBool::new(false), waits: AtomicU32::new(0) })
    }

    /// Sends one entry. Values are single lines: line ends in them become spaces; empty ones are left out. A journald that
    /// does not read is waited for once, until it reads again: a run does not depend on it.
    pub fn send(&self, priority: Priority, message: &str, fields: &[(&str, &str)]) -> std::io::Result<()> {
        let sent = self.socket.send_to(entry(priority, message, fields).as_bytes(), self.place).map(drop);
        let is_full = sent.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        if is_full && !self.is_deaf.swap(true, Ordering::Relaxed) {
            self.waits.fetch_add(1, Ordering::Relaxed);
            self.socket.set_nonblocking(true)?;
        }
        // It was busy, not away: what follows is worth waiting for.
        if sent.is_ok() && self.is_deaf.load(Ordering::Relaxed) && self.waits.load(Ordering::Relaxed) < WAITS {
            self.socket.set_nonblocking(false)?;
            self.is_deaf.store(false, Ordering::Relaxed);
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
    fn a_journald_that_was_busy_once_loses_nothing_of_what_follows() {
        let place: &'static str =
            Box::leak(format!("/tmp/relift-journal-busy-{}", std::process::id()).into_boxed_str());
        let busy = UnixDatagram::bind(place).unwrap();
        let sink = Sink::to(place).unwrap();
        while sink.send(Priority::Info, "flood", &[]).is_ok() {}
        busy.set_nonblocking(true).unwrap();
        while busy.recv(&mut [0; 64]).is_ok() {}
        // It reads again, and later than entries come.
        let reader = std::thread::spawn(move || {
            busy.set_nonblocking(false).unwrap();
            (0..500).for_each(|_| {
                std::thread::sleep(Duration::from_micros(100));
                busy.recv(&mut [0; 64]).unwrap();
            });
        });
        let lost = (0..500).filter(|_| sink.send(Priority::Info, "what follows", &[]).is_err()).count();
        assert_eq!(lost, 0);
        reader.join().unwrap();
        std::fs::remove_file(place).unwrap();
    }

    #[test]
    fn a_line_end_in_a_value_starts_no_field_of_its_own() {
        let entry = entry(Priority::Info, "a\nPRIORITY=0", &[("RELIFT_RUN", "x\ny"), ("RELIFT_PHASE", "")]);
        assert_eq!(entry, "SYSLOG_IDENTIFIER=relift\nPRIORITY=6\nMESSAGE=a PRIORITY=0\nRELIFT_RUN=x y\n");
    }
}
