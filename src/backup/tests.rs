//! Backups of real files: everything that a filesystem keeps comes back, and nothing that is damaged does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use super::*;
use crate::host::account::Account;
use crate::host::process::Command;

struct World {
    place: tempfile::TempDir,
    scope: Scope,
}

impl World {
    /// A checkout with `data`, which is backed up.
    fn new() -> World {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir_all(place.path().join("root/data")).unwrap();
        World { place, scope: Scope { paths: vec!["data".into()], databases: vec![], volumes: vec![] } }
    }

    fn root(&self) -> PathBuf {
        self.place.path().join("root")
    }

    fn data(&self, name: &str) -> PathBuf {
        self.root().join("data").join(name)
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("state/backups")
    }

    fn sh(&self, script: &str) -> String {
        Command::new(["bash", "-ec", script]).cwd(self.root().join("data")).succeed().unwrap().text()
    }

    fn take(&self) -> Taken {
        self.try_take().unwrap()
    }

    fn try_take(&self) -> Result<Taken> {
        take(&Order {
            store: &self.store(),
            cache: &self.place.path().join("cache"),
            id: next_id(&self.store())?,
            install: "app",
            run: None,
            reason: Reason::ByHand,
            root: &self.root(),
            owner: &Account::root(),
            scope: &self.scope,
        })
    }

    fn directory(&self, listing: &Listing) -> PathBuf {
        self.store().join(&listing.id)
    }

    fn put_back(&self, listing: &Listing) -> Result<Listing> {
        put_back(&self.directory(listing), &self.root(), &[])
    }

    /// What stat, getfattr and getfacl say of everything, and the hash of each file.
    fn picture(&self) -> String {
        self.sh("find . -printf '%p %y %m %U:%G %s %n %l %T@\\n' | sort; find . ! -type l -print0 | sort -z | xargs -0 getfattr -d -m - -e hex --absolute-names; find . -type f -print0 | sort -z | xargs -0 sha256sum; getfacl -R -p .")
    }
}

fn allocated(path: &Path) -> u64 {
    fs::metadata(path).unwrap().blocks() * 512
}

#[test]
fn modes_owners_acls_attributes_holes_and_names_come_back_as_they_were() {
    let world = World::new();
    world.sh(r#"
        printf secret > plain; chmod 0640 plain; chown 12:34 plain; touch -d '2001-02-03 04:05:06.789' plain
        printf x > set; chmod 6755 set; printf x > none; chmod 0000 none; : > empty
        printf acl > acl; setfacl -m u:7:rw,g:8:r acl; printf attr > attr; setfattr -n user.note -v $'a\nb' attr
        mkdir -m 1770 inner; setfacl -d -m u:9:rwx inner; printf born > inner/inherits; printf plain > inner/stripped; setfacl -b inner/stripped; chmod 600 inner/stripped
        mkdir closed; printf x > closed/x; chmod 0500 closed; touch -d 2002-02-02 closed
        ln -s ../../outside/$'\xff' dangling; ln -s plain link; chown -h 12:34 link
        printf twice > one; ln one two; mkdir later; ln one later/three
        truncate -s 64M sparse; printf begin | dd of=sparse conv=notrunc status=none; printf end | dd of=sparse bs=1 seek=33554432 conv=notrunc status=none
        truncate -s 3M hole; printf x > $'na\xffme'; printf x > $'new\nline'; printf x > '100%'
        deep="$(printf 'd%.0s' {1..200})/$(printf 'e%.0s' {1..250})"; mkdir -p "$deep"; printf deep > "$deep/$(printf 'f%.0s' {1..255})"
    "#);
    let before = world.picture();
    let sparse = allocated(&world.data("sparse"));
    let taken = world.take();
    assert_eq!(taken.warnings, Vec::<String>::new());
    world.sh("chmod 700 closed; rm -r d*/ closed inner sparse hole one two later plain; echo other > acl; rm dangling; mkdir dangling; rm link; echo > link; mkdir extra; echo > extra/file; ln -s / extra/root; chattr +d acl 2>/dev/null || :; chmod 777 .; setfattr -x user.note attr");
    world.put_back(&taken.listing).unwrap();
    assert_eq!(world.picture(), before);
    let same = |one: &str, other: &str| {
        assert_eq!(fs::metadata(world.data(one)).unwrap().ino(), fs::metadata(world.data(other)).unwrap().ino());
    };
    same("one", "two");
    same("one", "later/three");
    assert!(allocated(&world.data("sparse")) <= sparse && sparse < 1 << 20, "holes stay holes");
    assert_eq!(allocated(&world.data("hole")), 0);
    // Again, as a recovery that was killed does: the same, and nothing of ours stays beside it.
    world.put_back(&taken.listing).unwrap();
    assert_eq!(world.picture(), before);
    assert!(
        fs::read_dir(world.store()).unwrap().all(|entry| !entry
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with('.'))
    );
}

#[test]
fn tar_itself_reads_the_archive() {
    let world = World::new();
    world.sh("printf x > plain; setfacl -m u:7:rw plain; setfattr -n user.note -v hm plain; ln -s plain link; ln plain hard; mkdir a; printf y > a/$(printf 'f%.0s' {1..200})");
    let listing = world.take().listing;
    let before = world.picture();
    let archive = world.directory(&listing).join("files.tar.zst");
    fs::rename(world.root().join("data"), world.root().join("old")).unwrap();
    fs::create_dir(world.root().join("data")).unwrap();
    // What zstd(1) would do for tar(1).
    let mut plain = fs::File::create(world.place.path().join("plain.tar")).unwrap();
    std::io::copy(&mut pack::unpacked(&archive).unwrap(), &mut plain).unwrap();
    world.sh("tar --xattrs --xattrs-include='*' -xpf ../../plain.tar -C ..");
    let whole_seconds = |picture: &str| {
        picture.lines().map(|line| line.split(".").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(whole_seconds(&world.picture()), whole_seconds(&before));
}

#[test]
fn a_backup_is_roots_alone_and_its_list_names_no_content() {
    let world = World::new();
    fs::write(world.data(".env"), "TOKEN=s3cr3t-canary\n").unwrap();
    let listing = world.take().listing;
    let directory = world.directory(&listing);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&world.store()), mode(&directory)), (0o700, 0o700));
    for entry in fs::read_dir(&directory).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(!fs::read_to_string(directory.join("manifest.json")).unwrap().contains("canary"));
    fs::set_permissions(world.store(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(world.try_take().err().unwrap().to_string().contains("not a directory of root's alone"));
}

#[test]
fn a_byte_that_flips_and_an_end_that_is_cut_off_are_found_and_never_restored() {
    let world = World::new();
    world.sh("head -c 100000 /dev/urandom > noise; printf x > small");
    let listing = world.take().listing;
    let directory = world.directory(&listing);
    fs::write(world.data("noise"), "present").unwrap();
    for name in ["files.tar.zst", "manifest.json"] {
        let path = directory.join(name);
        let whole = fs::read(&path).unwrap();
        let length = whole.len();
        for at in [0, length / 3, length / 2, length - 2] {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            for damaged in [flipped, whole[..at].to_vec()] {
                fs::write(&path, damaged).unwrap();
                let error = world.put_back(&listing).expect_err(name).to_string();
                assert!(error.contains(&listing.id), "{error}");
                assert!(error.contains("damaged") || error.contains("cannot be trusted"), "{error}");
                assert_eq!(fs::read(world.data("noise")).unwrap(), b"present", "{name} at {at}");
            }
        }
        fs::write(&path, &whole).unwrap();
    }
    verify(&directory).unwrap();
    fs::remove_file(directory.join("files.tar.zst")).unwrap();
    assert!(verify(&directory).is_err());
}

#[test]
fn a_list_that_does_not_fit_its_archive_is_found_by_restoring_it() {
    let world = World::new();
    world.sh("printf x > one; mkdir inner");
    let listing = world.take().listing;
    let directory = world.directory(&listing);
    let forge = |change: fn(&mut Listing)| {
        let mut forged = listing.clone();
        change(&mut forged);
        forged.sum = forged.computed_sum();
        fs::write(directory.join("manifest.json"), serde_json::to_vec(&forged).unwrap()).unwrap();
        verify(&directory).unwrap_err().to_string()
    };
    assert!(forge(|listing| listing.entries.retain(|entry| entry.path.as_str() != "data/one")).contains("not listed"));
    let more = |listing: &mut Listing| {
        let mut entry = listing.entries[0].clone();
        entry.path = Name::of("data/ghost");
        listing.entries.push(entry);
    };
    assert!(forge(more).contains("are missing"));
    let other = |listing: &mut Listing| {
        for entry in &mut listing.entries {
            if let Kind::File { sha256, .. } = &mut entry.kind {
                *sha256 = "0".repeat(64);
            }
        }
    };
    assert!(forge(other).contains("not those that were backed up"));
}

#[test]
fn half_a_backup_an_unknown_one_and_none_are_told_apart() {
    let world = World::new();
    let store = world.store();
    assert!(find(&store, "app", "X").unwrap_err().to_string().contains("app has no backups"));
    let listing = world.take().listing;
    let half = ulid::Ulid::from_parts(1, 1).to_string();
    fs::create_dir(store.join(&half)).unwrap();
    let all = list(&store).unwrap();
    assert_eq!(all.iter().map(|stored| stored.id.clone()).collect::<Vec<_>>(), [half.clone(), listing.id.clone()]);
    assert!(all[0].listing.as_ref().unwrap_err().to_string().contains("half a backup"));
    assert_eq!(find(&store, "app", &listing.id[16..].to_lowercase()).unwrap().id, listing.id);
    assert!(find(&store, "app", "ZZZZ").unwrap_err().to_string().contains("no backup ZZZZ"));
    assert!(find(&store, "app", "").unwrap_err().to_string().contains("the end of 2 backups"));
    assert_eq!(prune(&store, 5, &[]), Vec::<String>::new());
    assert_eq!(list(&store).unwrap().len(), 1, "the half goes");
}

#[test]
fn the_newest_are_kept_and_whatever_is_needed() {
    let stored = |number: u128, whole: bool, place: &Path| {
        let id = ulid::Ulid::from_parts(1, number).to_string();
        let directory = place.join(&id);
        fs::create_dir(&directory).unwrap();
        if whole {
            fs::write(directory.join("manifest.json"), "{}").unwrap();
        }
        Stored { listing: open(&directory), directory, id }
    };
    let place = tempfile::tempdir().unwrap();
    let all: Vec<Stored> = (0..6).map(|number| stored(number, number != 4, place.path())).collect();
    let gone = |keep: usize, needed: &[usize]| {
        let needed: Vec<String> = needed.iter().map(|at| all[*at].id.clone()).collect();
        let gone = surplus(&all, keep, &needed);
        (0..6).filter(|at| gone.contains(&all[*at].directory)).collect::<Vec<_>>()
    };
    assert_eq!(gone(2, &[]), [0, 1, 2, 4], "the newest two that are whole stay; half a backup is none");
    assert_eq!(gone(2, &[0, 4]), [1, 2], "what is needed stays however old it is");
    assert_eq!(gone(9, &[]), [4]);
}

#[test]
fn links_are_kept_as_links_and_root_goes_through_none() {
    let world = World::new();
    fs::create_dir(world.place.path().join("private")).unwrap();
    fs::write(world.place.path().join("private/shadow"), "root's").unwrap();
    symlink("../../private", world.data("way")).unwrap();
    symlink("/etc/shadow", world.data("file")).unwrap();
    let listing = world.take().listing;
    assert_eq!(listing.entries.len(), 3, "what is behind a link is not in it");
    // The owner puts a link in the place of the directory that is restored.
    let elsewhere = world.place.path().join("elsewhere");
    fs::rename(world.root().join("data"), &elsewhere).unwrap();
    symlink(&elsewhere, world.root().join("data")).unwrap();
    fs::write(elsewhere.join("kept"), "kept").unwrap();
    world.put_back(&listing).unwrap();
    assert!(elsewhere.join("kept").exists(), "what the link led to is left alone");
    assert!(!world.root().join("data").is_symlink() && world.data("way").is_symlink());
    fs::remove_dir_all(world.root().join("data")).unwrap();
    fs::create_dir(world.root().join("real")).unwrap();
    let deeper =
        World { scope: Scope { paths: vec!["data/inner".into()], databases: vec![], volumes: vec![] }, ..world };
    symlink(&elsewhere, deeper.root().join("data")).unwrap();
    assert!(deeper.try_take().err().unwrap().to_string().contains("symbolic link"));
}

#[test]
fn pipes_and_sockets_are_named_and_left_where_they_are() {
    let world = World::new();
    world.sh("mkfifo pipe; printf x > file");
    let _socket = std::os::unix::net::UnixListener::bind(world.data("socket")).unwrap();
    let taken = world.take();
    assert_eq!(taken.warnings, ["pipes, sockets and devices are not backed up: data/pipe, data/socket"]);
    fs::remove_file(world.data("file")).unwrap();
    world.put_back(&taken.listing).unwrap();
    assert!(world.data("pipe").exists() && world.data("socket").exists() && world.data("file").exists());
}

#[test]
fn what_was_not_there_is_taken_away_and_a_path_alone_can_be_put_back() {
    let mut world = World::new();
    world.scope.paths.push("cache".into());
    world.sh("mkdir a b; printf 1 > a/one; printf 2 > b/two");
    let taken = world.take();
    assert!(taken.warnings[0].contains("not there") && taken.warnings[0].ends_with("cache"));
    world.sh(
        "mkdir ../cache; printf x > ../cache/x; printf 9 > a/one; printf 9 > b/two; printf n > a/new; printf n > b/new",
    );
    let directory = world.directory(&taken.listing);
    put_back(&directory, &world.root(), &["data/a".into()]).unwrap();
    assert_eq!(world.sh("cat a/one b/two; ls a b; ls ../cache"), "19a:\none\n\nb:\nnew\ntwo\nx");
    let error = put_back(&directory, &world.root(), &["data/c".into()]).unwrap_err();
    assert_eq!(error.kind, crate::error::Kind::Usage);
    assert!(error.to_string().contains("holds no data/c"), "{error}");
    world.put_back(&taken.listing).unwrap();
    assert_eq!(world.sh("cat a/one b/two; ls a b; test ! -e ../cache"), "12a:\none\n\nb:\ntwo");
}

#[test]
fn a_file_that_grows_while_it_is_read_is_told() {
    let world = World::new();
    fs::write(world.data("log"), vec![b'x'; 30 << 20]).unwrap();
    let path = world.data("log");
    let over = std::sync::atomic::AtomicBool::new(false);
    let taken = std::thread::scope(|scope| {
        scope.spawn(|| {
            use std::io::Write;
            let mut log = fs::File::options().append(true).open(path).unwrap();
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                log.write_all(b"line\n").unwrap();
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let taken = world.take();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        taken
    });
    assert!(taken.warnings[0].contains("written while it was backed up") && taken.warnings[0].contains("data/log"));
    verify(&world.directory(&taken.listing)).unwrap();
}

#[test]
fn what_another_account_owns_is_backed_up_and_given_back_to_it() {
    let world = World::new();
    fs::write(world.data("theirs"), "x").unwrap();
    fs::set_permissions(world.data("theirs"), fs::Permissions::from_mode(0o400)).unwrap();
    chown(world.data("theirs"), Some(65_534), Some(65_534)).unwrap();
    let listing = world.take().listing;
    fs::remove_file(world.data("theirs")).unwrap();
    world.put_back(&listing).unwrap();
    let meta = fs::metadata(world.data("theirs")).unwrap();
    assert_eq!((meta.uid(), meta.gid(), meta.permissions().mode() & 0o7777), (65_534, 65_534, 0o400));
}
