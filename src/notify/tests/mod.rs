//! What is told, to whom, how often, in which words.

mod spool;
mod told;
mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use super::memory::{Memory, Site, Telling};
use super::news::News;
use super::*;
use crate::manifest::notify::{Mail, Way};

/// A day.
const DAY: i64 = 86_400;
/// Some time.
const NOON: i64 = 1_790_000_000;

fn way(on: &[Topic], to: &str) -> Notify {
    let mail = Mail { to: vec![to.into()], from: None, server: None };
    let day = Duration::from_secs(86_400);
    Notify { on: on.to_vec(), remind: day, expect_check: day, way: Way::Mail(mail) }
}

fn site(now: i64) -> Site<'static> {
    Site { host: "web1.example.org", install: "app", now }
}

fn happened(verb: Verb, outcome: Outcome, what: Option<&str>) -> Happening {
    let mut happening = Happening { outcome, time: NOON, ..Happening::begun("app", verb, true) };
    happening.target = Some("1.5.0".into());
    happening.revision = Some("0123456789abcdef0123456789abcdef01234567".into());
    happening.versions = BTreeMap::from([("app".into(), (Some("1.4.2".into()), Some("1.5.0".into())))]);
    happening.error = what.map(|what| Told {
        what: what.into(),
        causes: vec!["GET /api/version answered 500".into()],
        detail: vec!["Traceback (most recent call last):".into(), "KeyError: 'DATABASE_URL'".into()],
        hints: vec!["look at it: relift logs 01KAB".into()],
    });
    happening
}

/// What is told to each way of what happens at a time, as `WAY STAGE HEADLINE`.
fn hear(memory: &mut Memory, ways: &[(String, &Notify)], happening: &Happening, now: i64) -> Vec<String> {
    lines(memory.hear(&Happening { time: now, ..happening.clone() }, ways, &site(now)))
}

fn lines(telling: Telling) -> Vec<String> {
    let line = |news: &News, key: &String| {
        let stage = format!("{:?}", news.stage).to_lowercase();
        format!("{key} {stage} {}", news.headline)
    };
    telling.iter().flat_map(|(news, keys)| keys.iter().map(move |key| line(news, key))).collect()
}
