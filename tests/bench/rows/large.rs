//! A plan for one component of a large repository, what it needs of memory, and how it grows with the repository.

use crate::Effort;
use crate::clock::{Sample, Task, duel, host_on};
use crate::monorepo::{self, COMPONENTS, INSTALLED, TENTH};
use crate::table::{Row, Target};

pub fn measure(effort: Effort) -> Vec<Row> {
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let host = host_on(disk.path());
    for (name, components) in [("large", COMPONENTS), ("small", TENTH)] {
        monorepo::create(&host, name, components, effort.files / COMPONENTS);
        // The first makes the mirror, which is another row.
        Task::new(&["relift", "check", name]).exits(0, &host);
        monorepo::publish(&host, name);
    }
    let plan = |name: &str| -> Sample {
        monorepo::forget(&host, name);
        Task::new(&["relift", "plan", name]).exits(0, &host)
    };
    let by_hand = Task::sh(&format!(
        "cd /opt/large; git fetch --quiet; git diff --stat HEAD origin/main
         git show origin/main:{INSTALLED}/.env.example | diff {INSTALLED}/.env - || :
         git show origin/main:{INSTALLED}/large.service | diff /etc/systemd/system/large-large.service - || :"
    ))
    .of("large");
    let (mut memory, mut hand_memory) = (Vec::new(), Vec::new());
    let times = duel(
        effort.rounds,
        [
            &mut || {
                let sample = plan("large");
                memory.push(sample.memory);
                sample.wall
            },
            &mut || {
                monorepo::forget(&host, "large");
                let sample = by_hand.exits(0, &host);
                hand_memory.push(sample.memory);
                sample.wall
            },
        ],
    );
    let growth = duel(effort.rounds, [&mut || plan("large").cpu, &mut || plan("small").cpu]);
    let files = effort.files;
    let hand = "`git fetch`, `git diff --stat`, `diff` of `.env` and unit";
    vec![
        Row::new(&format!("`plan`, 200 commits, {files} files"), hand, "ms", Target::Ratio(0.8), times),
        Row::new(
            &format!("memory of `plan`, peak, {files} files"),
            hand,
            "MiB",
            Target::AtMost(64.0),
            [memory, hand_memory],
        ),
        Row::new(
            &format!("processor time of `plan`, {files} files"),
            "itself with a tenth of the components",
            "ms",
            Target::Ratio(1.2),
            growth,
        ),
    ]
}
