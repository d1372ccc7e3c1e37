//! OpenPGP signatures, by gpgv(1). What counts is its status lines (GnuPG's doc/DETAILS), never its exit status alone: gpgv
//! exits 0 for a key that is revoked or expired.

use std::io::Write;

use super::Signature;
use super::object::Signed;
use super::program::command;
use crate::error::{Context, Error, Result};
use crate::host::process::Input;
use crate::manifest::Keyring;
use crate::text::harmless;

/// Asks whether the signature is one of a listed key's. `known`: it was verified before, while its key was still valid. The
/// inner error is why it is not; the outer one is that it cannot be asked.
pub fn verify(trust: &Keyring, signed: &Signed, known: bool) -> Result<std::result::Result<Signature, String>> {
    let place = tempfile::Builder::new().prefix("relift-signature-").tempdir().context("no temporary directory")?;
    let path = place.path().join("signature");
    let written = std::fs::File::create(&path).and_then(|mut file| file.write_all(&signed.signature));
    written.context("a temporary file cannot be written")?;
    let output = command("gpgv", "gpgv")?
        .args(["--status-fd", "1", "--weak-digest", "SHA1", "--homedir"])
        .args([place.path().as_os_str(), "--keyring".as_ref(), trust.file.as_os_str(), path.as_os_str(), "-".as_ref()])
        .stdin(Input::Bytes(signed.payload.clone()))
        .output()?;
    if output.status.is_none() {
        return Ok(Err("its signature could not be checked in time".into()));
    }
    if output.stderr.iter().any(|line| line.contains("invalid packet") || line.contains("keydb_search failed")) {
        return Err(Error::failed(format!("{} is no keyring that gpgv reads", trust.file.display()))
            .hint(format!("where it is armoured: gpg --dearmor < FILE > {}", trust.file.display())));
    }
    Ok(judge(&output.text(), output.success(), &trust.fingerprints, known))
}

/// What the status lines come to. Pure.
pub fn judge(
    status: &str,
    exited_well: bool,
    listed: &[String],
    known: bool,
) -> std::result::Result<Signature, String> {
    let lines: Vec<Vec<&str>> =
        status.lines().filter_map(|line| Some(line.strip_prefix("[GNUPG:] ")?.split(' ').collect())).collect();
    let of = |word: &str| lines.iter().filter(|line| line[0] == word).collect::<Vec<_>>();
    let rest = |word: &str| of(word).first().map(|line| harmless(&line[1..].join(" ")));
    if of("NEWSIG").len() > 1 || of("VALIDSIG").len() > 1 {
        return Err("it has two signatures".into());
    }
    if let Some(key) = rest("REVKEYSIG") {
        return Err(format!("the key {key} is revoked"));
    }
    if let Some(key) = rest("BADSIG") {
        return Err(format!("its signature by {key} is of something else, or was damaged"));
    }
    if !of("NO_PUBKEY").is_empty() {
        let key = of("ERRSIG").first().and_then(|line| line.last()).map_or("?", |key| key);
        return Err(format!("it is signed with the key {}, which is not in the keyring", harmless(key)));
    }
    if let Some(key) = rest("EXPSIG") {
        return Err(format!("the signature by {key} has expired"));
    }
    if let Some(key) = rest("EXPKEYSIG").filter(|_| !known) {
        return Err(format!("the key {key} has expired"));
    }
    let signer = rest("GOODSIG").or(rest("EXPKEYSIG"));
    let valid = of("VALIDSIG");
    let (Some(signer), [valid], true) = (signer, valid.as_slice(), exited_well) else {
        let why = rest("ERRSIG").or(rest("NODATA")).or(rest("UNEXPECTED")).unwrap_or_else(|| "gpgv refuses it".into());
        return Err(format!("its signature cannot be verified ({why})"));
    };
    // VALIDSIG FINGERPRINT DATE TIME EXPIRES VERSION - ALGORITHM HASH CLASS PRIMARY
    let (own, class, primary) = (valid.get(1), valid.get(9), valid.get(10));
    if class != Some(&"00") {
        return Err("its signature is of text and not of bytes".into());
    }
    let name = signer.split_once(' ').map_or(signer.as_str(), |(_, name)| name);
    let is_listed = |key: &&&str| listed.iter().any(|listed| listed.eq_ignore_ascii_case(key));
    match own.into_iter().chain(primary).find(is_listed) {
        Some(key) => {
            let time = valid.get(3).and_then(|time| time.parse().ok());
            Ok(Signature { signer: name.to_owned(), key: format!("OpenPGP {key}"), time, is_of_name: false })
        }
        None => Err(format!(
            "it is signed by {name} with the key {}, which is not one of `fingerprints`",
            own.copied().unwrap_or("?")
        )),
    }
}
