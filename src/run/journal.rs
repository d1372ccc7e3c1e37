//! The journal of a run: one file per record, in dpkg's way (temporary file, fsync, rename, fsync of the directory).

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::record::{Begin, Body, End, FORMAT, Record};
use super::runs::newest_for_sure;
use crate::action::Seen;
use crate::error::{Context, Error, Kind, Result};
use crate::host::fs::{make_private, write_all_durably, write_durably};
use crate::plan::Contents;

/// The journal of one run, in `/var/lib/relift/NAME/runs/ULID/`.
#[derive(Debug)]
pub struct Journal {
    directory: PathBuf,
    run: String,
    records: Vec<Record>,
}

impl Journal {
    /// Begins a run: makes its directory, keeps the bytes that the plan speaks of, and writes `begin`, which names them.
    pub fn begin(runs: &Path, begin: Begin, contents: &Contents) -> Result<Journal> {
        let run = next_id(runs)?;
        let directory = runs.join(&run);
        make_private(&directory.join("content"), 0o700)?;
        write_all_durably(&directory.join("content"), contents.iter(), 0o600)?;
        let mut journal = Journal { directory, run, records: Vec::new() };
        journal.append(Body::Begin(Box::new(begin)))?;
        Ok(journal)
    }

    /// Opens the journal of a run and checks the chain. A run whose `begin` never became durable has no records.
    pub fn open(directory: &Path) -> Result<Journal> {
        let run = directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut names: Vec<String> = fs::read_dir(directory)
            .with_context(|| format!("the journal {} cannot be read", directory.display()))?
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(".json") && name.starts_with(|first: char| first.is_ascii_digit()))
            .collect();
        names.sort();
        let files = names.iter().map(|name| directory.join(name)).map(|path| (path.clone(), fs::read(&path)));
        let records = chain(&run, files)?;
        Ok(Journal { directory: directory.to_owned(), run, records })
    }

    /// Appends a record; when this returns, it is durable. One that is in its place, but whose durability failed, counts as
    /// appended all the same: the next sync of the directory covers it, and a second record of its number would break the
    /// chain.
    pub fn append(&mut self, body: Body) -> Result<()> {
        let previous = self.records.last();
        let sequence = previous.map_or(1, |record| record.sequence + 1);
        let record = Record::seal(&self.run, sequence, previous.map_or("", |record| &record.sum), body);
        let path = self.directory.join(format!("{sequence:05}-{}.json", record.body.word()));
        let bytes = serde_json::to_vec_pretty(&record).context("a journal record cannot be written")?;
        super::checkpoint(&format!("before-{sequence:05}-{}", record.body.word()));
        let written = write_durably(&path, &bytes, 0o600);
        if written.is_err() && fs::read(&path).is_ok_and(|there| there == bytes) {
            self.records.push(record);
            return written;
        }
        written?;
        super::checkpoint(&format!("after-{sequence:05}-{}", record.body.word()));
        self.records.push(record);
        Ok(())
    }

    /// The run's ULID.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The run's directory: records, undo data, logs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// All records.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// What the run started from; `None` for a run that died before it was durable.
    pub fn start(&self) -> Option<&Begin> {
        self.records.iter().find_map(|record| match &record.body {
            Body::Begin(begin) => Some(&**begin),
            _ => None,
        })
    }

    /// The actions that were begun and not undone, in the order in which they were begun, with what was seen.
    pub fn begun(&self) -> Vec<(usize, Seen)> {
        let undone = |action: usize| self.records.iter().any(|record| record.body == Body::Undone { action });
        let intents = self.records.iter().filter_map(|record| match &record.body {
            Body::Intent { action, seen } => Some((*action, seen.clone())),
            _ => None,
        });
        intents.filter(|(action, _)| !undone(*action)).collect()
    }

    /// Whether a record of this kind is there.
    pub fn has(&self, wanted: impl Fn(&Body) -> bool) -> bool {
        self.records.iter().any(|record| wanted(&record.body))
    }

    /// Components that were healthy before the run; empty when it did not get that far.
    pub fn healthy_before(&self) -> &[String] {
        let prepared = self.records.iter().find_map(|record| match &record.body {
            Body::Prepared { healthy } => Some(healthy.as_slice()),
            _ => None,
        });
        prepared.unwrap_or_default()
    }

    /// The run's backup, once it was proven: its id, and when it was begun.
    pub fn backup(&self) -> Option<(&str, i64)> {
        self.records.iter().find_map(|record| match &record.body {
            Body::BackedUp { backup, time, .. } => Some((backup.as_str(), *time)),
            _ => None,
        })
    }

    /// How the run ended; `None` while it is open.
    pub fn end(&self) -> Option<&End> {
        self.records.iter().rev().find_map(|record| match &record.body {
            Body::End(end) => Some(end),
            _ => None,
        })
    }

    /// When it began and when its last record was written, seconds since the epoch.
    pub fn span(&self) -> Option<(i64, i64)> {
        Some((self.records.first()?.time, self.records.last()?.time))
    }
}

/// An id that sorts after every run that is there, even when the clock was set back since: the newest is the one that may
/// be open.
fn next_id(directory: &Path) -> Result<String> {
    let newest =
        newest_for_sure(directory)?.and_then(|path| ulid::Ulid::from_string(&path.file_name()?.to_string_lossy()).ok());
    let fresh = ulid::Ulid::generate();
    let id = newest.filter(|newest| *newest >= fresh).and_then(|newest| newest.increment().ok()).unwrap_or(fresh);
    Ok(id.to_string())
}

/// The records in these files of a run, in their order, where each follows the one before it.
pub(super) fn chain(run: &str, files: impl Iterator<Item = (PathBuf, io::Result<Vec<u8>>)>) -> Result<Vec<Record>> {
    let mut records: Vec<Record> = Vec::new();
    for (path, bytes) in files {
        let bytes = bytes.with_context(|| format!("{} cannot be read", path.display()))?;
        let (record, sum) = parse(&path, &bytes)?;
        check(&record, &sum, records.last(), run).map_err(|reason| broken(&path, &reason))?;
        records.push(record);
    }
    Ok(records)
}

/// A record, and the sum that it ought to have.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Record, String)> {
    let wrong = |error: serde_json::Error| broken(path, &error.to_string());
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(wrong)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(FORMAT) => {}
        Some(found) => {
            return Err(broken(path, &format!("it is of format {found}, and this relift reads format {FORMAT}")));
        }
        None => return Err(broken(path, "it does not say which format it has")),
    }
    let sum = super::record::sum(value);
    // Not from the value: JSON text tells a misspelt record's line and column.
    Ok((serde_json::from_slice(bytes).map_err(wrong)?, sum))
}

fn check(record: &Record, sum: &str, previous: Option<&Record>, run: &str) -> std::result::Result<(), String> {
    let expected = previous.map_or(1, |record| record.sequence + 1);
    let chained = previous.map_or("", |record| &record.sum);
    match record {
        _ if record.sum != sum => Err("its checksum does not fit".into()),
        _ if record.run != run => Err(format!("it belongs to run {}", record.run)),
        _ if record.sequence != expected => Err(format!("record {expected} is missing before it")),
        _ if record.previous != chained => Err("it does not follow the record before it".into()),
        _ => Ok(()),
    }
}

fn broken(path: &Path, reason: &str) -> Error {
    Error::new(Kind::NeedsOperator, format!("the journal record {} cannot be trusted", path.display()))
        .because(reason)
        .hint("nothing was changed because of it; compare the checkout, `.env` and units with `relift plan`, then move the run's directory away")
}

#[cfg(test)]
impl Begin {
    /// The beginning of a run of `app` that does nothing.
    pub fn sample() -> Begin {
        Begin {
            version: "0".into(),
            plan: crate::plan::Plan::empty("app"),
            unattended: false,
            configuration: String::new(),
            keep_known_good: 5,
            manifest: None,
            track: None,
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::record::Outcome;

    fn journal(directory: &Path) -> Journal {
        let mut journal = Journal::begin(directory, Begin::sample(), &Contents::default()).unwrap();
        journal.append(Body::Intent { action: 0, seen: crate::action::Seen::Nothing }).unwrap();
        journal.append(Body::Done { action: 0 }).unwrap();
        journal
    }

    #[test]
    fn what_was_appended_is_what_is_read() {
        let place = tempfile::tempdir().unwrap();
        let mut written = journal(place.path());
        written.append(Body::End(End { outcome: Outcome::Done, why: None, detail: vec![] })).unwrap();
        let read = Journal::open(written.directory()).unwrap();
        assert_eq!(read.records(), written.records());
        assert_eq!(read.end().unwrap().outcome, Outcome::Done);
    }

    #[test]
    fn a_run_sorts_after_those_before_it_when_the_clock_was_set_back() {
        let place = tempfile::tempdir().unwrap();
        let future = ulid::Ulid::from_parts(u64::MAX >> 17, 7);
        fs::create_dir(place.path().join(future.to_string())).unwrap();
        let run = journal(place.path());
        assert_eq!(super::super::runs::runs(place.path()).unwrap().last().unwrap(), run.directory());
    }

    #[test]
    fn a_torn_temporary_file_is_ignored() {
        let place = tempfile::tempdir().unwrap();
        let written = journal(place.path());
        fs::write(written.directory().join(".tmp-abc"), b"{\"format\":1,").unwrap();
        assert_eq!(Journal::open(written.directory()).unwrap().records().len(), 3);
    }

    #[test]
    fn a_record_of_a_version_with_other_fields_keeps_its_sum() {
        let place = tempfile::tempdir().unwrap();
        let written = journal(place.path());
        let last = written.directory().join("00003-done.json");
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&last).unwrap()).unwrap();
        record["a-field-of-tomorrow"] = serde_json::json!({"b": 1, "a": [2]});
        record["sum"] = super::super::record::sum(record.clone()).into();
        fs::write(&last, serde_json::to_vec(&record).unwrap()).unwrap();
        assert_eq!(Journal::open(written.directory()).unwrap().records().len(), 3);
        record["a-field-of-tomorrow"]["b"] = 2.into();
        fs::write(&last, serde_json::to_vec(&record).unwrap()).unwrap();
        assert!(Journal::open(written.directory()).unwrap_err().to_string().contains("checksum"));
    }

    #[test]
    fn a_gap_a_changed_byte_and_another_format_stop_with_needs_operator() {
        for (damage, says) in [("gap", "record 2 is missing"), ("byte", "checksum"), ("format", "format 9")] {
            let place = tempfile::tempdir().unwrap();
            let written = journal(place.path());
            let second = written.directory().join("00002-intent.json");
            let text = fs::read_to_string(&second).unwrap();
            match damage {
                "gap" => fs::remove_file(&second).unwrap(),
                "byte" => fs::write(&second, text.replace("\"action\": 0", "\"action\": 1")).unwrap(),
                _ => fs::write(&second, text.replace("\"format\": 1", "\"format\": 9")).unwrap(),
            }
            let error = Journal::open(written.directory()).unwrap_err();
            assert_eq!(error.kind, Kind::NeedsOperator);
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
