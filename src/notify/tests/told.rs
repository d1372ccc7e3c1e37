//! The same news is told once.

use super::*;
use crate::notify::memory::Found;
use crate::notify::news::Matter;

const ALL: [Topic; 7] =
    [Topic::Failure, Topic::Decision, Topic::New, Topic::Success, Topic::Recovered, Topic::Stale, Topic::Deferred];

#[test]
fn a_refusal_of_every_tick_is_told_when_it_begins_when_it_changes_daily_and_when_it_is_over() {
    let way = way(&ALL, "ops@example.org");
    let (ways, mut memory) = ([("w".to_owned(), &way)], Memory::default());
    let refused = happened(Verb::Upgrade, Outcome::Refused, Some("app: a new key TOKEN_3 needs a value"));
    let mut told = Vec::new();
    // Every 15 minutes for two days and a bit.
    for tick in 0..200 {
        told.extend(hear(&mut memory, &ways, &refused, NOON + tick * 900));
    }
    let refusal = "app 1.4.2 -> 1.5.0 waits for a decision";
    assert_eq!(told, [format!("w new {refusal}"), format!("w reminder {refusal}"), format!("w reminder {refusal}")]);
    let other = happened(Verb::Upgrade, Outcome::Refused, Some("app: main.service was edited here and upstream"));
    assert_eq!(hear(&mut memory, &ways, &other, NOON + 3 * DAY), [format!("w new {refusal}")]);
    // Not now says nothing about the decision.
    let deferred = happened(Verb::Upgrade, Outcome::Deferred, Some("app is outside its window"));
    assert!(hear(&mut memory, &ways, &deferred, NOON + 3 * DAY + 60).is_empty());
    let current = happened(Verb::Upgrade, Outcome::Current, None);
    assert_eq!(hear(&mut memory, &ways, &current, NOON + 3 * DAY + 120), [format!("w resolved {refusal}")]);
    assert!(hear(&mut memory, &ways, &current, NOON + 3 * DAY + 180).is_empty());
}

#[test]
fn figures_and_run_ids_in_the_words_of_a_failure_do_not_make_it_another() {
    let way = way(&ALL, "ops@example.org");
    let (ways, mut memory) = ([("w".to_owned(), &way)], Memory::default());
    let failed = |what: &str| happened(Verb::Check, Outcome::Failed, Some(what));
    assert_eq!(hear(&mut memory, &ways, &failed("no answer after 3017 ms (try 2)"), NOON).len(), 1);
    assert!(hear(&mut memory, &ways, &failed("no answer after 2998 ms (try 3)"), NOON + 60).is_empty());
    assert_eq!(hear(&mut memory, &ways, &failed("connection refused"), NOON + 120).len(), 1);
    let current = happened(Verb::Check, Outcome::Current, None);
    assert_eq!(hear(&mut memory, &ways, &current, NOON + 180), ["w resolved app could not be checked"]);
}

#[test]
fn a_release_that_failed_is_told_once_and_its_skips_are_reminders_until_another_works() {
    let way = way(&[Topic::Failure, Topic::Success], "ops@example.org");
    let (ways, mut memory) = ([("w".to_owned(), &way)], Memory::default());
    let mut failed = happened(Verb::Upgrade, Outcome::PutBack, Some("it did not become healthy"));
    failed.run = Some("01KAB".into());
    assert_eq!(hear(&mut memory, &ways, &failed, NOON), ["w new app 1.4.2 -> 1.5.0 failed, put back"]);
    let skipped = happened(Verb::Upgrade, Outcome::Skipped, None);
    assert!(hear(&mut memory, &ways, &skipped, NOON + 900).is_empty());
    let reminder = "w reminder app 1.4.2 -> 1.5.0 skipped, it failed here before";
    assert_eq!(hear(&mut memory, &ways, &skipped, NOON + DAY), [reminder]);
    assert_eq!(memory.open[&Matter::Upgrade].thread, "01KAB", "one thread");
    let done = happened(Verb::Upgrade, Outcome::Done, None);
    // Who hears of the success hears no "resolved" beside it.
    assert_eq!(hear(&mut memory, &ways, &done, NOON + 2 * DAY), ["w new app 1.4.2 -> 1.5.0 done"]);
    assert!(memory.open.is_empty());
}

#[test]
fn each_way_hears_what_it_asked_for_and_a_new_way_hears_what_goes_on() {
    let (ops, dev) = (way(&[Topic::Failure], "ops@example.org"), way(&[Topic::New], "dev@example.org"));
    let mut memory = Memory::default();
    let only_dev = [("dev".to_owned(), &dev)];
    let failed = happened(Verb::Upgrade, Outcome::Failed, Some("no room on the disk"));
    assert!(hear(&mut memory, &only_dev, &failed, NOON).is_empty());
    let both = [("dev".to_owned(), &dev), ("ops".to_owned(), &ops)];
    assert_eq!(
        hear(&mut memory, &both, &failed, NOON + 900),
        ["ops new app 1.4.2 -> 1.5.0 upgrade failed, nothing changed"]
    );
    let new = happened(Verb::Check, Outcome::Available, None);
    assert_eq!(hear(&mut memory, &both, &new, NOON + 901), ["dev new app 1.4.2 -> 1.5.0 is available"]);
    // That it was installed is no news for who heard that it is there.
    let current = happened(Verb::Check, Outcome::Current, None);
    assert!(hear(&mut memory, &both, &current, NOON + 902).is_empty());
}

#[test]
fn what_somebody_sees_on_a_terminal_is_told_to_others_only_where_the_host_changed() {
    let way = way(&ALL, "ops@example.org");
    let ways = [("w".to_owned(), &way)];
    for (outcome, told) in [
        (Outcome::Refused, 0),
        (Outcome::Failed, 0),
        (Outcome::Deferred, 0),
        (Outcome::Done, 1),
        (Outcome::PutBack, 1),
        (Outcome::NeedsOperator, 1),
    ] {
        let happening = Happening { unattended: false, ..happened(Verb::Upgrade, outcome, None) };
        assert_eq!(hear(&mut Memory::default(), &ways, &happening, NOON).len(), told, "{outcome:?}");
    }
}

#[test]
fn a_clock_that_goes_back_repeats_nothing_and_silences_nothing() {
    let way = way(&ALL, "ops@example.org");
    let (ways, mut memory) = ([("w".to_owned(), &way)], Memory::default());
    let refused = happened(Verb::Upgrade, Outcome::Refused, Some("ask"));
    assert_eq!(hear(&mut memory, &ways, &refused, NOON).len(), 1);
    // Ten years back, then on from there.
    let past = NOON - 3_650 * DAY;
    assert!(hear(&mut memory, &ways, &refused, past).is_empty());
    assert_eq!(hear(&mut memory, &ways, &refused, past + DAY).len(), 1, "the daily reminder comes");
}

#[test]
fn missed_checks_and_a_run_that_died_are_told_once_and_so_is_their_end() {
    let way = way(&[Topic::Stale], "ops@example.org");
    let (ways, mut memory) = ([("w".to_owned(), &way)], Memory::default());
    let found = |matter| Found {
        matter,
        digest: "d".into(),
        headline: format!("{matter:?}"),
        state: String::new(),
        next: vec!["relift recover app".into()],
    };
    let mut watch = |found: Vec<Found>, now| lines(memory.watch(found, &ways, &site(now)));
    assert_eq!(watch(vec![found(Matter::Checks), found(Matter::Run)], NOON), ["w new Checks", "w new Run"]);
    assert!(watch(vec![found(Matter::Checks), found(Matter::Run)], NOON + 600).is_empty());
    assert_eq!(watch(vec![found(Matter::Run)], NOON + 1_200), ["w resolved Checks"]);
    assert_eq!(watch(vec![], NOON + 1_800), ["w resolved Run"]);
}

#[test]
fn motd_has_at_most_five_harmless_lines_with_what_needs_somebody_first_and_is_empty_otherwise() {
    let mut memories = Vec::new();
    for number in 0..9 {
        let mut memory = Memory::default();
        let mut new = happened(Verb::Check, Outcome::Available, None);
        new.install = format!("app{number}\x1b[2J\n");
        memory.hear(&new, &[], &site(NOON));
        memories.push((format!("app{number}"), memory));
    }
    let mut memory = Memory::default();
    memory.hear(&happened(Verb::Upgrade, Outcome::PutBack, Some("it died")), &[], &site(NOON));
    memories.push(("app".into(), memory));
    let text = motd::text(&memories);
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.starts_with("relift: app 1.4.2 -> 1.5.0 failed, put back: look at it: relift logs 01KAB\n"), "{text}");
    assert!(text.ends_with("relift: 6 more: relift status\n") && !text.contains('\x1b'), "{text}");
    memories.iter_mut().for_each(|(_, memory)| memory.is_silent = true);
    assert_eq!(motd::text(&memories), "");
}
