//! The program itself: how fast it starts, how large it is.

use crate::Effort;
use crate::clock::{Task, duel};
use crate::harness::{Host, program};
use crate::table::{Row, Target};

pub fn measure(effort: Effort) -> Vec<Row> {
    let host = Host::boot();
    let start = |program: &str| Task::new(&[program, "--version"]).exits(0, &host).wall;
    let times = duel(effort.rounds * 3, [&mut || start("relift"), &mut || start("git")]);
    let size = |path: &str| {
        let path = std::fs::canonicalize(path).unwrap();
        std::fs::metadata(path).unwrap().len() as f64 / 1_048_576.0
    };
    let sizes = [vec![size(&program())], vec![size("/usr/bin/git")]];
    vec![
        Row::new("start of `relift --version`", "`git --version`", "ms", Target::AtMost(5.0), times),
        Row::new("size of the program", "git alone, which links its libraries", "MiB", Target::AtMost(12.0), sizes),
    ]
}
