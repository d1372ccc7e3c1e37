//! `${KEY}` and `{version}` in the strings of health checks.

use std::collections::BTreeMap;

use super::Template;
use super::problem::{Fault, Looked};
use crate::error::{Error, Result};

/// What stands for the version that was installed.
const VERSION: &str = "{version}";

/// A piece of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Key(&'a str),
    Version,
}

impl Template {
    /// The names of the `.env` values that it needs, in order, each once.
    pub fn keys(&self) -> Vec<&str> {
        let mut keys = Vec::new();
        for piece in pieces(&self.0) {
            match piece {
                Piece::Key(key) if !keys.contains(&key) => keys.push(key),
                _ => {}
            }
        }
        keys
    }

    /// Whether it holds `{version}`.
    pub fn names_version(&self) -> bool {
        pieces(&self.0).contains(&Piece::Version)
    }

    /// The text with `values` of the `.env` and the version put in. The result may hold secrets: it must never be
    /// printed. A key that `values` lacks, and `{version}` without one, are errors that name the key and the template.
    pub fn fill(&self, values: &BTreeMap<String, String>, version: Option<&str>) -> Result<String> {
        let mut filled = String::with_capacity(self.0.len());
        for piece in pieces(&self.0) {
            filled.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Key(key) => values.get(key).ok_or_else(|| self.lacks(key))?,
                Piece::Version => version.ok_or_else(|| {
                    Error::failed(format!("`{VERSION}` in `{}` cannot be filled in", self.0))
                        .because("the version of the component is not known")
                        .hint("declare where it is written: version = { file = \"VERSION\" } in the component")
                })?,
            });
        }
        Ok(filled)
    }

    fn lacks(&self, key: &str) -> Error {
        Error::failed(format!("`${{{key}}}` in `{}` cannot be filled in", self.0))
            .because(format!("no .env of the component sets {key}"))
            .hint(format!("add {key}= to the .env, or correct the name in the manifest"))
    }
}

/// Parses a template; text that only looks like a placeholder is a fault.
pub(super) fn parse(text: &str) -> Looked<Template> {
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let Some(key) = rest.find('}').map(|end| &rest[..end]) else {
            return Err(Fault::new("`${` is not closed").help("write ${KEY}, where KEY is a name of the .env"));
        };
        if !is_key(key) {
            return Err(Fault::new(format!("`${{{key}}}` does not name a key of a .env"))
                .help("write ${KEY}: letters, digits, `_` and `.`, not beginning with a digit; no defaults"));
        }
    }
    for piece in pieces(text) {
        if let Piece::Text(text) = piece
            && let Some(word) = braced_words(text).find(|word| looks_like_version(word))
        {
            return Err(Fault::new(format!("`{{{word}}}` is not known")).help(format!("did you mean `{VERSION}`?")));
        }
    }
    Ok(Template(text.to_owned()))
}

/// The text with every placeholder replaced by `stand_in`, for checks of its form.
pub(super) fn stripped(text: &str, stand_in: &str) -> String {
    let pieces = pieces(text).into_iter().map(|piece| match piece {
        Piece::Text(text) => text,
        _ => stand_in,
    });
    pieces.collect()
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((at, length, piece)) = next_placeholder(rest) {
        found.extend((at > 0).then_some(Piece::Text(&rest[..at])));
        found.push(piece);
        rest = &rest[at + length..];
    }
    found.extend((!rest.is_empty()).then_some(Piece::Text(rest)));
    found
}

fn next_placeholder(text: &str) -> Option<(usize, usize, Piece<'_>)> {
    let keys = text.match_indices("${").find_map(|(at, _)| {
        let inner = &text[at + 2..];
        let key = &inner[..inner.find('}')?];
        is_key(key).then_some((at, key.len() + 3, Piece::Key(key)))
    });
    let version = text.find(VERSION).map(|at| (at, VERSION.len(), Piece::Version));
    [keys, version].into_iter().flatten().min_by_key(|(at, ..)| *at)
}

/// The names that dotenv libraries accept.
fn is_key(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(inner)
}

fn braced_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(word, _)| word))
}

fn looks_like_version(word: &str) -> bool {
    let word = word.trim().to_lowercase();
    crate::diff::nearest(&word, &["version"], 0.7).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> BTreeMap<String, String> {
        [("PORT", "8081"), ("A.B", "x}{version}y"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn values_are_put_in_and_never_read_again() {
        let template = Template("http://h:${PORT}/${A.B}/{version}${EMPTY}".into());
        assert_eq!(template.keys(), ["PORT", "A.B"].into_iter().chain(["EMPTY"]).collect::<Vec<_>>());
        assert_eq!(template.fill(&values(), Some("1.2.3")).unwrap(), "http://h:8081/x}{version}y/1.2.3");
    }

    #[test]
    fn a_missing_key_is_named_and_no_value_is() {
        let error = Template("${PORT}/${NOPE}".into()).fill(&values(), None).unwrap_err();
        let text = format!("{error:?}");
        assert!(text.contains("NOPE") && text.contains("${PORT}/${NOPE}"), "{text}");
        assert!(!text.contains("8081"), "{text}");
    }

    #[test]
    fn a_version_that_is_not_known_is_never_left_out() {
        assert!(Template("v{version}".into()).fill(&values(), None).is_err());
        assert!(Template("v{version}".into()).names_version());
    }

    #[test]
    fn what_only_looks_like_a_placeholder_is_refused() {
        for text in ["${", "${}", "${1A}", "${A:-b}", "${A B}", "x{Version}", "{verson}"] {
            assert!(parse(text).is_err(), "{text}");
        }
        for text in ["$A", "{}", "{\"a\": 1}", "$ {A}", "{ok}", "${A}{version}"] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }
}
