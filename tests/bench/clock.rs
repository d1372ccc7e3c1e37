//! Measuring: a program in a host, from its start to its end, by this program inside the same host.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relift::twin::{Disk, Spec, Target as Kind};
use serde::{Deserialize, Serialize};

use crate::harness::Host;

/// The verb by which this program measures; the task comes on standard input.
pub const MEASURE: &str = "--measure";
/// Where it is in a host.
const PROGRAM: &str = "/usr/bin/relift-bench";
/// Between two connections of a probe.
const PROBE_PAUSE: Duration = Duration::from_micros(200);

/// What is to be run and measured.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Task {
    argv: Vec<String>,
    account: Option<String>,
    probe: Option<u16>,
}

/// What was measured. Times are milliseconds.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Sample {
    /// From fork to the end.
    pub wall: f64,
    /// Of it and its children, in user and in kernel.
    pub cpu: f64,
    /// Resident memory at its peak, of whichever of it and its children had most, MiB.
    pub memory: f64,
    /// The lines of its standard output, with the time at which each came.
    pub lines: Vec<(f64, String)>,
    /// The longest time between two answered connections to the probed port.
    pub gap: f64,
    /// Connections to it that were refused.
    pub refused: usize,
    code: i32,
    stderr: String,
}

impl Task {
    /// A program, as root.
    pub fn new(argv: &[&str]) -> Task {
        Task { argv: argv.iter().map(|word| (*word).to_owned()).collect(), ..Task::default() }
    }

    /// A shell script, as root.
    pub fn sh(script: &str) -> Task {
        Task::new(&["sh", "-ec", script])
    }

    /// As an account, with its home.
    pub fn of(self, account: &str) -> Task {
        Task { account: Some(account.to_owned()), ..self }
    }

    /// Asks the port all the time while it runs.
    pub fn probing(self, port: u16) -> Task {
        Task { probe: Some(port), ..self }
    }

    /// Runs it in a host; it must end with this status.
    #[track_caller]
    pub fn exits(&self, code: i32, host: &Host) -> Sample {
        install(host);
        let out = host.run(&[PROGRAM, MEASURE], &serde_json::to_vec(self).unwrap()).exits(0);
        let sample: Sample = serde_json::from_str(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out}"));
        assert_eq!(sample.code, code, "{:?}: {sample:#?}", self.argv);
        sample
    }
}

impl Sample {
    /// From the first line that has `begin` to the first after it that has `end`; 0 where there is none.
    pub fn between(&self, begin: &str, end: &str) -> f64 {
        let Some(at) = self.lines.iter().position(|(_, line)| line.contains(begin)) else { return 0.0 };
        let rest = &self.lines[at + 1..];
        rest.iter().find(|(_, line)| line.contains(end)).map_or(0.0, |(time, _)| time - self.lines[at].0)
    }
}

/// Runs each contender in turn, a round after the other; what each gave, in their order.
pub fn duel<const N: usize>(rounds: usize, contenders: [&mut dyn FnMut() -> f64; N]) -> [Vec<f64>; N] {
    let mut found = [const { Vec::new() }; N];
    for round in 0..rounds {
        // Whoever comes first finds other caches than whoever comes last.
        for turn in 0..N {
            let who = (round + turn) % N;
            found[who].push(contenders[who]());
        }
    }
    found
}

/// A host whose disk is a directory of this machine, which is the caller's to remove: what is made durable costs what it costs.
pub fn host_on(directory: &std::path::Path) -> Host {
    Host::boot_with(Kind::Full, |spec| Spec { disk: Disk::Directory(directory.to_owned()), ..spec })
}

fn install(host: &Host) {
    let place = PathBuf::from(format!("/proc/{}/root{PROGRAM}", host.twin().init()));
    if !place.exists() {
        std::fs::copy(std::env::current_exe().unwrap(), place).unwrap();
    }
}

/// Does a task and prints its sample.
pub fn measure() {
    let task: Task = serde_json::from_reader(std::io::stdin()).unwrap();
    let is_over = AtomicBool::new(false);
    let sample = std::thread::scope(|scope| {
        let probe = task.probe.map(|port| {
            let is_over = &is_over;
            scope.spawn(move || probe(port, is_over))
        });
        if probe.is_some() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut sample = run(&task);
        if let Some(probe) = probe {
            std::thread::sleep(Duration::from_millis(300));
            is_over.store(true, Ordering::Relaxed);
            (sample.gap, sample.refused) = probe.join().unwrap();
        }
        sample
    });
    println!("{}", serde_json::to_string(&sample).unwrap());
}

// wait4(2) waits for it, and tells more than the library does.
#[expect(clippy::zombie_processes)]
fn run(task: &Task) -> Sample {
    let mut command = Command::new(&task.argv[0]);
    command.args(&task.argv[1..]).current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(user) = task.account.as_deref().and_then(|name| nix::unistd::User::from_name(name).unwrap()) {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        command.env("HOME", &user.dir).env("USER", &user.name).current_dir(&user.dir);
        command.env("XDG_RUNTIME_DIR", format!("/run/user/{}", user.uid));
    }
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let (stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let lines = std::thread::spawn(move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        lines.map(|line| (milliseconds(begun.elapsed()), line)).collect::<Vec<_>>()
    });
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        stderr.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    });
    let (status, usage) = wait(child.id());
    let wall = milliseconds(begun.elapsed());
    let spent = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    Sample {
        wall,
        cpu: spent(usage.ru_utime) + spent(usage.ru_stime),
        memory: usage.ru_maxrss as f64 / 1024.0,
        lines: lines.join().unwrap(),
        code: if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) },
        stderr: errors.join().unwrap(),
        ..Sample::default()
    }
}

/// wait4(2): the status of a child, and what it and its children used.
fn wait(pid: u32) -> (i32, libc::rusage) {
    let mut status = 0;
    // SAFETY: a `rusage` of zeros is one, and both places live through the call.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(pid as i32, &mut status, 0, &mut usage), pid as i32);
        usage
    };
    (status, usage)
}

/// Connects to a port all the time: the longest time without a connection, and how many were refused.
fn probe(port: u16, is_over: &AtomicBool) -> (f64, usize) {
    let (mut last, mut gap, mut refused) = (Instant::now(), Duration::ZERO, 0);
    while !is_over.load(Ordering::Relaxed) {
        match std::net::TcpStream::connect(("127.0.0.1", port)) {
            Ok(_) => {
                gap = gap.max(last.elapsed());
                last = Instant::now();
            }
            Err(_) => refused += 1,
        }
        std::thread::sleep(PROBE_PAUSE);
    }
    (milliseconds(gap.max(last.elapsed())), refused)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
