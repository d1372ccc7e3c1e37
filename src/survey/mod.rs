//! (room)

pub mod discover;
