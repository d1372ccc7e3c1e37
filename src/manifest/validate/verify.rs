//! `verify` of `[source.git]`.

use std::path::Path;

use super::super::document::Key;
use super::super::problem::Fault;
use super::super::{Keyring, MustBeSigned, SshSigners, Verify, raw, words};
use super::Look;

/// Validates what must be signed; `root` is the checkout.
pub(super) fn verify(
    look: &mut Look<'_>,
    key: &Key,
    (raw, git): (&raw::Verify, &raw::Git),
    root: Option<&Path>,
) -> Option<Verify> {
    let signed = signed(look, key, raw, git);
    let mut file = |name: &str, path: &Option<String>| {
        look.take_optional(&key.name(name), path.as_deref().map(|path| words::trusted(path, root)))
    };
    let allowed_signers = file("allowed-signers", &raw.allowed_signers);
    let revoked = file("revoked", &raw.revoked);
    let keyring = file("keyring", &raw.keyring);
    let fingerprints = look.each(&key.name("fingerprints"), &raw.fingerprints, words::fingerprint);
    let max_age = look.take_optional(&key.name("max-age"), raw.max_age.as_deref().map(words::age));
    let belongs = whom(look, key, raw);
    let (allowed_signers, revoked, keyring, fingerprints) = (allowed_signers?, revoked?, keyring?, fingerprints?);
    belongs.then_some(())?;
    Some(Verify {
        signed: signed?,
        ssh: allowed_signers.map(|allowed_signers| SshSigners { allowed_signers, revoked }),
        openpgp: keyring.map(|file| Keyring { file, fingerprints }),
        max_age: max_age?,
    })
}

/// A tag is what is signed where tags are followed, and commits where a branch is.
fn signed(look: &mut Look<'_>, key: &Key, raw: &raw::Verify, git: &raw::Git) -> Option<MustBeSigned> {
    let fault = match (raw.signed, git.branch.is_some(), git.tags.is_some()) {
        (raw::MustBeSigned::Tag, true, false) => Fault::new(
            "a branch is followed, and it has no signed tag at each tip",
        )
        .help("write signed = \"commits\" or \"tip\"; or follow releases: tags = \"v{version}\" instead of `branch`"),
        (raw::MustBeSigned::Commits | raw::MustBeSigned::Tip, false, true) => {
            Fault::new("tags are followed, so that the tag is what is signed")
                .help("write signed = \"tag\"; or follow a branch: branch = \"main\" instead of `tags`")
        }
        (raw::MustBeSigned::Tag, ..) => return Some(MustBeSigned::Tag),
        (raw::MustBeSigned::Commits, ..) => return Some(MustBeSigned::Commits),
        (raw::MustBeSigned::Tip, ..) => return Some(MustBeSigned::Tip),
    };
    look.fault(&key.name("signed"), fault);
    None
}

/// Whether somebody may sign at all, and every key that is given means something.
fn whom(look: &mut Look<'_>, key: &Key, raw: &raw::Verify) -> bool {
    let mut faults = Vec::new();
    if raw.allowed_signers.is_none() && raw.keyring.is_none() {
        faults.push((key.clone(), Fault::new("nobody is named who may sign").help(
            "add allowed-signers = \"/etc/relift/app.signers\" (SSH), or keyring = \"/etc/relift/app.gpg\" and fingerprints = [\"...\"] (OpenPGP)",
        )));
    }
    if raw.revoked.is_some() && raw.allowed_signers.is_none() {
        let fault = Fault::new("`revoked` is of SSH keys, and no `allowed-signers` is given");
        faults.push((
            key.name("revoked"),
            fault.help("add allowed-signers = \"/etc/relift/app.signers\", or take it away"),
        ));
    }
    if raw.keyring.is_some() && raw.fingerprints.is_empty() {
        let fault = Fault::new("a keyring alone does not say which of its keys may sign");
        faults.push((
            key.name("keyring"),
            fault.help(
                "add fingerprints = [\"...\"], 40 or 64 hex digits each: gpg --show-keys --with-fingerprint FILE",
            ),
        ));
    }
    if raw.keyring.is_none() && !raw.fingerprints.is_empty() {
        let fault = Fault::new("`fingerprints` are of OpenPGP keys, and no `keyring` holds them");
        faults.push((key.name("fingerprints"), fault.help("add keyring = \"/etc/relift/app.gpg\", or take them away")));
    }
    let is_sound = faults.is_empty();
    faults.into_iter().for_each(|(key, fault)| look.fault(&key, fault));
    is_sound
}
