//! The words of what is told: snapshots of subjects, texts, HTML and JSON.

use super::*;
use crate::notify::memory::Found;
use crate::notify::news::Matter;
use crate::notify::render::{Rendered, render};

/// The news that something leads to, with what changes from call to call taken out.
fn news(happening: &Happening) -> News {
    let way =
        way(&[Topic::Failure, Topic::Decision, Topic::New, Topic::Success, Topic::Recovered, Topic::Deferred], "o@x.y");
    let telling = Memory::default().hear(happening, &[("w".into(), &way)], &site(NOON));
    let (news, _) = telling.into_iter().next_back().unwrap_or_else(|| panic!("nothing to tell: {happening:?}"));
    News { id: "01KAB0000000000000000000ID".into(), ..news }
}

fn built_in(news: &News) -> Rendered {
    let rendered = render(news, Path::new("/nonexistent"));
    assert!(rendered.warnings.is_empty(), "{:?}", rendered.warnings);
    rendered
}

fn failed() -> Happening {
    let mut failed = happened(Verb::Upgrade, Outcome::PutBack, Some("the new release did not become healthy"));
    failed.run = Some("01KAB2M3N4P5Q6R7S8T9V0W1X2".into());
    failed.warnings = vec!["the release is unverified: nothing says who signs it".into()];
    failed
}

#[test]
fn each_mail_says_what_happened_what_state_things_are_in_and_what_to_do_next() {
    let mut done = happened(Verb::Upgrade, Outcome::Done, None);
    done.run = Some("01KAB2M3N4P5Q6R7S8T9V0W1X2".into());
    let refused = happened(Verb::Upgrade, Outcome::Refused, Some("app: a new key API_TOKEN needs a value"));
    let operator = happened(Verb::Recover, Outcome::NeedsOperator, Some("app.service does not start"));
    let mut all = String::new();
    for happening in [
        failed(),
        refused,
        operator,
        done,
        happened(Verb::Check, Outcome::Available, None),
        happened(Verb::Check, Outcome::Failed, Some("nobody answers at git.example.org")),
        happened(Verb::Upgrade, Outcome::Deferred, Some("app is outside its window")),
        happened(Verb::Recover, Outcome::PutBack, None),
    ] {
        let rendered = built_in(&news(&happening));
        all.push_str(&format!("Subject: {}\n\n{}\n==========\n", rendered.subject, rendered.text));
    }
    let way = way(&[Topic::Stale], "o@x.y");
    let found = Found {
        matter: Matter::Checks,
        digest: String::new(),
        headline: "app was not checked for 3 days".into(),
        state: "a check is expected every 24 hours; none was seen, and no unattended upgrade".into(),
        next: vec!["relift check app".into()],
    };
    let (mut stale, _) = Memory::default().watch(vec![found], &[("w".into(), &way)], &site(NOON)).remove(0);
    for (stage, others) in [(Stage::New, 0), (Stage::Reminder, 3), (Stage::Resolved, 0), (Stage::Test, 0)] {
        (stale.stage, stale.others) = (stage, others);
        let rendered = built_in(&stale);
        all.push_str(&format!("Subject: {}\n\n{}\n==========\n", rendered.subject, rendered.text));
    }
    insta::with_settings!({filters => vec![(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+", "<time>"), (r"relift \d+\.\d+\.\d+ on", "relift <version> on")]}, {
        insta::assert_snapshot!("texts", all);
    });
}

#[test]
fn html_and_json_and_slack_tell_the_same() {
    let news = news(&failed());
    let rendered = built_in(&news);
    let filters =
        vec![(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \w+", "<time>"), (r"relift \d+\.\d+\.\d+ on", "relift <version> on")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("html", rendered.html);
        insta::assert_snapshot!("json", serde_json::to_string_pretty(&send::document(&news, &rendered)).unwrap());
        insta::assert_snapshot!("slack", serde_json::to_string_pretty(&webhook::slack(&rendered)).unwrap());
    });
}

#[test]
fn no_word_of_others_makes_a_header_a_tag_or_a_line_of_its_own() {
    let evil = "x\r\nBcc: all@example.org\r\n\r\n<script>alert(1)</script>\u{202e}\x1b[2J";
    let mut happening = happened(Verb::Upgrade, Outcome::PutBack, Some(evil));
    happening.install = evil.into();
    happening.target = Some(evil.into());
    happening.run = Some(evil.into());
    happening.warnings = vec![evil.into(); 3];
    happening.versions = BTreeMap::from([(evil.to_owned(), (Some(evil.to_owned()), None))]);
    let mut news = news(&happening);
    news.host = evil.into();
    news.thread = evil.into();
    let rendered = built_in(&news);
    assert!(!rendered.html.contains("<script"), "{}", rendered.html);
    let Way::Mail(mail) = way(&[], "ops@example.org").way else { unreachable!() };
    let bytes = mail::message(&mail, &news, &rendered).unwrap().formatted();
    let text = String::from_utf8(bytes).expect("what is sent is ASCII");
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    assert!(!head.lines().any(|line| line.to_lowercase().starts_with("bcc:")), "{head}");
    assert!(!text.contains('\x1b') && text.is_ascii());
}

#[test]
fn a_mail_is_ascii_in_short_lines_with_a_stable_id_and_answers_to_nobody() {
    let mut happening = failed();
    happening.install = "größe".into();
    if let Some(told) = &mut happening.error {
        told.detail = vec!["ü".repeat(5_000); 30];
    }
    let news = news(&bounded(&happening));
    let Way::Mail(mail) = way(&[], "ops@example.org").way else { unreachable!() };
    let once = mail::message(&mail, &news, &built_in(&news)).unwrap().formatted();
    let text = String::from_utf8(once.clone()).unwrap();
    assert!(text.is_ascii() && text.split("\r\n").all(|line| line.len() < 998), "{text}");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "every line end is CRLF");
    for header in [
        "Subject: [relift] web1.example.org: =?utf-8?b?Z3LDtsOfZQ==?= 1.4.2",
        "Auto-Submitted: auto-generated\r\n",
        "Message-ID: <01KAB0000000000000000000ID@web1.example.org>\r\n",
        "References: <01KAB2M3N4P5Q6R7S8T9V0W1X2@web1.example.org>\r\n",
        "From: root@web1.example.org\r\n",
        "To: ops@example.org\r\n",
        "Date: ",
        "Content-Type: multipart/alternative;",
        "Content-Type: text/plain; charset=utf-8\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    ] {
        assert!(text.contains(header), "{header}\n{}", &text[..2_000]);
    }
}

#[test]
fn a_template_of_the_operators_is_used_and_one_that_is_broken_loops_or_is_anothers_is_not() {
    let place = tempfile::tempdir().unwrap();
    let news = news(&failed());
    let put = |name: &str, text: &str| std::fs::write(place.path().join(name), text).unwrap();
    put("subject.txt", "{{ host }} / {{ install }}: {{ topic }} {{ outcome }}\nsecond line");
    let rendered = render(&news, place.path());
    assert_eq!(
        (rendered.subject.as_str(), rendered.warnings.len()),
        ("web1.example.org / app: failure put-back second line", 0)
    );
    let built_in = built_in(&news);
    for (broken, why) in [
        ("{{ nothing.here }}", "undefined"),
        ("{% if %}", "line 1"),
        (
            "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}",
            "fuel",
        ),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "not used"),
        (
            "{% for a in range(9999) %}{{ 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' }}{% endfor %}",
            "too much",
        ),
        ("{% include '/etc/shadow' %}", "not used"),
    ] {
        put("body.txt", broken);
        let begun = std::time::Instant::now();
        let rendered = render(&news, place.path());
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert_eq!((&rendered.text, rendered.warnings.len()), (&built_in.text, 1), "{broken}: {:?}", rendered.warnings);
        assert!(rendered.warnings[0].contains(why), "{broken}: {:?}", rendered.warnings);
    }
    put("body.txt", "mine");
    assert_eq!(render(&news, place.path()).text, "mine\n");
    std::os::unix::fs::chown(place.path().join("body.txt"), Some(65_534), None).expect("this test needs root");
    let rendered = render(&news, place.path());
    assert!(rendered.text == built_in.text && rendered.warnings[0].contains("root alone"), "{:?}", rendered.warnings);
}
