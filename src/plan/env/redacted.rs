//! What may be shown of a file, and what a redactor has to hide.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::{Assignment, Entry, File, Kind};
use super::{Shape, dotenv};
use crate::diff::unified;
use crate::text::{harmless, is_worth_hiding, redact};

/// A terminal diff of the operator's file and the merged one: hunks with three lines around them, the words that differ in bold.
/// Of a value only its [`Shape`] is shown, and that it changed; the values of `public` keys are. Comments and lines of the operator's that are no assignment are
/// not shown either, since old passwords live there. What `merged` adds is upstream's and shown, values apart.
pub fn redacted_diff(mine: &[u8], merged: &[u8], public: &[String], colour: bool) -> String {
    let (before, after) = (File::lex(mine), File::lex(merged));
    let kept: BTreeSet<&[u8]> = before.entries.iter().map(|entry| &mine[entry.body.clone()]).collect();
    // upstream's prose is full of words such as "public" that are values as well
    let is_word = |value: &String| value.len() <= 12 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
    let hidden: Vec<String> = secrets(mine).into_iter().filter(|value| !is_word(value)).collect();
    let old = shown(&before, &BTreeMap::new(), public, &|_| "<comment>".to_owned());
    let new = shown(&after, &raw_values(&before), public, &|entry| match kept.contains(&merged[entry.body.clone()]) {
        true => "<comment>".to_owned(),
        false => {
            let text = harmless(after.text(&entry.body).trim().trim_start_matches(['#', ';']).trim());
            redact(&text, &hidden)
        }
    });
    unified(&old, &new, colour)
}

/// One line per entry. `earlier` holds the values, by key and occurrence, with which those here are compared.
fn shown(
    file: &File,
    earlier: &BTreeMap<(String, usize), Vec<u8>>,
    public: &[String],
    comment: &dyn Fn(&Entry) -> String,
) -> String {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut text = String::new();
    for entry in &file.entries {
        match &entry.kind {
            Kind::Blank => {}
            Kind::Comment { disabled: Some(key) } => text.push_str(&format!("# {}=<set>", file.key(key))),
            Kind::Comment { disabled: None } => text.push_str(&format!("# {}", comment(entry))),
            Kind::Mention { .. } | Kind::Junk => text.push_str("<line>"),
            Kind::Assignment(assignment) => {
                let key = file.key(&assignment.key);
                let nth = seen.entry(key).or_default();
                let before = earlier.get(&(key.to_owned(), *nth));
                *nth += 1;
                let is_public = public.iter().any(|public| public == key);
                text.push_str(&format!("{key}={}", shown_value(file, assignment, before, is_public)));
            }
        }
        text.push('\n');
    }
    text
}

fn shown_value(file: &File, assignment: &Assignment, before: Option<&Vec<u8>>, is_public: bool) -> String {
    let shape = Shape::of(&dotenv::value(file, assignment), is_public);
    let is_changed = before.is_some_and(|before| *before != file.bytes[assignment.rest.clone()]);
    match shape {
        Shape::Shown(value) => value,
        shape if is_changed => {
            format!("<changed, {}", shape.to_string().trim_start_matches('<').trim_start_matches("set, "))
        }
        shape => shape.to_string(),
    }
}

fn raw_values(file: &File) -> BTreeMap<(String, usize), Vec<u8>> {
    let mut values: BTreeMap<(String, usize), Vec<u8>> = BTreeMap::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, assignment) in file.assignments() {
        let key = file.key(&assignment.key);
        let nth = seen.entry(key).or_default();
        values.insert((key.to_owned(), *nth), file.bytes[assignment.rest.clone()].to_vec());
        *nth += 1;
    }
    values
}

/// The texts that must not appear in any output: the values of a file that are worth hiding (4 characters or more, no common
/// word, no short number), as each kind of reader sees them; the single lines of those that go over several, since logs are
/// written line by line; and the password of a URL on its own. Commented-out assignments count: an old password is still one. So do
/// whole comments of more than one word, and lines that are nothing.
pub fn secrets(file: &[u8]) -> Vec<String> {
    let file = File::lex(file);
    let mut found: BTreeSet<String> = dotenv::values(&file).into_values().collect();
    for entry in &file.entries {
        match &entry.kind {
            Kind::Assignment(assignment) => {
                found.insert(dotenv::value(&file, assignment));
                found.insert(unquoted(file.text(&assignment.rest).trim()));
            }
            Kind::Comment { disabled: Some(key) } => {
                let after_key = &file.text(&(key.end..entry.body.end)).into_owned();
                found.insert(unquoted(after_key.trim_start().trim_start_matches('=').trim()));
            }
            // Old passwords live in comments, and pasted keys in lines that are nothing: what `cat` would print of them goes whole.
            Kind::Comment { disabled: None } => {
                let text = file.text(&entry.body).trim().trim_start_matches(['#', ';']).trim().to_owned();
                found.extend((text.contains(' ') && text.chars().count() >= 8).then_some(text));
            }
            Kind::Mention { .. } | Kind::Junk => drop(found.insert(file.text(&entry.body).trim().to_owned())),
            Kind::Blank => {}
        }
    }
    let lines = found.iter().filter(|value| value.contains('\n')).flat_map(|value| value.lines());
    let lines: Vec<String> = lines.map(|line| line.trim().to_owned()).collect();
    let passwords: Vec<String> = found.iter().filter_map(|value| url_password(value)).map(str::to_owned).collect();
    found.extend(lines);
    found.extend(passwords);
    found.into_iter().filter(|value| is_worth_hiding(value)).collect()
}

fn unquoted(raw: &str) -> String {
    let inner = ['"', '\''].iter().find_map(|quote| raw.strip_prefix(*quote)?.strip_suffix(*quote));
    inner.unwrap_or(raw).to_owned()
}

/// The password in `scheme://user:password@host`.
fn url_password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@')?.0.split_once(':').map(|(_, password)| password)
}
