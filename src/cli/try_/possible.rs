//! Whether the show can be given here, and under which name the sample is installed in the twin.

use std::path::{Path, PathBuf};

use super::releases;
use crate::error::{Error, Kind, Result};
use crate::host::account::Account;
use crate::sample::{Release, Site};
use crate::twin::Twin;

/// What the twin and the sample call by name, and what brings it on a Debian host.
const PROGRAMS: [(&str, &str); 6] = [
    ("git", "git"),
    ("nsenter", "util-linux"),
    ("setpriv", "util-linux"),
    ("useradd", "passwd"),
    ("systemctl", "systemd"),
    ("loginctl", "systemd"),
];
/// Where they are looked for: the twin's own `PATH`.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Seconds that a release of the sample must hold: longer than the broken one lives.
const SOAK: u64 = 3;

/// This program, where a twin can be had; otherwise one sentence that says why not.
pub fn check() -> Result<PathBuf> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Error::new(
            Kind::NotPermitted,
            "relift try boots a throw-away copy of this host, which needs root",
        )
        .hint("run it from a root shell, or: sudo relift try"));
    }
    for (program, package) in PROGRAMS {
        if !PATH.iter().any(|directory| Path::new(directory).join(program).exists()) {
            return Err(Error::failed(format!("relift try needs {program}, which this host does not have"))
                .hint(format!("install it; on Debian: apt-get install {package}")));
        }
    }
    let program = crate::host::own::program()?;
    Twin::possible(&program)?;
    Ok(program)
}

/// A site whose paths and account this host does not have, so that the twin, a copy of it, does not have them either.
pub fn site() -> Result<(Site, Release)> {
    let names = std::iter::once("sample".to_owned()).chain((2..100).map(|number| format!("sample{number}")));
    let name = names.into_iter().find(|name| is_free(name));
    let name = name.ok_or_else(|| Error::failed("this host has an account or install for every name of the sample"))?;
    let site = Site { sparse: true, soak: SOAK, git_account: format!("{name}-git"), ..Site::new(&name) };
    let first = releases::first(&site);
    Ok((site.configure(&first), first))
}

fn is_free(name: &str) -> bool {
    let accounts = [name.to_owned(), format!("{name}-git")];
    let paths = ["/opt/", "/srv/git/", "/home/", "/etc/relift/", "/var/lib/relift/", "/var/cache/relift/"];
    let is_there = |prefix: &&str| {
        ["", ".git", ".toml"]
            .iter()
            .any(|suffix| Path::new(&format!("{prefix}{name}{suffix}")).symlink_metadata().is_ok())
    };
    accounts.iter().all(|account| Account::named(account).is_err()) && !paths.iter().any(is_there)
}
