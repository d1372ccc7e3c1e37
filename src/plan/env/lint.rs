//! Where the readers of a file disagree: by line and key, and how each reads it, never a value.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::lexer::File;
use super::readers::{Reader, Reading};
use super::warnings;
use crate::manifest::Dialect;
use crate::text::harmless;

/// What is known about one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// Lines that its readers take in different ways, in order.
    pub disagreements: Vec<Disagreement>,
    /// Traps that are no disagreement about a key, with their lines.
    pub warnings: Vec<String>,
}

/// A line that readers take in different ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disagreement {
    /// The line, from 1.
    pub line: usize,
    /// The key; `None`: a reader refuses the file because of this line.
    pub key: Option<String>,
    /// How each reader takes it: the file's own first, where it has one.
    pub readers: Vec<(&'static str, How)>,
}

/// How a reader takes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It has a value: that of the file's own reader.
    Set,
    /// It is set to nothing.
    Empty,
    /// It is not set.
    NotSet,
    /// It has a value, and another one than for the file's own reader.
    Different,
    /// Its value ends before a `#` that the file's own reader takes for a part of it.
    EndsAtHash,
    /// Its value goes on over a `#` where that of the file's own reader ends.
    GoesOnPastHash,
    /// The reader takes the value from its own environment.
    FromElsewhere,
    /// The reader refuses the whole file.
    Refuses,
    /// The reader takes the line, or its file was refused for another one.
    Takes,
}

impl How {
    /// The words for a person.
    pub fn words(self) -> &'static str {
        match self {
            How::Set => "set",
            How::Empty => "empty",
            How::NotSet => "not set",
            How::Different => "a different value",
            How::EndsAtHash => "ends at #",
            How::GoesOnPastHash => "goes on past #",
            How::FromElsewhere => "taken from its own environment",
            How::Refuses => "refuses the file",
            How::Takes => "reads on",
        }
    }
}

/// Compares how the readers take a file. `dialect` says which of them is the file's own.
pub fn lint(bytes: &[u8], dialect: Dialect) -> Lint {
    let own = Reader::of(dialect)[0];
    let others = Reader::ALL.into_iter().filter(|reader| *reader != own);
    let readings: Vec<(Reader, Reading)> =
        std::iter::once(own).chain(others).map(|reader| (reader, reader.read(bytes))).collect();
    let mut disagreements = refusals(&readings);
    disagreements.extend(keys(bytes, &readings));
    disagreements.sort_by(|a, b| (a.line, a.key.is_some(), &a.key).cmp(&(b.line, b.key.is_some(), &b.key)));
    Lint { disagreements, warnings: warnings::of(&File::lex(bytes)) }
}

/// The lines for which a reader refuses the file.
fn refusals(readings: &[(Reader, Reading)]) -> Vec<Disagreement> {
    let lines: BTreeSet<usize> = readings.iter().filter_map(|(_, reading)| reading.refused).collect();
    let of_line = |line: usize| {
        let how = |reading: &Reading| if reading.refused == Some(line) { How::Refuses } else { How::Takes };
        Disagreement {
            line,
            key: None,
            readers: readings.iter().map(|(reader, reading)| (reader.name(), how(reading))).collect(),
        }
    };
    lines.into_iter().map(of_line).collect()
}

/// The keys that readers which accept the file take in different ways.
fn keys(bytes: &[u8], readings: &[(Reader, Reading)]) -> Vec<Disagreement> {
    let accepting: Vec<&(Reader, Reading)> = readings.iter().filter(|(_, reading)| reading.refused.is_none()).collect();
    let Some((_, reference)) = accepting.first() else { return Vec::new() };
    let known: BTreeMap<&String, usize> = accepting
        .iter()
        .flat_map(|(_, reading)| reading.values.iter().map(|(key, got)| (key, got.line)))
        .fold(BTreeMap::new(), |mut known, (key, line)| {
            known.entry(key).and_modify(|first: &mut usize| *first = line.min(*first)).or_insert(line);
            known
        });
    let mut found = Vec::new();
    for (key, line) in known {
        let how = |reading: &Reading| how(reference, reading, key);
        let readers: Vec<(&str, How)> =
            accepting.iter().map(|(reader, reading)| (reader.name(), how(reading))).collect();
        if readers.iter().any(|(_, how)| *how != readers[0].1) {
            found.push(Disagreement { line, key: Some(shown(bytes, key)), readers });
        }
    }
    found
}

/// A key as it may be shown: only one that the lexer takes for one too, since what else a reader takes for a key may be a piece
/// of a secret.
fn shown(bytes: &[u8], key: &str) -> String {
    let file = File::lex(bytes);
    let is_known = file.assignments().any(|(_, assignment)| file.key(&assignment.key) == key);
    if is_known { harmless(key) } else { "<line>".to_owned() }
}

fn how(reference: &Reading, reading: &Reading, key: &str) -> How {
    let Some(got) = reading.values.get(key) else { return How::NotSet };
    let Some(value) = &got.value else { return How::FromElsewhere };
    let own = reference.values.get(key).and_then(|got| got.value.as_ref());
    match own {
        _ if value.is_empty() => How::Empty,
        None => How::Set,
        Some(own) if own == value => How::Set,
        Some(own) if goes_on(value, own) => How::EndsAtHash,
        Some(own) if goes_on(own, value) => How::GoesOnPastHash,
        Some(_) => How::Different,
    }
}

/// Whether `long` is `short` and a comment.
fn goes_on(short: &str, long: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.trim_start().starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, dialect: Dialect) -> Vec<String> {
        let words = |found: &Disagreement| {
            let readers: Vec<String> =
                found.readers.iter().map(|(reader, how)| format!("{reader} {}", how.words())).collect();
            format!("{} {}: {}", found.line, found.key.as_deref().unwrap_or("-"), readers.join(", "))
        };
        lint(text.as_bytes(), dialect).disagreements.iter().map(words).collect()
    }

    #[test]
    fn a_file_that_all_read_alike_has_no_disagreement() {
        for text in ["", "A=1\nB='x y'\nC=\"z\"\n# c\n\nD=\n", "PASSWORD='$2b$12$x'\n"] {
            assert_eq!(told(text, Dialect::Dotenv), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn each_disagreement_is_told_by_line_and_reader() {
        assert_eq!(
            told("A=1\nB=s3cret #c\nexport C=2\n", Dialect::Systemd),
            [
                "2 B: systemd set, dotenvy ends at #, python-dotenv ends at #, docker-compose ends at #",
                "3 C: systemd not set, dotenvy set, python-dotenv set, docker-compose set",
            ]
        );
        assert_eq!(
            told("A=s3cret x\n", Dialect::Dotenv),
            ["1 -: dotenvy refuses the file, systemd reads on, python-dotenv reads on, docker-compose reads on"]
        );
        assert_eq!(
            told("A=s3cret\nA=other\n", Dialect::Dotenv),
            [
                "1 A: dotenvy set, systemd a different value, python-dotenv a different value, docker-compose a different value"
            ]
        );
        assert_eq!(
            told("A=\"s3cret\\n\"\n", Dialect::Dotenv),
            ["1 A: dotenvy set, systemd a different value, python-dotenv set, docker-compose set"]
        );
        assert_eq!(
            told("A= # none\n", Dialect::Dotenv),
            ["1 A: dotenvy empty, systemd goes on past #, python-dotenv goes on past #, docker-compose goes on past #"]
        );
        assert_eq!(
            told("\u{feff}A=1\nB\n", Dialect::Compose),
            [
                "1 <line>: docker-compose not set, systemd not set, python-dotenv set",
                "1 A: docker-compose set, systemd not set, python-dotenv not set",
                "2 -: docker-compose reads on, systemd reads on, dotenvy refuses the file, python-dotenv reads on",
                "2 <line>: docker-compose taken from its own environment, systemd not set, python-dotenv taken from its own environment",
            ]
        );
    }

    #[test]
    fn no_value_is_told() {
        let secret = b"A='s3cr3t'\nB=s3cr3t # s3cr3t\nC=\"s3cr3t\ns3cr3t\"\ns3cr3t s3cr3t\n#s3cr3t\nD=s3cr3t\\\n";
        for file in super::super::readers::tests::files::all(3000) {
            for text in [[secret, file.as_slice()].concat(), [file.as_slice(), secret].concat()] {
                let found = lint(&text, Dialect::Systemd);
                let shown = serde_json::to_string(&found).expect("JSON");
                // A key that the file makes of it is what an operator would call a key too.
                let is_key = File::lex(&text)
                    .assignments()
                    .any(|(_, found)| String::from_utf8_lossy(&text[found.key.clone()]).contains("s3cr3t"));
                assert!(is_key || !shown.contains("s3cr3t"), "{shown}\n{}", text.escape_ascii());
            }
        }
    }
}
