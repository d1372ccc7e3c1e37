//! Hostile inputs, by category: each a table of what is planted and what must happen.

mod configs;
mod manifests;
mod shapes;
mod signatures;
