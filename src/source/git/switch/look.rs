//! Where the checkout is between two releases.

use std::path::{Path, PathBuf};

use super::super::checkout::Checkout;
use super::restore::foreign;
use super::{Goal, differing};
use crate::action::Sight;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::Rooted;

/// Looks whether the checkout is at `from`, at `to`, between them, or elsewhere. Edits of files that both releases have
/// alike are somebody else's and say nothing; nor do `aside`, which are local changes that the manifest allows.
pub fn look(owner: &Account, root: &Path, from: &Goal, to: &Goal, aside: &[PathBuf]) -> Result<Sight> {
    // What git cannot read is what a kill leaves: a truncated index, a branch without its file.
    let Ok(now) = Checkout::observe(owner, root, &|_| None) else { return Ok(Sight::Mixed) };
    let Some(side) =
        [(from, Sight::Before), (to, Sight::After)].into_iter().find(|(goal, _)| goal.revision == now.head)
    else {
        return Ok(Sight::Neither);
    };
    let is_aside = |path: &str| aside.iter().any(|aside| aside == Path::new(path));
    let checkout = Rooted::open(root)?;
    let mut differing = differing(owner, root, &from.revision, &to.revision)?;
    differing.retain(|path, _| !is_aside(path) && [from, to].iter().any(|goal| goal.has(Path::new(path))));
    if !foreign(owner, root, &checkout, &differing)?.is_empty() {
        return Ok(Sight::Neither);
    }
    let mut is_whole = now.locks.is_empty() && !now.dirty.iter().any(|dirty| differing.contains_key(&dirty.path));
    for (path, entry) in &differing {
        let is_of_head = if side.1 == Sight::Before { entry.in_other.is_some() } else { entry.in_goal.is_some() };
        is_whole &= is_of_head || checkout.is_directory(Path::new(path)) || !checkout.exists(Path::new(path))?;
    }
    // Two releases that are one commit differ in their cones alone.
    let cones =
        [from, to].map(|goal| goal.cone.as_ref().map(|cone| cone.iter().collect::<std::collections::BTreeSet<_>>()));
    let cone = now.cone.as_ref().map(|cone| cone.iter().collect());
    let sights = match from.revision == to.revision {
        true => [cone == cones[0], cone == cones[1]],
        false => [cone == cones[0] && side.1 == Sight::Before, cone == cones[1] && side.1 == Sight::After],
    };
    Ok(match sights {
        _ if !is_whole => Sight::Mixed,
        [true, _] => Sight::Before,
        [_, true] => Sight::After,
        _ => Sight::Mixed,
    })
}
