//! Power cuts: the filesystems of a run are shut down without a flush while another process keeps calling fsync.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::dice::Dice;
use super::disk::Kind;
use super::figures::{Ended, Figure, is_soak, rounds, seed};
use super::power::{Bench, STATE_APART, TOGETHER};
use crate::harness::needs;

/// How many cuts are made until the disks are as new again.
const RENEWAL: usize = 8;

/// One cut.
#[derive(Debug)]
struct Cut {
    /// At a point of the journal, or at an instant.
    at: At,
    /// The pause of the process that calls fsync; `None`: there is none, and nothing becomes durable by accident.
    sync: Option<Duration>,
    /// Whether services are started before recovery, or after.
    is_boot_first: bool,
    /// Whether the power goes a second time, right after recovery, with nobody who syncs.
    is_cut_again: bool,
}

#[derive(Debug)]
enum At {
    Record(String),
    Instant(Duration),
}

impl Cut {
    /// Right after the last record, then right after the first one, with nobody who syncs: all must be durable by itself.
    /// Then anywhere.
    fn of_round(round: usize, dice: &mut Dice, bench: &Bench) -> Cut {
        let at = match round {
            0 => bench.records.last().unwrap(),
            1 => &bench.records[0],
            _ => return Cut::throw(dice, bench),
        };
        Cut { at: At::Record(format!("after-{at}")), sync: None, is_boot_first: true, is_cut_again: false }
    }

    fn throw(dice: &mut Dice, bench: &Bench) -> Cut {
        let at = match dice.below(2) {
            0 => At::Instant(dice.within(bench.time)),
            _ => {
                // Every fourth where a release is committed, which is short.
                let from = if dice.below(4) == 0 { bench.records.len() - 3 } else { 0 };
                let record = &bench.records[from + dice.below(bench.records.len() - from)];
                At::Record(format!("{}-{record}", ["before", "after"][dice.below(2)]))
            }
        };
        let sync = match dice.below(4) {
            0 => None,
            1 => Some(Duration::from_millis(1 + dice.below(50) as u64)),
            _ => Some(Duration::ZERO),
        };
        Cut { at, sync, is_boot_first: dice.below(2) == 0, is_cut_again: dice.below(3) == 0 }
    }

    /// The records that must have outlived it, in order.
    fn durable<'a>(&self, records: &'a [String]) -> &'a [String] {
        let At::Record(point) = &self.at else { return &[] };
        let (side, record) = point.split_once('-').unwrap();
        let at = records.iter().position(|known| known == record).unwrap();
        &records[..at + usize::from(side == "after")]
    }
}

/// Cuts the power of one run; how it ended.
fn strike(bench: &Bench, cut: &Cut) -> Result<Ended, String> {
    let is_over = AtomicBool::new(false);
    // From the first intent on, what others left unflushed is the run's to keep.
    let is_late = matches!(&cut.at, At::Record(point) if ["00001", "00002"].iter().all(|first| !point.contains(first)));
    if !is_late {
        bench.sync();
    }
    let runs = bench.there().len();
    let code = thread::scope(|scope| {
        if let Some(pause) = cut.sync {
            let is_over = &is_over;
            scope.spawn(move || bench.keep_syncing(pause, is_over));
        }
        let (mut run, code) = match &cut.at {
            At::Record(point) => {
                let mut run = bench.start(Some(point));
                let code = bench.wait(&mut run, Duration::from_secs(60));
                (run, code)
            }
            At::Instant(time) => {
                let mut run = bench.start(None);
                let code = bench.wait(&mut run, *time);
                (run, code)
            }
        };
        bench.cut(&mut run);
        is_over.store(true, Ordering::Relaxed);
        code
    });
    match (&cut.at, code) {
        (At::Record(_), Some(137)) | (At::Instant(_), None | Some(0)) => {}
        (_, code) => return Err(format!("the run ended with {code:?}: {}", bench.host.read("/tmp/run"))),
    }
    bench.mount_alone();
    // What was recorded before the cut is there after it.
    let there = bench.there().into_iter().nth(runs).unwrap_or_default();
    let durable = cut.durable(&bench.records);
    if !there.starts_with(durable) {
        return Err(format!("records were lost: {there:?} of {durable:?}"));
    }
    bench.promised()?;
    if cut.is_boot_first {
        bench.boot();
    }
    let recovered = bench.recover();
    if !cut.is_boot_first {
        bench.boot();
    }
    let out = recovered?;
    if cut.is_cut_again {
        bench.cut_power();
        bench.mount();
        if bench.recover()?.stdout != "app: no interrupted run\n" {
            return Err(format!("what recovery did was not durable: {out}"));
        }
    }
    let ended = bench.ended().map_err(|wrong| format!("{wrong}\n{out}"))?;
    let has = |word: &str| there.iter().any(|record| record.ends_with(word));
    match ended {
        Ended::Old if has("-commit") || code == Some(0) => Err("a release that was committed is gone".into()),
        Ended::New if !has("-commit") => Err("a release that was not committed stayed".into()),
        _ => Ok(ended),
    }
}

/// What loses its power.
#[derive(Clone, Copy)]
struct Ground {
    kind: Kind,
    /// The state on a disk of its own.
    is_parted: bool,
    /// Each release in a directory of its own.
    in_releases: bool,
}

impl Ground {
    fn bench(self) -> Bench {
        let places = if self.is_parted { STATE_APART } else { TOGETHER };
        if self.in_releases { Bench::in_releases(self.kind, places) } else { Bench::new(self.kind, places) }
    }

    fn figure(self) -> Figure {
        let disks = match (self.in_releases, self.is_parted) {
            (false, false) => "everything on one disk",
            (false, true) => "state and checkout on two disks",
            (true, false) => "layout = \"releases\", everything on one disk",
            (true, true) => "layout = \"releases\", state and releases on two disks",
        };
        let [name, options] = self.kind.words();
        Figure::new("power cut", "GOINGDOWN without a flush", &format!("{name} ({options}), {disks}")).seeded(seed())
    }
}

/// Cuts again and again on one host.
fn rig(ground: Ground, share: usize, times: usize) -> Figure {
    needs(&[("mkfs.ext4", "e2fsprogs"), ("mkfs.xfs", "xfsprogs")]);
    let Ground { kind, is_parted, in_releases } = ground;
    let bench = ground.bench();
    let mut figure = ground.figure();
    let of_kind = u64::from(kind == Kind::Xfs) << 1 | u64::from(is_parted);
    let variant = u64::from(in_releases) << 8 | (share as u64) << 2 | of_kind;
    let mut dice = Dice::new(seed() ^ variant << 32);
    let mut is_worn = false;
    for round in 0..times {
        if is_worn || round % RENEWAL == RENEWAL - 1 {
            bench.restore();
            bench.settled("1.0.0").unwrap();
        }
        let cut = Cut::of_round(round, &mut dice, &bench);
        let begun = std::time::Instant::now();
        let ended = strike(&bench, &cut).map_err(|wrong| format!("round {round} of share {share}: {cut:?}: {wrong}"));
        println!("{round} {cut:?} {:?} {:?}", ended, begun.elapsed());
        is_worn = ended != Ok(Ended::Old);
        figure.count(ended);
    }
    figure
}

/// The rig with two hosts side by side when it is long.
fn cuts(ground: Ground, short: usize) {
    let (times, hosts) = (rounds(short, 125), if is_soak() { 2 } else { 1 });
    let share = |share: usize| rig(ground, share, (times + hosts - 1 - share) / hosts);
    let mut all = ground.figure();
    thread::scope(|scope| {
        let hosts: Vec<_> = (0..hosts).map(|at| scope.spawn(move || share(at))).collect();
        hosts.into_iter().for_each(|host| all.add(host.join().unwrap()));
    });
    all.publish();
}

fn in_place(kind: Kind, is_parted: bool) {
    cuts(Ground { kind, is_parted, in_releases: false }, 4);
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new_release_on_ext4() {
    in_place(Kind::Ext4, false);
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new_release_on_xfs() {
    in_place(Kind::Xfs, false);
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new_release_on_two_disks_of_ext4() {
    in_place(Kind::Ext4, true);
}

#[test]
fn a_power_cut_leaves_the_old_or_the_new_release_on_two_disks_of_xfs() {
    in_place(Kind::Xfs, true);
}

#[test]
fn a_power_cut_leaves_current_at_the_old_or_the_new_release_in_a_directory_of_its_own() {
    cuts(Ground { kind: Kind::Ext4, is_parted: true, in_releases: true }, 4);
    // With few rounds, another host costs more than it finds.
    if is_soak() {
        cuts(Ground { kind: Kind::Xfs, is_parted: true, in_releases: true }, 4);
    }
}
