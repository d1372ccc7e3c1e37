//! Unpacking a release: tar(1) as the owner, fed from the mirror by us. Aside, complete, durable, compared; then renamed.
//!
//! Blob by blob, not by git-archive(1): no attribute of the tree changes a byte of what was verified.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Repository;
use nix::fcntl::OFlag;
use tar::{Builder, EntryType, Header};

use super::{RELEASES, below, keep, names, tree};
use crate::action::Directory;
use crate::error::{Context, Error, Result, ended};
use crate::host::fs::{Rooted, free_bytes, sync_filesystem};
use crate::host::process::{Command, Input};
use crate::ledger::{self, Ledger};
use crate::manifest::{RelPath, SHARED};
use crate::report::{Reporter, during};
use crate::source::git::Mirror;
use crate::source::{Place, snapshot};

/// How long unpacking may take.
const BOUND: Duration = Duration::from_secs(1800);
/// What must stay free, bytes.
const FLOOR: u64 = 100 << 20;
/// What a file takes beside its bytes, and what its last block may waste.
const BLOCK: u64 = 4096;

/// Unpacks the directory of a release, with its links to what is shared.
pub(super) fn unpack(place: &Place, mirror: &Mirror, directory: &Directory, reporter: &dyn Reporter) -> Result<()> {
    let root = Rooted::open(&place.install.root)?;
    for name in keep::left_over(place.state, &root)? {
        keep::remove(place.state, &root, &name)?;
    }
    let (target, aside) = (below(&directory.name), below(&names::temporary(&directory.name)));
    if root.exists(&target)? {
        return Err(Error::failed(format!(
            "{} came to be there since the plan was made",
            root.path().join(target).display()
        ))
        .hint("start again: nothing was changed"));
    }
    let room = room(mirror.repository(), &directory.revision)? + FLOOR;
    let free = free_bytes(&place.install.root)?;
    if free < room {
        return Err(Error::failed(format!(
            "only {} are free on the filesystem of {}",
            crate::text::bytes(free),
            place.install.root.display()
        ))
        .hint(format!(
            "a release of its own needs {}: df -h {}",
            crate::text::bytes(room),
            place.install.root.display()
        )));
    }
    note(place.state, directory)?;
    during(reporter, format!("unpack {}", target.display()), || {
        make_directories(place, &root, &aside)?;
        extract(place, mirror, &directory.revision, &aside)?;
        sync_filesystem(&place.install.root)?;
        let other = tree::edited(&root, &aside, mirror.repository(), &directory.revision)?;
        if let Some(path) = other.first() {
            return Err(Error::failed(format!(
                "{} is not what the release has, after it was unpacked",
                crate::text::harmless(path)
            ))
            .hint("nobody else may change it meanwhile; start the run again"));
        }
        as_owner(place, ["mv", "-T", "--"]).args([&aside, &target]).succeed()?;
        sync_filesystem(&place.install.root)
    })
}

/// Before anything of it is there: whatever a kill leaves is ours to remove.
fn note(state: &Path, directory: &Directory) -> Result<()> {
    let ledger = Ledger::below(state);
    let mut known = ledger.releases()?;
    let run = ulid::Ulid::generate().to_string();
    let noted = ledger::Directory { revision: directory.revision.clone(), run, is_proven: false };
    known.insert(directory.name.clone(), noted);
    ledger.set_releases(&known)
}

fn as_owner<const N: usize>(place: &Place, words: [&str; N]) -> Command {
    Command::new(words).account(place.owner).cwd(&place.install.root).timeout(BOUND)
}

/// The directory itself, and those of `shared` that releases lead to.
fn make_directories(place: &Place, root: &Rooted, aside: &Path) -> Result<()> {
    let install = place.install;
    let is_env = |path: &RelPath| {
        let mut files = install.components.iter().flat_map(|part| part.env.iter().map(move |env| (part, env)));
        files.any(|(part, env)| env.file.below(&part.path) == *path)
    };
    let mut wanted = vec![PathBuf::from(RELEASES), PathBuf::from(SHARED), aside.to_owned()];
    for path in install.linked() {
        let full = Path::new(SHARED).join(&path);
        // A configuration file is made by the operator; what else is shared is a directory where nothing says otherwise.
        wanted.push(if is_env(&path) { full.parent().unwrap_or(Path::new(SHARED)).to_owned() } else { full });
    }
    for path in wanted {
        if !root.exists(&path)? {
            let made = as_owner(place, ["mkdir", "-p", "-m", "755", "--"]).args([&path]).succeed();
            made.map_err(|error| error.hint(must_own(place, root, &path)))?;
        }
    }
    Ok(())
}

/// How the directory that something cannot be made in is given to the owner.
fn must_own(place: &Place, root: &Rooted, path: &Path) -> String {
    let is_there = |parent: &&Path| **parent == *Path::new("") || root.is_directory(parent);
    let parent = path.ancestors().skip(1).find(is_there).unwrap_or(Path::new(""));
    let (directory, owner) = (root.path().join(parent), &place.owner.name);
    let shown = crate::text::word(directory.display().to_string().trim_end_matches('/'));
    format!("the directory must belong to {owner}: chown {owner} {shown}")
}

/// What the tree takes on a disk, bytes.
fn room(repository: &Repository, revision: &str) -> Result<u64> {
    let odb = repository.odb().context("the mirror cannot be read")?;
    let sizes = tree::entries(&tree::of(repository, revision)?)?;
    let sizes = sizes.iter().map(|tracked| odb.read_header(tracked.id).map_or(0, |(size, _)| size as u64));
    Ok(sizes.map(|size| size.div_ceil(BLOCK) * BLOCK + BLOCK).sum())
}

fn extract(place: &Place, mirror: &Mirror, revision: &str, aside: &Path) -> Result<()> {
    let (read, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("no pipe can be made")?;
    let (path, linked) = (mirror.path().to_owned(), place.install.linked());
    std::thread::scope(|scope| {
        let fed = scope.spawn(move || feed(&path, revision, &linked, File::from(write)));
        // The owner's own tar: it can write nothing that the owner cannot.
        let words = ["tar", "--extract", "--same-permissions", "--no-same-owner", "--file=-"];
        let unpacked = Command::new(words)
            .account(place.owner)
            .cwd(place.install.root.join(aside))
            .stdin(Input::File(File::from(read)))
            .timeout(BOUND)
            .succeed();
        let fed = ended(fed.join());
        // What ended first is why: where tar is gone, nobody reads any more.
        unpacked.map_err(|error| error.while_("the release cannot be unpacked"))?;
        fed.map_err(|error| error.while_("the release cannot be unpacked"))
    })
}

/// Writes the tree as an archive: directories before what is in them, then the links to what is shared.
fn feed(mirror: &Path, revision: &str, linked: &[RelPath], to: File) -> Result<()> {
    let repository = Repository::open_bare(mirror).context("the mirror cannot be opened")?;
    let time = repository.revparse_single(revision).and_then(|object| object.peel_to_commit());
    let time = u64::try_from(time.context("the mirror cannot be read")?.time().seconds()).unwrap_or_default();
    let mut archive = Archive { builder: Builder::new(std::io::BufWriter::new(to)), made: BTreeSet::new(), time };
    for tracked in tree::entries(&tree::of(&repository, revision)?)? {
        archive.parents(&tracked.path)?;
        if tracked.mode == 0o160000 {
            archive.directory(&tracked.path)?;
            continue;
        }
        let blob = repository.find_blob(tracked.id).context("the mirror cannot be read")?;
        match tracked.mode {
            0o120000 => archive.link(&tracked.path, blob.content())?,
            mode => archive.file(&tracked.path, mode & 0o100 != 0, blob.content())?,
        }
    }
    for path in snapshot::meta(&repository, revision).map(|meta| meta.empty).unwrap_or_default() {
        archive.parents(Path::new(&path))?;
        archive.directory(Path::new(&path))?;
    }
    for path in linked {
        archive.parents(path.as_ref())?;
        archive.link(path.as_ref(), target(path).as_bytes())?;
    }
    let written = archive.builder.into_inner().and_then(|mut to| to.flush());
    written.context("the archive cannot be written")
}

/// Where a release's link at `path` leads: out of the release to `shared`.
fn target(path: &RelPath) -> String {
    let up = "../".repeat(path.as_str().split('/').count() + 1);
    format!("{up}{SHARED}/{path}")
}

struct Archive<W: Write> {
    builder: Builder<W>,
    made: BTreeSet<PathBuf>,
    time: u64,
}

impl<W: Write> Archive<W> {
    fn header(&self, kind: EntryType, mode: u32, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.time);
        header
    }

    fn parents(&mut self, path: &Path) -> Result<()> {
        let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|part| *part != Path::new("")).collect();
        parents.reverse();
        parents.into_iter().try_for_each(|parent| self.directory(parent))
    }

    fn directory(&mut self, path: &Path) -> Result<()> {
        if !self.made.insert(path.to_owned()) {
            return Ok(());
        }
        let mut header = self.header(EntryType::Directory, 0o755, 0);
        let written = self.builder.append_data(&mut header, path, std::io::empty());
        written.with_context(|| format!("{} cannot be unpacked", path.display()))
    }

    fn file(&mut self, path: &Path, is_program: bool, bytes: &[u8]) -> Result<()> {
        let mode = if is_program { 0o755 } else { 0o644 };
        let mut header = self.header(EntryType::Regular, mode, bytes.len() as u64);
        let written = self.builder.append_data(&mut header, path, bytes);
        written.with_context(|| format!("{} cannot be unpacked", path.display()))
    }

    fn link(&mut self, path: &Path, target: &[u8]) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let mut header = self.header(EntryType::Symlink, 0o777, 0);
        let target = Path::new(std::ffi::OsStr::from_bytes(target));
        let written = self.builder.append_link(&mut header, path, target);
        written.with_context(|| format!("{} cannot be unpacked", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_what_is_shared_leads_there_from_wherever_it_lies() {
        let leads = |path: &str| target(&RelPath::parse(path).unwrap());
        assert_eq!(leads(".env"), "../../shared/.env");
        assert_eq!(leads("manager/.env"), "../../../shared/manager/.env");
        assert_eq!(leads("manager/var/data"), "../../../../shared/manager/var/data");
    }
}
