//! What the operator should know about the file as it is.

use std::collections::BTreeMap;

use super::dotenv::continued_lines;
use super::lexer::{File, Kind};

/// Traps that readers of such files disagree about: with line numbers, and with keys, never with a value.
pub(super) fn of(file: &File) -> Vec<String> {
    let mut warnings = Vec::new();
    if file.mark() > 0 {
        warnings.push("line 1 starts with a byte order mark: systemd drops the first key".to_owned());
    }
    if let Err(error) = std::str::from_utf8(file.bytes) {
        let line = line_of(file.bytes, error.valid_up_to());
        warnings.push(format!("line {line} is not UTF-8: systemd and dotenv libraries refuse the file"));
    }
    if let Some(at) = file.bytes.iter().position(|byte| *byte == 0) {
        warnings.push(format!("line {} holds a NUL byte", line_of(file.bytes, at)));
    }
    line_ends(file, &mut warnings);
    entries(file, &mut warnings);
    warnings
}

fn line_ends(file: &File, warnings: &mut Vec<String>) {
    let feeds = file.bytes.iter().filter(|byte| **byte == b'\n').count();
    let Some(first) = file.bytes.windows(2).position(|pair| pair == b"\r\n") else { return };
    let both = file.bytes.windows(2).filter(|pair| pair == b"\r\n").count();
    let extent = if both == feeds { "all lines end" } else { "some lines end" };
    warnings.push(format!("{extent} in CRLF, the first of them line {}", line_of(file.bytes, first)));
}

fn entries(file: &File, warnings: &mut Vec<String>) {
    let mut first_line: BTreeMap<&str, usize> = BTreeMap::new();
    let continued = continued_lines(file);
    for entry in &file.entries {
        let line = entry.line;
        if continued.contains(&entry.span.start) {
            let quote = line - 1;
            warnings.push(format!(
                "line {line}: a quote within a value above (line {quote}) makes dotenv libraries read on here"
            ));
        }
        match &entry.kind {
            Kind::Junk | Kind::Mention { .. } => warnings.push(format!("line {line} is not an assignment")),
            Kind::Assignment(assignment) => {
                let key = file.key(&assignment.key);
                if !assignment.terminated {
                    warnings.push(format!("line {line}: the quote of {key} is never closed"));
                }
                match first_line.get(key) {
                    Some(first) => warnings.push(format!(
                        "line {line} sets {key} again (first in line {first}): some readers take the first, some the last"
                    )),
                    None => drop(first_line.insert(key, line)),
                }
            }
            _ => {}
        }
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    1 + bytes[..at].iter().filter(|byte| **byte == b'\n').count()
}
