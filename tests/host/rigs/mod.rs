//! Rigs: one fault, injected again and again wherever it can strike, and what became of the host each time.
//!
//! CI runs each with a few rounds; `tests/run --soak` runs them in full and writes `tests/RELIABILITY.md`.

pub mod dice;
pub mod disk;
pub mod figures;
pub mod power;

mod bed;
mod clock;
mod concurrency;
mod cuts;
mod errors;
mod fetch;
mod full;
mod load;
mod midrun;
mod mutations;
mod racer;
mod random;
mod reboots;
mod records;
mod syscalls;
