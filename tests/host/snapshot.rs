//! Everything of an install that an upgrade may change, as comparable lines.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::harness::Host;

/// What is there: a subject, and its state in words. Times are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// The state of the sample on `host`.
    pub fn of(host: &Host) -> Snapshot {
        let site = host.site();
        let mut lines = BTreeMap::new();
        // Where each release has a directory of its own, there is no checkout.
        let top = site.root.strip_suffix("/current");
        if top.is_none() {
            git(host, &mut lines);
        }
        // Through PID 1's root, so that nothing has to be started in the host; no link is followed on the way.
        let root = format!("/proc/{}/root", host.twin().init());
        let home = host.must(&format!("getent passwd {} | cut -d: -f6", site.account));
        for directory in [top.unwrap_or(&site.root), "/etc/systemd/system", &format!("{home}/.config/systemd/user")] {
            walk(Path::new(&root), Path::new(directory), &mut lines);
        }
        if top.is_none() {
            attributes(host, &mut lines);
        }
        let lingers = format!("test -e /var/lib/systemd/linger/{} && echo yes || echo no", site.account);
        lines.insert("lingering".into(), host.must(&lingers));
        let runs = format!("test -S /run/user/$(id -u {})/systemd/private && echo yes || echo no", site.account);
        let has_manager = host.must(&runs);
        lines.insert("user manager".into(), has_manager.clone());
        for (scope, unit) in [
            ("system", "sample-manager.service"),
            ("system", "sample-runner.service"),
            ("user", "sample-runner.service"),
        ] {
            if scope == "user" && has_manager == "no" {
                continue;
            }
            let show =
                "show -p ActiveState -p SubState -p UnitFileState -p FragmentPath -p DropInPaths -p NeedDaemonReload";
            let out = match scope {
                "user" => host.sh_as(&site.account, &format!("systemctl --user {show} {unit}")),
                _ => host.sh(&format!("systemctl {show} {unit}")),
            };
            for (key, value) in out.exits(0).stdout.lines().filter_map(|line| line.split_once('=')) {
                lines.insert(format!("{scope} unit {unit} {key}"), value.to_owned());
            }
        }
        Snapshot(lines)
    }

    /// What differs, one line each; empty where nothing does.
    pub fn difference(&self, other: &Snapshot) -> String {
        let subjects: std::collections::BTreeSet<_> = self.0.keys().chain(other.0.keys()).collect();
        let lines =
            subjects.into_iter().filter(|subject| self.0.get(*subject) != other.0.get(*subject)).map(|subject| {
                let [old, new] = [self, other].map(|side| side.0.get(subject).map_or("(absent)", String::as_str));
                format!("{subject}: {old} -> {new}\n")
            });
        lines.collect()
    }

    /// Makes sure that `other` is the same.
    #[track_caller]
    pub fn assert_same(&self, other: &Snapshot) {
        let difference = self.difference(other);
        assert!(difference.is_empty(), "not as before:\n{difference}");
    }
}

fn git(host: &Host, lines: &mut BTreeMap<String, String>) {
    let site = host.site();
    let script = format!(
        "cd {} && git rev-parse HEAD && git rev-parse --abbrev-ref HEAD && (git sparse-checkout list 2>/dev/null | tr '\\n' ' '; echo)
         echo status; git status --porcelain --ignored --untracked-files=all
         echo index; git -c core.quotePath=true ls-files --stage -t",
        site.root
    );
    let text = host.sh_as(&site.account, &script).exits(0).stdout;
    let mut part = "";
    for (at, line) in text.lines().enumerate() {
        match (at, line) {
            (0..3, _) => drop(lines.insert(format!("git {}", ["HEAD", "branch", "cone"][at]), line.to_owned())),
            (_, "status" | "index") => part = if line == "index" { "index" } else { "status" },
            _ if part == "index" => {
                let (state, path) = line.split_once('\t').unwrap_or((line, ""));
                lines.insert(format!("git index {path}"), state.to_owned());
            }
            _ => drop(lines.insert(format!("git status {}", line.get(3..).unwrap_or(line)), line.to_owned())),
        }
    }
}

/// Extended attributes, ACLs among them, of what is in the checkout; and what would keep git or its owner from working there.
fn attributes(host: &Host, lines: &mut BTreeMap<String, String>) {
    let site = host.site();
    let script = format!(
        "cd {}; getfattr --recursive --physical --no-dereference --absolute-names --dump --encoding=hex --match=- {0}
         find .git -name '*.lock' -printf '# file: %p\\nlock\\n' -o ! -user {} -printf '# file: %p\\nof %u\\n'",
        site.root, site.account
    );
    let text = host.sh(&script).exits(0).stdout;
    let mut file = "";
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("# file: ") {
            Some(named) => file = named,
            None => drop(lines.insert(format!("{file} attribute {line}"), String::new())),
        }
    }
}

/// Kind, mode, owner, and content of everything below `path` but `.git`.
fn walk(root: &Path, path: &Path, lines: &mut BTreeMap<String, String>) {
    let place = root.join(path.strip_prefix("/").unwrap());
    let Ok(meta) = fs::symlink_metadata(&place) else { return };
    let content = match meta.file_type() {
        kind if kind.is_symlink() => format!("-> {}", fs::read_link(&place).unwrap().display()),
        kind if kind.is_file() => {
            Sha256::digest(fs::read(&place).unwrap()).iter().map(|byte| format!("{byte:02x}")).collect()
        }
        kind if kind.is_dir() => "directory".into(),
        kind => format!("{kind:?}"),
    };
    let mode = meta.mode() & 0o7777;
    lines.insert(path.display().to_string(), format!("{mode:o} {}:{} {content}", meta.uid(), meta.gid()));
    if meta.is_dir() {
        let mut entries: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        entries.retain(|name| name != ".git");
        entries.sort();
        entries.iter().for_each(|name| walk(root, &path.join(name), lines));
    }
}
