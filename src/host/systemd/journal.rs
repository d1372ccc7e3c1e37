//! The journal of units, read through journalctl(1).

use std::io::{BufRead, BufReader, Read};
use std::sync::mpsc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::host::process::{Command, tail as tail_of};

/// How long one reading may take.
const READ: Duration = Duration::from_secs(15);
/// How long journald may take to take in what it was sent.
const SYNC: Duration = Duration::from_secs(5);

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

    /// What its processes say, and what its manager says of it.
    pub fn all(&self) -> [Vec<String>; 2] {
        [self.own(), self.managers()]
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

/// Waits until journald has taken in all that was sent to it before, journalctl(1) `--sync`. Without the right to ask for that,
/// or without a journald, there is nothing to wait for.
pub fn sync() {
    Command::new(["journalctl", "--quiet", "--sync"]).timeout(SYNC).output().map(drop).unwrap_or_default();
}

/// The last `count` lines that a unit's processes said, and its manager said of it, since a time in microseconds of the
/// realtime clock, oldest first.
pub fn tail(since: u64, origin: &Origin, count: usize) -> Result<Vec<String>> {
    // A service that failed told why just now.
    sync();
    let newest = [format!("--lines={count}")].into_iter().chain(any_of([origin.own(), origin.managers()]));
    let newest = entries(newest)?.into_iter();
    Ok(newest.filter(|entry| entry.micros >= since).map(|entry| entry.message).collect())
}

/// How many lines wait for who reads them: memory is bounded, however long the journal is.
const AHEAD: usize = 64;
/// The longest line of journalctl's output that is read, in bytes; the rest of it is left out. journald's own bound for one
/// field is 768 MiB.
const LINE: u64 = 4 << 20;
/// How often a caller that follows is asked whether it still wants to.
const TURN: Duration = Duration::from_millis(300);

/// A line with where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The line.
    pub entry: Entry,
    /// The boot in which it was written.
    pub boot: String,
    /// The unit that it is of, by its processes or its manager.
    pub unit: Option<String>,
    /// `RELIFT_RUN`, where root wrote it.
    pub run: Option<String>,
    /// `RELIFT_STEP`, in the same way.
    pub step: Option<String>,
    /// `RELIFT_COMPONENT`, in the same way.
    pub component: Option<String>,
}

/// Reads what one of `groups` matches, from a cursor's line on or from what `words` of journalctl(1) say, oldest first. `each`
/// gets every line, and `None` from time to time while there is none; it is over when it says `false`. `bound`: however long
/// that takes.
pub fn stream(
    words: &[String],
    groups: impl IntoIterator<Item = Vec<String>>,
    bound: Duration,
    each: &mut dyn FnMut(Option<Said>) -> bool,
) -> Result<()> {
    let fields =
        "MESSAGE,RELIFT_RUN,RELIFT_COMPONENT,RELIFT_STEP,_UID,_BOOT_ID,_SYSTEMD_UNIT,_SYSTEMD_USER_UNIT,UNIT,USER_UNIT";
    let command = Command::new(["journalctl", "--quiet", "--no-pager", "--all", "--output=json"]);
    let command = command.args([format!("--output-fields={fields}")]).args(words).args(any_of(groups)).timeout(bound);
    let mut running = command.spawn()?;
    let (sender, lines) = mpsc::sync_channel(AHEAD);
    let stdout = running.child.stdout.take();
    let reader = std::thread::spawn(move || stdout.map(|pipe| pass_on(BufReader::new(pipe), &sender)));
    let stderr = running.child.stderr.take();
    let stderr = std::thread::spawn(move || stderr.map(|pipe| tail_of(BufReader::new(pipe))).unwrap_or_default());
    let is_wanted = loop {
        let line = match lines.recv_timeout(TURN) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => break true,
        };
        // What cannot be read as a line is none.
        let said = line.as_deref().map(said);
        if !matches!(said, Some(None)) && !each(said.flatten()) {
            break false;
        }
        if running.left().is_zero() {
            break true;
        }
    };
    if !is_wanted {
        running.expire();
    }
    drop(lines);
    let status = running.wait("journalctl")?;
    drop(reader.join());
    let said = stderr.join().unwrap_or_default();
    match status {
        Some(status) if !status.success() && is_wanted => Err(Error::failed("journalctl could not read the journal")
            .detail(said.iter().map(|line| crate::text::harmless(line)))),
        None if is_wanted => Err(Error::failed("journalctl did not end in time")),
        _ => Ok(()),
    }
}

fn pass_on(mut pipe: impl BufRead, to: &mpsc::SyncSender<Vec<u8>>) {
    loop {
        let mut line = Vec::new();
        let read = pipe.by_ref().take(LINE).read_until(b'\n', &mut line);
        if !read.is_ok_and(|count| count > 0) {
            return;
        }
        if line.last() != Some(&b'\n') {
            line = cut(&line);
            pipe.skip_until(b'\n').map(drop).unwrap_or_default();
        }
        if to.send(line).is_err() {
            return;
        }
    }
}

/// A line of JSON whose end is missing: what is left of it says at least that there was one, and how it begins.
fn cut(line: &[u8]) -> Vec<u8> {
    // journalctl writes the fields that begin with `__` first, the message somewhere after them.
    let text = String::from_utf8_lossy(line);
    let cursor = text.split("\"__CURSOR\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
    let time = text.split("\"__REALTIME_TIMESTAMP\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let message = format!("(a line of more than {} MiB)", LINE >> 20);
    let value =
        serde_json::json!({"__CURSOR": cursor, "__REALTIME_TIMESTAMP": time.unwrap_or("0"), "MESSAGE": message});
    value.to_string().into_bytes()
}

fn said(line: &[u8]) -> Option<Said> {
    let entry = entry(line)?;
    let value: Value = serde_json::from_slice(line).ok()?;
    let field = |name: &str| value.get(name).map(text).filter(|text| !text.is_empty());
    let is_roots = field("_UID").as_deref() == Some("0");
    let manager = field("USER_UNIT").or_else(|| field("UNIT"));
    let unit = manager.or_else(|| field("_SYSTEMD_USER_UNIT")).or_else(|| field("_SYSTEMD_UNIT"));
    Some(Said {
        entry,
        boot: field("_BOOT_ID").unwrap_or_default(),
        unit,
        run: field("RELIFT_RUN").filter(|_| is_roots),
        step: field("RELIFT_STEP").filter(|_| is_roots),
        component: field("RELIFT_COMPONENT").filter(|_| is_roots),
    })
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
    fn what_only_root_may_say_of_a_run_is_believed_from_root_alone() {
        let line = |uid: &str| {
            let fields = r#""MESSAGE":"m","RELIFT_RUN":"R","RELIFT_STEP":"sync","_SYSTEMD_UNIT":"a.service""#;
            said(format!(r#"{{"__CURSOR":"c","_UID":"{uid}",{fields}}}"#).as_bytes()).unwrap()
        };
        assert_eq!((line("0").run.as_deref(), line("0").step.as_deref()), (Some("R"), Some("sync")));
        assert_eq!(
            (line("1000").run, line("1000").step, line("1000").unit.as_deref()),
            (None, None, Some("a.service"))
        );
    }

    #[test]
    fn a_line_that_is_far_too_long_is_told_of_and_the_next_one_is_whole() {
        let long = format!(r#"{{"__CURSOR":"c1","__REALTIME_TIMESTAMP":"7","MESSAGE":"{}"}}"#, "x".repeat(5 << 20));
        let lines = format!("{long}\n{{\"__CURSOR\":\"c2\",\"MESSAGE\":\"next\"}}\n");
        let (sender, receiver) = mpsc::sync_channel(4);
        pass_on(lines.as_bytes(), &sender);
        drop(sender);
        let said: Vec<Said> = receiver.iter().filter_map(|line| said(&line)).collect();
        assert_eq!(said.len(), 2);
        assert_eq!((&*said[0].entry.cursor, said[0].entry.micros), ("c1", 7));
        assert!(said[0].entry.message.contains("more than 4 MiB"));
        assert_eq!(said[1].entry.message, "next");
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
