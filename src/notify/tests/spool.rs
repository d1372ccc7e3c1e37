//! What waits to be delivered: durable, bounded, nobody else's.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::notify::memory::blank;

fn message(way: &str, headline: &str, now: i64) -> Message {
    let news = News { headline: headline.into(), ..blank(&site(now), Topic::Failure) };
    Message::new(news, way, "mail to ops@example.org")
}

#[test]
fn a_thousand_messages_at_once_are_twenty_and_the_last_stands_for_the_rest() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::of(&Paths::below(place.path()), "app");
    for number in 0..1_000 {
        store.put(message("one", &format!("failure {number}"), NOON)).unwrap();
    }
    store.put(message("other", "failure", NOON)).unwrap();
    let messages = store.messages().unwrap();
    assert_eq!(messages.len(), 21);
    let others: u64 = messages.iter().map(|message| message.news.others).sum();
    assert_eq!(others, 980, "every message is told or counted");
    assert!(messages.iter().any(|message| message.news.headline == "failure 999"), "the newest is told");
    for entry in std::fs::read_dir(place.path().join("var/lib/relift/app/notify/spool")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_message_is_tried_after_a_minute_then_less_often_up_to_six_hours_and_not_after_three_days() {
    let mut message = message("w", "x", NOON);
    let (mut now, mut pauses) = (NOON, Vec::new());
    while !message.is_old(now) {
        assert!(message.is_due(now));
        message = message.failed("no", None, now);
        assert!(!message.is_due(message.next - 1));
        pauses.push(message.next - now);
        now = message.next;
    }
    assert_eq!(pauses[..9], [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 15_360]);
    assert!(pauses[9..].iter().all(|pause| *pause == 21_600) && pauses.len() < 25, "{pauses:?}");
    // Who is asked to wait waits, and not for ever.
    let asked = message.clone().failed("429", Some(30 * 60), now);
    assert!(asked.next - now >= 30 * 60);
    assert!(message.clone().failed("429", Some(u64::MAX), now).next - now <= 21_600);
    // A clock that was set back makes nothing wait for years.
    assert!(message.is_due(NOON - 3_650 * DAY));
}

#[test]
fn a_spool_that_is_a_link_or_anothers_is_not_written_to() {
    let place = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let store = Store::of(&Paths::below(place.path()), "app");
    let directory = place.path().join("var/lib/relift/app/notify");
    crate::host::fs::make_ours(&directory).unwrap();
    symlink(elsewhere.path(), directory.join("spool")).unwrap();
    assert!(store.put(message("w", "x", NOON)).unwrap_err().to_string().contains("symbolic link"));
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    std::fs::remove_file(directory.join("spool")).unwrap();
    std::fs::create_dir(directory.join("spool")).unwrap();
    std::os::unix::fs::chown(directory.join("spool"), Some(65_534), None).expect("this test needs root");
    assert!(store.put(message("w", "x", NOON)).unwrap_err().to_string().contains("65534"));
}

#[test]
fn what_lies_in_the_spool_and_is_no_message_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::of(&Paths::below(place.path()), "app");
    store.put(message("w", "x", NOON)).unwrap();
    let spool = place.path().join("var/lib/relift/app/notify/spool");
    std::fs::write(spool.join("torn.json"), "{\"format\": 1,").unwrap();
    std::fs::write(spool.join(".tmp-x"), "x").unwrap();
    symlink("/dev/zero", spool.join("zero.json")).unwrap();
    nix::unistd::mkfifo(&spool.join("pipe.json"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(store.messages().unwrap().len(), 1);
}

#[test]
fn what_was_told_is_whole_or_forgotten_and_is_remembered_where_the_disk_is_not_to_be_had() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::of(&Paths::below(place.path()), "app");
    let memory = Memory { format: 1, checked: Some(NOON), ..Memory::default() };
    store.remember(&memory).unwrap();
    assert_eq!(store.memory(), memory);
    let file = place.path().join("var/lib/relift/app/notify/state.json");
    std::fs::write(&file, "{\"format\": 1, \"open\"").unwrap();
    assert_eq!(store.memory(), Memory::default());
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    store.remember(&memory).unwrap();
    assert_eq!(store.memory(), memory, "it is kept until the next boot");
    std::fs::remove_dir(&file).unwrap();
    store.remember(&Memory { checked: Some(NOON + 1), ..memory }).unwrap();
    assert_eq!(store.memory().checked, Some(NOON + 1));
    assert!(!place.path().join("run/relift/app~notify.json").exists());
}
