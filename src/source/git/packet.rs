//! The packets of git's protocol, gitprotocol-common(5).

use std::io::{self, Read};

/// The longest one.
const LONGEST: usize = 65_520;

/// How many lines a list may have: a million refs.
const MANY: usize = 1 << 20;

/// A packet; the content of one that has some is beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet {
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of an answer over HTTP.
    End,
    /// Any other.
    Data,
}

/// Reads the next packet, and its content in place of what was in `content`.
pub(super) fn read(from: &mut dyn Read, content: &mut Vec<u8>) -> io::Result<Packet> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    content.clear();
    let digits = std::str::from_utf8(&length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()));
    match digits.and_then(|text| usize::from_str_radix(text, 16).ok()) {
        Some(0) => Ok(Packet::Flush),
        Some(1) => Ok(Packet::Delimiter),
        Some(2) => Ok(Packet::End),
        Some(length @ 4..=LONGEST) => {
            content.resize(length - 4, 0);
            from.read_exact(content)?;
            Ok(Packet::Data)
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "protocol error: bad line length")),
    }
}

/// The lines up to the next flush packet, whatever separates them.
pub(super) fn lines(from: &mut dyn Read) -> io::Result<Vec<String>> {
    let (mut lines, mut content) = (Vec::new(), Vec::new());
    loop {
        match read(from, &mut content)? {
            Packet::Flush => return Ok(lines),
            Packet::Data if lines.len() < MANY => lines.push(text(&content)),
            Packet::Data => return Err(io::Error::new(io::ErrorKind::InvalidData, "the list of refs does not end")),
            Packet::Delimiter | Packet::End => {}
        }
    }
}

/// A packet's content as a line.
pub(super) fn text(content: &[u8]) -> String {
    String::from_utf8_lossy(content).trim_end_matches('\n').to_owned()
}

/// A packet of this content.
pub(super) fn packet(content: &str) -> String {
    format!("{:04x}{content}", content.len() + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &str) -> io::Result<(Packet, String)> {
        let mut content = b"of before".to_vec();
        let packet = read(&mut bytes.as_bytes(), &mut content)?;
        Ok((packet, text(&content)))
    }

    #[test]
    fn a_packet_is_as_long_as_it_says_and_says_so_in_four_digits() {
        let of = |packet, text: &str| (packet, text.to_owned());
        assert_eq!(told("0000rest").unwrap(), of(Packet::Flush, ""));
        assert_eq!(told("0001").unwrap(), of(Packet::Delimiter, ""));
        assert_eq!(told("0002").unwrap(), of(Packet::End, ""));
        assert_eq!(told("0004").unwrap(), of(Packet::Data, ""));
        assert_eq!(told("0009four\nmore").unwrap(), of(Packet::Data, "four"));
        assert_eq!(told(&packet("four\n")).unwrap(), of(Packet::Data, "four"));
        for (torn, kind) in [
            ("", io::ErrorKind::UnexpectedEof),
            ("000", io::ErrorKind::UnexpectedEof),
            ("0009fou", io::ErrorKind::UnexpectedEof),
            ("0003", io::ErrorKind::InvalidData),
            ("fff1", io::ErrorKind::InvalidData),
            ("+009four\n", io::ErrorKind::InvalidData),
            ("HTTP", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(told(torn).unwrap_err().kind(), kind, "{torn:?}");
        }
    }

    #[test]
    fn a_list_that_does_not_end_is_given_up() {
        let endless = "0004".repeat(MANY + 1);
        assert_eq!(lines(&mut endless.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(
            lines(&mut "0005a0001000600020005c0000".as_bytes()).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
        assert_eq!(lines(&mut "0005a00010006b\n00020005c0000".as_bytes()).unwrap(), ["a", "b", "c"]);
    }
}
