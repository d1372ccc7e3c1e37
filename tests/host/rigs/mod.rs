//! Rigs: one fault, injected again and again wherever it can strike, and what became of the host each time.
//!
//! CI runs each with a few rounds; `tests/run --soak` runs them in full and writes `tests/RELIABILITY.md`.

pub mod figures;
mod load;
