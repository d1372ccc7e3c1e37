//! Detached signatures of files: minisign's, and those of `ssh-keygen -Y sign -n file` and `gpg --detach-sign`.

use std::fs::File;
use std::io::{Read, Seek};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use minisign_verify::{PublicKey, Signature as Minisign};

use super::object::{Armor, Signed};
use super::verify::Verdict;
use super::{Signature, openpgp, ssh};
use crate::error::{Context, Error, Result};
use crate::host::fs::sha256;
use crate::manifest::Signers;
use crate::text::{harmless, shortened};

/// The namespace of SSH signatures of files, ssh-keygen(1).
const NAMESPACE: &str = "file";
/// What other programs than ours are handed at most, bytes: it is in memory.
const LARGEST: u64 = 512 << 20;
/// How much of a comment is shown, characters.
const COMMENT: usize = 120;

/// What is signed.
pub enum Payload<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// All of a file.
    File(&'a mut File),
}

/// What a signature's file is called beside what it is of.
pub fn suffix(signers: &Signers) -> &'static str {
    match signers {
        Signers::Minisign(_) | Signers::MinisignFile(_) => ".minisig",
        Signers::Ssh(_) => ".sig",
        Signers::OpenPgp(_) => ".asc",
    }
}

/// What tells one set of keys from another: a hash of all that says whom to trust.
pub fn keys_of(signers: &Signers) -> String {
    let file = |path: &std::path::Path| std::fs::read(path).unwrap_or_default();
    sha256(&match signers {
        Signers::Minisign(key) => key.clone().into_bytes(),
        Signers::MinisignFile(path) => file(path),
        Signers::Ssh(ssh) => {
            [file(&ssh.allowed_signers), ssh.revoked.as_deref().map(file).unwrap_or_default()].concat()
        }
        Signers::OpenPgp(keyring) => [file(&keyring.file), keyring.fingerprints.concat().into_bytes()].concat(),
    })
}

/// Asks whether `signature` is one of a signer's over what is called `name`. The inner error is why it is not, the end of a
/// sentence; the outer one is that it cannot be asked.
pub fn verify(
    signers: &Signers,
    name: &str,
    payload: Payload,
    signature: &str,
    now: i64,
) -> Result<Verdict<Signature>> {
    let armor = match signers {
        Signers::Minisign(key) => {
            let key = PublicKey::from_base64(key).map_err(|_| Error::failed("the key of `minisign` is none"))?;
            return minisign(&key, name, payload, signature);
        }
        Signers::MinisignFile(path) => {
            let key = PublicKey::from_file(path).map_err(|error| {
                Error::failed(format!("{} is no public key of minisign", path.display())).because(error)
            })?;
            return minisign(&key, name, payload, signature);
        }
        Signers::Ssh(_) => Armor::Ssh,
        Signers::OpenPgp(_) => Armor::OpenPgp,
    };
    let payload = match whole(payload)? {
        Ok(payload) => payload,
        Err(why) => return Ok(Err(why)),
    };
    let signed = Signed { payload, signature: signature.as_bytes().to_vec(), armor };
    match signers {
        Signers::Ssh(trust) => ssh::verify_as(NAMESPACE, trust, &signed, now),
        Signers::OpenPgp(trust) => openpgp::verify(trust, &signed, false),
        _ => Ok(Err("it has another kind of signature than the manifest names".into())),
    }
}

fn whole(payload: Payload) -> Result<Verdict<Vec<u8>>> {
    match payload {
        Payload::Bytes(bytes) => Ok(Ok(bytes.to_vec())),
        Payload::File(file) => {
            let failed = "what is signed cannot be read";
            let mut bytes = Vec::new();
            file.rewind().context(failed)?;
            file.take(LARGEST + 1).read_to_end(&mut bytes).context(failed)?;
            Ok(match bytes.len() as u64 > LARGEST {
                true => Err(format!("it is larger than {}: have the sums signed instead", crate::text::bytes(LARGEST))),
                false => Ok(bytes),
            })
        }
    }
}

fn minisign(key: &PublicKey, name: &str, payload: Payload, signature: &str) -> Result<Verdict<Signature>> {
    let Ok(decoded) = Minisign::decode(signature) else { return Ok(Err("its signature is none of minisign's".into())) };
    // Of the same key as the signature, where it is good.
    let made = id_of(signature).unwrap_or_else(|| "?".into());
    let verified = match payload {
        Payload::Bytes(bytes) => key.verify(bytes, &decoded, true),
        Payload::File(file) => stream(key, &decoded, file)?,
    };
    if let Err(error) = verified {
        return Ok(Err(match error {
            minisign_verify::Error::UnexpectedKeyId => {
                format!("it is signed with the minisign key {made}, and the manifest names another")
            }
            minisign_verify::Error::UnsupportedLegacyMode => {
                "its signature is of minisign's old kind, which is not read of an archive: sign it with `minisign -SH`"
                    .into()
            }
            _ => "its signature is of something else, or was damaged".into(),
        }));
    }
    // Signed with it: what `minisign -S` writes there by itself, and whatever its maker chose.
    let comment = decoded.trusted_comment();
    let said = |word: &str| comment.split(['\t', ' ']).find_map(|field| field.strip_prefix(word));
    if let Some(other) = said("file:").filter(|file| *file != name) {
        return Ok(Err(format!("it was signed as {}, and put under another name", harmless(other))));
    }
    Ok(Ok(Signature {
        signer: "minisign".into(),
        key: format!("key {made}, \"{}\"", shortened(&harmless(comment), COMMENT)),
        time: said("timestamp:").and_then(|time| time.parse().ok()),
        is_of_name: said("file:").is_some(),
    }))
}

fn stream(
    key: &PublicKey,
    signature: &Minisign,
    file: &mut File,
) -> Result<std::result::Result<(), minisign_verify::Error>> {
    let failed = "what is signed cannot be read";
    let mut verifier = match key.verify_stream(signature) {
        Ok(verifier) => verifier,
        Err(error) => return Ok(Err(error)),
    };
    file.rewind().context(failed)?;
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).context(failed)? {
            0 => return Ok(verifier.finalize()),
            count => verifier.update(&piece[..count]),
        }
    }
}

/// The id of the key that made a signature, as minisign(1) shows it.
fn id_of(signature: &str) -> Option<String> {
    let raw = BASE64_STANDARD.decode(signature.lines().nth(1)?.trim()).ok()?;
    let id: [u8; 8] = raw.get(2..10)?.try_into().ok()?;
    Some(format!("{:016X}", u64::from_le_bytes(id)))
}

#[cfg(test)]
mod tests;
