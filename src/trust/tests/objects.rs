//! Raw objects: which bytes are signed, and what is refused before a verifier is asked.

use super::world::World;
use crate::host::process::{Command, Input};
use crate::manifest::SshSigners;
use crate::trust::object::{Armor, commit, tag};
use crate::trust::ssh;

const ID: &str = "0123456789abcdef0123456789abcdef01234567";
const SIGNATURE: &str = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n";

fn tag_text() -> String {
    format!("object {ID}\ntype commit\ntag v1.0.0\ntagger Up <up@example.org> 1790000000 +0000\n\nv1.0.0\n{SIGNATURE}")
}

fn commit_text() -> String {
    let folded = SIGNATURE.trim_end().replace('\n', "\n ");
    format!(
        "tree {ID}\nparent {ID}\nauthor Up <u@x> 1 +0000\ncommitter Up <u@x> 1790000000 +0000\ngpgsig {folded}\n\nsubject\n"
    )
}

#[test]
fn what_is_signed_of_a_tag_is_all_before_its_signature() {
    let text = tag_text();
    let tag = tag(text.as_bytes()).unwrap();
    let signed = tag.signed.unwrap();
    assert_eq!((tag.commit.as_str(), tag.name.as_str(), tag.time), (ID, "v1.0.0", Some(1_790_000_000)));
    assert_eq!((signed.armor, signed.signature.as_slice()), (Armor::Ssh, SIGNATURE.as_bytes()));
    assert_eq!([signed.payload, signed.signature].concat(), text.as_bytes());
}

#[test]
fn what_is_signed_of_a_commit_is_all_but_its_signature() {
    let text = commit_text();
    let read = commit(text.as_bytes(), 40).unwrap();
    assert_eq!((read.parent.as_deref(), read.time), (Some(ID), Some(1_790_000_000)));
    let signed = read.signed.unwrap();
    assert_eq!(signed.signature, SIGNATURE.as_bytes());
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("gpgsig") && !line.starts_with(' '))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!(signed.payload, without.as_bytes());
    // Names in an old encoding are bytes like others.
    let latin = [b"tree 0\nauthor J\xf6rg <u@x> 1 +0000\ncommitter J\xf6rg <u@x> 2 +0000\n\nx\n".as_slice()].concat();
    assert_eq!(commit(&latin, 40).unwrap().time, Some(2));
}

#[test]
fn a_tag_that_could_be_read_in_two_ways_is_refused() {
    let good = tag_text();
    for (from, to, why) in [
        ("type commit\n", "type commit\nobject X\n", "has a header that a tag does not have there: object X"),
        ("type commit", "type tag", "is of another tag"),
        ("type commit", "type tree", "is of a tree"),
        ("tagger Up", "gpgsig Up", "has a header that a tag does not have there: gpgsig Up"),
        ("tag v1.0.0\n", "", "has a header that a tag does not have there: tagger Up"),
        ("+0000\n\n", "+0000\nencoding x\n\n", "has a header that a tag does not have there: encoding x"),
        ("v1.0.0\n-----", "a\0b\n-----", "holds a NUL"),
        (ID, &ID[..39], "names no whole commit id"),
        ("-----END SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\nmore\n", "holds more after its signature"),
        ("-----END SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----", "holds more after its signature"),
        ("-----END SSH SIGNATURE-----\n", "", "has a signature without an end"),
        ("U1NIU0lH", "U1NIU0lH\nnot base64!", "is not base64"),
        ("U1NIU0lH", "U1NIU0lH\r", "that is no text"),
        ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN SIGNED MESSAGE-----", "neither SSH's nor OpenPGP's"),
        ("-----BEGIN SSH SIGNATURE-----", "-----BEGIN PGP MESSAGE-----", "neither SSH's nor OpenPGP's"),
        ("\n\n", "\n", "has no end of its header"),
    ] {
        assert!(good.contains(from), "{from}");
        let said = tag(good.replacen(from, to, 1).as_bytes()).map(|tag| tag.name);
        assert!(said.as_ref().is_err_and(|said| said.contains(why)), "{from:?} -> {to:?}: {said:?}");
    }
    assert!(tag(format!("{good}{SIGNATURE}").as_bytes()).is_err_and(|why| why == "has two signatures"));
    let long = good.replace("U1NIU0lH", &"QUFB\n".repeat(1 << 18));
    assert!(tag(long.as_bytes()).is_err_and(|why| why.contains("no real one has more")));
    let unsigned = good.replace(SIGNATURE, "");
    assert_eq!(tag(unsigned.as_bytes()).unwrap().signed, None);
}

#[test]
fn a_commit_that_could_be_read_in_two_ways_is_refused() {
    let good = commit_text();
    for (from, to, why) in [
        ("gpgsig ", "parent X\ngpgsig ", "has the header `parent` twice, or in a wrong place"),
        ("gpgsig ", "tree X\ngpgsig ", "has the header `tree` twice, or in a wrong place"),
        ("gpgsig ", "committer X\ngpgsig ", "has the header `committer` twice"),
        ("parent ", "gpgsig x\nparent ", "has the header `gpgsig` in a wrong place"),
        ("tree ", "parent x\ntree ", "has the header `parent` in a wrong place"),
        ("author ", "writer ", "has the header `writer` in a wrong place"),
        ("subject", "sub\0ject", "holds a NUL"),
        ("committer Up <u@x> 1790000000 +0000\n", "", "in a wrong place"),
    ] {
        let said = commit(good.replacen(from, to, 1).as_bytes(), 40);
        assert!(said.as_ref().is_err_and(|said| said.contains(why)), "{from:?} -> {to:?}: {said:?}");
    }
    let twice = good.replace("gpgsig ", &format!("gpgsig {}\ngpgsig ", SIGNATURE.trim_end().replace('\n', "\n ")));
    assert!(commit(twice.as_bytes(), 40).is_err_and(|why| why == "has two signatures"));
    // Each hash has a signature of its own.
    assert_eq!(commit(good.as_bytes(), 64).unwrap().signed, None);
    let sha256 = good.replace("gpgsig ", "gpgsig-sha256 ");
    assert_eq!(commit(sha256.as_bytes(), 40).unwrap().signed, None);
    assert_eq!(commit(sha256.as_bytes(), 64).unwrap().signed, commit(good.as_bytes(), 40).unwrap().signed);
}

#[test]
fn what_git_signs_is_what_the_verifier_is_given_in_repositories_of_both_hashes() {
    let world = World::new("branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"SIGNERS\" }", "");
    for (format, digits) in [("sha1", 40), ("sha256", 64)] {
        let place = world.path(format);
        std::fs::create_dir(&place).unwrap();
        let key = format!("user.signingkey={}", world.path("good").display());
        let run = |words: &[&str]| {
            let git =
                Command::new(["git", "-c", "gpg.format=ssh", "-c", &key, "-c", "user.name=U", "-c", "user.email=u@x"]);
            let git = git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
            git.args(words.iter().copied()).cwd(&place).stdin(Input::Empty).succeed().unwrap()
        };
        run(&["init", "--quiet", &format!("--object-format={format}"), "."]);
        run(&["commit", "--quiet", "--allow-empty", "-S", "-m", "signed"]);
        run(&["tag", "-s", "-m", "signed", "v1.0.0"]);
        let signers = SshSigners { allowed_signers: world.path("signers"), revoked: None };
        let commit = commit(&run(&["cat-file", "commit", "HEAD"]).stdout, digits).unwrap().signed.unwrap();
        let tag = tag(&run(&["cat-file", "tag", "v1.0.0"]).stdout).unwrap().signed.unwrap();
        for mut signed in [commit, tag] {
            let signature = ssh::verify(&signers, &signed, world.now).unwrap().unwrap();
            assert_eq!(signature.signer, "release@example.org");
            signed.payload.push(b'\n');
            let why = ssh::verify(&signers, &signed, world.now).unwrap().unwrap_err();
            assert!(why.contains("is of something else"), "{why}");
        }
    }
    assert!(!world.raw(&world.commit("raw", &[], true)).is_empty());
}
