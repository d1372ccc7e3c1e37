//! The host reboots in the middle of a run, in each of its phases; the boot recovers by itself, with the unit that is shipped.

use std::fs;
use std::time::Duration;

use super::bed::{Bed, FAIL, ROLLBACK, UPGRADE, has, newest, until_record};
use super::dice::Dice;
use super::figures::{Ended, Figure, rounds, seed};

/// The phases of a run, and the record at which each is under way.
struct Phases(Vec<(&'static str, &'static str, String)>);

impl Phases {
    /// As the journal of an upgrade that is done has them.
    fn of(bed: &Bed) -> Phases {
        bed.host.sh(&format!("relift {UPGRADE}")).exits(0);
        let begin = fs::read_to_string(newest(&bed.host).unwrap().join("00001-begin.json")).unwrap();
        let begin: serde_json::Value = serde_json::from_str(&begin).unwrap();
        let actions = begin["body"]["begin"]["plan"]["actions"].as_array().unwrap();
        // `begin` and `prepared`, then `intent` and `done` of each action.
        let kind =
            |at: usize| actions[at].as_object().map(|action| action.keys().next().unwrap().as_str()).unwrap_or("");
        let at = |wanted: &str| (0..actions.len()).find(|at| kind(*at) == wanted).unwrap();
        let last = |wanted: &str| (0..actions.len()).rev().find(|at| kind(*at) == wanted).unwrap();
        let intent = |action: usize| format!("{:05}-intent.json", 3 + 2 * action);
        let done = |action: usize| format!("{:05}-done.json", 4 + 2 * action);
        bed.host.sh(&format!("relift {ROLLBACK}")).exits(0);
        bed.calm();
        Phases(vec![
            ("prepare", UPGRADE, "00001-begin.json".into()),
            ("switch, in the tree", UPGRADE, intent(at("tree"))),
            ("switch, after the tree", UPGRADE, done(at("tree"))),
            ("switch, after .env", UPGRADE, done(last("env-file"))),
            ("switch, in a step", UPGRADE, intent(at("step"))),
            ("switch, after the units", UPGRADE, done(last("units"))),
            ("switch, in the first restart", UPGRADE, intent(at("service"))),
            ("switch, in the last restart", UPGRADE, intent(last("service"))),
            ("gate", UPGRADE, done(actions.len() - 1)),
            ("commit", UPGRADE, "-commit.json".into()),
            ("undo, at its beginning", FAIL, "-abort.json".into()),
            ("undo, in its middle", FAIL, "-undone.json".into()),
        ])
    }
}

#[test]
fn a_host_that_reboots_in_any_phase_of_a_run_is_recovered_by_its_boot() {
    let mut bed = Bed::new();
    let phases = Phases::of(&bed).0;
    let mut dice = Dice::new(seed());
    let mut figure = Figure::new("reboots", "reboot in each of 12 phases", "run").seeded(seed());
    for round in 0..rounds(5, 120) {
        // 5 and 12 have no divisor in common: a few rounds are spread over a run, twelve are all of it.
        let (phase, arguments, record) = &phases[round * 5 % phases.len()];
        // At once when the record is there, later also some time after it.
        let after = dice.within(Duration::from_millis(if round < phases.len() { 0 } else { 150 }));
        let ended = rebooted(&mut bed, arguments, record, after);
        let is_wrong = ended.is_err();
        figure.count(ended.map_err(|wrong| format!("{phase}, {after:?} after {record}: {wrong}")));
        if is_wrong {
            break;
        }
    }
    figure.publish();
}

/// Reboots when a record of a new run is there; what the boot made of it.
fn rebooted(bed: &mut Bed, arguments: &str, record: &str, after: Duration) -> Result<Ended, String> {
    bed.calm();
    let before = newest(&bed.host);
    let run = bed.begin("exec", arguments);
    until_record(&bed.host, before.as_deref(), record);
    std::thread::sleep(after);
    let log = run.abandon();
    bed.host.boot_again();
    bed.host.wait_for(
        "[ $(systemctl show -P ActiveState relift-recover) = inactive ] && test -S /run/user/$(id -u app)/bus",
    );
    let journal = bed.host.must("journalctl --boot --no-pager -u relift-recover");
    let context = |wrong: String| format!("{wrong}\n{journal}\n{}", fs::read_to_string(&log).unwrap_or_default());
    let result = bed.host.must("systemctl show -P Result relift-recover");
    if result != "success" {
        return Err(context(format!("the boot did not recover: {result}")));
    }
    let wanted = if newest(&bed.host).is_some_and(|run| has(&run, "-commit.json")) { Ended::New } else { Ended::Old };
    let ended = bed.judge().map_err(context)?;
    if ended != wanted {
        return Err(context(format!("{ended:?}, and the journal says {wanted:?}")));
    }
    if ended == Ended::New {
        bed.host.sh(&format!("relift {ROLLBACK}")).exits(0);
    }
    Ok(ended)
}
