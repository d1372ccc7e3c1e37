//! `.env` files: a lossless lexer, a three-way comparison, a merge that keeps every byte of the operator's.

mod classify;
mod dotenv;
mod lexer;
mod merge;
mod placeholder;
pub mod readers;
mod redacted;
mod warnings;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use classify::{Keys, Sides};
use lexer::File;

pub use redacted::{redacted_diff, secrets};

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

/// Compares upstream's example at the activated revision (`base`), at the target (`theirs`) and the operator's
/// file (`mine`). `answers` gives values for added keys, in place of upstream's defaults.
///
/// Without `base` (no example recorded) only added keys are told; without `theirs` nothing is compared. A key that the operator has
/// commented out is there. A key that the operator took out stays out, unless its default now asks to be replaced.
///
/// # Errors
/// [`crate::error::Kind::Failed`]: a quote of `mine` or `theirs` is never closed, with its line. `Refused`: a default that would
/// reach into the operator's lines. `Usage`: an answer that not all readers of such files would read alike. None shows a value.
pub fn compare(
    base: Option<&[u8]>,
    theirs: Option<&[u8]>,
    mine: &[u8],
    answers: &[(String, String)],
) -> Result<Comparison> {
    let mine_file = File::lex(mine);
    let mut warnings = warnings::of(&mine_file);
    let Some(theirs) = theirs else {
        warnings.extend(base.map(|_| "the new release has no example file: nothing was compared".to_owned()));
        return Ok(Comparison { changes: Vec::new(), merged: mine.to_vec(), stale: Vec::new(), warnings });
    };
    let theirs = File::lex(theirs);
    refuse_open_quote(&mine_file, "the file", "close it, then run the command again")?;
    refuse_open_quote(
        &theirs,
        "upstream's new example",
        "report it upstream, or upgrade to another release with --to",
    )?;
    let base = base.map(File::lex);
    let base_keys = base.as_ref().and_then(|base| match base.unterminated() {
        None => Some(Keys::of(base)),
        Some(entry) => {
            let line = entry.line;
            warnings.push(format!("upstream's old example has an open quote in line {line}: only added keys are told"));
            None
        }
    });
    let (their_keys, my_keys, comments) = (Keys::of(&theirs), Keys::of(&mine_file), classify::comments(&theirs));
    let sides = Sides { base: base_keys.as_ref(), theirs: &their_keys, mine: &my_keys, comments: &comments };
    let changes = sides.changes();
    warnings.extend(sides.warnings());
    let stale = sides.stale();
    let added: BTreeSet<&str> = added(&changes).map(|(key, _)| key).collect();
    let answers: BTreeMap<&str, &str> = answers.iter().map(|(key, answer)| (key.as_str(), answer.as_str())).collect();
    let unused = answers.keys().filter(|key| !added.contains(*key));
    warnings
        .extend(unused.map(|key| format!("{}: answered, but no new key: left as it is", crate::text::harmless(key))));
    let insertions = merge::insertions(&theirs, &mine_file, &added, &answers)?;
    Ok(Comparison { changes, merged: merge::applied(mine, &insertions), stale, warnings })
}

/// The added keys whose default asks to be replaced, in upstream's order: those that an unattended run must not add without an
/// answer.
pub fn placeholders(changes: &[KeyChange]) -> Vec<&str> {
    added(changes).filter(|(_, placeholder)| *placeholder).map(|(key, _)| key).collect()
}

fn added(changes: &[KeyChange]) -> impl Iterator<Item = (&str, bool)> {
    changes.iter().filter_map(|change| match change.class {
        Class::Added { placeholder } => Some((change.key.as_str(), placeholder)),
        _ => None,
    })
}

/// The values of a file as a dotenv library reads them, the last assignment of a key winning. `${KEY}` of an earlier key is
/// replaced; the process environment has no part in it. Used for `${KEY}` in probes; values must never be printed.
pub fn values(file: &[u8]) -> BTreeMap<String, String> {
    dotenv::values(&File::lex(file))
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
