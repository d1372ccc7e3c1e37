//! What people are told: a happening, or what the watch found, as a value that is kept until it is delivered.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::fs::hex;
use crate::manifest::Topic;
use crate::unattended::{Happening, Outcome, Verb};

/// The format that this version writes.
pub const FORMAT: u32 = 1;

/// Something to be told. Nothing in it is a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The version of this format.
    pub format: u32,
    /// A ULID: the same however often it is sent.
    pub id: String,
    /// This host.
    pub host: String,
    /// The install.
    pub install: String,
    /// What it is told under.
    pub topic: Topic,
    /// Where it stands.
    pub stage: Stage,
    /// What it belongs to: messages of one thread are one matter.
    pub thread: String,
    /// When it came up, seconds since the epoch.
    pub time: i64,
    /// Since when it goes on.
    pub since: i64,
    /// The matter in a few words.
    pub headline: String,
    /// What state things are in.
    pub state: String,
    /// What happened; `None`: the watch found it.
    pub happening: Option<Happening>,
    /// What to do next: exact commands where there are any.
    pub next: Vec<String>,
    /// How many others this one stands for, because they could not be delivered.
    #[serde(default)]
    pub others: u64,
}

/// Where a matter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// It began, or changed.
    New,
    /// It goes on.
    Reminder,
    /// It is over.
    Resolved,
    /// It is a test.
    Test,
}

/// A matter that goes on until it is settled: what is remembered of it is how it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matter {
    /// What checks find.
    Check,
    /// What upgrades come to.
    Upgrade,
    /// What comes of packages that changed.
    Packages,
    /// No check.
    Checks,
    /// A run that died.
    Run,
    /// A hold that is over.
    Hold,
}

/// What a happening means for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meaning {
    /// What it is told under; `None`: there is nothing to tell.
    pub topic: Option<Topic>,
    /// The matter that goes on; `None`: it is told once and is over.
    pub matter: Option<Matter>,
    /// The matters that are settled by it.
    pub settles: Vec<Matter>,
}

/// What a happening means. What somebody sees on a terminal of his own is told to others where the host changed or needs
/// somebody.
pub fn meaning(happening: &Happening) -> Meaning {
    use Matter::{Check, Checks, Packages, Run, Upgrade};
    let (topic, matter, settles) = match (happening.verb, happening.outcome) {
        (Verb::Check, Outcome::Current) => (None, None, vec![Check, Checks]),
        (Verb::Check, Outcome::Available) => (Some(Topic::New), Some(Check), vec![Checks]),
        (Verb::Check, Outcome::Deferred) => (None, None, vec![]),
        (Verb::Check, _) => (Some(Topic::Failure), Some(Check), vec![Checks]),
        (Verb::Reconfigure, Outcome::Current) => (None, None, vec![Packages]),
        (Verb::Reconfigure, Outcome::Done) => (Some(Topic::Success), None, vec![Packages, Run]),
        (Verb::Reconfigure, Outcome::Deferred) => (Some(Topic::Deferred), Some(Packages), vec![]),
        (Verb::Reconfigure, Outcome::Refused) => (Some(Topic::Decision), Some(Packages), vec![]),
        (Verb::Reconfigure, _) => (Some(Topic::Failure), Some(Packages), vec![]),
        (Verb::Upgrade, Outcome::Current) => (None, None, vec![Upgrade, Check, Checks, Run]),
        (Verb::Upgrade | Verb::Rollback, Outcome::Done) => {
            (Some(Topic::Success), None, vec![Upgrade, Check, Checks, Packages, Run])
        }
        (_, Outcome::Deferred) => (Some(Topic::Deferred), Some(Upgrade), vec![Checks]),
        (Verb::Recover, Outcome::Done | Outcome::PutBack) => (Some(Topic::Recovered), None, vec![Run, Upgrade]),
        (Verb::Recover, Outcome::Current) => (None, None, vec![]),
        (_, Outcome::Refused) => (Some(Topic::Decision), Some(Upgrade), vec![Checks]),
        (_, Outcome::Skipped) => (Some(Topic::Failure), Some(Upgrade), vec![Checks]),
        (Verb::Upgrade | Verb::Rollback | Verb::Recover, _) => (Some(Topic::Failure), Some(Upgrade), vec![Checks]),
    };
    let changed = matches!(happening.outcome, Outcome::Done | Outcome::PutBack | Outcome::NeedsOperator);
    let topic = topic.filter(|_| happening.unattended || changed);
    Meaning { matter: matter.filter(|_| topic.is_some()), topic, settles }
}

/// What makes a matter another one. Figures in its words are none: they change every time.
pub fn digest(happening: &Happening) -> String {
    let mut words = format!("{:?}\n{:?}\n", happening.outcome, happening.revision);
    for text in happening.error.iter().flat_map(|told| std::iter::once(&told.what).chain(&told.causes)) {
        words.extend(without_figures(text));
        words.push('\n');
    }
    hex(&Sha256::digest(words.as_bytes()))[..32].to_owned()
}

/// Without digits, and without words that hold one: run ids and times.
fn without_figures(text: &str) -> Vec<char> {
    let plain = text.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    plain.flat_map(|word| word.chars().chain([' '])).collect()
}

/// The versions as one change, where all components go the same way.
pub fn change(happening: &Happening) -> Option<String> {
    let mut changes = happening.versions.values().map(|(from, to)| {
        let word = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".into());
        if from == to { word(to) } else { format!("{} -> {}", word(from), word(to)) }
    });
    let first = changes.next()?;
    match changes.all(|other| other == first) && first != "?" {
        true => Some(first),
        false => happening.target.clone(),
    }
}

/// A happening in a few words.
pub fn headline(happening: &Happening) -> String {
    let name = &happening.install;
    let subject = match change(happening).or(happening.target.clone()) {
        Some(change) => format!("{name} {change}"),
        None => name.clone(),
    };
    let verb = happening.verb.word();
    match (happening.verb, happening.outcome) {
        (Verb::Check, Outcome::Available) => format!("{subject} is available"),
        (Verb::Check, Outcome::Current) => format!("{name} is up to date"),
        (Verb::Check, _) => format!("{name} could not be checked"),
        (Verb::Recover, Outcome::Done) => format!("{name}: a run that died was finished"),
        (Verb::Recover, Outcome::PutBack) => format!("{name}: a run that died was undone"),
        (Verb::Recover, _) => format!("{name}: a run that died needs an operator"),
        (_, Outcome::Current | Outcome::Available) => format!("{name} is up to date"),
        (Verb::Rollback, Outcome::Done) => format!("{subject} rolled back"),
        (Verb::Reconfigure, Outcome::Done) => format!("{name} runs with packages that changed"),
        (Verb::Reconfigure, Outcome::NeedsOperator) => format!("{name} does not run with packages that changed"),
        (_, Outcome::Done) => format!("{subject} done"),
        (_, Outcome::Skipped) => format!("{subject} skipped, it failed here before"),
        (_, Outcome::Deferred) => format!("{subject} deferred"),
        (_, Outcome::Refused) => format!("{subject} waits for a decision"),
        (_, Outcome::Failed) => format!("{subject} {verb} failed, nothing changed"),
        (_, Outcome::PutBack) => format!("{subject} failed, put back"),
        (_, Outcome::NeedsOperator) => format!("{subject} failed, an operator is needed"),
    }
}

/// What state the host is in after it.
pub fn state(happening: &Happening) -> &'static str {
    match happening.outcome {
        Outcome::Done => "the new state is proven and committed",
        Outcome::PutBack if happening.verb == Verb::Recover => "everything is as it was before that run",
        Outcome::PutBack => "everything was put back as it was, and checked",
        Outcome::NeedsOperator => "not everything could be put back: an operator has to look",
        _ => "nothing was changed",
    }
}

/// What to do next.
pub fn next(happening: &Happening) -> Vec<String> {
    let name = &happening.install;
    let mut next = happening.error.as_ref().map(|told| told.hints.clone()).unwrap_or_default();
    let mut add = |command: String| {
        // A hint may name it already, with a word beside it.
        if !next.iter().any(|line| line.contains(&command)) {
            next.push(command);
        }
    };
    match happening.outcome {
        Outcome::Available => {
            add(format!("relift plan {name}"));
            add(format!("relift upgrade {name}"));
        }
        Outcome::Refused => add(format!("relift plan {name}")),
        Outcome::NeedsOperator => add(format!("relift status {name}")),
        _ => {}
    }
    if let Some(run) = happening.run.as_ref().filter(|_| happening.outcome != Outcome::Done) {
        add(format!("relift show {run}"));
        if happening.error.is_some() {
            add(format!("relift logs {run}"));
        }
    }
    next
}

/// The first command of ours among what to do next, for where there is room for one.
pub fn command(news: &News) -> String {
    let ours = news.next.iter().find(|line| line.starts_with("relift "));
    let plain = |line: &String| line.split("   ").next().unwrap_or_default().to_owned();
    ours.map_or_else(|| format!("relift status {}", news.install), plain)
}
