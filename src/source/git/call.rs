//! Calling git: argv only, nothing inherited, a bound on time, and words for what it says when it fails.

use std::path::Path;
use std::time::Duration;

use super::remote::Remote;
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::{Command, Output};

/// How long a local git command may take; the largest measured switch took seconds.
pub const LOCAL: Duration = Duration::from_secs(600);

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

/// What git said when a conversation with a remote failed, as one of the few things that an operator can do something about.
pub fn explain(remote: &Remote, output: &Output) -> Error {
    let shown = remote.shown();
    let (what, hint) = match trouble(output) {
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
        Trouble::Shallow => (
            format!("{shown} is a shallow clone: it does not have the history of what it offers"),
            "set `url` to a whole repository, or complete that one: git fetch --unshallow".into(),
        ),
        Trouble::TooLarge => (
            format!("{shown} sends more than {} in one fetch", crate::text::bytes(remote.max_fetch)),
            "ask upstream whether that is meant; if it is, raise `max-fetch` under [source.git], or the caller's own bound: ulimit -f"
                .into(),
        ),
        Trouble::Lost => (
            format!("the connection to {shown} was lost before everything was there"),
            "look at the network and at the server, then run this again; nothing of what came is used".into(),
        ),
        Trouble::Other => (format!("talking to {shown} failed: git {}", output.ending()), remote.try_by_hand()),
    };
    Error::failed(what).detail(significant(&output.stderr)).hint(hint)
}

/// Whether a conversation may have failed for what is here, so that one that begins with nothing could do better.
pub(super) fn may_be_ours(output: &Output) -> bool {
    matches!(trouble(output), Trouble::Missing | Trouble::Objects | Trouble::Other)
}

fn trouble(output: &Output) -> Trouble {
    let said = output.stderr.join("\n");
    let known = TROUBLES.iter().find(|(needles, _)| needles.iter().any(|needle| said.contains(needle)));
    match output.status {
        None => Trouble::Silent,
        Some(_) => known.map_or(Trouble::Other, |(_, trouble)| *trouble),
    }
}

/// What git says of refs whose history the remote does not have: it leaves them out, and is content, git-fetch(1).
const SHALLOW: &str = "shallow roots are not allowed";

/// Whether a fetch that ended well left something out of what was asked for.
pub(super) fn left_refs_out(output: &Output) -> bool {
    output.stderr.iter().any(|line| line.contains(SHALLOW))
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
    Shallow,
    TooLarge,
    Lost,
    Other,
}

/// What git, curl and ssh say, most telling first.
const TROUBLES: [(&[&str], Trouble); 11] = [
    (&[SHALLOW], Trouble::Shallow),
    (&["died of signal 25", "File too large"], Trouble::TooLarge),
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
