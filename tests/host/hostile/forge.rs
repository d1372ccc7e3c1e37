//! Objects that no git would make, written into the sample's upstream repository.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::harness::Host;

/// An entry of a tree object: mode, name, object, each as it is written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub mode: Vec<u8>,
    pub name: Vec<u8>,
    pub oid: String,
}

impl Entry {
    /// An entry with any mode and name.
    pub fn new(mode: &str, name: impl AsRef<[u8]>, oid: &str) -> Entry {
        Entry { mode: mode.into(), name: name.as_ref().to_owned(), oid: oid.to_owned() }
    }

    /// By what git sorts: a directory's name as if a slash were behind it.
    fn order(&self) -> Vec<u8> {
        let slash: &[u8] = if self.mode == b"40000" { b"/" } else { b"" };
        [&self.name, slash].concat()
    }
}

/// The upstream repository of a host, from outside.
pub struct Forge {
    bare: PathBuf,
}

impl Forge {
    pub fn of(host: &Host) -> Forge {
        Forge { bare: PathBuf::from(format!("/proc/{}/root{}", host.twin().init(), host.site().bare.display())) }
    }

    /// git on the bare repository, with `stdin`; what it printed.
    #[track_caller]
    pub fn git_with(&self, words: &[&str], stdin: &[u8]) -> Vec<u8> {
        let mut command = Command::new("git");
        command.args(["-c", "core.protectHFS=false", "-c", "core.protectNTFS=false", "-c", "gc.auto=0"]);
        command.env("GIT_DIR", &self.bare).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        command.args(words).current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let bytes = stdin.to_owned();
        let feed = std::thread::spawn(move || pipe.write_all(&bytes));
        let output = child.wait_with_output().unwrap();
        drop(feed.join());
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// The same without input, as text.
    #[track_caller]
    pub fn git(&self, words: &[&str]) -> String {
        String::from_utf8_lossy(&self.git_with(words, b"")).trim_end().to_owned()
    }

    /// Writes an object of any kind and content, whole or not; its id.
    #[track_caller]
    pub fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let out = self.git_with(&["hash-object", "-t", kind, "--literally", "-w", "--stdin"], bytes);
        String::from_utf8_lossy(&out).trim_end().to_owned()
    }

    pub fn blob(&self, bytes: impl AsRef<[u8]>) -> String {
        self.object("blob", bytes.as_ref())
    }

    /// A tree with these entries, in this order, whatever they are.
    pub fn tree(&self, entries: &[Entry]) -> String {
        let mut bytes = Vec::new();
        for entry in entries {
            bytes.extend([&entry.mode[..], b" ", &entry.name, b"\0"].concat());
            bytes.extend((0..20).map(|at| u8::from_str_radix(&entry.oid[2 * at..2 * at + 2], 16).unwrap()));
        }
        self.object("tree", &bytes)
    }

    /// The entries of a tree; `directory` is below the branch's tip, empty for the top.
    pub fn entries(&self, directory: &str) -> Vec<Entry> {
        let listed = self.git_with(&["ls-tree", "-z", &format!("main:{directory}")], b"");
        let entries = listed.split(|byte| *byte == 0).filter(|line| !line.is_empty());
        let entry = |line: &[u8]| {
            let tab = line.iter().position(|byte| *byte == b'\t').unwrap();
            let meta: Vec<_> = line[..tab].split(|byte| *byte == b' ').collect();
            let mode = std::str::from_utf8(meta[0]).unwrap().trim_start_matches('0');
            Entry::new(mode, &line[tab + 1..], std::str::from_utf8(meta[2]).unwrap())
        };
        entries.map(entry).collect()
    }

    /// The tip's tree, with the entries of one directory changed and sorted again.
    pub fn changed(&self, directory: &str, change: impl FnOnce(&mut Vec<Entry>)) -> String {
        let mut entries = self.entries(directory);
        change(&mut entries);
        entries.sort_by_key(Entry::order);
        self.grafted(directory, &self.tree(&entries))
    }

    /// The tip's tree, with another tree in the place of a directory.
    pub fn grafted(&self, directory: &str, tree: &str) -> String {
        if directory.is_empty() {
            return tree.to_owned();
        }
        let (parent, name) = directory.rsplit_once('/').unwrap_or(("", directory));
        self.changed(parent, |entries| {
            entries.retain(|entry| entry.name != name.as_bytes());
            entries.push(Entry::new("40000", name, tree));
        })
    }

    /// A commit after the branch's tip; its id.
    pub fn commit(&self, tree: &str) -> String {
        let parent = self.git(&["rev-parse", "main"]);
        self.object("commit", commit_text(tree, &parent).as_bytes())
    }

    /// Moves a ref.
    pub fn set(&self, name: &str, oid: &str) {
        // Not by git, which would look at what it is.
        let path = self.bare.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{oid}\n")).unwrap();
    }

    /// Publishes a tree: a commit of it is the branch's tip.
    pub fn publish(&self, tree: &str) -> String {
        let commit = self.commit(tree);
        self.set("refs/heads/main", &commit);
        commit
    }

    /// Publishes the tip with one more entry, or another for the name.
    pub fn plant(&self, directory: &str, entry: Entry) -> String {
        let tree = self.changed(directory, |entries| {
            entries.retain(|known| known.name != entry.name);
            entries.push(entry);
        });
        self.publish(&tree)
    }

    /// Publishes the tip with a file.
    pub fn file(&self, path: &str, bytes: impl AsRef<[u8]>) -> String {
        self.with_mode(path, "100644", bytes)
    }

    /// Publishes the tip with a symbolic link.
    pub fn link(&self, path: &str, to: impl AsRef<[u8]>) -> String {
        self.with_mode(path, "120000", to)
    }

    fn with_mode(&self, path: &str, mode: &str, bytes: impl AsRef<[u8]>) -> String {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.plant(directory, Entry::new(mode, name, &self.blob(bytes)))
    }

    /// A file at the tip.
    pub fn read(&self, path: &str) -> String {
        self.git(&["cat-file", "blob", &format!("main:{path}")])
    }
}

/// A commit as git writes one.
pub fn commit_text(tree: &str, parent: &str) -> String {
    let who = "Sample <sample@example.org> 1767300000 +0000";
    format!("tree {tree}\nparent {parent}\nauthor {who}\ncommitter {who}\n\nHostile\n")
}
