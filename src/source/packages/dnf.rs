//! dnf(8) and rpm(8), with a cache of our own.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::locks::Locks;
use super::package::{Change, Package, Transaction};
use super::tool::{Available, Conffile, Installed, Tool};
use crate::error::{Context, Error, Result};
use crate::host::fs::{make_private, sync_directory, sync_filesystem};
use crate::host::process::{Command, Input, Output};
use crate::plan::Blocker;

/// How long a question to the repositories may take.
const UPDATE: Duration = Duration::from_secs(300);
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_secs(1800);
/// A package of rpm, as it is asked for.
const PACKAGE: &str = "%{NAME}\\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\\t%{ARCH}\\n";
/// What is said where dependencies cannot be had, or conflict.
const NO_WAY: &str = "dnf finds no way to install these versions";
/// What ends the table of a transaction.
const TABLE: &str = "Transaction Summary";
/// The largest configuration file that is read, bytes.
const LARGEST: usize = 8 << 20;

/// dnf, for one install.
pub struct Dnf {
    repositories: Vec<String>,
    cache: PathBuf,
    store: PathBuf,
}

impl Dnf {
    /// `repositories`: ids, as for `--enablerepo`; none: those that are enabled.
    pub fn new(repositories: &[String], cache: &Path, store: PathBuf) -> Result<Dnf> {
        make_private(cache, 0o700)?;
        let cache = cache.join("dnf");
        make_private(&cache, 0o700)?;
        Ok(Dnf { repositories: repositories.to_vec(), cache, store })
    }

    fn command(&self) -> Command {
        self.asking(&self.repositories)
    }

    /// `repositories`: what is enabled; an empty id goes without any.
    fn asking(&self, repositories: &[String]) -> Command {
        let cache = format!("--setopt=cachedir={}", self.cache.display());
        let mut words =
            vec!["dnf".to_owned(), "-q".into(), "-y".into(), cache, "--setopt=install_weak_deps=False".into()];
        // What it holds it would hide, as if there were nothing: it is told instead.
        if Locks::are_in_use() {
            words.push("--disableplugin=versionlock".into());
        }
        if !repositories.is_empty() {
            words.push("--disablerepo=*".into());
            words.extend(repositories.iter().filter(|id| !id.is_empty()).map(|id| format!("--enablerepo={id}")));
        }
        Command::new(words).env("LC_ALL", "C.UTF-8")
    }

    fn spec(&self, package: &Package) -> String {
        let file = self.store.join(self.file_name(package));
        match file.exists() {
            true => file.display().to_string(),
            false => nevra(package),
        }
    }
}

/// `NAME-[EPOCH:]VERSION-RELEASE.ARCH`, as dnf takes it.
fn nevra(package: &Package) -> String {
    format!("{}-{}.{}", package.name, package.version, package.arch)
}

/// What the file of a package is called: without the epoch, as rpm does.
pub fn file_name(package: &Package) -> String {
    let version = package.version.split_once(':').map_or(package.version.as_str(), |(_, rest)| rest);
    format!("{}-{version}.{}.rpm", package.name, package.arch)
}

/// Every package that rpm has.
pub fn installed() -> Result<Vec<Installed>> {
    let output = Command::new(["rpm", "--query", "--all", "--queryformat", PACKAGE]).succeed()?;
    let is_whole = |package: Package| Installed { package, is_whole: true, is_held: false };
    Ok(output.text().lines().filter_map(read).map(is_whole).collect())
}

/// An epoch of 0 is not told, as people write versions.
fn read(line: &str) -> Option<Package> {
    let mut fields = line.trim().split('\t');
    let (name, version, arch) = (fields.next()?, fields.next()?, fields.next()?);
    let version = version.strip_prefix("0:").unwrap_or(version);
    Some(Package { name: name.into(), version: version.into(), arch: arch.into() })
}

impl Tool for Dnf {
    fn installed(&self) -> Result<Vec<Installed>> {
        let (mut all, locks) = (installed()?, Locks::of_host());
        all.iter_mut().for_each(|one| one.is_held = locks.holds(&one.package.name));
        Ok(all)
    }

    fn trouble(&self) -> Result<Vec<Blocker>> {
        let output = Command::new(["rpm", "--query", "--all"]).output()?;
        let duplicate = {
            let all = installed()?;
            let mut names = BTreeSet::new();
            let found = all.iter().find(|one| {
                one.package.name == "kernel" || !names.insert((one.package.name.clone(), one.package.arch.clone()))
            });
            found
                .filter(|one| !["kernel", "gpg-pubkey"].contains(&one.package.name.as_str()))
                .map(|one| one.package.name.clone())
        };
        Ok(match (output.success(), duplicate) {
            (true, None) => Vec::new(),
            (true, Some(name)) => vec![Blocker::impossible(
                format!("the database of rpm is not in order: {name} is installed twice"),
                "see what it is: dnf repoquery --duplicates; finish it: dnf remove --duplicates",
            )],
            (false, _) => {
                vec![Blocker::impossible("the database of rpm cannot be read", "rebuild it: rpm --rebuilddb")]
            }
        })
    }

    fn update(&self) -> Result<()> {
        let output = self
            .command()
            .args(["--refresh", "--setopt=skip_if_unavailable=False", "makecache"])
            .timeout(UPDATE)
            .output()?;
        if output.success() { Ok(()) } else { Err(unreachable(&output)) }
    }

    fn available(&self, names: &[&str]) -> Result<Vec<Available>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let format =
            "%{name}\\t%{epoch}:%{version}-%{release}\\t%{arch}\\t%{downloadsize}\\t%{installsize}\\t%{requires}";
        let format = format.replace("\\t", "\t").replace("%{requires}", "");
        let query = ["-C", "repoquery", "--available", "--showduplicates", "--queryformat", format.as_str()];
        let output = self.command().args(query).args(names.iter().copied()).timeout(UPDATE).output()?;
        let line = |line: &str| {
            let package = read(line)?;
            let mut sizes = line.split('\t').skip(3).map(|size| size.trim().parse::<u64>().ok());
            let (size, installed) = (sizes.next()??, sizes.next()??);
            Some(Available { package, size, installed, needs: Vec::new() })
        };
        let mut found: Vec<Available> = output.text().lines().filter_map(line).collect();
        found.dedup_by(|one, other| one.package == other.package);
        let locks = Locks::of_host();
        found.retain(|one| !locks.excludes(&one.package));
        Ok(found)
    }

    fn needs(&self, one: &Available) -> Vec<String> {
        let query = ["-C", "repoquery", "--available", "--requires", "--resolve", "--queryformat", "%{name}"];
        let output = self.command().args(query).args([nevra(&one.package)]).timeout(UPDATE).output();
        output.map(|output| output.text().lines().map(str::to_owned).collect()).unwrap_or_default()
    }

    fn fetch(&self, packages: &[Package]) -> Result<()> {
        let incoming = self.store.join("incoming");
        make_private(&incoming, 0o700)?;
        let into = format!("--downloaddir={}", incoming.display());
        let here = installed()?;
        for package in packages {
            // `dnf download` is a plugin, which not every host has.
            let now = here.iter().map(|one| &one.package).find(|one| one.name == package.name);
            let verb = match now.map(|now| super::version::compare(&package.version, &now.version)) {
                Some(Ordering::Equal) => "reinstall",
                Some(Ordering::Less) => "downgrade",
                _ => "install",
            };
            let words = ["--downloadonly", into.as_str(), verb];
            let output = self.command().args(words).args([nevra(package)]).timeout(DOWNLOAD).output()?;
            let name = self.file_name(package);
            let (from, to) = (incoming.join(&name), self.store.join(&name));
            if !output.success() || !from.exists() {
                return Err(unreachable(&output).while_(format!("{} cannot be downloaded", package.words())));
            }
            Command::new(["rpm", "--query", "--package", "--"]).args([&from]).succeed()?;
            std::fs::rename(&from, &to).with_context(|| format!("{} cannot be kept", to.display()))?;
        }
        sync_filesystem(&self.store)?;
        sync_directory(&self.store)
    }

    fn at_hand(&self, _: &Package) -> Option<PathBuf> {
        None
    }

    fn simulate(&self, packages: &[Package]) -> Result<Transaction> {
        let here = installed()?;
        let of = |name: &str| here.iter().map(|one| &one.package).find(|one| one.name == name);
        let is_back = |package: &&Package| {
            of(&package.name).is_some_and(|now| super::version::compare(&package.version, &now.version).is_lt())
        };
        let (back, forward): (Vec<&Package>, Vec<&Package>) = packages.iter().partition(is_back);
        let verb = if forward.is_empty() { "downgrade" } else { "install" };
        let specs: Vec<String> = forward.into_iter().chain(back).map(|package| self.spec(package)).collect();
        let ask = |repositories: &[String]| {
            self.asking(repositories).args(["-C", "--assumeno", "-v", verb]).args(&specs).timeout(UPDATE).output()
        };
        let mut output = ask(&self.repositories)?;
        // A way back needs no repository, and there may be none any more.
        if !output.text().contains(TABLE) && specs.iter().all(|spec| spec.starts_with('/')) {
            output = ask(&[String::new()])?;
        }
        let said = output.text();
        // Without anything to ask it was no transaction: an error, or nothing to do.
        if !said.contains(TABLE) {
            let lines = said.lines().chain(output.stderr.iter().map(String::as_str)).map(crate::text::harmless);
            let lines: Vec<String> = lines
                .filter(|line| line.contains("Error") || line.contains("Problem") || line.contains(" - "))
                .collect();
            return Err(Error::failed(NO_WAY).detail(lines));
        }
        let found = transaction(&said, &of);
        let locks = Locks::of_host();
        match found.changes.iter().find(|change| locks.excludes(&change.to)) {
            Some(change) => Err(Error::failed(format!("{} is excluded by versionlock", change.to.words()))),
            None => Ok(found),
        }
    }

    fn conffiles(&self, file: &Path) -> Result<Vec<Conffile>> {
        let list = Command::new(["rpm", "--query", "--configfiles", "--package"]).args([file]).succeed()?.text();
        let wanted: Vec<&str> = list.lines().filter(|line| line.starts_with('/')).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let cpio = Command::new(["rpm2cpio"]).args([file]).succeed()?.stdout;
        let place = tempfile::tempdir().context("there is no place for a temporary file")?;
        let patterns = wanted.iter().map(|path| format!(".{path}"));
        let extract = ["cpio", "--extract", "--quiet", "--make-directories", "--no-absolute-filenames"];
        Command::new(extract).args(patterns).cwd(place.path()).stdin(Input::Bytes(cpio)).succeed()?;
        let mut found = Vec::new();
        for path in wanted {
            let at = place.path().join(path.trim_start_matches('/'));
            if at.symlink_metadata().is_ok_and(|meta| meta.is_file() && meta.len() <= LARGEST as u64) {
                let bytes =
                    std::fs::read(&at).with_context(|| format!("{path} of {} cannot be read", file.display()))?;
                found.push((path.to_owned(), bytes));
            }
        }
        Ok(found)
    }

    fn shipped(&self, package: &Package) -> Result<Vec<Conffile>> {
        let changed =
            Command::new(["rpm", "--verify", "--nodeps", "--noscripts", "--", &package.name]).output()?.text();
        let is_edited = |path: &str| changed.lines().any(|line| line.ends_with(&format!(" {path}")));
        let mut found = Vec::new();
        for path in self.conffile_paths(&package.name)? {
            let name = path.display().to_string();
            if let Ok(bytes) = std::fs::read(&path)
                && !is_edited(&name)
                && bytes.len() <= LARGEST
            {
                found.push((name, bytes));
            }
        }
        Ok(found)
    }

    fn conffile_paths(&self, name: &str) -> Result<Vec<PathBuf>> {
        let text = Command::new(["rpm", "--query", "--configfiles", "--", name]).output()?.text();
        Ok(text.lines().filter(|line| line.starts_with('/')).map(PathBuf::from).collect())
    }

    fn automatic(&self) -> Result<BTreeSet<String>> {
        // dnf's own database knows it, by name; of what it knows nothing, somebody asked for.
        let query = ["-C", "repoquery", "--userinstalled", "--queryformat", "%{name}"];
        let asked = self.asking(&[String::new()]).args(query).timeout(UPDATE).succeed()?.text();
        let asked: BTreeSet<&str> = asked.lines().map(str::trim).collect();
        let all = installed()?.into_iter().map(|one| one.package.name);
        Ok(all.filter(|name| !asked.contains(name.as_str())).collect())
    }

    fn vouched(&self) -> Option<String> {
        // Whether a repository is checked says its own configuration; dnf tells it of each.
        let output = self.command().args(["config-manager", "--dump"]).output().ok()?;
        let says = |key: &str| output.text().lines().any(|line| line.replace(' ', "") == format!("{key}=1"));
        (output.success() && says("gpgcheck")).then(|| "its own signature, which dnf verified".to_owned())
    }

    fn file_name(&self, package: &Package) -> String {
        file_name(package)
    }

    fn config(&self) -> PathBuf {
        self.cache.clone()
    }

    fn beside(&self) -> &'static str {
        ".rpmnew"
    }
}

/// Reads the table of a transaction: a heading, then `NAME ARCH VERSION REPOSITORY SIZE` lines.
fn transaction<'a>(said: &str, here: &dyn Fn(&str) -> Option<&'a Package>) -> Transaction {
    let mut found = Transaction::default();
    let mut removes = None;
    for line in said.lines() {
        if line.starts_with(TABLE) {
            break;
        }
        if !line.starts_with(' ') && line.trim_end().ends_with(':') {
            removes = Some(line.starts_with("Removing"));
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        // Below what takes its place: `replacing NAME.ARCHITECTURE VERSION`.
        if let ["replacing", replaced, _] = words.as_slice() {
            let name = replaced.rsplit_once('.').map_or(*replaced, |(name, _)| name);
            found.removes.push(name.to_owned());
            continue;
        }
        let (true, [name, arch, version, _, ..]) = (line.starts_with(' '), words.as_slice()) else { continue };
        // Before the first heading stand the names of the columns.
        let Some(removes) = removes else { continue };
        if removes {
            found.removes.push(name.to_string());
            continue;
        }
        let version = version.strip_prefix("0:").unwrap_or(version);
        let to = Package { name: name.to_string(), version: version.into(), arch: arch.to_string() };
        found.changes.push(Change { name: name.to_string(), from: here(name).cloned(), to });
    }
    found
}

fn unreachable(output: &Output) -> Error {
    let said: Vec<String> = output.stderr.iter().map(|line| crate::text::harmless(line)).collect();
    let has = |what: &str| said.iter().any(|line| line.contains(what));
    let error = match () {
        () if has("GPG") || has("gpg") || has("ublic key") => {
            Error::failed("a repository or a package is signed by a key that dnf does not know here, or not at all")
                .hint("name the key of the repository: gpgkey=, dnf.conf(5); look at it and import it: rpm --import")
        }
        () if has("Problem") => Error::failed(NO_WAY)
            .hint("allow the repository that has what is missing under `repositories`, or install that first"),
        () if has("Unknown repo") || has("No matching repo") => {
            Error::failed("no repository of this host is one of `repositories`")
                .hint("the ids that there are: dnf repolist --all")
        }
        () if output.status.is_none() => Error::failed("the repositories did not answer in time"),
        () => Error::failed("a repository cannot be read").hint("see whether it can be reached: dnf makecache"),
    };
    error.detail(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_a_transaction_is_read() {
        let said = "Dependencies resolved.\n===\n Package  Arch  Version  Repository  Size\n===\nUpgrading:\n app  noarch  2.0-1  app  7 k\n     replacing  older.noarch 1.0-1\nInstalling dependencies:\n appdep  noarch  1:1.0-1  app  6 k\nRemoving dependent packages:\n old  noarch  1-1  @System  0\n\nTransaction Summary\n===\nUpgrade 1 Package\n";
        let old = Package { name: "app".into(), version: "1.0-1".into(), arch: "noarch".into() };
        let told = transaction(said, &|name| (name == "app").then_some(&old));
        let lines: Vec<String> = told.changes.iter().map(|one| format!("{} {}", one.from.is_some(), one.to)).collect();
        assert_eq!(lines, ["true app=2.0-1 noarch", "false appdep=1:1.0-1 noarch"]);
        assert_eq!(told.removes, ["older", "old"]);
    }
}
