//! The releases of the story.

use crate::sample::{Release, Site};

/// What is installed at first.
pub const FIRST: &str = "1.0.0";
/// The release that is well.
pub const GOOD: &str = "1.1.0";
/// The release that starts and dies.
pub const BROKEN: &str = "1.2.0";

/// What is installed.
pub fn first(site: &Site) -> Release {
    site.first(FIRST)
}

/// The commits of the good release, in order.
pub fn good(first: &Release) -> Vec<Release> {
    let handbook = first
        .clone()
        .file("manager/HANDBOOK.md", "# Handbook\n\nHow the manager is moved to another host.\n")
        .message("Describe how the manager is moved to another host");
    let setting = handbook
        .clone()
        .env_key("runner", "WORKERS", "2", "How many jobs run at the same time.")
        .message("Make the number of workers a setting");
    let limit =
        setting.clone().unit_line("manager", "Service", "LimitNOFILE=4096").message("Let the manager open 4096 files");
    let release = limit
        .clone()
        .next(GOOD)
        .note("manager", "It may open 4096 files; the unit says so.")
        .note("runner", "WORKERS in `.env` says how many jobs run at the same time.");
    vec![handbook, setting, limit, release]
}

/// The release whose manager serves, and dies two seconds after its start.
pub fn broken(good: &[Release]) -> Release {
    let last = good.last().cloned().unwrap_or_else(|| first(&Site::new("sample")));
    last.next(BROKEN)
        .behaviour("manager", "ready-then-die 2s 3")
        .note("manager", "Jobs are kept in memory, which makes it faster.")
}
