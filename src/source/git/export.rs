//! Exporting: a release as root runs it, written by root from the mirror to a place that root alone can write.
//!
//! Blob by blob, not by git-archive(1): no attribute, filter or configuration changes a byte of what was verified.

use std::fs::{self, DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use git2::{Oid, Repository, Tree};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;

use crate::error::{Context, Error, Result};
use crate::text::harmless;

/// How deep directories may lie within one another.
const DEEPEST: usize = 64;

/// Writes `directories` and the files at the top of `revision`, from the mirror below `state`, to `place`, which must not be
/// there: read-only, and no link leads out of it.
pub fn export(state: &Path, revision: &str, directories: &[String], place: &Path) -> Result<()> {
    write(state, revision, directories, place)
        .map_err(|error| error.while_(format!("{revision} cannot be exported for root to {}", place.display())))
}

fn write(state: &Path, revision: &str, directories: &[String], place: &Path) -> Result<()> {
    let mirror = Repository::open_bare(state.join("mirror.git")).context("the mirror cannot be opened")?;
    let oid = Oid::from_str(revision).context("a commit id is malformed")?;
    let tree = mirror.find_commit(oid).and_then(|commit| commit.tree()).context("the mirror does not have it")?;
    let mut copy = Copy { mirror: &mirror, links: Vec::new() };
    private_directory(place)?;
    copy.entries(&tree, place, &|entry| entry.kind() != Some(git2::ObjectType::Tree), 0)?;
    for directory in directories {
        let Ok(entry) = tree.get_path(Path::new(directory)) else { continue };
        let Ok(subtree) = mirror.find_tree(entry.id()) else { continue };
        let mut way = place.to_owned();
        for part in Path::new(directory) {
            way.push(part);
            if !way.is_dir() {
                private_directory(&way)?;
            }
        }
        copy.entries(&subtree, &way, &|_| true, 0)?;
    }
    let links = copy.links;
    links.iter().try_for_each(|link| stays(place, link))
}

struct Copy<'r> {
    mirror: &'r Repository,
    /// The links that were made.
    links: Vec<PathBuf>,
}

impl Copy<'_> {
    fn entries(
        &mut self,
        tree: &Tree,
        place: &Path,
        wanted: &dyn Fn(&git2::TreeEntry) -> bool,
        depth: usize,
    ) -> Result<()> {
        if depth > DEEPEST {
            return Err(Error::failed(format!("its directories lie more than {DEEPEST} deep")));
        }
        for entry in tree.iter().filter(|entry| wanted(entry)) {
            let name = entry.name().ok().filter(|name| is_plain(name));
            let name = name.ok_or_else(|| {
                let shown = String::from_utf8_lossy(entry.name_bytes()).into_owned();
                Error::failed(format!("{} in it is no name of a file", harmless(&shown)))
            })?;
            self.entry(&entry, &place.join(name), depth)?;
        }
        Ok(())
    }

    /// `create_new` and `mkdir`, which follow no link: a tree may name a path twice.
    fn entry(&mut self, entry: &git2::TreeEntry, path: &Path, depth: usize) -> Result<()> {
        let cannot = || format!("{} cannot be written", path.display());
        match entry.filemode() {
            0o040000 => {
                let tree = self.mirror.find_tree(entry.id()).context("the mirror cannot be read")?;
                private_directory(path)?;
                self.entries(&tree, path, &|_| true, depth + 1)
            }
            0o120000 => {
                let blob = self.mirror.find_blob(entry.id()).context("the mirror cannot be read")?;
                let target = std::str::from_utf8(blob.content()).context("a link in it is no text")?;
                symlink(target, path).with_context(cannot)?;
                self.links.push(path.to_owned());
                Ok(())
            }
            // A commit of another repository: there is nothing of it here.
            0o160000 => Ok(()),
            mode => {
                let blob = self.mirror.find_blob(entry.id()).context("the mirror cannot be read")?;
                let mode = if mode & 0o111 == 0 { 0o444 } else { 0o555 };
                let mut file =
                    File::options().write(true).create_new(true).mode(mode).open(path).with_context(cannot)?;
                file.write_all(blob.content()).with_context(cannot)
            }
        }
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0']) && !name.eq_ignore_ascii_case(".git")
}

fn private_directory(path: &Path) -> Result<()> {
    DirBuilder::new().mode(0o700).create(path).with_context(|| format!("{} cannot be made", path.display()))
}

/// A link within the export, dangling or not, leads nowhere else: the kernel resolves it.
fn stays(place: &Path, link: &Path) -> Result<()> {
    let below = link.strip_prefix(place).unwrap_or(link);
    match beneath(place, below) {
        Ok(_) | Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(()),
        Err(_) => {
            let target = fs::read_link(link).unwrap_or_default();
            Err(Error::failed(format!(
                "{} leads out of it, to {}: root follows no such link",
                harmless(&below.display().to_string()),
                harmless(&target.display().to_string())
            ))
            .hint("ask upstream to take the link out of the component, or run the step as the owner"))
        }
    }
}

/// Opens what `path` names below `place`, through links that stay there, for looking at it alone.
pub fn beneath(place: &Path, path: &Path) -> nix::Result<File> {
    let top = open(place, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(OFlag::O_PATH | OFlag::O_CLOEXEC).resolve(resolve);
    openat2(&top, path, how).map(File::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A mirror below a state directory with one commit of these entries: path, mode, content.
    fn mirror(entries: &[(&str, i32, &str)]) -> (tempfile::TempDir, String) {
        let state = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(state.path().join("mirror.git")).unwrap();
        let mut index = git2::Index::new().unwrap();
        for (path, mode, content) in entries {
            let id = repository.blob(content.as_bytes()).unwrap();
            let entry = git2::IndexEntry {
                ctime: git2::IndexTime::new(0, 0),
                mtime: git2::IndexTime::new(0, 0),
                dev: 0,
                ino: 0,
                mode: *mode as u32,
                uid: 0,
                gid: 0,
                file_size: 0,
                id,
                flags: 0,
                flags_extended: 0,
                path: path.as_bytes().to_vec(),
            };
            index.add(&entry).unwrap();
        }
        let tree = repository.find_tree(index.write_tree_to(&repository).unwrap()).unwrap();
        let who = git2::Signature::now("a", "a@example.org").unwrap();
        let commit = repository.commit(None, &who, &who, "x", &tree, &[]).unwrap().to_string();
        (state, commit)
    }

    fn exported(entries: &[(&str, i32, &str)]) -> (tempfile::TempDir, Result<()>) {
        let (state, commit) = mirror(entries);
        let done = export(state.path(), &commit, &["app".into()], &state.path().join("place"));
        (state, done)
    }

    #[test]
    fn an_export_holds_the_bytes_of_the_commit_read_only_and_nothing_beside_the_component() {
        let (state, done) = exported(&[
            (".gitattributes", 0o100644, "app/secret export-ignore\napp/*.txt export-subst text eol=crlf\n"),
            ("app/run.sh", 0o100755, "#!/bin/sh\n"),
            ("app/secret", 0o100644, "kept\n"),
            ("app/v.txt", 0o100644, "$Format:%H$\n"),
            ("app/deep/link", 0o120000, "../run.sh"),
            ("app/deep/gone", 0o120000, "../not-there/x"),
            ("other/x", 0o100644, ""),
        ]);
        done.unwrap();
        let at = |path: &str| state.path().join("place").join(path);
        let mode = |path: &str| at(path).metadata().unwrap().permissions().mode() & 0o7777;
        assert_eq!(fs::read_to_string(at("app/v.txt")).unwrap(), "$Format:%H$\n");
        assert_eq!(fs::read_to_string(at("app/secret")).unwrap(), "kept\n");
        assert_eq!(fs::read_to_string(at("app/deep/link")).unwrap(), "#!/bin/sh\n");
        assert_eq!((mode("app/run.sh"), mode("app/v.txt"), mode("app"), mode("")), (0o555, 0o444, 0o700, 0o700));
        assert!(at(".gitattributes").exists() && !at("other").exists());
    }

    #[test]
    fn a_link_that_leads_out_of_an_export_is_refused_however_it_is_written() {
        for (what, entries) in [
            ("absolute", vec![("app/l", 0o120000, "/etc/passwd")]),
            ("up", vec![("app/l", 0o120000, "../../etc/passwd")]),
            ("dangling", vec![("app/l", 0o120000, "../../no/such/thing")]),
            ("through another", vec![("app/a/b/self", 0o120000, "."), ("app/a/up", 0o120000, "b/self/../../../../x")]),
            ("proc", vec![("app/l", 0o120000, "/proc/self/root")]),
            ("at the top", vec![("l", 0o120000, ".."), ("app/x", 0o100644, "")]),
        ] {
            let (_state, done) = exported(&entries);
            let error = done.expect_err(what).to_string();
            assert!(error.contains("leads out of it"), "{what}: {error}");
        }
    }
}
