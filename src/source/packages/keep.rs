//! Package files that are kept: those of what is installed, so that there is a way back without the network, and those of what comes.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::package::Package;
use super::tool::{Tool, store};
use crate::action;
use crate::error::{Context, Error, Kind, Result};
use crate::host::fs::{free_bytes, sync_filesystem, write_durably};
use crate::host::packages::{busy, holder};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::report::{Reporter, during};
use crate::source::Place;

/// How often a held lock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// The file of a package on this host, in the store or where the package manager keeps it.
pub fn file(place: &Place, tool: &dyn Tool, package: &Package) -> Option<PathBuf> {
    let kept = store(place.state).join(tool.file_name(package));
    if kept.exists() { Some(kept) } else { tool.at_hand(package) }
}

/// Whether there is one.
pub fn has(place: &Place, tool: &dyn Tool, package: &Package) -> bool {
    file(place, tool, package).is_some()
}

/// Waits until no package manager holds a lock.
///
/// # Errors
/// Who holds it, where it is held for longer; [`Kind::Busy`].
pub fn wait_for_lock(bound: Duration) -> Result<()> {
    let deadline = Instant::now() + bound;
    while let Some(lock) = busy() {
        if Instant::now() >= deadline {
            let who =
                holder(lock).map_or_else(|| "another program".to_owned(), |(pid, name)| format!("{name} (pid {pid})"));
            return Err(Error::new(Kind::Busy, format!("{who} holds the lock {lock} of the package manager"))
                .hint("try again when it has ended; `lock-timeout` under [source.packages] says how long to wait"));
        }
        std::thread::sleep(TICK);
    }
    Ok(())
}

/// Gets package files into the store.
///
/// # Errors
/// Where there is no room for them: nothing was downloaded.
pub fn fetch(place: &Place, tool: &dyn Tool, packages: &[Package]) -> Result<()> {
    let names: Vec<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let available = tool.available(&names)?;
    let need = available.iter().filter(|one| packages.contains(&one.package)).map(|one| one.size).sum();
    match short_of(need, &store(place.state))? {
        Some((what, hint)) => Err(Error::failed(what).hint(hint)),
        None => tool.fetch(packages),
    }
}

/// Where a directory's filesystem has less than `need` bytes: what to say of it, and what to do.
pub fn short_of(need: u64, at: &Path) -> Result<Option<(String, String)>> {
    let free = free_bytes(at)?;
    let (free_words, need_words) = (crate::text::bytes(free), crate::text::bytes(need));
    Ok((free < need).then(|| {
        let at = at.display();
        (
            format!("only {free_words} are free on the filesystem of {at}, and the packages need {need_words}"),
            format!("make room: df -h {at}"),
        )
    }))
}

/// Brings everything that a transaction and its undo need, and notes which release needs what.
pub fn bring(
    place: &Place,
    tool: &dyn Tool,
    plan: &Plan,
    change: &action::Packages,
    reporter: &dyn Reporter,
) -> Result<()> {
    let (old, new): (Vec<&Package>, Vec<&Package>) = (
        change.changes.iter().filter_map(|one| one.from.as_ref()).collect(),
        change.changes.iter().map(|one| &one.to).collect(),
    );
    prune(place, tool, plan)?;
    for package in new.iter().chain(&old) {
        let kept = store(place.state).join(tool.file_name(package));
        if !kept.exists()
            && let Some(elsewhere) = tool.at_hand(package)
        {
            std::fs::copy(&elsewhere, &kept).with_context(|| format!("{} cannot be kept", elsewhere.display()))?;
        }
    }
    let is_missing = |package: &&&Package| !store(place.state).join(tool.file_name(package)).exists();
    let is_lost = |package: &&&Package| change.without.contains(&package.words());
    let missing: Vec<Package> = new
        .iter()
        .chain(old.iter())
        .filter(is_missing)
        .filter(|one| !is_lost(one))
        .map(|one| (**one).clone())
        .collect();
    if !missing.is_empty() {
        let words: Vec<String> = missing.iter().map(Package::words).collect();
        during(reporter, format!("download {}", words.join(", ")), || fetch(place, tool, &missing))?;
    }
    note(place, &plan.from.revision, &old)?;
    note(place, &plan.to.revision, &new)?;
    sync_filesystem(&store(place.state))
}

/// The other packages that a release was installed with, as far as a run changed them.
pub fn companions(place: &Place, revision: &str) -> Vec<Package> {
    let text = std::fs::read_to_string(list(place, revision)).unwrap_or_default();
    text.lines().filter_map(Package::parse).collect()
}

fn list(place: &Place, revision: &str) -> PathBuf {
    store(place.state).join(format!("{revision}.list"))
}

/// Adds to what is known of a release: a later transaction may touch others of its packages.
fn note(place: &Place, revision: &str, packages: &[&Package]) -> Result<()> {
    let mut all = companions(place, revision);
    all.retain(|known| packages.iter().all(|package| package.name != known.name));
    all.extend(packages.iter().map(|package| (*package).clone()));
    all.sort();
    let text: String = all.iter().map(|package| format!("{package}\n")).collect();
    write_durably(&list(place, revision), text.as_bytes(), 0o600)
}

/// Removes what no release needs any more that can be gone back to.
fn prune(place: &Place, tool: &dyn Tool, plan: &Plan) -> Result<()> {
    let mut revisions: Vec<String> =
        Ledger::below(place.state).known_good()?.into_iter().map(|entry| entry.revision).collect();
    revisions.extend([plan.from.revision.clone(), plan.to.revision.clone()]);
    let mirror = crate::source::git::Mirror::open(place.state, place.cache, None, place.owner)?;
    let named = |revision: &String| super::release::packages(&mirror, revision);
    let needed: Vec<Package> =
        revisions.iter().flat_map(|revision| companions(place, revision).into_iter().chain(named(revision))).collect();
    let mut wanted: Vec<String> = needed.iter().map(|package| tool.file_name(package)).collect();
    wanted.extend(revisions.iter().map(|revision| format!("{revision}.list")));
    wanted.extend(crate::action::packages_of(plan).map(|package| tool.file_name(package)));
    let directory = store(place.state);
    for entry in std::fs::read_dir(&directory).context("the kept packages cannot be read")?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_file() && !wanted.contains(&name) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    std::fs::remove_file(path).with_context(|| format!("{} cannot be removed", path.display()))
}
