//! What the rigs count, and the table of it: `tests/RELIABILITY.md`, written by `tests/run --soak`.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

const INTRODUCTION: &str = "\
# Reliability

What the rigs under `tests/host/rigs` did to Relift and how it ended. Each row was written by its rig, in a run of
`tests/run --soak` or in a shorter one (`RELIFT_FIGURES=1 RELIFT_ROUNDS=N`): *times* says how many of the *injected* were tried,
and where they are fewer they are a sample. CI runs the same rigs with smaller numbers. *Old* and *new* are exactly the old
and exactly the new state, compared to the byte; *exit 4* is a run that said that an operator is needed, and told the truth
about what is where; *wrong* is anything else.

| rig | injected | on | times | old | new | exit 4 | wrong | seed | version | date |
|---|---|---|--:|--:|--:|--:|--:|---|---|---|
";

/// Whether the full numbers are asked for.
pub fn is_soak() -> bool {
    std::env::var_os("RELIFT_SOAK").is_some()
}

/// How often: `short` in CI, `soak` with `tests/run --soak`, times `RELIFT_ROUNDS` where that is set.
pub fn rounds(short: usize, soak: usize) -> usize {
    let times = std::env::var("RELIFT_ROUNDS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    if is_soak() { soak } else { short * times }
}

/// The seed of a rig: the same numbers each time, unless `RELIFT_SEED` gives another.
pub fn seed() -> u64 {
    std::env::var("RELIFT_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121)
}

/// How one injection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Exactly as before the run.
    Old,
    /// Exactly as the release says.
    New,
    /// Exit 4, with a true account.
    Operator,
}

/// What one rig counted.
#[derive(Debug, Clone)]
pub struct Figure {
    rig: String,
    injected: String,
    on: String,
    seed: Option<u64>,
    ends: Vec<Ended>,
    wrong: Vec<String>,
}

impl Figure {
    /// Nothing counted yet. `rig` and `injected` say what was done, `on` on what: the filesystem, the protocol.
    pub fn new(rig: &str, injected: &str, on: &str) -> Figure {
        let [rig, injected, on] = [rig, injected, on].map(str::to_owned);
        Figure { rig, injected, on, seed: None, ends: Vec::new(), wrong: Vec::new() }
    }

    /// The same, with the seed of its random numbers.
    pub fn seeded(mut self, seed: u64) -> Figure {
        self.seed = Some(seed);
        self
    }

    /// One more injection: how it ended, or what was wrong.
    pub fn count(&mut self, ended: Result<Ended, String>) {
        match ended {
            Ok(ended) => self.ends.push(ended),
            Err(wrong) => self.wrong.push(wrong),
        }
    }

    /// Adds what another host counted in the same rig.
    pub fn add(&mut self, other: Figure) {
        self.ends.extend(other.ends);
        self.wrong.extend(other.wrong);
    }

    /// How many injections there were.
    pub fn times(&self) -> usize {
        self.ends.len() + self.wrong.len()
    }

    /// How many ended so.
    pub fn ended(&self, wanted: Ended) -> usize {
        self.ends.iter().filter(|ended| **ended == wanted).count()
    }

    /// Writes the row of a soak, or of a shorter run where `RELIFT_FIGURES` asks for it, and makes sure that nothing was
    /// wrong.
    #[track_caller]
    pub fn publish(&self) {
        println!("{}", self.row());
        if is_soak() || std::env::var_os("RELIFT_FIGURES").is_some() {
            self.write();
        }
        assert!(
            self.wrong.is_empty(),
            "{} of {} are wrong:\n{}",
            self.wrong.len(),
            self.times(),
            self.wrong.join("\n")
        );
    }

    fn key(&self) -> String {
        format!("| {} | {} | {} |", self.rig, self.injected, self.on)
    }

    fn row(&self) -> String {
        let mut row = self.key();
        let ends = [Ended::Old, Ended::New, Ended::Operator].map(|ended| self.ended(ended));
        for number in [&[self.times()], &ends[..], &[self.wrong.len()]].concat() {
            let _ = write!(row, " {number} |");
        }
        let seed = self.seed.map_or_else(String::new, |seed| seed.to_string());
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
        let _ = write!(row, " {seed} | {} | {date} |", env!("CARGO_PKG_VERSION"));
        row
    }

    /// Rigs run side by side: the whole table is read and written under a lock.
    fn write(&self) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/RELIABILITY.md");
        let lock = File::create(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("figures.lock")).unwrap();
        let _lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
        let there = fs::read_to_string(&path).unwrap_or_default();
        // What `tests/mutations` wrote below the table stays.
        let (there, rest) = there.split_once("\n## ").map_or((&*there, None), |(table, rest)| (table, Some(rest)));
        let rest = rest.map_or_else(String::new, |rest| format!("\n## {rest}"));
        let is_row =
            |line: &&str| line.starts_with("| ") && !line.starts_with("| rig |") && !line.starts_with(&self.key());
        let mut rows: Vec<String> = there.lines().filter(is_row).map(str::to_owned).collect();
        rows.push(self.row());
        rows.sort();
        fs::write(&path, format!("{INTRODUCTION}{}\n{rest}", rows.join("\n"))).unwrap();
    }
}
