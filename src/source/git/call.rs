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
/// How long a question about refs may take.
const QUESTION: Duration = Duration::from_secs(60);

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
    pub fn git(&self, mirror: &Path, is_question: bool) -> Command {
        let protocol = match self.url.split_once("://") {
            Some((scheme, _)) => scheme,
            // scp-like `host:path`, or a plain path.
            None if self.url.starts_with('/') => "file",
            None => "ssh",
        };
        in_mirror(mirror)
            .env("GIT_CONFIG_GLOBAL", self.config.display().to_string())
            .env("GIT_ALLOW_PROTOCOL", protocol)
            .env("GIT_SSH_COMMAND", self.ssh())
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
            .env("GIT_HTTP_LOW_SPEED_TIME", "20")
            .timeout(if is_question { QUESTION } else { NETWORK })
    }

    /// The configuration's text: the URL, which may hold a token and so must not stand in argv; and for a local remote of
    /// another account exactly its path as trusted, since a `-c` does not reach the serving child.
    pub fn config_text(&self) -> String {
        let quoted = self.url.replace('\\', "\\\\").replace('"', "\\\"");
        let remote = format!("[remote \"{SOURCE}\"]\n\turl = \"{quoted}\"\n");
        match self.url.strip_prefix("file://").or(Some(self.url.as_str()).filter(|url| url.starts_with('/'))) {
            Some(path) => format!(
                "{remote}[safe]\n\tdirectory = \"{0}\"\n\tdirectory = \"{0}/.git\"\n",
                path.trim_end_matches('/')
            ),
            None => remote,
        }
    }

    /// The URL as it may be shown.
    pub fn shown(&self) -> String {
        super::preflight::without_password(&self.url)
    }

    fn ssh(&self) -> String {
        let ssh = "ssh -oBatchMode=yes -oConnectTimeout=10 -oServerAliveInterval=10 -oServerAliveCountMax=3";
        let Account { uid, gid, home, .. } = &self.owner;
        match self.owner.is_root() {
            true => ssh.to_owned(),
            false => format!(
                "setpriv --reuid={uid} --regid={gid} --init-groups --no-new-privs env -i HOME='{}' USER='{}' PATH=/usr/local/bin:/usr/bin:/bin LC_ALL=C {ssh}",
                home.display(),
                self.owner.name
            ),
        }
    }
}

/// What git said when a conversation with a remote failed, as one of the few things that an operator can do something about.
pub fn explain(remote: &str, output: &Output) -> Error {
    let said = output.stderr.join("\n");
    let has = |needles: &[&str]| needles.iter().any(|needle| said.contains(needle));
    let error = |what: String| Error::failed(what).detail(significant(&output.stderr));
    if output.status.is_none()
        || has(&["Operation too slow", "transfer closed", "timed out", "Timeout", "not responding"])
    {
        return error(format!("{remote} did not answer in time"))
            .hint("look at the network and at the server, then run this again; nothing was changed");
    }
    if has(&["Could not resolve host", "Name or service not known", "Temporary failure in name resolution"]) {
        return error(format!("the host name in {remote} cannot be resolved"))
            .hint("look at the name and at the resolver: getent hosts NAME");
    }
    if has(&[
        "Failed to connect",
        "Connection refused",
        "No route to host",
        "Network is unreachable",
        "Couldn't connect",
        "Connection reset",
    ]) {
        return error(format!("{remote} cannot be reached"))
            .hint("look at the network and at the server, then run this again");
    }
    if has(&[
        "Authentication failed",
        "could not read Username",
        "could not read Password",
        "Permission denied",
        "HTTP 401",
        "HTTP 403",
        "returned error: 401",
        "returned error: 403",
    ]) {
        return error(format!("{remote} refused the authentication")).hint(
            "over ssh the keys of the install's owner are used: try, as that account, `git ls-remote` with this URL",
        );
    }
    if has(&["Host key verification failed"]) {
        return error(format!("the host key of {remote} is not known to the install's owner"))
            .hint("as the owner, compare the key with its published fingerprint and add it to ~/.ssh/known_hosts");
    }
    if has(&["couldn't find remote ref", "Couldn't find remote ref"]) {
        return error(format!("{remote} has no such branch or tag"))
            .hint("correct `branch` in the manifest, or ask upstream what became of it");
    }
    if has(&["does not appear to be a git repository", "not found", "does not exist", "No such file"]) {
        return error(format!("{remote} is no git repository that this host can see"))
            .hint("correct `url` in the manifest");
    }
    if has(&["dubious ownership"]) {
        return error(format!("git does not trust the owner of {remote}"));
    }
    error(format!("talking to {remote} failed: git {}", output.ending()))
}

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
