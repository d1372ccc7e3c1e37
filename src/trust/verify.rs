//! Verifying one object: the effect that asks the verifier of its signature's format.

use git2::{ObjectType, Oid, Repository};

use super::object::{self, Armor, Signed};
use super::{Memory, Remembered, Signature, openpgp, ssh};
use crate::error::{Context, Result};
use crate::manifest::Verify;
use crate::plan::abbreviate;
use crate::text::harmless;

/// No tag and no commit is longer, in bytes.
const LONGEST: usize = 4 << 20;

/// What vouches for a release, or the reason why nothing does.
pub type Verdict<T> = std::result::Result<T, String>;

/// An object whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    /// Its id.
    pub id: String,
    /// `tag v1.2.0`, `commit 0123456789`.
    pub what: String,
    /// Who signed.
    pub signature: Signature,
    /// When it was made, as its maker says; seconds since the epoch.
    pub time: Option<i64>,
}

/// What verification works with.
pub struct Verifier<'a> {
    /// What the manifest wants.
    pub verify: &'a Verify,
    /// Our own mirror.
    pub repository: &'a Repository,
    /// What was verified before.
    pub memory: &'a Memory,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Verifier<'_> {
    /// Verifies the tag `name`, which has to lead to `revision`.
    pub fn tag(&self, name: &str, revision: &str) -> Result<Verdict<Vouched>> {
        // Resolved once: from here on only the id counts.
        let Some(oid) = tag_object(self.repository, name) else { return Ok(Err(format!("the tag {name} is gone"))) };
        let Some((ObjectType::Tag, raw)) = self.raw(oid)? else {
            return Ok(Err(format!(
                "the tag {name} is lightweight: it has no signature, and no object that could have one"
            )));
        };
        let tag = match object::tag(&raw) {
            Ok(tag) => tag,
            Err(why) => return Ok(Err(format!("the tag {name} {why}"))),
        };
        if tag.name != name {
            return Ok(Err(format!(
                "the tag {name} is not what was signed: its object says {}, and was put under another name",
                harmless(&tag.name)
            )));
        }
        if tag.commit != revision {
            return Ok(Err(format!("the tag {name} was moved while this was looked at")));
        }
        let what = format!("tag {name}");
        self.signed(oid, what, tag.signed.as_ref(), tag.time)
    }

    /// Verifies a commit's own signature; its first parent with it.
    pub fn commit(&self, revision: &str) -> Result<Verdict<(Vouched, Option<String>)>> {
        let oid = Oid::from_str(revision).context("a commit id is malformed")?;
        let what = format!("commit {}", abbreviate(revision));
        let Some((ObjectType::Commit, raw)) = self.raw(oid)? else {
            return Ok(Err(format!("the {what} is not there")));
        };
        let commit = match object::commit(&raw, revision.len()) {
            Ok(commit) => commit,
            Err(why) => return Ok(Err(format!("the {what} {why}"))),
        };
        let vouched = self.signed(oid, what, commit.signed.as_ref(), commit.time)?;
        Ok(vouched.map(|vouched| (vouched, commit.parent)))
    }

    fn signed(&self, oid: Oid, what: String, signed: Option<&Signed>, time: Option<i64>) -> Result<Verdict<Vouched>> {
        let Some(signed) = signed else { return Ok(Err(format!("the {what} is not signed"))) };
        let id = oid.to_string();
        let checked = self.ask(signed, self.memory.verified.get(&id))?;
        Ok(checked.map_err(|why| format!("the {what} is not vouched for: {why}")).map(|signature| Vouched {
            id,
            what,
            signature,
            time,
        }))
    }

    /// A key that has expired since an object was first verified does not take that back; one that was revoked does.
    fn ask(&self, signed: &Signed, known: Option<&Remembered>) -> Result<Verdict<Signature>> {
        match (signed.armor, &self.verify.ssh, &self.verify.openpgp) {
            (Armor::Ssh, Some(signers), _) => ssh::verify(signers, signed, known.map_or(self.now, |known| known.at)),
            (Armor::OpenPgp, _, Some(keyring)) => openpgp::verify(keyring, signed, known.is_some()),
            (Armor::Ssh, None, _) => {
                Ok(Err("it has an SSH signature, and the manifest names no `allowed-signers`".into()))
            }
            (Armor::OpenPgp, _, None) => {
                Ok(Err("it has an OpenPGP signature, and the manifest names no `keyring`".into()))
            }
        }
    }

    fn raw(&self, oid: Oid) -> Result<Option<(ObjectType, Vec<u8>)>> {
        let odb = self.repository.odb().context("the mirror cannot be read")?;
        match odb.read_header(oid) {
            Ok((length, _)) if length <= LONGEST => {}
            _ => return Ok(None),
        }
        let object = odb.read(oid).context("the mirror cannot be read")?;
        Ok(Some((object.kind(), object.data().to_vec())))
    }
}

/// What a tag's ref names: a tag object, or the commit of a lightweight tag.
pub fn tag_object(repository: &Repository, name: &str) -> Option<Oid> {
    repository.find_reference(&format!("refs/tags/{name}")).ok()?.target()
}
