//! `[source.archive]`: release archives, and who vouches for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::{Version, VersionReq};

use super::{Credential, Keyring, SshSigners};

/// What stands for the version in a place.
pub const VERSION: &str = "{version}";

/// `[source.archive]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSource {
    /// Where the archive of a version is, with `{version}` in it.
    pub url: Location,
    /// The file of SHA-256 sums; of each release its own where it has `{version}` in it.
    pub checksums: Location,
    /// The file that names the newest version; given with `{version}` in `checksums` alone.
    pub latest: Option<Location>,
    /// Versions that a run may move to by itself.
    pub allow: Option<VersionReq>,
    /// Who must have signed what; `None`: nobody.
    pub verify: Option<ArchiveVerify>,
    /// Headers that open the remote.
    pub headers: Option<Credential>,
    /// The largest archive, bytes.
    pub max_fetch: u64,
    /// The most that one comes to, bytes.
    pub max_unpacked: u64,
    /// Whether the one directory that all of an archive is in is left out.
    pub strips: bool,
}

/// An http(s) URL or an absolute path, which may have `{version}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location(pub String);

/// `verify` of `[source.archive]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveVerify {
    /// Who may sign.
    pub signers: Signers,
    /// Whether the sums are signed.
    pub checksums: bool,
    /// Whether each archive is signed.
    pub archive: bool,
    /// How old the newest signature may be before upstream seems frozen.
    pub max_age: Option<Duration>,
}

/// Keys that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signers {
    /// The public key of minisign(1), in base64.
    Minisign(String),
    /// The file of one.
    MinisignFile(PathBuf),
    /// SSH keys.
    Ssh(SshSigners),
    /// OpenPGP keys.
    OpenPgp(Keyring),
}

impl ArchiveSource {
    /// Whether each release has a file of sums of its own.
    pub fn has_sums_of_each(&self) -> bool {
        self.checksums.has_version()
    }
}

impl Location {
    /// Whether it has a version in it.
    pub fn has_version(&self) -> bool {
        self.0.contains(VERSION)
    }

    /// The place of a version.
    pub fn of(&self, version: &Version) -> Location {
        Location(self.0.replace(VERSION, &version.to_string()))
    }

    /// The same with something appended to its path.
    pub fn beside(&self, suffix: &str) -> Location {
        match self.is_remote().then(|| self.0.split_once('?')).flatten() {
            Some((path, query)) => Location(format!("{path}{suffix}?{query}")),
            None => Location(format!("{}{suffix}", self.0)),
        }
    }

    /// Whether it is asked for by HTTP.
    pub fn is_remote(&self) -> bool {
        !self.0.starts_with('/')
    }

    /// The last part of its path.
    pub fn name(&self) -> &str {
        let path = if self.is_remote() { self.0.split(['?', '#']).next().unwrap_or_default() } else { &self.0 };
        path.rsplit('/').next().unwrap_or_default()
    }

    /// As it is shown: a query may hold a secret.
    pub fn shown(&self) -> &str {
        if self.is_remote() { self.0.split('?').next().unwrap_or_default() } else { &self.0 }
    }

    /// The version of the archive of this name, or `None` where it is another's.
    pub fn version_of(&self, name: &str) -> Option<Version> {
        let (prefix, rest) = self.name().split_once(VERSION)?;
        let rest_of_name = name.strip_prefix(prefix)?;
        let suffix = rest.split(VERSION).last().unwrap_or_default();
        // With the version in it twice, the first ends where the name says the same again.
        let ends = rest_of_name.match_indices(rest.split(VERSION).next().unwrap_or_default()).map(|(at, _)| at);
        let of = |text: &str| {
            Version::parse(text).ok().filter(|version| self.name().replace(VERSION, &version.to_string()) == name)
        };
        rest_of_name
            .strip_suffix(suffix)
            .and_then(of)
            .or_else(|| ends.into_iter().find_map(|at| of(&rest_of_name[..at])))
    }
}

impl ArchiveVerify {
    /// The files that say whom to trust, with their keys.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        match &self.signers {
            Signers::Minisign(_) => Vec::new(),
            Signers::MinisignFile(file) => vec![("minisign", file)],
            Signers::Ssh(ssh) => {
                let revoked = ssh.revoked.as_deref().map(|path| ("revoked", path));
                std::iter::once(("allowed-signers", ssh.allowed_signers.as_path())).chain(revoked).collect()
            }
            Signers::OpenPgp(keyring) => vec![("keyring", &keyring.file)],
        }
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archives_name_tells_its_version_and_no_other_name_does() {
        let version = |url: &str, name: &str| Location(url.into()).version_of(name).map(|version| version.to_string());
        let plain = "https://example.org/v{version}/app-{version}.tar.gz?token=x";
        assert_eq!(version(plain, "app-1.2.0.tar.gz").as_deref(), Some("1.2.0"));
        assert_eq!(version(plain, "app-1.2.0-rc.1+b.tar.gz").as_deref(), Some("1.2.0-rc.1+b"));
        for other in ["app-1.2.tar.gz", "app-1.2.0.tar.xz", "lib-1.2.0.tar.gz", "app-.tar.gz", "app-1.2.0.tar.gz.sig"] {
            assert_eq!(version(plain, other), None, "{other}");
        }
        assert_eq!(version("/srv/{version}-app-{version}.tar", "1.0.0-app-1.0.0.tar").as_deref(), Some("1.0.0"));
        assert_eq!(version("/srv/{version}-app-{version}.tar", "1.0.0-app-1.0.1.tar"), None);
    }

    #[test]
    fn a_query_is_never_shown_and_stays_behind_what_is_beside() {
        let place = Location("https://example.org/SHA256SUMS?token=x".into());
        assert_eq!((place.shown(), place.name()), ("https://example.org/SHA256SUMS", "SHA256SUMS"));
        assert_eq!(place.beside(".minisig").0, "https://example.org/SHA256SUMS.minisig?token=x");
        assert_eq!(Location("/srv/a?b".into()).beside(".sig").0, "/srv/a?b.sig");
    }
}
