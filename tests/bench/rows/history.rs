//! What ten thousand runs of the past cost.

use std::time::Duration;

use crate::Effort;
use crate::clock::{Task, duel};
use crate::harness::Host;
use crate::table::{Row, Target};

/// The runs that both hosts have done.
const FEW: usize = 10;

/// Makes older runs, each with the records that the oldest one has. ULIDs sort by time.
const OLDER: &str = "import os, sys
os.chdir('/var/lib/relift/app/runs')
oldest = min(name for name in os.listdir('.'))
records = [name for name in os.listdir(oldest) if name.endswith('.json')]
for number in range(int(sys.argv[1])):
    run = f'01ARZ3NDEKTSV4RRFF{number:08}'
    os.mkdir(run)
    for name in records: os.link(f'{oldest}/{name}', f'{run}/{name}')";

pub fn measure(effort: Effort) -> Vec<Row> {
    let few = if effort.is_short { 2 } else { FEW };
    // Each with a host of its own: what is remembered of a directory is of that directory.
    let (new, old) = (with_runs(few, 0), with_runs(few, effort.runs));
    let row = |words: &[&str]| {
        let task = Task::new(words);
        let times = duel(effort.rounds, [&mut || task.exits(0, &old).wall, &mut || task.exits(0, &new).wall]);
        let name = format!("`{}`, {} runs", words.join(" ").replace("relift ", ""), effort.runs);
        Row::new(&name, &format!("itself with {few} runs"), "ms", Target::Ratio(1.5), times)
    };
    vec![
        row(&["relift", "status"]),
        row(&["relift", "history", "--lines", &few.to_string()]),
        row(&["relift", "check"]),
    ]
}

/// A host that has done some upgrades, and before them many more.
fn with_runs(few: usize, older: usize) -> Host {
    let mut host = Host::with_sample();
    host.must("sed -i 's/^soak.*/soak = \"0s\"/' /etc/relift/app.toml");
    for number in 1..=few {
        host.release(|release| release.next(&format!("1.0.{number}")));
        host.relift(&["upgrade", "app", "--yes"]).exits(0);
        host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
    }
    host.run(&["python3", "-c", OLDER, &older.to_string()], b"").exits(0);
    // Nothing is noted of a directory that has just changed.
    std::thread::sleep(Duration::from_secs(4));
    host
}
