//! Real archives: packed by the tests, read by the child's reader, imported into a real repository.

use std::io::Write;

use git2::Repository;
use tar::{Builder, EntryType, Header};

use super::import::{Of, Refusal, import};
use super::unpack::unpack;
use crate::source::snapshot;

const MOST: u64 = 256 << 20;

fn header(path: &str, kind: EntryType, mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    // As it is, whatever a builder would make of it.
    header.as_ustar_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    header
}

/// An archive of files: a name that ends in `/` is a directory, a text that begins with `-> ` or `= ` is a link's.
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, text) in entries {
        add(&mut builder, path, text);
    }
    builder.into_inner().unwrap()
}

fn add(builder: &mut Builder<Vec<u8>>, path: &str, text: &str) {
    let link = |kind: EntryType, target: &str| {
        let mut header = header(path, kind, 0o777, 0);
        header.as_ustar_mut().unwrap().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        header
    };
    match (text.strip_prefix("-> "), text.strip_prefix("= ")) {
        _ if path.ends_with('/') => builder.append(&header(path, EntryType::Directory, 0o755, 0), &b""[..]),
        (Some(target), _) => builder.append(&link(EntryType::Symlink, target), &b""[..]),
        (_, Some(target)) => builder.append(&link(EntryType::Link, target), &b""[..]),
        _ => builder.append(&header(path, EntryType::Regular, 0o644, text.len()), text.as_bytes()),
    }
    .unwrap();
}

fn imported_of(bytes: &[u8], most: u64) -> (tempfile::TempDir, Result<String, String>) {
    let place = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(place.path()).unwrap();
    let mut frames = Vec::new();
    unpack(bytes, bytes.len() as u64, most, &mut frames).unwrap();
    let of = Of { version: "1.0.0", sha256: "sum", strips: true, most };
    let found = match import(&repository, frames.as_slice(), &of) {
        Ok(oid) => Ok(oid.to_string()),
        Err(Refusal::Archive(why)) => Err(why),
        Err(Refusal::Ended) => Err("ended".into()),
        Err(Refusal::Host(error)) => panic!("{error}"),
    };
    (place, found)
}

fn imported(bytes: &[u8]) -> (tempfile::TempDir, Result<String, String>) {
    imported_of(bytes, MOST)
}

fn refused(bytes: &[u8]) -> String {
    imported(bytes).1.expect_err("refused")
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

const APP: &[(&str, &str)] = &[
    ("app-1.0/", ""),
    ("app-1.0/run", "#!/bin/sh\n"),
    ("app-1.0/lib/a", "a"),
    ("app-1.0/lib/l", "-> ../run"),
    ("app-1.0/lib/h", "= app-1.0/run"),
    ("app-1.0/empty/", ""),
];

#[test]
fn an_archive_of_any_packing_becomes_the_same_release() {
    let plain = archive(APP);
    let commits: Vec<String> =
        [plain.clone(), gz(&plain), xz(&plain), zst(&plain)].iter().map(|bytes| imported(bytes).1.unwrap()).collect();
    assert!(commits.iter().all(|commit| *commit == commits[0]), "{commits:?}");
    let (place, commit) = imported(&gz(&plain));
    let repository = Repository::open_bare(place.path()).unwrap();
    let meta = snapshot::meta(&repository, &commit.unwrap()).unwrap();
    assert_eq!(
        (meta.version.as_str(), meta.identity.as_slice(), meta.empty.as_slice(), meta.time),
        ("1.0.0", &["sum".to_owned()][..], &["empty".to_owned()][..], 1_700_000_000)
    );
    let tree = repository.find_commit(git2::Oid::from_str(&commits[0]).unwrap()).unwrap().tree().unwrap();
    let of = |path: &str| {
        let entry = tree.get_path(path.as_ref()).unwrap();
        let blob = repository.find_blob(entry.id()).unwrap();
        (entry.filemode(), String::from_utf8(blob.content().to_vec()).unwrap())
    };
    assert_eq!(of("run"), (0o100_644, "#!/bin/sh\n".into()));
    assert_eq!(of("lib/l"), (0o120_000, "../run".into()));
    assert_eq!(of("lib/h"), of("run"));
    assert!(tree.get_path("app-1.0".as_ref()).is_err(), "its one directory is left out");
}

#[test]
fn what_could_be_placed_elsewhere_is_refused_and_told_harmlessly() {
    for (path, text, why) in [
        ("/etc/cron.d/x", "x", "/etc/cron.d/x is an absolute path"),
        ("a/../../x", "x", "a/../../x leaves the archive by `..`"),
        ("a/l", "-> /etc", "a/l leads out of the archive, to /etc"),
        ("a/l", "-> ../../etc", "a/l leads out of the release, to ../../etc"),
        ("a/h", "= ../x", "a/h is a link to what leaves the archive by `..`"),
        ("a/.GIT/config", "x", "a/.GIT/config has the name of a repository's own directory"),
        ("a\u{1b}[2J", "x", "a\\x1b[2J has control characters, or such as hide or reorder text, in its name"),
    ] {
        assert_eq!(refused(&archive(&[("b/x", "x"), (path, text)])), why);
    }
    assert_eq!(refused(&archive(&[("l", "-> d"), ("l/x", "x")])), "l/x is below l, which is no directory");
    assert_eq!(refused(&archive(&[("x", "a"), ("x", "b")])), "x is there twice");
    assert_eq!(refused(&archive(&[("d/", "")])), "it holds no file");
    let special = |kind: EntryType, mode: u32| {
        let mut builder = Builder::new(Vec::new());
        builder.append(&header("x", kind, mode, 0), &b""[..]).unwrap();
        refused(&builder.into_inner().unwrap())
    };
    assert_eq!(special(EntryType::Fifo, 0o644), "x is a pipe");
    assert_eq!(special(EntryType::Char, 0o644), "x is a device");
    assert_eq!(special(EntryType::Block, 0o644), "x is a device");
    assert_eq!(special(EntryType::Continuous, 0o644), "x is of a kind that is not known");
    assert_eq!(special(EntryType::Regular, 0o4755), "x is setuid, setgid or sticky (mode 4755)");
    assert_eq!(special(EntryType::Directory, 0o1777), "x is setuid, setgid or sticky (mode 1777)");
}

#[test]
fn headers_that_say_otherwise_what_an_entry_is_are_judged_or_refused() {
    let with = |records: &[(&str, &str)], kind: EntryType| {
        let mut builder = Builder::new(Vec::new());
        let mut text = Vec::new();
        for (key, value) in records {
            let length = (1..).find(|length: &usize| length.to_string().len() + key.len() + value.len() + 3 == *length);
            writeln!(text, "{} {key}={value}", length.unwrap()).unwrap();
        }
        builder.append(&header("pax", kind, 0o644, text.len()), text.as_slice()).unwrap();
        add(&mut builder, "plain", "x");
        builder.into_inner().unwrap()
    };
    let long = format!("d/{}", "n".repeat(200));
    let (place, commit) = imported(&with(&[("path", &long)], EntryType::XHeader));
    let repository = Repository::open_bare(place.path()).unwrap();
    let tree = repository.find_commit(git2::Oid::from_str(&commit.unwrap()).unwrap()).unwrap().tree().unwrap();
    assert!(tree.get_name(&"n".repeat(200)).is_some(), "a long name is a name");
    for (records, why) in [
        (&[("path", "../x")][..], "../x leaves the archive by `..`"),
        (&[("path", "/x")], "/x is an absolute path"),
        (&[("path", "a"), ("path", "b")], "has two values of `path`"),
        (&[("GNU.sparse.major", "1"), ("GNU.sparse.name", "x")], "plain is a sparse file"),
        (&[("size", "5000")], "it is cut off within plain"),
    ] {
        let said = refused(&with(records, EntryType::XHeader));
        assert!(said.ends_with(why), "{said}");
    }
    assert_eq!(refused(&with(&[("path", "x")], EntryType::XGlobalHeader)), "a header of the whole archive sets `path`");
    assert!(
        imported(&with(&[("comment", "a commit")], EntryType::XGlobalHeader)).1.is_ok(),
        "as git-archive writes it"
    );
}

#[test]
fn an_archive_that_is_cut_off_or_goes_on_is_refused() {
    let plain = archive(APP);
    // Wherever a block ends, and within one.
    for length in (512..plain.len() - 1023).step_by(256) {
        let said = refused(&plain[..length]);
        assert!(said.starts_with("it is cut off") || said.contains("failed to"), "{length}: {said}");
    }
    for packed in [gz(&plain), xz(&plain), zst(&plain)] {
        for cut in [1, 9, packed.len() / 2] {
            refused(&packed[..packed.len() - cut]);
        }
        let more = [packed.as_slice(), b"more"].concat();
        refused(&more);
    }
    assert_eq!(refused(&[plain.as_slice(), b"more"].concat()), "something follows its end");
    assert_eq!(refused(&[plain.as_slice(), &plain].concat()), "something follows its end");
    assert!(imported(&[plain.as_slice(), &[0; 8192]].concat()).1.is_ok(), "tar fills up whole records");
    assert_eq!(refused(b"PK\x03\x04 and so on"), "it is a zip archive; what is read are tar archives");
    refused(b"");
    refused(b"<html>not here</html>");
    let mut damaged = plain;
    damaged[700] ^= 1;
    refused(&damaged);
}

#[test]
fn an_archive_that_comes_to_too_much_is_refused_before_it_is_there() {
    let zeros = vec![0; 80 << 20];
    let mut builder = Builder::new(Vec::new());
    builder.append(&header("zeros", EntryType::Regular, 0o644, zeros.len()), zeros.as_slice()).unwrap();
    let plain = builder.into_inner().unwrap();
    let bomb = zst(&plain);
    assert_eq!(refused(&bomb), "it comes to more than 200 times its own length, as no release does");
    let said = imported_of(&bomb, 10 << 20).1.unwrap_err();
    assert!(said.contains("max-unpacked"), "{said}");
}

#[test]
fn what_the_child_says_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    let repository = Repository::init_bare(place.path()).unwrap();
    let of = Of { version: "1.0.0", sha256: "sum", strips: true, most: 1 << 20 };
    let said = |frames: &str| match import(&repository, frames.as_bytes(), &of) {
        Err(Refusal::Archive(why)) => why,
        Err(Refusal::Ended) => "ended".into(),
        Err(Refusal::Host(error)) => error.to_string(),
        Ok(_) => "taken".into(),
    };
    let entry = |path: &str, size: u64| {
        format!(r#"{{"frame":"entry","path":"{path}","kind":"file","mode":420,"size":{size},"time":0}}"#) + "\n"
    };
    let piece = |text: &str| format!("{{\"frame\":\"piece\",\"size\":{}}}\n{text}", text.len());
    let end = "{\"frame\":\"end\"}\n";
    assert_eq!(said(&format!("{}{}{end}", entry("a", 1), piece("x"))), "taken");
    assert_eq!(said(&format!("{}{}", entry("a", 1), piece("x"))), "ended");
    assert_eq!(said(&entry("a", 5)), "ended");
    assert_eq!(said(&format!("{}{}{end}", entry("a", 1), piece("xy"))), "ended", "more than it said");
    assert_eq!(said(&format!("{}{end}", entry("a", 1))), "ended");
    assert_eq!(said(&piece("x")), "ended");
    assert_eq!(said("noise\n"), "ended");
    assert_eq!(said(&format!("{}{}{end}", entry("../a", 1), piece("x"))), "../a leaves the archive by `..`");
    assert!(said(&entry("a", 2 << 20)).starts_with("a is too large"), "more than may be");
    assert_eq!(said(&"x".repeat(64 << 10)), "an entry has a name that is too long");
}

#[test]
fn the_seeds_of_the_fuzzer_hold() {
    for kind in [archive(APP), gz(&archive(APP)), xz(&archive(APP)), zst(&archive(APP))] {
        super::robust::any_bytes(&kind);
    }
    crate::text::each_seed("archive", super::robust::any_bytes);
}

/// What is said of 1.3.0, whose archive was signed, by what it says of itself.
fn vouched_of(component: &str, over: &str, is_of_name: bool, version: Option<&str>) -> String {
    let key = minisign::KeyPair::generate_unencrypted_keypair().unwrap().pk.to_base64();
    let text = format!(
        "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.archive]\nurl = \"/srv/app-{{version}}.tar\"\n\
         checksums = \"/srv/SHA256SUMS\"\nverify = {{ minisign = \"{key}\", over = \"{over}\" }}\n[[component]]\nname = \"app\"\n{component}\n"
    );
    let install = crate::manifest::parse("app", std::path::Path::new("/etc/relift/app.toml"), &text);
    let install = install.map_err(|problems| problems.render(false)).unwrap();
    let crate::manifest::Source::Archive(source) = &install.source else { panic!() };
    let verify = source.verify.as_ref().unwrap();
    let (_place, repository) = {
        let place = tempfile::tempdir().unwrap();
        let repository = Repository::init_bare(place.path()).unwrap();
        (place, repository)
    };
    let meta =
        snapshot::Meta { snapshot: 1, version: "1.3.0".into(), identity: vec!["sum".into()], empty: vec![], time: 0 };
    let file = |text: &str| {
        Ok(snapshot::Entry { path: "VERSION".into(), kind: snapshot::EntryKind::File, bytes: text.as_bytes().to_vec() })
    };
    let revision = snapshot::write(&repository, version.map(file), &meta).unwrap().to_string();
    super::vouch::note(
        verify,
        &repository,
        &revision,
        super::Vouched { by: "minisign".into(), time: None, is_of_name },
    )
    .unwrap();
    let version = (&semver::Version::new(1, 3, 0), "sum");
    match super::vouched((&install, source, verify), &repository, version, &revision, 0).unwrap() {
        Ok(vouched) => vouched.by,
        Err(why) => why,
    }
}

#[test]
fn an_archive_that_is_signed_alone_is_of_the_version_that_it_or_its_signature_says() {
    let with = "version = { file = \"VERSION\" }";
    let says = |is_of_name, version| vouched_of(with, "archive", is_of_name, version);
    assert_eq!(says(false, Some("1.3.0\n")), "minisign");
    assert_eq!(says(false, Some("v1.3.0\n")), "minisign");
    assert_eq!(says(true, Some("1.2.0\n")), "minisign", "the name was signed");
    assert_eq!(says(false, Some("1.2.0\n")), "its archive is signed, and says that it is 1.2.0");
    assert_eq!(says(false, Some("1.2.0\u{1b}[2J")), says(false, None), "what is no version says nothing");
    for nothing in [says(false, None), vouched_of("", "archive", false, Some("1.3.0\n"))] {
        assert!(nothing.contains("neither that nor its signature says of which version it is"), "{nothing}");
    }
}
