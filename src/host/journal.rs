//! Structured entries for journald, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

use std::os::unix::net::UnixDatagram;

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

/// Sends one entry. Values are single lines: line ends in them become spaces; empty ones are left out.
pub fn send(priority: Priority, message: &str, fields: &[(&str, &str)]) -> std::io::Result<()> {
    UnixDatagram::unbound()?
        .send_to(entry(priority, message, fields).as_bytes(), "/run/systemd/journal/socket")
        .map(drop)
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
    fn a_line_end_in_a_value_starts_no_field_of_its_own() {
        let entry = entry(Priority::Info, "a\nPRIORITY=0", &[("RELIFT_RUN", "x\ny"), ("RELIFT_PHASE", "")]);
        assert_eq!(entry, "SYSLOG_IDENTIFIER=relift\nPRIORITY=6\nMESSAGE=a PRIORITY=0\nRELIFT_RUN=x y\n");
    }
}
