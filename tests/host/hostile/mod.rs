//! What an adversary may plant, and what must become of it.

mod configs;
mod shapes;
