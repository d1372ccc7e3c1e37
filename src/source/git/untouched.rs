//! Whether a checkout is what its HEAD says, by what the index remembers of the files, and by the bytes of the few of which it
//! cannot know: told only where nothing at all speaks against it. Everything else is git's to tell, which reads a large index several times as long.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use git2::Oid;
use nix::sys::stat::FileStat;

use super::index::{self, Bits, Entry, Stat};
use super::racy::Budget;
use crate::host::fs::Rooted;

/// The index of two million files, in bytes.
const LARGEST: u64 = 1 << 28;

/// How long it may take: whoever writes the index could name paths that are slow to look up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The content of an empty file.
const EMPTY: &str = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";

/// Whether the index is this tree, and every file of it that should be in the work tree is there as git last saw it, and no
/// other. `false`: it is not, or git must be asked.
pub fn is_untouched(checkout: &Rooted, tree: Oid, is_sparse: bool) -> bool {
    look(checkout, is_sparse, Instant::now() + PATIENCE).is_some_and(|found| found == tree)
}

fn look(checkout: &Rooted, is_sparse: bool, until: Instant) -> Option<Oid> {
    let (file, node) = checkout.open_file(Path::new(".git/index")).ok()??;
    let empty = Oid::from_str(EMPTY).ok()?;
    let seen = node.meta.mtime;
    let mut work_tree = WorkTree {
        root: checkout,
        is_sparse,
        until,
        seen,
        directory: None,
        missing: Vec::new(),
        empty,
        racy: Budget::whole(),
    };
    let size = Some(node.size).filter(|size| *size <= LARGEST)?;
    index::read(file, size, &mut |entry| work_tree.agrees(entry).then_some(())).ok()??
}

struct WorkTree<'r> {
    root: &'r Rooted,
    is_sparse: bool,
    until: Instant,
    /// When git last looked: the index was written.
    seen: (i64, i64),
    /// The directory of the last file, and its path: their order keeps those of one together.
    directory: Option<(Vec<u8>, Rooted)>,
    /// What the paths below the last directory that is not there begin with.
    missing: Vec<u8>,
    empty: Oid,
    racy: Budget,
}

impl WorkTree<'_> {
    fn agrees(&mut self, entry: &Entry) -> bool {
        match entry.bits {
            Bits::Plain => self.stat(entry.path).is_some_and(|stat| self.is_as_seen(entry, &stat)),
            // git takes the bit away from a file that is there.
            Bits::SkipWorktree => self.is_sparse && self.is_absent(entry.path),
            Bits::Other => false,
        }
    }

    fn stat(&mut self, path: &[u8]) -> Option<FileStat> {
        let (directory, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => return self.root.status(as_path(path)),
        };
        if self.directory.as_ref().is_none_or(|(known, _)| known != directory) {
            self.in_time()?;
            self.directory = Some((directory.to_vec(), self.root.below(as_path(directory))?));
        }
        self.directory.as_ref()?.1.status(as_path(name))
    }

    fn in_time(&self) -> Option<()> {
        (Instant::now() < self.until).then_some(())
    }

    /// Nothing of it changed since git looked, nor in the moment of looking.
    fn is_as_seen(&mut self, entry: &Entry, stat: &FileStat) -> bool {
        let kind = match entry.mode & 0o170_000 {
            0o100_000 => libc::S_IFREG,
            0o120_000 => libc::S_IFLNK,
            _ => return false,
        };
        let is_executable = kind == libc::S_IFREG && stat.st_mode & 0o100 != 0;
        let is_meant = kind == libc::S_IFREG && entry.mode & 0o100 != 0;
        // A size of nothing is also how git marks an entry that it must look at again.
        let is_marked = entry.stat.size == 0 && entry.id != self.empty.as_bytes();
        stat.st_mode & libc::S_IFMT == kind
            && is_executable == is_meant
            && !is_marked
            && entry.stat == cut(stat)
            && ((stat.st_mtime, stat.st_mtime_nsec) < self.seen || self.is_its_blob(entry, stat))
    }

    fn is_its_blob(&mut self, entry: &Entry, stat: &FileStat) -> bool {
        let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let directory = match &self.directory {
            Some((_, directory)) if name.len() < entry.path.len() => directory,
            _ => self.root,
        };
        let is_file = stat.st_mode & libc::S_IFMT == libc::S_IFREG;
        is_file && self.racy.is_blob(directory, as_path(name), stat.st_size as u64, &entry.id)
    }

    fn is_absent(&mut self, path: &[u8]) -> bool {
        if !self.missing.is_empty() && path.starts_with(&self.missing) {
            return true;
        }
        let is_there = |path: &[u8]| self.in_time().is_none() || self.root.exists(as_path(path)).unwrap_or(true);
        for at in (0..path.len()).filter(|at| path[*at] == b'/') {
            if !is_there(&path[..at]) {
                self.missing = path[..=at].to_vec();
                return true;
            }
        }
        !is_there(path)
    }
}

/// A path as git stores it.
pub(super) fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// As the index keeps it: the low half of what is wider.
fn cut(stat: &FileStat) -> Stat {
    Stat {
        changed: (stat.st_ctime as u32, stat.st_ctime_nsec as u32),
        written: (stat.st_mtime as u32, stat.st_mtime_nsec as u32),
        inode: stat.st_ino as u32,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A checkout as it would be found: two components, a link, an executable, all of it older than its index.
    const MAKE: &str = "git init -q -b main .; mkdir -p a/deep b/deep; echo one > a/one; echo two > a/deep/two; : > a/empty
        echo three > b/three; echo four > b/deep/four; ln -s one a/link; echo run > a/run; chmod 755 a/run; echo top > top
        find . -path ./.git -prune -o -exec touch -h -d '1 hour ago' {} +; git add -A; git commit -q -m one";

    /// What a shell says in a directory, which is the home of it as well.
    fn sh(place: &Path, script: &str) -> String {
        let script = format!("set -e; {script}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script]).current_dir(place).env("HOME", place);
        for (key, value) in [("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_OPTIONAL_LOCKS", "0")] {
            command.env(key, value);
        }
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "a").env(format!("GIT_{who}_EMAIL"), "a@example.org");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// What a shell in a fresh checkout does, then what is told of the checkout, and whether git has anything to say of it.
    fn told(then: &str) -> (bool, bool) {
        let place = tempfile::tempdir().unwrap();
        let sh = |script: &str| sh(place.path(), script);
        sh(MAKE);
        sh(then);
        let tree = Oid::from_str(&sh("git rev-parse HEAD^{tree}")).unwrap();
        let is_sparse = sh("git config --default=false core.sparseCheckout") == "true";
        let says = sh("git status --porcelain --untracked-files=no; git ls-files -v | grep '^[a-z]' || :");
        let root = Rooted::open(&place.path().canonicalize().unwrap()).unwrap();
        (is_untouched(&root, tree, is_sparse), !says.is_empty())
    }

    #[test]
    fn a_checkout_that_nobody_touched_is_told_from_its_index_alone() {
        for then in [
            ":",
            "git update-index --index-version 4",
            "git sparse-checkout set --cone a",
            "git sparse-checkout set --cone a; git update-index --index-version 4",
            "git sparse-checkout set --cone a/deep; mkdir -p b; echo mine > b/mine",
            "git config core.untrackedCache true; git update-index --untracked-cache; echo mine > a/mine",
            "git -c index.threads=2 -c index.recordOffsetTable=true -c index.recordEndOfIndexEntries=true update-index --index-version 3 --force-write-index",
            "git checkout -q --detach",
            // Written in the moment in which git looked, and the bytes of HEAD all the same.
            "touch -h -d '2 hours ago' .git/index; touch -h -d '3 hours ago' a/link; git update-index --refresh; touch -d '2 hours ago' .git/index",
        ] {
            assert_eq!(told(then), (true, false), "{then}");
        }
    }

    #[test]
    fn whatever_git_would_tell_of_a_checkout_is_left_to_git() {
        for then in [
            "echo more >> a/one",
            "cp -p a/one x; echo 0ne > x; touch -r a/one x; mv x a/one",
            "rm a/deep/two",
            "rm -r b",
            "chmod 644 a/run",
            "rm a/one; ln -s deep/two a/one",
            "rm a/link; echo link > a/link",
            "ln -sf deep/two a/link",
            "mv a/deep a/other; ln -s other a/deep; rm a/deep/two",
            "rm a/one; mkdir a/one",
            "rm top; mkfifo top",
            "echo more > b/new; git add b/new",
            "echo more >> a/one; git add a/one",
            "git rm -q --cached a/one",
            "echo more > b/new; git add --intent-to-add b/new",
            "git update-index --assume-unchanged a/one",
            "git reset -q --soft $(git commit-tree -m x $(git rev-parse HEAD:a))",
            "git checkout -q -b other; echo x > a/one; git commit -qam x; git checkout -q main; echo y > a/one
             git commit -qam y; git merge -q other >/dev/null || :",
            // git takes these for checked out again as soon as they are there.
            "git sparse-checkout set --cone a; mkdir b; echo mine > b/three",
            "git sparse-checkout set --cone a; mkdir -p b/deep; echo mine > b/deep/four",
        ] {
            assert_eq!(told(then), (false, true), "{then}");
        }
    }

    #[test]
    fn what_the_index_alone_does_not_prove_is_left_to_git() {
        for then in [
            // An edit that git itself may take for none: by its second, its time did not change.
            "echo 0ne > a/one; touch -d '1 hour ago' a/one",
            // Nothing is wrong, but only git can know.
            "touch a/one",
            "echo one > a/one",
            "git update-index --skip-worktree a/one",
            "git update-index --split-index",
            "git sparse-checkout set --cone --sparse-index a",
            "git update-index --add --cacheinfo 160000,$(git rev-parse HEAD),sub; git commit -qm sub; mkdir sub",
        ] {
            assert!(!told(then).0, "{then}");
        }
    }

    #[test]
    fn a_file_written_while_git_looked_at_it_is_told_by_its_bytes_alone() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        sh(&root, MAKE);
        // What the index has of a file that was written anew within the tick of the clock: its stat(2), and the blob of before.
        let id = |bytes: &str| Oid::hash_object(git2::ObjectType::Blob, bytes.as_bytes()).unwrap();
        let (index, file) = (root.join(".git/index"), std::fs::read(root.join(".git/index")).unwrap());
        let at = file.windows(20).position(|window| window == id("one\n").as_bytes()).unwrap();
        let other = [&file[..at], id("0ne\n").as_bytes(), &file[at + 20..]].concat();
        let checkout = Rooted::open(&root).unwrap();
        let told = || look(&checkout, false, Instant::now() + PATIENCE).is_some();
        std::fs::write(&index, &other).unwrap();
        assert!(told(), "written since: its stat(2) is all that is asked for");
        sh(&root, "touch -h -d '2 hours ago' .git/index");
        assert!(!told());
    }

    #[test]
    fn an_index_that_is_cut_off_or_takes_too_long_is_left_to_git() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().canonicalize().unwrap();
        sh(&root, MAKE);
        let index = std::fs::read(root.join(".git/index")).unwrap();
        let mut count = 0;
        for length in 0..index.len() {
            let found = index::read(&index[..length], length as u64, &mut |_| Some(()));
            count += usize::from(matches!(found, Ok(Some(Some(_)))));
        }
        assert_eq!(count, 0, "no beginning of it passes for it");
        let found = index::read(index.as_slice(), index.len() as u64, &mut |_| Some(()));
        assert!(matches!(found, Ok(Some(Some(_)))), "the whole of it does");
        let checkout = Rooted::open(&root).unwrap();
        let now = Instant::now();
        assert!(look(&checkout, false, now + PATIENCE).is_some());
        assert!(look(&checkout, false, now).is_none());
    }
}
