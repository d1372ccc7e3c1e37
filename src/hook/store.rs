//! Where requests are kept: `/run/relift/requests`, root's alone, a file for each.

use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Request;
use super::request::LONGEST;
use crate::error::{Context, Error, Result};
use crate::host::fs::{make_ours, must_be_ours, write_durably};
use crate::host::paths::Paths;
use crate::run::{Lock, lock};

/// How long a hook waits for another hook; then its request stays beside the other.
const HOOK: Duration = Duration::from_millis(20);
/// How long the worker waits for a hook.
const WORKER: Duration = Duration::from_secs(10);
/// How many files are looked at in one go.
const MOST: usize = 10_000;

/// The requests of this host.
#[derive(Debug, Clone)]
pub struct Store {
    runtime: PathBuf,
}

/// What is asked for an install, and the files that ask for it.
#[derive(Debug, Clone)]
pub struct Pending {
    /// All requests of the install as one.
    pub request: Request,
    /// Each file with its bytes.
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Store {
    /// The requests below these places.
    pub fn of(paths: &Paths) -> Store {
        Store::below(&paths.runtime())
    }

    /// The requests below `/run/relift`.
    pub fn below(runtime: &Path) -> Store {
        Store { runtime: runtime.to_owned() }
    }

    fn fresh(&self) -> PathBuf {
        self.runtime.join("requests")
    }

    fn waiting(&self) -> PathBuf {
        self.fresh().join("waiting")
    }

    fn lock(&self, timeout: Duration) -> Result<Lock> {
        lock(&self.runtime, "~requests", timeout)
    }

    /// Adds requests, each to one of the same install that is there.
    pub fn add(&self, requests: Vec<Request>) -> Result<()> {
        make_ours(&self.runtime)?;
        make_ours(&self.fresh())?;
        let lock = self.lock(HOOK);
        let known = if lock.is_ok() { files(&self.fresh())? } else { Vec::new() };
        let known: Vec<(PathBuf, Request)> =
            known.into_iter().filter_map(|(path, bytes)| Some((path, Request::parse(&bytes?).ok()?))).collect();
        for request in requests {
            let (path, request) = match known.iter().find(|(_, one)| one.install == request.install) {
                Some((path, one)) => (path.clone(), one.clone().merge(request)),
                None => (self.fresh().join(format!("{}.json", ulid::Ulid::generate())), request),
            };
            write(&path, &request)?;
        }
        Ok(())
    }

    /// Everything that is asked for, by install; garbage goes, and is told as text.
    pub fn pending(&self) -> Result<(Vec<Pending>, Vec<String>)> {
        must_be_ours(&self.fresh())?;
        must_be_ours(&self.waiting())?;
        let _lock = self.lock(WORKER)?;
        let mut found: BTreeMap<String, Pending> = BTreeMap::new();
        let mut garbage = Vec::new();
        for (path, bytes) in files(&self.waiting())?.into_iter().chain(files(&self.fresh())?) {
            let parsed = bytes.ok_or_else(|| Error::failed("it is no plain file of root's, or too long"));
            match parsed.and_then(|bytes| Ok((Request::parse(&bytes)?, bytes))) {
                Ok((request, bytes)) => match found.remove(&request.install) {
                    None => {
                        let files = vec![(path, bytes)];
                        found.insert(request.install.clone(), Pending { request, files });
                    }
                    Some(mut pending) => {
                        pending.request = pending.request.merge(request);
                        pending.files.push((path, bytes));
                        found.insert(pending.request.install.clone(), pending);
                    }
                },
                Err(error) => {
                    garbage.push(format!("{} is removed: {error}", path.display()));
                    discard(&path)?;
                }
            }
        }
        Ok((found.into_values().collect(), garbage))
    }

    /// Removes what was done, but not what a hook has added to since.
    pub fn done(&self, pending: &Pending) -> Result<()> {
        let _lock = self.lock(WORKER)?;
        pending.files.iter().filter(|(path, bytes)| is_still(path, bytes)).try_for_each(|(path, _)| discard(path))
    }

    /// Moves what has to wait to where the path unit does not see it: one file for the install.
    pub fn set_aside(&self, pending: &Pending, why: &str) -> Result<()> {
        make_ours(&self.waiting())?;
        let _lock = self.lock(WORKER)?;
        let mine: Vec<&PathBuf> =
            pending.files.iter().filter(|(path, bytes)| is_still(path, bytes)).map(|(path, _)| path).collect();
        let Some(first) = mine.first() else { return Ok(()) };
        let name = first.file_name().unwrap_or_default();
        let kept = self.waiting().join(name);
        let request = Request { waits: Some(crate::text::harmless(why)), ..pending.request.clone() };
        if write(&kept, &request).is_ok() {
            return mine.into_iter().filter(|path| **path != kept).try_for_each(|path| discard(path));
        }
        // No room for another file: a name takes none.
        mine.into_iter().try_for_each(|path| {
            let to = self.waiting().join(path.file_name().unwrap_or_default());
            std::fs::rename(path, &to).with_context(|| format!("{} cannot be set aside", path.display()))
        })
    }

    /// The request that waits for an install, for a status.
    pub fn of_install(&self, install: &str) -> Option<Request> {
        let all = [self.waiting(), self.fresh()]
            .iter()
            .flat_map(|place| files(place).unwrap_or_default())
            .collect::<Vec<_>>();
        let requests = all.into_iter().filter_map(|(_, bytes)| Request::parse(&bytes?).ok());
        requests
            .filter(|request| request.install == install)
            .reduce(|one, other| Request { waits: one.waits.clone().or(other.waits.clone()), ..one.merge(other) })
    }
}

fn write(path: &Path, request: &Request) -> Result<()> {
    let bytes = serde_json::to_vec(request).context("a request cannot be written")?;
    write_durably(path, &bytes, 0o600)
}

/// The `*.json` of a directory, oldest first, with their bytes where they are plain files of root's.
fn files(place: &Path) -> Result<Vec<(PathBuf, Option<Vec<u8>>)>> {
    let entries = match std::fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::failed(format!("{} cannot be read", place.display())).because(error)),
    };
    let paths = entries.flatten().map(|entry| entry.path());
    // A dot begins what is still being written.
    let is_one = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.ends_with(".json") && !name.starts_with('.')
    };
    let mut paths: Vec<PathBuf> = paths.filter(is_one).take(MOST).collect();
    paths.sort();
    Ok(paths.into_iter().map(|path| (read(&path), path)).map(|(bytes, path)| (path, bytes)).collect())
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC;
    let file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let is_ours = |meta: &Metadata| meta.is_file() && meta.uid() == nix::unistd::geteuid().as_raw();
    file.metadata().ok().filter(is_ours).filter(|meta| meta.len() <= LONGEST)?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn is_still(path: &Path, bytes: &[u8]) -> bool {
    read(path).is_some_and(|now| now == bytes)
}

fn discard(path: &Path) -> Result<()> {
    let is_directory = path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
    let removed = if is_directory { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::failed(format!("{} cannot be removed", path.display())).because(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manager;
    use super::*;

    fn store(place: &tempfile::TempDir) -> Store {
        Store::of(&Paths::below(place.path()))
    }

    fn request(install: &str, at: u64) -> Request {
        Request::new(install, Manager::Apt, at, vec![format!("/usr/{at}").into()])
    }

    fn names(place: &Path) -> usize {
        files(place).unwrap().len()
    }

    #[test]
    fn a_hundred_requests_of_an_install_are_one_and_those_of_others_stay_apart() {
        let place = tempfile::tempdir().unwrap();
        let store = store(&place);
        (0..100).for_each(|at| store.add(vec![request("app", at), request("web", at)]).unwrap());
        assert_eq!(names(&store.fresh()), 2);
        let (pending, garbage) = store.pending().unwrap();
        assert_eq!((pending.len(), garbage.len()), (2, 0));
        assert_eq!((pending[0].request.since_us, pending[0].request.until_us), (0, 99));
        assert_eq!(pending[0].request.paths.len(), 100);
        store.done(&pending[0]).unwrap();
        assert_eq!(store.pending().unwrap().0[0].request.install, "web");
    }

    #[test]
    fn what_a_hook_adds_while_the_worker_works_is_not_lost() {
        let place = tempfile::tempdir().unwrap();
        let store = store(&place);
        store.add(vec![request("app", 1)]).unwrap();
        let (pending, _) = store.pending().unwrap();
        store.add(vec![request("app", 2)]).unwrap();
        store.done(&pending[0]).unwrap();
        assert_eq!(store.pending().unwrap().0[0].request.until_us, 2);
    }

    #[test]
    fn what_waits_is_one_file_out_of_sight_and_is_taken_up_with_what_comes() {
        let place = tempfile::tempdir().unwrap();
        let store = store(&place);
        for at in 1..4 {
            store.add(vec![request("app", at)]).unwrap();
            let (pending, _) = store.pending().unwrap();
            assert_eq!((pending.len(), pending[0].request.since_us, pending[0].request.until_us), (1, 1, at));
            store.set_aside(&pending[0], "held").unwrap();
            assert_eq!((names(&store.fresh()), names(&store.waiting())), (0, 1));
        }
        assert_eq!(store.of_install("app").unwrap().waits.as_deref(), Some("held"));
        assert_eq!(store.of_install("web"), None);
        store.done(&store.pending().unwrap().0[0]).unwrap();
        assert_eq!((names(&store.fresh()), names(&store.waiting())), (0, 0));
    }

    #[test]
    fn garbage_goes_and_is_told_while_the_rest_stays() {
        let place = tempfile::tempdir().unwrap();
        let store = store(&place);
        store.add(vec![request("app", 1)]).unwrap();
        let garbage = |name: &str| store.fresh().join(name);
        std::fs::write(garbage("1.json"), "{").unwrap();
        std::fs::create_dir(garbage("2.json")).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", garbage("3.json")).unwrap();
        nix::unistd::mkfifo(&garbage("4.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        std::fs::write(garbage("not-json"), "x").unwrap();
        let (pending, told) = store.pending().unwrap();
        assert_eq!((pending.len(), told.len()), (1, 4), "{told:?}");
        assert_eq!((names(&store.fresh()), garbage("not-json").exists()), (1, true));
        assert!(Path::new("/etc/passwd").exists());
    }

    #[test]
    fn a_place_that_another_put_there_is_not_followed() {
        let place = tempfile::tempdir().unwrap();
        let store = store(&place);
        make_ours(&store.runtime).unwrap();
        let elsewhere = place.path().join("elsewhere");
        std::fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, store.fresh()).unwrap();
        assert!(store.add(vec![request("app", 1)]).unwrap_err().to_string().contains("symbolic link"));
        assert!(store.pending().is_err());
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
