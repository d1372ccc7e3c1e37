//! Real repositories and real keys, made by each test.

mod memory;
mod objects;
mod policy;
mod status;
mod world;
