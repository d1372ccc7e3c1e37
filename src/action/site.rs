//! Where actions work: the install's places and managers, and the run that they belong to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::env_shell::{self, must_be_roots};
use super::export::{Exports, trusted_program};
use super::with::{self, With};
use crate::error::{Context as _, Error, Result};
use crate::host::account::Account;
use crate::host::fs::{Content, Image, Rooted};
use crate::host::systemd::{Manager, Transient};
use crate::host::{process, systemd};
use crate::manifest::Scope;
use crate::plan::Origin;
use crate::report::{Event, Reporter};
use crate::unattended::monitor::trace::Context;

/// How long what a dead run left may take to end.
const LEFTOVERS: Duration = Duration::from_secs(30);

/// Where actions work.
pub struct Site<'a> {
    /// The checkout.
    pub root: PathBuf,
    /// Its owner.
    pub owner: Account,
    /// The install's name.
    pub install: String,
    /// The run's ULID.
    pub run: String,
    /// The run's directory: undo data and logs.
    pub directory: PathBuf,
    /// Who is told.
    pub reporter: &'a dyn Reporter,
    /// Units that the run told to read their files again: they have to once more when the old files are back.
    pub reloaded: Vec<(Scope, String)>,
    /// The trace that steps join, where the run is traced.
    pub trace: Option<Context>,
    system: Option<Manager>,
    user: Option<Manager>,
    commands: u32,
    secrets: Vec<String>,
    exports: Exports,
}

/// Where a command runs: whose directory it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The owner's checkout.
    Checkout,
    /// A staged tree of the owner's.
    Staged(PathBuf),
    /// A release that root exported.
    Export(PathBuf),
}

/// A command of the operator's: a step, a check, an undo.
#[derive(Debug, Clone)]
pub struct Invocation<'a> {
    /// What it is called in the log and in errors.
    pub name: &'a str,
    /// Program and arguments.
    pub run: &'a [String],
    /// Whether root runs it.
    pub as_root: bool,
    /// Where.
    pub place: Place,
    /// The release's directory, relative to the root, where each has one of its own.
    pub base: Option<&'a Path>,
    /// Its directory there.
    pub path: &'a str,
    /// Its bound.
    pub timeout: Duration,
    /// The component, for its environment.
    pub component: &'a str,
    /// What it has beyond a step.
    pub with: &'a With,
}

impl<'a> Site<'a> {
    /// The site of a run.
    pub fn new(plan: &crate::plan::Plan, run: &str, directory: &Path, reporter: &'a dyn Reporter) -> Result<Site<'a>> {
        Ok(Site {
            root: plan.root.clone(),
            owner: Account::named(&plan.owner)?,
            install: plan.install.clone(),
            run: run.to_owned(),
            directory: directory.to_owned(),
            reporter,
            reloaded: Vec::new(),
            trace: None,
            system: None,
            user: None,
            commands: 0,
            secrets: Vec::new(),
            exports: Exports::of(plan, directory),
        })
    }

    /// The manager of a scope, connected when it is first needed.
    pub fn manager(&mut self, scope: Scope) -> Result<&mut Manager> {
        let slot = match scope {
            Scope::System => &mut self.system,
            Scope::User => &mut self.user,
        };
        if slot.is_none() {
            *slot = Some(match scope {
                Scope::System => Manager::system()?,
                Scope::User => {
                    // Early in a boot it may not be up yet.
                    if systemd::lingering(&self.owner).unwrap_or(false) {
                        systemd::enable_linger(&self.owner)?;
                    }
                    Manager::user(&self.owner)?
                }
            });
        }
        slot.as_mut().ok_or_else(|| Error::failed("no connection to systemd"))
    }

    /// Whether there is a manager of this scope, or will be at once: an account that does not linger may have none.
    pub fn reaches(&self, scope: Scope) -> bool {
        scope == Scope::System
            || self.user.is_some()
            || systemd::has_user_manager(&self.owner)
            || systemd::lingering(&self.owner).unwrap_or(false)
    }

    /// The owner's user manager is another one from now on, or none.
    pub fn forget_user_manager(&mut self) {
        self.user = None;
    }

    /// The checkout's directory, for files in it.
    pub fn checkout(&self) -> Result<Rooted> {
        Rooted::open(&self.root)
    }

    /// The install's state: the run's directory is `STATE/runs/ULID`.
    pub fn state(&self) -> &Path {
        self.directory.ancestors().nth(2).unwrap_or(&self.directory)
    }

    /// The bytes that were kept for an image.
    pub fn content(&self, image: &Image) -> Result<Content> {
        let path = self.directory.join("content").join(&image.sha256);
        let bytes = std::fs::read(&path).with_context(|| format!("the kept copy {} cannot be read", path.display()))?;
        match crate::host::fs::sha256(&bytes) == image.sha256 {
            true => Ok(Content { bytes, image: image.clone() }),
            false => Err(Error::failed(format!("the kept copy {} was changed", path.display()))),
        }
    }

    /// Keeps a copy of bytes that somebody else wrote meanwhile, and tells where.
    pub fn keep_foreign(&self, name: &str, content: &Content) -> Result<PathBuf> {
        let directory = self.directory.join("kept");
        crate::host::fs::make_private(&directory, 0o700)?;
        let path = directory.join(format!("{}-{}", name.replace('/', "-"), &content.image.sha256[..8]));
        crate::host::fs::write_durably(&path, &content.bytes, 0o600)?;
        Ok(path)
    }

    /// Runs a command of the operator's in a transient unit of its own, its output in the run's log; the error of an
    /// unhappy end carries the tail of it.
    pub fn invoke(&mut self, command: &Invocation) -> Result<()> {
        let account = if command.as_root { Account::root() } else { self.owner.clone() };
        let mut env = account.environment();
        // Its output goes to a log.
        env.push(("TERM".into(), "dumb".into()));
        env.push(("NO_COLOR".into(), "1".into()));
        env.push(("RELIFT_INSTALL".into(), self.install.clone()));
        if !command.component.is_empty() {
            env.push(("RELIFT_COMPONENT".into(), command.component.to_owned()));
        }
        env.push(("RELIFT_RUN".into(), self.run.clone()));
        // The owner's, whatever the command's own directory is.
        env.push(("RELIFT_ROOT".into(), self.root.display().to_string()));
        env.push(("RELIFT_CHECKOUT".into(), self.live(command).join(command.path).display().to_string()));
        env.extend(self.trace.as_ref().map(|trace| ("TRACEPARENT".into(), trace.traceparent())));
        env.extend(command.with.env.iter().cloned());
        if let Some(all) = &command.with.scratch {
            let scratch = with::scratch(all, &self.run, command.name, &account)?;
            env.push(("RELIFT_SCRATCH".into(), scratch.display().to_string()));
        }
        let (top, read_only) = self.top(command);
        let directory = top.join(command.path);
        let cwd = command.with.cwd.as_ref().map_or(directory.clone(), |cwd| directory.join(cwd));
        let files = self.learn(command)?;
        self.commands += 1;
        let log = self.log(command)?;
        let transient = Transient {
            name: self.unit_name(self.commands),
            description: format!("relift {}: {}", self.install, command.name),
            argv: env_shell::wrapped(&files, command.run),
            account,
            cwd,
            read_only,
            env,
            timeout: command.timeout,
            log,
            hide: self.secrets.clone(),
            is_quiet: false,
        };
        let what = format!("{} ({})", command.name, command.run.join(" "));
        let reporter = self.reporter;
        let mut told = |line: &str| {
            reporter.tell(Event::Line {
                component: command.component.to_owned(),
                step: command.name.to_owned(),
                line: line.to_owned(),
            })
        };
        let manager = self.manager(Scope::System)?;
        let end = manager
            .run_watched(&transient, &mut told)
            .map_err(|error| error.while_(format!("{what} could not run")))?;
        if let Some(fault) = &end.log_fault {
            reporter.tell(Event::Warning { text: format!("{}: {fault}", command.name) });
        }
        if end.left_out > 0 {
            let text = format!("{}: {} bytes of output are not in the log", command.name, end.left_out);
            reporter.tell(Event::Warning { text });
        }
        if end.success() {
            return Ok(());
        }
        let ending = match end.result.as_str() {
            "timeout" => format!("did not end within {}", humanly(command.timeout)),
            _ => end.ending(),
        };
        let last = end.tail.len().saturating_sub(15);
        Err(Error::failed(format!("{what} {ending}"))
            .detail(end.tail[last..].iter().map(|line| shortened(line)))
            .hint(format!("the whole output: relift logs {}", self.run)))
    }

    /// Where the tree lies that a command is about.
    fn live(&self, command: &Invocation) -> PathBuf {
        command.base.map_or_else(|| self.root.clone(), |base| self.root.join(base))
    }

    fn top(&self, command: &Invocation) -> (PathBuf, Option<PathBuf>) {
        match &command.place {
            Place::Checkout => (self.live(command), None),
            Place::Staged(top) => (top.clone(), None),
            Place::Export(top) => (top.clone(), Some(top.clone())),
        }
    }

    /// The files of shell variables of a command; what they hold is hidden from now on. The owner's are those of the live
    /// install, wherever the command runs: upstream ships none.
    pub fn learn(&mut self, command: &Invocation) -> Result<Vec<PathBuf>> {
        let declared = &command.with.env_files;
        if declared.is_empty() {
            return Ok(Vec::new());
        }
        let (account, top) = match command.as_root {
            true => (Account::root(), self.top(command).0),
            false => (self.owner.clone(), self.live(command)),
        };
        let files: Vec<PathBuf> = declared.iter().map(|file| top.join(command.path).join(file)).collect();
        let is_trusted = command.place == Place::Checkout;
        for file in files.iter().filter(|file| command.as_root && !(is_trusted && file.starts_with(&top))) {
            must_be_roots(file)?;
        }
        let values = env_shell::values(&files, &account, Path::new("/"));
        let values =
            values.map_err(|error| error.while_(format!("the variables of {} are not known", command.name)))?;
        self.hide(values);
        Ok(files)
    }

    /// Where root runs a command from: exported when it is first asked for, with the configuration files as they are now.
    pub fn place(&mut self, origin: &Origin) -> Result<Place> {
        match origin {
            Origin::Checkout => Ok(Place::Checkout),
            Origin::Export { release, .. } => {
                let place = self.exports.place(&release.revision)?;
                self.exports.configure(&self.root, &place)?;
                Ok(Place::Export(place))
            }
            Origin::Refused { release } => {
                Err(Error::refused(format!("root runs nothing of {}: nothing vouches for it", release.short())))
            }
        }
    }

    /// Makes sure that root may run a command, whose release is exported for it.
    pub fn trusts(&mut self, origin: &Origin, component: &str, name: &str, run: &[String]) -> Result<()> {
        let program = run.first().map(String::as_str).unwrap_or_default();
        match self.place(origin)? {
            Place::Export(place) => trusted_program(name, program, &place, component),
            Place::Checkout | Place::Staged(_) => Ok(()),
        }
    }

    /// Hides these values in everything that is kept or shown of a command's output.
    pub fn hide(&mut self, secrets: Vec<String>) {
        self.secrets.extend(secrets);
    }

    /// What [`Site::hide`] was told.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// Lines of others, without secrets and control characters.
    pub fn redacted(&self, lines: &[String]) -> Vec<String> {
        lines.iter().map(|line| crate::text::harmless(&crate::text::redact(line, &self.secrets))).collect()
    }

    /// Ends whatever transient units an earlier life of this run left, and waits until they are gone: nothing may still
    /// write to the tree when recovery touches it.
    pub fn end_leftovers(&mut self) -> Result<()> {
        process::end_those_of(&self.run, LEFTOVERS)?;
        let logs = std::fs::read_dir(self.directory.join("log")).map_or(0, |entries| entries.count() as u32);
        for number in 1..=logs {
            let name = self.unit_name(number);
            self.manager(Scope::System)?.end(&name, LEFTOVERS)?;
        }
        self.commands = self.commands.max(logs);
        Ok(())
    }

    fn unit_name(&self, number: u32) -> String {
        format!("relift-{}-{number}.service", self.run.to_lowercase())
    }

    fn log(&self, command: &Invocation) -> Result<PathBuf> {
        let directory = self.directory.join("log");
        crate::host::fs::make_private(&directory, 0o700)?;
        let name = command.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        Ok(directory.join(format!("{:02}-{}-{name}.log", self.commands, command.component)))
    }
}

/// A line of output as an error shows it; the log has it whole.
fn shortened(line: &str) -> String {
    const LONGEST: usize = 300;
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}...", &line[..at]),
        None => line.to_owned(),
    }
}

/// A duration as systemd.time(7) writes it.
pub fn humanly(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{}ms", time.as_millis()),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}min", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}
