//! `.env` files: a lossless lexer, a three-way comparison, a merge that keeps every byte of the operator's.

mod classify;
mod decision;
mod dotenv;
mod lexer;
pub mod lint;
mod merge;
mod placeholder;
mod reach;
pub mod readers;
mod redacted;
pub mod robust;
mod shape;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::manifest::Dialect;
use classify::{Keys, Sides};
use lexer::File;

pub use decision::{Decided, Decision};
pub use reach::names;
pub use redacted::{redacted_diff, secrets};
pub use shape::Shape;

/// How a key differs between upstream's two examples and the operator's file. Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Upstream added it and the operator does not have it.
    Added {
        /// Its default asks to be replaced.
        placeholder: bool,
    },
    /// Upstream dropped it; the operator still has it.
    RemovedUpstream,
    /// Upstream's default changed.
    DefaultChanged {
        /// The operator's value is upstream's old default.
        mine_was_default: bool,
    },
    /// Upstream dropped it and added `to`, which looks like the same thing.
    MaybeRenamed {
        /// The new key.
        to: String,
    },
    /// Only the operator has it.
    OnlyMine,
    /// Upstream documents it in the new example, commented out, and did not before. It is told and not added.
    NewOptional,
}

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// The key.
    pub key: String,
    /// How it differs.
    pub class: Class,
    /// Upstream's comment above the key in the new example, without `# `.
    pub comment: Vec<String>,
    /// Upstream's new default asks to be replaced.
    #[serde(default)]
    pub asks: bool,
    /// What the operator decided; `None`: nothing had to be decided, or nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided: Option<Decided>,
    /// What may be told of the operator's value; `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<Shape>,
    /// What may be told of upstream's new default; `None`: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<Shape>,
}

impl KeyChange {
    /// Whether a person at a terminal is asked about it.
    pub fn is_question(&self) -> bool {
        match self.class {
            Class::Added { placeholder } => placeholder,
            Class::DefaultChanged { mine_was_default } => mine_was_default,
            Class::MaybeRenamed { .. } => true,
            Class::RemovedUpstream | Class::OnlyMine | Class::NewOptional => false,
        }
    }
}

/// What is compared.
#[derive(Clone, Copy)]
pub struct ThreeWay<'a> {
    /// Upstream's example at the activated revision.
    pub base: Option<&'a [u8]>,
    /// Upstream's example at the target.
    pub theirs: Option<&'a [u8]>,
    /// The operator's file.
    pub mine: &'a [u8],
    /// Who reads the file.
    pub dialect: Dialect,
    /// Keys whose values may be shown.
    pub public: &'a [String],
    /// What the operator decided, by key.
    pub decisions: &'a BTreeMap<String, Decision>,
}

/// The result of comparing three files: what differs, and the merged bytes.
#[derive(Clone)]
pub struct Comparison {
    /// In upstream's order, then the operator's.
    pub changes: Vec<KeyChange>,
    /// The operator's file with upstream's new keys; equal to `mine` when there is nothing to add.
    pub merged: Vec<u8>,
    /// Keys that still have upstream's old default, where upstream now asks for a value of one's own.
    pub stale: Vec<String>,
    /// What the operator should know: duplicate keys, CRLF, not UTF-8, with line numbers, never a value.
    pub warnings: Vec<String>,
}

/// Shows no byte of the file.
impl std::fmt::Debug for Comparison {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Comparison")
            .field("changes", &self.changes)
            .field("merged", &format_args!("<{} bytes>", self.merged.len()))
            .field("warnings", &self.warnings)
            .finish()
    }
}

/// Compares the three files, and merges them as was decided.
///
/// Without `base` (no example recorded) only added keys are told; without `theirs` nothing is compared. A key that the operator has
/// commented out is there. A key that the operator took out stays out, unless its default now asks to be replaced. Where nothing
/// was decided, new keys come in with upstream's defaults and no line of the operator's changes.
///
/// # Errors
/// [`crate::error::Kind::Failed`]: a quote of `mine` or `theirs` is never closed, with its line. `Refused`: a default that would
/// reach into the operator's lines. `Usage`: an answer that not all readers of such files would read alike. None shows a value.
pub fn three_way(sides: &ThreeWay) -> Result<Comparison> {
    let ThreeWay { base, mine, decisions, .. } = *sides;
    let mine_file = File::lex(mine);
    let mut warnings = warnings::of(&mine_file);
    let Some(theirs) = sides.theirs else {
        warnings.extend(base.map(|_| "the new release has no example file: nothing was compared".to_owned()));
        return Ok(Comparison { changes: Vec::new(), merged: mine.to_vec(), stale: Vec::new(), warnings });
    };
    let theirs = File::lex(theirs);
    refuse_open_quotes(&mine_file, &theirs)?;
    let base = base.map(File::lex);
    let base_keys = base.as_ref().and_then(|base| match base.unterminated() {
        None => Some(Keys::of(base, sides.dialect)),
        Some(entry) => {
            let line = entry.line;
            warnings.push(format!("upstream's old example has an open quote in line {line}: only added keys are told"));
            None
        }
    });
    let keys = [&theirs, &mine_file].map(|file| Keys::of(file, sides.dialect));
    let comments = classify::comments(&theirs);
    let compared =
        Sides { base: base_keys.as_ref(), theirs: &keys[0], mine: &keys[1], comments: &comments, public: sides.public };
    let mut changes = compared.changes();
    warnings.extend(compared.warnings());
    let asked: BTreeSet<&str> = changes.iter().flat_map(decision::subjects).collect();
    let unused = decisions.keys().filter(|key| !asked.contains(key.as_str()));
    let unused = unused.map(|key| format!("{}: answered, but no new key: left as it is", crate::text::harmless(key)));
    warnings.extend(unused.collect::<Vec<_>>());
    let stale = compared.stale().into_iter().filter(|key| !decisions.contains_key(key)).collect();
    for change in &mut changes {
        change.decided = decision::decided(change, decisions);
    }
    let merged = merge::merged(&theirs, &mine_file, &changes, decisions, sides.dialect)?;
    warnings.extend(reach::check(mine, &merged, sides.dialect, decisions)?);
    Ok(Comparison { changes, merged, stale, warnings })
}

/// The added keys whose default asks to be replaced and for which nothing was decided, in upstream's order: those that must not be
/// added without an answer.
pub fn placeholders(changes: &[KeyChange]) -> Vec<&str> {
    let open = changes.iter().filter(|change| change.decided.is_none());
    open.filter(|change| change.class == Class::Added { placeholder: true }).map(|change| change.key.as_str()).collect()
}

/// Whether a value can be written for a key so that all readers read it alike.
///
/// # Errors
/// `Usage`, with the reason and without the value.
pub fn can_be_written(key: &str, value: &str) -> Result<()> {
    merge::written(key, value).map(drop)
}

/// The values of a file as its reader sees them, the last assignment of a key winning. `${KEY}` of an earlier key is replaced where
/// the reader does so; the process environment has no part in it. Used for `${KEY}` in probes; values must never be printed.
pub fn values(file: &[u8], dialect: Dialect) -> BTreeMap<String, String> {
    let reader = match dialect {
        Dialect::Systemd => readers::Reader::Systemd,
        Dialect::Compose => readers::Reader::Compose,
        Dialect::Dotenv => return dotenv::values(&File::lex(file)),
    };
    // What the reader leaves out, the program may read by itself.
    let mut values = dotenv::values(&File::lex(file));
    values.extend(reader.read(file).set());
    values
}

fn refuse_open_quotes(mine: &File, theirs: &File) -> Result<()> {
    refuse_open_quote(mine, "the file", "close it, then run the command again")?;
    let remedy = "report it upstream, or upgrade to another release with --to";
    refuse_open_quote(theirs, "upstream's new example", remedy)
}

fn refuse_open_quote(file: &File, whose: &str, remedy: &str) -> Result<()> {
    match file.unterminated() {
        None => Ok(()),
        Some(entry) => Err(Error::failed(format!("a quote in line {} of {whose} is never closed", entry.line))
            .because("everything after it would be read as a part of that value")
            .hint(remedy)),
    }
}

#[cfg(test)]
mod tests;
