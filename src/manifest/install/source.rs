//! Where releases come from, and who vouches for them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::VersionReq;

use super::{ArchiveSource, RelPath};

/// Where releases come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A git checkout.
    Git(GitSource),
    /// Packages of the distribution's package manager.
    Packages(PackagesSource),
    /// A Compose project.
    Compose(ComposeSource),
    /// Release archives.
    Archive(ArchiveSource),
}

/// The kinds of sources, as the manifest's tables are called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// `[source.git]`. What an older version recorded is of this kind.
    #[default]
    Git,
    /// `[source.packages]`.
    Packages,
    /// `[source.compose]`.
    Compose,
    /// `[source.archive]`.
    Archive,
}

impl Source {
    /// Its kind.
    pub fn kind(&self) -> SourceKind {
        match self {
            Source::Git(_) => SourceKind::Git,
            Source::Packages(_) => SourceKind::Packages,
            Source::Compose(_) => SourceKind::Compose,
            Source::Archive(_) => SourceKind::Archive,
        }
    }

    /// The git source, where it is one.
    pub fn git(&self) -> Option<&GitSource> {
        match self {
            Source::Git(source) => Some(source),
            _ => None,
        }
    }

    /// Versions that a run may move to by itself.
    pub fn allow(&self) -> Option<&VersionReq> {
        match self {
            Source::Git(source) => source.allow.as_ref(),
            Source::Packages(source) => source.allow.as_ref(),
            Source::Compose(source) => source.allow.as_ref(),
            Source::Archive(source) => source.allow.as_ref(),
        }
    }

    /// Whether releases must be vouched for.
    pub fn is_verified(&self) -> bool {
        match self {
            Source::Git(source) => source.verify.is_some(),
            // The package manager verifies its repositories.
            Source::Packages(_) => true,
            Source::Archive(source) => source.verify.is_some(),
            Source::Compose(_) => false,
        }
    }

    /// Whether the release's own manifest is read, below the host's.
    pub fn reads_repository_manifest(&self) -> bool {
        self.git().is_some_and(|source| source.manifest)
    }
}

/// `[source.packages]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackagesSource {
    /// Names of the packages that are upgraded, `*` stands for anything; no other is, unless one of them needs it.
    pub packages: Vec<String>,
    /// The only repositories that they come from; empty: all that are configured.
    pub repositories: Vec<String>,
    /// Whose packages they are; `None`: of the manager that this host is made with.
    pub manager: Option<PackageManager>,
    /// How long the transaction may take.
    pub timeout: Duration,
    /// How long to wait for the package manager's lock.
    pub lock_timeout: Duration,
    /// Paths of configuration files that are merged by lines, `*` stands for anything.
    pub merge: Vec<String>,
    /// Versions that a run may move to by itself.
    pub allow: Option<VersionReq>,
}

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    /// apt-get(8) and dpkg(1).
    Apt,
    /// dnf(8) and rpm(8).
    Dnf,
}

/// `[source.compose]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeSource {
    /// The project's name.
    pub project: String,
    /// The Compose files, relative to the root, in the order in which they are merged.
    pub files: Vec<RelPath>,
    /// The file that variables are looked up in; `None`: `.env`, where it is there.
    pub env_file: Option<RelPath>,
    /// The profiles that are on.
    pub profiles: Vec<String>,
    /// What carries Compose out; `None`: what the host has.
    pub program: Option<ComposeProgram>,
    /// The directory of the reference files, absolute, maybe with `{version}` in it.
    pub reference: Option<String>,
    /// The version whose reference files the host's stem from before the first run.
    pub adopt: Option<String>,
    /// Images that follow a registry.
    pub images: Vec<ComposeImage>,
    /// Whether undo puts the backup's data back once new containers were started.
    pub restore_backup: bool,
    /// Versions that a run may move to by itself.
    pub allow: Option<VersionReq>,
}

/// What carries Compose out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComposeProgram {
    /// `docker compose`: the plugin, version 2.
    DockerPlugin,
    /// `docker-compose`: the program of its own, version 1 or 2.
    DockerCompose,
    /// `podman-compose`.
    PodmanCompose,
}

impl ComposeProgram {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [ComposeProgram; 3] =
        [ComposeProgram::DockerPlugin, ComposeProgram::DockerCompose, ComposeProgram::PodmanCompose];

    /// As it is written in a manifest and on a command line.
    pub fn word(self) -> &'static str {
        match self {
            ComposeProgram::DockerPlugin => "docker compose",
            ComposeProgram::DockerCompose => "docker-compose",
            ComposeProgram::PodmanCompose => "podman-compose",
        }
    }

    /// The program that has the containers.
    pub fn engine(self) -> &'static str {
        match self {
            ComposeProgram::DockerPlugin | ComposeProgram::DockerCompose => "docker",
            ComposeProgram::PodmanCompose => "podman",
        }
    }
}

/// An image that follows a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComposeImage {
    /// Registry and repository, without a tag.
    pub name: String,
    /// The services that run it.
    pub services: Vec<String>,
    /// What is followed.
    pub follow: ImageTag,
}

/// The tag of an image that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageTag {
    /// The newest of a shape.
    Shape(TagShape),
    /// One that moves.
    Moving(String),
}

/// `[source.git]`.
#[derive(Debug, Clone)]
pub struct GitSource {
    /// The pinned URL; the checkout's own remote must agree.
    pub url: String,
    /// What is followed.
    pub follow: Follow,
    /// Versions that a run may move to by itself.
    pub allow: Option<VersionReq>,
    /// The token that opens the remote, in place of what the owner's git knows.
    pub credential: Option<Credential>,
    /// The largest pack that one fetch may bring, bytes.
    pub max_fetch: u64,
    /// Tracked paths whose local changes a run may set aside.
    pub discard: Vec<RelPath>,
    /// Whether the work tree is kept to the installed components (git-sparse-checkout(1)); the default.
    pub sparse: bool,
    /// Whether the repository's own manifest is read, below the host's.
    pub manifest: bool,
    /// What must be signed, and by whom; `None`: nothing.
    pub verify: Option<Verify>,
}

/// What a fetch may bring where the manifest says nothing: 2 GiB.
const MAX_FETCH: u64 = 2 << 30;

impl GitSource {
    /// A source of which nothing else is said.
    pub fn following(url: &str, follow: Follow) -> GitSource {
        GitSource {
            url: url.to_owned(),
            follow,
            allow: None,
            credential: None,
            max_fetch: MAX_FETCH,
            discard: Vec::new(),
            sparse: true,
            manifest: false,
            verify: None,
        }
    }
}

/// `verify` of `[source.git]`. At least one of `ssh` and `openpgp` is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// What must be signed.
    pub signed: MustBeSigned,
    /// Keys of SSH.
    pub ssh: Option<SshSigners>,
    /// Keys of OpenPGP.
    pub openpgp: Option<Keyring>,
    /// How old the newest signature may be before upstream seems frozen.
    pub max_age: Option<Duration>,
}

/// What must be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MustBeSigned {
    /// The annotated tag of the release.
    Tag,
    /// Every commit on the first-parent way from the last known-good release.
    Commits,
    /// The newest commit.
    Tip,
}

/// SSH keys that may sign (ssh-keygen(1), ALLOWED SIGNERS).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSigners {
    /// Keys and whose they are.
    pub allowed_signers: PathBuf,
    /// Keys that are revoked: a KRL, or a list of public keys.
    pub revoked: Option<PathBuf>,
}

/// OpenPGP keys that may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyring {
    /// The keyring, as gpgv(1) reads it.
    pub file: PathBuf,
    /// The whole fingerprints of the keys that count, upper-case; of a primary key or of a subkey.
    pub fingerprints: Vec<String>,
}

/// Where a token is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// A credential that systemd passes on to the service that runs this, by its name: systemd.exec(5).
    Named(String),
    /// A file that root alone may read.
    File(PathBuf),
}

/// What a git source follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    /// A branch, fast-forward only.
    Branch(String),
    /// The newest tag of a shape.
    Tags(TagShape),
}

/// A tag name with one `{version}` in it: `manager-v{version}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagShape {
    /// What stands before the version.
    pub prefix: String,
    /// What stands after it.
    pub suffix: String,
}

impl Verify {
    /// The files that say whom to trust, with their keys.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let ssh = self.ssh.iter().flat_map(|ssh| {
            let revoked = ssh.revoked.as_deref().map(|path| ("revoked", path));
            std::iter::once(("allowed-signers", ssh.allowed_signers.as_path())).chain(revoked)
        });
        ssh.chain(self.openpgp.iter().map(|keyring| ("keyring", keyring.file.as_path()))).collect()
    }
}

impl TagShape {
    /// The version in a tag of this shape, or `None` where the tag is of another.
    pub fn version(&self, tag: &str) -> Option<semver::Version> {
        let text = tag.strip_prefix(&self.prefix)?.strip_suffix(&self.suffix)?;
        semver::Version::parse(text).ok()
    }

    /// The tag of a version.
    pub fn tag(&self, version: &semver::Version) -> String {
        format!("{}{version}{}", self.prefix, self.suffix)
    }
}

impl std::fmt::Display for TagShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{{version}}{}", self.prefix, self.suffix)
    }
}
