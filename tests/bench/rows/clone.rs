//! The first mirror of an install beside a clone of it.

use crate::Effort;
use crate::clock::{Task, duel, host_on};
use crate::harness::Host;
use crate::monorepo::{self, INSTALLED};
use crate::table::{Row, Target};

/// Counts what the remote sends, whoever asks it, git-config(1) `uploadpack.packObjectsHook`.
const COUNTED: &str = "#!/bin/sh\ncase $PWD in /srv/git/*) \"$@\" | tee /srv/sent/$$ ;; *) exec \"$@\" ;; esac\n";

pub fn measure(effort: Effort) -> Vec<Row> {
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = host_on(disk.path());
    monorepo::create(&host, "large", effort.files);
    let clone = Task::sh(&format!(
        "cd; git clone -q --sparse file:///srv/git/large.git cloned; git -C cloned sparse-checkout set {INSTALLED}"
    ))
    .of("large");
    let first = || {
        host.must("rm -rf /var/lib/relift/large; sync -f /var/lib");
        Task::new(&["relift", "plan", "large"]).exits(0, &host).wall
    };
    let cloned = || {
        host.must("rm -rf ~large/cloned; sync -f /home");
        clone.exits(0, &host).wall
    };
    let times = duel(effort.rounds, [&mut || first(), &mut || cloned()]);
    host.write("/usr/bin/counted", COUNTED, 0o755, "root");
    host.must("mkdir -m 1777 /srv/sent; git config --system uploadpack.packObjectsHook /usr/bin/counted");
    let sizes = [sent(&host, &first), sent(&host, &cloned)].map(|size| vec![size]);
    let name = format!("first mirror and plan, 1 of 50 components, {} files", effort.files);
    let clone = "`git clone --sparse`, `sparse-checkout set`";
    vec![
        Row::new(&name, clone, "ms", Target::Ratio(1.0), times),
        Row::new("what the remote sent for the first mirror", clone, "MiB", Target::Ratio(0.2), sizes),
    ]
}

/// What the remote sends for something, MiB.
fn sent(host: &Host, does: &dyn Fn() -> f64) -> f64 {
    host.must("rm -f /srv/sent/*");
    does();
    host.must("cat /srv/sent/* | wc -c").parse::<f64>().unwrap() / 1_048_576.0
}
