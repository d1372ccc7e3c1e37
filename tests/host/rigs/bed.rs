//! A host on which a rig breaks runs again and again, without booting a new one: what it may look like after each, and
//! how one is killed with everything that it started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use relift::sample::Site;

use super::figures::Ended;
use crate::crash::{poor, rich};
use crate::harness::{Host, Out};
use crate::snapshot::Snapshot;

/// What runs of a bed are begun with; without arguments of their own they belong to `relift`.
pub const UPGRADE: &str = "upgrade app --yes";
/// To a release that dies in its gate.
pub const FAIL: &str = "upgrade app --yes --to bad";
/// From 1.1.0 to 1.0.0.
pub const ROLLBACK: &str = "rollback app --yes";

/// The control group of what is to be killed, in the host.
const GROUP: &str = "/sys/fs/cgroup/rig";
/// How long a killed group may take to be empty.
const EMPTY: Duration = Duration::from_secs(10);

/// How many hosts share so many rounds. Two keep a small machine busy; for a few rounds a second one costs more than it saves.
pub fn hosts(rounds: usize) -> usize {
    if rounds > 30 { 2 } else { 1 }
}

/// A host with 1.0.0, on which 1.1.0 and what fails were tried once: it knows both states to the byte.
pub struct Bed {
    pub host: Host,
    old: Snapshot,
    new: Snapshot,
}

impl Bed {
    /// Boots, installs 1.0.0, publishes 1.1.0 and a release that fails, goes to 1.1.0 and back.
    pub fn new() -> Bed {
        let mut site = Site::new("app");
        (site.soak, site.sparse) = (0, true);
        Bed::with_site(site)
    }

    /// The same for a site of another shape.
    pub fn with_site(site: Site) -> Bed {
        let mut host = Host::boot();
        host.settle(site, poor);
        // What git does not track, ignored and not, everywhere where a switch could step on it.
        host.must(
            "cd /opt/app; install -d -o app -g app manager/data/deep; echo precious > manager/data/db; echo more > manager/data/deep/er
             echo mine > notes.txt; echo mine > runner/notes.txt; mkdir -m 700 manager/local; echo kept > manager/local/file
             ln -s ../manager/data runner/data; chmod 600 manager/data/db
             chown -R app: manager/data manager/local; chown app: notes.txt runner/notes.txt; chown -h app: runner/data
             setfattr -n user.kept -v yes notes.txt; setfacl -m u:nobody:r manager/.env",
        );
        let unit = include_str!("../../../units/relift-recover.service");
        host.write("/usr/lib/systemd/system/relift-recover.service", unit, 0o644, "root:root");
        host.must("systemctl daemon-reload; systemctl --quiet enable relift-recover");
        host.release(rich);
        host.release(|release| {
            release
                .next("1.2.0")
                .behaviour("manager", "die-after 20ms")
                .env_key("manager", "LATE", "1", "Late.")
                .on_branch("next")
                .tag("bad")
        });
        let old = host.snapshot();
        let bed = Bed { new: old.clone(), old, host };
        bed.calm();
        bed.host.sh(&format!("relift {UPGRADE}")).exits(0);
        let new = bed.host.snapshot();
        assert!(!bed.old.difference(&new).is_empty());
        bed.host.sh(&format!("relift {ROLLBACK}")).exits(0);
        bed.old.assert_same(&bed.host.snapshot());
        let bed = Bed { new, ..bed };
        bed.calm();
        bed
    }

    /// Forgets how often the services were started: the limit is for a crash loop, which this is not.
    pub fn calm(&self) {
        self.host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
    }

    /// Begins a run of relift in a control group of its own, `script` before it in its shell, `exec` or the program that runs it last.
    pub fn begin(&self, script: &str, arguments: &str) -> Begun<'_> {
        let log = tempfile::NamedTempFile::new().unwrap();
        let line = format!("mkdir -p {GROUP}; echo $$ > {GROUP}/cgroup.procs; {script} relift {arguments}");
        let mut command = self.host.twin().attached(["sh", "-c", &line]);
        let output = log.reopen().unwrap();
        command.stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        Begun { bed: self, line, log, begun: Instant::now(), child: command.spawn().unwrap() }
    }

    /// Recovers, and says how it ended: exactly old or exactly new, every service up and answering, nothing of a run left.
    pub fn recovered(&self) -> Result<Ended, String> {
        let out = self.host.sh("exec relift recover app");
        match out.code {
            0 => self.judge().map_err(|wrong| format!("{wrong}{out}")),
            code => Err(format!("recover exited with {code}\n{out}")),
        }
    }

    /// What the host is now.
    pub fn judge(&self) -> Result<Ended, String> {
        let now = self.host.snapshot();
        let [from_old, from_new] = [&self.old, &self.new].map(|state| state.difference(&now));
        let (ended, version) = match (from_old.is_empty(), from_new.is_empty()) {
            (true, _) => (Ended::Old, "1.0.0"),
            (_, true) => (Ended::New, "1.1.0"),
            _ if from_old.len() < from_new.len() => return Err(format!("neither; from old:\n{from_old}")),
            _ => return Err(format!("neither; from new:\n{from_new}")),
        };
        self.serves(version)?;
        let left = self.host.must(
            "systemctl list-units --all --plain --no-legend 'relift-*' | grep -v ^relift-recover; ls -A /opt/app/.git/*.lock 2>/dev/null; true",
        );
        match left.is_empty() {
            true => Ok(ended),
            false => Err(format!("this is left: {left}\n")),
        }
    }

    /// Both services answer this version, as soon as they listen.
    fn serves(&self, version: &str) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        for component in ["manager", "runner"] {
            while self.host.answers(component).as_deref() != Some(version) {
                if Instant::now() > deadline {
                    return Err(format!("{component} answers {:?}, not {version}\n", self.host.answers(component)));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// A path in the host, from here.
    pub fn path(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.host.twin().init()))
    }

    /// SIGKILL for every process of a control group, at once; cgroups(7), `cgroup.kill`.
    fn kill(&self, group: &Path) {
        // It may be gone by now, and everything in it with it.
        fs::write(group.join("cgroup.kill"), "1").unwrap_or_default();
    }

    /// The same for the units in which steps of runs live just now.
    fn kill_steps(&self) {
        let slice = fs::read_dir(self.path("/sys/fs/cgroup/system.slice")).unwrap();
        let steps = slice.flatten().filter(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            name.starts_with("relift-") && !name.starts_with("relift-deadman")
        });
        steps.for_each(|entry| self.kill(&entry.path()));
    }
}

/// A run of relift that goes on.
pub struct Begun<'a> {
    bed: &'a Bed,
    line: String,
    log: tempfile::NamedTempFile,
    pub begun: Instant,
    child: Child,
}

impl Begun<'_> {
    /// Kills it and everything that it started, wherever that went, and, if asked, the steps in units of their own. Returns
    /// when nothing of it is left but those, and how it ended.
    pub fn kill(self, with_steps: bool) -> Out {
        let group = self.bed.path(GROUP);
        self.bed.kill(&group);
        if with_steps {
            self.bed.kill_steps();
        }
        let deadline = Instant::now() + EMPTY;
        while fs::read_to_string(group.join("cgroup.events")).is_ok_and(|events| events.contains("populated 1")) {
            assert!(Instant::now() < deadline, "what was killed lives: {}", self.line);
            std::thread::sleep(Duration::from_millis(1));
        }
        self.ended()
    }

    /// Leaves it to a reboot of its host; where its output is.
    pub fn abandon(self) -> tempfile::TempPath {
        let Begun { log, mut child, .. } = self;
        // It ends with its host.
        std::thread::spawn(move || child.wait());
        log.into_temp_path()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Out {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + Duration::from_secs(120);
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.line);
            std::thread::sleep(Duration::from_millis(5));
        };
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        let text = fs::read_to_string(self.log.path()).unwrap_or_default();
        Out { line: self.line, code, stdout: text, stderr: String::new() }
    }
}

/// The directory of the newest run of a host, from here.
pub fn newest(host: &Host) -> Option<PathBuf> {
    let runs = fs::read_dir(format!("/proc/{}/root/var/lib/relift/app/runs", host.twin().init())).ok()?;
    runs.flatten().map(|entry| entry.path()).max()
}

/// Whether a run has a record, by how its file's name ends.
pub fn has(run: &Path, record: &str) -> bool {
    let is_it = |entry: fs::DirEntry| entry.file_name().to_string_lossy().ends_with(record);
    fs::read_dir(run).is_ok_and(|entries| entries.flatten().any(is_it))
}

/// Waits until a run after `before` has a record; its directory.
pub fn until_record(host: &Host, before: Option<&Path>, record: &str) -> PathBuf {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match newest(host).filter(|run| Some(run.as_path()) != before && has(run, record)) {
            Some(run) => return run,
            None => assert!(Instant::now() < deadline, "{record} did not come"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
