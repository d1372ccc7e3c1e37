//! News as text: templates of the operator's where there are any, and they are right, else those that are built in.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use minijinja::Environment;
use serde_json::json;

use super::news::{News, Stage};
use crate::error::{Error, Result};
use crate::manifest::Topic;
use crate::text::{harmless, shortened};

/// The templates, and what each is built in as.
const BUILT_IN: [(&str, &str); 3] = [
    ("subject.txt", include_str!("../../templates/notify/subject.txt")),
    ("body.txt", include_str!("../../templates/notify/body.txt")),
    ("body.html", include_str!("../../templates/notify/body.html")),
];
/// What a template may do: one that loops ends.
const FUEL: u64 = 200_000;
/// The longest text of one value, and of a log line, in characters.
const LONGEST: usize = 500;
/// The longest that a template may be or come to, in bytes.
const SIZE: usize = 256 << 10;
/// The longest subject, in characters.
const SUBJECT: usize = 160;

/// News in words. Each line is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same in HTML.
    pub html: String,
    /// What is wrong with templates of the operator's that were not used.
    pub warnings: Vec<String>,
}

/// Renders news with the templates of `overrides`, where there are any.
pub fn render(news: &News, overrides: &Path) -> Rendered {
    let mut warnings = Vec::new();
    let mut texts = BUILT_IN.iter().map(|(name, built_in)| {
        let own =
            own(&overrides.join(name)).and_then(|source| source.map(|source| one(name, &source, news)).transpose());
        match own {
            Ok(Some(text)) => text,
            Ok(None) => one(name, built_in, news).unwrap_or_default(),
            Err(error) => {
                let path = overrides.join(name);
                warnings.push(format!("the template {} is not used: {}", path.display(), harmless(&error.to_string())));
                one(name, built_in, news).unwrap_or_default()
            }
        }
    });
    let (subject, text, html) = (texts.next(), texts.next(), texts.next());
    drop(texts);
    let subject = shortened(harmless(subject.unwrap_or_default().trim()).trim(), SUBJECT);
    Rendered { subject, text: text.unwrap_or_default(), html: html.unwrap_or_default(), warnings }
}

/// A template of the operator's: root's, and nobody else's to write.
fn own(path: &Path) -> Result<Option<String>> {
    let open = std::fs::File::options().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::failed("it cannot be read").because(error)),
    };
    let meta = file.metadata().map_err(|error| Error::failed("it cannot be read").because(error))?;
    let is_ours = [0, nix::unistd::geteuid().as_raw()].contains(&meta.uid()) && meta.mode() & 0o022 == 0;
    if !meta.is_file() || !is_ours {
        return Err(Error::refused("it is no file that root alone may write"));
    }
    let mut text = String::new();
    file.take(SIZE as u64).read_to_string(&mut text).map_err(|error| Error::failed("it is no text").because(error))?;
    Ok(Some(text))
}

fn one(name: &str, source: &str, news: &News) -> Result<String> {
    let wrong = |error: minijinja::Error| {
        let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        let cause = cause.or(error.detail().map(str::to_owned)).unwrap_or_else(|| "it cannot be carried out".into());
        Error::failed(format!("{}{line}", error.kind())).because(cause)
    };
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.add_template(name, source).map_err(wrong)?;
    let mut text = Bounded(Vec::new());
    let template = environment.get_template(name).map_err(wrong)?;
    template.render_captured_to(values(news), &mut text).map_err(wrong)?;
    let text = String::from_utf8_lossy(&text.0).into_owned();
    Ok(text.lines().map(|line| harmless(line).trim_end().to_owned() + "\n").collect())
}

/// Takes no more than [`SIZE`].
struct Bounded(Vec<u8>);

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > SIZE {
            return Err(std::io::Error::other("it comes to too much text"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn values(news: &News) -> minijinja::Value {
    let word = |text: &str| shortened(&harmless(text), LONGEST);
    let words = |list: &[String]| list.iter().map(|text| word(text)).collect::<Vec<_>>();
    let happening = news.happening.as_ref();
    let error = happening.and_then(|happening| happening.error.as_ref());
    let versions = happening.map(|happening| {
        let version = |version: &Option<String>| word(version.as_deref().unwrap_or("none"));
        let line = |(name, (from, to)): (&String, &(Option<String>, Option<String>))| match from == to {
            true => format!("{} {}", word(name), version(to)),
            false => format!("{} {} -> {}", word(name), version(from), version(to)),
        };
        happening.versions.iter().map(line).collect::<Vec<_>>()
    });
    minijinja::Value::from(minijinja::value::Serde(json!({
        "program": env!("CARGO_PKG_VERSION"),
        "topic": news.topic,
        "stage": news.stage,
        "host": word(&news.host),
        "install": word(&news.install),
        "headline": word(&news.headline),
        "state": word(&news.state),
        "next": words(&news.next),
        "others": news.others,
        "time": when(news.time),
        "since": when(news.since),
        "colour": colour(news),
        "verb": happening.map(|happening| happening.verb),
        "outcome": happening.map(|happening| happening.outcome),
        "run": happening.and_then(|happening| happening.run.as_deref()).map(word),
        "target": happening.and_then(|happening| happening.target.as_deref()).map(word),
        "versions": versions.unwrap_or_default(),
        "warnings": happening.map(|happening| words(&happening.warnings)).unwrap_or_default(),
        "what": error.map(|told| word(&told.what)),
        "causes": error.map(|told| words(&told.causes)).unwrap_or_default(),
        "detail": error.map(|told| words(&told.detail)).unwrap_or_default(),
    })))
}

fn colour(news: &News) -> &'static str {
    match (news.stage, news.topic) {
        (Stage::Resolved, _) | (_, Topic::Success | Topic::Recovered) => "#1a7f37",
        (_, Topic::Failure | Topic::Stale) => "#b3261e",
        _ => "#8a5a00",
    }
}

/// A time in the host's own time zone, with the zone.
fn when(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(crate::host::clock::zone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
}
