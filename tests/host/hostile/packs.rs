//! Packs that no git would make, and servers that answer with them: `tests/fixtures/packs.py`.
//!
//! Each is fetched three times, by `check`, `plan` and `upgrade`: nothing changes, nothing is left over that grows, and no
//! process needs more memory than is allowed here.

use super::outside::Outside;
use super::{ground, ground::Ground};
use crate::harness::{Host, needs};
use crate::rigs::figures::{Ended, Figure};

/// What a server does, and what `upgrade` says to it.
pub struct Input {
    pub name: &'static str,
    /// Its word in the server.
    mode: &'static str,
    /// A script that makes what is served.
    first: &'static str,
    exit: i32,
    words: &'static [&'static str],
    /// How many MiB a process of the run may have in memory at most.
    memory: u64,
}

const fn input(name: &'static str, mode: &'static str, exit: i32, words: &'static [&'static str]) -> Input {
    Input { name, mode, first: "", exit, words, memory: 160 }
}

const SERVER: &str = include_str!("../../fixtures/packs.py");

/// Runs its arguments and notes the largest memory of a process of theirs, in KiB; ends what takes too long as ^C would.
const PEAK: &str = "import resource, signal, subprocess, sys
bound = int(sys.argv.pop(1)); run = subprocess.Popen(sys.argv[1:])
try: run.wait(bound)
except subprocess.TimeoutExpired: run.send_signal(signal.SIGINT); run.wait()
open('/srv/peak', 'a').write('%d\\n' % resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(run.returncode if run.returncode >= 0 else 128 - run.returncode)
";

const REFUSED: &[&str] = &["state: nothing was changed"];

pub const INPUTS: &[Input] = &[
    input("a pack cut before its end", "cut", 1, REFUSED),
    input("a pack with another checksum behind it", "checksum", 1, REFUSED),
    input("another commit than was announced", "other commit", 1, REFUSED),
    input("a delta whose base is nowhere", "no base", 1, REFUSED),
    input("a pack without the commit's tree", "no tree", 1, REFUSED),
    input("a pack without a file of the tree", "no file", 1, REFUSED),
    input("1,000,000 objects that are one", "million", 1, REFUSED),
    input("4,294,967,295 objects that are four", "four billion", 1, REFUSED),
    input("a pack of nothing", "none", 1, REFUSED),
    input("a delta that reads past its base", "beyond", 1, REFUSED),
    input("a blob that says 2^60 bytes", "size", 1, REFUSED),
    input("a delta of itself", "loop", 1, REFUSED),
    input("an object of a kind that is none", "kind", 1, REFUSED),
    input("a pack of version 9", "version", 1, REFUSED),
    input("a redirect to a file", "redirect file:///srv/git/app.git/..", 1, REFUSED),
    input("a redirect to a program", "redirect ext::/srv/canary", 1, REFUSED),
    input("a redirect to another host, which does not answer", "redirect http://127.0.0.2:9", 1, REFUSED),
    input("a redirect to itself", "redirect http://127.0.0.1:8099", 1, REFUSED),
    input("a remote with SHA-256 objects over HTTP", "sha256", 1, REFUSED),
    Input {
        first: "x=$(g rev-parse main:docs)
                t=$(printf '040000 tree %s\\t.git\\n' $x | g mktree --missing); c=$(echo hostile | g commit-tree -p main $t)
                g update-ref refs/heads/main $c; g update-server-info",
        ..input("plain files over HTTP, with a tree that git's own check refuses", "dumb", 1, &["sent an object that git's own check refuses", "state: nothing was changed"])
    },
    // A conversation that goes on is ended after half an hour, or by an operator: what ^C leaves is looked at here.
    Input { memory: 640, ..input("200 MiB of progress in one line, that never ends", "progress without lines", 130, &[]) },
    input("200 MiB of progress in lines, that never ends", "progress", 130, &[]),
    Input {
        memory: 640,
        ..input(
            "a VERSION of 256 MiB of zeros in a pack of 256 KiB",
            "bomb version",
            1,
            &["manager/VERSION of the release has 256 MiB, and at most 8 MiB are read", "state: nothing was changed"],
        )
    },
    input("a chain of 5,000 deltas", "chain", 0, &[]),
    Input { memory: 640, ..input("a file of 256 MiB of zeros in a pack of 256 KiB", "bomb", 0, &[]) },
];

/// What fetches left over: how many files, and how large all of it is, in KiB.
fn left(host: &Host) -> (u64, u64) {
    let script = "set -- $(ls -d /var/lib/relift /var/cache/relift 2>/dev/null)
                  find $* -name 'tmp_*' | wc -l; du -sk $* | awk '{ all += $1 } END { print all }'";
    let out = host.must(script);
    let (files, size) = out.split_once('\n').unwrap();
    (files.trim().parse().unwrap(), size.trim().parse().unwrap())
}

/// Runs the verbs against a server's answer and judges; the largest memory of a process, in KiB.
fn judge(on: &Ground, input: &Input) -> Result<(Ended, u64), String> {
    let host = &on.host;
    let before = host.snapshot();
    host.write("/srv/packs.mode", input.mode, 0o644, "root");
    host.sh_as(
        "git",
        &format!("g() {{ git --git-dir /srv/git/app.git -c user.name=a -c user.email=a@b \"$@\"; }}; {}", input.first),
    )
    .exits(0);
    let outside = Outside::of(host);
    host.must("rm -f /srv/peak; systemctl reset-failed");
    let bound = if input.mode.starts_with("progress") { 6 } else { 100 };
    let mut after = Vec::new();
    for words in ["check", "plan app", "upgrade app --yes"] {
        let out = host.sh(&format!("python3 /srv/peak.py {bound} relift {words}"));
        println!("    {} exits {}: {}", words, out.code, out.stderr.lines().take(12).collect::<Vec<_>>().join(" | "));
        let difference = outside.difference(&Outside::of(host));
        if !difference.is_empty() || out.code == 101 || out.code > 143 {
            return Err(format!("a canary changed, or it crashed:\n{difference}{out}"));
        }
        if words == "check" && out.code != 1 && input.words == REFUSED {
            return Err(format!("it was not the fetch that failed: {out}"));
        }
        if words.starts_with("upgrade") {
            let missing = input.words.iter().find(|word| !out.stderr.contains(**word));
            if out.code != input.exit || missing.is_some() {
                return Err(format!("not exit {} with {missing:?}: {out}", input.exit));
            }
            if out.code == 0 {
                host.must("systemctl reset-failed");
                host.relift(&["rollback", "app", "--yes", "--to", &on.base]).exits(0);
            }
        }
        host.wait_for("! cat /proc/[0-9]*/comm 2>/dev/null | grep -q ^git");
        let difference = before.difference(&host.snapshot());
        if !difference.is_empty() {
            return Err(format!("not as before after {words}:\n{difference}{out}"));
        }
        after.push(left(host));
    }
    let peak = host.must("sort -n /srv/peak | tail -n 1").parse().unwrap();
    // A run's journal is a few files; a pack that is kept three times would be more.
    if input.exit != 0 && (after[2].0 > after[0].0 || after[2].1 > after[0].1 + 256) {
        return Err(format!("what is left over grows (files, KiB): {after:?}"));
    }
    match peak > input.memory << 10 {
        true => Err(format!("a process of it had {} MiB in memory, more than {}", peak >> 10, input.memory)),
        false => Ok((if input.exit == 0 { Ended::New } else { Ended::Old }, peak)),
    }
}

#[test]
fn a_pack_that_no_git_would_make_is_refused_and_needs_no_more_memory_than_is_there() {
    needs(&[("python3", "python3")]);
    let only = std::env::var("RELIFT_INPUT").ok();
    let mut figure = Figure::new("hostile corpus", "packs", "check, plan, upgrade");
    let on = Ground::new(ground::quick(), ground::plain);
    let host = &on.host;
    host.write("/srv/packs.py", SERVER, 0o644, "root");
    host.write("/srv/peak.py", PEAK, 0o644, "root");
    host.must("systemd-run --quiet --unit=packs --uid=git python3 /srv/packs.py /srv/git/app.git");
    host.must(
        "sed -i 's,^url .*,url = \"http://127.0.0.1:8099/app.git\",' /etc/relift/app.toml
               runuser -u app -- git -C /opt/app remote set-url origin http://127.0.0.1:8099/app.git",
    );
    host.write("/srv/packs.mode", "", 0o644, "root");
    host.wait_for("curl --silent --fail 'http://127.0.0.1:8099/app.git/info/refs' > /dev/null");
    for input in INPUTS
        .iter()
        .filter(|input| only.as_ref().is_none_or(|only| only.split('|').any(|only| input.name.contains(only))))
    {
        let judged = judge(&on, input);
        let peak = judged.as_ref().map_or(0, |(_, peak)| peak >> 10);
        println!("{:4} MiB  {}  {}", peak, if judged.is_ok() { "ok   " } else { "WRONG" }, input.name);
        figure.count(judged.map(|(ended, _)| ended).map_err(|wrong| format!("=== {}: {wrong}", input.name)));
    }
    figure.publish();
}
