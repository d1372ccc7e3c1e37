use std::process::Command;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::error::Kind;

fn schedule(windows: &[&str], freeze: &[&str]) -> Schedule {
    let mut schedule = Schedule::default();
    windows.iter().for_each(|text| schedule.add_window(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")));
    freeze.iter().for_each(|text| schedule.add_freeze(text).unwrap_or_else(|fault| panic!("{text}: {fault:?}")));
    schedule
}

fn calendar(windows: &[&str], freeze: &[&str]) -> Calendar {
    Calendar::of(&schedule(windows, freeze), TimeZone::UTC).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The openings from `from` on, each as its ends in UTC.
fn openings(calendar: &Calendar, from: &str, count: usize) -> Vec<String> {
    let mut at = at(from);
    let mut found = Vec::new();
    while let Some(span) = calendar.next(at).filter(|_| found.len() < count) {
        found.push(format!("{} {}", span.since.strftime("%m-%d %H:%M"), span.until.strftime("%m-%d %H:%M")));
        at = span.until;
    }
    found
}

#[test]
fn a_window_is_open_between_its_ends_in_its_own_zone_and_over_midnight() {
    let paris = "Mon..Fri 02:00-04:00 Europe/Paris";
    let cases = [
        // Winter: Paris is an hour ahead of UTC.
        (paris, "2026-11-23T00:59:59Z", false),
        (paris, "2026-11-23T01:00:00Z", true),
        (paris, "2026-11-23T02:59:59Z", true),
        (paris, "2026-11-23T03:00:00Z", false),
        // Summer: two hours.
        (paris, "2026-07-20T00:30:00Z", true),
        (paris, "2026-07-20T02:30:00Z", false),
        // A Sunday.
        (paris, "2026-11-22T01:30:00Z", false),
        // Friday's window goes on into Saturday.
        ("Fri 22:00-04:00 UTC", "2026-11-21T03:30:00Z", true),
        ("Fri 22:00-04:00 UTC", "2026-11-20T03:30:00Z", false),
    ];
    for (text, now, is_open) in cases {
        assert_eq!(calendar(&[text], &[]).opening(at(now)).is_some(), is_open, "{text} at {now}");
    }
}

#[test]
fn the_hour_that_does_not_exist_opens_nothing_and_a_window_that_begins_in_it_opens_behind_it() {
    // 29 March 2026, 02:00 -> 03:00 in Paris, at 01:00 UTC.
    for (window, expected) in [
        ("02:00-03:00", ["03-30 00:00 03-30 01:00"]),
        ("02:15-02:45", ["03-30 00:15 03-30 00:45"]),
        ("02:30-04:00", ["03-29 01:00 03-29 02:00"]),
        ("01:30-02:30", ["03-29 00:30 03-29 01:00"]),
        ("01:00-04:00", ["03-29 00:00 03-29 02:00"]),
        ("23:00-02:30", ["03-28 22:00 03-29 01:00"]),
    ] {
        let calendar = calendar(&[&format!("{window} Europe/Paris")], &[]);
        assert_eq!(openings(&calendar, "2026-03-28T12:00:00Z", 1), expected, "{window}");
    }
}

#[test]
fn in_the_hour_that_exists_twice_a_window_begins_and_ends_when_the_clock_first_shows_it() {
    // 25 October 2026, 03:00 -> 02:00 in Paris, at 01:00 UTC.
    for (window, expected) in [
        ("02:00-03:00", "10-25 00:00 10-25 02:00"),
        ("02:15-02:45", "10-25 00:15 10-25 00:45"),
        ("01:30-02:30", "10-24 23:30 10-25 00:30"),
        ("02:30-04:00", "10-25 00:30 10-25 03:00"),
        ("23:00-02:30", "10-24 21:00 10-25 00:30"),
    ] {
        let calendar = calendar(&[&format!("{window} Europe/Paris")], &[]);
        assert_eq!(openings(&calendar, "2026-10-24T12:00:00Z", 1), [expected], "{window}");
    }
}

#[test]
fn a_zone_that_left_out_a_day_opens_nothing_on_it() {
    // Samoa went over the date line: there was no 30 December 2011.
    let calendar = calendar(&["10:00-12:00 Pacific/Apia"], &[]);
    let expected = ["12-28 20:00 12-28 22:00", "12-29 20:00 12-29 22:00", "12-30 20:00 12-30 22:00"];
    assert_eq!(openings(&calendar, "2011-12-28T12:00:00Z", 3), expected);
    let local = |span: &Span| span.since.to_zoned(TimeZone::get("Pacific/Apia").unwrap()).date().to_string();
    let third = calendar.next(at("2011-12-30T00:00:00Z")).unwrap();
    assert_eq!(local(&third), "2011-12-31", "the 30th is not there");
}

#[test]
fn several_windows_are_one_where_they_touch_and_what_is_taken_out_is_not_open() {
    let calendar = calendar(
        &[
            "Mon..Fri 02:00-04:00",
            "Mon 03:30-06:00",
            "Sun 22:00-24:00",
            "Mon 00:00-01:00",
            "!Wed 00:00-24:00",
            "!*-*-* 02:30-02:45",
        ],
        &["2026-11-26..2026-11-27", "2026-12-01"],
    );
    let expected = [
        "11-22 22:00 11-23 01:00",
        "11-23 02:00 11-23 02:30",
        "11-23 02:45 11-23 06:00",
        "11-24 02:00 11-24 02:30",
        "11-24 02:45 11-24 04:00",
        // Wednesday is taken out, Thursday and Friday are frozen.
        "11-29 22:00 11-30 01:00",
        "11-30 02:00 11-30 02:30",
        "11-30 02:45 11-30 06:00",
        // The first of December is frozen, the second a Wednesday.
        "12-03 02:00 12-03 02:30",
    ];
    assert_eq!(openings(&calendar, "2026-11-22T12:00:00Z", 9), expected);
    assert_eq!(calendar.closed(at("2026-11-26T03:00:00Z")).unwrap().0, "2026-11-26..2026-11-27");
    let last = calendar.last(at("2026-11-29T12:00:00Z")).unwrap();
    assert_eq!(last.until, at("2026-11-24T04:00:00Z"), "what was closed was not missed");
}

#[test]
fn a_freeze_without_a_window_closes_its_days_alone() {
    let calendar = calendar(&[], &["2026-12-20..2027-01-05", "*-05-01", "Sat"]);
    assert!(calendar.opening(at("2026-12-18T12:00:00Z")).is_some());
    let next = |now: &str| calendar.next(at(now)).unwrap().since;
    assert_eq!(next("2026-12-24T12:00:00Z"), at("2027-01-06T00:00:00Z"));
    assert_eq!(next("2027-05-01T12:00:00Z"), at("2027-05-02T00:00:00Z"));
    assert_eq!(next("2027-05-08T12:00:00Z"), at("2027-05-09T00:00:00Z"));
}

#[test]
fn a_window_on_the_leap_day_opens_when_there_is_one() {
    let calendar = calendar(&["*-02-29 02:00-04:00"], &[]);
    let next = |now: &str| calendar.next(at(now)).unwrap().since.to_string();
    assert_eq!(next("2026-11-21T00:00:00Z"), "2028-02-29T02:00:00Z");
    assert_eq!(next("2096-03-01T00:00:00Z"), "2104-02-29T02:00:00Z");
}

#[test]
fn a_window_that_never_opens_is_told_with_the_reason() {
    for (windows, freeze, why) in [
        (&["*-02-30 02:00-04:00"][..], &[][..], "no day of the calendar is one of its days"),
        (&["*-04-31 02:00-04:00"], &[], "no day of the calendar is one of its days"),
        (&["2020-01-01 02:00-04:00"], &[], "all of its days are past"),
        (&["Mon 02:00-04:00", "!Mon 00:00-12:00"], &[], "everything is taken out of them by `!` and `freeze`"),
        (&["Mon 02:00-04:00"], &["*-*-*"], "everything is taken out of them by `!` and `freeze`"),
    ] {
        let error = schedule(windows, freeze).check().unwrap_err();
        assert_eq!((error.kind, error.causes.join("")), (Kind::Usage, why.to_owned()), "{windows:?}");
    }
    for windows in [&["Mon..Fri 02:00-04:00 Europe/Paris"][..], &["22:00-04:00"], &["Mon *-02-29 02:00-03:00"], &[]] {
        schedule(windows, &[]).check().unwrap_or_else(|error| panic!("{windows:?}: {error}"));
    }
    assert!(calendar(&["*-02-30 02:00-04:00"], &[]).next(at("2026-11-21T00:00:00Z")).is_none());
}

#[test]
fn a_zone_without_data_is_named_and_opens_nothing() {
    let error = schedule(&["02:00-04:00 Mars/Olympus"], &[]).check().unwrap_err();
    assert_eq!(error.kind, Kind::Usage);
    assert!(error.what.contains("Mars/Olympus, which this host does not know"), "{error}");
}

#[test]
fn a_window_has_one_range_of_times() {
    let bad =
        ["", "Mon..Fri", "02:00", "02:00-25:00", "2:00-4:00", "02:00-03:00 04:00-05:00", "02:00-02:00", "24:00-02:00"];
    for text in bad.into_iter().chain([
        "02:00-04:00 Europe/Paris now",
        "$(x) 02:00-04:00",
        "Moonday 02:00-04:00",
        "!",
        "00:00-24:01",
    ]) {
        assert!(Schedule::default().add_window(text).is_err(), "{text}");
    }
    for text in [
        "",
        "2027-01-05..2026-12-20",
        "2026-02-30",
        "Christmas",
        "2026-12-24 02:00-04:00",
        "2026-12-24..",
        "..2026-12-24",
    ] {
        assert!(Schedule::default().add_freeze(text).is_err(), "{text}");
    }
}

/// What `systemd-analyze calendar` says of the next times; `None`: it refuses the expression.
fn systemd(expression: &str, zone: &str, from: Timestamp, count: usize) -> Option<Vec<Timestamp>> {
    let output = Command::new("systemd-analyze")
        .args([
            "calendar",
            &format!("--iterations={count}"),
            &format!("--base-time=@{}", from.as_second()),
            "--",
            &format!("{expression} {zone}"),
        ])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    output.status.success().then(|| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let time = |line: &str| {
            let (label, time) = line.trim().split_once(": ")?;
            let parsed = jiff::fmt::strtime::parse("%a %Y-%m-%d %H:%M:%S UTC", time.trim()).ok()?;
            (label == "Next elapse" || label.starts_with("Iter"))
                .then_some(parsed.to_datetime().ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
        };
        text.lines().filter_map(time).collect()
    })
}

/// The starts of a window after `from`, one by one, without those that the clock does not show.
fn starts(window: &Window, zone: &TimeZone, from: Timestamp, count: usize) -> Vec<Timestamp> {
    let (mut at, mut found) = (from + SignedDuration::from_secs(1), Vec::new());
    while let Some(span) = window.first(zone, at).filter(|_| found.len() < count) {
        let is_shown = span.since.to_zoned(zone.clone()).time() == window.from;
        found.extend(Some(span.since).filter(|since| *since > from && is_shown));
        at = span.until;
    }
    found
}

/// Each expression in each zone from each base: what systemd reckons is what we reckon.
fn agrees(expressions: &[String], zones: &[&str], bases: &[&str], count: usize) -> usize {
    let mut compared = 0;
    for (expression, zone, base) in expressions.iter().flat_map(|expression| {
        zones.iter().flat_map(move |zone| bases.iter().map(move |base| (expression, zone, base)))
    }) {
        let (days, time) = expression.rsplit_once(' ').map_or(("", expression.as_str()), |(days, time)| (days, time));
        let (hour, minute) = time.split_once(':').unwrap();
        // A window of a minute begins when systemd elapses.
        let end = format!("{hour}:{:02}", minute.parse::<u8>().unwrap() + 1);
        let ours = parse(format!("{days} {time}-{end} {zone}").trim());
        let from = at(base);
        let theirs = systemd(expression, zone, from, count);
        assert_eq!(ours.is_ok(), theirs.is_some(), "{expression} {zone}: one of them takes it");
        let (Ok(window), Some(theirs)) = (ours, theirs) else { continue };
        let zone = TimeZone::get(zone).unwrap();
        assert_eq!(
            starts(&window, &zone, from, count),
            theirs,
            "{expression} {} from {base}",
            zone.iana_name().unwrap_or("?")
        );
        compared += theirs.len();
    }
    compared
}

#[test]
fn windows_begin_when_systemd_says() {
    let days = [
        "",
        "Mon..Fri",
        "Sat,Sun",
        "mon-wed,fri",
        "Sunday",
        "*-*-*",
        "*-*-1..7",
        "Mon *-*-1..7",
        "*-*~1",
        "*-02~03",
        "*-*~07/1",
        "*-*~28/5",
        "*-*~2..20/4",
        "*-*~1..3",
        "*-1..12/3-1",
        "26-11-22",
        "2028-02-29",
        "*-02-29",
        "11-20..30/3",
        "2026,2028-*-15",
        "*-*-31",
        "*-02-30",
        "Fri *-*-13",
        "*-*-29..31",
        "*-*~28",
        "*-*~1..28",
        "69-01-01",
        "*-*-1..9/5",
        // Neither takes these.
        "Fri..Mon",
        "*-13-1",
        "*-*-32",
        "*-*-5..2",
        "*-*-0",
        "*-*-30/5",
        "1969-1-1",
        "Moonday",
        "*-*-1/0",
        "*-*~29",
        "*-*~1..31",
        "*/2-1-1",
    ];
    let times = ["02:30"];
    let expressions: Vec<String> =
        days.iter().flat_map(|days| times.iter().map(move |time| format!("{days} {time}").trim().to_owned())).collect();
    let compared = agrees(&expressions, &["Europe/Paris", "America/Havana"], &["2026-10-20T12:00:00Z"], 6);
    assert!(compared > 270, "{compared}");
}

#[test]
fn windows_begin_when_systemd_says_wherever_clocks_change() {
    let expressions = ["00:00", "00:30", "01:45", "02:15", "Sun 02:30"].map(str::to_owned);
    let zones = [
        "Europe/Paris",
        "Europe/London",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "America/Santiago",
        "Australia/Lord_Howe",
        "Australia/Adelaide",
        "Pacific/Chatham",
        "Africa/Casablanca",
        "Asia/Kathmandu",
        "Asia/Tehran",
        "UTC",
    ];
    let bases = [
        "2026-03-06T12:00:00Z",
        "2026-03-27T12:00:00Z",
        "2026-04-03T12:00:00Z",
        "2026-09-25T12:00:00Z",
        "2026-10-23T12:00:00Z",
    ];
    let compared = agrees(&expressions, &zones, &bases, 4);
    assert_eq!(compared, expressions.len() * zones.len() * bases.len() * 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// At every instant the clock on the wall decides, away from the hours that are changed.
    #[test]
    fn a_window_is_open_exactly_when_the_clock_shows_a_time_in_it(
        second in 1_700_000_000i64..2_100_000_000, from in 0i16..1440, length in 1i16..1440, zone in 0usize..4, weekdays in 0u8..127,
    ) {
        let names = ["Europe/Paris", "America/New_York", "Asia/Kathmandu", "UTC"];
        let days: Vec<&str> = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].into_iter().enumerate().filter(|(at, _)| weekdays >> at & 1 == 1).map(|(_, day)| day).collect();
        let to = (from + length) % 1440;
        let clock = |minutes: i16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        let text = format!("{} {}-{} {}", days.join(","), clock(from), clock(to), names[zone]);
        let calendar = calendar(&[text.trim()], &[]);
        let now = Timestamp::from_second(second).unwrap();
        let zoned = now.to_zoned(TimeZone::get(names[zone]).unwrap());
        let is_steady = |days: i64| zoned.checked_add(jiff::Span::new().days(days)).unwrap().offset() == zoned.offset();
        prop_assume!(is_steady(2) && is_steady(-2));
        let minute = i16::from(zoned.hour()) * 60 + i16::from(zoned.minute());
        let is_day = |days_ago: i64| {
            let day = zoned.date().checked_sub(jiff::Span::new().days(days_ago)).unwrap().weekday().to_monday_zero_offset();
            weekdays == 0 || weekdays >> day & 1 == 1
        };
        let is_shown = match from < to {
            true => is_day(0) && (from..to).contains(&minute),
            false => (is_day(0) && minute >= from) || (is_day(1) && minute < to),
        };
        prop_assert_eq!(calendar.opening(now).is_some(), is_shown, "{} at {}", text, zoned);
        // The next opening holds its own beginning, is not past, and is this one where it is open.
        let next = calendar.next(now).unwrap();
        prop_assert!(next.until > now && calendar.opening(next.since.max(now)) == Some(next));
        prop_assert_eq!(next.since <= now, is_shown);
        prop_assert!(calendar.opening(next.since - SignedDuration::from_secs(1)).is_none(), "it begins at {}", next.since);
        prop_assert!(calendar.opening(next.until).is_none(), "it ends at {}", next.until);
    }
}
