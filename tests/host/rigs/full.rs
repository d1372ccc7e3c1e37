//! A disk that fills up while a run goes on: the state's, the checkout's or that of the units, at any phase.

use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::dice::Dice;
use super::disk::{Kind, inside};
use super::figures::{Ended, Figure, rounds, seed};
use super::power::{ALL_APART, Bench};

/// Takes every free block of a disk, and lets nothing of it go.
fn fill(path: &str) {
    let mut file = std::fs::File::create(path).unwrap();
    let mut length = 1_i64 << 28;
    let mut at = 0;
    while length >= 4096 {
        // SAFETY: the descriptor is open; fallocate(2) takes numbers.
        match unsafe { libc::fallocate(file.as_raw_fd(), 0, at, length) } {
            0 => at += length,
            _ => length /= 2,
        }
    }
    // What is left is no whole extent.
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at as u64)).unwrap();
    while file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).is_ok() {}
}

/// Fills the disk when the run has so many records; how it ended, and what is left when there is room again.
fn strike(bench: &Bench, disk: usize, records: usize) -> Result<Ended, String> {
    let filler = inside(&bench.host, &format!("{}/filler", bench.disks[disk].1));
    let runs = bench.there().len();
    let is_over = AtomicBool::new(false);
    let code = thread::scope(|scope| {
        scope.spawn(|| {
            while bench.there().get(runs).map_or(0, Vec::len) < records && !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
            }
            fill(&filler);
        });
        let mut run = bench.start(None);
        let code = bench.wait(&mut run, Duration::from_secs(90));
        is_over.store(true, Ordering::Relaxed);
        code
    });
    let said = bench.host.read("/tmp/run");
    let wrong = |wrong: String| format!("{wrong}\n{said}");
    // What the account says is true before there is room again.
    let before = match code {
        Some(0) => Some(Ended::New),
        Some(1 | 3) => Some(Ended::Old),
        Some(4) if said.contains("relift recover") => None,
        code => return Err(wrong(format!("exit {code:?}"))),
    };
    if before.is_some() {
        let now = bench.ended().map_err(wrong)?;
        if Some(now) != before {
            return Err(wrong(format!("exit {code:?}, and the state is {now:?}")));
        }
    }
    std::fs::remove_file(&filler).unwrap();
    bench.recover().map_err(wrong)?;
    let ended = bench.ended().map_err(wrong)?;
    match before {
        Some(before) if before != ended => Err(wrong(format!("recovery made {ended:?} of {before:?}"))),
        Some(_) => Ok(ended),
        None => Ok(Ended::Operator),
    }
}

#[test]
fn a_disk_that_fills_up_during_a_run_leaves_the_old_or_the_new_release() {
    let bench = Bench::new(Kind::Ext4, ALL_APART);
    let mut dice = Dice::new(seed());
    let mut figure = Figure::new("full disk", "no block left", "ext4: state, checkout or units").seeded(seed());
    for round in 0..rounds(6, 90) {
        let (disk, records) = (round % 3, 1 + dice.below(bench.records.len()));
        let what = format!("disk {disk} is full after {records} records");
        let ended = strike(&bench, disk, records).map_err(|wrong| format!("{what}: {wrong}"));
        println!("{what}: {ended:?}");
        if ended != Ok(Ended::Old) {
            bench.restore();
            bench.settled("1.0.0").unwrap();
        }
        figure.count(ended);
    }
    figure.publish();
}
