//! The private socket of a manager, for an account without a bus of its own (Debian's `dbus-user-session` is optional).
//!
//! There the manager gives its well-known name as the sender of every message. The D-Bus specification wants a unique
//! name there, and the D-Bus library that we use takes nothing else. So its messages pass through here, where the name is
//! replaced by a unique one of the same length; all else stays as it is.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Header field 7, `SENDER`, type `s`, 24 bytes of text.
const SENDER: &[u8] = b"\x07\x01s\0\x18\0\0\0org.freedesktop.systemd1";
const UNIQUE: &[u8] = b"\x07\x01s\0\x18\0\0\0:1.000000000000000000001";
/// The longest message, D-Bus specification "Message Protocol".
const LONGEST: usize = 128 << 20;

/// Connects to the socket; both directions are passed on until either side closes.
pub(super) fn connect(socket: &Path) -> Result<UnixStream> {
    let manager = UnixStream::connect(socket)?;
    let (ours, theirs) = UnixStream::pair()?;
    let (to_manager, from_us) = (manager.try_clone()?, theirs.try_clone()?);
    std::thread::spawn(move || {
        close_after(requests(&from_us, &to_manager), [&from_us, &to_manager]);
    });
    std::thread::spawn(move || {
        close_after(answers(&manager, &theirs), [&manager, &theirs]);
    });
    Ok(ours)
}

/// However passing on ended, the other side sees a closed connection, and says so itself.
fn close_after(_ended: Result<()>, ends: [&UnixStream; 2]) {
    for end in ends {
        end.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

fn requests(mut from: &UnixStream, mut to: &UnixStream) -> Result<()> {
    std::io::copy(&mut from, &mut to).map(|_| ())
}

fn answers(from: &UnixStream, mut to: &UnixStream) -> Result<()> {
    let mut from = BufReader::new(from);
    // Authentication is by line, its last answer is that to NEGOTIATE_UNIX_FD.
    loop {
        let mut line = Vec::new();
        from.by_ref().take(4096).read_until(b'\n', &mut line)?;
        to.write_all(&line)?;
        if line.is_empty() || line.starts_with(b"AGREE_UNIX_FD") || line.starts_with(b"ERROR") {
            break;
        }
    }
    while let Some(message) = message(&mut from)? {
        to.write_all(&message)?;
    }
    Ok(())
}

/// The next message with its sender replaced; `None` at the end.
fn message(from: &mut impl Read) -> Result<Option<Vec<u8>>> {
    let mut message = vec![0; 16];
    match from.read_exact(&mut message) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let word = |at: usize| -> usize {
        let bytes = [message[at], message[at + 1], message[at + 2], message[at + 3]];
        (if message[0] == b'l' { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }) as usize
    };
    let (body, fields) = (word(4), word(12).next_multiple_of(8));
    if fields.saturating_add(body) > LONGEST {
        return Err(Error::new(ErrorKind::InvalidData, "a D-Bus message is longer than one may be"));
    }
    message.resize(16 + fields + body, 0);
    from.read_exact(&mut message[16..])?;
    let header = &mut message[16..16 + fields];
    if let Some(at) = header.windows(SENDER.len()).position(|window| window == SENDER) {
        header[at..at + UNIQUE.len()].copy_from_slice(UNIQUE);
    }
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(body: &[u8]) -> Vec<u8> {
        let mut fields = SENDER.to_vec();
        fields.resize(40, 0);
        let mut message = b"l\x04\x01\x01".to_vec();
        message.extend((body.len() as u32).to_le_bytes());
        message.extend(7u32.to_le_bytes());
        message.extend((SENDER.len() as u32 + 1).to_le_bytes());
        [message, fields, body.to_vec()].concat()
    }

    #[test]
    fn the_sender_is_replaced_and_nothing_else() {
        let sent = [signal(SENDER), signal(b"x")].concat();
        let mut from = sent.as_slice();
        let first = message(&mut from).expect("read").expect("a message");
        assert_eq!(&first[16..16 + UNIQUE.len()], UNIQUE);
        assert!(first.ends_with(SENDER), "the body is not ours to change");
        let second = message(&mut from).expect("read").expect("a message");
        assert!(second.ends_with(b"x") && from.is_empty());
        assert_eq!(message(&mut from).expect("the end"), None);
    }

    #[test]
    fn a_length_that_cannot_be_is_refused() {
        let mut sent = signal(b"");
        sent[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(message(&mut sent.as_slice()).is_err());
    }
}
