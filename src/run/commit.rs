//! Commit: the known-good tag, the ledger, the end. May be begun again after a kill at any point.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::journal::Journal;
use super::record::{Begin, Body, End, Outcome};
use crate::action::{Action, Site};
use crate::error::{Context, Result, ended};
use crate::host::fs::{Image, Rooted, make_private, sync_filesystem, write_all_durably};
use crate::ledger::{Activation, FailedRelease, KnownGood, Ledger, MigrationRan};
use crate::plan::{ComponentPlan, Intent, Plan};
use crate::report::Event;
use crate::source::git::{self, switch};
use crate::source::{compose, releases};

/// Finishes a run whose `commit` is recorded.
pub(super) fn finish(journal: &mut Journal, state: &Path, site: &Site) -> Result<()> {
    let Some(begin) = journal.start().cloned() else { return Ok(()) };
    let plan = &begin.plan;
    super::reserve::give_up(journal.directory());
    let ledger = Ledger::below(state);
    let mut known_good = ledger.known_good()?;
    leave(journal, &begin, &ledger, &mut known_good)?;
    arrive(journal, &begin, &mut known_good);
    let dropped = prune(&mut known_good, begin.keep_known_good, &plan.to.revision);
    let mut lost = Vec::new();
    // Together; and one by one where that fails, to tell which it was.
    let together = keep_all(&begin, (state, site), &known_good, &dropped);
    for entry in known_good.iter().filter(|_| together.is_err()) {
        let kept = git::pin(state, &entry.revision).and_then(|()| match plan.has_checkout() {
            true => switch::tag_known_good(&site.owner, &site.root, &entry.tag, &entry.revision),
            false => Ok(()),
        });
        match kept {
            Err(error) if [&plan.from.revision, &plan.to.revision].contains(&&entry.revision) => return Err(error),
            // What is neither left nor reached says nothing about this run: it is no way back any more.
            Err(error) => lost.push((entry.tag.clone(), error)),
            Ok(()) => {}
        }
    }
    for (tag, error) in lost {
        let text = format!("{tag} cannot be gone back to any more: {error}");
        site.reporter.tell(Event::Warning { text });
        known_good.retain(|entry| entry.tag != tag);
    }
    // Before the ledger forgets them: killed in between, this begins again and drops the same.
    for entry in dropped {
        if together.is_err() {
            drop_refs(plan, state, site, &entry)?;
        }
        drop_files(&ledger, &entry, &known_good)?;
    }
    if let Some((remote, branch)) = begin.track.as_ref().filter(|_| together.is_err()) {
        switch::track(&site.owner, &site.root, remote, branch, &plan.to.revision)?;
    }
    if let Err(error) = super::aside::remove(plan) {
        site.reporter.tell(Event::Warning { text: format!("what was put back left something beside it: {error}") });
    }
    // git renames its refs into place and syncs no directory: the ledger may lie on another disk.
    sync_filesystem(&site.root)?;
    ledger.set_known_good(&known_good)?;
    ledger.set_repository_manifest(begin.manifest.as_ref())?;
    ledger.set_activated(&activated(&ledger, plan)?)?;
    note_migrations(journal, state)?;
    ledger.forget_failed(&plan.to.revision)?;
    if plan.intent == Intent::Rollback || plan.is_downgrade {
        ledger.remember_failed(rolled_back(journal, plan))?;
    }
    // The ledger says by now what is kept.
    let remarks = releases::prune(plan, site, &known_good)?;
    for text in remarks.into_iter().chain(compose::prune(plan, state, &known_good)) {
        site.reporter.tell(Event::Warning { text });
    }
    journal.append(Body::End(End { outcome: Outcome::Done, why: None, detail: Vec::new() }))
}

/// Puts down which migrations ran and which were taken back: those that were begun and are not undone.
pub(super) fn note_migrations(journal: &Journal, state: &Path) -> Result<()> {
    let Some(begin) = journal.start() else { return Ok(()) };
    let ledger = Ledger::below(state);
    let mut ran = ledger.migrations()?;
    for (at, _) in journal.begun() {
        let Action::Step(step) = &begin.plan.actions[at] else { continue };
        let Some(id) =
            step.with.migration.as_ref().filter(|_| !journal.has(|body| *body == Body::Undone { action: at }))
        else {
            continue;
        };
        ran.retain(|known| known.component != id.component || known.version != id.version);
        if !id.is_back {
            let (component, version) = (id.component.clone(), id.version.clone());
            ran.push(MigrationRan { component, version, run: journal.run().to_owned() });
        }
    }
    ledger.set_migrations(&ran)
}

/// The same of a run that was undone but for what a command failed to: that has run, and never does again.
pub(super) fn note_given_up(journal: &Journal, state: &Path) -> Result<()> {
    match journal.has(|body| matches!(body, Body::NotUndone { .. })) {
        true => note_migrations(journal, state),
        false => Ok(()),
    }
}

/// Pins and tags what can be gone back to and nothing that is dropped, and moves the branch that is followed: two children,
/// however many releases there are, the mirror's beside the checkout's.
fn keep_all(
    begin: &Begin,
    (state, site): (&Path, &Site),
    known_good: &[KnownGood],
    dropped: &[KnownGood],
) -> Result<()> {
    let (kept, gone) = (revisions(known_good), revisions(dropped));
    let let_go: Vec<&str> = gone.difference(&kept).copied().collect();
    let revisions: Vec<&str> = kept.into_iter().collect();
    if !begin.plan.has_checkout() {
        return git::pin_all(state, &revisions, &let_go);
    }
    let tags: Vec<_> = known_good.iter().map(|entry| (entry.tag.as_str(), entry.revision.as_str())).collect();
    let gone: Vec<&str> = dropped.iter().map(|entry| entry.tag.as_str()).collect();
    let track = begin.track.as_ref().map(|(remote, branch)| (remote.as_str(), branch.as_str()));
    let (owner, root, to) = (&site.owner, &site.root, begin.plan.to.revision.as_str());
    let (pinned, tagged) = std::thread::scope(|scope| {
        let pinned = scope.spawn(|| git::pin_all(state, &revisions, &let_go));
        let tagged = switch::tag_all_known_good(owner, root, (&tags, &gone), track.map(|branch| (branch, to)));
        (ended(pinned.join()), tagged)
    });
    pinned.and(tagged)
}

fn revisions(entries: &[KnownGood]) -> BTreeSet<&str> {
    entries.iter().map(|entry| entry.revision.as_str()).collect()
}

/// What an operator went back from is not for a timer to install again.
fn rolled_back(journal: &Journal, plan: &Plan) -> FailedRelease {
    FailedRelease {
        revision: plan.from.revision.clone(),
        configuration: String::new(),
        run: journal.run().to_owned(),
        why: if plan.is_downgrade { "it was left for an older release" } else { "it was rolled back" }.into(),
        time: journal.span().map_or(0, |(began, _)| began),
    }
}

/// Removes locks that a commit which died may have left on the refs that it writes.
pub(super) fn clear_locks(plan: &Plan, site: &Site) -> Result<()> {
    if !plan.has_checkout() {
        return Ok(());
    }
    switch::clear_ref_locks(&site.owner, &site.root)
}

/// The release that is left: what it had beside the tree is kept with it, so that going back needs nothing else.
fn leave(journal: &Journal, begin: &Begin, ledger: &Ledger, known_good: &mut Vec<KnownGood>) -> Result<()> {
    let plan = &begin.plan;
    // What was measured before the run is what is activated, which a pull by hand may have left behind.
    let ran = |component: &ComponentPlan| {
        component.activated == plan.from.revision && journal.healthy_before().contains(&component.name)
    };
    let was_healthy = !plan.components.is_empty() && plan.components.iter().all(ran);
    if plan.from.revision == plan.to.revision || plan.is_first() {
        return Ok(());
    }
    if !known_good.iter().any(|entry| entry.revision == plan.from.revision) {
        if !was_healthy {
            return Ok(());
        }
        known_good.push(KnownGood {
            tag: free_tag(known_good, journal.span().map_or(0, |(began, _)| began)),
            revision: plan.from.revision.clone(),
            versions: versions(plan, |component| component.from_version.clone()),
            run: None,
            env: BTreeMap::new(),
            artifacts: BTreeMap::new(),
        });
    }
    let (env, artifacts) = (keep_env(journal, plan, ledger)?, keep_artifacts(journal, plan, ledger)?);
    let Some(at) = known_good.iter().position(|entry| entry.revision == plan.from.revision) else { return Ok(()) };
    known_good[at].env.extend(env);
    known_good[at].artifacts.extend(artifacts);
    // An upgrade puts it right before what it reaches; what was rolled back before stays behind both.
    if plan.intent == Intent::Upgrade {
        let left = known_good.remove(at);
        known_good.push(left);
    }
    Ok(())
}

fn keep_env(journal: &Journal, plan: &Plan, ledger: &Ledger) -> Result<BTreeMap<String, Image>> {
    let (mut kept, mut contents) = (BTreeMap::new(), BTreeMap::new());
    for action in &plan.actions {
        let Action::EnvFile(file) = action else { continue };
        if let Some(image) = &file.swap.before {
            let from = journal.directory().join("content").join(&image.sha256);
            let bytes = std::fs::read(&from).with_context(|| format!("{} cannot be read", from.display()))?;
            contents.insert(image.sha256.clone(), bytes);
            kept.insert(file.swap.path.display().to_string(), image.clone());
        }
    }
    // What the run did not rewrite is still there, unless somebody edited it since.
    let root = Rooted::open(&plan.root)?;
    for env in plan.components.iter().flat_map(|component| &component.env).filter(|env| !env.rewritten) {
        let there = root.read(Path::new(&env.file))?.filter(|content| content.image.sha256 == env.after);
        if let Some(content) = there {
            contents.insert(env.after.clone(), content.bytes);
            kept.insert(env.file.clone(), content.image);
        }
    }
    make_private(&ledger.content(), 0o700)?;
    let contents = contents.iter().map(|(hash, bytes)| (hash.as_str(), bytes.as_slice()));
    write_all_durably(&ledger.content(), contents, 0o600)?;
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

/// What an upgrade reaches comes last, and a rollback goes to the one before. What a rollback reaches keeps its place, so
/// that the next one goes further back.
fn arrive(journal: &Journal, begin: &Begin, known_good: &mut Vec<KnownGood>) {
    let plan = &begin.plan;
    let time = journal.records().iter().find(|record| record.body == Body::Commit).map_or(0, |record| record.time);
    let at = known_good.iter().position(|entry| entry.revision == plan.to.revision);
    let known = match (at, plan.intent) {
        (Some(_), Intent::Rollback | Intent::Reconfigure) => return,
        (Some(at), Intent::Upgrade) => Some(known_good.remove(at)),
        (None, _) => None,
    };
    let tag = free_tag(known_good, time);
    known_good.push(known.unwrap_or_else(|| KnownGood {
        tag,
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

/// What known-good tags look like, strftime(3).
const TAG: &str = "known-good/%Y%m%dT%H%M%SZ";

/// The tag of a time, or of the second after the newest that is there: `git tag` lists them by name, whatever was done to
/// the clock meanwhile.
fn free_tag(known_good: &[KnownGood], time: i64) -> String {
    let second = |tag: &str| {
        let there = jiff::civil::DateTime::strptime(TAG, tag).ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(there.timestamp().as_second())
    };
    let newest = known_good.iter().filter_map(|entry| second(&entry.tag)).max();
    let time = newest.map_or(time, |newest| time.max(newest + 1));
    jiff::Timestamp::from_second(time).unwrap_or_default().strftime(TAG).to_string()
}

/// Takes out the oldest above `keep`, never what is activated.
fn prune(known_good: &mut Vec<KnownGood>, keep: usize, activated: &str) -> Vec<KnownGood> {
    let mut dropped = Vec::new();
    while known_good.len() > keep.max(1) {
        let Some(oldest) = known_good.iter().position(|entry| entry.revision != activated) else { break };
        dropped.push(known_good.remove(oldest));
    }
    dropped
}

fn drop_refs(plan: &Plan, state: &Path, site: &Site, entry: &KnownGood) -> Result<()> {
    git::unpin(state, &entry.revision)?;
    match plan.has_checkout() {
        true => switch::untag(&site.owner, &site.root, &entry.tag),
        false => Ok(()),
    }
}

/// What was kept of a release beside its tree.
fn drop_files(ledger: &Ledger, entry: &KnownGood, kept: &[KnownGood]) -> Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_sort_in_the_order_in_which_they_were_made_when_the_clock_was_set_back() {
        let mut known_good = Vec::new();
        for time in [1_800_000_000, 1_800_000_000, 1_900_000_000, 1_500_000_000, 1_900_000_500] {
            let tag = free_tag(&known_good, time);
            let (revision, versions) = (time.to_string(), BTreeMap::new());
            let (env, artifacts) = (BTreeMap::new(), BTreeMap::new());
            known_good.push(KnownGood { tag, revision, versions, run: None, env, artifacts });
        }
        let tags: Vec<&str> = known_good.iter().map(|entry| entry.tag.as_str()).collect();
        assert!(tags.is_sorted_by(|one, next| one < next), "{tags:?}");
        assert_eq!(tags[0], "known-good/20270115T080000Z");
        assert_eq!(tags[4], "known-good/20300317T175500Z");
    }
}
