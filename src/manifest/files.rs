//! Where manifests are, and whether what they say may be believed.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{Install, Layer, Problems, parse, parse_at, words};
use crate::error::{Context, Error, Kind, Result};
use crate::host::paths::Paths;
use crate::ledger::Ledger;

/// No manifest is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// Reads and validates one manifest; the install is called as the file is, without `.toml`. A manifest that is wrong is
/// one error of kind `Usage` that carries all problems; one that cannot be read is `Failed` or `NotPermitted`; one that
/// another account could have written is `Refused` when the caller is root.
pub fn load(path: &Path) -> Result<Install> {
    read(path)?.map_err(Problems::into_error)
}

/// As [`load`], with the problems of a wrong manifest as values.
pub fn read(path: &Path) -> Result<std::result::Result<Install, Problems>> {
    read_with(path, |_| Ok(Layer::Unknown))
}

/// As [`load`], with what is known of the repository's own manifest.
pub fn at(path: &Path, layer: &Layer) -> Result<Install> {
    read_with(path, |_| Ok(layer.clone()))?.map_err(Problems::into_error)
}

/// As [`load`], with the repository's manifest that was activated last.
fn activated(paths: &Paths, path: &Path) -> Result<Install> {
    let recorded =
        |name: &str| Ok(Ledger::below(&paths.state(name)).repository_manifest()?.map_or(Layer::Unknown, Layer::Known));
    read_with(path, recorded)?.map_err(Problems::into_error)
}

fn read_with(path: &Path, layer: impl Fn(&str) -> Result<Layer>) -> Result<std::result::Result<Install, Problems>> {
    let name = name_of(path)?;
    let (text, writers) = contents(path)?;
    let distrust = writers.into_iter().chain(writable_above(path)?);
    let distrust: Vec<String> = distrust.collect();
    if nix::unistd::geteuid().is_root()
        && let Some(first) = distrust.first()
    {
        return Err(Error::refused(format!("the manifest {} is not used", path.display()))
            .because(first)
            .because("root would run what another account wrote")
            .hint("give it back to root: chown root:root PATH && chmod go-w PATH"));
    }
    let mut parsed = parse(&name, path, &text);
    if parsed.as_ref().is_ok_and(|install| install.source.reads_repository_manifest()) {
        parsed = parse_at(&name, path, &text, &layer(&name)?);
    }
    Ok(parsed.map(|mut install| {
        install.warnings.splice(0..0, distrust);
        install
    }))
}

/// Every manifest, sorted by name: that of `config` alone where it is given, else each `*.toml` of `/etc/relift`. Other
/// files there, such as editors' and package managers' backups, are left alone. The error tells of every manifest that
/// is wrong.
pub fn all(paths: &Paths, config: Option<&Path>) -> Result<Vec<Install>> {
    if let Some(file) = config {
        return activated(paths, file).map(|install| vec![install]);
    }
    let (good, bad): (Vec<_>, Vec<_>) =
        files(paths)?.iter().map(|path| activated(paths, path)).partition(Result::is_ok);
    let mut bad = bad.into_iter().filter_map(Result::err);
    let Some(first) = bad.next() else {
        return Ok(good.into_iter().flatten().collect());
    };
    Err(bad.fold(first, |sum, error| {
        let mut sum = sum.because(error.to_string()).detail([String::new()]).detail(error.detail);
        sum.hints.extend(error.hints);
        sum
    }))
}

/// Every manifest as [`all`] finds them, each with its install's name: one that is wrong does not hide the others.
pub fn each(paths: &Paths, config: Option<&Path>) -> Result<Vec<(String, Result<Install>)>> {
    let files = config.map_or_else(|| files(paths), |file| Ok(vec![file.to_owned()]))?;
    files.iter().map(|path| Ok((name_of(path)?, activated(paths, path)))).collect()
}

/// The manifest of the install called `name`; of the only one where no name is given.
pub fn named(paths: &Paths, config: Option<&Path>, name: Option<&str>) -> Result<Install> {
    if let Some(file) = config {
        let install = activated(paths, file)?;
        return match name {
            Some(name) if name != install.name => {
                Err(Error::usage(format!("{} is the manifest of {}, not of {name}", file.display(), install.name))
                    .hint("leave the name out, or --config"))
            }
            _ => Ok(install),
        };
    }
    activated(paths, &file_of(paths, name)?)
}

/// The file of the manifest that [`named`] would read.
pub fn file_of(paths: &Paths, name: Option<&str>) -> Result<PathBuf> {
    let mut files = files(paths)?;
    let names: Vec<String> = files.iter().map(|path| name_of(path)).collect::<Result<_>>()?;
    let found = match name {
        Some(name) => names.iter().position(|known| known == name),
        None if names.len() == 1 => Some(0),
        None => None,
    };
    match found {
        Some(at) => Ok(files.swap_remove(at)),
        None => Err(not_found(paths, &names, name)),
    }
}

/// The installs whose manifests can be read and are right, for questions that the others do not stop.
pub fn readable(paths: &Paths) -> Vec<Install> {
    files(paths).unwrap_or_default().iter().filter_map(|path| activated(paths, path).ok()).collect()
}

fn not_found(paths: &Paths, names: &[String], name: Option<&str>) -> Error {
    let place = paths.manifests();
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    match name {
        _ if known.is_empty() => Error::usage(format!("no install is declared in {}", place.display()))
            .hint("write a manifest for a checkout: relift init PATH"),
        None => Error::usage("there are several installs, and no name was given")
            .because(format!("declared in {}: {}", place.display(), known.join(", ")))
            .hint(format!("name one of them, such as {}", known[0])),
        Some(name) => {
            let error = Error::usage(format!("no install is called {}", crate::text::harmless(name))).because(format!(
                "declared in {}: {}",
                place.display(),
                known.join(", ")
            ));
            match crate::diff::nearest(name, &known, 0.6) {
                Some(near) => error.hint(format!("did you mean {near}?")),
                None => error.hint("write a manifest for a checkout: relift init PATH"),
            }
        }
    }
}

/// The files of the manifests in `/etc/relift`, sorted; none where there is no such directory.
pub fn files(paths: &Paths) -> Result<Vec<PathBuf>> {
    let place = paths.manifests();
    let entries = match std::fs::read_dir(&place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(&place, &error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(&place, &error))?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn name_of(path: &Path) -> Result<String> {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    match words::is_install_name(stem) {
        true => Ok(stem.to_owned()),
        false => Err(Error::usage(format!("{} cannot name an install", path.display()))
            .because("the install is called as the file is, and its name is part of paths and of unit names")
            .hint("use at most 64 letters, digits, `-`, `_` and `.`, beginning with a letter or digit")),
    }
}

/// The text, and who but root may have written it.
fn contents(path: &Path) -> Result<(String, Option<String>)> {
    // Without O_NONBLOCK a FIFO would be waited for.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path);
    let file = file.map_err(|error| unreadable(path, &error))?;
    let metadata = file.metadata().with_context(|| format!("{} cannot be looked at", path.display()))?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return Err(Error::failed(format!("{} is no manifest", path.display()))
            .because("it is not a regular file of at most 1 MiB"));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Error::usage(format!("the manifest {} is not UTF-8", path.display()))
            .because(format!("line {line} holds other bytes"))
            .hint(format!("find them: grep -naxv '.*' {}", path.display()))
    })?;
    Ok((text, other_writer(path, &metadata)))
}

/// Who but root may write the file, or replace it, each in a sentence.
pub fn writers_of(path: &Path) -> Result<Vec<String>> {
    let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    let metadata = real.metadata().map_err(|error| unreadable(path, &error))?;
    // Where a name leads by links: what holds the name counts as well.
    let parent = path.parent().map(writable_above_directory).transpose()?.flatten();
    Ok(other_writer(path, &metadata).into_iter().chain(writable_above(path)?).chain(parent).collect())
}

/// A directory above that others may write to lets them replace the file.
fn writable_above(path: &Path) -> Result<Option<String>> {
    let real = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    real.parent().map_or(Ok(None), writable_above_directory)
}

/// The same for a directory and those above it.
fn writable_above_directory(directory: &Path) -> Result<Option<String>> {
    for directory in directory.ancestors() {
        let metadata = directory.metadata().map_err(|error| unreadable(directory, &error))?;
        // In a sticky directory nobody can replace what is root's.
        let sticky = metadata.mode() & 0o1000 != 0 && metadata.uid() == 0;
        if let Some(who) = other_writer(directory, &metadata).filter(|_| !sticky) {
            return Ok(Some(who));
        }
    }
    Ok(None)
}

fn other_writer(path: &Path, metadata: &Metadata) -> Option<String> {
    let path = path.display();
    match (metadata.uid(), metadata.mode()) {
        (uid @ 1.., _) => Some(format!("{path} belongs to uid {uid}, not to root")),
        (_, mode) if mode & 0o002 != 0 => Some(format!("{path} may be written by every account")),
        (_, mode) if mode & 0o020 != 0 && metadata.gid() != 0 => {
            Some(format!("{path} may be written by the group with gid {}", metadata.gid()))
        }
        _ => None,
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let found = Error::failed(format!("{} cannot be read", path.display())).because(error);
    match error.kind() {
        ErrorKind::PermissionDenied => found.kind(Kind::NotPermitted).hint("run relift as root"),
        ErrorKind::NotFound => found.hint("write a manifest for a checkout: relift init PATH"),
        _ => found,
    }
}
