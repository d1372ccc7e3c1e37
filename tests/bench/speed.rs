//! What Relift costs beside what would be run instead: `tests/bench/run [--short] [ROW]...`
//!
//! Each row is measured side by side in one run, its contenders in turn, on throw-away hosts whose disk is the machine's. Figures
//! are medians. Nothing here judges: `tests/PERFORMANCE.md` says what was found, and which target it misses.

mod clock;
mod monorepo;
mod plot;
mod rows;
mod table;

#[allow(dead_code)]
#[path = "../host/harness.rs"]
mod harness;
#[allow(dead_code)]
#[path = "../host/network.rs"]
mod network;
#[allow(dead_code)]
#[path = "../host/server.rs"]
mod server;
#[allow(dead_code)]
#[path = "../host/snapshot.rs"]
mod snapshot;

use std::time::Instant;

/// How often each contender is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Rounds of a row.
    pub rounds: usize,
    /// Files of the large repository.
    pub files: usize,
    /// Runs in a long history.
    pub runs: usize,
    /// One round of everything, on a small repository.
    pub is_short: bool,
}

const FULL: Effort = Effort { rounds: 11, files: 100_000, runs: 10_000, is_short: false };
const SHORT: Effort = Effort { rounds: 1, files: 2_000, runs: 100, is_short: true };

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if arguments.first().is_some_and(|word| word == clock::MEASURE) {
        return clock::measure();
    }
    assert!(nix::unistd::geteuid().is_root(), "the hosts that are measured on need root");
    let (options, wanted): (Vec<&String>, Vec<&String>) = arguments.iter().partition(|word| word.starts_with("--"));
    let effort = if options.iter().any(|option| *option == "--short") { SHORT } else { FULL };
    let begun = Instant::now();
    let mut found = Vec::new();
    for (name, measure) in rows::ALL {
        if wanted.is_empty() || wanted.iter().any(|word| name.contains(word.as_str())) {
            let started = Instant::now();
            let rows = measure(effort);
            eprintln!("-- {name}: {:.0} s", started.elapsed().as_secs_f64());
            for row in &rows {
                println!("{}", row.line(&rows));
            }
            found.extend(rows);
        }
    }
    assert!(!found.is_empty(), "no row is called so; there are: {:?}", rows::ALL.map(|(name, _)| name));
    for row in &found {
        assert!(row.is_measured(), "{} gave no two numbers", row.name);
    }
    eprintln!("{} rows in {:.0} s", found.len(), begun.elapsed().as_secs_f64());
    if !effort.is_short && wanted.is_empty() {
        table::write(&found);
        table::show(&plot::write(&found));
    }
}
