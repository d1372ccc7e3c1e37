//! A repository, an SSH key, and what is asked of them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use git2::{Oid, Repository};
use tempfile::TempDir;

use crate::host::process::{Command, Input};
use crate::manifest::{self, Install};
use crate::plan::Intent;
use crate::trust::{Assessment, Memory, Subject, assess};

/// A place with keys, a bare repository and a manifest that trusts one of the keys.
pub struct World {
    place: TempDir,
    /// What is remembered between questions.
    pub memory: Memory,
    /// Seconds since the epoch.
    pub now: i64,
    /// Known-good and activated revisions.
    pub bases: Vec<String>,
    follow: String,
}

impl World {
    /// `follow` is what the manifest says under [source.git] beside the URL, with `SIGNERS` where the file goes.
    pub fn new(follow: &str, options: &str) -> World {
        let place = tempfile::tempdir().unwrap();
        let world = World {
            place,
            memory: Memory::default(),
            now: jiff::Timestamp::now().as_second(),
            bases: Vec::new(),
            follow: follow.to_owned(),
        };
        for key in ["good", "stranger"] {
            let file = world.path(key);
            Command::new(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", key, "-f"])
                .args([&file])
                .succeed()
                .unwrap();
        }
        world.trust(options);
        world.git(&["init", "--quiet", "--bare", "--initial-branch=main", "."], b"");
        world
    }

    /// Lets the good key sign, with these options.
    pub fn trust(&self, options: &str) {
        let key = std::fs::read_to_string(self.path("good.pub")).unwrap();
        let key = key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        std::fs::write(self.path("signers"), format!("release@example.org {options} {key}\n")).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn bare(&self) -> PathBuf {
        let bare = self.path("bare");
        std::fs::create_dir_all(&bare).unwrap();
        bare
    }

    pub fn git(&self, words: &[&str], stdin: &[u8]) -> String {
        let signing = format!("user.signingkey={}", self.path("good").display());
        let mut command = Command::new(["git", "-c", "gpg.format=ssh", "-c", &signing]);
        for who in ["AUTHOR", "COMMITTER"] {
            command = command.env(&format!("GIT_{who}_NAME"), "Up").env(&format!("GIT_{who}_EMAIL"), "up@example.org");
        }
        let command = command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .args(words.iter().copied())
            .cwd(self.bare())
            .stdin(Input::Bytes(stdin.to_vec()))
            .succeed()
            .unwrap()
            .text()
    }

    /// A commit after `parents`, signed by the good key or not.
    pub fn commit(&self, message: &str, parents: &[&str], is_signed: bool) -> String {
        let tree = self.git(&["mktree"], b"");
        let mut words = vec!["commit-tree", "-m", message, &tree];
        words.extend(is_signed.then_some("-S"));
        parents.iter().for_each(|parent| words.extend(["-p", *parent]));
        self.git(&words, b"")
    }

    /// A signed tag.
    pub fn tag(&self, name: &str, commit: &str) {
        self.git(&["tag", "-f", "-s", "-m", name, name, commit], b"");
    }

    pub fn install(&self) -> Install {
        let follow = self.follow.replace("SIGNERS", &self.path("signers").display().to_string());
        let text = format!(
            "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/app.git\"\n{follow}\n[[component]]\nname = \"manager\"\npath = \"manager\"\n"
        );
        manifest::parse("app", Path::new("/etc/relift/app.toml"), &text)
            .map_err(|problems| problems.render(false))
            .unwrap()
    }

    /// What `revision` stands on where `head` is checked out; what that taught is kept.
    pub fn ask(&mut self, revision: &str, label: Option<&str>, head: &str) -> Assessment {
        let subject = Subject {
            revision,
            label,
            intent: Intent::Upgrade,
            is_settled: false,
            bases: self.bases.iter().cloned().collect::<BTreeSet<_>>(),
            head,
        };
        let found = assess(&self.install(), &self.repository(), &self.memory, &subject, self.now).unwrap();
        self.memory.learn(found.learned.clone());
        found
    }

    pub fn repository(&self) -> Repository {
        Repository::open_bare(self.bare()).unwrap()
    }

    /// The raw bytes of an object.
    pub fn raw(&self, id: &str) -> Vec<u8> {
        let repository = self.repository();
        repository.odb().unwrap().read(Oid::from_str(id).unwrap()).unwrap().data().to_vec()
    }
}

/// What keeps the subject from being installed, in one text; empty: nothing.
pub fn refused(found: &Assessment) -> String {
    found
        .blockers
        .iter()
        .map(|blocker| format!("{} -> {}", blocker.what, blocker.hint.clone().unwrap_or_default()))
        .collect()
}
