//! Configuration files that are merged on request (`merge`): what the installed version shipped, what the target ships, and what is
//! here, by lines.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::package::Package;
use super::shown::redacted;
use super::tool::Tool;
use super::{keep, release};
use crate::action::{Action, Conffiles, FileSwap};
use crate::error::Result;
use crate::host::fs::{Content, Rooted};
use crate::host::packages::matches;
use crate::manifest::PackagesSource;
use crate::plan::Blocker;
use crate::source::git::Mirror;
use crate::source::merge::{Merged, three};
use crate::source::{Direction, Offer, Place, Section};
use crate::text::harmless;

/// What becomes of the files that `merge` names, by path: the file as it is, and as it will be. One that nobody edited is the package
/// manager's, and none of these.
pub type Changes = BTreeMap<PathBuf, (Content, Content)>;

/// Merges, and adds to the offer what is to be told of it, and what stops it.
pub fn merged(
    source: &PackagesSource,
    place: &Place,
    mirror: &Mirror,
    tool: &dyn Tool,
    offer: &mut Offer,
) -> Result<Changes> {
    let mut changes = Changes::new();
    if source.merge.is_empty() {
        return Ok(changes);
    }
    let root = Rooted::open(Path::new("/"))?;
    let (from, to) = (offer.from.revision.clone(), offer.to.revision.clone());
    let (old, new) = (shipped(place, mirror, tool, &from)?, shipped(place, mirror, tool, &to)?);
    let installed = installed(mirror, tool, &from)?;
    unknown(source, offer, installed.iter().chain(old.keys()).chain(new.keys()));
    for (path, theirs) in new.iter().filter(|(path, _)| is_merged(source, place, path)) {
        let mine = root.read(below(path))?;
        let (base, here) = (old.get(path), mine.as_ref().map(|content| &content.bytes));
        if base == Some(theirs) || here == Some(theirs) {
            continue;
        }
        let trouble = match base {
            None if here.is_some() && installed.contains(path) => Some(no_base(path)),
            Some(base) if here != Some(base) && is_pending(&root, path, base, tool)? => Some(pending(path, tool)),
            _ => None,
        };
        if let Some(trouble) = trouble {
            stop(trouble, path, tool, offer);
            continue;
        }
        match three(base.map(Vec::as_slice), Some(theirs), here.map(Vec::as_slice), redacted) {
            Merged::Taken { bytes, kept: true } => {
                changes.extend(mine.map(|mine| (path.clone(), (mine.clone(), mine.with_bytes(bytes)))));
            }
            Merged::Conflict(lines) => {
                let rows = lines.iter().map(|line| vec![harmless(line)]).collect();
                offer
                    .sections
                    .push(Section { title: format!("conflict in {}", harmless(&path.to_string_lossy())), rows });
                stop(conflict(place, mirror, &to, path), path, tool, offer);
            }
            // The package manager does what is to be done.
            Merged::Mine | Merged::Gone | Merged::Taken { .. } => {}
        }
    }
    Ok(changes)
}

/// The change that writes them, once the packages are there.
pub fn action(changes: &Changes, offer: &mut Offer) -> Option<Action> {
    offer.around.contents.extend(changes.values().flat_map(|(before, after)| [before, after]).cloned());
    let swap = |(path, (before, after)): (&PathBuf, &(Content, Content))| FileSwap {
        path: below(path).to_owned(),
        before: Some(before.image.clone()),
        after: Some(after.image.clone()),
    };
    let swaps: Vec<FileSwap> = changes.iter().map(swap).collect();
    (!swaps.is_empty()).then_some(Action::Conffiles(Conffiles { swaps }))
}

/// Gets the files of installed packages without which an edited file cannot be compared with what its package shipped. Undoing the
/// upgrade will need them as well.
pub fn bring_bases(source: &PackagesSource, place: &Place, tool: &dyn Tool, here: &[Package]) -> Result<()> {
    for package in here.iter().filter(|package| !keep::has(place, tool, package)) {
        let mut paths = tool.conffile_paths(&package.name)?;
        paths.retain(|path| is_merged(source, place, path));
        if paths.is_empty() {
            continue;
        }
        let untouched: BTreeSet<PathBuf> =
            tool.shipped(package)?.into_iter().map(|(path, _)| PathBuf::from(path)).collect();
        if !paths.iter().all(|path| untouched.contains(path)) {
            // A repository may not have it any more: then the plan says what that means.
            keep::fetch(place, tool, std::slice::from_ref(package)).unwrap_or_default();
        }
    }
    Ok(())
}

/// Whether `merge` names a file. What is declared as `env` is merged key by key.
fn is_merged(source: &PackagesSource, place: &Place, path: &Path) -> bool {
    let text = path.to_string_lossy();
    source.merge.iter().any(|pattern| matches(pattern, &text))
        && !super::offered::declared(place).contains(&path.to_owned())
}

/// The configuration files of a release: as the mirror has them, else from the package files that are kept.
fn shipped(place: &Place, mirror: &Mirror, tool: &dyn Tool, revision: &str) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for package in release::packages(mirror, revision) {
        if let Some(file) = keep::file(place, tool, &package) {
            found.extend(tool.conffiles(&file)?.into_iter().map(|(path, bytes)| (PathBuf::from(path), bytes)));
        }
    }
    for component in &place.install.components {
        found.extend(release::conffiles(mirror, revision, component));
    }
    Ok(found)
}

/// The configuration files that the installed packages say that they have.
fn installed(mirror: &Mirror, tool: &dyn Tool, revision: &str) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for package in release::packages(mirror, revision) {
        found.extend(tool.conffile_paths(&package.name)?);
    }
    Ok(found)
}

/// A name that stands for nothing is told, since it may be misspelt.
fn unknown<'a>(source: &PackagesSource, offer: &mut Offer, known: impl Iterator<Item = &'a PathBuf> + Clone) {
    for pattern in &source.merge {
        if !known.clone().any(|path| matches(pattern, &path.to_string_lossy())) {
            offer.warnings.push(format!("`merge` names {pattern}, which is no configuration file of these packages"));
        }
    }
}

/// Whether the installed version lies beside the file as it was shipped: it was not merged, and what is here stems from an older one.
fn is_pending(root: &Rooted, path: &Path, base: &[u8], tool: &dyn Tool) -> Result<bool> {
    let beside = beside(path, tool);
    Ok(root.read(below(&beside))?.is_some_and(|content| content.bytes == base))
}

fn beside(path: &Path, tool: &dyn Tool) -> PathBuf {
    PathBuf::from(format!("{}{}", path.display(), tool.beside()))
}

/// A way back is not stopped: the file stays as it is, as one that `merge` does not name.
fn stop(trouble: (String, String), path: &Path, tool: &dyn Tool, offer: &mut Offer) {
    let (what, hint) = trouble;
    if offer.direction == Direction::Back {
        let path = path.display();
        let text = format!("{what}: {path} stays as it is, and the release's is put beside it as *{}", tool.beside());
        offer.warnings.push(harmless(&text));
    } else {
        offer.blockers.push(Blocker::impossible(harmless(&what), harmless(&hint)));
    }
}

fn no_base(path: &Path) -> (String, String) {
    let path = path.display();
    let hint = "put the package file of what is installed where the package manager keeps its own (/var/cache/apt/archives), or take the \
                file out of `merge` under [source.packages]: then it is kept, and the release's is put beside it";
    (format!("{path} cannot be merged: it was edited, and what its package shipped is not at hand"), hint.to_owned())
}

fn pending(path: &Path, tool: &dyn Tool) -> (String, String) {
    let (path, beside) = (path.display(), beside(path, tool));
    let beside = beside.display();
    (
        format!("{beside} is what the installed version ships, and nobody has merged it into {path} yet"),
        format!("see what is to be taken over: diff {path} {beside}; do that once by hand, then: rm {beside}"),
    )
}

fn conflict(place: &Place, mirror: &Mirror, revision: &str, path: &Path) -> (String, String) {
    let name = &place.install.name;
    let component =
        place.install.components.iter().find(|one| release::conffiles(mirror, revision, one).contains_key(path));
    let theirs = component.map_or_else(String::new, |component| {
        let inside = component.path.join(&format!("conffiles{}", path.display()));
        format!(" (git --git-dir={}/mirror.git show {revision}:{inside})", place.state.display())
    });
    let path = path.display();
    (
        format!("{path}: you and the release changed the same lines"),
        format!(
            "make these lines of {path} the release's{theirs}, or take the file out of `merge` under [source.packages]: then it is kept, \
             and the release's is put beside it; then: relift plan {name}"
        ),
    )
}

fn below(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}
