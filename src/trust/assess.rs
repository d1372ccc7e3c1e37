//! What a target stands on, and what must be said about the source that offers it.

use std::collections::BTreeSet;
use std::time::Duration;

use git2::Repository;

use super::verify::{Verdict, Verifier, Vouched, tag_object};
use super::{Memory, Remembered, Seen, Standing, archive, files};
use crate::error::Result;
use crate::manifest::{Follow, GitSource, Install, MustBeSigned, Source, Verify};
use crate::plan::{Blocker, Intent, abbreviate};
use crate::source::{releases, snapshot};
use crate::text::harmless;

/// How many commits between two releases are verified one by one.
const LONGEST_WAY: usize = 5_000;

/// What is asked about.
#[derive(Debug, Clone)]
pub struct Subject<'a> {
    /// The commit, full hex.
    pub revision: &'a str,
    /// The tag that led to it.
    pub label: Option<&'a str>,
    /// Up, or back to what was proven here.
    pub intent: Intent,
    /// It is what every component runs already.
    pub is_settled: bool,
    /// Revisions from which on commits must be signed: known-good, activated.
    pub bases: BTreeSet<String>,
    /// What is checked out: the base of an install of which nothing is recorded yet.
    pub head: &'a str,
}

/// What is found.
#[derive(Debug, Clone, Default)]
pub struct Assessment {
    /// What the target stands on.
    pub standing: Standing,
    /// Why it must not be installed.
    pub blockers: Vec<Blocker>,
    /// What an operator should know of the source.
    pub alarms: Vec<String>,
    /// What to remember.
    pub learned: Memory,
}

/// Assesses a target in the mirror. An error is one of this host's: a file of signers that is missing or not root's alone,
/// no verifier.
pub fn assess(
    install: &Install,
    repository: &Repository,
    memory: &Memory,
    subject: &Subject,
    now: i64,
) -> Result<Assessment> {
    let mut found = Assessment::default();
    if let Some(source) = install.source.git() {
        tags(&mut found, (install, source), repository, memory, subject, now);
    }
    if let Source::Archive(source) = &install.source {
        archive::replaced(&mut found, (install, source), repository, memory, subject, now);
    }
    if let Some(pin) = memory.pin(subject.revision) {
        found.standing = Standing::Pinned { by: pin.by.clone() };
        return Ok(found);
    }
    if let Source::Archive(source) = &install.source {
        archive::assess(&mut found, (install, source), repository, memory, subject, now)?;
        return Ok(found);
    }
    let Some(source) = install.source.git() else {
        // What vouches for a release of ours was seen when it was made.
        let by = snapshot::vouched(repository, subject.revision);
        found.standing = by.map(|by| Standing::Verified { by }).unwrap_or_default();
        return Ok(found);
    };
    let remembered = || memory.verified_by(subject.revision).map(|by| Standing::Verified { by: by.to_owned() });
    // What was accepted before is gone back to, or stays.
    if subject.intent != Intent::Upgrade {
        found.standing = remembered().unwrap_or_default();
        return Ok(found);
    }
    let Some(verify) = &source.verify else { return Ok(found) };
    let verdict =
        files::check(install).and_then(|()| vouch(&Verifier { verify, repository, memory, now }, source, subject));
    match verdict {
        Ok(Ok(vouched)) => accept(&mut found, verify, subject, &vouched, now),
        // Nothing of it is new here: what was accepted stays until something else is offered.
        Ok(Err(why)) if subject.is_settled => {
            found.alarms.push(format!("what runs here would not be accepted now: {why}"))
        }
        Err(error) if subject.is_settled => found.alarms.push(format!("nothing can be verified: {error}")),
        Ok(Err(why)) => found.blockers.push(refused(install, subject, &why)),
        Err(error) => return Err(error),
    }
    Ok(found)
}

pub(super) fn refused(install: &Install, subject: &Subject, why: &str) -> Blocker {
    let revision = abbreviate(subject.revision);
    let what = subject.label.map_or_else(|| revision.to_owned(), harmless);
    Blocker::refused(
        format!("{what} is not verified: {why}"),
        format!(
            "ask upstream for a release that is signed; where you know by other means that {revision} is right, approve it alone: relift trust pin {} {}",
            install.name, subject.revision
        ),
    )
}

fn accept(found: &mut Assessment, verify: &Verify, subject: &Subject, vouched: &[Vouched], now: i64) {
    let Some(newest) = vouched.first() else { return };
    let more = match vouched.len() - 1 {
        0 => String::new(),
        1 => " and 1 commit before it".into(),
        more => format!(" and {more} commits before it"),
    };
    let signature = &newest.signature;
    let by = format!("{} ({}{more}, {})", signature.signer, newest.what, signature.key);
    for one in vouched {
        // Only the newest vouches for the release as a whole.
        let revision = if one.id == newest.id { subject.revision } else { &one.id };
        let remembered = Remembered { revision: revision.to_owned(), by: by.clone(), at: now };
        found.learned.verified.insert(one.id.clone(), remembered);
    }
    found.standing = Standing::Verified { by };
    found.alarms.extend(frozen(verify, newest, now));
}

/// Whatever is offered was signed long ago: perhaps by somebody who keeps newer releases from this host.
fn frozen(verify: &Verify, newest: &Vouched, now: i64) -> Option<String> {
    let bound: Duration = verify.max_age?;
    let time = newest.time?;
    let age = u64::try_from(now.saturating_sub(time)).unwrap_or_default();
    let days = age / 86_400;
    (age > bound.as_secs()).then(|| {
        format!(
            "the newest signature ({}) is {days} days old, and `max-age` is {}: upstream may be frozen, or the mirror stale",
            newest.what,
            words(bound)
        )
    })
}

pub(super) fn words(bound: Duration) -> String {
    match bound.as_secs() {
        seconds if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds => format!("{}min", seconds / 60),
    }
}

/// What vouches for the subject, newest first: as the manifest wants it.
fn vouch(verifier: &Verifier, source: &GitSource, subject: &Subject) -> Result<Verdict<Vec<Vouched>>> {
    // A key may sign for several repositories.
    if is_foreign(verifier.repository, subject) {
        return Ok(Err(format!(
            "{} has no commit in common with what is installed: it is of another repository, or upstream began anew",
            abbreviate(subject.revision)
        )));
    }
    match verifier.verify.signed {
        MustBeSigned::Tag => tag(verifier, source, subject),
        MustBeSigned::Tip => Ok(verifier.commit(subject.revision)?.map(|(vouched, _)| vec![vouched])),
        MustBeSigned::Commits => way(verifier, subject),
    }
}

fn is_foreign(repository: &Repository, subject: &Subject) -> bool {
    let has_common = |one: &str, other: &str| {
        let (one, other) = (git2::Oid::from_str(one).ok()?, git2::Oid::from_str(other).ok()?);
        repository.merge_base(one, other).ok()
    };
    let is_of_another = |known: &str| has_common(subject.revision, known).is_none();
    match releases::is_nothing(repository, subject.head) {
        // A new install has nothing in common with anything; one whose owner took the link away is no new one.
        true => !subject.bases.is_empty() && subject.bases.iter().all(|base| is_of_another(base)),
        false => is_of_another(subject.head),
    }
}

/// The tag that led here; for a bare commit any tag of the shape that names it.
fn tag(verifier: &Verifier, source: &GitSource, subject: &Subject) -> Result<Verdict<Vec<Vouched>>> {
    if let Some(label) = subject.label {
        return Ok(verifier.tag(label, subject.revision)?.map(|vouched| vec![vouched]));
    }
    let mut why = format!("no tag that is followed names the commit {}", abbreviate(subject.revision));
    for (name, seen) in followed(source, verifier.repository) {
        if seen.revision == subject.revision {
            match verifier.tag(&name, subject.revision)? {
                Ok(vouched) => return Ok(Ok(vec![vouched])),
                Err(other) => why = other,
            }
        }
    }
    Ok(Err(why))
}

/// Every commit on the first-parent way from a base to the subject; what a merge brings in is covered by the merge's
/// signature. Where nothing is recorded yet, what is checked out is the base, and the subject is verified in any case.
fn way(verifier: &Verifier, subject: &Subject) -> Result<Verdict<Vec<Vouched>>> {
    let is_new = releases::is_nothing(verifier.repository, subject.head);
    let is_base = |revision: &str| match subject.bases.is_empty() {
        true => is_new || revision == subject.head,
        false => subject.bases.contains(revision) || verifier.memory.pin(revision).is_some(),
    };
    let (mut vouched, mut at) = (Vec::new(), subject.revision.to_owned());
    while vouched.is_empty() || !is_base(&at) {
        if vouched.len() == LONGEST_WAY {
            return Ok(Err(format!("it is more than {LONGEST_WAY} commits from what is known here")));
        }
        let (one, parent) = match verifier.commit(&at)? {
            Ok(found) => found,
            Err(why) if vouched.is_empty() => return Ok(Err(why)),
            Err(why) => {
                return Ok(Err(format!(
                    "{why}; it is on the first-parent way from {} to the last known-good release",
                    abbreviate(subject.revision)
                )));
            }
        };
        vouched.push(one);
        match parent {
            Some(parent) => at = parent,
            // The whole history is signed.
            None => break,
        }
    }
    Ok(Ok(vouched))
}

/// The tags of the followed shape as the mirror has them.
fn followed(source: &GitSource, repository: &Repository) -> Vec<(String, Seen)> {
    let Follow::Tags(shape) = &source.follow else { return Vec::new() };
    let Ok(names) = repository.tag_names(Some(&format!("{}*", shape.prefix))) else { return Vec::new() };
    let names = names.iter().flatten().flatten().filter(|name| shape.version(name).is_some());
    names.filter_map(|name| Some((name.to_owned(), seen(repository, name, 0)?))).collect()
}

fn seen(repository: &Repository, name: &str, since: i64) -> Option<Seen> {
    let object = tag_object(repository, name)?;
    let commit = repository.find_object(object, None).ok()?.peel_to_commit().ok()?;
    Some(Seen { object: object.to_string(), revision: commit.id().to_string(), since })
}

/// Tags that moved, and tags that vanished, since they were first seen.
fn tags(
    found: &mut Assessment,
    (install, source): (&Install, &GitSource),
    repository: &Repository,
    memory: &Memory,
    subject: &Subject,
    now: i64,
) {
    let mut present: Vec<(String, Seen)> = followed(source, repository);
    if let Some(label) = subject
        .label
        .filter(|label| subject.intent == Intent::Upgrade && !present.iter().any(|(name, _)| name == label))
    {
        present.extend(seen(repository, label, 0).map(|seen| (label.to_owned(), seen)));
    }
    for (name, seen) in &present {
        match memory.tags.get(name) {
            Some(known) if known.object != seen.object => moved(found, install, subject, name, (known, seen)),
            Some(_) => {}
            None => {
                found.learned.tags.insert(name.clone(), Seen { since: now, ..seen.clone() });
            }
        }
    }
    let Follow::Tags(shape) = &source.follow else { return };
    let offered = subject.label.and_then(|label| shape.version(label));
    for (name, known) in memory.tags.iter().filter(|(name, _)| !present.iter().any(|(there, _)| there == *name)) {
        let is_newer =
            shape.version(name).is_some_and(|version| offered.as_ref().is_none_or(|offered| version > *offered));
        if (is_newer && subject.intent == Intent::Upgrade) || known.revision == subject.head {
            found.alarms.push(format!(
                "the tag {} is gone from upstream: it was {}, and {} offers nothing newer than {}",
                harmless(name),
                abbreviate(&known.revision),
                install.name,
                subject.label.map_or_else(|| abbreviate(subject.revision).to_owned(), harmless)
            ));
        }
    }
}

fn moved(found: &mut Assessment, install: &Install, subject: &Subject, name: &str, (known, seen): (&Seen, &Seen)) {
    let since = jiff::Timestamp::from_second(known.since).map(|time| time.strftime("%Y-%m-%d").to_string());
    let shown = harmless(name);
    // Another object for the same commit is a tag that was signed anew.
    let (was, is) = match known.revision == seen.revision {
        true => (abbreviate(&known.object), abbreviate(&seen.object)),
        false => (abbreviate(&known.revision), abbreviate(&seen.revision)),
    };
    let what = format!("the tag {shown} was moved: it was {was} since {}, and is {is} now", since.unwrap_or_default());
    if subject.label == Some(name) && subject.intent == Intent::Upgrade {
        found.blockers.push(Blocker::refused(
            what,
            format!(
                "a release does not change; ask upstream why. Where it is right: relift trust pin {} {shown}",
                install.name
            ),
        ));
    } else {
        found.alarms.push(what);
    }
}
