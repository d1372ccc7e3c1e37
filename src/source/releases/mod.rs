//! Releases beside one another: `releases/NAME`, each a whole tree, `current` a link to the one that runs, `previous` to the
//! one before, `shared` what outlives them.
//!
//! What a directory is of, is recorded in our own state: what its owner puts there says nothing.

mod keep;
mod names;
mod tree;
mod unpack;

use std::path::{Path, PathBuf};

use git2::Repository;

use super::git::{Checkout, Dirty, Mirror};
use super::snapshot::{self, Meta};
use super::{Direction, Offer, Place};
use crate::action::{self, Action, Directory};
use crate::error::{Error, Result};
use crate::host::fs::Rooted;
use crate::ledger::Ledger;
use crate::manifest::{CURRENT, Component};
use crate::plan::{Blocker, Plan, Release};
use crate::report::Reporter;
use crate::text::harmless;

pub use keep::{discard, prune, remove};

/// Where the directories of releases are, relative to the root.
const RELEASES: &str = "releases";
/// The link to the release that was left.
pub const PREVIOUS: &str = "previous";
/// What a new install has.
const NOTHING: &str = "nothing";
/// How many paths a blocker names.
const SHOWN: usize = 5;

/// The directory of a release, relative to the root.
pub fn below(name: &str) -> PathBuf {
    Path::new(RELEASES).join(name)
}

/// The revision of what `current` leads to. A directory that was unpacked by hand is taken into the mirror as it is; `None`:
/// nothing is installed yet.
pub fn observe(place: &Place) -> Result<Option<String>> {
    let root = Rooted::open(&place.install.root)?;
    let Some(name) = current(&root)? else { return Ok(None) };
    let mirror = mirror(place)?;
    let known = Ledger::below(place.state).releases()?.remove(&name);
    if let Some(known) = known.filter(|known| mirror.resolve(&known.revision).is_some()) {
        return Ok(Some(known.revision));
    }
    tree::adopt(place, &root, &name, mirror.repository()).map(Some)
}

/// The same with the tracked files that were edited in it, as what a checkout would be.
pub fn checkout(place: &Place) -> Result<Checkout> {
    let here = glance(place)?;
    let root = Rooted::open(&place.install.root)?;
    let Some(name) = current(&root)? else { return Ok(here) };
    let edited = tree::edited(&root, &below(&name), mirror(place)?.repository(), &here.head)?;
    let dirty = |path| Dirty { path, is_conflict: false, is_staged: false };
    let moved = root.times(Path::new(CURRENT)).map_or(0, |times| (times.changed_us / 1_000_000) as i64);
    Ok(Checkout { dirty: edited.into_iter().map(dirty).collect(), head_moved: moved, ..here })
}

/// The same of `head` alone: files that are edited in a release which is left stay where they are.
pub fn glance(place: &Place) -> Result<Checkout> {
    let head = match observe(place)? {
        Some(head) => head,
        None => nothing(mirror(place)?.repository())?,
    };
    Ok(Checkout { head, ..Checkout::default() })
}

/// What is recorded of the release that runs, without a look at its files or at the mirror.
pub fn recorded(state: &Path, root: &Path) -> Option<String> {
    let name = current(&Rooted::open(root).ok()?).ok()??;
    Ledger::below(state).releases().ok()?.remove(&name).map(|directory| directory.revision)
}

fn mirror(place: &Place) -> Result<Mirror> {
    Mirror::open(place.state, place.cache, place.install.source.git(), place.owner)
}

/// The release that a new install begins with: one without files.
pub fn nothing(repository: &Repository) -> Result<String> {
    let meta =
        Meta { snapshot: 1, version: "0.0.0".into(), identity: vec![NOTHING.into()], empty: Vec::new(), time: 0 };
    Ok(snapshot::write(repository, [], &meta)?.to_string())
}

/// Whether a commit is that release.
pub fn is_nothing(repository: &Repository, revision: &str) -> bool {
    snapshot::meta(repository, revision).is_some_and(|meta| meta.identity == [NOTHING])
        && tree::of(repository, revision).is_ok_and(|tree| tree.is_empty())
}

/// The name of the release that `current` leads to.
pub fn current(root: &Rooted) -> Result<Option<String>> {
    let path = Path::new(CURRENT);
    if !root.exists(path)? {
        if root.exists(Path::new(".git"))? {
            let shown = root.path().display();
            return Err(Error::failed(format!("{shown} is a git checkout itself, and layout = \"releases\" wants none"))
                .because("a checkout is not moved into a release by itself: what git does not track would stay behind")
                .hint(format!("name another `root`, and move .env files and data into ROOT/shared by hand; or take `layout` out to upgrade {shown} in place")));
        }
        return Ok(None);
    }
    let target = root.link(path)?;
    target.as_deref().and_then(named).map(Some).ok_or_else(|| {
        let shown = root.path().join(CURRENT);
        let error = Error::failed(format!("{} does not lead to a release", shown.display()));
        let error = match target {
            Some(target) => error.because(format!("it leads to {}", harmless(&target.display().to_string()))),
            None => error.because("it is no symbolic link"),
        };
        error.hint(format!("lead it to the one that runs: ln -sfnT {RELEASES}/NAME {}", shown.display()))
    })
}

/// What `previous` leads to, where that is a release.
fn previous(root: &Rooted) -> Result<Option<String>> {
    Ok(root.link(Path::new(PREVIOUS))?.as_deref().and_then(named))
}

/// `releases/NAME`, as this writes it.
fn named(target: &Path) -> Option<String> {
    let name = target.strip_prefix(RELEASES).ok()?.to_str()?;
    (!name.is_empty() && !name.starts_with('.') && !name.contains('/')).then(|| name.to_owned())
}

/// The switch: `releases/NEW` is unpacked (in *prepare*), `current` leads to it. `from`: `None` where nothing is installed.
pub fn changes(place: &Place, from: Option<&Release>, to: &Release) -> Result<Vec<Action>> {
    let root = Rooted::open(&place.install.root)?;
    let name = keep::free_name(place.state, &root, to)?;
    let from = from.map_or(Ok(None), |_| current(&root))?;
    let (previous, revision) = (previous(&root)?, to.revision.clone());
    Ok(vec![
        Action::Directory(Directory { name: name.clone(), revision: revision.clone() }),
        Action::Layout(action::Layout { from, to: name, revision, previous }),
    ])
}

/// Where a rollback finds the directory of its target as it was left, nothing is unpacked, and nothing of it made again.
pub fn reuse(place: &Place, mirror: &Mirror, changes: &mut Vec<Action>) -> Result<()> {
    let root = Rooted::open(&place.install.root)?;
    let Some(Action::Layout(layout)) = changes.iter_mut().find(|action| matches!(action, Action::Layout(_))) else {
        return Ok(());
    };
    if let Some(kept) = keep::kept(place.state, &root, mirror, layout)? {
        layout.to = kept;
        changes.retain(|action| !matches!(action, Action::Directory(_)));
    }
    Ok(())
}

/// Whether a component is installed: its directory, or what `installed-if` names, is in the release that runs or in `shared`;
/// where nothing is installed yet, each that asks for nothing.
pub fn has(component: &Component, root: &Rooted) -> Result<bool> {
    let wanted = component.installed_if.as_ref().unwrap_or(&component.path);
    if root.exists(&Path::new(crate::manifest::SHARED).join(wanted))? {
        return Ok(true);
    }
    match current(root)? {
        Some(name) => root.exists(&below(&name).join(wanted)),
        None => Ok(component.installed_if.is_none()),
    }
}

/// What stops a switch: files of the present release that were edited in its directory. Pure.
pub fn preflight(place: &Place, here: &Checkout) -> Vec<Blocker> {
    if here.dirty.is_empty() {
        return Vec::new();
    }
    let paths: Vec<String> = here.dirty.iter().take(SHOWN).map(|dirty| harmless(&dirty.path)).collect();
    let more = match here.dirty.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let mirror = place.state.join("mirror.git");
    let at = crate::plan::abbreviate(&here.head);
    vec![Blocker::impossible(
        format!("files of the release that runs were edited in its directory: {}{more}", paths.join(", ")),
        format!(
            "what is this host's own goes into shared/ (`shared` under [install]); what the release has: git --git-dir={} show {at}:PATH, with which the file is put back",
            mirror.display()
        ),
    )]
}

/// Adds to an offer what this layout knows of it: its changes, and what stops them.
pub fn complete(place: &Place, mirror: &Mirror, offer: &mut Offer) -> Result<()> {
    let nothing = nothing(mirror.repository())?;
    let is_first = offer.from.revision == nothing;
    if is_first {
        offer.from.label = Some(NOTHING.into());
        offer.direction = Direction::Forward;
        offer.commits.clear();
        offer.commits_total = 0;
    }
    let repository = mirror.repository();
    for path in tree::conflicts(repository, &offer.to.revision, &place.install.linked())? {
        offer.blockers.push(Blocker::impossible(
            format!("{path} is shared by all releases, and the target tracks it"),
            "ask upstream to take it out of the release; or, where the release is right, take it out of `shared` under [install]",
        ));
    }
    let root = Rooted::open(&place.install.root)?;
    for name in keep::unknown(place.state, &root)? {
        offer.warnings.push(format!("{RELEASES}/{} is none of ours: it stays as it is", harmless(&name)));
    }
    let from = (!is_first).then_some(&offer.from);
    offer.changes = changes(place, from, &offer.to)?;
    Ok(())
}

/// *Prepare*: unpacks the target's directory, where the plan has one.
pub fn bring(place: &Place, mirror: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()> {
    let directory = plan.actions.iter().find_map(|action| match action {
        Action::Directory(directory) => Some(directory),
        _ => None,
    });
    directory.map_or(Ok(()), |directory| unpack::unpack(place, mirror, directory, reporter))
}

#[cfg(test)]
mod tests;
