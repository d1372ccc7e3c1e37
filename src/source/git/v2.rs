//! A fetch in git's protocol, version 2, gitprotocol-v2(5): what is asked for, and what an answer says. Nothing is started
//! and nothing kept here.

use std::io::{self, Read};

use super::packet::{self, Packet, packet, text};

/// What a server of version 2 speaks.
pub(super) struct Server {
    /// It wants to be told which names objects have.
    names_format: bool,
}

impl Server {
    /// What a server says of itself; `None`: not all that a fetch takes.
    pub fn of(said: &[String]) -> Option<Server> {
        let (version, can) = said.split_first()?;
        let of = |name: &str| can.iter().find_map(|line| line.strip_prefix(name).filter(|rest| is_end(rest)));
        let format = of("object-format");
        let is_sha1 = format.is_none_or(|rest| rest.trim_start_matches('=').split(' ').any(|one| one == "sha1"));
        let knows = version == "version 2" && of("ls-refs").is_some() && of("fetch").is_some() && is_sha1;
        knows.then_some(Server { names_format: format.is_some() })
    }

    /// Asks for the refs whose names begin so.
    pub fn ls_refs(&self, prefixes: &[&str]) -> String {
        let prefixes = prefixes.iter().map(|prefix| format!("ref-prefix {prefix}\n"));
        self.request("ls-refs", prefixes)
    }

    /// Asks for these objects and what they need, for one who has those.
    pub fn fetch(&self, wants: &[String], haves: &[String]) -> String {
        let can = ["thin-pack\n".to_owned(), "ofs-delta\n".into()].into_iter();
        let wants = wants.iter().map(|oid| format!("want {oid}\n"));
        let haves = haves.iter().map(|oid| format!("have {oid}\n"));
        self.request("fetch", can.chain(wants).chain(haves).chain(["done\n".to_owned()]))
    }

    fn request(&self, command: &str, arguments: impl Iterator<Item = String>) -> String {
        let format = if self.names_format { packet("object-format=sha1\n") } else { String::new() };
        let head = packet(&format!("command={command}\n"));
        let arguments: String = arguments.map(|argument| packet(&argument)).collect();
        format!("{head}{format}0001{arguments}0000")
    }
}

/// What follows the name of what a server can.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with('=')
}

/// Reads an answer up to its pack. A server without the history of what it offers names the commits at which it ends; whoever
/// has them has what lies before.
pub(super) fn until_pack(from: &mut dyn Read, has: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let (mut line, mut section) = (Vec::new(), String::new());
    loop {
        match packet::read(from, &mut line)? {
            // Of the answer before.
            Packet::End if section.is_empty() => {}
            Packet::Delimiter => section.clear(),
            Packet::Flush | Packet::End => return Err(odd("expected 'packfile'")),
            Packet::Data => {
                let line = text(&line);
                if let Some(said) = line.strip_prefix("ERR ") {
                    return Err(io::Error::other(format!("remote error: {said}")));
                }
                match section.as_str() {
                    "" if line == "packfile" => return Ok(()),
                    "" => section = line,
                    "shallow-info" => of_shallow(&line, has)?,
                    "acknowledgments" => {}
                    // Neither was asked for: other refs, other servers.
                    _ => return Err(odd("unknown section")),
                }
            }
        }
    }
}

fn of_shallow(line: &str, has: &dyn Fn(&str) -> bool) -> io::Result<()> {
    match line.strip_prefix("shallow ") {
        Some(commit) if has(commit) => Ok(()),
        _ => Err(io::Error::other("shallow roots are not allowed to be updated")),
    }
}

/// What a packet of an answer's pack has.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'p> {
    /// A part of the pack.
    Pack(&'p [u8]),
    /// What the server has to say beside it.
    Said(&'p [u8]),
    /// Nothing more.
    End,
}

/// Reads the next one into `content`.
pub(super) fn piece<'p>(from: &mut dyn Read, content: &'p mut Vec<u8>) -> io::Result<Piece<'p>> {
    match (packet::read(from, content)?, content.as_slice()) {
        (Packet::Flush, _) => Ok(Piece::End),
        (Packet::Data, [1, pack @ ..]) => Ok(Piece::Pack(pack)),
        (Packet::Data, [2, said @ ..]) => Ok(Piece::Said(said)),
        (Packet::Data, [3, said @ ..]) => Err(io::Error::other(format!("remote error: {}", text(said)))),
        (Packet::Data, _) => Err(odd("bad band")),
        (Packet::Delimiter | Packet::End, _) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("protocol error: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn server(said: &[&str]) -> Option<Server> {
        Server::of(&said.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_server_that_lacks_what_a_fetch_takes_is_left_to_git() {
        assert!(
            server(&["version 2", "agent=git/2", "ls-refs=unborn", "fetch=shallow wait-for-done", "server-option"])
                .is_some()
        );
        assert!(server(&["version 2", "ls-refs", "fetch", "object-format=sha1"]).is_some());
        for said in [
            &[][..],
            &["version 1", "ls-refs", "fetch"],
            &["version 2", "ls-refs"],
            &["version 2", "fetch"],
            &["version 2", "ls-refs-not", "fetch"],
            &["version 2", "ls-refs", "fetch", "object-format=sha256"],
            &["1111111111111111111111111111111111111111 HEAD\0multi_ack"],
        ] {
            assert!(server(said).is_none(), "{said:?}");
        }
    }

    #[test]
    fn a_request_has_what_is_wanted_and_what_is_there_and_is_the_last_word() {
        let plain = server(&["version 2", "ls-refs", "fetch"]).unwrap();
        assert_eq!(
            plain.ls_refs(&["refs/tags/", "HEAD"]),
            "0014command=ls-refs\n0001001aref-prefix refs/tags/\n0014ref-prefix HEAD\n0000"
        );
        let named = server(&["version 2", "ls-refs", "fetch", "object-format=sha1"]).unwrap();
        assert_eq!(
            named.fetch(&[A.into()], &[B.into()]),
            format!(
                "0012command=fetch\n0017object-format=sha1\n0001000ethin-pack\n000eofs-delta\n0032want {A}\n0032have {B}\n0009done\n0000"
            )
        );
    }

    fn answer(sections: &[&[&str]]) -> String {
        let section = |lines: &&[&str]| lines.iter().map(|line| packet(&format!("{line}\n"))).collect::<String>();
        sections.iter().map(section).collect::<Vec<_>>().join("0001")
    }

    #[test]
    fn an_answer_is_read_to_its_pack_and_no_further() {
        for sections in [
            &[&["packfile"][..]][..],
            &[&["acknowledgments", "ACK 1", "ready"], &["packfile"]],
            &[&["shallow-info", &format!("shallow {A}")], &["packfile"]],
        ] {
            let text = format!("0002{}rest", answer(sections));
            let mut from = text.as_bytes();
            until_pack(&mut from, &|oid| oid == A).unwrap();
            assert_eq!(from, b"rest");
        }
    }

    #[test]
    fn an_answer_that_is_none_says_why() {
        for (said, says) in [
            (answer(&[&["shallow-info", &format!("shallow {B}")], &["packfile"]]), "shallow roots are not allowed"),
            (answer(&[&["shallow-info", &format!("unshallow {A}")], &["packfile"]]), "shallow roots are not allowed"),
            (answer(&[&["packfile-uris", &format!("{A} https://x/")], &["packfile"]]), "unknown section"),
            (answer(&[&["wanted-refs", &format!("{A} refs/x")], &["packfile"]]), "unknown section"),
            (answer(&[&["ERR upload-pack: not our ref"]]), "remote error: upload-pack: not our ref"),
            ("0000".into(), "expected 'packfile'"),
            (format!("{}0002", answer(&[&["acknowledgments"]])), "expected 'packfile'"),
            ("0003".into(), "bad line length"),
            (answer(&[&["acknowledgments", "NAK"]]), "fill whole buffer"),
        ] {
            let error = until_pack(&mut said.as_bytes(), &|oid| oid == A).unwrap_err();
            assert!(error.to_string().contains(says), "{said:?}: {error}");
        }
    }

    #[test]
    fn a_pack_comes_in_pieces_to_its_end_or_is_cut() {
        let mut content = Vec::new();
        let text = format!("{}{}00050006\u{2}x0000rest", packet("\u{1}PACK"), packet("\u{2}Counting\n"))
            .replace("00050006", "0006");
        let mut from = text.as_bytes();
        assert_eq!(piece(&mut from, &mut content).unwrap(), Piece::Pack(b"PACK"));
        assert_eq!(piece(&mut from, &mut content).unwrap(), Piece::Said(b"Counting\n"));
        assert_eq!(piece(&mut from, &mut content).unwrap(), Piece::Said(b"x"));
        assert_eq!(piece(&mut from, &mut content).unwrap(), Piece::End);
        assert_eq!(from, b"rest");
        for (said, kind) in [
            ("0006\u{3}x", io::ErrorKind::Other),
            ("0006\u{4}x", io::ErrorKind::InvalidData),
            ("0004", io::ErrorKind::InvalidData),
            ("0009\u{1}x", io::ErrorKind::UnexpectedEof),
            ("0002", io::ErrorKind::UnexpectedEof),
            ("", io::ErrorKind::UnexpectedEof),
        ] {
            assert_eq!(piece(&mut said.as_bytes(), &mut content).unwrap_err().kind(), kind, "{said:?}");
        }
    }
}
