//! Which ports are listened on, and by whom: proc_net_tcp(5).

/// Whether a process of `uid` listens on `port` at an address that 127.0.0.1 reaches.
pub(super) fn listens(uid: u32, port: u16) -> bool {
    ["/proc/net/tcp", "/proc/net/tcp6"].iter().any(|table| {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        text.lines().skip(1).any(|line| is_listener(line, uid, port))
    })
}

fn is_listener(line: &str, uid: u32, port: u16) -> bool {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (Some(local), Some(state), Some(owner)) = (fields.get(1), fields.get(3), fields.get(7)) else { return false };
    let Some((address, number)) = local.split_once(':') else { return false };
    let any = address.bytes().all(|byte| byte == b'0');
    // 127.0.0.1, in the byte order of the machine, alone or mapped into IPv6.
    let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
    let reached = any || address == loopback;
    reached && *state == LISTEN && u16::from_str_radix(number, 16) == Ok(port) && owner.parse() == Ok(uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_of_this_process_is_seen_and_no_other_is() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let uid = nix::unistd::geteuid().as_raw();
        assert!(listens(uid, port));
        assert!(!listens(uid + 1, port));
        let elsewhere = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        assert!(!listens(uid, elsewhere.local_addr().unwrap().port()));
    }
}
