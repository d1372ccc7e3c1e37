//! A host whose state, checkout, `.env` and units lie on disks that lose their power, and what must be true of it then.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relift::sample::Site;

use super::disk::{Disk, Kind, inside};
use super::figures::Ended;
use crate::crash::{poor, rich};
use crate::harness::{Host, Out};
use crate::snapshot::Snapshot;

/// The control group of the run that loses its power.
const GROUP: &str = "/sys/fs/cgroup/cut";
/// Where the run's state lies.
const STATE: &str = "/var/lib/relift";
/// The checkout with its `.env`.
const CHECKOUT: &str = "/opt/app";
/// Where units are.
const UNITS: [&str; 2] = ["/etc/systemd/system", "/home/app/.config/systemd/user"];
/// Everything that a run writes to, on one disk.
pub const TOGETHER: &[&[&str]] = &[&[STATE, CHECKOUT, UNITS[0], UNITS[1]]];
/// The state on a disk of its own: nothing orders its writes and those of the rest but the engine.
pub const STATE_APART: &[&[&str]] = &[&[STATE], &[CHECKOUT, UNITS[0], UNITS[1]]];
/// State, checkout and units on a disk each.
pub const ALL_APART: &[&[&str]] = &[&[STATE], &[CHECKOUT], &UNITS];
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A host with 1.0.0 on its disks and 1.1.0 upstream, which was on 1.1.0 once: it knows both to the byte.
pub struct Bench {
    pub host: Host,
    /// Each with where it is mounted, and the places that lie on it.
    pub disks: Vec<(Disk, &'static str, Vec<&'static str>)>,
    old: Snapshot,
    new: Snapshot,
    /// The records of a whole run, in order: `00001-begin`.
    pub records: Vec<String>,
    /// How long a whole run takes.
    pub time: Duration,
}

impl Bench {
    /// With these places on a disk each: [`TOGETHER`], [`STATE_APART`] or [`ALL_APART`].
    pub fn new(kind: Kind, places: &[&[&'static str]]) -> Bench {
        let mut site = Site::new("app");
        (site.soak, site.sparse) = (0, true);
        let mut host = Host::boot();
        host.settle(site, poor);
        // What git does not track, ignored and not.
        host.must(
            "cd /opt/app; install -d -o app -g app manager/data; echo precious > manager/data/db; echo mine > notes.txt
             chown app: manager/data/db notes.txt; chmod 600 manager/data/db",
        );
        Bench::on(host, kind, places)
    }

    /// The same with each release in a directory of its own, `current` leading to the one that runs.
    pub fn in_releases(kind: Kind, places: &[&[&'static str]]) -> Bench {
        let mut host = Host::boot();
        host.settle_in_releases("app", poor);
        host.must("echo precious > /opt/app/shared/manager/data/db; chown app: /opt/app/shared/manager/data/db");
        Bench::on(host, kind, places)
    }

    fn on(mut host: Host, kind: Kind, places: &[&[&'static str]]) -> Bench {
        host.release(rich);
        let mounts = ["/mnt/0", "/mnt/1", "/mnt/2"].into_iter().zip(places);
        let disks: Vec<_> = mounts.map(|(at, places)| (Disk::format(kind), at, places.to_vec())).collect();
        host.must(&format!("mkdir -p {GROUP}; {}", stop_services()));
        for (disk, at, places) in &disks {
            disk.mount(&host, at);
            for place in places {
                host.must(&format!(
                    "mkdir -p {place} $(dirname {at}{place}); cp -a {place} {at}{place}; mount --bind {at}{place} {place}"
                ));
            }
        }
        host.must(&start_services());
        let mut bench =
            Bench { old: host.snapshot(), new: host.snapshot(), host, disks, records: vec![], time: PATIENCE };
        bench.settled("1.0.0").unwrap();
        bench.old = bench.host.snapshot();
        bench.unmount();
        bench.disks.iter().for_each(|(disk, ..)| disk.keep());
        bench.mount();
        let begun = Instant::now();
        bench.host.relift(&["upgrade", "app", "--yes"]).exits(0);
        bench.time = begun.elapsed();
        bench.settled("1.1.0").unwrap();
        bench.new = bench.host.snapshot();
        bench.records = bench.there().pop().unwrap();
        bench.restore();
        bench.settled("1.0.0").unwrap();
        bench.old.assert_same(&bench.host.snapshot());
        bench
    }

    /// Puts the disks back to 1.0.0, as they were when the bench was made, and boots.
    pub fn restore(&self) {
        self.unmount();
        self.disks.iter().for_each(|(disk, ..)| disk.restore());
        self.mount();
    }

    /// Makes everything durable that others left unflushed, as `git status` does with the index.
    pub fn sync(&self) {
        self.disks
            .iter()
            .for_each(|(_, at, _)| relift::host::fs::sync_filesystem(inside(&self.host, at).as_ref()).unwrap());
    }

    /// Starts a run in a control group of its own, killed at a point of its journal where there is one.
    pub fn start(&self, point: Option<&str>) -> Child {
        let point = point.map_or_else(String::new, |point| format!("RELIFT_KILL_AT={point}"));
        let script = format!(
            "echo $$ > {GROUP}/cgroup.procs; systemctl reset-failed; exec env {point} relift upgrade app --yes >/tmp/run 2>&1"
        );
        let mut command = self.host.twin().attached(["sh", "-c", &script]);
        command.stdin(Stdio::null()).spawn().unwrap()
    }

    /// Waits until a run ended by itself; its exit status, 137 for one that was killed.
    pub fn wait(&self, run: &mut Child, at_most: Duration) -> Option<i32> {
        use std::os::unix::process::ExitStatusExt;
        let deadline = Instant::now() + at_most;
        loop {
            if let Some(status) = run.try_wait().unwrap() {
                return Some(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()));
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Cuts the power: the filesystems first, then every process of the run and of the services.
    pub fn cut(&self, run: &mut Child) {
        self.shut_down();
        run.wait().unwrap();
        self.unmount();
    }

    /// Cuts the power while nothing runs but the services.
    pub fn cut_power(&self) {
        self.shut_down();
        self.unmount();
    }

    fn shut_down(&self) {
        self.disks.iter().for_each(|(disk, at, _)| disk.cut(&self.host, at));
        let slice = inside(&self.host, "/sys/fs/cgroup/system.slice");
        let steps = fs::read_dir(slice).unwrap().flatten().map(|entry| entry.path());
        let steps =
            steps.filter(|path| path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"relift-")));
        for group in steps.chain([inside(&self.host, GROUP).into()]) {
            // A step may just have ended.
            fs::write(group.join("cgroup.kill"), "1").unwrap_or_default();
        }
    }

    /// Stops what runs from the disks and takes them away.
    fn unmount(&self) {
        let places = self.disks.iter().flat_map(|(_, at, places)| places.iter().chain([at]));
        let places: Vec<&str> = places.copied().collect();
        self.host.must(&format!("{}; umount -l {}", stop_services(), places.join(" ")));
        self.disks.iter().for_each(|(disk, ..)| disk.wait_until_released());
    }

    /// Mounts the disks, and starts what a boot would.
    pub fn mount(&self) {
        self.mount_alone();
        self.boot();
    }

    /// Mounts the disks; their logs are replayed.
    pub fn mount_alone(&self) {
        for (disk, at, places) in &self.disks {
            disk.mount(&self.host, at);
            let binds = places.iter().map(|place| format!("mount --bind {at}{place} {place}; "));
            self.host.must(&format!("set -e; {}", binds.collect::<String>()));
        }
    }

    /// Starts what a boot would; what cannot be started shows later.
    pub fn boot(&self) {
        self.host.sh(&start_services());
    }

    /// Waits until both components answer with a version.
    pub fn settled(&self, version: &str) -> Result<(), String> {
        let deadline = Instant::now() + Duration::from_secs(15);
        for component in ["manager", "runner"] {
            while self.host.answers(component).as_deref() != Some(version) {
                if Instant::now() > deadline {
                    return Err(format!("{component} does not answer {version}"));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// The records of each run, oldest first, by name.
    pub fn there(&self) -> Vec<Vec<String>> {
        let names = |path: &Path| {
            let entries = fs::read_dir(path).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
            let mut names: Vec<String> =
                entries.iter().map(|entry: &fs::DirEntry| entry.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        let runs = inside(&self.host, &format!("{STATE}/app/runs"));
        let records = |run: &String| {
            let names = names(&Path::new(&runs).join(run));
            names.iter().filter_map(|name| Some(name.strip_suffix(".json")?.to_owned())).collect()
        };
        names(Path::new(&runs)).iter().map(records).collect()
    }

    /// What a run and its recovery left: exactly old or exactly new, or in words what is wrong.
    pub fn ended(&self) -> Result<Ended, String> {
        let version = self.host.read(&format!("{}/manager/VERSION", self.host.site().root)).trim().to_owned();
        let settled = self.settled(&version);
        let now = self.host.snapshot();
        let (old, new) = (self.old.difference(&now), self.new.difference(&now));
        let ended = match (old.is_empty(), new.is_empty()) {
            (true, _) => Ended::Old,
            (_, true) => Ended::New,
            _ if old.lines().count() <= new.lines().count() => return Err(format!("not as before:\n{old}{settled:?}")),
            _ => return Err(format!("not as the release says:\n{new}{settled:?}")),
        };
        settled?;
        self.whole(ended)?;
        Ok(ended)
    }

    /// The repositories are whole; a known-good release has its tag, its pin and its entry, or nothing of them.
    fn whole(&self, ended: Ended) -> Result<(), String> {
        let fsck = self.host.sh(
            "set -e; ! [ -e /opt/app/.git ] || runuser -u app -- git -C /opt/app fsck --full --strict --no-dangling --no-progress
             ! [ -e /var/lib/relift/app/mirror.git/HEAD ] || git -C /var/lib/relift/app/mirror.git fsck --full --strict --no-dangling --no-progress",
        );
        // It says of the mirror that its HEAD is nobody's, and that nothing was fetched yet.
        let is_clean = fsck.stderr.lines().all(|line| line.starts_with("notice: "));
        if fsck.code != 0 || !fsck.stdout.is_empty() || !is_clean {
            return Err(format!("a repository is not whole: {fsck}"));
        }
        // What relift itself installed is known-good before.
        let before = usize::from(!self.has_checkout());
        let wanted = if ended == Ended::New { 2 } else { before };
        let (tags, listed) = self.promised()?;
        if (self.has_checkout() && tags != listed) || listed.len() != wanted {
            return Err(format!("tags: {tags:?}; the ledger: {listed:?}"));
        }
        if !self.has_checkout() {
            return Ok(());
        }
        let git = "runuser -u app -- git -C /opt/app";
        let upstream = match ended {
            Ended::New => format!("[ $({git} rev-parse origin/main) = $({git} rev-parse HEAD) ]"),
            _ => "true".into(),
        };
        let out = self.host.sh(&format!("{upstream} && [ -z \"$(find /opt/app/.git -name '*.lock')\" ]"));
        if out.code == 0 { Ok(()) } else { Err(format!("a ref was lost: {out}")) }
    }

    /// Whether what is upgraded is a git checkout: else a release is known-good without a tag.
    fn has_checkout(&self) -> bool {
        !self.host.site().root.ends_with("/current")
    }

    /// The known-good tags of the checkout, and those of the ledger: each of these must have its tag and its pin, at any time.
    pub fn promised(&self) -> Result<(Vec<String>, Vec<String>), String> {
        let list = "! [ -e /opt/app/.git ] || runuser -u app -- git -C /opt/app tag --list 'known-good/*'";
        let tags = self.host.must(list);
        let tags: Vec<String> = tags.lines().map(str::to_owned).collect();
        let entries = self.ledger()?.get("known-good.json").and_then(|known| known["content"].as_array().cloned());
        let mut listed = Vec::new();
        for entry in entries.unwrap_or_default() {
            let [tag, revision] = ["tag", "revision"].map(|key| entry[key].as_str().unwrap_or_default().to_owned());
            let pin = format!("refs/relift/known-good/{revision}^{{commit}}");
            let look = format!("git --git-dir={STATE}/app/mirror.git rev-parse --verify --quiet '{pin}'");
            if (self.has_checkout() && !tags.contains(&tag)) || self.host.sh(&look).code != 0 {
                return Err(format!("the ledger names {tag}, which has no tag or no pin"));
            }
            listed.push(tag);
        }
        Ok((tags, listed))
    }

    /// The files of the ledger, each of which is whole or absent.
    fn ledger(&self) -> Result<std::collections::BTreeMap<String, serde_json::Value>, String> {
        let directory = inside(&self.host, &format!("{STATE}/app/ledger"));
        let entries =
            fs::read_dir(&directory).map(|entries| entries.flatten().collect()).unwrap_or_else(|_| Vec::new());
        let files =
            entries.iter().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "json"));
        let read = |path: std::path::PathBuf| {
            let value = serde_json::from_slice(&fs::read(&path).unwrap());
            let value = value.map_err(|error| format!("{} is not whole: {error}", path.display()))?;
            Ok((path.file_name().unwrap().to_string_lossy().into_owned(), value))
        };
        files.map(read).collect()
    }

    /// Recovers, and makes sure that recovering again finds nothing.
    pub fn recover(&self) -> Result<Out, String> {
        let out = self.host.relift(&["recover", "app"]);
        if out.code != 0 {
            return Err(format!("recovery: {out}"));
        }
        let again = self.host.relift(&["recover", "app"]);
        match again.code == 0 && again.stdout == "app: no interrupted run\n" {
            true => Ok(out),
            false => Err(format!("a second recovery: {again}\nafter: {out}")),
        }
    }

    /// Calls fsync on every disk, again and again with a pause between, until `is_over`, or until the disks are dead.
    pub fn keep_syncing(&self, pause: Duration, is_over: &AtomicBool) {
        let paths = self.disks.iter().map(|(_, at, _)| inside(&self.host, &format!("{at}/somebody-else")));
        let mut files: Vec<fs::File> = paths.map(|path| fs::File::create(path).unwrap()).collect();
        while !is_over.load(Ordering::Relaxed) {
            for file in &mut files {
                if file.write_all(b"x").and_then(|()| file.sync_all()).is_err() {
                    return;
                }
            }
            std::thread::sleep(pause);
        }
    }
}

/// Ends what runs from the disks, as at a cut: nothing is asked of the units.
fn stop_services() -> String {
    let user = "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/$(id -u app) systemctl --user";
    format!(
        "systemctl kill -s KILL sample-manager.service 2>/dev/null; {user} kill -s KILL sample-runner.service 2>/dev/null
         systemctl stop 'relift-*' sample-manager.service; {user} stop sample-runner.service; systemctl reset-failed; {user} reset-failed; true"
    )
}

/// What a boot does.
fn start_services() -> String {
    let user = "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/$(id -u app) systemctl --user";
    format!(
        "systemctl daemon-reload; {user} daemon-reload
         systemctl is-enabled --quiet sample-manager.service && systemctl start sample-manager.service
         {user} is-enabled --quiet sample-runner.service && {user} start sample-runner.service; true"
    )
}
