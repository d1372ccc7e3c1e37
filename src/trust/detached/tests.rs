//! Real keys and real signatures.

use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use super::*;
use crate::manifest::{Keyring, SshSigners};

const LIST: &[u8] = b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  app-1.0.0.tar.gz\n";

fn signed(pair: &minisign::KeyPair, bytes: &[u8], comment: &str) -> String {
    minisign::sign(Some(&pair.pk), &pair.sk, Cursor::new(bytes), Some(comment), None).unwrap().to_string()
}

fn asked(signers: &Signers, bytes: &[u8], signature: &str) -> Verdict<Signature> {
    verify(signers, "SHA256SUMS", Payload::Bytes(bytes), signature, 1_900_000_000).unwrap()
}

#[test]
fn minisign_vouches_for_these_bytes_by_this_key_under_this_name() {
    let (pair, other) = (
        minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
        minisign::KeyPair::generate_unencrypted_keypair().unwrap(),
    );
    let signers = Signers::Minisign(pair.pk.to_base64());
    let good = signed(&pair, LIST, "timestamp:1700000000\tfile:SHA256SUMS\u{1b}[2J");
    // What is shown of a comment is harmless, and the name must be the one that was signed.
    assert!(asked(&signers, LIST, &good).unwrap_err().contains("signed as SHA256SUMS\\x1b[2J"));
    let good = signed(&pair, LIST, "timestamp:1700000000\tfile:SHA256SUMS \u{1b}[2J");
    let signature = asked(&signers, LIST, &good).unwrap();
    assert_eq!(signature.time, Some(1_700_000_000));
    assert_eq!(signature.signer, "minisign");
    let shown = "\"timestamp:1700000000 file:SHA256SUMS \\x1b[2J\"";
    assert!(signature.key.starts_with("key ") && signature.key.ends_with(shown), "{}", signature.key);
    assert!(asked(&signers, b"other", &good).unwrap_err().contains("of something else, or was damaged"));
    assert!(asked(&signers, LIST, "noise").unwrap_err().contains("none of minisign's"));
    let strange = signed(&other, LIST, "x");
    assert!(asked(&signers, LIST, &strange).unwrap_err().contains("and the manifest names another"));
    let forged = good.replace("1700000000", "1900000000");
    assert!(asked(&signers, LIST, &forged).is_err(), "the comment is signed as well");
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, LIST).unwrap();
    let read = verify(&signers, "SHA256SUMS", Payload::File(&mut file), &signed(&pair, LIST, "x"), 0).unwrap();
    assert!(read.is_ok(), "{read:?}");
}

fn run(place: &Path, words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).current_dir(place).env("GNUPGHOME", place).output().unwrap();
    assert!(status.status.success(), "{words:?}: {}", String::from_utf8_lossy(&status.stderr));
}

#[test]
fn an_ssh_key_vouches_for_files_by_the_namespace_of_files_alone() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    for key in ["key", "other"] {
        run(path, &["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]);
    }
    let public = std::fs::read_to_string(path.join("key.pub")).unwrap();
    std::fs::write(path.join("signers"), format!("release@example.org {public}")).unwrap();
    std::fs::write(path.join("list"), LIST).unwrap();
    let sign = |key: &str, namespace: &str| {
        std::fs::remove_file(path.join("list.sig")).unwrap_or_default();
        run(path, &["ssh-keygen", "-q", "-Y", "sign", "-f", key, "-n", namespace, "list"]);
        std::fs::read_to_string(path.join("list.sig")).unwrap()
    };
    let signers = Signers::Ssh(SshSigners { allowed_signers: path.join("signers"), revoked: None });
    let good = sign("key", "file");
    assert_eq!(asked(&signers, LIST, &good).unwrap().signer, "release@example.org");
    assert!(asked(&signers, b"other", &good).unwrap_err().contains("something else, or was damaged"));
    assert!(asked(&signers, LIST, &sign("key", "git")).unwrap_err().contains("for another purpose than file"));
    assert!(asked(&signers, LIST, &sign("other", "file")).unwrap_err().contains("which is not in"));
    assert!(asked(&signers, LIST, "noise").is_err());
}

#[test]
fn an_openpgp_key_of_the_list_vouches_and_says_when() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    run(
        path,
        &[
            "gpg",
            "--batch",
            "--quiet",
            "--passphrase",
            "",
            "--quick-generate-key",
            "Release <release@example.org>",
            "ed25519",
        ],
    );
    run(path, &["gpg", "--batch", "--quiet", "--output", "ring.gpg", "--export"]);
    std::fs::write(path.join("list"), LIST).unwrap();
    run(path, &["gpg", "--batch", "--quiet", "--armor", "--detach-sign", "list"]);
    let listed = Command::new("gpg").args(["--with-colons", "-K"]).env("GNUPGHOME", path).output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let print =
        listed.lines().find_map(|line| line.strip_prefix("fpr:::::::::")).unwrap().trim_end_matches(':').to_owned();
    let good = std::fs::read_to_string(path.join("list.asc")).unwrap();
    let by = |fingerprints: Vec<String>| Signers::OpenPgp(Keyring { file: path.join("ring.gpg"), fingerprints });
    let signature = asked(&by(vec![print.clone()]), LIST, &good).unwrap();
    assert!(
        signature.signer.contains("release@example.org") && signature.time.is_some_and(|time| time > 1_600_000_000)
    );
    assert!(asked(&by(vec!["0".repeat(40)]), LIST, &good).unwrap_err().contains("not one of `fingerprints`"));
    assert!(asked(&by(vec![print]), b"other", &good).unwrap_err().contains("something else, or was damaged"));
    run(path, &["gpgconf", "--kill", "all"]);
}
