//! Who is told: what a verb did, and what the watch found, by the ways that a manifest names.
//!
//! `news` says what a happening means for people, `memory` whether they know already, `store` keeps what is to be told until it is
//! delivered, `send` delivers by `mail`, `webhook` or a command, `render` finds the words. Nothing here fails a verb.

mod mail;
mod memory;
mod motd;
mod news;
mod render;
mod send;
mod store;
mod watch;
mod webhook;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Result, ended};
use crate::host::identity;
use crate::host::journal::{Priority, Sink};
use crate::host::paths::Paths;
use crate::manifest::{Install, Notify, Topic};
use crate::unattended::{Happening, Outcome, Told, Verb};
use memory::{Memory, Site, Telling};
pub use news::{News, Stage};
pub use send::Sent;
use store::Store;
pub use store::{KEEP, Message};

/// Ways that failed in this process, by their words: the next of many installs does not wait for the same server again.
static RESTING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// How long one round of deliveries goes on to begin another, by way.
const ROUND: Duration = Duration::from_secs(20);
/// What is kept of a happening: lines of a log, causes, warnings and spans.
const LINES: usize = 20;
const SPANS: usize = 200;

/// Takes a happening in: what is to be told of it is durable afterwards. It sends nothing, and may be called under the lock of a
/// run. What cannot be put into the spool is given back.
pub fn note(paths: &Paths, install: &Install, happening: &Happening) -> Vec<Message> {
    let happening = bounded(happening);
    let ways = ways(install);
    if ways.is_empty() && !install.motd {
        return Vec::new();
    }
    let now = happening.time;
    hear(paths, install, |memory, site| memory.hear(&happening, &ways, site), now)
}

/// Delivers what is due to an install's people, and what could not be put into the spool.
pub fn deliver(paths: &Paths, install: &Install, spooled_nowhere: &[Message], patience: Duration) {
    let ways = ways(install);
    let way = |key: &str| ways.iter().find(|(known, _)| known == key).map(|(_, notify)| notify);
    for message in spooled_nowhere {
        if let Some(notify) = way(&message.way) {
            let (sent, _) = send::send(&notify.way, &message.news, templates(paths));
            if let Some(why) = sent.why() {
                complain(&install.name, &format!("{}: {why}; the spool cannot be written either", message.label));
            }
        }
    }
    let store = Store::of(paths, &install.name);
    if store.messages().is_ok_and(|messages| messages.is_empty()) {
        return;
    }
    // Whoever delivers already looks once more before it ends; the timer looks after the rest.
    let Ok(_lock) = store.lock_delivery(patience) else { return };
    let begun = Instant::now();
    let is_resting = |message: &Message| {
        let resting = RESTING.lock().unwrap_or_else(PoisonError::into_inner);
        resting.contains(&message.label)
    };
    loop {
        let now = now();
        let due: Vec<Message> =
            store.messages().unwrap_or_default().into_iter().filter(|one| one.is_due(now)).collect();
        let mut rounds: BTreeMap<String, Message> = BTreeMap::new();
        for message in due.into_iter().filter(|one| !is_resting(one)) {
            rounds.entry(message.way.clone()).or_insert(message);
        }
        if rounds.is_empty() || begun.elapsed() > ROUND {
            return;
        }
        std::thread::scope(|scope| {
            for message in rounds.into_values() {
                let (store, notify) = (&store, way(&message.way).copied());
                scope.spawn(move || {
                    if one(paths, store, &message, notify) {
                        RESTING.lock().unwrap_or_else(PoisonError::into_inner).insert(message.label);
                    }
                });
            }
        });
    }
}

/// Tries one message; `true`: its way is to rest.
fn one(paths: &Paths, store: &Store, message: &Message, notify: Option<&Notify>) -> bool {
    let now = now();
    let install = &message.news.install;
    let (sent, warnings) = match notify {
        _ if message.is_old(now) => {
            let why = message.fault.clone().unwrap_or_else(|| "it was not tried".into());
            (Sent::Never(format!("given up after {} days: {why}", KEEP / 86_400)), Vec::new())
        }
        Some(notify) => send::send(&notify.way, &message.news, templates(paths)),
        None => (Sent::Never("the manifest does not name it any more".into()), Vec::new()),
    };
    warnings.iter().for_each(|warning| complain(install, warning));
    let recorded = store.lock().and_then(|_lock| match &sent {
        Sent::Yes => store.remove(message),
        Sent::Never(why) => {
            complain(install, &format!("{} is not told \"{}\": {why}", message.label, message.news.headline));
            store.give_up(message, why, now)
        }
        Sent::Later(why, after) => {
            complain(install, &format!("{} is told later: {why}", message.label));
            store.write(&message.clone().failed(why, *after, now))
        }
    });
    if let Err(error) = &recorded {
        complain(install, &format!("what came of a message cannot be written down: {error}"));
    }
    recorded.is_err() || matches!(sent, Sent::Later(..))
}

/// Looks after an install: what nobody else would tell is told, and what waits is delivered.
pub fn flush(paths: &Paths, install: &Install, patience: Duration) {
    let ways = ways(install);
    let look = |memory: &mut Memory, site: &Site| {
        let found = watch::look(paths, install, memory, site.now);
        memory.watch(found, &ways, site)
    };
    let lost = hear(paths, install, look, now());
    deliver(paths, install, &lost, patience);
}

/// What changes the memory of an install, and what is to be told then. Where nothing changes, nothing is written, not even a lock.
fn hear(paths: &Paths, install: &Install, change: impl Fn(&mut Memory, &Site) -> Telling, now: i64) -> Vec<Message> {
    let (store, host) = (Store::of(paths, &install.name), host());
    let site = Site { host: &host, install: &install.name, now };
    let heard = || {
        let before = store.memory();
        let mut memory = Memory { is_silent: !install.motd, ..before.clone() };
        let telling = change(&mut memory, &site);
        let is_blank = memory.open.is_empty() && memory.checked.is_none() && before.format == 0;
        let is_written = memory != before && !is_blank;
        (before, memory, telling, is_written)
    };
    if matches!(heard(), (_, _, telling, false) if telling.is_empty()) {
        return Vec::new();
    }
    let lock = store.lock();
    if let Err(error) = &lock {
        complain(&install.name, &format!("what is to be told may be told twice: {error}"));
    }
    let (before, memory, telling, is_written) = heard();
    let (mut lost, ways) = (Vec::new(), ways(install));
    for (news, keys) in telling {
        for (key, notify) in ways.iter().filter(|(key, _)| keys.contains(key)) {
            let message = Message::new(news.clone(), key, &notify.way.label());
            if let Err(error) = store.put(message.clone()) {
                complain(&install.name, &format!("{} is told without a spool: {error}", message.label));
                lost.push(message);
            }
        }
    }
    // Written after the spool: a crash between the two tells again, not never.
    if is_written && let Err(error) = store.remember(&memory) {
        complain(&install.name, &format!("what was told cannot be written down: {error}"));
    }
    drop(lock);
    if memory.open != before.open || memory.is_silent != before.is_silent {
        greet(paths);
    }
    lost
}

/// Renews what who logs in is told.
pub fn greet(paths: &Paths) {
    let is_declared = |name: &String| {
        crate::manifest::is_install_name(name) && paths.manifests().join(format!("{name}.toml")).is_file()
    };
    let names = paths.known().unwrap_or_default().into_iter().filter(is_declared);
    let memories: Vec<(String, Memory)> = names.map(|name| (name.clone(), Store::of(paths, &name).memory())).collect();
    if let Err(error) = motd::write(paths, &motd::text(&memories)) {
        complain("", &error.to_string());
    }
}

/// Sends a test by every way of an install; the way in words, and what came of it.
pub fn test(paths: &Paths, install: &Install, topic: Topic) -> Vec<(String, Sent)> {
    let host = host();
    let news = sample(&host, &install.name, topic, now());
    std::thread::scope(|scope| {
        let threads: Vec<_> = install
            .notify
            .iter()
            .map(|notify| {
                let news = &news;
                scope.spawn(move || (notify.way.label(), send::send(&notify.way, news, templates(paths)).0))
            })
            .collect();
        threads.into_iter().map(|thread| ended(thread.join())).collect()
    })
}

/// What waits to be delivered.
pub fn waiting(paths: &Paths, install: &str) -> Result<Vec<Message>> {
    Store::of(paths, install).messages()
}

/// What an operator should know of what was told, in lines; `state`: `/var/lib/relift/NAME`.
pub fn remarks(state: &Path) -> Vec<String> {
    let store = Store::at(state);
    let mut remarks = Vec::new();
    let mut stuck: BTreeMap<String, (u64, String)> = BTreeMap::new();
    for message in store.messages().unwrap_or_default() {
        if let Some(fault) = message.fault {
            let (count, why) = stuck.entry(message.label).or_default();
            (*count, *why) = (*count + 1 + message.news.others, fault);
        }
    }
    let messages = |count: u64| if count == 1 { "1 message waits".into() } else { format!("{count} messages wait") };
    remarks.extend(stuck.into_iter().map(|(way, (count, why))| format!("{} for {way}: {why}", messages(count))));
    if let Some(dropped) = store.memory().dropped.filter(|dropped| now() - dropped.time < 7 * 86_400) {
        let messages =
            if dropped.count == 1 { "1 message was".into() } else { format!("{} messages were", dropped.count) };
        remarks.push(format!("{messages} never delivered, the last for {}: {}", dropped.way, dropped.why));
    }
    remarks
}

/// Each way by the key that it is remembered under. A way that is corrected stays the same one.
fn ways(install: &Install) -> Vec<(String, &Notify)> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let key = |notify: &Notify| crate::host::fs::sha256(notify.way.label().as_bytes())[..12].to_owned();
    let with = |notify| {
        let key: String = key(notify);
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        (if *count == 1 { key } else { format!("{key}-{count}") }, notify)
    };
    install.notify.iter().map(with).collect()
}

/// A happening as it is told: what is long in it is cut.
fn bounded(happening: &Happening) -> Happening {
    let mut happening = happening.clone();
    let last = |list: &mut Vec<String>| {
        list.drain(..list.len().saturating_sub(LINES));
        list.iter_mut().for_each(|text| *text = crate::text::shortened(text, 1_000));
    };
    last(&mut happening.warnings);
    if let Some(told) = &mut happening.error {
        told.what = crate::text::shortened(&told.what, 1_000);
        [&mut told.causes, &mut told.detail, &mut told.hints].into_iter().for_each(last);
    }
    happening.spans.truncate(SPANS);
    happening
}

/// News of a topic, for a test.
fn sample(host: &str, install: &str, topic: Topic, now: i64) -> News {
    let (verb, outcome) = match topic {
        Topic::Failure | Topic::Stale => (Verb::Upgrade, Outcome::PutBack),
        Topic::Decision => (Verb::Upgrade, Outcome::Refused),
        Topic::New => (Verb::Check, Outcome::Available),
        Topic::Success => (Verb::Upgrade, Outcome::Done),
        Topic::Recovered => (Verb::Recover, Outcome::PutBack),
        Topic::Deferred => (Verb::Upgrade, Outcome::Deferred),
    };
    let mut happening = Happening { time: now, outcome, ..Happening::begun(install, verb, true) };
    happening.versions = BTreeMap::from([(install.to_owned(), (Some("1.0.0".into()), Some("1.1.0".into())))]);
    if matches!(topic, Topic::Failure | Topic::Decision | Topic::Stale) {
        happening.error = Some(Told {
            what: "the new release did not become healthy".into(),
            causes: vec!["an example of a cause".into()],
            detail: vec!["an example of a line of a log".into()],
            hints: Vec::new(),
        });
    }
    let site = Site { host, install, now };
    News {
        stage: Stage::Test,
        thread: format!("{install}.test"),
        headline: news::headline(&happening),
        state: news::state(&happening).to_owned(),
        next: news::next(&happening),
        happening: Some(happening),
        ..memory::blank(&site, topic)
    }
}

fn templates(paths: &Paths) -> PathBuf {
    paths.manifests().join("templates")
}

/// This host's name.
fn host() -> String {
    let name = crate::text::harmless(&identity::name().into_string().unwrap_or_default());
    if name.is_empty() { "localhost".into() } else { name }
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Says in the journal what could not be told; where there is none, nobody hears it, and nothing fails.
fn complain(install: &str, text: &str) {
    let text = crate::text::shortened(&crate::text::harmless(text), 1_000);
    let fields = [("RELIFT_INSTALL", install)];
    Sink::open().and_then(|sink| sink.send(Priority::Warning, &format!("notify: {text}"), &fields)).unwrap_or_default();
}
