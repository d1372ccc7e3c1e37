//! The text of a manifest with the places of its keys and values.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Fault, Problem};
use super::raw;

/// The way to a key: `component[0].step[1].timeout`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Name(String),
    Index(usize),
}

impl Key {
    /// The key called `name` below this one.
    pub fn name(&self, name: &str) -> Key {
        self.with(Part::Name(name.to_owned()))
    }

    /// The element of this array, from 0.
    pub fn index(&self, index: usize) -> Key {
        self.with(Part::Index(index))
    }

    fn with(&self, part: Part) -> Key {
        Key(self.0.iter().cloned().chain([part]).collect())
    }

    /// The names alone: `component.step.timeout`.
    pub fn shape(&self) -> String {
        let names = self.0.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Index(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        for (at, part) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            match part {
                Part::Index(index) => write!(f, "[{index}]")?,
                Part::Name(name) if !name.is_empty() && name.chars().all(bare) => write!(f, "{dot}{name}")?,
                Part::Name(name) => write!(f, "{dot}{name:?}")?,
            }
        }
        Ok(())
    }
}

/// A parsed text.
#[derive(Debug)]
pub(super) struct Document<'a> {
    /// The text.
    pub text: &'a str,
    /// Its tables, values and their places.
    pub tree: Spanned<DeTable<'a>>,
    /// What is not TOML, in order.
    pub syntax: Vec<Problem>,
}

impl<'a> Document<'a> {
    /// Parses; the tree holds what could be read where there are syntax errors.
    pub fn parse(text: &'a str) -> Document<'a> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        let syntax = errors.iter().map(|error| {
            let fault = Fault::new(format!("not TOML: {}", error.message()));
            Problem::at(String::new(), error.span().unwrap_or(0..0), text, fault)
        });
        Document { text, syntax: syntax.collect(), tree }
    }

    /// The manifest that it is. By way of plain values: reading these structs from values that know their places takes twice the
    /// code, and the places of what is wrong are told by the schema.
    pub fn read(&self) -> Result<raw::Manifest, toml::de::Error> {
        let table = toml::Table::deserialize(toml::Deserializer::from(self.tree.clone()))?;
        raw::Manifest::deserialize(table)
    }

    /// A fault of the value at `key`, or of the nearest table above where the value is not there.
    pub fn problem(&self, key: &Key, fault: Fault) -> Problem {
        Problem::at(key.to_string(), self.place(key), self.text, fault)
    }

    fn place(&self, key: &Key) -> Range<usize> {
        let mut found = 0..0;
        let mut table = Some(self.tree.get_ref());
        let mut value: Option<&Spanned<DeValue<'_>>> = None;
        for part in &key.0 {
            let next = match part {
                Part::Name(name) => {
                    let entry = table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == name.as_str()));
                    entry.map(|(key, value)| (place_of(key.span(), value), value))
                }
                Part::Index(index) => {
                    let array = value.and_then(|value| value.get_ref().as_array());
                    array.and_then(|array| array.get(*index)).map(|value| (place_of(value.span(), value), value))
                }
            };
            let Some((place, next)) = next else { break };
            (found, value, table) = (place, Some(next), next.get_ref().as_table());
        }
        found
    }

    /// The text with what may be secret replaced by `*`, byte for byte: literal header values, passwords in URLs.
    /// Where the text is not TOML, whole lines that may hold one are masked.
    pub fn shown(&self) -> String {
        let mut bytes = self.text.as_bytes().to_vec();
        let mut mask = |range: Range<usize>| bytes[range].iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b'*');
        mask_table(self.tree.get_ref(), false, &mut mask);
        for range in url_passwords(self.text) {
            mask(range);
        }
        if !self.syntax.is_empty() {
            suspicious_lines(self.text).for_each(mask);
        }
        // Whole characters were replaced by as many `*` as they have bytes, so this is still UTF-8.
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// The place of a table is its key or header, so that a whole table is never underlined.
fn place_of(key: Range<usize>, value: &Spanned<DeValue<'_>>) -> Range<usize> {
    let inline = value.get_ref().is_table() || value.get_ref().is_array();
    if inline && !value.span().is_empty() && value.span().start != key.start { key } else { value.span() }
}

fn mask_table(table: &DeTable<'_>, secret: bool, mask: &mut impl FnMut(Range<usize>)) {
    for (key, value) in table.iter() {
        mask_value(value, secret || may_name_a_secret(key.get_ref()), mask);
    }
}

fn mask_value(value: &Spanned<DeValue<'_>>, secret: bool, mask: &mut impl FnMut(Range<usize>)) {
    match value.get_ref() {
        DeValue::Table(table) => mask_table(table, secret, mask),
        DeValue::Array(array) => array.iter().for_each(|value| mask_value(value, secret, mask)),
        DeValue::String(text) if secret && !text.contains("${") => mask(value.span()),
        _ => {}
    }
}

/// The places of `PASSWORD` in `scheme://user:PASSWORD@host`.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let authority = |at: usize| {
        let start = at + 3;
        let rest = &text[start..];
        let end = rest.find(|c: char| c == '/' || c == '"' || c == '\'' || c.is_whitespace()).unwrap_or(rest.len());
        let sign = rest[..end].rfind('@')?;
        let colon = rest[..sign].find(':')?;
        let password = start + colon + 1..start + sign;
        (!text[password.clone()].starts_with("${")).then_some(password)
    };
    text.match_indices("://").filter_map(|(at, _)| authority(at)).collect()
}

/// Also where the key is misspelt: a mistake is no reason to show what it holds.
fn may_name_a_secret(key: &str) -> bool {
    const WORDS: [&str; 9] = ["webhook", "head", "token", "secret", "passw", "auth", "api-key", "api_key", "cookie"];
    let key = key.to_lowercase();
    WORDS.iter().any(|word| key.contains(word))
}

fn suspicious_lines(text: &str) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    text.split_inclusive('\n').filter_map(move |line| {
        let range = start..start + line.len();
        start = range.end;
        let value = line.find('=').map(|at| range.start + at + 1..range.end);
        value.filter(|_| may_name_a_secret(line))
    })
}
