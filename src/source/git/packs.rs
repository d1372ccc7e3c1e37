//! The packs of the mirror. Each fetch with news leaves one, and who looks for an object may look into all of them: small ones
//! are joined into one, as by `git repack --geometric`, but what it holds stays for a day. A reader that has listed a pack
//! opens it when it needs it, and a plan that is made meanwhile must not fail for that.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::call::{in_mirror, text};
use crate::error::{Context, Result};
use crate::host::clock;
use crate::host::fs::{free_bytes, sync_directory, write_durably};
use crate::host::process::Input;

/// How many there may be before any are joined.
const MANY: usize = 32;
/// How long those that were joined stay, seconds.
const KEPT: i64 = 24 * 60 * 60;
/// What of a pack goes, in git's order: without its index nobody finds it.
const PARTS: [&str; 3] = ["idx", "pack", "rev"];

/// Joins the packs of a mirror where there are many, and removes those that were joined long ago. Call it under the lock of fetches.
pub(super) fn join(mirror: &Path) -> Result<()> {
    let (directory, now) = (mirror.join("objects/pack"), clock::now());
    let mut joined = Joined::read(mirror);
    if joined.forget(&directory, now)? {
        joined.write()?;
    }
    let mut packs = packs(&directory)?;
    packs.retain(|name, _| !joined.names.contains_key(name));
    let small = small(&packs);
    let bytes: u64 = small.iter().filter_map(|name| packs.get(*name)).sum();
    // What is short now may have room next time.
    if packs.len() < MANY || small.len() < 2 || free_bytes(mirror)? < 2 * bytes {
        return Ok(());
    }
    let made = pack(mirror, &packs, &small)?;
    sync_directory(&directory)?;
    joined.names.extend(small.into_iter().map(|name| (name.to_owned(), (now, made.clone()))));
    joined.names.remove(&made);
    joined.write()
}

/// The packs that are smaller than twice what all smaller ones come to: joined, each that is left is at least twice as large as
/// the next, so that they are few, and an object is copied as often as that doubles.
fn small(packs: &BTreeMap<String, u64>) -> Vec<&str> {
    let mut sorted: Vec<(u64, &str)> = packs.iter().map(|(name, bytes)| (*bytes, name.as_str())).collect();
    sorted.sort_unstable();
    let (mut sum, mut end) = (0, 0);
    for (at, (bytes, _)) in sorted.iter().enumerate() {
        if at > 0 && *bytes < 2 * sum {
            end = at + 1;
        }
        sum += bytes;
    }
    sorted.into_iter().take(end).map(|(_, name)| name).collect()
}

/// Makes one pack of these, as they are: git-pack-objects(1). The name of the new one.
fn pack(mirror: &Path, packs: &BTreeMap<String, u64>, small: &[&str]) -> Result<String> {
    let is_small = |name: &String| small.contains(&name.as_str());
    let line = |name: &String| format!("{}{name}.pack\n", if is_small(name) { "" } else { "^" });
    let list: String = packs.keys().map(line).collect();
    let base = mirror.join("objects/pack/pack");
    let words = ["pack-objects", "--stdin-packs", "--delta-base-offset", "--window=0", "--threads=1", "--quiet"];
    let command = in_mirror(mirror).args(words).args([base]).stdin(Input::Bytes(list.into_bytes()));
    Ok(format!("pack-{}", text(command, "the packs of the mirror cannot be joined")?))
}

/// The packs of a directory, without those that are not whole yet: their sizes in bytes.
fn packs(directory: &Path) -> Result<BTreeMap<String, u64>> {
    let doing = || format!("{} cannot be read", directory.display());
    let mut packs = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(doing)? {
        let path = entry.with_context(doing)?.path();
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // The index comes last.
        if name.starts_with("pack-") && path.extension().is_some_and(|end| end == "idx") {
            match fs::metadata(path.with_extension("pack")) {
                // Nothing is found by an index alone.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                meta => drop(packs.insert(name, meta.with_context(doing)?.len())),
            }
        }
    }
    Ok(packs)
}

/// Which packs another one holds, since when, seconds since the epoch, and which one.
struct Joined {
    file: PathBuf,
    names: BTreeMap<String, (i64, String)>,
}

impl Joined {
    /// What is not there, or torn, was not joined: it is again.
    fn read(mirror: &Path) -> Joined {
        let file = mirror.join("relift-joined");
        let text = fs::read_to_string(&file).unwrap_or_default();
        let entry = |line: &str| {
            let mut words = line.split(' ');
            let (since, name, holder) = (words.next()?, words.next()?, words.next()?);
            let is_whole = [name, holder].iter().all(|name| name.starts_with("pack-"));
            is_whole.then_some((name.to_owned(), (since.parse().ok()?, holder.to_owned())))
        };
        Joined { names: text.lines().filter_map(entry).collect(), file }
    }

    fn write(&self) -> Result<()> {
        let line = |(name, (since, holder)): (&String, &(i64, String))| format!("{since} {name} {holder}\n");
        let text: String = self.names.iter().map(line).collect();
        write_durably(&self.file, text.as_bytes(), 0o600)
    }

    /// Removes the packs that were joined long ago; whether there were any. One whose objects are not seen to be where they were
    /// put (a copy of the mirror that was made meanwhile may lack that) is no joined one any more, and stays.
    fn forget(&mut self, directory: &Path, now: i64) -> Result<bool> {
        // Of a clock that was set, neither direction keeps them for good.
        let is_old = |since: &i64| now.abs_diff(*since) > KEPT.unsigned_abs();
        let is_there =
            |name: &str| ["idx", "pack"].iter().all(|part| directory.join(format!("{name}.{part}")).exists());
        let count = self.names.len();
        self.names.retain(|_, (_, holder)| is_there(holder));
        let old: Vec<String> =
            self.names.iter().filter(|(_, (since, _))| is_old(since)).map(|(name, _)| name.clone()).collect();
        for name in &old {
            for path in PARTS.map(|part| directory.join(format!("{name}.{part}"))) {
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(error).with_context(|| format!("{} cannot be removed", path.display()));
                    }
                    _ => {}
                }
            }
            self.names.remove(name);
        }
        Ok(self.names.len() != count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::account::Account;
    use crate::manifest::{Follow, GitSource};
    use crate::report::Silent;
    use crate::source::git::Mirror;

    const NONE: [u64; 0] = [];

    fn small_of(sizes: &[u64]) -> Vec<u64> {
        let packs = sizes.iter().enumerate().map(|(at, bytes)| (format!("pack-{at:03}"), *bytes)).collect();
        small(&packs).into_iter().map(|name| packs[name]).collect()
    }

    #[test]
    fn packs_of_which_each_is_twice_the_rest_are_left_as_they_are() {
        assert_eq!(small_of(&[]), NONE);
        assert_eq!(small_of(&[7]), NONE);
        assert_eq!(small_of(&[1, 2, 6, 18]), NONE);
        assert_eq!(small_of(&[5, 5]), [5, 5]);
        assert_eq!(small_of(&[1_000_000, 3, 2, 4]), [2, 3, 4], "what is large is not copied for the sake of a few");
        assert_eq!(small_of(&[10, 1, 1, 5, 1]), [1, 1, 1, 5, 10], "those that are large enough only until others are");
    }

    #[test]
    fn fetches_leave_few_packs_and_every_object_and_what_was_joined_stays_for_a_day() {
        let place = tempfile::tempdir().unwrap();
        let upstream = place.path().join("upstream");
        fs::create_dir(&upstream).unwrap();
        let git = |at: &Path, words: &[&str]| {
            let name = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
            text(in_mirror(at).args(name).args(words.iter().copied()), "git").unwrap()
        };
        git(&upstream, &["init", "--quiet", "--initial-branch=main"]);
        let source = GitSource::following(&upstream.display().to_string(), Follow::Branch("main".into()));
        let open = || {
            let (state, cache) = (place.path().join("state"), place.path().join("cache"));
            Mirror::open(&state, &cache, Some(&source), &Account::root()).unwrap()
        };
        let fetch = |number: usize| {
            fs::write(upstream.join("file"), format!("{number}\n")).unwrap();
            git(&upstream, &["add", "file"]);
            git(&upstream, &["commit", "--quiet", "--message", &number.to_string()]);
            open().fetch(&source.follow, None, &Silent).unwrap();
        };
        (0..MANY).for_each(fetch);
        let path = open().path().to_owned();
        let directory = path.join("objects/pack");
        // Who began to read before finds each where it was.
        assert_eq!(packs(&directory).unwrap().len(), MANY + 1);
        assert_eq!(Joined::read(&path).names.len(), MANY);
        fetch(MANY);
        assert_eq!(packs(&directory).unwrap().len(), MANY + 2, "two are not many");

        let list = fs::read_to_string(path.join("relift-joined")).unwrap();
        let long_ago = |line: &str| {
            let (since, names) = line.split_once(' ').unwrap();
            format!("{} {names}\n", since.parse::<i64>().unwrap() - KEPT - 1)
        };
        let aged: String = list.lines().map(long_ago).collect();
        fs::write(path.join("relift-joined"), &aged).unwrap();

        // In a copy that lacks what they were joined into, they are all that there is.
        let (copy, holder) = (place.path().join("copy"), list.lines().next().unwrap().rsplit(' ').next().unwrap());
        let copied = std::process::Command::new("cp").arg("-a").args([&path, &copy]).status().unwrap();
        assert!(copied.success());
        PARTS.iter().for_each(|part| drop(fs::remove_file(copy.join(format!("objects/pack/{holder}.{part}")))));
        join(&copy).unwrap();
        git(&copy, &["fsck", "--full", "--strict", "--no-dangling"]);

        fetch(MANY + 1);
        let left = fs::read_dir(&directory).unwrap().count();
        assert_eq!((packs(&directory).unwrap().len(), left), (3, 9), "nothing of one that went stays");
        assert!(Joined::read(&path).names.is_empty());
        git(&path, &["fsck", "--full", "--strict", "--no-dangling"]);
        assert_eq!(git(&path, &["rev-list", "--count", "--objects", "main"]), (3 * (MANY + 2)).to_string());
    }

    #[test]
    fn a_list_of_joined_packs_that_is_torn_costs_a_second_joining_and_no_pack() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("relift-joined"), "12 pack-a pack-c\n13 pack-b\nx pack-b pack-c\n\n99").unwrap();
        assert_eq!(
            Joined::read(place.path()).names,
            BTreeMap::from([("pack-a".to_owned(), (12, "pack-c".to_owned()))])
        );
    }
}
