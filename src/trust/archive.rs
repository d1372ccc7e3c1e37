//! What a release of an archive stands on, and archives that were replaced since they were first seen.

use git2::Repository;
use semver::Version;

use super::assess::{Assessment, Subject, refused, words};
use super::{Memory, Remembered, Seen, Standing, files};
use crate::error::Result;
use crate::manifest::{ArchiveSource, ArchiveVerify, Install};
use crate::plan::{Blocker, Intent};
use crate::source::archive::{Listing, Vouched, vouched};
use crate::source::snapshot;

/// Assesses a release that nobody approved by hand.
pub(super) fn assess(
    found: &mut Assessment,
    (install, source): (&Install, &ArchiveSource),
    repository: &Repository,
    memory: &Memory,
    subject: &Subject,
    now: i64,
) -> Result<()> {
    // What was accepted before is gone back to, or stays.
    if subject.intent != Intent::Upgrade {
        found.standing = memory.standing(subject.revision);
        return Ok(());
    }
    let Some(verify) = &source.verify else { return Ok(()) };
    let verdict = files::check(install).and_then(|()| match known(repository, subject.revision) {
        Some((version, sum)) => vouched((install, source, verify), repository, (&version, &sum), subject.revision, now),
        None => Ok(Err("it was not made of an archive".into())),
    });
    match verdict {
        Ok(Ok(vouched)) => accept(found, verify, subject, vouched, now),
        // Nothing of it is new here: what was accepted stays until something else is offered.
        Ok(Err(why)) if subject.is_settled => {
            found.alarms.push(format!("what runs here would not be accepted now: {why}"))
        }
        Err(error) if subject.is_settled => found.alarms.push(format!("nothing can be verified: {error}")),
        Ok(Err(why)) => found.blockers.push(refused(install, subject, &why)),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn accept(found: &mut Assessment, verify: &ArchiveVerify, subject: &Subject, vouched: Vouched, now: i64) {
    let Vouched { by, time, .. } = vouched;
    let remembered = Remembered { revision: subject.revision.to_owned(), by: by.clone(), at: now };
    found.learned.verified.insert(subject.revision.to_owned(), remembered);
    found.standing = Standing::Verified { by };
    let (Some(bound), Some(time)) = (verify.max_age, time) else { return };
    let age = u64::try_from(now.saturating_sub(time)).unwrap_or_default();
    if age > bound.as_secs() {
        let days = age / 86_400;
        found.alarms.push(format!(
            "the newest signature is {days} days old, and `max-age` is {}: upstream may be frozen, or the server stale",
            words(bound)
        ));
    }
}

/// The version and the sum that a release of ours was made of.
fn known(repository: &Repository, revision: &str) -> Option<(Version, String)> {
    let meta = snapshot::meta(repository, revision)?;
    Some((Version::parse(&meta.version).ok()?, meta.identity.into_iter().next()?))
}

/// Versions whose archive is another than when they were first seen, and a newest one that vanished.
pub(super) fn replaced(
    found: &mut Assessment,
    (install, source): (&Install, &ArchiveSource),
    repository: &Repository,
    memory: &Memory,
    subject: &Subject,
    now: i64,
) {
    let listing = Listing::load(repository).unwrap_or_default();
    // A list that cannot be read was said so when it came.
    let offered = listing.versions(source).unwrap_or_default();
    for (version, sum) in &offered {
        let name = version.to_string();
        match memory.tags.get(&name) {
            Some(known) if known.object != *sum => {
                let what = moved(&name, known, sum);
                let is_meant = subject.label == Some(&name) && subject.intent == Intent::Upgrade;
                match is_meant && memory.pin(subject.revision).is_none() {
                    true => found.blockers.push(Blocker::refused(what, hint(install, &name))),
                    false => found.alarms.push(what),
                }
            }
            Some(_) => {}
            None => {
                let revision = snapshot::named(repository, &name).unwrap_or_default();
                found.learned.tags.insert(name, Seen { object: sum.clone(), revision, since: now });
            }
        }
    }
    let newest = subject.label.and_then(|label| Version::parse(label).ok());
    let gone = memory.tags.keys().filter_map(|name| Version::parse(name).ok());
    let gone = gone.filter(|version| !source.has_sums_of_each() && !offered.contains_key(version));
    for version in gone.filter(|version| newest.as_ref().is_some_and(|newest| version > newest)) {
        if subject.intent == Intent::Upgrade {
            found.alarms.push(format!("the release {version} is gone from upstream's list"));
        }
    }
}

fn moved(name: &str, known: &Seen, sum: &str) -> String {
    let since = jiff::Timestamp::from_second(known.since).map(|time| time.strftime("%Y-%m-%d").to_string());
    let short = |sum: &str| sum.get(..16).unwrap_or(sum).to_owned();
    format!(
        "the release {name} was replaced: the SHA-256 of its archive was {} since {}, and is {} now",
        short(&known.object),
        since.unwrap_or_default(),
        short(sum)
    )
}

fn hint(install: &Install, name: &str) -> String {
    format!("a release does not change; ask upstream why. Where it is right: relift trust pin {} {name}", install.name)
}
