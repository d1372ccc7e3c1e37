//! The refs that a remote lists, asked of git's helper for HTTP in its own words, gitremote-helpers(7): that takes neither
//! a repository nor a git of root's beside it. Those of a local repository tells git-upload-pack(1), and over ssh git lists
//! them itself.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::sync::mpsc::Receiver;

use super::call::explain;
use super::mirror::Refs;
use super::packet;
use super::remote::Remote;
use super::v2::Server;
use crate::error::Result;
use crate::host::process::Command;

/// How much a list may hold.
const LONGEST: u64 = 64 << 20;

/// What a server is asked for.
pub(super) enum Question {
    /// All refs: one request, whatever version the server speaks.
    All,
    /// The refs whose names begin so.
    Refs(String),
}

/// What a server lists over HTTP, asked once it is `wanted`. One that is not any more is asked nothing.
pub(super) fn of_http(
    remote: &Remote,
    command: Command,
    question: Question,
    wanted: Receiver<()>,
) -> Result<Option<Refs>> {
    let (listed, output) = command.converse(move |stdin, stdout| {
        wanted.recv().map_err(io::Error::other)?;
        ask(stdin, stdout, &question)
    })?;
    match output.success() {
        // An answer that is none: a fetch tells what is wrong with it.
        true => Ok(listed.and_then(io::Result::ok)),
        false => Err(explain(remote, &output)),
    }
}

/// What an answer to the request for all refs holds, a line each, gitprotocol-http(5); `None` where it is none.
pub(super) fn offered(mut answer: &[u8]) -> Option<Vec<String>> {
    let service = packet::lines(&mut answer).ok()?;
    let lines = packet::lines(&mut answer).ok()?;
    let is_ours = service == ["# service=git-upload-pack"] && answer.is_empty();
    is_ours.then(|| lines.iter().map(|line| plain(line).to_owned()).collect())
}

/// What `upload-pack` lists of a local repository.
pub(super) fn of_local(remote: &Remote, upload_pack: Command) -> Result<Option<Refs>> {
    let output = upload_pack.output()?;
    match output.success() {
        // As above.
        true => Ok(packet::lines(&mut output.stdout.as_slice()).ok().map(|lines| advertised(&lines))),
        false => Err(explain(remote, &output)),
    }
}

/// What is listed in protocol version 0, gitprotocol-pack(5): what the server can do stands behind the first name.
fn advertised(lines: &[String]) -> Refs {
    refs(lines.iter().map(|line| plain(line)))
}

fn plain(line: &str) -> &str {
    line.split('\0').next().unwrap_or_default()
}

/// `OID NAME` a line; what else a list has (an alias, where an annotated tag leads) is no ref of its own.
pub(super) fn refs<'a>(lines: impl Iterator<Item = &'a str>) -> Refs {
    let entries = lines.filter_map(|line| line.split_once([' ', '\t']));
    let plain = entries.filter(|(oid, name)| is_oid(oid) && name.starts_with("refs/") && !name.ends_with("^{}"));
    plain.map(|(oid, name)| (name.to_owned(), oid.to_owned())).collect()
}

fn is_oid(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The conversation with git's helper.
fn ask(mut to: impl Write, from: impl Read, question: &Question) -> io::Result<Refs> {
    let mut from = BufReader::new(from.take(LONGEST));
    let lines = match question {
        Question::All => list(&mut to, &mut from)?,
        Question::Refs(prefix) => {
            to.write_all(b"stateless-connect git-upload-pack\n")?;
            let mut line = String::new();
            from.read_line(&mut line)?;
            match line.as_str() {
                "\n" => ls_refs(&mut to, &mut from, prefix)?,
                // A server of an older version.
                "fallback\n" => list(&mut to, &mut from)?,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    };
    drop(to);
    // To its end: a helper that cannot write its last word fails.
    io::copy(&mut from, &mut io::sink())?;
    Ok(refs(lines.iter().map(String::as_str)))
}

/// Everything that the server has, in the helper's words.
fn list(to: &mut impl Write, from: &mut impl BufRead) -> io::Result<Vec<String>> {
    to.write_all(b"list\n")?;
    to.flush()?;
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match from.read_line(&mut line)? {
            // A list ends with an empty line.
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if line == "\n" => break,
            _ => lines.push(line.trim_end_matches('\n').to_owned()),
        }
    }
    // An empty line ends the conversation; one that just ends is an error to the helper.
    to.write_all(b"\n")?;
    to.flush()?;
    Ok(lines)
}

/// What is asked for, in protocol version 2.
fn ls_refs(to: &mut impl Write, from: &mut impl Read, prefix: &str) -> io::Result<Vec<String>> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let server = Server::of(&packet::lines(from)?).ok_or_else(invalid)?;
    to.write_all(server.ls_refs(&[prefix]).as_bytes())?;
    to.flush()?;
    let lines = packet::lines(from)?;
    if lines.iter().any(|line| line.starts_with("ERR ")) { Err(invalid()) } else { Ok(lines) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::git::packet::packet;

    const MAIN: &str = "1111111111111111111111111111111111111111";
    const TAG: &str = "2222222222222222222222222222222222222222";

    /// What is found, and what was asked, of a helper that says this.
    fn told_of(said: &str, question: Question) -> (io::Result<Refs>, String) {
        let mut asked = Vec::new();
        let found = ask(&mut asked, said.as_bytes(), &question);
        (found, String::from_utf8(asked).unwrap())
    }

    fn told(said: &str) -> (io::Result<Refs>, String) {
        told_of(said, Question::Refs("refs/heads/main".into()))
    }

    #[test]
    fn a_server_of_version_two_is_asked_for_what_is_followed_and_nothing_else() {
        let offered = format!("{}{}0000", packet("version 2\n"), packet("ls-refs=unborn\n") + &packet("fetch\n"));
        let answer = format!("{}00000002", packet(&format!("{MAIN} refs/heads/main\n")));
        let (found, asked) = told(&format!("\n{offered}{answer}"));
        assert_eq!(found.unwrap(), Refs::from([("refs/heads/main".into(), MAIN.into())]));
        assert_eq!(
            asked,
            "stateless-connect git-upload-pack\n0014command=ls-refs\n0001001fref-prefix refs/heads/main\n0000"
        );
    }

    #[test]
    fn an_older_server_lists_all_it_has() {
        let list = format!(
            "fallback\n@refs/heads/main HEAD\n{MAIN} refs/heads/main\n{TAG} refs/tags/v1\n{MAIN} refs/tags/v1^{{}}\n\n"
        );
        let (found, asked) = told(&list);
        let both = [("refs/heads/main".into(), MAIN.into()), ("refs/tags/v1".into(), TAG.into())];
        assert_eq!(found.unwrap(), Refs::from(both));
        assert_eq!(asked, "stateless-connect git-upload-pack\nlist\n\n");
    }

    #[test]
    fn all_refs_are_asked_for_at_once_and_a_list_without_its_end_is_none() {
        let list = format!("@refs/heads/main HEAD\n{MAIN} refs/heads/main\n");
        let (found, asked) = told_of(&format!("{list}\n"), Question::All);
        assert_eq!(found.unwrap(), Refs::from([("refs/heads/main".into(), MAIN.into())]));
        assert_eq!(asked, "list\n\n");
        assert!(told_of(&list, Question::All).0.is_err());
        assert!(told(&format!("fallback\n{list}")).0.is_err());
    }

    #[test]
    fn the_first_ref_that_a_local_repository_tells_is_one_without_what_it_can_do() {
        let text = format!(
            "{}{}{}{}0000",
            packet(&format!("{MAIN} refs/heads/main\0multi_ack agent=git/2\n")),
            packet(&format!("{TAG} refs/tags/v1\n")),
            packet(&format!("{MAIN} refs/tags/v1^{{}}\n")),
            packet(&format!("shallow {MAIN}\n")),
        );
        let lines = packet::lines(&mut text.as_bytes()).unwrap();
        let both = [("refs/heads/main".into(), MAIN.into()), ("refs/tags/v1".into(), TAG.into())];
        assert_eq!(advertised(&lines), Refs::from(both));
        let none = packet(&format!("{} capabilities^{{}}\0multi_ack\n", "0".repeat(40)));
        assert_eq!(advertised(&packet::lines(&mut format!("{none}0000").as_bytes()).unwrap()), Refs::new());
        assert!(packet::lines(&mut none.as_bytes()).is_err(), "cut off");
    }

    #[test]
    fn an_answer_that_is_cut_off_or_none_at_all_is_no_list() {
        let can = packet("ls-refs\n") + &packet("fetch\n");
        let offered = format!("\n{}{can}0000", packet("version 2\n"));
        for said in [
            String::new(),
            "unsupported\n".into(),
            "\n".into(),
            format!("\n{}{can}0000", packet("version 3\n")),
            offered.clone(),
            format!("{offered}{}", packet(&format!("{MAIN} refs/heads/main\n"))),
            format!("{offered}{}0000", packet("ERR access denied\n")),
            format!("{offered}fff0{MAIN}"),
            format!("{offered}zzzz0000"),
            format!("{offered}0003"),
        ] {
            assert!(told(&said).0.is_err(), "{said:?}");
        }
    }
}
