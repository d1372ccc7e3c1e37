use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::manifest::parse;

fn policy(keys: &str) -> Policy {
    let text = format!(
        "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"https://git.example.org/a.git\"\nbranch = \"main\"\n[[component]]\nname = \"a\"\npath = \"a\"\n[policy]\nunattended = \"minor\"\n{keys}\n"
    );
    parse("app", Path::new("app.toml"), &text).unwrap_or_else(|problems| panic!("{}", problems.render(false))).policy
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A Saturday evening with nothing in the way.
fn here(now: &str) -> Circumstances {
    Circumstances {
        now: at(now),
        zone: TimeZone::UTC,
        place: 0,
        hold: None,
        boot: None,
        last_chance: None,
        expected: None,
        release: Some(Release { name: "1.1.0".into(), first_seen: at(now), ..Release::default() }),
        is_on_battery: false,
        inhibitors: Vec::new(),
        answer: None,
    }
}

fn released(now: &str, first_seen: &str) -> Circumstances {
    let release = Release { name: "1.1.0".into(), first_seen: at(first_seen), ..Release::default() };
    Circumstances { release: Some(release), ..here(now) }
}

fn said(keys: &str, here: &Circumstances) -> String {
    line(&judge(&policy(keys), here), &here.zone)
}

const PARIS: &str = "window = \"Mon..Fri 02:00-04:00 Europe/Paris\"";

#[test]
fn without_rules_a_run_may_start() {
    assert_eq!(said("", &here("2026-11-21T18:00:00Z")), "now");
}

#[test]
fn outside_its_window_a_run_waits_for_the_next_opening() {
    let mut saturday = here("2026-11-21T18:00:00Z");
    saturday.zone = TimeZone::get("Europe/Paris").unwrap();
    assert_eq!(
        said(PARIS, &saturday),
        "not before Mon 2026-11-23 02:00 CET: it is outside its window (Mon..Fri 02:00-04:00 Europe/Paris)"
    );
    assert_eq!(said(PARIS, &here("2026-11-23T01:30:00Z")), "now");
    let freeze = format!("{PARIS}\nfreeze = [\"2026-11-23..2026-11-24\"]");
    assert_eq!(
        said(&freeze, &here("2026-11-23T01:30:00Z")),
        "not before Wed 2026-11-25 01:00 UTC: nothing starts by itself now (\"2026-11-23..2026-11-24\")"
    );
}

#[test]
fn a_window_that_never_opens_is_refused_with_the_way_to_mend_it() {
    for keys in ["window = \"*-02-30 02:00-04:00\"", "window = \"2020-01-01 02:00-04:00\"", "freeze = [\"*-*-*\"]"] {
        let verdict = judge(&policy(keys), &here("2026-11-21T18:00:00Z"));
        let Verdict::Refuse { why, hint } = verdict else { panic!("{keys}: {verdict:?}") };
        assert!(why.starts_with("no window ever opens") && hint.unwrap().contains("relift config check"), "{why}");
    }
    let verdict = judge(&policy("window = \"02:00-04:00 Mars/Olympus\""), &here("2026-11-21T18:00:00Z"));
    assert!(matches!(&verdict, Verdict::Refuse { why, .. } if why.contains("Mars/Olympus")), "{verdict:?}");
}

#[test]
fn a_release_that_is_too_new_waits_and_its_author_cannot_make_it_older() {
    let keys = "cooldown = \"24h\"";
    assert_eq!(
        said(keys, &released("2026-11-21T18:00:00Z", "2026-11-21T15:00:00Z")),
        "not before Sun 2026-11-22 15:00 UTC: 1.1.0 is 3 h old (cooldown 24 h)"
    );
    assert_eq!(said(keys, &released("2026-11-22T15:00:00Z", "2026-11-21T15:00:00Z")), "now");
    // (first seen, the date of the commit, how old it counts as)
    for (seen, date, age) in [
        ("2026-11-21T17:00:00Z", "2020-01-01T00:00:00Z", "1 h"),
        // Seen by a clock that was far behind.
        ("1970-01-01T00:00:00Z", "2026-11-21T16:00:00Z", "2 h"),
        // A date that is to come is no date.
        ("2026-11-21T17:00:00Z", "2099-01-01T00:00:00Z", "1 h"),
        // Seen by a clock that was ahead.
        ("2027-11-21T17:00:00Z", "2026-01-01T00:00:00Z", "0 s"),
    ] {
        let mut here = released("2026-11-21T18:00:00Z", seen);
        here.release.as_mut().unwrap().committed = Some(at(date));
        let said = said(keys, &here);
        assert!(said.ends_with(&format!("1.1.0 is {age} old (cooldown 24 h)")), "{seen} {date}: {said}");
    }
    // Before anything was fetched nothing is known of it.
    assert_eq!(said(keys, &Circumstances { release: None, ..here("2026-11-21T18:00:00Z") }), "now");
}

#[test]
fn a_run_waits_for_the_first_time_at_which_every_rule_lets_it_start() {
    let keys = format!("{PARIS}\ncooldown = \"48h\"");
    // Ripe on Tuesday at 15:00, too late for that night.
    assert_eq!(
        said(&keys, &released("2026-11-22T18:00:00Z", "2026-11-22T15:00:00Z")),
        "not before Wed 2026-11-25 01:00 UTC: 1.1.0 is 3 h old (cooldown 2 days); it is outside its window (Mon..Fri 02:00-04:00 Europe/Paris)"
    );
}

#[test]
fn each_host_has_its_turn_in_the_window_and_every_turn_is_in_it() {
    let keys = "window = \"02:00-04:00\"\nsplay = \"1h\"";
    let mut half = released("2026-11-22T02:10:00Z", "2026-11-21T15:00:00Z");
    half.place = 1 << 63;
    assert_eq!(said(keys, &half), "not before Sun 2026-11-22 02:30 UTC: other hosts start first (splay 1 h)");
    half.now = at("2026-11-22T02:30:00Z");
    assert_eq!(said(keys, &half), "now");
    half.now = at("2026-11-22T03:59:00Z");
    assert_eq!(said(keys, &half), "now");
    // A splay longer than the window is folded into it.
    half.now = at("2026-11-22T01:00:00Z");
    half.place = u64::MAX;
    for splay in ["2h", "24h"] {
        let Verdict::Defer { until, .. } =
            judge(&policy(&format!("window = \"02:00-04:00\"\nsplay = \"{splay}\"")), &half)
        else {
            panic!()
        };
        assert_eq!(until, Some(at("2026-11-22T03:59:59Z")), "{splay}");
    }
    // Without a window, it counts from when the release was first seen here.
    let mut any = released("2026-11-21T15:20:00Z", "2026-11-21T15:00:00Z");
    any.place = 1 << 63;
    assert_eq!(
        said("splay = \"1h\"", &any),
        "not before Sat 2026-11-21 15:30 UTC: other hosts start first (splay 1 h)"
    );
    any.now = at("2026-11-21T15:30:00Z");
    assert_eq!(said("splay = \"1h\"", &any), "now");
}

#[test]
fn a_run_that_would_end_after_the_window_says_so_or_waits_for_one_that_is_long_enough() {
    let mut here = here("2026-11-22T03:30:00Z");
    here.expected = Some(Duration::from_secs(3600));
    let keys = "window = [\"Sun 02:00-04:00\", \"Mon 02:00-02:30\", \"Tue 02:00-04:00\"]";
    assert_eq!(said(keys, &here), "now; the window ends in 30 min, and the last run took 1 h: it may end after it");
    let fit = format!("{keys}\nwindow-fit = true");
    assert_eq!(
        said(&fit, &here),
        "not before Tue 2026-11-24 02:00 UTC: the window ends in 30 min, and a run takes 1 h (window-fit)"
    );
    // The turn is folded into what is left.
    here.place = u64::MAX;
    let splayed = format!("{fit}\nsplay = \"2h\"");
    assert!(said(&splayed, &here).starts_with("not before Tue 2026-11-24 02:59 UTC"), "{}", said(&splayed, &here));
    here.expected = Some(Duration::from_secs(3 * 3600));
    assert_eq!(said(&fit, &here), "no: no window is as long as a run takes (3 h)");
}

#[test]
fn a_hold_waits_and_says_who_and_how_long_whatever_else_there_is() {
    let mut here = here("2026-11-21T18:00:00Z");
    here.hold = Some(Hold {
        reason: Some("exams".into()),
        since: at("2026-11-20T08:00:00Z").as_second(),
        until: Some(at("2026-12-01T00:00:00Z").as_second()),
        by: Some("anna".into()),
        ..Hold::default()
    });
    let held = "it is held until Tue 2026-12-01 00:00 UTC (since Fri 2026-11-20 08:00 UTC by anna): exams";
    assert_eq!(said("", &here), format!("not before Tue 2026-12-01 00:00 UTC: {held}"));
    assert_eq!(
        said("window = \"02:00-04:00\"", &here),
        format!("not before Tue 2026-12-01 02:00 UTC: {held}; it is outside its window (02:00-04:00)")
    );
    here.release.as_mut().unwrap().decisions = vec![("a major step".into(), None)];
    assert!(said("", &here).contains(held), "what is held needs no decision yet");
    here.hold.as_mut().unwrap().until = None;
    assert!(said("", &here).starts_with("not now: it is held (since"), "{}", said("", &here));
    here.now = at("2026-12-01T00:00:00Z");
    here.hold.as_mut().unwrap().until = Some(here.now.as_second());
    assert_eq!(said("", &here), "no: a major step");
}

#[test]
fn failures_that_are_not_the_releases_are_tried_again_later_each_time_and_not_for_ever() {
    let tried = |count: u32, minutes_ago: i64, keys: &str| {
        let mut here = here("2026-11-21T18:00:00Z");
        let last = here.now - SignedDuration::from_mins(minutes_ago);
        let why = "the disk is full".to_owned();
        here.release.as_mut().unwrap().attempts =
            Some(Attempts { revision: "a".into(), count, last: last.as_second(), why });
        said(keys, &here)
    };
    assert_eq!(tried(1, 0, ""), "now");
    assert_eq!(tried(2, 10, ""), "not before Sat 2026-11-21 18:50 UTC: attempt 2 of 3 failed: the disk is full");
    assert_eq!(tried(2, 60, ""), "now");
    assert_eq!(
        tried(3, 600, ""),
        "no: 1.1.0 was tried 3 times in vain (attempts = 3), last on Sat 2026-11-21 08:00 UTC: the disk is full"
    );
    assert!(tried(9, 600, "attempts = 10").starts_with("not before Sun 2026-11-22 08:00 UTC"));
    assert_eq!(tried(2, -600, ""), "now", "the clock was put back");
}

#[test]
fn what_the_host_says_is_waited_for() {
    let busy = here("2026-11-21T18:00:00Z");
    let battery = Circumstances { is_on_battery: true, ..busy.clone() };
    assert_eq!(said("", &battery), "not now: the host runs on battery (on-battery = \"defer\")");
    assert_eq!(said("on-battery = \"ignore\"", &battery), "now");
    let inhibitor = |what: &str| Inhibitor {
        what: what.split(':').map(str::to_owned).collect(),
        who: "apt".into(),
        why: "installs packages".into(),
    };
    let inhibited = |what: &str| Circumstances { inhibitors: vec![inhibitor(what)], ..busy.clone() };
    assert_eq!(said("", &inhibited("idle:shutdown")), "not now: shutdown is inhibited by apt: installs packages");
    assert_eq!(said("", &inhibited("sleep")), "now");
    assert_eq!(
        said("inhibit = [\"sleep\"]", &inhibited("sleep")),
        "not now: sleep is inhibited by apt: installs packages"
    );
    assert_eq!(said("inhibit = []", &inhibited("shutdown")), "now");
    let answered = |answer| Circumstances { answer: Some(answer), ..busy.clone() };
    assert_eq!(said("", &answered(Answer::Busy("3 jobs run".into()))), "not now: the host is busy: 3 jobs run");
    assert_eq!(said("", &answered(Answer::Fault("it is missing".into()))), "not now: it is missing");
    assert_eq!(said("", &answered(Answer::Go)), "now");
}

#[test]
fn a_host_that_slept_through_its_window_waits_for_the_next_or_catches_up_where_it_may() {
    let mut late = here("2026-11-22T09:00:00Z");
    let window = "window = \"02:00-04:00\"";
    let waits = "not before Mon 2026-11-23 02:00 UTC: it is outside its window (02:00-04:00)";
    assert_eq!(said(window, &late), waits);
    let catches = format!("{window}\ncatch-up = true");
    assert_eq!(said(&catches, &late), waits, "nothing is known of the last window");
    late.last_chance = Some(at("2026-11-21T02:10:00Z"));
    assert_eq!(said(&catches, &late), "now");
    assert_eq!(said(window, &late), waits);
    let frozen = format!("{catches}\nfreeze = [\"2026-11-22\"]");
    assert_eq!(
        said(&frozen, &late),
        "not before Mon 2026-11-23 02:00 UTC: nothing starts by itself now (\"2026-11-22\")"
    );
    late.last_chance = Some(at("2026-11-22T03:50:00Z"));
    assert_eq!(said(&catches, &late), waits, "it had its chance");
    // A clock that jumped over the window is a host that slept.
    late.last_chance = Some(at("2026-11-20T02:10:00Z"));
    assert_eq!(said(&catches, &late), "now");
}

#[test]
fn a_verdict_says_the_same_to_a_program_and_in_an_error() {
    let late = here("2026-11-22T09:00:00Z");
    let verdict = judge(&policy("window = \"02:00-04:00\""), &late);
    assert_eq!(
        document(&verdict),
        serde_json::json!({
            "verdict": "defer",
            "why": [{"rule": "window", "what": "it is outside its window (02:00-04:00)"}],
            "until": at("2026-11-23T02:00:00Z").as_second(),
        })
    );
    let error = refusal("app", &verdict, &late.zone).unwrap();
    assert_eq!(
        (error.kind.exit() as u8, error.what.as_str()),
        (2, "app is not upgraded by itself now: it is outside its window (02:00-04:00)")
    );
    assert_eq!(error.hints, ["not before Mon 2026-11-23 02:00 UTC", "to run it now, by hand: relift upgrade app"]);
    assert!(refusal("app", &judge(&policy(""), &late), &late.zone).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is asked, an `until` is a time at which the same host would start, had nothing else changed.
    #[test]
    fn what_is_promised_is_kept(
        second in 1_780_000_000i64..1_900_000_000, place: u64, window in 0usize..5, splay in 0i64..24, cooldown in 0i64..72, seen in 0i64..100, fit: bool, takes in 0u64..100,
    ) {
        let windows = ["", "window = \"02:00-04:00 Europe/Paris\"", "window = \"Sat 23:00-01:30\"", "window = [\"01:30-02:30 Europe/Paris\", \"Mon 12:00-13:00\", \"!Tue 00:00-24:00\"]", "freeze = [\"Sat,Sun\"]"];
        let mut keys = vec![windows[window].to_owned(), format!("window-fit = {fit}")];
        keys.extend((splay > 0).then(|| format!("splay = \"{splay}h\"")));
        keys.extend((cooldown > 0).then(|| format!("cooldown = \"{cooldown}h\"")));
        let policy = policy(&keys.join("\n"));
        let mut here = here("2026-11-21T18:00:00Z");
        here.now = Timestamp::from_second(second).unwrap();
        here.place = place;
        here.expected = Some(Duration::from_secs(takes * 60));
        here.release.as_mut().unwrap().first_seen = here.now - SignedDuration::from_hours(seen);
        match judge(&policy, &here) {
            Verdict::Go { .. } => {}
            Verdict::Defer { why, until } => {
                let until = until.unwrap();
                prop_assert!(until > here.now && !why.is_empty());
                here.now = until;
                let then = judge(&policy, &here);
                prop_assert!(matches!(then, Verdict::Go { .. }), "{} then {}", until, line(&then, &here.zone));
                here.now = until - SignedDuration::from_secs(1);
                let before = judge(&policy, &here);
                prop_assert!(matches!(before, Verdict::Defer { .. }), "{} too late: {:?}", until, before);
            }
            Verdict::Refuse { why, .. } => prop_assert!(fit && why.contains("as long as a run takes"), "{why}"),
        }
    }
}
