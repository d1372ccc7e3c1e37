//! The rows, each with its commands.

mod ask;
mod clone;
mod history;
mod large;
mod program;
mod upgrade;

use crate::Effort;
use crate::table::Row;

/// What measures some rows.
pub type Measure = fn(Effort) -> Vec<Row>;

/// Everything, by name.
pub const ALL: [(&str, Measure); 6] = [
    ("program", program::measure),
    ("check", ask::measure),
    ("upgrade", upgrade::measure),
    ("history", history::measure),
    ("plan", large::measure),
    ("clone", clone::measure),
];
