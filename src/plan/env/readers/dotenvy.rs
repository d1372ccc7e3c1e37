//! dotenvy 0.15 as `dotenv()` uses it: the first assignment of a key counts, and one line that is not understood refuses
//! the file. Its quirks are kept: names in `$NAME` end at `_`, and `"$NAME"` never sees the closing quote.

use std::collections::BTreeMap;

use super::super::dotenv::{key_and_rest, logical_lines};
use super::{Got, Reading, line_at};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn read(file: &[u8]) -> Reading {
    let file = file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file);
    let text = match std::str::from_utf8(file) {
        Ok(text) => text,
        Err(error) => return Reading::refusal(line_at(file, error.valid_up_to())),
    };
    let mut reading = Reading::default();
    let mut known = BTreeMap::new();
    for (start, line) in logical_lines(text) {
        let number = line_at(file, start);
        let Some(line) = line else { return Reading::refusal(number) };
        match assignment(&text[line], &known) {
            Ok(None) => {}
            Ok(Some((key, value))) => {
                known.insert(key.clone(), value.clone());
                reading.values.entry(key).or_insert(Got { line: number, value: Some(value) });
            }
            Err(()) => return Reading::refusal(number),
        }
    }
    reading
}

fn assignment(line: &str, known: &BTreeMap<String, String>) -> Result<Option<(String, String)>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (key, rest) = key_and_rest(line).ok_or(())?;
    let value = if rest.is_empty() || rest.starts_with('#') { String::new() } else { value(rest, known).ok_or(())? };
    Ok(Some((key.to_owned(), value)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reference {
    None,
    Bare,
    Braces,
}

/// Where the reader of a value is.
struct Value<'a> {
    known: &'a BTreeMap<String, String>,
    text: String,
    quote: Option<char>,
    is_escaped: bool,
    reference: Reference,
    name: String,
}

fn value(input: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut value = Value {
        known,
        text: String::new(),
        quote: None,
        is_escaped: false,
        reference: Reference::None,
        name: String::new(),
    };
    let mut characters = input.chars();
    while let Some(c) = characters.next() {
        if value.ends_at(c) {
            let rest = characters.as_str().trim_start_matches([' ', '\t']);
            return (rest.is_empty() || rest.starts_with('#')).then_some(value.text);
        }
        value.take(c)?;
    }
    if value.quote.is_some() || value.reference == Reference::Braces {
        return None;
    }
    value.substitute();
    Some(value.text)
}

impl Value<'_> {
    fn ends_at(&self, c: char) -> bool {
        let is_plain = self.quote.is_none() && !self.is_escaped && self.reference == Reference::None;
        is_plain && matches!(c, ' ' | '\t')
    }

    fn take(&mut self, c: char) -> Option<()> {
        if self.is_escaped {
            self.is_escaped = false;
            self.text.push(match c {
                'n' => '\n',
                '\\' | '\'' | '"' | '$' | ' ' => c,
                _ => return None,
            });
            return Some(());
        }
        match (self.quote, self.reference) {
            (Some('\''), _) if c == '\'' => self.quote = None,
            (Some('\''), _) => self.text.push(c),
            (_, Reference::Bare | Reference::Braces) => self.refer(c),
            _ if c == '$' => self.reference = Reference::Bare,
            (_, _) if c == '\\' => self.is_escaped = true,
            (Some('"'), _) if c == '"' => self.quote = None,
            (Some(_), _) => self.text.push(c),
            (None, _) if matches!(c, '\'' | '"') => self.quote = Some(c),
            (None, _) => self.text.push(c),
        }
        Some(())
    }

    /// A character of a reference, or the one that ends it.
    fn refer(&mut self, c: char) {
        match self.reference {
            _ if c.is_alphanumeric() => self.name.push(c),
            Reference::Braces if c != '}' => self.name.push(c),
            Reference::Braces => self.substitute(),
            _ if c == '{' && self.name.is_empty() => self.reference = Reference::Braces,
            _ => {
                self.substitute();
                if c == '$' {
                    self.reference = Reference::Bare;
                } else {
                    self.text.push(c);
                }
            }
        }
    }

    fn substitute(&mut self) {
        let name = std::mem::take(&mut self.name);
        self.text.push_str(self.known.get(&name).map(String::as_str).unwrap_or_default());
        self.reference = Reference::None;
    }
}
