//! TCP connections that are opened to see whether they open.

use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// Why a connection did not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The address is none: `host:port` is wanted.
    Unusable,
    /// Nobody is there, or not for us, in the operating system's words.
    Unreachable(String),
}

/// Opens a connection to `host:port` and closes it. Every address of the host is tried within `timeout`; looking up a
/// host name may take longer, as long as the resolver's own bounds.
pub fn connect(address: &str, timeout: Duration) -> Result<(), Fault> {
    let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    if port.is_none_or(|port| port == 0) {
        return Err(Fault::Unusable);
    }
    let deadline = Instant::now() + timeout;
    let addresses = address.to_socket_addrs().map_err(|_| Fault::Unreachable("the host is not known".into()))?;
    let mut fault = Fault::Unreachable("the host has no address".into());
    for address in addresses {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(()),
            Err(error) => fault = Fault::Unreachable(words(&error)),
        }
    }
    Err(fault)
}

/// Whether a host, as it is written in a URL, is this one: `localhost`, `127.0.0.1` and its like, `[::1]`.
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What the operating system says, without numbers.
pub(super) fn words(error: &std::io::Error) -> String {
    use std::io::ErrorKind::*;
    match error.kind() {
        ConnectionRefused => "connection refused".into(),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => "the connection was closed".into(),
        TimedOut | WouldBlock => "no answer in time".into(),
        HostUnreachable | NetworkUnreachable => "no way to the host".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_port_opens_and_a_closed_one_does_not() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        assert_eq!(connect(&address, Duration::from_secs(2)), Ok(()));
        drop(listener);
        assert_eq!(connect(&address, Duration::from_secs(2)), Err(Fault::Unreachable("connection refused".into())));
    }

    #[test]
    fn what_is_no_address_is_told_apart() {
        for address in ["127.0.0.1", "127.0.0.1:http", "127.0.0.1:0", "127.0.0.1:70000"] {
            assert_eq!(connect(address, Duration::from_secs(1)), Err(Fault::Unusable), "{address}");
        }
    }
}
