//! The summary of an install that every account of the host may read: `/run/relift-status/NAME.json`. No secret is in it, and
//! no text of others but versions and names.
//!
//! It is the memory of what the ledger does not hold, too: when the source was asked, and what it offered. As everything in
//! `/run`, that is forgotten at a boot.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tally::{LastRun, Tally};
use crate::error::{Context, Error, Result};
use crate::host::fs::{Meta, Rooted, make_private, must_be_ours};
use crate::host::paths::Paths;
use crate::ledger::{Ledger, is_newest_ended, open_run};
use crate::manifest::{Install, is_install_name};
use crate::run::is_held;
use crate::run::record::Outcome as RunOutcome;
use crate::unattended::{Happening, Outcome, Verb};

/// The format that this version writes.
const FORMAT: u32 = 1;
/// No summary is longer, in bytes.
const LONGEST: u64 = 1 << 20;

/// What is known of an install.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Status {
    /// The version of the format.
    pub format: u32,
    /// The install.
    pub install: String,
    /// When this was written, seconds since the epoch, as all times here.
    pub written: i64,
    /// How old the last check that got an answer may be, seconds; `None`: nobody said, and no check is remembered.
    pub stale: Option<u64>,
    /// The directory with its file for Prometheus.
    pub textfile: Option<PathBuf>,
    /// When the source was last asked.
    pub asked: Option<i64>,
    /// When it last answered.
    pub answered: Option<i64>,
    /// What it offered; `None`: not known since the boot, or since a rollback.
    pub offer: Option<Offer>,
    /// The release that waits for an operator's decision.
    pub decision: Option<String>,
    /// Versions by component; `None`: the component tells none.
    pub versions: BTreeMap<String, Option<String>>,
    /// Since when it is held.
    pub held: Option<i64>,
    /// The run that was interrupted and is still open.
    pub open_run: Option<String>,
    /// The run that goes on.
    pub running: Option<String>,
    /// Releases that failed here.
    pub failed: Vec<Failed>,
    /// What is counted of its runs.
    pub runs: Tally,
}

/// What the source offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offer {
    /// The release, in words.
    pub target: String,
    /// What it would bring; `None`: it is what runs.
    pub news: Option<News>,
}

/// A release that is not activated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct News {
    /// Its commit.
    pub revision: String,
    /// Versions before and after, by component.
    pub versions: BTreeMap<String, (Option<String>, Option<String>)>,
}

/// A release that failed here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// Its commit.
    pub revision: String,
    /// The run.
    pub run: String,
    /// When.
    pub time: i64,
    /// An operator went back from it.
    pub by_operator: bool,
}

/// In one word, the first that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// A run was interrupted and is still open.
    Interrupted,
    /// The last run could not put everything back.
    NeedsOperator,
    /// What is offered failed here.
    Failed,
    /// What is offered waits for a decision.
    Decision,
    /// Held.
    Held,
    /// Something is new.
    Available,
    /// What is offered is activated.
    Current,
    /// What is offered is not known.
    Unknown,
}

impl State {
    /// All of them.
    pub const ALL: [State; 8] = [
        State::Interrupted,
        State::NeedsOperator,
        State::Failed,
        State::Decision,
        State::Held,
        State::Available,
        State::Current,
        State::Unknown,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            State::Interrupted => "interrupted",
            State::NeedsOperator => "needs-operator",
            State::Failed => "failed",
            State::Decision => "decision",
            State::Held => "held",
            State::Available => "available",
            State::Current => "current",
            State::Unknown => "unknown",
        }
    }
}

impl Status {
    /// What is offered and not activated.
    pub fn news(&self) -> Option<(&str, &News)> {
        self.offer.as_ref().and_then(|offer| Some((offer.target.as_str(), offer.news.as_ref()?)))
    }

    /// The failure that counts: of what is offered now, or, where that is not known, one since the last success. What an
    /// operator went back from is his affair.
    pub fn failure(&self) -> Option<&Failed> {
        let counts = |failed: &&Failed| match &self.offer {
            Some(offer) => offer.news.as_ref().is_some_and(|news| news.revision == failed.revision),
            None => self.runs.success.is_none_or(|success| failed.time > success),
        };
        self.failed.iter().rev().filter(|failed| !failed.by_operator).find(counts)
    }

    /// Whether an operator went back from what is offered.
    pub fn is_turned_down(&self) -> bool {
        let of_news = |failed: &Failed| self.news().is_some_and(|(_, news)| news.revision == failed.revision);
        self.failed.iter().any(|failed| failed.by_operator && of_news(failed))
    }

    /// Its state.
    pub fn state(&self) -> State {
        let last = self.runs.last.as_ref().map(|run: &LastRun| run.outcome);
        match self {
            _ if self.open_run.is_some() => State::Interrupted,
            _ if last == Some(RunOutcome::NeedsOperator) => State::NeedsOperator,
            _ if self.failure().is_some() => State::Failed,
            _ if self.decision.is_some() => State::Decision,
            _ if self.held.is_some() => State::Held,
            _ if self.offer.is_none() => State::Unknown,
            _ if self.news().is_some() && !self.is_turned_down() => State::Available,
            _ => State::Current,
        }
    }

    /// What a verb taught of the source. Pure.
    pub fn learn(&mut self, happening: &Happening) {
        let is_answer = match happening.verb {
            Verb::Check => happening.error.is_none(),
            Verb::Upgrade => happening.revision.is_some(),
            Verb::Rollback | Verb::Reconfigure | Verb::Recover => false,
        };
        if is_answer {
            self.answered = Some(happening.time);
        }
        if is_answer || happening.verb == Verb::Check {
            self.asked = Some(happening.time);
        }
        if happening.verb == Verb::Rollback && happening.outcome == Outcome::Done {
            (self.offer, self.decision) = (None, None);
        }
        if !is_answer {
            return;
        }
        let is_reached = matches!(happening.outcome, Outcome::Current | Outcome::Done);
        let news = happening.revision.clone().filter(|_| !is_reached);
        let news = news.map(|revision| News { revision, versions: happening.versions.clone() });
        self.decision = match &news {
            None => None,
            Some(news) if self.decision.as_ref() == Some(&news.revision) => self.decision.take(),
            Some(news) => {
                let is_refused = happening.unattended && happening.outcome == Outcome::Refused;
                (is_refused || !happening.blockers.is_empty()).then(|| news.revision.clone())
            }
        };
        let target = happening.target.clone().unwrap_or_default();
        self.offer = Some(Offer { target, news });
    }
}

/// What is known of an install now: of the ledger, of what was remembered, and of what just happened.
pub fn gather(
    paths: &Paths,
    install: &Install,
    memory: Option<Status>,
    happening: Option<&Happening>,
    now: i64,
) -> Result<Status> {
    let (name, state) = (&install.name, paths.state(&install.name));
    let ledger = Ledger::below(&state);
    let mut status = memory.unwrap_or_default();
    status.format = FORMAT;
    status.install.clone_from(name);
    status.written = now;
    status.stale = install.monitoring.as_ref().map(|monitoring| monitoring.stale.as_secs());
    status.textfile = install.monitoring.as_ref().and_then(|monitoring| monitoring.textfile.clone());
    let activated = ledger.activated()?.components.into_iter();
    status.versions = activated.map(|(component, activation)| (component, activation.version)).collect();
    status.held = ledger.held(now)?.map(|(hold, _)| hold.since);
    let failed = ledger.failed()?.into_iter().map(|failed| Failed {
        by_operator: failed.configuration.is_empty(),
        revision: failed.revision,
        run: failed.run,
        time: failed.time,
    });
    status.failed = failed.collect();
    let open = if is_newest_ended(&state)? { None } else { open_run(&state)? };
    let open = open.map(|journal| journal.run().to_owned());
    let goes_on = open.is_some() && is_held(&paths.runtime(), name);
    (status.running, status.open_run) = if goes_on { (open, None) } else { (None, open) };
    status.runs = Tally::of(&state, happening)?;
    if let Some(happening) = happening {
        status.learn(happening);
    }
    Ok(status)
}

/// Puts a summary where every account may read it. Not durable: a boot forgets it.
pub fn publish(paths: &Paths, status: &Status) -> Result<()> {
    let directory = paths.summaries();
    must_be_ours(&directory)?;
    make_private(&directory, 0o755)?;
    let bytes = serde_json::to_vec_pretty(status).context("the summary cannot be written")?;
    put(&directory, &file(&status.install), &bytes)
}

/// The summary of an install; `None`: none was published since the boot. What another version wrote counts as none.
pub fn published(paths: &Paths, name: &str) -> Result<Option<Status>> {
    use std::io::Read;
    let path = paths.summaries().join(file(name));
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failed(format!("{} cannot be read", path.display())).because(error)),
    };
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(serde_json::from_slice(&bytes).ok().filter(|status: &Status| status.format == FORMAT))
}

/// The installs that have a summary, by name.
pub fn names(paths: &Paths) -> Vec<String> {
    let entries = std::fs::read_dir(paths.summaries()).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json").map(str::to_owned))
        .filter(|name| is_install_name(name))
        .collect();
    names.sort();
    names
}

/// Removes the summary of an install.
pub(super) fn withdraw(paths: &Paths, name: &str) -> Result<()> {
    let path = paths.summaries().join(file(name));
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::failed(format!("{} cannot be removed", path.display())).because(error)),
    }
}

/// Writes a small file of root's that everybody reads, at once or not at all; never through a link that another account made.
pub(super) fn put(directory: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    let mut fresh = Rooted::open(directory)?.fresh(Path::new(name))?;
    let now = (jiff::Timestamp::now().as_second(), 0);
    let owner = nix::unistd::geteuid().as_raw();
    let meta = Meta { mode: 0o644, uid: owner, gid: nix::unistd::getegid().as_raw(), mtime: now, xattrs: Vec::new() };
    let what = || format!("{} cannot be written", directory.join(name).display());
    match fresh.file.write_all(bytes) {
        Ok(()) => fresh.settle(&meta).with_context(what),
        Err(error) => {
            fresh.discard();
            Err(error).with_context(what)
        }
    }
}

fn file(name: &str) -> String {
    format!("{name}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Exit};

    fn told(verb: Verb, outcome: Outcome, revision: Option<&str>) -> Happening {
        let happening = Happening::begun("app", verb, true);
        let ended = if outcome == Outcome::Failed { Err(Error::failed("no")) } else { Ok(Exit::Done) };
        let revision = revision.map(str::to_owned);
        Happening { outcome, target: Some("1.1.0".into()), revision, ..happening }.ended(&ended, 100)
    }

    fn after(happenings: &[Happening]) -> Status {
        let mut status = Status::default();
        happenings.iter().for_each(|happening| status.learn(happening));
        status
    }

    #[test]
    fn a_check_says_what_is_offered_and_one_without_an_answer_says_only_that_it_asked() {
        let status = after(&[told(Verb::Check, Outcome::Current, None)]);
        assert_eq!((status.asked, status.answered, status.state()), (Some(100), Some(100), State::Current));
        let status = after(&[told(Verb::Check, Outcome::Available, Some("new"))]);
        assert_eq!((status.news().map(|(_, news)| &*news.revision), status.state()), (Some("new"), State::Available));
        let status = after(&[told(Verb::Check, Outcome::Failed, None)]);
        assert_eq!((status.asked, status.answered, status.offer, status.decision), (Some(100), None, None, None));
    }

    #[test]
    fn a_decision_stays_needed_until_the_release_is_reached_or_another_is_offered() {
        let refused = told(Verb::Upgrade, Outcome::Refused, Some("new"));
        let check = told(Verb::Check, Outcome::Available, Some("new"));
        assert_eq!(after(&[refused.clone(), check.clone()]).state(), State::Decision);
        assert_eq!(
            after(&[refused.clone(), told(Verb::Check, Outcome::Available, Some("newer"))]).state(),
            State::Available
        );
        assert_eq!(after(&[refused.clone(), told(Verb::Upgrade, Outcome::Done, Some("new"))]).state(), State::Current);
        let attended = Happening { unattended: false, ..refused };
        assert_eq!(after(&[attended]).state(), State::Available, "who was asked knows");
        let blocked = Happening { blockers: vec!["a key".into()], ..check };
        assert_eq!(after(&[blocked]).state(), State::Decision);
    }

    #[test]
    fn a_failure_counts_while_that_release_is_offered_and_one_that_an_operator_left_does_not() {
        let failed = |by_operator| Failed { revision: "new".into(), run: "R".into(), time: 50, by_operator };
        let mut status = after(&[told(Verb::Check, Outcome::Available, Some("new"))]);
        status.failed = vec![failed(false)];
        assert_eq!(status.state(), State::Failed);
        status.failed = vec![failed(true)];
        assert_eq!(status.state(), State::Current);
        status.failed = vec![failed(false)];
        status.learn(&told(Verb::Check, Outcome::Available, Some("newer")));
        assert_eq!(status.state(), State::Available);
        (status.offer, status.runs.success) = (None, Some(60));
        assert_eq!(status.state(), State::Unknown, "something was done since");
        status.runs.success = Some(40);
        assert_eq!(status.state(), State::Failed);
    }

    #[test]
    fn a_summary_is_for_everybody_to_read_and_what_is_not_one_counts_as_none() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let paths = Paths::below(place.path());
        assert_eq!(published(&paths, "app").unwrap(), None);
        let status = Status { format: FORMAT, install: "app".into(), ..Status::default() };
        publish(&paths, &status).unwrap();
        publish(&paths, &status).unwrap();
        assert_eq!(published(&paths, "app").unwrap(), Some(status));
        assert_eq!(names(&paths), ["app"], "and nothing is left beside it");
        assert_eq!(std::fs::read_dir(paths.summaries()).unwrap().count(), 1);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&paths.summaries()), mode(&paths.summaries().join("app.json"))), (0o755, 0o644));
        for other in ["", "{}", "{\"format\": 99}", "not JSON"] {
            std::fs::write(paths.summaries().join("app.json"), other).unwrap();
            assert_eq!(published(&paths, "app").unwrap(), None, "{other}");
        }
    }
}

/// A status with everything in it, for the tests of what is made from one.
#[cfg(test)]
pub(super) mod tests_support {
    use super::*;
    use crate::plan::Intent;

    pub(in super::super) fn full() -> Status {
        let version = |text: &str| Some(text.to_owned());
        let last = LastRun {
            run: "01JAB3VXQ8ZJ4M7K2N5P6R9T0W".into(),
            intent: Intent::Upgrade,
            outcome: RunOutcome::RolledBack,
            began: 1_790_000_000,
            ended: 1_790_000_020,
            without_service: Some(3),
            phases: BTreeMap::from([("prepare".into(), 1_500), ("switch".into(), 700), ("undo".into(), 2_005)]),
        };
        let runs = BTreeMap::from([("done".to_owned(), 4), ("rolled-back".to_owned(), 1)]);
        let news = News {
            revision: "c0ffee".into(),
            versions: BTreeMap::from([("manager".into(), (version("1.0.0"), version("1.1.0")))]),
        };
        Status {
            format: FORMAT,
            install: "app".into(),
            written: 1_790_000_100,
            stale: Some(172_800),
            textfile: None,
            asked: Some(1_790_000_100),
            answered: Some(1_790_000_000),
            offer: Some(Offer { target: "v1.1.0".into(), news: Some(news) }),
            decision: None,
            versions: BTreeMap::from([("manager".into(), version("1.0.0")), ("runner".into(), None)]),
            held: None,
            open_run: None,
            running: None,
            failed: vec![Failed {
                revision: "c0ffee".into(),
                run: last.run.clone(),
                time: 1_790_000_020,
                by_operator: false,
            }],
            runs: Tally { runs, success: Some(1_780_000_000), last: Some(last), ..Tally::default() },
        }
    }
}
