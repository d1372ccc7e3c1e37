//! Releases' directories as another account has them, from a mirror made here.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;
use crate::host::account::Account;
use crate::manifest::{Install, parse};
use crate::report::Silent;
use crate::source::snapshot::{Entry, EntryKind, vouch};

struct Bench {
    place: tempfile::TempDir,
    install: Install,
    owner: Account,
}

impl Bench {
    fn new() -> Bench {
        let place = tempfile::tempdir().unwrap();
        let owner = Account::of(65_534).expect("every host has nobody");
        let root = place.path().join("root");
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(&root).unwrap();
        chown(&root, Some(owner.uid), Some(owner.gid)).expect("this test needs root");
        let text = format!(
            "schema = 1\n[install]\nroot = \"{}\"\nowner = \"nobody\"\nlayout = \"releases\"\nshared = [\"app/data\"]\n[source.git]\nurl = \"https://git.example.org/app.git\"\nbranch = \"main\"\n[[component]]\nname = \"app\"\npath = \"app\"\nartifacts = [\"venv\"]\nenv = [{{ file = \".env\", example = \".env.example\" }}]\n",
            root.display()
        );
        let install = parse("app", Path::new("/etc/relift/app.toml"), &text).unwrap();
        Bench { place, install, owner }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.place.path().join("root").join(path)
    }

    fn state(&self) -> PathBuf {
        self.place.path().join("state")
    }

    fn with<T>(&self, act: impl FnOnce(&Place, &Mirror) -> T) -> T {
        let (state, cache) = (self.state(), self.place.path().join("cache"));
        let place = Place { install: &self.install, owner: &self.owner, state: &state, cache: &cache };
        act(&place, &mirror(&place).unwrap())
    }

    fn commit(&self, files: &[(&str, EntryKind, &str)]) -> Release {
        let entry = |(path, kind, text): &(&str, EntryKind, &str)| {
            Ok(Entry { path: (*path).into(), kind: *kind, bytes: text.as_bytes().to_vec() })
        };
        let meta =
            Meta { snapshot: 1, version: "1.0.0".into(), identity: vec![], empty: vec!["app/empty".into()], time: 9 };
        let revision = self.with(|_, mirror| {
            let commit = snapshot::write(mirror.repository(), files.iter().map(entry), &meta).unwrap().to_string();
            vouch(mirror.repository(), &commit, "a test").unwrap();
            commit
        });
        Release { revision, label: Some("v1".into()) }
    }

    /// Unpacks a release; the name of its directory.
    fn unpack(&self, release: &Release) -> Result<String> {
        self.with(|place, mirror| {
            let changes = changes(place, None, release)?;
            let Some(Action::Directory(directory)) = changes.first() else { unreachable!() };
            unpack::unpack(place, mirror, directory, &Silent).map(|()| directory.name.clone())
        })
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.at("releases"))
            .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
            .unwrap_or_default();
        names.sort();
        names
    }
}

use EntryKind::{File, Link, Program};

const ATTRIBUTES: &str = "app/secret export-ignore\napp/*.txt export-subst text eol=crlf\n";

fn release(bench: &Bench) -> Release {
    bench.commit(&[
        (".gitattributes", File, ATTRIBUTES),
        ("app/run.sh", Program, "#!/bin/sh\n"),
        ("app/secret", File, "kept\n"),
        ("app/v.txt", File, "$Format:%H$\n"),
        ("app/deep/link", Link, "../run.sh"),
        (&format!("app/{}/long", "d".repeat(150)), File, "x"),
    ])
}

#[test]
fn a_directory_holds_the_bytes_of_the_commit_and_links_to_what_is_shared_all_the_owners() {
    let bench = Bench::new();
    assert_eq!(bench.unpack(&release(&bench)).unwrap(), "v1");
    let at = |path: &str| bench.at("releases/v1").join(path);
    assert_eq!(fs::read_to_string(at("app/v.txt")).unwrap(), "$Format:%H$\n", "no attribute changes a byte");
    assert_eq!(fs::read_to_string(at("app/secret")).unwrap(), "kept\n");
    assert_eq!(fs::read_link(at("app/deep/link")).unwrap(), Path::new("../run.sh"));
    assert!(at("app/empty").is_dir() && at("app").join("d".repeat(150)).join("long").exists());
    for (path, mode) in [("", 0o755), ("app", 0o755), ("app/run.sh", 0o755), ("app/v.txt", 0o644)] {
        let meta = fs::metadata(at(path)).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (mode, bench.owner.uid), "{path}");
    }
    assert_eq!(fs::read_link(at("app/.env")).unwrap(), Path::new("../../../shared/app/.env"));
    assert!(fs::metadata(at("app/data")).unwrap().is_dir(), "a shared directory is made");
    assert!(!bench.at("shared/app/.env").exists(), "the operator makes the configuration");
    assert_eq!(bench.names(), ["v1"]);
}

#[test]
fn what_a_run_left_that_came_to_nothing_goes_and_what_is_not_ours_is_not_taken() {
    let bench = Bench::new();
    let release = release(&bench);
    bench.unpack(&release).unwrap();
    // It was never proven: the next one takes its place.
    fs::create_dir(bench.at("releases/.v1.relift-new")).unwrap();
    assert_eq!(bench.unpack(&release).unwrap(), "v1");
    assert_eq!(bench.names(), ["v1"]);
    // Somebody else's has the name.
    bench.with(|place, _| keep::remove(place.state, &Rooted::open(&bench.install.root).unwrap(), "v1")).unwrap();
    fs::create_dir(bench.at("releases/v1")).unwrap();
    assert_eq!(bench.unpack(&release).unwrap(), "v1-2");
    assert_eq!(bench.names(), ["v1", "v1-2"]);
    bench.with(|place, _| {
        let root = Rooted::open(&bench.install.root).unwrap();
        assert_eq!(keep::unknown(place.state, &root).unwrap(), ["v1"]);
        // What a link leads to stays, whatever is recorded.
        symlink("releases/v1-2", bench.at("current")).unwrap();
        assert!(keep::remove(place.state, &root, "v1-2").unwrap().unwrap().contains("a link leads to it"));
    });
    assert_eq!(bench.names(), ["v1", "v1-2"]);
}

#[test]
fn whatever_becomes_of_a_tracked_file_is_seen_and_what_is_not_tracked_is_not() {
    let bench = Bench::new();
    let release = release(&bench);
    bench.unpack(&release).unwrap();
    symlink("releases/v1", bench.at("current")).unwrap();
    let seen = || {
        let here = bench.with(|place, _| checkout(place)).unwrap();
        assert_eq!(here.head, release.revision);
        here.dirty.into_iter().map(|dirty| dirty.path).collect::<Vec<_>>()
    };
    let file = bench.at("releases/v1/app/run.sh");
    fs::create_dir(bench.at("releases/v1/app/venv")).unwrap();
    assert!(seen().is_empty());
    let mode = |mode: u32| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert_eq!(seen(), ["releases/v1/app/run.sh"], "it cannot be executed any more");
    mode(0o755);
    fs::write(&file, "#!/bin/Sh\n").unwrap();
    assert_eq!(seen().len(), 1, "as long as before");
    fs::remove_file(&file).unwrap();
    assert_eq!(seen().len(), 1, "gone");
    symlink("/etc/passwd", &file).unwrap();
    assert_eq!(seen().len(), 1, "a link in its place");
    fs::remove_file(&file).unwrap();
    nix::unistd::mkfifo(&file, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(seen().len(), 1, "a pipe in its place keeps nobody waiting");
    let words = bench.with(|place, _| preflight(place, &checkout(place).unwrap()));
    assert!(words[0].what.ends_with("releases/v1/app/run.sh"), "{words:?}");
}

#[test]
fn what_is_shared_and_tracked_is_a_conflict_however_it_lies() {
    let bench = Bench::new();
    for (path, kind, wanted) in [
        ("app/.env", File, &["app/.env"][..]),
        ("app/data/keep", File, &["app/data"]),
        ("app/data", Link, &["app/data"]),
        ("app", File, &["app/.env", "app/data"]),
        ("app/database", File, &[]),
    ] {
        let release = bench.commit(&[(path, kind, "x")]);
        let found = bench
            .with(|_, mirror| tree::conflicts(mirror.repository(), &release.revision, &bench.install.linked()))
            .unwrap();
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted, "{path}");
    }
}

#[test]
fn what_current_is_is_told_where_it_is_no_link_to_a_release() {
    let bench = Bench::new();
    let observed = || bench.with(|place, _| observe(place));
    assert_eq!(observed().unwrap(), None);
    for target in ["/etc", "releases", "releases/../x", "releases/.v1.relift-new", "shared/app"] {
        symlink(target, bench.at("current")).unwrap();
        let error = observed().unwrap_err();
        assert!(error.what.contains("does not lead to a release"), "{target}: {error}");
        fs::remove_file(bench.at("current")).unwrap();
    }
    symlink("releases/gone", bench.at("current")).unwrap();
    assert!(observed().unwrap_err().what.contains("is no directory"));
    fs::remove_file(bench.at("current")).unwrap();
    fs::create_dir(bench.at("current")).unwrap();
    assert!(observed().is_err());
    fs::remove_dir(bench.at("current")).unwrap();
    fs::create_dir(bench.at(".git")).unwrap();
    assert!(observed().unwrap_err().what.contains("is a git checkout itself"));
}

#[test]
fn what_was_unpacked_by_hand_is_taken_as_it_is_without_what_is_this_hosts_own() {
    let bench = Bench::new();
    for (path, text) in
        [("app/x", "x"), ("app/venv/lib", "made"), ("app/data/db", "own"), ("app/.env", "S=1"), (".git/HEAD", "x")]
    {
        let path = bench.at("releases/old").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    symlink("/etc/shadow", bench.at("releases/old/app/out")).unwrap();
    symlink("releases/old", bench.at("current")).unwrap();
    let [one, two] = [(); 2].map(|()| bench.with(|place, _| observe(place)).unwrap().unwrap());
    assert_eq!(one, two, "the same tree is the same release");
    let paths = bench.with(|_, mirror| {
        let tree = tree::of(mirror.repository(), &one).unwrap();
        tree::entries(&tree).unwrap().into_iter().map(|entry| entry.path.display().to_string()).collect::<Vec<_>>()
    });
    assert_eq!(paths, ["app/out", "app/x"]);
}
