//! The plan: pure functions from what is here and what is offered to what would change.

pub mod env;
pub mod notes;
pub mod unit;
