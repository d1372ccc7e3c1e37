//! From a version to its release: asked for, fetched, verified, unpacked and imported.

use std::fs::File;
use std::io::{BufReader, Seek};
use std::time::Duration;

use git2::Repository;
use semver::Version;

use super::get::{Getter, scratch};
use super::import::{Of, Refusal, import};
use super::listing::{Listed, Listing, key};
use super::sums::{newest, sums};
use super::{BOUND, vouch};
use crate::error::{Context, Error, Result};
use crate::host::fs::sync_filesystem;
use crate::host::process::{Command, Input, tail};
use crate::manifest::{ArchiveSource, ArchiveVerify, Location};
use crate::plan::abbreviate;
use crate::report::{Reporter, during};
use crate::source::git::Target;
use crate::source::{Place, snapshot};
use crate::text::harmless;
use crate::trust::{Payload, suffix, verify_detached};

/// Asks upstream what it offers.
pub(super) fn update(source: &ArchiveSource, repository: &Repository) -> Result<()> {
    let getter = Getter::new(source)?;
    let known = Listing::load(repository);
    let mut listing = known.clone().unwrap_or_default();
    let version = match &source.latest {
        None => None,
        Some(place) => {
            listing.latest = Some(needed(&getter, place)?);
            listing.newest(source)?
        }
    };
    let place = version.as_ref().map_or_else(|| source.checksums.clone(), |version| source.checksums.of(version));
    let file = listed(&getter, source, &place)?;
    listing.files.insert(version.map(|version| key(source, &version)).unwrap_or_default(), file);
    if known.as_ref() != Some(&listing) { listing.keep(repository) } else { Ok(()) }
}

/// A file of sums with its signature. One that cannot be read is not kept.
fn listed(getter: &Getter, source: &ArchiveSource, place: &Location) -> Result<Listed> {
    let text = needed(getter, place)?;
    sums(&text).map_err(|why| {
        Error::failed(format!("{} is not used: {why}", place.shown())).hint("ask upstream to publish it again")
    })?;
    let signed = source.verify.as_ref().filter(|verify| verify.checksums);
    let signature = signed.map(|verify| getter.text(&place.beside(suffix(&verify.signers)))).transpose()?.flatten();
    Ok(Listed { name: place.name().to_owned(), text, signature })
}

fn needed(getter: &Getter, place: &Location) -> Result<String> {
    getter.text(place)?.ok_or_else(|| {
        Error::failed(format!("{} is not there", place.shown()))
            .hint("correct [source.archive] in the manifest, or ask upstream")
    })
}

/// The release that is named, or the newest that is offered.
pub(super) fn target(
    source: &ArchiveSource,
    place: &Place,
    repository: &Repository,
    (to, offline): (Option<&str>, bool),
    reporter: &dyn Reporter,
) -> Result<Target> {
    let never = || {
        Error::failed(format!("nothing of {} was fetched yet", source.checksums.shown()))
            .hint(format!("once without --offline: relift check {}", place.install.name))
    };
    let mut listing = match Listing::load(repository) {
        None if offline => return Err(never()),
        listing => listing.unwrap_or_default(),
    };
    let version = match to {
        None => chosen(source, &listing)?,
        Some(to) => match Version::parse(to.strip_prefix('v').unwrap_or(to)) {
            Ok(version) => version,
            Err(_) => return by_commit(source, repository, to),
        },
    };
    if !offline && source.has_sums_of_each() && !listing.files.contains_key(&key(source, &version)) {
        let file = listed(&Getter::new(source)?, source, &source.checksums.of(&version))?;
        listing.files.insert(key(source, &version), file);
        listing.keep(repository)?;
    }
    let Some(sum) = listing.sum_of(source, &version)? else { return unlisted(source, repository, &version) };
    let wanted = Wanted { source, version: &version, sum: &sum, by_itself: to.is_none() };
    let label = Some(version.to_string());
    match here(&wanted, repository) {
        Some(revision) => Ok(Target { revision, label }),
        None if offline => Err(Error::failed(format!("the archive of {version} was not fetched yet"))
            .hint(format!("once without --offline: relift check {}", place.install.name))),
        None => Ok(Target { revision: wanted.fetch(place, repository, reporter)?, label }),
    }
}

/// The newest version that is offered and may be taken.
fn chosen(source: &ArchiveSource, listing: &Listing) -> Result<Version> {
    let offered = match listing.newest(source)? {
        Some(version) => vec![version],
        None => listing.versions(source)?.into_keys().collect(),
    };
    newest(offered.iter(), source.allow.as_ref()).cloned().ok_or_else(|| {
        let within = source.allow.as_ref().map(|range| format!(" within {range}")).unwrap_or_default();
        let place = source.latest.as_ref().unwrap_or(&source.checksums);
        Error::failed(format!("{} offers no release{within}", place.shown()))
            .because(format!(
                "archives are called {}, and prereleases are taken only where `allow` names one",
                source.url.name()
            ))
            .hint("correct `url` or `allow` in the manifest")
    })
}

/// A version that is on no list any more, and was imported once.
fn unlisted(source: &ArchiveSource, repository: &Repository, version: &Version) -> Result<Target> {
    let label = version.to_string();
    match snapshot::named(repository, &label) {
        Some(revision) => Ok(Target { revision, label: Some(label) }),
        None => Err(Error::refused(format!(
            "{} has no sum of {}",
            source.checksums.of(version).shown(),
            source.url.of(version).name()
        ))
        .because("what has no sum is not fetched")
        .hint("name a release that it lists, or ask upstream to add it")),
    }
}

fn by_commit(source: &ArchiveSource, repository: &Repository, to: &str) -> Result<Target> {
    let found = repository.revparse_single(&format!("{to}^{{commit}}")).ok().map(|object| object.id().to_string());
    let known = found.and_then(|revision| Some((snapshot::meta(repository, &revision)?, revision)));
    match known {
        Some((meta, revision)) => Ok(Target { revision, label: Some(meta.version) }),
        None => Err(Error::failed(format!("{} has no release {}", source.checksums.shown(), harmless(to)))
            .hint("write a version, such as 1.7.1")),
    }
}

/// The release of a version with this archive, where it was imported and its own signature, where one is wanted, was seen.
fn here(wanted: &Wanted, repository: &Repository) -> Option<String> {
    let revision = snapshot::named(repository, &wanted.version.to_string())?;
    let is_this = snapshot::meta(repository, &revision)?.identity.first().is_some_and(|sum| sum == wanted.sum);
    let signed = wanted.source.verify.as_ref().filter(|verify| verify.archive);
    let is_seen = signed.is_none_or(|verify| vouch::noted(verify, repository, &revision).is_some());
    (is_this && (is_seen || !wanted.by_itself)).then_some(revision)
}

/// A release that is to be imported.
struct Wanted<'a> {
    source: &'a ArchiveSource,
    version: &'a Version,
    sum: &'a str,
    /// Nobody named it: what nothing vouches for is not even fetched.
    by_itself: bool,
}

impl Wanted<'_> {
    fn fetch(&self, place: &Place, repository: &Repository, reporter: &dyn Reporter) -> Result<String> {
        let (source, now) = (self.source, jiff::Timestamp::now().as_second());
        if let Some(verify) = source.verify.as_ref().filter(|verify| verify.checksums) {
            crate::trust::check_files(place.install)?;
            let verdict = vouch::of_sums((source, verify), repository, (self.version, self.sum), now)?;
            self.insist(place, verdict.map(drop))?;
        }
        let (at, getter) = (source.url.of(self.version), Getter::new(source)?);
        let mut file = scratch(place.cache)?;
        let (packed, sum) = during(reporter, format!("download {}", at.name()), || {
            getter.file(&at, source.max_fetch, &mut file, reporter)
        })?;
        if sum != self.sum {
            return Err(self.mismatch(&at, &sum));
        }
        let signed = source.verify.as_ref().filter(|verify| verify.archive);
        let vouched =
            signed.map(|verify| self.signed(verify, &getter, &at, &mut file, place, now)).transpose()?.flatten();
        let revision =
            during(reporter, format!("unpack {}", at.name()), || self.unpack(place, repository, file, packed))?;
        // A release is named once all of it is on the disk.
        sync_filesystem(place.state)?;
        if let (Some(verify), Some(vouched)) = (signed, vouched) {
            vouch::note(verify, repository, &revision, vouched)?;
        }
        snapshot::name(repository, &self.version.to_string(), &revision)?;
        Ok(revision)
    }

    fn mismatch(&self, at: &Location, sum: &str) -> Error {
        Error::refused(format!(
            "{} is not the archive of which {} has the sum",
            at.shown(),
            self.source.checksums.of(self.version).shown()
        ))
        .because(format!("its SHA-256 is {sum}, and must be {}", self.sum))
        .hint("it was damaged on the way, replaced, or is being published: try again, then ask upstream")
    }

    /// What is vouched for by nobody is fetched only where somebody named it: to be approved by hand, or to be told why.
    fn insist(&self, place: &Place, verdict: std::result::Result<(), String>) -> Result<()> {
        match verdict {
            Err(why) if self.by_itself => {
                let (name, version) = (&place.install.name, self.version);
                Err(Error::refused(format!("{version} is not verified: {why}"))
                    .hint(format!("ask upstream for a release that is signed; where you know by other means that it is right, approve it alone: relift trust pin {name} {version}")))
            }
            _ => Ok(()),
        }
    }

    fn signed(
        &self,
        verify: &ArchiveVerify,
        getter: &Getter,
        at: &Location,
        file: &mut File,
        place: &Place,
        now: i64,
    ) -> Result<Option<vouch::Vouched>> {
        crate::trust::check_files(place.install)?;
        let verdict = match getter.text(&at.beside(suffix(&verify.signers)))? {
            None => Err(format!("{} is not signed", at.name())),
            Some(signature) => {
                let checked = verify_detached(&verify.signers, at.name(), Payload::File(file), &signature, now)?;
                vouch::in_words(checked, at.name())
            }
        };
        self.insist(place, verdict.as_ref().map(drop).map_err(Clone::clone))?;
        Ok(verdict.ok())
    }

    /// Has a child that is the owner tell what the archive holds.
    fn unpack(&self, place: &Place, repository: &Repository, mut file: File, packed: u64) -> Result<String> {
        file.rewind().context("the archive cannot be read")?;
        let name = self.source.url.of(self.version).name().to_owned();
        let mut child = Command::new(["/proc/self/exe", "internal", "unpack"])
            .args([packed.to_string(), self.source.max_unpacked.to_string()])
            .account(place.owner)
            .stdin(Input::File(file))
            .timeout(Duration::from_secs(u64::from(BOUND) + 10))
            .spawn()?;
        let errors = child.child.stderr.take().map(|pipe| std::thread::spawn(|| tail(BufReader::new(pipe))));
        let pipe = child.child.stdout.take().ok_or_else(|| Error::failed("unpacking has no output"))?;
        let version = self.version.to_string();
        let of = Of { version: &version, sha256: self.sum, strips: self.source.strips, most: self.source.max_unpacked };
        let imported = import(repository, BufReader::with_capacity(64 << 10, pipe), &of);
        if imported.is_err() {
            child.expire();
        }
        child.wait("unpacking")?;
        let said = errors.and_then(|reader| reader.join().ok()).unwrap_or_default();
        match imported {
            Ok(oid) => Ok(oid.to_string()),
            Err(Refusal::Host(error)) => Err(error),
            Err(Refusal::Archive(why)) => Err(Error::refused(format!("{name} is not unpacked: {why}"))
                .hint("nothing of it is used: ask upstream for another archive")),
            Err(Refusal::Ended) => {
                Err(Error::failed(format!("{name} was not unpacked to its end")).detail(said).hint("try again"))
            }
        }
    }
}

/// How a revision is shown among versions.
pub(super) fn shown(repository: &Repository, revision: &str) -> String {
    snapshot::meta(repository, revision).map_or_else(|| abbreviate(revision).to_owned(), |meta| harmless(&meta.version))
}
