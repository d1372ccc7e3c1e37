//! The owner against root: whatever the owner swaps, whenever, root reads, changes and gives away nothing outside.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use relift::action::save_artifact;
use relift::backup::{self, Order, Reason, Scope};
use relift::host::account::Account;
use relift::host::fs::{Content, Meta, NodeKind, Rooted};

use super::figures::{Ended, Figure, rounds};

/// What only root may read.
const CANARY: &str = "s3cr3t-canary-outside";

/// Swaps, as long as it is told to: the number of rounds, each of which put something else in the place of something that
/// root works with. It prints how many it made.
const RACER: &str = r#"
import os, random, stat, sys
home, outside, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.chdir(home); os.umask(0o022)
files = ['.env', 'data/file', 'data/deep/file', 'venv/bin', '.config/systemd/user/app.service', '..env.relift-new',
         'data/.file.relift-new', 'link', 'made', 'venv']
dirs = ['data', 'data/deep', '.config', '.config/systemd', '.config/systemd/user', 'venv', 'made', 'made/deep', 'restored']
targets = [outside, outside + '/shadow', outside + '/dir', outside + '/dir/file', '/', '..', '../outside/shadow']
aside = 0
def clear(path):
    global aside
    aside += 1
    try: os.rename(path, 'aside/%d' % (aside % 64))
    except OSError:
        try: os.unlink(path)
        except OSError: pass
made = 0
print('ready', flush=True)
while made < rounds:
    kind = random.randrange(6)
    path = random.choice(dirs if kind in (0, 5) else files)
    try:
        clear(path)
        if kind == 0: os.symlink(random.choice(targets[:3] + targets[4:6]), path)
        elif kind == 1: os.symlink(random.choice(targets), path)
        elif kind == 2: os.link('own', path)
        elif kind == 3: os.mkfifo(path)
        elif kind == 4:
            with open(path, 'w') as file: file.write('mine\n')
        else:
            os.mkdir(path)
            with open(path + '/file', 'w') as file: file.write('mine\n')
    except OSError: pass
    else: made += 1
    if made % 7 == 0:
        for path in ('data', 'data/deep', '.config', '.config/systemd', '.config/systemd/user', 'venv'):
            try:
                if not stat.S_ISDIR(os.lstat(path).st_mode): clear(path)
                os.mkdir(path)
            except OSError: pass
print(made)
"#;

struct Arena {
    place: tempfile::TempDir,
    owner: Account,
}

impl Arena {
    fn new() -> Arena {
        let place = tempfile::tempdir().unwrap();
        let owner = Account::of(65_534).expect("every host has nobody");
        let arena = Arena { place, owner };
        fs::set_permissions(arena.place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for directory in ["home/data/deep", "home/venv", "home/.config/systemd/user", "home/aside", "outside/dir"] {
            fs::create_dir_all(arena.place.path().join(directory)).unwrap();
        }
        for file in ["outside/shadow", "outside/dir/file"] {
            fs::write(arena.place.path().join(file), CANARY).unwrap();
            fs::set_permissions(arena.place.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
        for file in ["home/own", "home/.env", "home/data/file"] {
            fs::write(arena.place.path().join(file), "mine\n").unwrap();
        }
        for path in everything(&arena.home()).into_iter().chain([arena.home()]) {
            chown(path, Some(arena.owner.uid), Some(arena.owner.gid)).expect("this test needs root");
        }
        arena
    }

    fn home(&self) -> PathBuf {
        self.place.path().join("home")
    }

    fn outside(&self) -> PathBuf {
        self.place.path().join("outside")
    }

    /// What root has outside, to the byte.
    fn picture(&self) -> Vec<String> {
        let line = |path: PathBuf| {
            let meta = fs::symlink_metadata(&path).unwrap();
            let bytes = if meta.is_file() { fs::read_to_string(&path).unwrap() } else { String::new() };
            format!("{path:?} {} {} {:o} {} {} {bytes}", meta.uid(), meta.gid(), meta.mode(), meta.ino(), meta.nlink())
        };
        let mut lines: Vec<String> =
            everything(&self.outside()).into_iter().chain([self.outside()]).map(line).collect();
        lines.sort();
        lines
    }

    fn race(&self, rounds: usize) -> Child {
        let mut child = Command::new("python3")
            .args(["-c", RACER])
            .args([self.home().as_os_str(), self.outside().as_os_str()])
            .arg(rounds.to_string())
            .uid(self.owner.uid)
            .gid(self.owner.gid)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut word = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ready\n");
        child
    }

    /// One of everything that root does in a directory of another account; whether any of it succeeded, and what was read.
    fn work(&self, turn: usize, read: &mut Vec<u8>) -> usize {
        let Ok(home) = Rooted::open(&self.home()) else { return 0 };
        let (uid, gid) = (self.owner.uid, self.owner.gid);
        let mut done = 0;
        let mut count = |succeeded: bool| done += usize::from(succeeded);
        for path in [".env", "data/file", "data/deep/file", ".config/systemd/user/app.service"].map(Path::new) {
            if let Ok(Some(content)) = home.read(path) {
                read.extend(content.bytes);
                count(true);
            }
            count(home.replace(path, &Content::new(b"new\n".to_vec(), 0o640, uid, gid)).is_ok());
            count(home.remove_temporary(path).is_ok());
            if let Ok(Some((mut file, _))) = home.open_file(path) {
                count(file.read_to_end(read).is_ok());
            }
        }
        let meta = Meta { mode: 0o644, uid, gid, mtime: (1, 1), xattrs: Vec::new() };
        if let Ok(fresh) = home.fresh(Path::new("data/file")) {
            count(fresh.settle(&meta).is_ok());
        }
        count(home.make_directories(Path::new(".config/systemd/user"), uid, gid).is_ok());
        count(home.make_directories(Path::new("made/deep/er"), uid, gid).is_ok());
        count(home.make_link(Path::new("link"), Path::new("data"), uid, gid).is_ok());
        count(home.place_link(Path::new("data/link"), &"file".into(), &meta).is_ok());
        count(home.place_hard_link(Path::new("data/second"), Path::new("data/file")).is_ok());
        count(home.make_directory(Path::new("restored")).is_ok());
        count(home.dress_directory(Path::new("restored"), &Meta { mode: 0o755, ..meta }).is_ok());
        count(home.entries(Path::new("data")).is_ok());
        count(home.node(Path::new("data/file")).is_ok_and(|node| node.is_some_and(|node| node.kind == NodeKind::File)));
        count(home.remove(Path::new(".env")).is_ok());
        count(home.remove_tree(Path::new("made")).is_ok());
        count(home.remove_tree(Path::new("restored")).is_ok());
        count(home.remove_empty_directory(Path::new("data/deep")).is_ok());
        count(home.remove(Path::new("link")).is_ok());
        if turn.is_multiple_of(4) {
            count(self.back_up().is_ok());
            let archive = self.place.path().join("venv.tar");
            count(save_artifact(&self.owner, &self.home(), Path::new("venv"), &archive).is_ok());
            read.extend(fs::read(&archive).unwrap_or_default());
            fs::remove_file(&archive).unwrap_or_default();
        }
        done
    }

    /// A backup of what is raced for, put back at once.
    fn back_up(&self) -> relift::Result<()> {
        let (store, cache) = (self.place.path().join("store"), self.place.path().join("cache"));
        let scope = Scope { paths: vec!["data".into(), ".env".into()], databases: Vec::new(), volumes: Vec::new() };
        let taken = backup::take(&Order {
            store: &store,
            cache: &cache,
            id: backup::next_id(&store)?,
            install: "app",
            run: None,
            reason: Reason::ByHand,
            root: &self.home(),
            owner: &self.owner,
            scope: &scope,
        });
        let result =
            taken.and_then(|taken| backup::put_back(&store.join(&taken.listing.id), &self.home(), &[]).map(drop));
        fs::remove_dir_all(&store).unwrap_or_default();
        result
    }
}

/// Everything below a directory, through no link.
fn everything(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(everything(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

#[test]
fn an_owner_who_swaps_what_root_works_with_gets_at_nothing_outside() {
    let arena = Arena::new();
    let before = arena.picture();
    let mut racer = arena.race(rounds(5_000, 100_000));
    let (mut read, mut turns, mut done) = (Vec::new(), 0, 0);
    let mut wrong = Vec::new();
    let contains = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
    while racer.try_wait().unwrap().is_none() {
        done += arena.work(turns, &mut read);
        turns += 1;
        if contains(&read) {
            wrong.push(format!("turn {turns} read what is outside"));
        }
        read.clear();
        if arena.picture() != before {
            wrong.push(format!("turn {turns} changed what is outside: {:#?}", arena.picture()));
            break;
        }
    }
    // After a change outside there is nothing left to prove.
    racer.kill().unwrap_or_default();
    let mut said = String::new();
    racer.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    racer.wait().unwrap();
    let made: usize = said.trim().parse().unwrap_or(0);
    assert_eq!(arena.picture(), before, "what is outside");
    for path in everything(&arena.home()) {
        let is_file = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file());
        if is_file && contains(&fs::read(&path).unwrap()) {
            wrong.push(format!("{} holds what is outside", path.display()));
        }
    }
    println!("{made} rounds of the racer, {turns} turns of root's with {done} operations that succeeded");
    assert!(turns >= 10 && done > turns, "root did something: {done} operations in {turns} turns");
    let injected = "a link, a directory, a second name or a pipe put in the place of what root reads, writes, backs up and restores";
    let mut figure = Figure::new("racer", injected, "the owner's directories");
    let kept = made.saturating_sub(wrong.len());
    (0..kept).for_each(|_| figure.count(Ok(Ended::Old)));
    wrong.into_iter().for_each(|wrong| figure.count(Err(wrong)));
    assert!(made > 0, "the racer ended: {said}");
    figure.publish();
}
