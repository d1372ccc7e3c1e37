//! SIGKILL at each record of a journal: of a first upgrade, of one that fails and comes back, of a rollback.

use std::thread;

use super::bed::{Bed, FAIL, ROLLBACK, UPGRADE};
use super::figures::{Ended, Figure, is_soak};
use crate::crash::{assert_recovers, assert_runs, killed, rich_host};
use crate::harness::Host;

/// How many hosts share the points.
const HOSTS: usize = 3;

#[test]
fn a_run_killed_at_any_record_of_its_journal_is_undone_exactly_or_finished() {
    let mut figure =
        Figure::new("records, upgrade", "SIGKILL before and after each record of the journal", "a first run");
    thread::scope(|scope| {
        let hosts: Vec<_> = (0..HOSTS).map(|share| scope.spawn(move || every_point(share))).collect();
        hosts.into_iter().for_each(|host| figure.add(host.join().unwrap()));
    });
    let points = figure.times();
    assert!(points > 50, "only {points} points were reached: the release is not rich any more");
    figure.publish();
}

/// Kills a run at each record of this share, until it is done.
fn every_point(share: usize) -> Figure {
    let mut figure = Figure::new("", "", "");
    let host = rich_host();
    let before = host.snapshot();
    for turn in 0.. {
        let at = turn * HOSTS + share;
        let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2 + 1);
        let out = killed(&host, &point, "upgrade app --yes");
        if out.code == 0 {
            // There is no such record: the run is done.
            assert_runs(&host, "1.1.0", &point);
            return figure;
        }
        assert_eq!(out.code, 137, "{point}: {out}");
        let is_committed = host.sh("ls /var/lib/relift/app/runs/*/*-commit.json").code == 0;
        if is_committed {
            finishes(&host, &point);
            figure.count(Ok(Ended::New));
            return figure;
        }
        assert_recovers(&host, &before, &point);
        figure.count(Ok(Ended::Old));
    }
    unreachable!()
}

/// A run that died after its commit is finished.
fn finishes(host: &Host, point: &str) {
    let out = host.relift(&["recover", "app"]).exits(0);
    assert!(out.stdout.contains("was finished") || out.stdout.contains("no interrupted run"), "{point}: {out}");
    assert_runs(host, "1.1.0", point);
    let again = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(again.stdout, "app: nothing to do, 1.1.0 is activated\n", "{point}");
    assert_eq!(host.relift(&["rollback", "app", "--yes"]).exits(0).code, 0);
    assert_runs(host, "1.0.0", point);
}

#[test]
fn an_undo_and_a_rollback_killed_at_any_record_of_their_journal_are_gone_on_with_or_undone() {
    let bed = Bed::new();
    let mut figure = Figure::new("records, undo and rollback", "SIGKILL before and after each record", "run");
    let step = if is_soak() { 1 } else { 17 };
    for run in [FAIL, ROLLBACK] {
        for at in (5..).step_by(step) {
            let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
            if run == ROLLBACK && bed.judge() == Ok(Ended::Old) {
                bed.host.sh(&format!("relift {UPGRADE}")).exits(0);
            }
            bed.calm();
            let out = killed(&bed.host, &point, run);
            if out.code != 137 {
                // There is no such record.
                assert_eq!(out.code, if run == FAIL { 3 } else { 0 }, "{out}");
                break;
            }
            let ended = bed.recovered().and_then(|ended| match (run, ended) {
                (FAIL, Ended::New) => Err("a release that cannot run is activated".to_owned()),
                _ => Ok(ended),
            });
            let is_wrong = ended.is_err();
            figure.count(ended.map_err(|wrong| format!("{run}, {point}: {wrong}")));
            if is_wrong {
                return figure.publish();
            }
        }
    }
    assert!(figure.times() > 4, "only {} points were reached", figure.times());
    figure.publish();
}
