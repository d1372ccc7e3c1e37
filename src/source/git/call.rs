//! Calling git: argv only, nothing inherited, a bound on time, and words for what it says when it fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::{Command, Output};

/// How long a local git command may take; the largest measured switch took seconds.
pub const LOCAL: Duration = Duration::from_secs(600);
/// How long a conversation with a remote may take in all; a silent one is ended long before by `http.lowSpeedTime` and ssh.
const NETWORK: Duration = Duration::from_secs(1800);

/// Settings that take every hook, monitor and background job out of a repository's own configuration.
const QUIET: [&str; 12] = [
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "maintenance.auto=false",
    "-c",
    "gc.auto=0",
    "-c",
    "core.fsync=all",
    "-c",
    "advice.detachedHead=false",
];

/// git in the checkout, as its owner.
pub fn in_checkout(owner: &Account, root: &Path) -> Command {
    base(Command::new(["git"]).account(owner), root).timeout(LOCAL)
}

/// git in our mirror, as the caller, with no configuration but the mirror's own.
pub fn in_mirror(mirror: &Path) -> Command {
    base(Command::new(["git"]), mirror)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .timeout(LOCAL)
}

fn base(command: Command, directory: &Path) -> Command {
    command
        .args(QUIET)
        .args(["-C"])
        .args([directory])
        .cwd("/")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_OPTIONAL_LOCKS", "0")
        .env("GIT_ASKPASS", "/bin/false")
        .env("LC_ALL", "C")
}

/// What our own configuration calls the remote.
pub const SOURCE: &str = "source";

/// The remote of an install: its pinned URL, and the account whose ssh keys open it.
#[derive(Debug, Clone)]
pub struct Remote {
    /// The URL.
    pub url: String,
    /// The owner of the checkout: ssh runs as this account, with its keys and known hosts, as `git pull` by hand did.
    pub owner: Account,
    /// A configuration of our own, in which git trusts exactly the pinned path of a local remote.
    pub config: PathBuf,
}

impl Remote {
    /// git in our mirror, about to talk to the remote.
    pub fn git(&self, mirror: &Path) -> Command {
        in_mirror(mirror)
            .env("GIT_CONFIG_GLOBAL", self.config.display().to_string())
            .env("GIT_ALLOW_PROTOCOL", self.protocol())
            .env("GIT_SSH_COMMAND", self.ssh())
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
            .env("GIT_HTTP_LOW_SPEED_TIME", "20")
            .timeout(NETWORK)
    }

    /// git's name for how it is talked to.
    fn protocol(&self) -> &str {
        match self.url.split_once("://") {
            Some(("git+ssh" | "ssh+git", _)) => "ssh",
            Some((scheme, _)) => scheme,
            // scp-like `host:path`, or a plain path.
            None if self.url.starts_with('/') => "file",
            None => "ssh",
        }
    }

    /// The configuration's text: the URL, which may hold a token and so must not stand in argv; and for a local remote of
    /// another account exactly its path as trusted, since a `-c` does not reach the serving child.
    pub fn config_text(&self) -> String {
        let remote = format!("[remote \"{SOURCE}\"]\n\turl = \"{}\"\n", escaped(&self.url));
        match self.url.strip_prefix("file://").or(Some(self.url.as_str()).filter(|url| url.starts_with('/'))) {
            Some(path) => format!(
                "{remote}[safe]\n\tdirectory = \"{0}\"\n\tdirectory = \"{0}/.git\"\n",
                escaped(path.trim_end_matches('/'))
            ),
            None if matches!(self.protocol(), "http" | "https") => {
                format!("{remote}[credential]\n\thelper = \"{}\"\n", escaped(&self.credentials()))
            }
            None => remote,
        }
    }

    /// The helper that gives what the owner's own git would (gitcredentials(7)), asked as the owner; it stores nothing.
    fn credentials(&self) -> String {
        format!(
            "!f() {{ test \"$1\" = get && {} GIT_TERMINAL_PROMPT=0 GIT_ASKPASS=/bin/false git -C / credential fill 2>/dev/null; }}; f",
            self.as_owner()
        )
    }

    /// The URL as it may be shown.
    pub fn shown(&self) -> String {
        super::preflight::without_password(&self.url)
    }

    /// The same question as the account whose keys and credentials are used.
    fn try_by_hand(&self) -> String {
        match self.owner.is_root() {
            true => format!("try it: git ls-remote {}", self.shown()),
            false => format!(
                "the keys and credentials of {0} are used, try it as that account: runuser -l {0} -s /bin/sh -c 'git ls-remote {1}'",
                self.owner.name,
                self.shown()
            ),
        }
    }

    fn ssh(&self) -> String {
        let ssh = "ssh -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=10 -oServerAliveCountMax=3";
        format!("{} {ssh}", self.as_owner())
    }

    /// What comes before a command of a shell's to make it the owner's, with nothing of ours.
    fn as_owner(&self) -> String {
        let Account { uid, gid, home, name } = &self.owner;
        let become_owner = match self.owner.is_root() {
            true => String::new(),
            false => format!("setpriv --reuid={uid} --regid={gid} --init-groups --no-new-privs "),
        };
        format!(
            "{become_owner}env -i HOME={} USER={} PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C",
            quoted(&home.to_string_lossy()),
            quoted(name)
        )
    }
}

/// A word of a shell's, whatever it holds.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// A value between the quotes of a git configuration.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// What git said when a conversation with a remote failed, as one of the few things that an operator can do something about.
pub fn explain(remote: &Remote, output: &Output) -> Error {
    let said = output.stderr.join("\n");
    let shown = remote.shown();
    let trouble = TROUBLES.iter().find(|(needles, _)| needles.iter().any(|needle| said.contains(needle)));
    let trouble = match output.status {
        None => Trouble::Silent,
        Some(_) => trouble.map_or(Trouble::Other, |(_, trouble)| *trouble),
    };
    let (what, hint) = match trouble {
        Trouble::Silent => (
            format!("{shown} did not answer in time"),
            "look at the network and at the server, then run this again".into(),
        ),
        Trouble::Name => (
            format!("the host name in {shown} cannot be resolved"),
            "look at the name and at the resolver: getent hosts NAME".into(),
        ),
        Trouble::Unreachable => {
            (format!("{shown} cannot be reached"), "look at the network and at the server, then run this again".into())
        }
        Trouble::HostKey => (
            format!("the ssh host key of {shown} is not known to {}, or it is another than before", remote.owner.name),
            "as that account, compare the key with its published fingerprint, and add it to ~/.ssh/known_hosts".into(),
        ),
        Trouble::Refused => (format!("{shown} refused the authentication"), remote.try_by_hand()),
        Trouble::Certificate => (
            format!("the certificate of {shown} is not trusted by this host"),
            "add its issuer to /usr/local/share/ca-certificates, then run update-ca-certificates".into(),
        ),
        Trouble::Missing => (
            format!("{shown} is no git repository that this host can see"),
            format!("correct `url` in the manifest; {}", remote.try_by_hand()),
        ),
        Trouble::Objects => (
            format!("{shown} sent an object that git's own check refuses"),
            "ask upstream to look: git fsck; nothing of it was kept".into(),
        ),
        Trouble::Lost => (
            format!("the connection to {shown} was lost before everything was there"),
            "look at the network and at the server, then run this again; nothing of what came is used".into(),
        ),
        Trouble::Other => (format!("talking to {shown} failed: git {}", output.ending()), remote.try_by_hand()),
    };
    Error::failed(what).detail(significant(&output.stderr)).hint(hint)
}

#[derive(Clone, Copy)]
enum Trouble {
    Silent,
    Name,
    Unreachable,
    HostKey,
    Refused,
    Certificate,
    Missing,
    Objects,
    Lost,
    Other,
}

/// What git, curl and ssh say, most telling first.
const TROUBLES: [(&[&str], Trouble); 9] = [
    (&["Host key verification failed", "HOST IDENTIFICATION HAS CHANGED"], Trouble::HostKey),
    (&["Could not resolve host", "Name or service not known", "name resolution"], Trouble::Name),
    (&["Operation too slow", "timed out", "Timeout", "not responding"], Trouble::Silent),
    (
        &[
            "Failed to connect",
            "Connection refused",
            "No route to host",
            "Network is unreachable",
            "Couldn't connect",
            "Could not connect",
            "Connection reset",
        ],
        Trouble::Unreachable,
    ),
    (&["certificate"], Trouble::Certificate),
    (
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "returned error: 401",
            "returned error: 403",
        ],
        Trouble::Refused,
    ),
    (&["does not appear to be a git repository", "not found", "does not exist", "No such file"], Trouble::Missing),
    (&["fsck error"], Trouble::Objects),
    // Last: git says so as well where something above is why.
    (
        &[
            "early EOF",
            "unexpected disconnect",
            "of body are still expected",
            "hung up unexpectedly",
            "Empty reply from server",
            "transfer closed",
            "Recv failure",
        ],
        Trouble::Lost,
    ),
];

fn significant(lines: &[String]) -> Vec<String> {
    let lines: Vec<_> =
        lines.iter().map(|line| crate::text::harmless(line)).filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(5)..].to_vec()
}

/// Runs a git command and gives its standard output as text; an unhappy end is an error with what git said.
pub fn text(command: Command, doing: &str) -> Result<String> {
    let output = command.output()?;
    match output.success() {
        true => Ok(output.text()),
        false => Err(Error::failed(format!("{doing}: git {}", output.ending())).detail(significant(&output.stderr))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_home_with_quotes_and_spaces_is_a_word_and_not_a_command_of_root() {
        let home = PathBuf::from("/srv/o'neil \"x\" $(id); touch y");
        let owner = Account { name: "app".into(), uid: 0, gid: 0, home: home.clone() };
        let remote = Remote { url: "https://git.example.org/a.git".into(), owner, config: PathBuf::new() };
        let shell = Command::new(["sh", "-c", &format!("{} printenv HOME", remote.as_owner())]);
        assert_eq!(shell.succeed().unwrap().text(), home.to_str().unwrap());

        let place = tempfile::tempdir().unwrap();
        let config = place.path().join("config");
        std::fs::write(&config, remote.config_text()).unwrap();
        let read = |key: &str| {
            let git = Command::new(["git", "config", "--file"]).args([config.as_os_str()]).args(["--get", key]);
            git.succeed().unwrap().text()
        };
        assert_eq!(read("remote.source.url"), remote.url);
        assert_eq!(read("credential.helper"), remote.credentials());
    }
}
