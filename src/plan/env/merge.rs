//! The merge: inserts upstream's new keys where every reader of the file sees a line begin, and touches nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::classify::block_above;
use super::dotenv::{continued_lines, is_one_logical_line};
use super::lexer::{Assignment, Entry, File, Kind};
use super::{Class, Decision, KeyChange};
use crate::error::{Error, Result};
use crate::manifest::Dialect;

/// What goes in, by offset in the operator's file.
pub(super) type Insertions = BTreeMap<usize, Vec<u8>>;

/// What takes the place of bytes of the operator's, by their offsets: values that the operator decided about, and nothing else.
type Replacements = Vec<(Range<usize>, Vec<u8>)>;

/// The operator's file with upstream's new keys, as was decided.
pub(super) fn merged(
    theirs: &File,
    mine: &File,
    changes: &[KeyChange],
    decisions: &BTreeMap<String, Decision>,
    dialect: Dialect,
) -> Result<Vec<u8>> {
    let added = changes.iter().filter(|change| matches!(change.class, Class::Added { .. }));
    let added: BTreeSet<&str> = added.map(|change| change.key.as_str()).collect();
    let added = added.into_iter().filter(|key| decisions.get(*key) != Some(&Decision::LeaveOut)).collect();
    let changed = changes.iter().filter(|change| matches!(change.class, Class::DefaultChanged { .. }));
    let mut replaced = Replacements::new();
    for key in changed.map(|change| change.key.as_str()) {
        replaced.extend(replacements(theirs, mine, key, decisions.get(key), dialect)?);
    }
    replaced.sort_by_key(|(place, _)| place.start);
    Ok(applied(mine.bytes, &insertions(theirs, mine, &added, decisions)?, &replaced))
}

/// The new value for each line that assigns `key`; a comment behind the old one stays where the reader sees one there.
fn replacements(
    theirs: &File,
    mine: &File,
    key: &str,
    decision: Option<&Decision>,
    dialect: Dialect,
) -> Result<Replacements> {
    let value = match decision {
        Some(Decision::Set(value)) => written(key, value)?,
        Some(Decision::TakeDefault) => {
            let index = theirs.entries.iter().enumerate().position(|(index, _)| is_last_assignment(theirs, index, key));
            let Some(entry) = index.map(|index| &theirs.entries[index]) else { return Ok(Vec::new()) };
            let line = assignment(theirs, entry, None)?;
            line.split_once('=').map(|(_, value)| value.to_owned()).unwrap_or_default()
        }
        _ => return Ok(Vec::new()),
    };
    let own = mine.assignments().filter(|(_, found)| mine.key(&found.key) == key);
    Ok(own
        .map(|(_, found)| (found.rest.start..found.rest.end - tail(mine, found, dialect), value.clone().into_bytes()))
        .collect())
}

/// How many bytes at the end of an assignment are a comment, for readers that know comments there.
fn tail(file: &File, found: &Assignment, dialect: Dialect) -> usize {
    // Bytes, and not text that stands for them: what is no UTF-8 has another length there.
    let rest = &file.bytes[found.rest.clone()];
    if dialect == Dialect::Systemd || rest.iter().any(|byte| b"\"'\\\n".contains(byte)) {
        return 0;
    }
    let is_blank = |byte: u8| matches!(byte, b' ' | b'\t');
    let comment = (1..rest.len()).find(|at| rest[*at] == b'#' && is_blank(rest[at - 1]));
    let value = comment.map(|at| rest[..at].iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1));
    value.map_or(0, |value| rest.len() - value)
}

/// The text to insert for the `added` keys. What was decided takes the place of upstream's default.
pub(super) fn insertions(
    theirs: &File,
    mine: &File,
    added: &BTreeSet<&str>,
    decisions: &BTreeMap<String, Decision>,
) -> Result<Insertions> {
    let places = Places::of(mine);
    let line_end = dominant_line_end(mine.bytes);
    let mut insertions = Insertions::new();
    let mut place = None;
    for (index, entry) in theirs.entries.iter().enumerate() {
        let Some(key) = key_of(theirs, entry) else { continue };
        if !added.contains(key) {
            place = places.after(key).or(place);
            continue;
        }
        if !is_last_assignment(theirs, index, key) {
            continue;
        }
        let at = place.unwrap_or(places.end);
        let text = insertions.entry(at).or_default();
        if text.is_empty() && at > mine.mark() && mine.bytes[at - 1] != b'\n' {
            text.extend(line_end);
        }
        let blank = has_blank_above(theirs, index) && !ends_blank(&mine.bytes[mine.mark()..at], text);
        text.extend(blank.then_some(line_end).into_iter().flatten());
        for line in block(theirs, index, given(mine, key, decisions.get(key))?)?.split('\n') {
            text.extend(line.trim_end_matches('\r').bytes());
            text.extend(line_end);
        }
        place = Some(at);
    }
    Ok(insertions)
}

/// What stands behind `=` in place of upstream's default, as it is written.
fn given(mine: &File, key: &str, decision: Option<&Decision>) -> Result<Option<String>> {
    match decision {
        Some(Decision::Set(value)) => written(key, value).map(Some),
        Some(Decision::CarryOver(old)) => {
            let own = mine.assignments().filter(|(_, found)| mine.key(&found.key) == old).last();
            let raw = own.map(|(_, found)| mine.text(&found.rest).trim_end_matches('\r').to_owned());
            // A value over several lines, or one that runs on, stands as it is only where it was.
            match raw.filter(|raw| stands_alone(&format!("{key}={raw}"))) {
                Some(raw) => Ok(Some(raw)),
                None => Err(Error::refused(format!("the value of {old} cannot be written for {key} by itself"))
                    .hint(format!("copy the line in an editor, with {key} in place of {old}"))),
            }
        }
        _ => Ok(None),
    }
}

/// The file with the insertions and replacements made; no insertion is within what is replaced.
fn applied(mine: &[u8], insertions: &Insertions, replacements: &Replacements) -> Vec<u8> {
    let put = insertions.iter().map(|(at, text)| (*at..*at, text));
    let mut edits: Vec<(Range<usize>, &Vec<u8>)> =
        put.chain(replacements.iter().map(|(place, text)| (place.clone(), text))).collect();
    edits.sort_by_key(|(place, _)| place.start);
    let mut merged = Vec::with_capacity(mine.len() + edits.iter().map(|(_, text)| text.len()).sum::<usize>());
    let mut from = 0;
    for (place, text) in edits {
        merged.extend(&mine[from..place.start]);
        merged.extend(text);
        from = place.end;
    }
    merged.extend(&mine[from..]);
    merged
}

fn key_of<'a>(file: &File<'a>, entry: &Entry) -> Option<&'a str> {
    match &entry.kind {
        Kind::Assignment(assignment) => Some(file.key(&assignment.key)),
        Kind::Comment { disabled: Some(key) } | Kind::Mention { key } => Some(file.key(key)),
        _ => None,
    }
}

fn is_last_assignment(file: &File, index: usize, key: &str) -> bool {
    let assigns = |entry: &Entry| matches!(&entry.kind, Kind::Assignment(found) if file.key(&found.key) == key);
    assigns(&file.entries[index]) && !file.entries[index + 1..].iter().any(assigns)
}

fn has_blank_above(file: &File, index: usize) -> bool {
    let first = block_above(file, index).start;
    first > 0 && matches!(file.entries[first - 1].kind, Kind::Blank)
}

fn ends_blank(before: &[u8], inserted: &[u8]) -> bool {
    let text = [before, inserted].concat();
    let mut lines = text.split(|byte| *byte == b'\n').rev();
    // the piece after the last line end is empty, the one before it is the last line
    lines.next();
    lines.next().is_none_or(|line| line.trim_ascii().is_empty())
}

/// Upstream's comments and the assignment, lines joined by `\n`.
fn block(theirs: &File, index: usize, answer: Option<String>) -> Result<String> {
    let mut lines: Vec<String> = Vec::new();
    for above in block_above(theirs, index) {
        let mut line = theirs.text(&theirs.entries[above].body).replace('\0', "\u{fffd}");
        // systemd 252 takes the line after a comment that ends in a backslash for a part of the comment
        if line.ends_with('\\') {
            line.push(' ');
        }
        lines.push(line);
    }
    lines.push(assignment(theirs, &theirs.entries[index], answer)?);
    Ok(lines.join("\n"))
}

fn assignment(theirs: &File, entry: &Entry, answer: Option<String>) -> Result<String> {
    let Kind::Assignment(found) = &entry.kind else { return Ok(String::new()) };
    let key = theirs.key(&found.key);
    if let Some(answer) = answer {
        return Ok(format!("{}{key}={answer}", if found.export { "export " } else { "" }));
    }
    let by_hand = |why: &str| {
        Error::refused(format!("upstream's default of {key} cannot be added: {why}"))
            .hint(format!("add a line {key}=... to the file by hand; a key that is there is left alone"))
    };
    let raw = std::str::from_utf8(&theirs.bytes[entry.body.clone()]).map_err(|_| by_hand("it is not UTF-8"))?;
    if raw.contains('\0') {
        return Err(by_hand("it holds a NUL byte"));
    }
    if stands_alone(raw) {
        return Ok(raw.to_owned());
    }
    // a lone quote or a last backslash would reach into the operator's next line, depending on the reader
    let value = super::dotenv::value(theirs, found);
    if raw.ends_with('\\') || value.contains(['"', '\\', '$', '`', '\n', '\r']) {
        return Err(by_hand("its quotes or its last backslash would reach into the next line"));
    }
    Ok(format!("{}{key}=\"{value}\"", if found.export { "export " } else { "" }))
}

/// Whether a line reads the same wherever it stands: all its quotes are closed in it, and it does not end in a backslash.
fn stands_alone(raw: &str) -> bool {
    let probe = format!("{raw}\n_=\n");
    let last_start = File::lex(probe.as_bytes()).entries.last().map(|last| last.span.start);
    !raw.ends_with('\\') && last_start == Some(raw.len() + 1) && is_one_logical_line(&probe[..=raw.len()])
}

/// A value as all readers read it: plain where it can be, else in single quotes.
pub(super) fn written(key: &str, value: &str) -> Result<String> {
    let refused = |why: &str| Error::usage(format!("the value given for {key} {why}"));
    if value.chars().any(|c| c.is_control()) {
        return Err(refused("holds a line end or another control character")
            .hint(format!("write {key} into the file by hand, with the quotes that its reader needs")));
    }
    if value.contains('\'') || value.ends_with('\\') {
        return Err(refused(
            "holds a single quote or ends in a backslash, which readers of such files take differently",
        )
        .hint(format!("choose another value, or write {key} into the file by hand")));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-".contains(c);
    Ok(if value.chars().all(plain) { value.to_owned() } else { format!("'{value}'") })
}

/// CRLF where most lines of the file end so, else LF.
fn dominant_line_end(bytes: &[u8]) -> &'static [u8] {
    let feeds = bytes.iter().filter(|byte| **byte == b'\n').count();
    let both = bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    if both * 2 > feeds { b"\r\n" } else { b"\n" }
}

/// Where something may be inserted into the operator's file.
struct Places {
    /// The offset after each key's last line; a live key goes before one that is commented out.
    after: BTreeMap<String, usize>,
    /// The last place.
    end: usize,
}

impl Places {
    fn of(mine: &File) -> Places {
        let allowed = allowed_offsets(mine);
        let nearest = |wanted: usize| {
            let at_or_after = allowed.range(wanted..).next();
            at_or_after.or_else(|| allowed.range(..wanted).next_back()).copied().unwrap_or(mine.mark())
        };
        let mut after = BTreeMap::new();
        let is_live = |entry: &&Entry| matches!(entry.kind, Kind::Assignment(_));
        let (live, mentioned): (Vec<&Entry>, Vec<&Entry>) = mine.entries.iter().partition(is_live);
        for entry in mentioned.into_iter().chain(live) {
            if let Some(key) = key_of(mine, entry) {
                after.insert(key.to_owned(), nearest(entry.span.end));
            }
        }
        Places { after, end: nearest(mine.bytes.len()) }
    }

    fn after(&self, key: &str) -> Option<usize> {
        self.after.get(key).copied()
    }
}

/// The offsets at which every reader sees a line begin: not within a value that only dotenv libraries go on with, and not after
/// a backslash, with which systemd goes on.
fn allowed_offsets(mine: &File) -> BTreeSet<usize> {
    let continued: BTreeSet<usize> = continued_lines(mine).into_iter().collect();
    let ends = mine.entries.iter().filter(|entry| !mine.bytes[entry.body.clone()].ends_with(b"\\"));
    std::iter::once(mine.mark()).chain(ends.map(|entry| entry.span.end)).filter(|at| !continued.contains(at)).collect()
}
