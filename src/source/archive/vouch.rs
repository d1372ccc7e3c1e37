//! What vouches for a release: a signature over the sums, looked at anew each time, and one over its archive, looked at when
//! it came.

use git2::Repository;
use semver::Version;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use crate::error::{Context, Result};
use crate::manifest::{ArchiveSource, ArchiveVerify};
use crate::source::snapshot;
use crate::trust::{Payload, keys_of, verify_detached};

/// Who vouches for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// In words.
    pub by: String,
    /// When it was signed, where the signature says; seconds since the epoch.
    #[serde(default)]
    pub time: Option<i64>,
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
    (source, verify): (&ArchiveSource, &ArchiveVerify),
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
            Some(vouched) => Some(vouched),
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
    Ok(Ok(Vouched { by, time: all.iter().filter_map(|one| one.time).min() }))
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
            Ok(Vouched { by, time: signature.time })
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
