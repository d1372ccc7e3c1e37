//! A transaction of the package manager, and the way back by the package files that were kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::site::Place;
use super::{Act, Invocation, Seen, Sight, Site, With};
use crate::error::{Error, Result};
use crate::host::fs::{Content, Image, Rooted, make_private, write_durably};
use crate::manifest::{PackageManager, Scope};
use crate::plan::Plan;
use crate::source::packages::{Change, Installed, Package, installed_by_dpkg, installed_by_rpm, wait_for_lock};

/// What a package manager is told by its environment: no question, no hook of ours, and no service is started, stopped or restarted
/// by a maintainer script, since the run does that in its own order. systemctl(1) leaves jobs and reloads out where SYSTEMD_OFFLINE
/// is set, and enables and disables all the same.
const ENVIRONMENT: [&str; 10] = [
    "DEBIAN_FRONTEND=noninteractive",
    "DEBIAN_PRIORITY=critical",
    "DEBCONF_NONINTERACTIVE_SEEN=true",
    "APT_LISTCHANGES_FRONTEND=none",
    "APT_LISTBUGS_FRONTEND=none",
    "NEEDRESTART_SUSPEND=1",
    "UCF_FORCE_CONFFOLD=1",
    "RELIFT_HOOKS=no",
    "SYSTEMD_OFFLINE=1",
    "LC_ALL=C.UTF-8",
];
/// What dpkg does with a configuration file that was edited: it stays, and the package's own is put beside it.
const CONFFILES: [&str; 2] = ["--force-confdef", "--force-confold"];

/// A transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packages {
    /// Whose.
    pub manager: PackageManager,
    /// The release that comes, in words.
    pub label: String,
    /// The release that goes.
    pub back: String,
    /// What it does.
    pub changes: Vec<Change>,
    /// Names of those that came because others need them, and not because somebody asked for them.
    pub automatic: Vec<String>,
    /// Those that nothing puts back: there is no file of them.
    #[serde(default)]
    pub without: Vec<String>,
    /// Configuration files that it may touch, absolute.
    pub conffiles: Vec<PathBuf>,
    /// Those of them that stay as they are, since the run merges them itself.
    pub keep: Vec<PathBuf>,
    /// Where the package files are.
    pub store: PathBuf,
    /// Our configuration of the package manager.
    pub config: PathBuf,
    /// How long the package manager may take, seconds.
    pub timeout: u64,
    /// How long its lock is waited for, seconds.
    pub lock_timeout: u64,
}

/// Every package that a plan speaks of.
pub fn packages_of(plan: &Plan) -> impl Iterator<Item = &Package> {
    let changes = plan.actions.iter().filter_map(|action| match action {
        super::Action::Packages(packages) => Some(&packages.changes),
        _ => None,
    });
    changes.flatten().flat_map(|change| change.from.iter().chain([&change.to]))
}

impl Packages {
    fn installed(&self) -> Result<BTreeMap<String, Installed>> {
        let all = match self.manager {
            PackageManager::Apt => installed_by_dpkg()?,
            PackageManager::Dnf => installed_by_rpm()?,
        };
        let mut found: BTreeMap<String, Installed> = BTreeMap::new();
        for mut one in all {
            // Both versions are there where rpm was killed between the new one and the old one.
            one.is_whole &= !found.contains_key(&one.package.name);
            found.insert(one.package.name.clone(), one);
        }
        Ok(found)
    }

    fn look(&self) -> Result<Sight> {
        let all = self.installed()?;
        Ok(Sight::of_parts(self.changes.iter().map(|change| {
            let now = all.get(&change.name);
            match now {
                None if change.from.is_none() => Sight::Before,
                // Removed by somebody else, or by a package manager that was killed between two packages.
                None => Sight::Mixed,
                Some(now) if !now.is_whole => Sight::Mixed,
                Some(now) if now.package == change.to => Sight::After,
                Some(now) if Some(&now.package) == change.from.as_ref() => Sight::Before,
                Some(_) => Sight::Neither,
            }
        })))
    }

    fn file(&self, package: &Package) -> String {
        let name = match self.manager {
            PackageManager::Apt => crate::source::packages::deb_file_name(package),
            PackageManager::Dnf => crate::source::packages::rpm_file_name(package),
        };
        self.store.join(name).display().to_string()
    }

    fn run(&self, site: &mut Site, name: &str, words: &[&str], more: &[String]) -> Result<()> {
        let argv = ["/usr/bin/env"].iter().chain(&ENVIRONMENT).chain(words).map(ToString::to_string);
        let run: Vec<String> = argv.chain(more.iter().cloned()).collect();
        let shown = words.iter().map(ToString::to_string).chain(more.iter().cloned()).collect::<Vec<_>>();
        site.invoke(&Invocation {
            name,
            run: &run,
            as_root: true,
            place: Place::Staged(PathBuf::from("/")),
            base: None,
            path: ".",
            timeout: Duration::from_secs(self.timeout),
            component: "packages",
            with: &With::default(),
        })
        .map_err(|error| told_shortly(error, &run, &shown))
    }

    fn install(&self, site: &mut Site) -> Result<()> {
        let files: Vec<String> = self.changes.iter().map(|change| self.file(&change.to)).collect();
        let config = self.config.display().to_string();
        let lock = format!("DPkg::Lock::Timeout={}", self.lock_timeout);
        match self.manager {
            PackageManager::Apt => {
                let options: Vec<String> = CONFFILES
                    .iter()
                    .flat_map(|option| ["-o".to_owned(), format!("Dpkg::Options::={option}")])
                    .collect();
                // Everything that it installs is given, so that it can choose nothing else.
                let words = [
                    "apt-get",
                    "-c",
                    &config,
                    "-q",
                    "-y",
                    "-o",
                    "Dpkg::Use-Pty=0",
                    "-o",
                    &lock,
                    "--allow-downgrades",
                    "--no-remove",
                ];
                let rest: Vec<String> =
                    options.into_iter().chain(["install".into(), "--".into()]).chain(files).collect();
                self.run(site, "apt", &words, &rest)
            }
            PackageManager::Dnf => self.rpm(site, "-U", &files),
        }
    }

    /// rpm(8) with files alone: what a transaction needs was found when it was planned.
    fn rpm(&self, site: &mut Site, verb: &str, files: &[String]) -> Result<()> {
        let mut words = vec!["rpm", verb, "--oldpackage", "--replacepkgs"];
        if Path::new("/etc/debian_version").exists() {
            words.push("--force-debian");
        }
        self.run(site, "rpm", &words, files)
    }

    fn mark(&self, names: &[String], site: &mut Site) -> Result<()> {
        match self.manager {
            PackageManager::Apt if !names.is_empty() => {
                self.run(site, "marks", &["apt-mark", "-q", "auto", "--"], names)
            }
            PackageManager::Dnf if !names.is_empty() => {
                // Its own database of who asked for what, without a repository.
                let cache = format!("--setopt=cachedir={}", self.config.display());
                let words = ["dnf", "-q", "-y", "-C", "--disablerepo=*", &cache, "mark", "remove"];
                self.run(site, "marks", &words, names)
            }
            _ => Ok(()),
        }
    }

    /// Makes everything that was there before be there again, and takes away what was not.
    fn put_back(&self, site: &mut Site) -> Result<()> {
        let now = self.installed()?;
        let is_as_before = |change: &&Change| {
            now.get(&change.name).is_some_and(|one| one.is_whole && Some(&one.package) == change.from.as_ref())
        };
        let old = self.changes.iter().filter(|change| change.from.is_some() && !is_as_before(change));
        let files: Vec<String> = old.filter_map(|change| change.from.as_ref()).map(|old| self.file(old)).collect();
        let new: Vec<String> = self
            .changes
            .iter()
            .filter(|change| change.from.is_none() && now.contains_key(&change.name))
            .map(|change| change.name.clone())
            .collect();
        match self.manager {
            PackageManager::Apt => {
                if !files.is_empty() {
                    // A file may have moved between packages, and what the newer one needs may be in its way.
                    let words = [
                        "dpkg",
                        "--force-downgrade",
                        "--force-overwrite",
                        "--force-depends",
                        "--force-breaks",
                        "--force-remove-reinstreq",
                    ];
                    let rest: Vec<String> = CONFFILES
                        .iter()
                        .map(ToString::to_string)
                        .chain(["-i".into(), "--".into()])
                        .chain(files)
                        .collect();
                    self.run(site, "dpkg", &words, &rest)?;
                }
                if !new.is_empty() {
                    self.run(site, "dpkg", &["dpkg", "--force-remove-reinstreq", "--purge", "--"], &new)?;
                }
                // Triggers that are pending, and what was unpacked and not configured.
                let words: Vec<&str> = ["dpkg"].into_iter().chain(CONFFILES).chain(["--configure", "-a"]).collect();
                self.run(site, "dpkg", &words, &[])
            }
            PackageManager::Dnf => {
                if !files.is_empty() {
                    self.rpm(site, "-U", &files)?;
                }
                if new.is_empty() { Ok(()) } else { self.rpm_erase(site, &new) }
            }
        }
    }

    fn rpm_erase(&self, site: &mut Site, names: &[String]) -> Result<()> {
        let mut words = vec!["rpm", "-e"];
        if Path::new("/etc/debian_version").exists() {
            words.push("--force-debian");
        }
        self.run(site, "rpm", &words, names)
    }

    /// A configuration file, and what the package manager puts beside it.
    fn with_beside(&self, path: &Path) -> [PathBuf; 4] {
        let ends = match self.manager {
            PackageManager::Apt => ["", ".dpkg-dist", ".dpkg-old", ".dpkg-new"],
            PackageManager::Dnf => ["", ".rpmnew", ".rpmsave", ".rpmorig"],
        };
        ends.map(|end| PathBuf::from(format!("{}{end}", path.display())))
    }

    /// The paths whose bytes are put back: configuration files, and what package managers put beside them.
    fn watched(&self) -> Vec<PathBuf> {
        let mut all: Vec<PathBuf> =
            self.conffiles.iter().chain(&self.keep).flat_map(|path| self.with_beside(path)).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Without the environment, which is the same each time.
fn told_shortly(mut error: Error, run: &[String], shown: &[String]) -> Error {
    error.what = error.what.replace(&run.join(" "), &shown.join(" "));
    error
}

fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

impl Act for Packages {
    fn title(&self) -> String {
        let more = match self.changes.len() {
            0 | 1 => String::new(),
            all => format!(" and {} more", all - 1),
        };
        format!("install {}{more}", self.label)
    }

    fn undo_title(&self) -> Option<String> {
        Some(format!("put back {}", self.back))
    }

    fn seen(&self, site: &mut Site) -> Result<Seen> {
        let root = Rooted::open(Path::new("/"))?;
        let directory = site.directory.join("content");
        make_private(&directory, 0o700)?;
        let mut files = Vec::new();
        for path in self.watched() {
            let content = root.read(below(&path))?;
            if let Some(content) = &content {
                write_durably(&directory.join(&content.image.sha256), &content.bytes, 0o600)?;
            }
            files.push((path, content.map(|content| content.image)));
        }
        Ok(Seen::Files(files))
    }

    fn sight(&self, _: &mut Site, _: &Seen, _: bool) -> Result<Sight> {
        self.look()
    }

    fn apply(&self, site: &mut Site) -> Result<()> {
        wait_for_lock(Duration::from_secs(self.lock_timeout))?;
        let root = Rooted::open(Path::new("/"))?;
        let mut kept = Vec::new();
        for path in self.keep.iter().flat_map(|path| self.with_beside(path)) {
            let content = root.read(below(&path))?;
            kept.push((path, content));
        }
        self.install(site)?;
        for (path, content) in kept {
            match content {
                Some(content) if root.read(below(&path))?.as_ref() == Some(&content) => {}
                Some(content) => root.replace(below(&path), &content)?,
                // What the package brings for the first time comes with it; what is put beside has been merged.
                None if self.keep.contains(&path) => {}
                None => root.remove(below(&path))?,
            }
        }
        let new = self.changes.iter().filter(|change| change.from.is_none()).map(|change| change.name.clone());
        let mut names: Vec<String> = self.automatic.iter().cloned().chain(new).collect();
        names.sort();
        names.dedup();
        self.mark(&names, site)?;
        settle(site)?;
        match self.look()? {
            Sight::After => Ok(()),
            _ => Err(Error::failed(format!("the package manager ended well, and {} is not installed", self.label))),
        }
    }

    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
        if self.look()? != Sight::Before {
            wait_for_lock(Duration::from_secs(self.lock_timeout.max(60)))?;
            self.put_back(site)?;
        }
        let remarks = restore(site, seen)?;
        self.mark(&self.automatic, site)?;
        settle(site)?;
        Ok(remarks)
    }

    fn is_irreversible(&self) -> bool {
        !self.without.is_empty()
    }
}

/// Puts the bytes of configuration files back.
fn restore(site: &mut Site, seen: &Seen) -> Result<Vec<String>> {
    let Seen::Files(files) = seen else { return Ok(Vec::new()) };
    let root = Rooted::open(Path::new("/"))?;
    for (path, image) in files {
        let path = below(path);
        root.remove_temporary(path).unwrap_or_default();
        let now: Option<Content> = root.read(path)?;
        if now.as_ref().map(|content| &content.image) == image.as_ref() {
            continue;
        }
        match image {
            Some(image) => {
                root.make_directories(path.parent().unwrap_or(Path::new("")), 0, 0)?;
                root.replace(path, &site.content(image)?)?;
            }
            None => root.remove(path)?,
        }
    }
    Ok(Vec::new())
}

/// The manager reads unit files again, and everything is on the disk.
fn settle(site: &mut Site) -> Result<()> {
    site.manager(Scope::System)?.reload()?;
    nix::unistd::sync();
    Ok(())
}

/// What [`Seen::Files`] holds.
pub type SeenFiles = Vec<(PathBuf, Option<Image>)>;
