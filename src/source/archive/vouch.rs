//! What vouches for a release: a signature over the sums, looked at anew each time, and one over its archive, looked at when
//! it came.

use std::path::Path;

use git2::{Oid, Repository};
use semver::Version;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use crate::error::{Context, Result};
use crate::manifest::{ArchiveSource, ArchiveVerify, Component, Install};
use crate::source::git::parse_version;
use crate::source::snapshot;
use crate::text::harmless;
use crate::trust::{Payload, keys_of, verify_detached};

/// Who vouches for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// In words.
    pub by: String,
    /// When it was signed, where the signature says; seconds since the epoch.
    #[serde(default)]
    pub time: Option<i64>,
    /// Whether what is signed says the name, and with it the version.
    #[serde(default)]
    pub is_of_name: bool,
}

/// What is noted of the signature of an archive, which is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// The keys that counted then.
    keys: String,
    #[serde(flatten)]
    vouched: Vouched,
}

/// Why nothing vouches for a release, or what does.
pub type Verdict = std::result::Result<Vouched, String>;

/// What vouches for the release of a version whose archive has this sum.
pub fn vouched(
    (install, source, verify): (&Install, &ArchiveSource, &ArchiveVerify),
    repository: &Repository,
    (version, sha256): (&Version, &str),
    revision: &str,
    now: i64,
) -> Result<Verdict> {
    let of_sums = match verify.checksums {
        true => match of_sums((source, verify), repository, (version, sha256), now)? {
            Ok(vouched) => Some(vouched),
            Err(why) => return Ok(Err(why)),
        },
        false => None,
    };
    let of_archive = match verify.archive {
        true => match noted(verify, repository, revision) {
            Some(vouched) => match of_sums.is_some() || vouched.is_of_name {
                true => Some(vouched),
                // Whoever serves archives could serve an old one, and its signature, as a new one.
                false => match told(install, repository, (version, revision)) {
                    Ok(()) => Some(vouched),
                    Err(why) => return Ok(Err(why)),
                },
            },
            None => {
                return Ok(Err(format!(
                    "no signature of {} by the keys of the manifest was seen",
                    source.url.of(version).name()
                )));
            }
        },
        false => None,
    };
    let all: Vec<Vouched> = of_sums.into_iter().chain(of_archive).collect();
    let by = all.iter().map(|one| one.by.as_str()).collect::<Vec<_>>().join(", and ");
    let is_of_name = all.iter().any(|one| one.is_of_name);
    Ok(Ok(Vouched { by, time: all.iter().filter_map(|one| one.time).min(), is_of_name }))
}

/// Whether the archive itself says of which version it is: in the file that a component's `version` names.
fn told(
    install: &Install,
    repository: &Repository,
    (version, revision): (&Version, &str),
) -> std::result::Result<(), String> {
    let tree = Oid::from_str(revision).and_then(|oid| repository.find_commit(oid)?.tree());
    let said = |component: &Component| {
        let source = component.version.as_ref()?;
        let entry = tree.as_ref().ok()?.get_path(Path::new(&component.path.join(source.file.as_str()))).ok()?;
        let text = String::from_utf8_lossy(repository.find_blob(entry.id()).ok()?.content()).into_owned();
        parse_version(source, &text)
    };
    let all: Vec<String> = install.components.iter().filter_map(said).collect();
    let is_it =
        |text: &String| Version::parse(text.strip_prefix('v').unwrap_or(text)).is_ok_and(|told| told == *version);
    match all.first() {
        _ if all.iter().any(is_it) => Ok(()),
        Some(other) => Err(format!("its archive is signed, and says that it is {}", harmless(other))),
        None => Err(
            "its archive is signed, and neither that nor its signature says of which version it is; name the file that does in `version` of a component, or have the sums signed as well (over = \"both\")"
                .into(),
        ),
    }
}

/// What vouches for the sum of a version.
pub fn of_sums(
    (source, verify): (&ArchiveSource, &ArchiveVerify),
    repository: &Repository,
    (version, sha256): (&Version, &str),
    now: i64,
) -> Result<Verdict> {
    let listing = Listing::load(repository).unwrap_or_default();
    let Some(file) = listing.file_of(source, version) else {
        return Ok(Err(format!("no list of sums that names {version} was fetched")));
    };
    if listing.sum_of(source, version)?.as_deref() != Some(sha256) {
        return Ok(Err(format!("{} names another archive of {version}, or none", file.name)));
    }
    let Some(signature) = &file.signature else { return Ok(Err(format!("{} is not signed", file.name))) };
    let payload = Payload::Bytes(file.text.as_bytes());
    let checked = verify_detached(&verify.signers, &file.name, payload, signature, now)?;
    Ok(in_words(checked, &file.name))
}

/// Puts a verdict of a verifier into words of ours.
pub fn in_words(checked: std::result::Result<crate::trust::Signature, String>, name: &str) -> Verdict {
    match checked {
        Ok(signature) => {
            let by = format!("{} ({name}, {})", signature.signer, signature.key);
            Ok(Vouched { by, time: signature.time, is_of_name: signature.is_of_name })
        }
        Err(why) => Err(format!("{name} is not vouched for: {why}")),
    }
}

/// Notes that the archive of a release was signed so.
pub fn note(verify: &ArchiveVerify, repository: &Repository, revision: &str, vouched: Vouched) -> Result<()> {
    let noted = Noted { keys: keys_of(&verify.signers), vouched };
    let text = serde_json::to_string(&noted).context("what vouches for the release cannot be noted")?;
    snapshot::vouch(repository, revision, &text)
}

/// What was noted so, by the keys that count now.
pub fn noted(verify: &ArchiveVerify, repository: &Repository, revision: &str) -> Option<Vouched> {
    let noted: Noted = serde_json::from_str(&snapshot::vouched(repository, revision)?).ok()?;
    (noted.keys == keys_of(&verify.signers)).then_some(noted.vouched)
}
