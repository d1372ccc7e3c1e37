//! The journal of units, read through journalctl(1).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::host::process::Command;

/// How long one reading may take.
const READ: Duration = Duration::from_secs(15);

/// A unit whose lines are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Its name.
    pub unit: String,
    /// The account of its user manager; `None`: a unit of the system manager.
    pub uid: Option<u32>,
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The text, made harmless for a terminal.
    pub message: String,
    /// Where it stands.
    pub cursor: String,
    /// When it was received, microseconds of the realtime clock.
    pub micros: u64,
}

impl Origin {
    /// What its processes say.
    fn own(&self) -> Vec<String> {
        match self.uid {
            None => vec![format!("_SYSTEMD_UNIT={}", self.unit)],
            Some(uid) => vec![format!("_SYSTEMD_USER_UNIT={}", self.unit), format!("_UID={uid}")],
        }
    }

    /// What its manager says of it.
    fn managers(&self) -> Vec<String> {
        match self.uid {
            None => vec![format!("UNIT={}", self.unit), "_PID=1".into()],
            Some(uid) => vec![format!("USER_UNIT={}", self.unit), format!("_UID={uid}")],
        }
    }
}

/// A cursor of the journal's end. `None` where the journal is empty or absent: then everything in it later is new.
pub fn end() -> Option<String> {
    let newest = entries(["--lines=1".to_owned()]).ok()?;
    newest.into_iter().last().map(|entry| entry.cursor)
}

/// What the processes of some units said after a cursor, oldest first.
pub fn after(cursor: Option<&str>, origins: &[Origin]) -> Result<Vec<Entry>> {
    if origins.is_empty() {
        return Ok(Vec::new());
    }
    let mut entries = entries(from(cursor).into_iter().chain(any_of(origins.iter().map(Origin::own))))?;
    entries.retain(|entry| Some(entry.cursor.as_str()) != cursor);
    Ok(entries)
}

/// The last `count` lines that a unit's processes said, and its manager said of it, after a cursor, oldest first.
pub fn tail(cursor: Option<&str>, origin: &Origin, count: usize) -> Result<Vec<String>> {
    // With a cursor, `--lines` would count from there: the first lines, and not the last.
    let since = match from(cursor) {
        Some(from) => entries([from, "--lines=1".to_owned()])?.first().map(|entry| entry.micros),
        None => None,
    };
    let newest = [format!("--lines={count}")].into_iter().chain(any_of([origin.own(), origin.managers()]));
    let newest = entries(newest)?.into_iter();
    let new =
        newest.filter(|entry| since.is_none_or(|since| entry.micros >= since) && Some(entry.cursor.as_str()) != cursor);
    Ok(new.map(|entry| entry.message).collect())
}

/// From a cursor's line on. Not `--after-cursor`: that skips two lines that match, and so the first new one where the
/// cursor's own line does not match.
fn from(cursor: Option<&str>) -> Option<String> {
    cursor.map(|cursor| format!("--cursor={cursor}"))
}

/// The words of "one of these groups", within which all must match.
fn any_of(groups: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    groups.into_iter().collect::<Vec<_>>().join(&"+".to_owned())
}

fn entries(words: impl IntoIterator<Item = String>) -> Result<Vec<Entry>> {
    // --all: without it a message of more than 4 KiB reads as null.
    let command = Command::new(["journalctl", "--quiet", "--no-pager", "--all", "--output=json"]);
    let command = command.args(["--output-fields=MESSAGE"]).args(words).timeout(READ);
    let output = command.output()?;
    if !output.success() {
        return Err(Error::failed(format!("journalctl {}", output.ending()))
            .detail(output.stderr.iter().map(|line| crate::text::harmless(line))));
    }
    // A last line that the cap cut is no JSON and is read again from the cursor before it.
    Ok(output.stdout.split(|byte| *byte == b'\n').filter_map(entry).collect())
}

fn entry(line: &[u8]) -> Option<Entry> {
    #[derive(Deserialize)]
    struct Raw {
        #[serde(rename = "__CURSOR")]
        cursor: String,
        #[serde(rename = "MESSAGE", default)]
        message: Value,
        #[serde(rename = "__REALTIME_TIMESTAMP", default)]
        time: String,
    }
    let raw: Raw = serde_json::from_slice(line).ok()?;
    let message = crate::text::harmless(&crate::text::uncoloured(&text(&raw.message)));
    Some(Entry { message, cursor: raw.cursor, micros: raw.time.parse().unwrap_or_default() })
}

/// A field of journalctl's JSON: text, the bytes of what is not UTF-8, or an array of these where it was given again.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let byte = |item: &Value| item.as_u64().and_then(|number| u8::try_from(number).ok());
            match items.iter().map(byte).collect::<Option<Vec<u8>>>() {
                Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                None => items.iter().map(text).collect::<Vec<_>>().join(" "),
            }
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(json: &str) -> String {
        entry(format!(r#"{{"__CURSOR":"c","MESSAGE":{json}}}"#).as_bytes()).expect("an entry").message
    }

    #[test]
    fn messages_of_every_form_are_read() {
        assert_eq!(message(r#""plain""#), "plain");
        assert_eq!(message("[111,107,255]"), "ok\u{fffd}");
        assert_eq!(message(r#"["a",[98]]"#), "a b");
        assert_eq!(message("null"), "");
        assert_eq!(message(r#""\u001b[31mred""#), "red");
    }

    #[test]
    fn a_line_that_was_cut_is_not_an_entry() {
        assert_eq!(entry(br#"{"__CURSOR":"c","MESS"#), None);
    }

    #[test]
    fn a_user_unit_is_matched_with_its_account() {
        let user = Origin { unit: "a.service".into(), uid: Some(7) };
        let system = Origin { unit: "b.service".into(), uid: None };
        let words = any_of([user.own(), system.own()]);
        assert_eq!(words, ["_SYSTEMD_USER_UNIT=a.service", "_UID=7", "+", "_SYSTEMD_UNIT=b.service"]);
    }
}
