//! What is remembered, and for how long it counts.

use super::world::{World, refused};
use crate::ledger::Ledger;
use crate::trust::{Memory, Pin};

const TIP: &str = "branch = \"main\"\nverify = { signed = \"tip\", allowed-signers = \"SIGNERS\" }";

#[test]
fn a_key_that_expires_takes_nothing_back_that_was_verified_and_one_that_is_no_longer_listed_does() {
    let mut world = World::new(TIP, "valid-before=\"20300101\"");
    let head = world.commit("head", &[], false);
    let (seen, unseen) = (world.commit("seen", &[&head], true), world.commit("unseen", &[&head], true));
    assert!(world.ask(&seen, None, &head).standing.is_verified());
    // 2031.
    world.now = 1_925_000_000;
    assert!(world.ask(&seen, None, &head).standing.is_verified());
    let said = refused(&world.ask(&unseen, None, &head));
    assert!(said.contains("has expired (valid-before in "), "{said}");
    // A key that is no longer listed counts for nothing, whatever was seen.
    let other = format!("release@example.org {}", std::fs::read_to_string(world.path("stranger.pub")).unwrap());
    std::fs::write(world.path("signers"), other).unwrap();
    assert!(refused(&world.ask(&seen, None, &head)).contains("which is not in"));
}

#[test]
fn what_was_seen_first_stays_until_it_is_approved() {
    let seen = |object: &str| crate::trust::Seen { object: object.into(), revision: "r".into(), since: 1 };
    let mut memory = Memory::default();
    memory.learn(Memory { tags: [("v1".to_owned(), seen("a"))].into(), ..Memory::default() });
    memory.learn(Memory { tags: [("v1".to_owned(), seen("b"))].into(), ..Memory::default() });
    assert_eq!(memory.tags["v1"].object, "a");
    let pin = |by: &str| Pin { revision: "r2".into(), label: Some("v1".into()), by: by.into(), time: 2 };
    memory.approve(pin("one"), Some("b".into()));
    memory.approve(pin("other"), Some("b".into()));
    assert_eq!(
        (memory.tags["v1"].object.as_str(), memory.pins.len(), memory.pin("r2").unwrap().by.as_str()),
        ("b", 1, "other")
    );
}

#[test]
fn memory_survives_and_what_is_not_there_is_empty() {
    let place = tempfile::tempdir().unwrap();
    let ledger = Ledger::below(place.path());
    assert_eq!(ledger.trust().unwrap(), Memory::default());
    let mut memory = Memory::default();
    memory.approve(Pin { revision: "r".into(), label: None, by: "root".into(), time: 1 }, None);
    ledger.set_trust(&memory).unwrap();
    assert_eq!(ledger.trust().unwrap(), memory);
    // What a later version adds, or an earlier one lacks, does not make it unreadable.
    std::fs::write(place.path().join("ledger/trust.json"), r#"{"format": 1, "content": {}}"#).unwrap();
    assert_eq!(ledger.trust().unwrap(), Memory::default());
}
