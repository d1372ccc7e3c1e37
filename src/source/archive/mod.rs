//! Release archives: a list of sums says what there is, an archive becomes a release in the mirror, and a directory of its
//! own is what it is unpacked to (`releases`).
//!
//! Of what others made nothing is read as root but text of bounded length: archives are unpacked by a child that is the
//! owner (`unpack`), and what they may hold is decided over plain values (`entry`).

pub mod entry;
mod get;
mod import;
mod listing;
pub mod robust;
mod sums;
mod target;
mod unpack;
mod upstream;
mod vouch;

use std::io::BufWriter;

use crate::error::{Context, Result};

pub use listing::Listing;
pub use vouch::{Vouched, vouched};

/// How long an archive may take to be unpacked, seconds.
const BOUND: u32 = 1800;

/// What the child does: tells what the archive on standard input holds.
pub fn tell(packed: u64, most: u64) -> Result<()> {
    // Whoever waits for it reads what it writes, and would wait for ever.
    nix::unistd::alarm::set(BOUND);
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
    unpack::unpack(std::io::stdin().lock(), packed, most, &mut out).context("nobody reads what is unpacked")
}

#[cfg(test)]
mod tests;
