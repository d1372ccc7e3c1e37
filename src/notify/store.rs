//! The files of `/var/lib/relift/NAME/notify/`: what is remembered, and the spool of messages that were not delivered yet.
//! Each is whole or absent; every change is made under one lock, which is never held while a message is sent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::memory::{Dropped, Memory};
use super::news::{FORMAT, News};
use crate::error::{Context, Error, Result};
use crate::host::fs::{make_ours, remove_durably, write_durably};
use crate::host::paths::Paths;
use crate::run::{Lock, lock};

/// How many messages wait for one way; what comes beyond is counted by the last one.
pub const MOST: usize = 20;
/// How long a message is tried.
pub const KEEP: i64 = 3 * 24 * 3600;
/// The longest time between two tries.
const LONGEST_PAUSE: i64 = 6 * 3600;
/// No message is longer, in bytes.
const LONGEST: u64 = 1 << 20;
/// How long a change of these files may take others.
const PATIENCE: Duration = Duration::from_secs(10);

/// A message for one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The version of this format.
    pub format: u32,
    /// The way, by its key.
    pub way: String,
    /// The same in words.
    pub label: String,
    /// When it was put here, seconds since the epoch.
    pub created: i64,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    pub next: i64,
    /// Why it could not be delivered.
    pub fault: Option<String>,
    /// What it tells.
    pub news: News,
}

/// The files of one install.
#[derive(Debug, Clone)]
pub struct Store {
    directory: PathBuf,
    runtime: PathBuf,
    install: String,
}

impl Message {
    /// A message that was not tried yet.
    pub fn new(news: News, way: &str, label: &str) -> Message {
        let (created, next) = (news.time, news.time);
        Message { format: FORMAT, way: way.into(), label: label.into(), created, attempts: 0, next, fault: None, news }
    }

    /// Whether it is to be tried. A time of the future that no pause reaches is of a clock that was set back.
    pub fn is_due(&self, now: i64) -> bool {
        self.next <= now || self.next > now + LONGEST_PAUSE
    }

    /// Whether it was tried for long enough.
    pub fn is_old(&self, now: i64) -> bool {
        now - self.created > KEEP
    }

    /// After a try that failed; `after`: when the other side wants to be asked again, seconds.
    pub fn failed(mut self, why: &str, after: Option<u64>, now: i64) -> Message {
        let pause = 60i64.checked_shl(self.attempts.min(16)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        let asked = after.map_or(0, |after| i64::try_from(after).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE));
        self.attempts += 1;
        self.created = self.created.min(now);
        self.next = now + pause.max(asked);
        self.fault = Some(why.to_owned());
        self
    }

    fn file(&self) -> String {
        format!("{}.{}.json", self.news.id, self.way)
    }
}

impl Store {
    /// The files of `install`.
    pub fn of(paths: &Paths, install: &str) -> Store {
        let directory = paths.state(install).join("notify");
        Store { directory, runtime: paths.runtime(), install: install.to_owned() }
    }

    /// The same below an install's state, to be looked at.
    pub fn at(state: &Path) -> Store {
        Store { directory: state.join("notify"), runtime: PathBuf::from("/run/relift"), install: String::new() }
    }

    /// The right to change them.
    pub fn lock(&self) -> Result<Lock> {
        lock(&self.runtime, &format!("{}~notify", self.install), PATIENCE)
    }

    /// The right to deliver.
    pub fn lock_delivery(&self, timeout: Duration) -> Result<Lock> {
        lock(&self.runtime, &format!("{}~deliver", self.install), timeout)
    }

    /// What is remembered; what cannot be read is forgotten: at worst something is told again.
    pub fn memory(&self) -> Memory {
        let files = [self.spare(), self.directory.join("state.json")];
        let read = |path: &PathBuf| serde_json::from_slice::<Memory>(&std::fs::read(path).ok()?).ok();
        files.iter().filter_map(read).find(|memory| memory.format == FORMAT).unwrap_or_default()
    }

    /// Remembers. Where the disk is full, until the next boot: the same is not told again every few minutes.
    pub fn remember(&self, memory: &Memory) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(memory).context("what was told cannot be written down")?;
        let spare = self.spare();
        let stored =
            make_ours(&self.directory).and_then(|()| write_durably(&self.directory.join("state.json"), &bytes, 0o600));
        match stored {
            Ok(()) if spare.exists() => remove_durably(&spare),
            Ok(()) => Ok(()),
            Err(error) => {
                make_ours(&self.runtime).and_then(|()| write_durably(&spare, &bytes, 0o600)).map_err(|_| error)
            }
        }
    }

    fn spare(&self) -> PathBuf {
        self.runtime.join(format!("{}~notify.json", self.install))
    }

    fn spool(&self) -> PathBuf {
        self.directory.join("spool")
    }

    /// Puts a message into the spool, durably. Where many wait for the same way already, the newest of them stands for it.
    pub fn put(&self, message: Message) -> Result<()> {
        let spool = self.spool();
        make_ours(&self.directory)?;
        make_ours(&spool)?;
        let waiting: Vec<Message> = self.messages()?.into_iter().filter(|known| known.way == message.way).collect();
        let Some(last) = waiting.last().filter(|_| waiting.len() >= MOST) else { return self.write(&message) };
        let others = last.news.others + 1;
        self.write(&Message { news: News { others, ..message.news.clone() }, ..message })?;
        self.remove(last)
    }

    /// The messages of the spool, oldest first.
    pub fn messages(&self) -> Result<Vec<Message>> {
        let entries = match std::fs::read_dir(self.spool()) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                return Err(Error::failed(format!("{} cannot be read", self.spool().display())).because(error));
            }
        };
        let mut messages: Vec<Message> = entries.filter_map(|entry| read(&entry.ok()?.path())).collect();
        messages.sort_by(|one, other| (&one.news.id, &one.way).cmp(&(&other.news.id, &other.way)));
        Ok(messages)
    }

    /// Writes a message down as it is now.
    pub fn write(&self, message: &Message) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(message).context("the message cannot be written down")?;
        write_durably(&self.spool().join(message.file()), &bytes, 0o600)
    }

    /// Removes a message.
    pub fn remove(&self, message: &Message) -> Result<()> {
        remove_durably(&self.spool().join(message.file()))
    }

    /// Gives a message up.
    pub fn give_up(&self, message: &Message, why: &str, now: i64) -> Result<()> {
        self.remove(message)?;
        let mut memory = self.memory();
        let count = memory.dropped.map_or(0, |dropped| dropped.count) + 1 + message.news.others;
        memory.format = FORMAT;
        memory.dropped = Some(Dropped { count, time: now, way: message.label.clone(), why: why.to_owned() });
        self.remember(&memory)
    }
}

/// A message; `None`: it is none of ours, or not whole.
fn read(path: &std::path::Path) -> Option<Message> {
    let meta = std::fs::symlink_metadata(path).ok().filter(|meta| meta.is_file() && meta.len() <= LONGEST)?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let message: Message =
        (meta.len() > 0 && is_json).then(|| serde_json::from_slice(&std::fs::read(path).ok()?).ok())??;
    let is_named = path.file_name().is_some_and(|name| name.to_string_lossy() == message.file());
    (message.format == FORMAT && is_named).then_some(message)
}
