//! apt-get(8) and apt-cache(8) with lists, cache and sources of our own, so that a check leaves those of the host alone.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::package::{Package, Transaction};
use super::repositories::{self, SourceFile};
use super::tool::{Available, Conffile, Installed, Tool};
use super::{dpkg, simulated};
use crate::error::{Context, Error, Result};
use crate::host::fs::{make_private, sync_directory, sync_filesystem, write_durably};
use crate::host::process::{Command, Output};
use crate::plan::Blocker;

/// Where the host says where packages come from, sources.list(5).
const SOURCES: &str = "/etc/apt";
/// Where apt keeps package files.
const ARCHIVES: &str = "/var/cache/apt/archives";
/// How long a question to the repositories may take.
const UPDATE: Duration = Duration::from_secs(300);
/// How long a download may take.
const DOWNLOAD: Duration = Duration::from_secs(1800);

/// apt, for one install.
pub struct Apt {
    home: PathBuf,
    store: PathBuf,
    are_signed: bool,
}

impl Apt {
    /// Writes our configuration. `repositories`: patterns, see [`repositories::chosen`].
    pub fn new(repositories: &[String], cache: &Path, store: PathBuf) -> Result<Apt> {
        make_private(cache, 0o700)?;
        let home = cache.join("apt");
        let parts = home.join("sources");
        for directory in ["", "sources", "lists", "lists/partial", "archives", "archives/partial"] {
            make_private(&home.join(directory), 0o700)?;
        }
        let chosen = repositories::chosen(&host_sources()?, repositories);
        for entry in std::fs::read_dir(&parts).context("our sources of apt cannot be read")?.flatten() {
            if !chosen.iter().any(|file| entry.file_name() == *file.name) {
                std::fs::remove_file(entry.path()).context("our sources of apt cannot be written")?;
            }
        }
        for file in &chosen {
            write_if_other(&parts.join(&file.name), &file.text)?;
        }
        write_if_other(&home.join("apt.conf"), &config(&home))?;
        Ok(Apt { home, store, are_signed: !chosen.is_empty() && repositories::are_signed(&chosen) })
    }

    fn command(&self, program: &str) -> Command {
        let config = self.config().display().to_string();
        Command::new([program, "-c", config.as_str()]).env("LC_ALL", "C.UTF-8").env("DEBIAN_FRONTEND", "noninteractive")
    }

    fn spec(&self, package: &Package) -> String {
        let file = self.store.join(self.file_name(package));
        match file.exists() {
            true => file.display().to_string(),
            false => format!("{}={}", package.name, package.version),
        }
    }
}

impl Tool for Apt {
    fn installed(&self) -> Result<Vec<Installed>> {
        dpkg::installed()
    }

    fn trouble(&self) -> Result<Vec<Blocker>> {
        dpkg::trouble()
    }

    fn update(&self) -> Result<()> {
        if std::fs::read_dir(self.home.join("sources")).is_ok_and(|mut entries| entries.next().is_none()) {
            return Err(Error::failed("no repository of this host is one of `repositories`")
                .hint("the names that there are: ls /etc/apt/sources.list.d; the hosts and suites: apt-cache policy"));
        }
        let output = self.command("apt-get").args(["-q", "update"]).timeout(UPDATE).output()?;
        if output.success() { Ok(()) } else { Err(unreachable(&output)) }
    }

    fn available(&self, names: &[&str]) -> Result<Vec<Available>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        // A name that is not known makes it fail, and what is known of the others is told all the same.
        let output = self.command("apt-cache").args(["show", "--"]).args(names.iter().copied()).output()?;
        Ok(stanzas(&output.text(), &dpkg::architecture()?))
    }

    fn fetch(&self, packages: &[Package]) -> Result<()> {
        if packages.is_empty() {
            return Ok(());
        }
        let incoming = self.store.join("incoming");
        make_private(&incoming, 0o700)?;
        let specs = packages.iter().map(|package| format!("{}={}", package.name, package.version));
        let output =
            self.command("apt-get").args(["-q", "download"]).args(specs).cwd(&incoming).timeout(DOWNLOAD).output()?;
        if !output.success() {
            return Err(unreachable(&output).while_("the packages cannot be downloaded"));
        }
        for package in packages {
            let name = self.file_name(package);
            let (from, to) = (incoming.join(&name), self.store.join(&name));
            dpkg::is_whole(&from)?;
            std::fs::rename(&from, &to).with_context(|| format!("{} cannot be kept", to.display()))?;
        }
        sync_filesystem(&self.store)?;
        sync_directory(&self.store)
    }

    fn at_hand(&self, package: &Package) -> Option<PathBuf> {
        let file = Path::new(ARCHIVES).join(self.file_name(package));
        file.exists().then_some(file)
    }

    fn simulate(&self, packages: &[Package]) -> Result<Transaction> {
        let specs = packages.iter().map(|package| self.spec(package));
        let options =
            ["-s", "-q", "-y", "--allow-downgrades", "-o", "APT::Get::AutomaticRemove=false", "install", "--"];
        let output = self.command("apt-get").args(options).args(specs).output()?;
        if output.success() {
            return Ok(simulated::read(&output.text()));
        }
        let said: Vec<String> =
            output.text().lines().skip_while(|line| !line.contains("unmet dependencies")).map(str::to_owned).collect();
        Err(Error::failed("apt finds no way to install these versions").detail(said.into_iter().chain(errors(&output))))
    }

    fn conffiles(&self, file: &Path) -> Result<Vec<Conffile>> {
        dpkg::conffiles(file)
    }

    fn shipped(&self, package: &Package) -> Result<Vec<Conffile>> {
        dpkg::shipped(package)
    }

    fn conffile_paths(&self, name: &str) -> Result<Vec<PathBuf>> {
        Ok(dpkg::conffiles_of(name)?.into_iter().map(|(path, _)| PathBuf::from(path)).collect())
    }

    fn automatic(&self) -> Result<BTreeSet<String>> {
        let output = Command::new(["apt-mark", "showauto"]).succeed()?;
        Ok(output.text().lines().map(|line| line.trim().to_owned()).collect())
    }

    fn vouched(&self) -> Option<String> {
        self.are_signed.then(|| "the signature of its repository, which apt verified".to_owned())
    }

    fn file_name(&self, package: &Package) -> String {
        dpkg::file_name(package)
    }

    fn config(&self) -> PathBuf {
        self.home.join("apt.conf")
    }

    fn beside(&self) -> &'static str {
        ".dpkg-dist"
    }
}

fn config(home: &Path) -> String {
    let at = |name: &str| home.join(name).display().to_string();
    // What the host's own configuration does after an update is not for a check.
    format!(
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n\
         Dir::Etc::SourceList \"/dev/null\";\nDir::Etc::SourceParts \"{}\";\nDir::State::lists \"{}\";\n\
         Dir::Cache \"{}\";\nDir::Cache::archives \"{}\";\nAPT::Sandbox::User \"root\";\nAPT::Update::Error-Mode \"any\";\n\
         Acquire::Languages \"none\";\nAPT::Get::List-Cleanup \"true\";\nAPT::Keep-Downloaded-Packages \"true\";\n",
        at("sources"),
        at("lists"),
        home.display(),
        at("archives"),
    )
}

fn host_sources() -> Result<Vec<SourceFile>> {
    let mut paths = vec![Path::new(SOURCES).join("sources.list")];
    paths.extend(
        std::fs::read_dir(Path::new(SOURCES).join("sources.list.d"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".list") && !name.ends_with(".sources") {
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(text) => found.push(SourceFile { name, text }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{} cannot be read", path.display())),
        }
    }
    Ok(found)
}

/// The packages of `apt-cache show`; what has no file is installed and no more.
fn stanzas(text: &str, native: &str) -> Vec<Available> {
    let read = |stanza: &str| {
        let field = |name: &str| {
            stanza
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
                .map(|value| value.trim().to_owned())
        };
        field("Filename")?;
        let (name, arch) = (field("Package")?, field("Architecture")?);
        let name = if arch == "all" || arch == native { name } else { format!("{name}:{arch}") };
        let needs = ["Depends", "Pre-Depends", "Recommends"].into_iter().filter_map(field);
        Some(Available {
            package: Package { name, version: field("Version")?, arch },
            size: field("Size")?.parse().ok()?,
            installed: field("Installed-Size").and_then(|size| size.parse::<u64>().ok()).unwrap_or_default() << 10,
            needs: needs.flat_map(|text| dpkg::names(&text)).collect(),
        })
    };
    text.split("\n\n").filter_map(read).collect()
}

fn errors(output: &Output) -> Vec<String> {
    let is_said = |line: &&String| line.starts_with("E:") || line.starts_with("W:");
    output.stderr.iter().filter(is_said).map(|line| crate::text::harmless(line)).collect()
}

/// Why the repositories gave nothing, with what to do.
fn unreachable(output: &Output) -> Error {
    let said = errors(output);
    let has = |what: &str| said.iter().any(|line| line.contains(what));
    let error = match () {
        () if has("NO_PUBKEY") || has("is not signed") || has("not available: ") => {
            Error::failed("a repository is signed by a key that apt does not know here, or not at all")
                .hint("put the key of the repository into /etc/apt/keyrings and name it: signed-by, sources.list(5)")
        }
        () if has("Could not get lock") => Error::failed("another apt uses our lists").hint("wait until it has ended"),
        () if output.status.is_none() => Error::failed("the repositories did not answer in time"),
        () => Error::failed("a repository cannot be read").hint("see whether it can be reached: apt-get update"),
    };
    error.detail(said)
}

fn write_if_other(path: &Path, text: &str) -> Result<()> {
    match std::fs::read(path) {
        Ok(bytes) if bytes == text.as_bytes() => Ok(()),
        _ => write_durably(path, text.as_bytes(), 0o600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_repository_has_is_told_from_what_is_merely_installed() {
        let text = "Package: app\nVersion: 2.0-1\nArchitecture: amd64\nDepends: a (>= 1) | b, c:any\nInstalled-Size: 2\nFilename: x\nSize: 20\n\n\
                    Package: app\nVersion: 1.0-1\nArchitecture: amd64\nStatus: install ok installed\n";
        let found = stanzas(text, "amd64");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].package.to_string(), "app=2.0-1 amd64");
        assert_eq!((found[0].size, found[0].installed), (20, 2048));
        assert_eq!(found[0].needs, ["a", "b", "c"]);
    }
}
