//! A clock that jumps by hours and years: while a run goes on, and between it and its recovery.
//!
//! The clock of a throw-away host is the machine's, and is never set: libfaketime tells relift another time.

use std::time::{Duration, Instant};

use super::bed::{Bed, FAIL, ROLLBACK, UPGRADE};
use super::dice::Dice;
use super::figures::{Ended, Figure, rounds, seed};
use crate::harness::Host;

/// The loader's path of libfaketime(1), on every architecture of Debian.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketime.so.1";
/// How a program is told another time, of which `/tmp/clock` says how far off it is. What measures time is left alone.
const FAKED: &str = "FAKETIME_TIMESTAMP_FILE=/tmp/clock FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1";
/// Where the clock jumps to.
const JUMPS: [&str; 8] = ["+0", "+5y", "-3h", "+40m", "-12y", "+1d", "-30d", "+11y"];

/// What stands before relift for it to see the clock of `/tmp/clock`.
fn faked() -> String {
    format!("exec env {FAKED} LD_PRELOAD='{LIBRARY}'")
}

/// Sets the clock of relift.
fn set(host: &Host, offset: &str) {
    host.must(&format!("echo '{offset}' > /tmp/clock.new && mv /tmp/clock.new /tmp/clock"));
}

fn make_sure_that_it_is_another_time(host: &Host) {
    assert!(
        std::path::Path::new("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1").exists()
            || host.sh("ls /usr/lib/*/faketime/libfaketime.so.1").code == 0,
        "this test needs libfaketime: apt-get install libfaketime (tests/run does it)"
    );
    set(host, "+5y");
    let year = |faked: &str| host.must(&format!("({faked} date +%Y)")).parse::<i32>().unwrap();
    assert_eq!(year(&faked()), year("exec") + 5);
}

#[test]
fn a_clock_that_jumps_during_a_run_and_before_its_recovery_changes_nothing() {
    let bed = Bed::new();
    make_sure_that_it_is_another_time(&bed.host);
    // Every few milliseconds it is another time.
    let jumps = JUMPS.map(|jump| format!("'{jump}'")).join(" ");
    bed.host.must(&format!(
        "systemd-run --quiet --unit=jumps sh -c 'while :; do for jump in {}; do [ -e /tmp/still ] || {{ echo $jump > /tmp/clock.new && mv /tmp/clock.new /tmp/clock; }}; sleep 0.013; done; done'",
        jumps.replace('\'', "")
    ));
    let seed = seed();
    let mut dice = Dice::new(seed);
    let mut figure =
        Figure::new("clock", "jumps by up to 12 years, 70 a second, and SIGKILL", "run and recovery").seeded(seed);
    let mut at = Ended::Old;
    for round in 0..rounds(5, 60) {
        bed.calm();
        bed.host.must("rm -f /tmp/still");
        let run = match (at, dice.below(3)) {
            (_, 0) => FAIL,
            (Ended::Old, _) => UPGRADE,
            _ => ROLLBACK,
        };
        // A run is about 34 records long; beyond, nothing kills it.
        let record = 2 + dice.below(40);
        let begun = Instant::now();
        let out = bed.begin(&format!("export RELIFT_KILL_AT=before-{record:05}; {}", faked()), run).ended();
        assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}: {out}", begun.elapsed());
        let ended = match out.code {
            0 | 3 => bed.judge(),
            _ => {
                bed.host.must("touch /tmp/still");
                set(&bed.host, JUMPS[dice.below(JUMPS.len())]);
                let recovery = bed.begin(&faked(), "recover app").ended();
                match recovery.code {
                    0 => bed.judge(),
                    _ => Err(recovery.to_string()),
                }
            }
        };
        let ended = ended.and_then(|ended| match (out.code, run, ended) {
            (0, FAIL, _) => Err("what cannot run is done".into()),
            (3, _, ended) if ended != at => Err(format!("{ended:?} after exit 3")),
            _ => Ok(ended),
        });
        at = ended.as_ref().copied().unwrap_or(at);
        let is_wrong = ended.is_err();
        figure.count(ended.map_err(|wrong| format!("round {round}, `{run}` until record {record}: {wrong}\n{out}")));
        if is_wrong {
            break;
        }
    }
    assert_eq!(listed(&bed.host), made(&bed.host), "the runs are not told in the order in which they were made");
    figure.publish();
}

/// The runs as `relift history` lists them, newest first.
fn listed(host: &Host) -> Vec<String> {
    let out = host.relift(&["history", "app", "--lines", "1000", "--json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&out.stdout).unwrap();
    document["runs"].as_array().unwrap().iter().map(|run| run["run"].as_str().unwrap().to_owned()).collect()
}

/// The runs in the order in which the kernel saw their first records, newest first.
fn made(host: &Host) -> Vec<String> {
    let list = host.must("cd /var/lib/relift/app/runs; ls -t */00001-begin.json");
    list.lines().map(|line| line.split('/').next().unwrap().to_owned()).collect()
}

#[test]
fn releases_that_were_reached_while_the_clock_went_back_are_left_in_the_order_in_which_they_were_reached() {
    let mut host = {
        let mut site = relift::sample::Site::new("app");
        site.soak = 0;
        Host::with_site(site)
    };
    make_sure_that_it_is_another_time(&host);
    let relift = |host: &Host, arguments: &str| {
        host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
        host.sh(&format!("{} relift {arguments}", faked())).exits(0)
    };
    for (version, offset) in [("1.1.0", "+3y"), ("1.2.0", "+0"), ("1.3.0", "-9y")] {
        host.release(|release| release.next(version));
        set(&host, offset);
        relift(&host, "upgrade app --yes");
    }
    let order = host.must("cd /opt/app; for tag in $(git -c safe.directory=* tag --list 'known-good/*'); do git -c safe.directory=* show $tag:manager/VERSION; done");
    assert_eq!(order, "1.0.0\n1.1.0\n1.2.0\n1.3.0");
    assert_eq!(listed(&host), made(&host));
    for (version, offset) in [("1.2.0", "+7y"), ("1.1.0", "-1h"), ("1.0.0", "+0")] {
        set(&host, offset);
        relift(&host, "rollback app --yes");
        assert_eq!(host.answers("manager").as_deref(), Some(version));
    }
}
