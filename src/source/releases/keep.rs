//! Which directories are ours, which are kept, and how the others go.

use std::collections::BTreeSet;
use std::path::Path;

use super::{RELEASES, below, current, names, previous, tree};
use crate::action::{self, Action, Site};
use crate::error::Result;
use crate::host::fs::{Rooted, sync_filesystem};
use crate::ledger::{Directory, KnownGood, Ledger};
use crate::manifest::Layout;
use crate::plan::{Plan, Release};
use crate::source::git::Mirror;

/// A name for a release's directory that nothing has. What a run that stopped has left does not count.
pub(super) fn free_name(state: &Path, root: &Rooted, release: &Release) -> Result<String> {
    let left = left_over(state, root)?;
    let there: BTreeSet<String> =
        root.entries(Path::new(RELEASES))?.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    let known = Ledger::below(state).releases()?;
    let is_taken = |name: &str| (there.contains(name) || known.contains_key(name)) && !left.contains(name);
    Ok(names::free(release, is_taken))
}

/// Directories that a run unpacked which came to nothing, and that nothing leads to.
pub(super) fn left_over(state: &Path, root: &Rooted) -> Result<BTreeSet<String>> {
    let in_use = [current(root)?, previous(root)?];
    let known = Ledger::below(state).releases()?;
    let is_left = |name: &String, directory: &Directory| !directory.is_proven && !in_use.contains(&Some(name.clone()));
    Ok(known.into_iter().filter(|(name, directory)| is_left(name, directory)).map(|(name, _)| name).collect())
}

/// The directory of a release that was left and is as it was, for going back to it.
pub(super) fn kept(state: &Path, root: &Rooted, mirror: &Mirror, layout: &action::Layout) -> Result<Option<String>> {
    let known = Ledger::below(state).releases()?;
    let of_it = known.iter().filter(|(_, directory)| directory.revision == layout.revision && directory.is_proven);
    let Some((name, _)) = of_it.max_by_key(|(_, directory)| &directory.run) else { return Ok(None) };
    if !root.is_directory(&below(name)) {
        return Ok(None);
    }
    let edited = tree::edited(root, &below(name), mirror.repository(), &layout.revision)?;
    Ok(edited.is_empty().then(|| name.clone()))
}

/// Names in `releases` that are none of ours, and that nothing leads to.
pub(super) fn unknown(state: &Path, root: &Rooted) -> Result<Vec<String>> {
    let known = Ledger::below(state).releases()?;
    let in_use = [current(root)?, previous(root)?];
    let names = root.entries(Path::new(RELEASES))?.into_iter().map(|name| name.to_string_lossy().into_owned());
    let is_ours = |name: &String| {
        let is_temporary = known.keys().any(|known| names::temporary(known) == *name);
        is_temporary || known.contains_key(name) || in_use.contains(&Some(name.clone()))
    };
    let mut unknown: Vec<String> = names.filter(|name| !is_ours(name)).collect();
    unknown.sort();
    Ok(unknown)
}

/// Removes a release's directory, durably, and forgets it. What a link leads to stays: the remark says so.
pub fn remove(state: &Path, root: &Rooted, name: &str) -> Result<Option<String>> {
    // Whatever somebody made of the links: what is not led to is nobody's.
    let in_use = [current(root).unwrap_or_default(), previous(root).unwrap_or_default()];
    let place = root.path().join(below(name));
    if in_use.contains(&Some(name.to_owned())) {
        return Ok(Some(format!("{} stays: a link leads to it", place.display())));
    }
    root.remove_tree(&below(&names::temporary(name)))?;
    root.remove_tree(&below(name))?;
    sync_filesystem(root.path())?;
    let ledger = Ledger::below(state);
    let mut known = ledger.releases()?;
    if known.remove(name).is_some() {
        ledger.set_releases(&known)?;
    }
    Ok(None)
}

/// Removes what was unpacked for a run that stopped before any change.
pub fn discard(plan: &Plan, site: &Site) -> Result<()> {
    for action in &plan.actions {
        let Action::Directory(directory) = action else { continue };
        let known = Ledger::below(site.state()).releases()?;
        // Before it was noted, somebody else's directory may have that name.
        if known.get(&directory.name).is_some_and(|known| !known.is_proven && known.revision == directory.revision) {
            remove(site.state(), &site.checkout()?, &directory.name)?;
        }
    }
    Ok(())
}

/// After a run: its release is proven; directories that nothing leads to, and that are of no known-good release, go. May be
/// begun again after a kill at any point.
pub fn prune(plan: &Plan, site: &Site, known_good: &[KnownGood]) -> Result<Vec<String>> {
    if plan.layout != Layout::Releases {
        return Ok(Vec::new());
    }
    let (ledger, root) = (Ledger::below(site.state()), site.checkout()?);
    let mut known = ledger.releases()?;
    for action in &plan.actions {
        let Action::Layout(layout) = action else { continue };
        if let Some(from) = &layout.from {
            let revision = plan.from.revision.clone();
            known.entry(from.clone()).or_insert(Directory { revision, run: String::new(), is_proven: true });
        }
        let run = site.run.clone();
        let arrived = known.entry(layout.to.clone());
        arrived.or_insert(Directory { revision: layout.revision.clone(), run, is_proven: true }).is_proven = true;
    }
    ledger.set_releases(&known)?;
    let in_use = [current(&root)?, previous(&root)?];
    let newest = |revision: &String| {
        let of_it = known.iter().filter(|(_, directory)| directory.revision == *revision);
        of_it.max_by_key(|(_, directory)| &directory.run).map(|(name, _)| name.clone())
    };
    let kept: BTreeSet<String> = known_good.iter().filter_map(|entry| newest(&entry.revision)).collect();
    let goes = known.keys().filter(|name| !kept.contains(*name) && !in_use.contains(&Some((*name).clone())));
    let left = goes.map(|name| remove(site.state(), &root, name)).collect::<Result<Vec<_>>>()?;
    Ok(left.into_iter().flatten().collect())
}
