//! SIGKILL at the records of a journal of a Compose run: of an upgrade, of one that fails and comes back, of a rollback.

use std::thread;

use super::bed::{IMAGE, SERVES, SPOILS, publish, state, with_project};
use crate::crash::killed;
use crate::harness::Host;
use crate::rigs::figures::{Ended, Figure, is_soak};

/// The runs, how each ends, and the points at which CI kills it: twice the record, and one more for after it. A rollback is
/// killed with all the others alone: each time it takes an upgrade before.
const RUNS: [(&str, i32, &[usize]); 3] = [
    ("upgrade app --yes --to 1.1.0", 0, &[26]),
    ("upgrade app --yes --to 1.2.0", 3, &[38]),
    ("rollback app --yes", 0, &[]),
];
/// How many hosts share the points.
const HOSTS: usize = 2;

/// A host that knows both states: containers and their images, files, pins, data and volume.
struct Bed {
    host: Host,
    old: String,
    new: String,
}

#[test]
fn a_compose_run_killed_at_any_record_of_its_journal_ends_exactly_old_or_exactly_new() {
    let mut figure = Figure::new("records, Compose", "SIGKILL before and after each record", "run");
    if is_soak() {
        thread::scope(|scope| {
            let hosts: Vec<_> = (0..HOSTS).map(|share| scope.spawn(move || every_point(share))).collect();
            hosts.into_iter().for_each(|host| figure.add(host.join().unwrap()));
        });
    } else {
        let bed = Bed::new();
        for (run, _, points) in RUNS {
            points.iter().for_each(|at| {
                let ended = bed.killed(run, *at).unwrap_or_else(|| panic!("{run} has no point {at}"));
                figure.count(ended);
            });
        }
    }
    assert!(figure.times() >= if is_soak() { 60 } else { 2 }, "only {} points were reached", figure.times());
    figure.publish();
}

/// Kills each run at each point of this share, until there are no more.
fn every_point(share: usize) -> Figure {
    let (bed, mut figure) = (Bed::new(), Figure::new("", "", ""));
    for (run, ..) in RUNS {
        for at in (2 + share..).step_by(HOSTS) {
            match bed.killed(run, at) {
                Some(ended) => figure.count(ended),
                None => break,
            }
        }
    }
    figure
}

impl Bed {
    fn new() -> Bed {
        let host = with_project(IMAGE, "soak = \"0s\"");
        publish(&host, "1.1.0", "v1.1.0", SERVES);
        publish(&host, "1.2.0", "v1.2.0", SPOILS);
        let bed = |host| Bed { host, old: String::new(), new: String::new() };
        let mut bed = bed(host);
        bed.host.relift(&["upgrade", "app", "--yes", "--to", "1.1.0"]).exits(0);
        bed.new = bed.picture();
        bed.host.relift(&["rollback", "app", "--yes"]).exits(0);
        bed.old = bed.picture();
        assert_ne!(bed.old, bed.new);
        bed
    }

    fn picture(&self) -> String {
        self.host.wait_for("curl -fs http://127.0.0.1:8080/version");
        let told = state(&self.host) + &self.host.must("cd /srv/app; ls -A; sha256sum docker-compose.yml");
        // Containers are made anew: their own ids say nothing.
        let words = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        words.collect::<Vec<_>>().join("\n")
    }

    /// Kills a run, and tells how it ended; `None`: it has no such point.
    fn killed(&self, run: &str, at: usize) -> Option<Result<Ended, String>> {
        let goal = if run.starts_with("rollback") { &self.new } else { &self.old };
        if self.picture() != *goal {
            let other = if run.starts_with("rollback") { "upgrade app --yes --to 1.1.0" } else { "rollback app --yes" };
            self.host.sh(&format!("relift {other}")).exits(0);
            assert_eq!(self.picture(), *goal, "before {run}, point {at}");
        }
        let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2);
        self.host.sh("systemctl reset-failed");
        let out = killed(&self.host, &point, run);
        if out.code != 137 {
            let code = RUNS.iter().find(|(known, ..)| *known == run).map_or(0, |(_, code, _)| *code);
            assert_eq!(out.code, code, "{run}, {point}: {out}");
            return None;
        }
        Some(self.judged(run).map_err(|wrong| format!("{run}, {point}: {wrong}")))
    }

    /// Recovers, twice, and compares.
    fn judged(&self, run: &str) -> Result<Ended, String> {
        let recovered = self.host.relift(&["recover", "app"]);
        if recovered.code != 0 {
            return Err(format!("{recovered}"));
        }
        let now = self.picture();
        self.host.relift(&["recover", "app"]).exits(0);
        let backup = self.host.sh("id=$(ls /var/lib/relift/app/runs | tail -1); ls /var/lib/relift/app/runs/$id | grep -q backed-up || exit 0; relift backup verify app $id");
        if backup.code != 0 {
            return Err(format!("the backup does not hold: {backup}"));
        }
        match () {
            () if now != self.picture() => Err("recovering again changed something".to_owned()),
            () if now == self.old => Ok(Ended::Old),
            () if now == self.new && !run.ends_with("1.2.0") => Ok(Ended::New),
            () => Err(format!("{now}\n-- is neither\n{}\n-- nor\n{}\n{recovered}", self.old, self.new)),
        }
    }
}
