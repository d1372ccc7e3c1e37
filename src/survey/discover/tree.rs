//! The files of a checkout that another account controls: what git tracks, and what lies there now.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use nix::dir::Dir;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::FoundComponent;
use super::git::Git;
use crate::error::Result;
use crate::host::fs::Rooted;

/// No file that is read here is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// Directories whose contents are nobody's components.
const NOT_OURS: [&str; 12] = [
    "node_modules",
    "vendor",
    "target",
    "dist",
    "build",
    "test",
    "tests",
    "fixtures",
    "example",
    "examples",
    "docs",
    "doc",
];

/// A checkout, opened once.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    git: &'a Git,
    root: OwnedFd,
    tracked: BTreeSet<String>,
}

impl<'a> Tree<'a> {
    /// Reads the names of the tracked files; with a sparse checkout most of them are not there.
    pub fn open(git: &'a Git) -> Result<Tree<'a>> {
        let root = Rooted::open(git.root())?;
        let list = git.run(["ls-tree", "-r", "-z", "--name-only", "HEAD"])?;
        let names = String::from_utf8_lossy(&list.stdout);
        let tracked = names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Tree { git, root: root.into_descriptor(), tracked })
    }

    /// git in this checkout.
    pub fn git(&self) -> &Git {
        self.git
    }

    /// Whether git tracks the file.
    pub fn is_tracked(&self, path: &str) -> bool {
        self.tracked.contains(path)
    }

    /// The tracked files below a directory, relative to it.
    pub fn tracked_below<'b>(&'b self, directory: &'b str) -> impl Iterator<Item = &'b str> {
        let prefix = format!("{directory}/");
        let first = self.tracked.range(prefix.clone()..);
        first.map_while(move |name| name.starts_with(&prefix).then(|| &name[prefix.len()..]))
    }

    /// Opens what lies below the root, never through a symlink: openat2(2).
    fn open_below(&self, path: &str, flags: OFlag) -> Option<OwnedFd> {
        // Without O_NONBLOCK a FIFO would be waited for; O_PATH takes no such flag and waits for nothing.
        let patience = if flags.contains(OFlag::O_PATH) { OFlag::empty() } else { OFlag::O_NONBLOCK };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | patience)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&self.root, path, how).ok()
    }

    /// Whether a regular file is there.
    pub fn is_file(&self, path: &str) -> bool {
        self.kind(path).is_some_and(|kind| kind.is_file())
    }

    /// Whether a symlink is there, whatever it names.
    pub fn is_symlink(&self, path: &str) -> bool {
        self.kind(path).is_some_and(|kind| kind.is_symlink())
    }

    /// Whether a directory is there.
    pub fn is_directory(&self, path: &str) -> bool {
        self.kind(path).is_some_and(|kind| kind.is_dir())
    }

    fn kind(&self, path: &str) -> Option<std::fs::FileType> {
        let file = File::from(self.open_below(path, OFlag::O_PATH)?);
        file.metadata().ok().map(|metadata| metadata.file_type())
    }

    /// The text of a small regular file that lies there.
    pub fn file(&self, path: &str) -> Option<String> {
        let file = File::from(self.open_below(path, OFlag::O_RDONLY)?);
        let metadata = file.metadata().ok()?;
        let mut text = String::new();
        (metadata.is_file() && metadata.len() <= LONGEST).then_some(())?;
        file.take(LONGEST).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// The text of a file that lies there, or that the installed revision has.
    pub fn text(&self, path: &str) -> Option<String> {
        self.file(path).or_else(|| {
            let output = self.is_tracked(path).then(|| self.git.run(["show", &format!("HEAD:{path}")]))?.ok()?;
            (output.success() && output.stdout.len() as u64 <= LONGEST).then(|| output.text())
        })
    }

    /// The directories one and two levels down, both those that lie there and those that git tracks.
    pub fn directories(&self) -> BTreeSet<String> {
        let tracked = self.tracked.iter().flat_map(|name| {
            let mut ends = name.match_indices('/').map(|(at, _)| &name[..at]);
            [ends.next(), ends.next()]
        });
        let mut found: BTreeSet<String> = tracked.flatten().map(str::to_owned).collect();
        let first = self.subdirectories(".");
        for directory in first.iter().filter(|name| is_ours(name)) {
            found.extend(self.subdirectories(directory).into_iter().map(|name| format!("{directory}/{name}")));
        }
        found.extend(first);
        found.retain(|path| path.split('/').all(is_ours));
        found
    }

    fn subdirectories(&self, path: &str) -> Vec<String> {
        let Some(fd) = self.open_below(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else { return Vec::new() };
        let Ok(mut directory) = Dir::from_fd(fd) else { return Vec::new() };
        let names = directory.iter().flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
        let below = |name: &String| if path == "." { name.clone() } else { format!("{path}/{name}") };
        names.filter(|name| !name.starts_with('.') && self.is_directory(&below(name))).collect()
    }

    /// Whether git ignores the path.
    pub fn is_ignored(&self, path: &str) -> bool {
        self.git.run(["check-ignore", "-q", "--", path]).is_ok_and(|output| output.success())
    }

    /// Tracked unit files that lie in no component.
    pub fn units_outside(&self, components: &[FoundComponent]) -> Vec<String> {
        let inside = |path: &str| components.iter().any(|component| is_below(path, component.path.as_str()));
        self.tracked.iter().filter(|path| super::units::is_unit_file(path) && !inside(path)).cloned().collect()
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether a directory of this name may be, or hold, a component.
pub(super) fn is_ours(name: &str) -> bool {
    !name.starts_with('.') && !NOT_OURS.contains(&name) && !name.contains(|c: char| c.is_control())
}
