//! What ten thousand runs of the past cost.

use crate::Effort;
use crate::clock::{Task, duel};
use crate::harness::Host;
use crate::table::{Row, Target};

pub fn measure(effort: Effort) -> Vec<Row> {
    let mut host = Host::with_sample();
    host.must("sed -i 's/^soak.*/soak = \"0s\"/' /etc/relift/app.toml");
    let few = if effort.is_short { 2 } else { 10 };
    for number in 1..=few {
        host.release(|release| release.next(&format!("1.0.{number}")));
        host.relift(&["upgrade", "app", "--yes"]).exits(0);
        host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
    }
    // Older runs, each with the records that the oldest one has. ULIDs sort by time.
    host.must("cd /var/lib/relift/app; cp -a runs many");
    let program = "import os, sys
os.chdir('/var/lib/relift/app')
oldest = 'runs/' + min(os.listdir('runs'))
records = [name for name in os.listdir(oldest) if name.endswith('.json')]
for number in range(int(sys.argv[1])):
    run = f'many/01ARZ3NDEKTSV4RRFF{number:08}'
    os.mkdir(run)
    for name in records: os.link(f'{oldest}/{name}', f'{run}/{name}')";
    host.run(&["python3", "-c", program, &effort.runs.to_string()], b"").exits(0);
    let timed = |runs: &str, words: &[&str]| {
        host.must(&format!("cd /var/lib/relift/app; rm -f runs.was; [ -d few ] || mv runs few; ln -sfn {runs} runs"));
        Task::new(words).exits(0, &host).wall
    };
    let row = |words: &[&str]| {
        let times = duel(effort.rounds, [&mut || timed("many", words), &mut || timed("few", words)]);
        let name = format!("`{}`, {} runs", words.join(" ").replace("relift ", ""), effort.runs);
        Row::new(&name, &format!("itself with {few} runs"), "ms", Target::Ratio(1.5), times)
    };
    vec![
        row(&["relift", "status"]),
        row(&["relift", "history", "--lines", &few.to_string()]),
        row(&["relift", "check"]),
    ]
}
