//! A throw-away host, and what a test does with it.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{SigHandler, Signal, killpg, signal};
use nix::unistd::Pid;
use relift::sample::{Release, Site};
use relift::twin::{Spec, Target, Twin};

use crate::snapshot::Snapshot;

/// The program under test.
pub const RELIFT: &str = env!("CARGO_BIN_EXE_relift");
/// What every secret of the sample begins with.
pub const CANARY: &str = "s3cr3t-canary";
/// How long a command in a host may take: more than anything here needs, so that a hang is a failure.
const BOUND: Duration = Duration::from_secs(300);
/// How long something may take to become true, on the slowest machine with other hosts beside: no measure of how long it does.
const PATIENCE: Duration = Duration::from_secs(60);

static HOSTS: AtomicU32 = AtomicU32::new(0);

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Out {
    /// The command, for messages.
    pub line: String,
    /// The exit status; 128 and the signal's number for one that was killed.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Out {
    /// The same, after making sure of the exit status.
    #[track_caller]
    pub fn exits(self, code: i32) -> Out {
        assert_eq!(self.code, code, "the exit status of: {self}");
        self
    }
}

impl std::fmt::Display for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Out { line, code, stdout, stderr } = self;
        write!(f, "{line}\n-- exit {code}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// What a host's releases come from: the site and what was published last.
#[derive(Debug)]
pub struct Upstream {
    pub site: Site,
    pub last: Release,
}

impl Upstream {
    /// A site with release 1.0.0 published in `host`.
    pub fn create(host: &Host, site: Site) -> Upstream {
        let last = site.first("1.0.0");
        let upstream = Upstream { site: site.configure(&last), last };
        upstream.publish(host);
        upstream
    }

    /// Publishes the last release, changed; the commit's id.
    pub fn release(&mut self, host: &Host, change: impl FnOnce(Release) -> Release) -> String {
        self.last = change(self.last.clone());
        self.publish(host)
    }

    fn publish(&self, host: &Host) -> String {
        let document = serde_json::to_vec(&(&self.site, &self.last)).unwrap();
        host.run(&["relift", "internal", "sample-publish"], &document).exits(0).stdout.trim().to_owned()
    }
}

/// A throw-away host. It is gone when this value is.
pub struct Host {
    twin: Twin,
    site: Option<Site>,
    upstream: Option<Upstream>,
}

impl Host {
    /// A host with relift in `/usr/bin` and nothing else of ours.
    pub fn boot() -> Host {
        Host::boot_as(Target::Full)
    }

    /// The same with another target.
    pub fn boot_as(target: Target) -> Host {
        Host::boot_with(target, |spec| spec)
    }

    /// The same, changed before it boots.
    pub fn boot_with(target: Target, change: impl FnOnce(Spec) -> Spec) -> Host {
        needs(&[("nsenter", "util-linux"), ("git", "git"), ("dbus-daemon", "dbus"), ("useradd", "passwd")]);
        let number = HOSTS.fetch_add(1, Ordering::Relaxed);
        let spec = change(Spec::new(&format!("host{number}"), target, program()));
        let twin = Twin::boot(spec).unwrap_or_else(|error| panic!("no host: {error}\n{:#?}", error.detail));
        Host { twin, site: None, upstream: None }
    }

    /// A host on which the sample 1.0.0 is installed, runs and answers: account `app`, checkout `/opt/app`, upstream
    /// `file:///srv/git/app.git` of the account `git`, manifest `/etc/relift/app.toml`.
    pub fn with_sample() -> Host {
        Host::with_site(Site::new("app"))
    }

    /// The same for a site of another shape.
    pub fn with_site(site: Site) -> Host {
        let mut host = Host::boot();
        let upstream = Upstream::create(&host, site);
        let site = upstream.site.clone();
        host.install(&site);
        host.upstream = Some(upstream);
        host
    }

    /// Installs a site whose first release was changed.
    pub fn settle(&mut self, site: Site, change: impl FnOnce(Release) -> Release) {
        let mut upstream = Upstream::create(self, site);
        upstream.release(self, change);
        upstream.site = upstream.site.configure(&upstream.last);
        let site = upstream.site.clone();
        self.install(&site);
        self.upstream = Some(upstream);
    }

    /// Installs the sample with `layout = "releases"`, as relift does it, from a first release that was changed. What outlives
    /// releases is in `shared/manager/data`.
    pub fn settle_in_releases(&mut self, name: &str, change: impl FnOnce(Release) -> Release) {
        // The release's units name what they find on a host: `current`.
        let site = Site { root: format!("/opt/{name}/current"), soak: 0, ..Site::new(name) };
        let mut upstream = Upstream::create(self, site);
        upstream.release(self, change);
        upstream.site = upstream.site.configure(&upstream.last);
        let top = format!("/opt/{name}");
        self.must(&format!("useradd --create-home --shell /bin/sh {name}; loginctl enable-linger {name}; install -d -o {name} -g {name} {top}"));
        self.wait_for(&format!("test -e /run/user/$(id -u {name})/systemd/private"));
        let (of_site, of_top) = (
            format!("root  = \"{top}/current\""),
            format!("root  = \"{top}\"\nlayout = \"releases\"\nshared = [\"manager/data\"]"),
        );
        let manifest = upstream.site.manifest().replace(&of_site, &of_top);
        self.write(&format!("/etc/relift/{name}.toml"), manifest, 0o644, "root");
        for (component, text) in &upstream.site.env {
            self.write(&format!("{top}/shared/{component}/.env"), text, 0o600, name);
        }
        self.must(&format!("chown -R {name}: {top}/shared"));
        self.relift(&["upgrade", name, "--yes"]).exits(0);
        (self.site, self.upstream) = (Some(upstream.site.clone()), Some(upstream));
    }

    /// Installs a site whose upstream is there, on this host or elsewhere.
    pub fn install(&mut self, site: &Site) {
        self.run(&["relift", "internal", "sample-install"], &serde_json::to_vec(site).unwrap()).exits(0);
        self.site = Some(site.clone());
    }

    /// Publishes a new release upstream; the commit's id.
    pub fn release(&mut self, change: impl FnOnce(Release) -> Release) -> String {
        let mut upstream = self.upstream.take().expect("this host has no upstream of its own");
        let commit = upstream.release(self, change);
        self.upstream = Some(upstream);
        commit
    }

    /// The site that is installed.
    pub fn site(&self) -> &Site {
        self.site.as_ref().expect("no site is installed")
    }

    /// Runs a program as root, with `stdin` on its standard input.
    pub fn run(&self, argv: &[&str], stdin: &[u8]) -> Out {
        let input = scratch(stdin);
        let (mut stdout, mut stderr) = (scratch(b""), scratch(b""));
        let mut command = self.twin.attached(argv);
        command.env("TERM", "dumb").process_group(0).stdin(input);
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let code = bounded(&mut command, argv);
        Out { line: argv.join(" "), code, stdout: text(&mut stdout), stderr: text(&mut stderr) }
    }

    /// Runs a shell script as root.
    pub fn sh(&self, script: &str) -> Out {
        self.run(&["sh", "-c", script], b"")
    }

    /// Runs a shell script as an account, with its home and its user manager in reach.
    pub fn sh_as(&self, account: &str, script: &str) -> Out {
        let script = format!("export XDG_RUNTIME_DIR=/run/user/$(id -u); cd; {script}");
        self.run(&["runuser", "-l", account, "-s", "/bin/sh", "-c", &script], b"")
    }

    /// What a shell script prints, without the last line end; it must succeed.
    #[track_caller]
    pub fn must(&self, script: &str) -> String {
        self.sh(script).exits(0).stdout.trim_end().to_owned()
    }

    /// Runs relift.
    pub fn relift(&self, args: &[&str]) -> Out {
        self.run(&[&["relift"], args].concat(), b"")
    }

    /// Writes a file; `owner` is `USER:GROUP`. Directories are made.
    #[track_caller]
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>, mode: u32, owner: &str) {
        let mode = format!("{mode:o}");
        let (user, group) = owner.split_once(':').unwrap_or((owner, owner));
        let argv = ["install", "-D", "-m", &mode, "-o", user, "-g", group, "/dev/stdin", path];
        self.run(&argv, bytes.as_ref()).exits(0);
    }

    /// A file's text.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        self.run(&["cat", "--", path], b"").exits(0).stdout
    }

    /// Waits until a shell script succeeds, at most a minute; what it then printed.
    #[track_caller]
    pub fn wait_for(&self, script: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let out = self.sh(script);
            match out.code {
                0 => return out.stdout.trim_end().to_owned(),
                _ if Instant::now() > deadline => panic!("this did not come true: {out}"),
                _ => std::thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    /// The version that a component of the sample answers with; `None` where it answers nothing.
    pub fn answers(&self, component: &str) -> Option<String> {
        let script = format!(
            r#"set -eu; cd {}/{component}
               port=$(sed -n 's/^PORT=//p' .env); token=$(sed -n 's/^API_TOKEN=//p' .env)
               curl --silent --fail --max-time 5 -H "X-API-Token: $token" http://127.0.0.1:$port/api/version"#,
            self.site().root
        );
        let out = self.sh(&script);
        let body: serde_json::Value = serde_json::from_str(&out.stdout).ok().filter(|_| out.code == 0)?;
        Some(body["version"].as_str()?.to_owned())
    }

    /// Waits until a component answers with a version.
    #[track_caller]
    pub fn wait_for_answer(&self, component: &str, version: &str, context: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.answers(component).as_deref() != Some(version) {
            assert!(
                Instant::now() < deadline,
                "{context}: {component} does not answer {version} but {:?}",
                self.answers(component)
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Everything that must be exactly old or exactly new.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self)
    }

    /// Makes sure that no secret is in what a command printed, nor in the journal.
    #[track_caller]
    pub fn assert_no_secret(&self, out: &Out) {
        for (place, text) in [("stdout", &out.stdout), ("stderr", &out.stderr), ("the journal", &self.journal())] {
            let leak = text.lines().find(|line| line.contains(CANARY));
            assert!(leak.is_none(), "a secret is in {place} of `{}`: {leak:?}", out.line);
        }
    }

    /// The whole journal, every field of it.
    pub fn journal(&self) -> String {
        self.must("journalctl --sync; journalctl --all --no-pager -o export")
    }

    /// What a unit told the journal.
    pub fn journal_of(&self, unit: &str) -> String {
        self.must(&format!("journalctl --sync; journalctl --no-pager --output=cat --unit={unit}"))
    }

    /// Cuts the power: every process is killed at once, the disk stays.
    pub fn cut(&mut self) {
        self.twin.cut().unwrap();
    }

    /// Boots again, after cutting the power where it is on.
    pub fn boot_again(&mut self) {
        self.twin.boot_again().unwrap_or_else(|error| panic!("no boot: {error}\n{:#?}", error.detail));
    }

    /// The twin itself.
    pub fn twin(&self) -> &Twin {
        &self.twin
    }
}

/// Fails with the name of the package where a program is not installed.
#[track_caller]
pub fn needs(programs: &[(&str, &str)]) {
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (program, package) in programs {
        let found = path.split(':').any(|directory| std::path::Path::new(directory).join(program).exists());
        assert!(found, "this test needs `{program}`: apt-get install {package} (tests/run does it)");
    }
}

/// The program that hosts have: another build than the one under test where `RELIFT_PROGRAM` names it.
pub fn program() -> String {
    std::env::var("RELIFT_PROGRAM").unwrap_or_else(|_| RELIFT.to_owned())
}

fn bounded(command: &mut std::process::Command, argv: &[&str]) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    // Tests that run in the background of a shell, or under nohup(1), would hand on that they ignore these.
    let heeds_signals = || {
        for ignored in [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGHUP] {
            // SAFETY: no handler of this process is concerned: it is the child's disposition.
            unsafe { signal(ignored, SigHandler::SigDfl) }?;
        }
        Ok(())
    };
    // SAFETY: sigaction(2) alone, which may be called between fork and exec.
    unsafe { command.pre_exec(heeds_signals) };
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{argv:?} cannot be started: {error}"));
    let deadline = Instant::now() + BOUND;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
        }
        if Instant::now() > deadline {
            killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
            panic!("{argv:?} did not end within {} seconds", BOUND.as_secs());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

/// A file without a name that holds `bytes`, to be read from its start.
fn scratch(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    file
}

fn text(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
