//! Commit: the known-good tag, the ledger, the end. May be begun again after a kill at any point.

use std::collections::BTreeMap;
use std::path::Path;

use super::journal::Journal;
use super::record::{Begin, Body, End, Outcome};
use crate::action::{Action, Site};
use crate::error::{Context, Result};
use crate::host::fs::{Image, make_private, write_durably};
use crate::ledger::{Activation, KnownGood, Ledger};
use crate::plan::Plan;
use crate::source::git::{self, switch};

/// Finishes a run whose `commit` is recorded.
pub(super) fn finish(journal: &mut Journal, state: &Path, site: &Site) -> Result<()> {
    let Some(begin) = journal.start().cloned() else { return Ok(()) };
    let plan = &begin.plan;
    let ledger = Ledger::below(state);
    let mut known_good = ledger.known_good()?;
    leave(journal, &begin, &ledger, &mut known_good)?;
    arrive(journal, &begin, &mut known_good);
    let dropped = prune(&mut known_good, begin.keep_known_good);
    for entry in &known_good {
        git::pin(state, &entry.revision)?;
        switch::tag_known_good(&site.owner, &site.root, &entry.tag, &entry.revision)?;
    }
    ledger.set_known_good(&known_good)?;
    for entry in dropped {
        drop_release(&ledger, state, site, &entry, &known_good)?;
    }
    ledger.set_activated(&activated(&ledger, plan)?)?;
    ledger.forget_failed(&plan.to.revision)?;
    if let Some((remote, branch)) = &begin.track {
        switch::track(&site.owner, &site.root, remote, branch, &plan.to.revision)?;
    }
    journal.append(Body::End(End { outcome: Outcome::Done, why: None, detail: Vec::new() }))
}

/// The release that is left: what it had beside the tree is kept with it, so that going back needs nothing else.
fn leave(journal: &Journal, begin: &Begin, ledger: &Ledger, known_good: &mut Vec<KnownGood>) -> Result<()> {
    let plan = &begin.plan;
    let was_healthy = !journal.healthy_before().is_empty()
        && plan.components.iter().all(|component| journal.healthy_before().contains(&component.name));
    if plan.from.revision == plan.to.revision {
        return Ok(());
    }
    if !known_good.iter().any(|entry| entry.revision == plan.from.revision) {
        if !was_healthy {
            return Ok(());
        }
        known_good.push(KnownGood {
            tag: tag(journal.span().map_or(0, |(began, _)| began)),
            revision: plan.from.revision.clone(),
            versions: versions(plan, |component| component.from_version.clone()),
            run: None,
            env: BTreeMap::new(),
            artifacts: BTreeMap::new(),
        });
    }
    let (env, artifacts) = (keep_env(journal, plan, ledger)?, keep_artifacts(journal, plan, ledger)?);
    let left = known_good.iter_mut().find(|entry| entry.revision == plan.from.revision);
    if let Some(left) = left {
        left.env.extend(env);
        left.artifacts.extend(artifacts);
    }
    Ok(())
}

fn keep_env(journal: &Journal, plan: &Plan, ledger: &Ledger) -> Result<BTreeMap<String, Image>> {
    let mut kept = BTreeMap::new();
    make_private(&ledger.content(), 0o700)?;
    for action in &plan.actions {
        let Action::EnvFile(file) = action else { continue };
        if let Some(image) = &file.swap.before {
            let from = journal.directory().join("content").join(&image.sha256);
            let bytes = std::fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
            write_durably(&ledger.content().join(&image.sha256), &bytes, 0o600)?;
            kept.insert(file.swap.path.display().to_string(), image.clone());
        }
    }
    Ok(kept)
}

fn keep_artifacts(journal: &Journal, plan: &Plan, ledger: &Ledger) -> Result<BTreeMap<String, std::path::PathBuf>> {
    let mut kept = BTreeMap::new();
    let directory = ledger.artifacts().join(&plan.from.revision);
    make_private(&directory, 0o700)?;
    for action in &plan.actions {
        let Action::Artifact(artifact) = action else { continue };
        let Some(name) = &artifact.saved else { continue };
        let (from, to) = (journal.directory().join("artifacts").join(name), directory.join(name));
        // Already moved by an earlier life of this commit.
        if from.exists() {
            std::fs::rename(&from, &to).with_context(|| format!("{} cannot be kept", to.display()))?;
            crate::host::fs::sync_directory(&directory)?;
        }
        kept.insert(artifact.path.display().to_string(), to);
    }
    Ok(kept)
}

/// The release that is reached comes last: what rollback goes back to is the one before.
fn arrive(journal: &Journal, begin: &Begin, known_good: &mut Vec<KnownGood>) {
    let plan = &begin.plan;
    let mut time = journal.records().iter().find(|record| record.body == Body::Commit).map_or(0, |record| record.time);
    let known = known_good.iter().position(|entry| entry.revision == plan.to.revision).map(|at| known_good.remove(at));
    while known_good.iter().any(|entry| entry.tag == tag(time)) {
        time += 1;
    }
    known_good.push(known.unwrap_or_else(|| KnownGood {
        tag: tag(time),
        revision: plan.to.revision.clone(),
        versions: versions(plan, |component| component.to_version.clone()),
        run: Some(journal.run().to_owned()),
        env: BTreeMap::new(),
        artifacts: BTreeMap::new(),
    }));
}

fn versions(plan: &Plan, of: impl Fn(&crate::plan::ComponentPlan) -> Option<String>) -> BTreeMap<String, String> {
    plan.components.iter().filter_map(|component| Some((component.name.clone(), of(component)?))).collect()
}

fn tag(time: i64) -> String {
    let time = jiff::Timestamp::from_second(time).unwrap_or_default();
    format!("known-good/{}", time.strftime("%Y%m%dT%H%M%SZ"))
}

fn prune(known_good: &mut Vec<KnownGood>, keep: usize) -> Vec<KnownGood> {
    let excess = known_good.len().saturating_sub(keep.max(1));
    known_good.drain(..excess).collect()
}

fn drop_release(ledger: &Ledger, state: &Path, site: &Site, entry: &KnownGood, kept: &[KnownGood]) -> Result<()> {
    git::unpin(state, &entry.revision)?;
    switch::untag(&site.owner, &site.root, &entry.tag)?;
    for archive in entry.artifacts.values() {
        crate::host::fs::remove_durably(archive)?;
    }
    for image in entry.env.values() {
        let is_shared = kept.iter().any(|other| other.env.values().any(|other| other.sha256 == image.sha256));
        if !is_shared {
            crate::host::fs::remove_durably(&ledger.content().join(&image.sha256))?;
        }
    }
    Ok(())
}

fn activated(ledger: &Ledger, plan: &Plan) -> Result<crate::ledger::Activated> {
    let mut activated = ledger.activated()?;
    for component in &plan.components {
        let env = component.env.iter().map(|env| (env.file.clone(), env.after.clone())).collect();
        let (revision, version) = (plan.to.revision.clone(), component.to_version.clone());
        activated.components.insert(component.name.clone(), Activation { revision, version, env });
    }
    Ok(activated)
}
