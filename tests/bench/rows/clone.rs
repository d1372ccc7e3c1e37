//! The first mirror of an install beside a clone of it.

use crate::Effort;
use crate::clock::{Task, duel, host_on};
use crate::monorepo::{self, INSTALLED};
use crate::table::{Row, Target};

pub fn measure(effort: Effort) -> Vec<Row> {
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = host_on(disk.path());
    monorepo::create(&host, "large", effort.files);
    let size = |path: &str| host.must(&format!("du -sk {path} | cut -f1")).parse::<f64>().unwrap() / 1024.0;
    let clone = Task::sh(&format!(
        "cd; git clone -q --sparse file:///srv/git/large.git cloned; git -C cloned sparse-checkout set {INSTALLED}"
    ))
    .of("large");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let times = duel(
        effort.rounds,
        [
            &mut || {
                host.must("rm -rf /var/lib/relift/large; sync -f /var/lib");
                let time = Task::new(&["relift", "plan", "large"]).exits(0, &host).wall;
                ours.push(size("/var/lib/relift/large/mirror.git"));
                time
            },
            &mut || {
                host.must("rm -rf ~large/cloned; sync -f /home");
                let time = clone.exits(0, &host).wall;
                theirs.push(size("~large/cloned/.git/objects"));
                time
            },
        ],
    );
    let name = format!("first mirror and plan, 1 of 50 components, {} files", effort.files);
    let clone = "`git clone --sparse`, `sparse-checkout set`";
    vec![
        Row::new(&name, clone, "ms", Target::Ratio(1.0), times),
        Row::new("size of what the first mirror fetched", clone, "MiB", Target::Ratio(0.2), [ours, theirs]),
    ]
}
