//! What was told of an install, so that the same is told once: `/var/lib/relift/NAME/notify/state.json`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::news::{self, FORMAT, Matter, News, Stage};
use crate::manifest::{Notify, Topic};
use crate::unattended::{Happening, Outcome, Verb};

/// How much later a check has to be for its time to be written down again, seconds.
const CHECKED_GRAIN: i64 = 600;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The version of this format.
    pub format: u32,
    /// What goes on.
    #[serde(default)]
    pub open: BTreeMap<Matter, Open>,
    /// When the source was asked last, or the watch began, seconds since the epoch.
    #[serde(default)]
    pub checked: Option<i64>,
    /// What could not be delivered and was given up.
    #[serde(default)]
    pub dropped: Option<Dropped>,
    /// Whether who logs in is not told.
    #[serde(default)]
    pub is_silent: bool,
}

/// A matter that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// What it is told under.
    pub topic: Topic,
    /// What makes it another one.
    pub digest: String,
    /// Since when.
    pub since: i64,
    /// It in a few words.
    pub headline: String,
    /// The first thing to do.
    pub next: Option<String>,
    /// The thread of its messages.
    #[serde(default)]
    pub thread: String,
    /// When it was told, by way.
    pub told: BTreeMap<String, i64>,
}

/// Messages that were given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// How many.
    pub count: u64,
    /// When the last was.
    pub time: i64,
    /// Which way it would have gone.
    pub way: String,
    /// Why it could not.
    pub why: String,
}

/// What is to be told, and to which ways, by key.
pub type Telling = Vec<(News, Vec<String>)>;

/// A way by the key that it is remembered under.
pub type Ways<'a> = [(String, &'a Notify)];

/// What the watch found.
pub struct Found {
    /// The matter.
    pub matter: Matter,
    /// What makes it another one.
    pub digest: String,
    /// It in a few words.
    pub headline: String,
    /// What state things are in.
    pub state: String,
    /// What to do next.
    pub next: Vec<String>,
}

/// Where and when something is told.
pub struct Site<'a> {
    /// This host.
    pub host: &'a str,
    /// The install.
    pub install: &'a str,
    /// Seconds since the epoch.
    pub now: i64,
}

impl Memory {
    /// Takes a happening in: what is to be told of it.
    pub fn hear(&mut self, happening: &Happening, ways: &Ways, site: &Site) -> Telling {
        self.mend(ways, site.now);
        let asks = happening.verb == Verb::Check || happening.verb == Verb::Upgrade && happening.unattended;
        if asks && !ways.is_empty() && self.checked.is_none_or(|last| site.now >= last + CHECKED_GRAIN) {
            self.checked = Some(site.now);
        }
        let meaning = news::meaning(happening);
        let mut telling = Telling::new();
        let draft = |topic| News {
            happening: Some(happening.clone()),
            headline: news::headline(happening),
            state: news::state(happening).to_owned(),
            next: news::next(happening),
            thread: happening.run.clone().unwrap_or_default(),
            ..blank(site, topic)
        };
        for matter in meaning.settles {
            telling.extend(self.close(matter, Some(happening), site));
        }
        match (meaning.topic, meaning.matter) {
            (Some(topic), Some(matter)) => {
                let still = happening.outcome == Outcome::Skipped;
                telling.extend(self.go_on(matter, draft(topic), news::digest(happening), still, ways));
            }
            (Some(topic), None) => {
                let told = to(draft(topic), ways, |_, way| way.on.contains(&topic));
                // Who hears of the success needs no word that the trouble is over.
                let heard = told.iter().flat_map(|(_, keys)| keys.clone()).collect::<Vec<_>>();
                telling.iter_mut().for_each(|(_, keys)| keys.retain(|key| !heard.contains(key)));
                telling.retain(|(_, keys)| !keys.is_empty());
                telling.extend(told);
            }
            _ => {}
        }
        telling
    }

    /// Takes in what the watch found: what it does not find any more is settled.
    pub fn watch(&mut self, found: Vec<Found>, ways: &Ways, site: &Site) -> Telling {
        self.mend(ways, site.now);
        let mut telling = Telling::new();
        let gone = [Matter::Checks, Matter::Run, Matter::Hold]
            .into_iter()
            .filter(|matter| !found.iter().any(|found| found.matter == *matter));
        for matter in gone.collect::<Vec<_>>() {
            telling.extend(self.close(matter, None, site));
        }
        for found in found {
            let news =
                News { headline: found.headline, state: found.state, next: found.next, ..blank(site, Topic::Stale) };
            telling.extend(self.go_on(found.matter, news, found.digest, false, ways));
        }
        telling
    }

    /// A matter begins, changes or goes on. `still`: it is what was told, whatever its words.
    fn go_on(
        &mut self,
        matter: Matter,
        mut news: News,
        digest: String,
        still: bool,
        ways: &Ways,
    ) -> Option<(News, Vec<String>)> {
        let known = self.open.get(&matter);
        // That it is not tried now says nothing of what is known to be wrong.
        if news.topic == Topic::Deferred && known.is_some_and(|open| open.topic != Topic::Deferred) {
            return None;
        }
        let same = known.filter(|open| open.digest == digest || still && open.topic == news.topic);
        let mut open = same.cloned().unwrap_or_else(|| Open {
            topic: news.topic,
            digest,
            since: news.time,
            headline: news.headline.clone(),
            next: news.next.first().cloned(),
            thread: match news.thread.is_empty() {
                true => format!("{}.{matter:?}.{}", news.install, news.time).to_lowercase(),
                false => news.thread.clone(),
            },
            told: BTreeMap::new(),
        });
        news.stage = if open.told.is_empty() { Stage::New } else { Stage::Reminder };
        news.since = open.since;
        news.thread.clone_from(&open.thread);
        let (topic, time) = (news.topic, news.time);
        let due = |key: &str, way: &Notify| {
            let told = open.told.get(key);
            way.on.contains(&topic) && told.is_none_or(|told| time - told >= seconds(way.remind))
        };
        let telling = to(news, ways, due);
        if let Some((news, keys)) = &telling {
            open.told.extend(keys.iter().map(|key| (key.clone(), news.time)));
        }
        self.open.insert(matter, open);
        telling
    }

    /// A matter is over.
    fn close(&mut self, matter: Matter, by: Option<&Happening>, site: &Site) -> Option<(News, Vec<String>)> {
        let open = self.open.remove(&matter)?;
        // That a release was installed says that it is not new any more.
        let is_said = open.topic == Topic::New || open.told.is_empty();
        let news = News {
            stage: Stage::Resolved,
            since: open.since,
            thread: open.thread,
            headline: open.headline,
            state: by.map(news::headline).unwrap_or_else(|| "it is so no longer".into()),
            ..blank(site, open.topic)
        };
        (!is_said).then(|| (news, open.told.into_keys().collect()))
    }

    /// A clock that was set back leaves times of the future; ways that are gone need no memory.
    fn mend(&mut self, ways: &Ways, now: i64) {
        self.format = FORMAT;
        self.checked = self.checked.map(|checked| checked.min(now));
        for open in self.open.values_mut() {
            open.since = open.since.min(now);
            open.told.retain(|key, _| ways.iter().any(|(known, _)| known == key));
            open.told.values_mut().for_each(|told| *told = (*told).min(now));
        }
    }
}

fn to(news: News, ways: &Ways, wants: impl Fn(&str, &Notify) -> bool) -> Option<(News, Vec<String>)> {
    let keys: Vec<String> = ways.iter().filter(|(key, way)| wants(key, way)).map(|(key, _)| key.clone()).collect();
    (!keys.is_empty()).then_some((news, keys))
}

fn seconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs()).unwrap_or(i64::MAX)
}

/// News without words.
pub fn blank(site: &Site, topic: Topic) -> News {
    News {
        format: FORMAT,
        id: ulid::Ulid::generate().to_string(),
        host: site.host.to_owned(),
        install: site.install.to_owned(),
        topic,
        stage: Stage::New,
        thread: String::new(),
        time: site.now,
        since: site.now,
        headline: String::new(),
        state: String::new(),
        happening: None,
        next: Vec::new(),
        others: 0,
    }
}
