//! The tables of the sources besides git.

#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Packages of the distribution's package manager.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Packages {
    /// The packages that are upgraded; `*` stands for anything, of what is installed. Nothing else is upgraded, unless one of
    /// them needs it. The first one's version is the release's.
    pub packages: Vec<String>,
    /// The only repositories that they, and what they need, come from; `*` stands for anything. apt: the name of a file in
    /// sources.list.d without its ending, the host in a URI, or a suite. dnf: ids, as for `--enablerepo`. Default: all that are
    /// configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<String>,
    /// `apt` or `dnf`. Default: the one whose packages this host is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager: Option<PackageManager>,
    /// How long the package manager may take for the transaction, maintainer scripts included. Default: `15min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// How long to wait for another package manager that holds the lock. Default: `1min`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_timeout: Option<String>,
    /// Configuration files of the packages that are merged by lines, absolute; `*` stands for anything: `["/etc/app/*.conf"]`. Where one was
    /// edited here, the edits stay and what the release changes comes in; where both changed the same lines, nothing is done and both
    /// sides are shown, without values. What is declared as `env` is merged key by key instead. Default: none; an edited one is kept,
    /// and the release's is put beside it (`.dpkg-dist`, `.rpmnew`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merge: Vec<String>,
    /// The versions that a run may move to by itself, in Cargo's notation. `2.4-1` of Debian counts as 2.4.0, `1:3.0~rc2-1` as
    /// 3.0.0-rc2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// A package manager.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    Apt,
    Dnf,
}

/// A Compose project: its files follow a release's reference files, its images follow a registry, or both. Give `reference`,
/// `image` or both.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Compose {
    /// The project's name, as `docker-compose -p` takes it.
    pub project: String,
    /// The Compose files, relative to the root, in the order in which they are merged.
    pub files: Vec<String>,
    /// The file that `${VARIABLE}` is looked up in, relative to the root. Default: `.env`, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_file: Option<String>,
    /// The profiles that are on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// What carries Compose out: `docker compose`, `docker-compose` or `podman-compose`. Default: the first of them that this host has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// The directory of the release's reference files, absolute; `{version}` in it stands for a version. Without that, a file
    /// `VERSION` in the directory names the version. Files of the same names below the root are kept up with them, and local
    /// changes stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The version whose reference files this host's stem from, for as long as no run was made here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopt: Option<String>,
    /// Images that follow a registry. They are pinned by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub image: Vec<ComposeImage>,
    /// Whether undoing a run puts the data of its backup back once the new containers were started. Default: false.
    #[serde(default, skip_serializing_if = "super::is_no")]
    pub restore_backup: bool,
    /// The versions that a run may move to by itself, in Cargo's notation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
}

/// An image that follows a registry. Give `tags` or `tag`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ComposeImage {
    /// The image without a tag: `registry.example:5000/app`. Who may pull it, `~/.docker/config.json` of root says.
    pub name: String,
    /// The services that run it.
    pub services: Vec<String>,
    /// Follow the newest tag of this shape: `v{version}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<String>,
    /// Follow this tag, which moves: `stable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
}

/// Release archives.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Archive {
    /// Where the archive of a version is: an http(s) URL, or an absolute path, with `{version}` in it:
    /// `https://example.org/app-{version}.tar.gz`. Read are tar archives, plain or packed by gzip, xz or zstd.
    pub url: String,
    /// The SHA-256 sums of releases, as sha256sum(1) writes them: a URL, or an absolute path. One file names every release, or,
    /// with `{version}` in it, each its own; then `latest` says which is the newest.
    pub checksums: String,
    /// The text file whose first line is the newest version: a URL, or an absolute path. Goes with `{version}` in `checksums`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// The versions that a run may move to by itself, in Cargo's notation. Prereleases are taken only where it names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<String>,
    /// Who must have signed the sums or the archives. Default: nobody, and releases count as unverified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<ArchiveVerify>,
    /// HTTP headers that are sent to the hosts of `url`, `checksums` and `latest`, a line `Name: value` each: the name of a
    /// systemd credential (systemd.exec(5)), or the absolute path of a file that root alone may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<String>,
    /// The largest archive that is fetched: `500MiB`, `4GiB`. Default: `2GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_fetch: Option<String>,
    /// The most that an archive may come to unpacked. Default: `8GiB`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_unpacked: Option<String>,
    /// `auto`: where everything in an archive is in one directory, that directory is left out. `never`: it is kept. Default: `auto`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip: Option<Strip>,
}

/// What becomes of the one directory that all of an archive is in.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Strip {
    Auto,
    Never,
}

/// Who must have signed: one of `minisign`, `allowed-signers` and `keyring`. The files are root's, outside the root of the install.
/// A signature lies beside what it is of: `.minisig`, `.sig` (`ssh-keygen -Y sign -n file`) or `.asc`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArchiveVerify {
    /// The public key of minisign(1): itself, or the absolute path of its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minisign: Option<String>,
    /// SSH keys that may sign, absolute: the file of `ssh-keygen -Y verify -f`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_signers: Option<String>,
    /// SSH keys that are revoked, absolute: a KRL or a list of public keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// OpenPGP keys, absolute: a keyring that gpgv reads. Goes with `fingerprints`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyring: Option<String>,
    /// The whole fingerprints of the OpenPGP keys that may sign: 40 or 64 hex digits each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
    /// What is signed: `checksums`, `archive`, or `both`. Of an archive alone, the signature (by the file's name, as minisign writes
    /// it) or a component's `version` file in the archive must say which version it is. Default: `checksums`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub over: Option<Over>,
    /// How old the newest signature may be before `check` warns that upstream may be frozen: `30d`. Goes with `minisign` and
    /// `keyring`, whose signatures are dated. Default: no bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
}

/// What is signed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Over {
    Checksums,
    Archive,
    Both,
}
