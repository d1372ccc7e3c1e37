//! The validated values that the rest of the crate works with.

mod archive;
mod layout;
mod policy;
mod procedure;
mod source;

use std::path::{Path, PathBuf};
use std::time::Duration;

use regex::Regex;

pub use archive::*;
pub use layout::*;
pub use policy::*;
pub use procedure::*;
pub use source::*;

/// One application on this host, declared by one manifest.
#[derive(Debug, Clone)]
pub struct Install {
    /// The manifest's file name without `.toml`.
    pub name: String,
    /// The manifest that declared it.
    pub file: PathBuf,
    /// The checkout, absolute.
    pub root: PathBuf,
    /// The account that git and unprivileged steps run as.
    pub owner: String,
    /// Whether root runs commands of the release in the checkout as its owner has it, instead of in an export of what was
    /// verified.
    pub trust_checkout: bool,
    /// How it lies below the root.
    pub layout: Layout,
    /// What outlives releases, relative to a release; `.env` files do by themselves.
    pub shared: Vec<RelPath>,
    /// Where releases come from.
    pub source: Source,
    /// What is installed from it, in the order declared.
    pub components: Vec<Component>,
    /// Commands at standard places of a run, in the order declared.
    pub hooks: Vec<Hook>,
    /// What going to a version asks for, in the order declared.
    pub migrations: Vec<Migration>,
    /// What else talks to it, and which versions go together.
    pub peers: Vec<Peer>,
    /// Groups of component names that must share MAJOR.MINOR.
    pub lockstep: Vec<Vec<String>>,
    /// What of its data is backed up; `None`: nothing.
    pub backup: Option<Backup>,
    /// What may happen by itself, and how it must prove itself.
    pub policy: Policy,
    /// Who is told, and how.
    pub notify: Vec<super::Notify>,
    /// Whether who logs in is told what waits for an operator.
    pub motd: bool,
    /// What monitoring reads; `None`: nothing is written for it.
    pub monitoring: Option<Monitoring>,
    /// The repository's manifest, where the host asks for it and it is known.
    pub layered: Option<super::Layered>,
    /// What the operator should know and what stops nothing; never a secret.
    pub warnings: Vec<String>,
}

/// `[backup]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// Files and directories, relative to the root.
    pub paths: Vec<RelPath>,
    /// SQLite databases, relative to the root.
    pub sqlite: Vec<RelPath>,
    /// Named volumes of the Compose project, as its files call them.
    pub volumes: Vec<String>,
    /// How many backups are kept.
    pub keep: usize,
    /// When a run takes its backup.
    pub when: BackupWhen,
    /// Where backups are kept; `None`: with the install's state.
    pub directory: Option<PathBuf>,
}

/// When a run takes its backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupWhen {
    /// While everything runs.
    Prepare,
    /// When the units of the components are stopped, before the tree is switched.
    Quiesced,
}

/// A relative path of plain components: no root, no `..`, no `.`, not empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct RelPath(String);

/// A part of an install.
#[derive(Debug, Clone)]
pub struct Component {
    /// Its name in messages and `--only`.
    pub name: String,
    /// Its directory, relative to the root of the install.
    pub path: RelPath,
    /// It counts as installed when this path, relative to the root of the install, exists.
    pub installed_if: Option<RelPath>,
    /// Where its version is written.
    pub version: Option<VersionSource>,
    /// Its changelog, relative to the component. `None`: `CHANGELOG.md`, then `docs/CHANGELOG.md`.
    pub changelog: Option<RelPath>,
    /// Its configuration files.
    pub env: Vec<EnvFile>,
    /// What steps make and git ignores, relative to the component; kept so that going back needs no network.
    pub artifacts: Vec<RelPath>,
    /// Commands that must succeed before anything live changes, or before any restart.
    pub checks: Vec<Check>,
    /// Commands of the operator that bring the component to the new tree.
    pub steps: Vec<Step>,
    /// The systemd units that upstream ships.
    pub units: Vec<Unit>,
    /// What proves that it runs.
    pub health: Vec<Health>,
    /// What of the host it needs, and what is to be done when that changed.
    pub needs: Vec<Needs>,
    /// Packages of `[source.packages]` that belong to it, `*` stands for anything; empty: all.
    pub packages: Vec<String>,
}

/// `[[component.needs]]`: at least one package or path, and something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needs {
    /// Names of distribution packages; `*` stands for anything.
    pub packages: Vec<String>,
    /// Files and directories, absolute.
    pub paths: Vec<PathBuf>,
    /// Steps that run again, by name.
    pub steps: Vec<String>,
    /// Whether services that were started before the change are restarted.
    pub restart: bool,
}

/// Where a version is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionSource {
    /// The file, relative to the component.
    pub file: RelPath,
    /// The value in it. `None`: the whole file, trimmed.
    pub key: Option<String>,
}

/// A configuration file and upstream's example of it, both relative to the component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvFile {
    /// The operator's file.
    pub file: RelPath,
    /// Upstream's example.
    pub example: RelPath,
    /// Who reads it. `None`: systemd where a unit names it, else a dotenv library.
    pub dialect: Option<Dialect>,
    /// Keys whose values may be shown.
    pub public: Vec<String>,
}

/// Who reads a configuration file, and so what its quotes, comments and line ends mean.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// `EnvironmentFile=` of a unit, systemd.exec(5).
    Systemd,
    /// A dotenv library in the program.
    #[default]
    Dotenv,
    /// `env_file:` of a Compose project.
    Compose,
}

/// Who runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunAs {
    /// The install's owner.
    Owner,
    /// root, which only the host's manifest may say.
    Root,
}

/// Where a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckAt {
    /// On the staged new tree, before anything live changes.
    Staged,
    /// On the live tree after the steps, before any restart.
    Switched,
}

/// `[[component.check]]`.
#[derive(Debug, Clone)]
pub struct Check {
    /// Program and arguments.
    pub run: Vec<String>,
    /// Where it runs.
    pub at: CheckAt,
    /// Who runs it.
    pub run_as: RunAs,
    /// How long it may take.
    pub timeout: Duration,
    /// Files whose variables a shell exports to it: relative to the component, or absolute.
    pub env_files: Vec<String>,
}

/// `[[component.step]]`.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its name in the plan and the log.
    pub name: String,
    /// Program and arguments.
    pub run: Vec<String>,
    /// Who runs it.
    pub run_as: RunAs,
    /// The paths, relative to the component, whose change makes it run; empty: any change of the component.
    pub when_changed: Vec<RelPath>,
    /// How it is undone.
    pub undo: StepUndo,
    /// The bound of the command that undoes it, where that has one of its own.
    pub undo_timeout: Option<Duration>,
    /// Whether it may be run again after an interruption, when how far it came is not known.
    pub idempotent: bool,
    /// How long it may take.
    pub timeout: Duration,
    /// Files whose variables a shell exports to it: relative to the component, or absolute.
    pub env_files: Vec<String>,
}

/// How a step is undone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepUndo {
    /// It leaves nothing that matters to the old release.
    Pure,
    /// Running it again in the old tree undoes it.
    Rerun,
    /// This command undoes it.
    Run(Vec<String>),
    /// The run's backup is put back.
    RestoreBackup,
    /// Nothing undoes it.
    Irreversible,
}

/// The manager of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// PID 1.
    System,
    /// The owner's user manager.
    User,
}

/// What an upgrade does to a unit that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Restart when the component, its `.env` or the unit changed.
    IfChanged,
    /// Restart in every run.
    Always,
    /// Leave it running.
    Never,
    /// As `IfChanged`, by reload instead of restart.
    Reload,
}

/// `[[component.unit]]`.
#[derive(Debug, Clone)]
pub struct Unit {
    /// The unit file in the tree, relative to the component; its file name is the unit's name.
    pub file: RelPath,
    /// A distribution package installs its file: `file` is its name alone.
    pub is_packaged: bool,
    /// Instances of a template unit that belong to this install (`worker@.service`: `["a", "b"]`).
    pub instances: Vec<String>,
    /// Its manager.
    pub scope: Scope,
    /// What an upgrade does to it.
    pub restart: RestartPolicy,
}

/// A string with `${KEY}` (from the component's `.env`) and `{version}` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub String);

/// `[[component.health]]`.
#[derive(Debug, Clone)]
pub struct Health {
    /// What is asked.
    pub probe: Probe,
    /// How long it may take until the probe answers as expected.
    pub within: Duration,
    /// The repository declares it: it asks this host alone, whatever is filled in.
    pub loopback_only: bool,
}

/// What a health check asks.
#[derive(Debug, Clone)]
pub enum Probe {
    /// A GET request.
    Http {
        /// The URL.
        url: Template,
        /// Request headers, values never printed.
        headers: Vec<(String, Template)>,
        /// The wanted status; 200 where the manifest says nothing.
        status: u16,
        /// JSON fields (dots descend) and the text or number each must have.
        json: Vec<(String, Template)>,
        /// A pattern that the body must match.
        body: Option<Regex>,
    },
    /// A TCP connection that opens.
    Tcp {
        /// `host:port`.
        address: Template,
    },
    /// A command, as the owner in the component's directory, that exits 0.
    Command {
        /// Program and arguments.
        run: Vec<String>,
        /// The last number on its first line must be below this.
        below: Option<f64>,
    },
    /// The containers of a service of the Compose project: they run, and are healthy.
    Container {
        /// The service.
        service: String,
        /// The project's name; known when the source is.
        project: String,
        /// What has the containers: `docker`, `podman`.
        engine: String,
        /// A line that must appear in their logs.
        wanted: Option<Regex>,
        /// A line that must not.
        unwanted: Option<Regex>,
    },
    /// The journal of the component's units since the restart.
    Journal {
        /// A line that must appear.
        wanted: Option<Regex>,
        /// A line that must not.
        unwanted: Option<Regex>,
    },
}

/// `[monitoring]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Monitoring {
    /// The directory of node_exporter's textfile collector.
    pub textfile: Option<PathBuf>,
    /// The base of an OTLP/HTTP endpoint.
    pub otlp: Option<String>,
    /// Headers for it.
    pub otlp_headers: Option<Credential>,
    /// How old the last check that got an answer may be.
    pub stale: Duration,
}

impl RelPath {
    /// Parses a path that stays below whatever it is joined to.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let path = Path::new(text);
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        match text {
            "" => Err("is empty".into()),
            _ if path.is_absolute() => Err("must be relative".into()),
            _ if !plain || text.contains("//") || text.ends_with('/') => {
                Err("must not leave the directory it is relative to, and is written without `.`, `..` or a final `/`"
                    .into())
            }
            _ if text.contains(|c: char| c.is_control()) => Err("must not hold control characters".into()),
            _ => Ok(RelPath(text.to_owned())),
        }
    }

    /// The text of the path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The directory itself that a path is relative to: `.`, which only a component's path may be.
    pub fn here() -> RelPath {
        RelPath(".".into())
    }

    /// This path below another.
    pub fn below(&self, parent: &RelPath) -> RelPath {
        RelPath(parent.join(&self.0))
    }

    /// The text of a path below this one.
    pub fn join(&self, path: &str) -> String {
        match self.0.as_str() {
            "." => path.to_owned(),
            parent => format!("{parent}/{path}"),
        }
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl AsRef<Path> for RelPath {
    fn as_ref(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl std::fmt::Display for RelPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Unit {
    /// Whether every instance that is loaded or enabled is meant.
    pub fn has_any_instances(&self) -> bool {
        self.instances == ["*"]
    }

    /// The names that a manager knows: the unit itself, or the declared instances of a template.
    pub fn names(&self) -> Vec<String> {
        let file = self.file.file_name();
        match file.split_once("@.") {
            // What there is of these, the survey knows.
            Some(_) if self.has_any_instances() => Vec::new(),
            Some((stem, suffix)) => {
                self.instances.iter().map(|instance| format!("{stem}@{instance}.{suffix}")).collect()
            }
            None => vec![file.to_owned()],
        }
    }
}
