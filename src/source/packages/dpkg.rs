//! What dpkg(1) knows, and what is in a .deb.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use super::package::Package;
use super::tool::{Conffile, Installed};
use crate::error::{Context, Error, Result};
use crate::host::process::Command;
use crate::plan::Blocker;

/// The largest configuration file that is read, bytes.
const LARGEST: u64 = 8 << 20;
/// How a package is asked for.
const FORMAT: &str = "${binary:Package}\\t${Architecture}\\t${Version}\\t${db:Status-Want}\\t${db:Status-Status}\\t${db:Status-Eflag}\\n";

/// What dpkg calls this host's architecture.
pub fn architecture() -> Result<String> {
    Ok(Command::new(["dpkg", "--print-architecture"]).succeed()?.text())
}

/// Every package that is there, whole or half.
pub fn installed() -> Result<Vec<Installed>> {
    let native = architecture()?;
    let output = Command::new(["dpkg-query", "--show", "--showformat", FORMAT]).succeed()?;
    Ok(output.text().lines().filter_map(|line| read(line, &native)).collect())
}

fn read(line: &str, native: &str) -> Option<Installed> {
    let mut fields = line.split('\t');
    let mut next = || fields.next();
    let (name, arch, version) = (next()?, next()?, next()?);
    let (want, status, flag) = (next()?, next()?, next()?);
    // "config-files": removed, and not purged.
    if matches!(status, "not-installed" | "config-files") {
        return None;
    }
    let name = name.strip_suffix(&format!(":{native}")).unwrap_or(name);
    Some(Installed {
        package: Package { name: name.into(), version: version.into(), arch: arch.into() },
        is_whole: status == "installed" && flag == "ok",
        is_held: want == "hold",
    })
}

/// What `dpkg --audit` has to say.
pub fn trouble() -> Result<Vec<Blocker>> {
    let output = Command::new(["dpkg", "--audit"]).env("LC_ALL", "C.UTF-8").output()?;
    let is_interrupted =
        std::fs::read_dir("/var/lib/dpkg/updates").is_ok_and(|mut entries| entries.any(|entry| entry.is_ok()));
    let said = output.text();
    let named: Vec<&str> = said.lines().filter_map(|line| line.strip_prefix(' ')?.split_whitespace().next()).collect();
    let what = match (output.success() && said.is_empty(), is_interrupted) {
        (true, false) => return Ok(Vec::new()),
        (true, true) => "dpkg was interrupted".to_owned(),
        _ if named.is_empty() => "the database of dpkg is not in order".to_owned(),
        _ => format!("the database of dpkg is not in order: {} is not installed whole", named.join(", ")),
    };
    Ok(vec![Blocker::impossible(what, "see what it is: dpkg --audit; finish it: dpkg --configure -a")])
}

/// What the file of a package is called, as apt does.
pub fn file_name(package: &Package) -> String {
    let name = package.name.split(':').next().unwrap_or(&package.name);
    format!("{name}_{}_{}.deb", package.version.replace(':', "%3a"), package.arch)
}

/// Whether a file is a package that can be read.
pub fn is_whole(file: &Path) -> Result<()> {
    Command::new(["dpkg-deb", "--info"])
        .args([file])
        .succeed()
        .map(drop)
        .map_err(|error| error.while_(format!("{} is no whole package", file.display())))
}

/// The names in a list of relations, deb-control(5).
pub fn names(relations: &str) -> Vec<String> {
    let name =
        |one: &str| one.split_whitespace().next().and_then(|word| word.split([':', '(']).next()).map(str::to_owned);
    relations.split([',', '|']).filter_map(|one| name(one.trim())).filter(|name| !name.is_empty()).collect()
}

/// The configuration files in a .deb.
pub fn conffiles(file: &Path) -> Result<Vec<Conffile>> {
    let list = tar_of(file, "--ctrl-tarfile", |path| path == Path::new("conffiles"))?;
    let Some(list) = list.into_values().next() else { return Ok(Vec::new()) };
    let list = String::from_utf8_lossy(&list).into_owned();
    // A line may say that the package no longer has the file, deb-conffiles(5).
    let wanted: Vec<PathBuf> =
        list.lines().filter_map(|line| line.trim().strip_prefix('/')).map(PathBuf::from).collect();
    let found = tar_of(file, "--fsys-tarfile", |path| wanted.iter().any(|one| one == path))?;
    Ok(found.into_iter().map(|(path, bytes)| (format!("/{}", path.display()), bytes)).collect())
}

fn tar_of(file: &Path, part: &str, is_wanted: impl Fn(&Path) -> bool) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let unpacked = tempfile::tempfile().context("there is no place for a temporary file")?;
    let mut read: File = unpacked.try_clone().context("there is no place for a temporary file")?;
    Command::new(["dpkg-deb", part]).args([file]).stdout(unpacked).succeed()?;
    read.rewind().context("a package cannot be read")?;
    let failed = || format!("{} cannot be read", file.display());
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(read);
    for entry in archive.entries().with_context(failed)? {
        let mut entry = entry.with_context(failed)?;
        let path = entry.path().with_context(failed)?.into_owned();
        let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
        if !is_wanted(&path) || !entry.header().entry_type().is_file() {
            continue;
        }
        if entry.size() > LARGEST {
            return Err(Error::failed(format!("/{} of {} is larger than 8 MiB", path.display(), file.display())));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).with_context(failed)?;
        found.insert(path, bytes);
    }
    Ok(found)
}

/// The configuration files of an installed package, absolute, each with the MD5 of its bytes as the package had them.
pub fn conffiles_of(name: &str) -> Result<Vec<(String, String)>> {
    let output = Command::new(["dpkg-query", "--show", "--showformat", "${Conffiles}\\n", "--", name]).output()?;
    let read = |line: &str| {
        let (path, rest) = line.trim().rsplit_once(' ')?;
        // " PATH MD5 obsolete": the installed version does not have it any more.
        (rest != "obsolete" && rest != "remove-on-upgrade").then(|| (path.to_owned(), rest.to_owned()))
    };
    Ok(output.text().lines().filter_map(read).collect())
}

/// The configuration files of an installed package that nobody edited: what is there is what it came with.
pub fn shipped(package: &Package) -> Result<Vec<Conffile>> {
    let mut found = Vec::new();
    for (path, sum) in conffiles_of(&package.name)? {
        let Ok(meta) = Path::new(&path).symlink_metadata() else { continue };
        if !meta.is_file() || meta.len() > LARGEST {
            continue;
        }
        let now = Command::new(["md5sum", "--", &path]).succeed()?.text();
        if now.trim_start_matches('\\').split_whitespace().next() == Some(sum.as_str()) {
            let bytes = std::fs::read(&path).with_context(|| format!("{path} cannot be read"))?;
            found.push((path, bytes));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dpkg_lists_is_read_with_its_state() {
        let one = |line| read(line, "amd64");
        let app = one("app:amd64\tamd64\t1:1.0-1\thold\tinstalled\tok").unwrap();
        assert_eq!(app.package.to_string(), "app=1:1.0-1 amd64");
        assert!(app.is_whole && app.is_held);
        assert_eq!(file_name(&app.package), "app_1%3a1.0-1_amd64.deb");
        let half = one("lib:i386\ti386\t1\tinstall\thalf-configured\tok").unwrap();
        assert!(half.package.name == "lib:i386" && !half.is_whole);
        assert!(!one("x\tall\t1\tinstall\tinstalled\treinstreq").unwrap().is_whole);
        assert_eq!(one("gone\tall\t1\tdeinstall\tconfig-files\tok"), None);
    }

    #[test]
    fn the_names_in_relations_are_all_told() {
        assert_eq!(names("a (>= 1) | b, c:any, d (= 2),"), ["a", "b", "c", "d"]);
    }
}
