//! The connection is lost in the middle of a fetch: at every 16 KiB of a release that is a mebibyte long.

use relift::sample::Entry;

use super::dice::Dice;
use super::figures::{Ended, Figure, rounds, seed};
use crate::harness::Host;
use crate::server::GitServer;

/// How far the cuts are from one another, in bytes.
const STEP: u64 = 16 << 10;
/// How much of a release cannot be compressed, in bytes.
const SIZE: u64 = 1 << 20;

#[test]
fn a_fetch_that_is_cut_anywhere_changes_nothing_and_the_next_one_goes_through() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    let before = host.snapshot();
    let mut dice = Dice::new(seed());
    let mut figure = Figure::new("fetch", "connection dropped after each 16 KiB", "smart HTTP").seeded(seed());
    // The last cut is beyond the end: the release is there.
    let cuts: Vec<u64> = (0..=SIZE / STEP).collect();
    for cut in cuts.iter().step_by(cuts.len().div_ceil(rounds(7, cuts.len()))) {
        let bytes: Vec<u8> = (0..SIZE / 8).flat_map(|_| dice.roll().to_le_bytes()).collect();
        server.release(|release| release.next(&format!("1.1.{cut}")).entry("manager/blob.bin", Entry::File(bytes)));
        server.behave(&format!("cut {}", cut * STEP));
        let upgrade = host.relift(&["upgrade", "app", "--yes"]);
        server.behave("");
        let difference = before.difference(&host.snapshot());
        let told = upgrade.stderr.contains("state: nothing was changed") && upgrade.stderr.contains("network");
        // Everything that refs lead to is there, and next time all of it comes.
        let mirror = host.sh("git --git-dir=/var/lib/relift/app/mirror.git fsck --no-dangling");
        let check = host.relift(&["check", "app"]);
        let begun = host.must("find /var/lib/relift/app/mirror.git -name 'tmp_*' -o -name '*.lock'");
        let is_right = (upgrade.code, mirror.code, check.code, told) == (1, 0, 100, true)
            && difference.is_empty()
            && begun.is_empty();
        let wrong = || format!("cut after {cut} * 16 KiB:\n{difference}{upgrade}\n{mirror}\n{check}\n{begun}");
        figure.count(if is_right { Ok(Ended::Old) } else { Err(wrong()) });
    }
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.must("stat -c %s /opt/app/manager/blob.bin"), SIZE.to_string());
    figure.publish();
}

#[test]
fn locks_that_a_killed_fetch_or_commit_left_in_the_mirror_keep_nothing_from_going_on() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").tag("v1.1.0"));
    host.relift(&["check", "app"]).exits(100);
    let commit = host.release(|release| release.next("1.2.0").tag("v1.2.0"));
    host.must(&format!(
        "cd /var/lib/relift/app/mirror.git; mkdir -p refs/heads refs/tags; git pack-refs --all
         touch refs/heads/main.lock refs/tags/v1.2.0.lock packed-refs.lock shallow.lock HEAD.lock
         mkdir -p refs/relift/known-good; touch refs/relift/known-good/{commit}.lock",
    ));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
    assert_eq!(host.must("find /var/lib/relift/app/mirror.git -name '*.lock'"), "");
}
