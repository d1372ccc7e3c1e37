//! Signatures of SSH keys, by `ssh-keygen -Y` (ssh-keygen(1), ALLOWED SIGNERS).

use std::io::Write;

use super::Signature;
use super::object::Signed;
use super::program::command;
use crate::error::{Context, Result};
use crate::host::process::{Command, Input, Output};
use crate::manifest::SshSigners;
use crate::text::harmless;

/// The namespace of git's signatures.
const NAMESPACE: &str = "git";

/// As [`verify_as`], for what git signs.
pub fn verify(trust: &SshSigners, signed: &Signed, at: i64) -> Result<std::result::Result<Signature, String>> {
    verify_as(NAMESPACE, trust, signed, at)
}

/// Asks whether the signature is one of an allowed signer's at the time `at` (seconds since the epoch). The inner error is
/// why it is not; the outer one is that it cannot be asked.
pub fn verify_as(
    namespace: &str,
    trust: &SshSigners,
    signed: &Signed,
    at: i64,
) -> Result<std::result::Result<Signature, String>> {
    let mut file = tempfile::Builder::new().prefix("relift-signature-").tempfile().context("no temporary file")?;
    file.write_all(&signed.signature).context("a temporary file cannot be written")?;
    let ask = Ask { namespace, trust, signed, file: file.path().display().to_string(), at };
    let seen = ask.on_payload("check-novalidate", &[])?;
    if !seen.success() {
        return Ok(Err(unsound(namespace, &seen)));
    }
    let key = key(&seen.text());
    let found = ask.command("find-principals")?.args(ask.signers()).args([ask.time()]).output()?;
    if !found.success() {
        return Ok(Err(stranger(&ask, &key, &found)));
    }
    let mut last = None;
    for principal in found.text().lines() {
        let who = [ask.signers(), ["-I".into(), principal.to_owned()]].concat();
        let checked = ask.on_payload("verify", &ask.revocable(&who))?;
        if checked.success() {
            return Ok(Ok(Signature {
                signer: harmless(principal),
                key: format!("ssh {key}"),
                time: None,
                is_of_name: false,
            }));
        }
        let is_revoked =
            trust.revoked.is_some() && ask.on_payload("verify", &[&who[..], &[ask.time()]].concat())?.success();
        last = Some(if is_revoked { revoked(&key, trust) } else { stranger(&ask, &key, &checked) });
    }
    Ok(Err(last.unwrap_or_else(|| stranger(&ask, &key, &found))))
}

struct Ask<'a> {
    namespace: &'a str,
    trust: &'a SshSigners,
    signed: &'a Signed,
    file: String,
    at: i64,
}

impl Ask<'_> {
    fn command(&self, what: &str) -> Result<Command> {
        Ok(command("ssh-keygen", "openssh-client")?.args(["-Y", what, "-s", &self.file]))
    }

    /// Asks about exactly the signed bytes.
    fn on_payload(&self, what: &str, args: &[String]) -> Result<Output> {
        let payload = Input::Bytes(self.signed.payload.clone());
        self.command(what)?.args(["-n", self.namespace]).args(args.to_vec()).stdin(payload).output()
    }

    fn signers(&self) -> [String; 2] {
        ["-f".into(), self.trust.allowed_signers.display().to_string()]
    }

    fn time(&self) -> String {
        let time = jiff::Timestamp::from_second(self.at).unwrap_or_else(|_| jiff::Timestamp::now());
        // Without a zone it is the local time, which is UTC for these children.
        format!("-Overify-time={}", time.strftime("%Y%m%d%H%M%S"))
    }

    fn revocable(&self, who: &[String]) -> Vec<String> {
        let list = self.trust.revoked.iter().flat_map(|path| ["-r".into(), path.display().to_string()]);
        who.iter().cloned().chain(list).chain([self.time()]).collect()
    }
}

/// `ED25519 SHA256:...` out of `Good "git" signature with ED25519 key SHA256:...`.
fn key(said: &str) -> String {
    let rest = said.rsplit_once(" with ").map_or("", |(_, rest)| rest);
    harmless(&rest.replacen(" key ", " ", 1))
}

/// Why a signature is none of these bytes, whoever made it.
fn unsound(namespace: &str, output: &Output) -> String {
    let said = output.stderr.join("\n");
    match () {
        () if output.status.is_none() => "its signature could not be checked in time".into(),
        () if said.contains("namespace") => {
            format!("its signature was made for another purpose than {namespace} (its namespace)")
        }
        () if said.contains("incorrect signature") => "its signature is of something else, or was damaged".into(),
        () => format!("its signature cannot be read: {}", harmless(output.stderr.last().map_or("", String::as_str))),
    }
}

/// Why a sound signature is of nobody who is allowed.
fn stranger(ask: &Ask, key: &str, output: &Output) -> String {
    let (said, file) = (output.stderr.join("\n"), ask.trust.allowed_signers.display());
    match () {
        () if said.contains("has expired") => format!("the key {key} has expired (valid-before in {file})"),
        () if said.contains("not yet valid") => format!("the key {key} is not valid yet (valid-after in {file})"),
        () if said.contains("not permitted for use in signature namespace") => {
            format!("the key {key} is not allowed to sign for {} (namespaces in {file})", ask.namespace)
        }
        () if said.contains("principal") && said.contains("valid principals")
            || said.contains("not a listed principal") =>
        {
            format!("the certificate {key} is for another principal than {file} allows")
        }
        () if said.contains("invalid key") || said.contains("missing key") || said.contains("bad options") => {
            format!("{file} cannot be understood: {}", harmless(output.stderr.first().map_or("", String::as_str)))
        }
        () => format!("it is signed with the key {key}, which is not in {file}"),
    }
}

fn revoked(key: &str, trust: &SshSigners) -> String {
    let list = trust.revoked.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    format!("the key {key} is revoked ({list})")
}
