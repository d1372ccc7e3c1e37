//! The refs of a server over HTTP, asked for by ourselves where git would ask for nothing but them: one plain request, without
//! the libraries that git loads for it. It runs as the owner, in the place of git's helper, gitremote-helpers(7), and gives way
//! to it wherever the owner's configuration or the answer is not plain.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use ureq::http::Uri;

use super::listing::offered;
use crate::error::{Context, Error, Result};
use crate::host::http;

/// How long the request may take until git makes its own.
const BOUND: Duration = Duration::from_secs(10);

/// The system's configuration, git-config(1), of a git in /usr and of one in /usr/local.
const SYSTEM: [&str; 2] = ["/etc/gitconfig", "/usr/local/etc/gitconfig"];

/// The owner's, below the home.
const OWN: [&str; 2] = [".gitconfig", ".config/git/config"];

/// The sections, git-config(1), that change how a server is asked, or which one. With a `credential.helper` the answer would mostly be
/// that a password is wanted.
const TELLING: [&str; 7] = ["http", "url", "include", "includeif", "remote", "protocol", "credential"];

/// Answers one `list` on standard input, or becomes this git.
pub fn list(url: &str, git: &[OsString]) -> Result<()> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let is_ours = !is_configured(&home, url);
    if is_ours && !is_asked().context("standard input cannot be waited for")? {
        return Ok(());
    }
    match is_ours.then(|| refs(url)).flatten() {
        Some(refs) => answer(&refs).context("the refs cannot be passed on"),
        None => {
            let Some((program, words)) = git.split_first() else { return Err(Error::usage("git is not named")) };
            Err(Error::failed("git cannot be started").because(std::process::Command::new(program).args(words).exec()))
        }
    }
}

/// Waits until something is to be read, which is left there for git; `false`: nothing will be.
fn is_asked() -> nix::Result<bool> {
    let stdin = io::stdin();
    let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    while let Err(errno) = poll(&mut polled, PollTimeout::NONE) {
        if errno != Errno::EINTR {
            return Err(errno);
        }
    }
    Ok(polled[0].revents().is_some_and(|found| found.contains(PollFlags::POLLIN)))
}

/// Whether the owner's git may be told to ask this server in a way of its own. What cannot be read may say so.
fn is_configured(home: &Path, url: &str) -> bool {
    let files = SYSTEM.iter().map(PathBuf::from).chain(OWN.iter().map(|name| home.join(name)));
    let tells = |file: PathBuf| match file.try_exists() {
        Ok(is_there) => is_there && keys(&file).is_none_or(|keys| keys.iter().any(|key| tells(key, url))),
        Err(_) => true,
    };
    // libcurl takes a password from there without being asked for one.
    home.as_os_str().is_empty() || home.join(".netrc").exists() || files.into_iter().any(tells)
}

/// What a configuration sets, `section.subsection.name`.
fn keys(file: &Path) -> Option<Vec<String>> {
    let config = git2::Config::open(file).ok()?;
    let mut keys = Vec::new();
    config.entries(None).ok()?.for_each(|entry| keys.push(entry.name().ok().map(str::to_owned))).ok()?;
    keys.into_iter().collect()
}

/// Whether a key may count for a server: those of `http.URL` and `credential.URL` count for that host alone.
fn tells(key: &str, url: &str) -> bool {
    let (section, rest) = key.split_once('.').unwrap_or((key, ""));
    let host = |url: &str| Some(url.parse::<Uri>().ok()?.host()?.to_lowercase());
    let of = matches!(section, "http" | "credential").then(|| rest.rsplit_once('.')).flatten();
    let other =
        of.and_then(|(of, _)| host(of)).filter(|other| !other.contains('*') && Some(other) != host(url).as_ref());
    TELLING.contains(&section) && other.is_none()
}

/// What the server lists in protocol version 0, gitprotocol-http(5). `None`: it wants a password, leads elsewhere, is no git, or
/// anything else that git is to tell.
fn refs(url: &str) -> Option<Vec<String>> {
    let place = url.strip_suffix('/').unwrap_or(url);
    let is_plain = !place.ends_with('/') && !place.contains(['?', '#', '@', '\\']) && place.is_ascii();
    let asked = format!("{place}/info/refs?service=git-upload-pack");
    let answer = is_plain.then(|| http::get(&asked, &[("Accept".into(), "*/*".into())], BOUND).ok()).flatten()?;
    (answer.status == 200 && !answer.is_cut).then(|| offered(&answer.body)).flatten()
}

/// In the words of git's helper; to the end of the conversation, as one who writes into a pipe that nobody reads fails.
fn answer(refs: &[String]) -> io::Result<()> {
    let mut text: String = refs.iter().map(|line| format!("{line}\n")).collect();
    text.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::host::served;

    const URL: &str = "https://git.example.org/app.git";

    #[test]
    fn what_is_configured_of_how_this_server_is_asked_is_left_to_git() {
        let place = tempfile::tempdir().unwrap();
        let with = |text: &str| {
            let file = place.path().join("config");
            fs::write(&file, text).unwrap();
            keys(&file).is_none_or(|keys| keys.iter().any(|key| tells(key, URL)))
        };
        for text in [
            "",
            "[user]\n\tname = app\n[safe]\n\tdirectory = /opt/app\n",
            "[Credential \"https://source.example.com\"]\n\thelper = x\n",
            "[http \"https://git.example.org.other:443/\"]\n\textraHeader = X: y\n",
        ] {
            assert!(!with(text), "{text}");
        }
        for text in [
            "[HTTP]\n\tproxy = p:1\n",
            "[http \"https://Git.example.org/app.git\"]\n\textraHeader = X: y\n",
            "[http \"https://*.example.org\"]\n\textraHeader = X: y\n",
            "[http \"git.example.org\"]\n\textraHeader = X: y\n",
            "[url \"git@x:\"]\n\tinsteadOf = https://other/\n",
            "[include]\n\tpath = x\n",
            "[includeIf \"gitdir:/\"]\n\tpath = x\n",
            "[remote \"source\"]\n\tproxy = p:1\n",
            "[protocol \"https\"]\n\tallow = never\n",
            "[credential]\n\thelper = store\n",
            "[credential \"https://me@git.example.org:8443\"]\n\thelper = store\n",
            "[user\n",
        ] {
            assert!(with(text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_may_say_anything() {
        let place = tempfile::tempdir().unwrap();
        let home = place.path();
        // The same whatever this machine's own configuration says.
        let with = |name: &str| {
            fs::create_dir_all(home.join(name)).unwrap();
            let told = is_configured(home, URL);
            fs::remove_dir(home.join(name)).unwrap();
            told
        };
        assert!(with(".netrc") && with(".gitconfig") && with(".config/git/config"));
        assert!(is_configured(Path::new(""), URL));
    }

    fn told(answer: &str) -> Option<Vec<String>> {
        let answer = format!("HTTP/1.1 {answer}");
        let (url, server) = served::server(vec![vec![answer.into_bytes()]], Duration::ZERO);
        let told = refs(&format!("{url}/app.git/"));
        let asked = server.join().unwrap().remove(0);
        assert!(asked.starts_with("get /app.git/info/refs?service=git-upload-pack http/1.1"), "{asked}");
        told
    }

    #[test]
    fn a_list_is_taken_and_everything_else_is_for_git_to_tell() {
        let oid = "a".repeat(40);
        let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
        let body = |service: &str| {
            let (head, main) = (format!("{oid} HEAD\0side-band\n"), format!("{oid} refs/heads/main\n"));
            format!("{}0000{}{}0000", packet(service), packet(&head), packet(&main))
        };
        let ok = |body: &str| told(&format!("200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
        let whole = body("# service=git-upload-pack\n");
        assert_eq!(ok(&whole).unwrap(), [format!("{oid} HEAD"), format!("{oid} refs/heads/main")]);
        assert_eq!(ok(&body("# service=git-receive-pack\n")), None);
        assert_eq!(ok(&whole[..whole.len() - 8]), None, "it ends too early");
        assert_eq!(ok(&format!("{oid}\trefs/heads/main\n")), None, "a server of files");
        assert_eq!(ok(""), None);
        for status in ["401 No", "404 No", "500 No", "302 Found\r\nLocation: http://127.0.0.1:1/"] {
            assert_eq!(told(&format!("{status}\r\nContent-Length: {}\r\n\r\n{whole}", whole.len())), None, "{status}");
        }
    }

    #[test]
    fn a_url_that_git_reads_in_its_own_way_is_asked_by_git_alone() {
        for url in
            ["http://user@127.0.0.1:1/a", "http://127.0.0.1:1/a?b", "http://127.0.0.1:1/a//", "http://127.0.0.1:1/ä"]
        {
            assert_eq!(refs(url), None);
        }
    }
}
