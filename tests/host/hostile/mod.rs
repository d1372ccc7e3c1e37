//! Hostile inputs, by category: each a table of what is planted and what must happen.

mod signatures;
