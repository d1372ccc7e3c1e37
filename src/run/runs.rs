//! The runs of an install by the names of their directories: ULIDs sort by time.
//!
//! There may be ten thousand, and nearly always the newest few are meant. Those are noted beside the directory, for as long as
//! it stays what it was.

use std::collections::BinaryHeap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// From how many runs on a note is worth it.
const MANY: usize = 200;

/// How many runs a note names.
const NOTED: usize = 50;

/// For how long after a change a directory could change again with the same times: those are taken from a clock that ticks a
/// few hundred times a second, and some filesystems keep whole seconds.
const DOUBTFUL: Duration = Duration::from_secs(2);

/// The runs below a directory, oldest first.
pub fn runs(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut names = names(directory)?;
    names.sort_unstable();
    Ok(names.into_iter().map(|name| directory.join(name)).collect())
}

/// The newest of them, from the directory itself.
pub(super) fn newest_for_sure(directory: &Path) -> Result<Option<PathBuf>> {
    Ok(names(directory)?.into_iter().max().map(|name| directory.join(name)))
}

/// The newest of them.
pub fn newest(directory: &Path) -> Result<Option<PathBuf>> {
    newest_first(directory)?.next().transpose()
}

/// All of them, newest first; the directory is read where more are asked for than are noted.
pub fn newest_first(directory: &Path) -> Result<NewestFirst> {
    let (names, is_all) = match noted(directory) {
        Some(noted) => (noted.into_iter().collect(), false),
        None => (listed(directory)?, true),
    };
    Ok(NewestFirst { directory: directory.to_owned(), names, is_all, last: None })
}

/// Runs from the newest on; see [`newest_first`].
pub struct NewestFirst {
    directory: PathBuf,
    /// Sorted as far as they are asked for.
    names: BinaryHeap<String>,
    is_all: bool,
    last: Option<String>,
}

impl NewestFirst {
    fn name(&mut self) -> Result<Option<String>> {
        if self.names.is_empty() && !self.is_all {
            self.is_all = true;
            self.names = names(&self.directory)?.into_iter().filter(|name| self.last.as_ref() > Some(name)).collect();
        }
        self.last = self.names.pop();
        Ok(self.last.clone())
    }
}

impl Iterator for NewestFirst {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Result<PathBuf>> {
        self.name().transpose().map(|name| Ok(self.directory.join(name?)))
    }
}

/// Which runs are the newest of a directory that was in this state.
#[derive(Serialize, Deserialize)]
struct Note {
    state: State,
    newest: Vec<String>,
}

/// What changes when an entry comes or goes: inode(7).
#[derive(PartialEq, Eq, Serialize, Deserialize)]
struct State {
    device: u64,
    inode: u64,
    links: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl State {
    fn of(directory: &Path) -> Option<State> {
        let found = fs::metadata(directory).ok()?;
        Some(State {
            device: found.dev(),
            inode: found.ino(),
            links: found.nlink(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    /// Whether a change that comes now will be told by its times. They may lie in the future where the clock was set back.
    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let last = self.modified.max(self.changed).0;
        u64::try_from(last).is_ok_and(|last| Duration::from_secs(last + 1) + DOUBTFUL <= now)
    }
}

fn note(directory: &Path) -> PathBuf {
    directory.with_extension("newest")
}

fn noted(directory: &Path) -> Option<Vec<String>> {
    let kept: Note = serde_json::from_slice(&fs::read(note(directory)).ok()?).ok()?;
    (Some(kept.state) == State::of(directory)).then_some(kept.newest)
}

/// Reads the directory, and notes the newest for those who come after; that this fails, or that it is torn, costs them a reading.
fn listed(directory: &Path) -> Result<BinaryHeap<String>> {
    let before = State::of(directory);
    let mut names = BinaryHeap::from(names(directory)?);
    if names.len() >= MANY
        && let Some(state) = before.filter(State::is_settled)
        && State::of(directory).as_ref() == Some(&state)
    {
        let newest: Vec<String> = (0..NOTED).filter_map(|_| names.pop()).collect();
        names.extend(newest.iter().cloned());
        let text = serde_json::to_vec(&Note { state, newest }).unwrap_or_default();
        fs::write(note(directory), text).unwrap_or_default();
    }
    Ok(names)
}

/// The names of the runs, from the directory alone: nothing is asked about each.
fn names(directory: &Path) -> Result<Vec<String>> {
    let unreadable = |errno: Errno| {
        Error::failed(format!("{} cannot be read", directory.display())).because(std::io::Error::from(errno))
    };
    let mut runs = match Dir::open(directory, OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()) {
        Ok(runs) => runs,
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        Err(errno) => return Err(unreadable(errno)),
    };
    let mut names = Vec::new();
    for entry in runs.iter() {
        let entry = entry.map_err(unreadable)?;
        if let Ok(name) = entry.file_name().to_str()
            && ulid::Ulid::from_string(name).is_ok()
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(at: u128) -> String {
        ulid::Ulid::from_parts(1_700_000_000_000 + at as u64, at).to_string()
    }

    fn make(directory: &Path, at: u128) -> PathBuf {
        let run = directory.join(named(at));
        fs::create_dir_all(&run).unwrap();
        run
    }

    /// So many runs in a directory that has not changed for an hour.
    fn many(place: &Path, count: u128) -> PathBuf {
        let directory = place.join("runs");
        (0..count).for_each(|at| drop(make(&directory, at)));
        age(&directory);
        directory
    }

    fn age(directory: &Path) {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::open(directory).unwrap().set_modified(hour_ago).unwrap();
    }

    /// As [`noted`], where the directory's state is believed although a test cannot set the time of its change back.
    fn note_of(directory: &Path) -> Option<Vec<String>> {
        let names = listed(directory).unwrap().into_sorted_vec();
        let newest = names.into_iter().rev().take(NOTED).collect();
        let text = serde_json::to_vec(&Note { state: State::of(directory)?, newest }).unwrap();
        fs::write(note(directory), text).unwrap();
        noted(directory)
    }

    fn all(directory: &Path) -> Vec<PathBuf> {
        newest_first(directory).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn runs_come_in_their_order_from_either_end_and_nothing_else_is_one() {
        let place = tempfile::tempdir().unwrap();
        let missing = place.path().join("runs");
        assert!(runs(&missing).unwrap().is_empty() && newest(&missing).unwrap().is_none());
        assert!(all(&missing).is_empty());
        let ids: Vec<PathBuf> =
            (0..20).map(|at| place.path().join(ulid::Ulid::from_parts(at % 7, at.into()).to_string())).collect();
        ids.iter().for_each(|id| fs::create_dir(id).unwrap());
        for other in ["zzz", ".tmp-x", "ZZZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            fs::create_dir(place.path().join(other)).unwrap();
        }
        let mut sorted = ids.clone();
        sorted.sort();
        assert_eq!(runs(place.path()).unwrap(), sorted);
        assert_eq!(newest(place.path()).unwrap().as_ref(), sorted.last());
        sorted.reverse();
        assert_eq!(all(place.path()), sorted);
        assert!(newest(&ids[0].join("file")).unwrap().is_none());
        fs::write(ids[0].join("file"), "").unwrap();
        assert!(newest(&ids[0].join("file")).is_err(), "it cannot be read, which is not that there is none");
    }

    #[test]
    fn the_newest_of_many_are_told_without_reading_the_directory_and_the_others_after_them() {
        let place = tempfile::tempdir().unwrap();
        let directory = many(place.path(), 250);
        let mut sorted = runs(&directory).unwrap();
        sorted.reverse();
        assert_eq!(note_of(&directory).unwrap().len(), NOTED);
        assert_eq!(all(&directory), sorted);
        // What only a note can tell: this name is none of the directory's.
        let invented = note(&directory);
        let text = fs::read_to_string(&invented).unwrap().replace(&named(249), &named(999));
        fs::write(&invented, text).unwrap();
        assert_eq!(newest(&directory).unwrap().unwrap(), directory.join(named(999)));
        assert_eq!(newest_for_sure(&directory).unwrap().unwrap(), directory.join(named(249)));
    }

    #[test]
    fn a_run_that_came_or_went_since_is_never_missed() {
        let place = tempfile::tempdir().unwrap();
        let directory = many(place.path(), 250);
        let mut changes: Vec<Box<dyn FnMut()>> = vec![
            Box::new(|| drop(make(&directory, 300))),
            Box::new(|| fs::remove_dir(directory.join(named(300))).unwrap()),
            Box::new(|| fs::rename(directory.join(named(249)), directory.join(named(301))).unwrap()),
            Box::new(|| {
                fs::rename(&directory, place.path().join("was")).unwrap();
                drop(many(place.path(), 3));
            }),
        ];
        for change in &mut changes {
            assert!(note_of(&directory).is_some());
            change();
            // An entry that comes with the times set back: the change of the directory itself tells it.
            age(&directory);
            let (found, sure) = (newest(&directory).unwrap(), runs(&directory).unwrap());
            assert_eq!(found.as_ref(), sure.last());
        }
    }

    #[test]
    fn nothing_is_noted_of_few_runs_nor_of_a_directory_that_has_just_changed() {
        let place = tempfile::tempdir().unwrap();
        let directory = many(place.path(), 20);
        newest(&directory).unwrap();
        assert!(!note(&directory).exists());
        let (old, new) = ((1_700_000_000, 0), (i64::MAX / 2, 0));
        let state = |modified, changed| State { device: 1, inode: 1, links: 2, size: 1, modified, changed };
        assert!(state(old, old).is_settled());
        assert!(!state(old, new).is_settled() && !state(new, old).is_settled());
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!(!state((now, 0), (now, 0)).is_settled());
    }

    #[test]
    fn a_torn_note_counts_for_nothing() {
        let place = tempfile::tempdir().unwrap();
        let directory = many(place.path(), 250);
        note_of(&directory).unwrap();
        let whole = fs::read(note(&directory)).unwrap();
        fs::write(note(&directory), &whole[..whole.len() / 2]).unwrap();
        assert!(noted(&directory).is_none());
        assert_eq!(newest(&directory).unwrap().unwrap(), directory.join(named(249)));
    }
}
