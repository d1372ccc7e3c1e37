//! systemd 252's reader of `EnvironmentFile=`, systemd.exec(5).

use super::{Got, Reading, line_at};

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    BeforeKey,
    Key,
    BeforeValue,
    Value,
    Escape,
    Single,
    Double,
    DoubleEscape,
    Comment,
    CommentEscape,
}

/// One assignment as it is put together.
#[derive(Default)]
struct Pending {
    start: usize,
    key: Vec<u8>,
    value: Vec<u8>,
    /// How much of the value is left when blanks at its end go; `None` where the last byte was no plain blank.
    trimmed: Option<usize>,
}

pub(super) fn read(file: &[u8]) -> Reading {
    if let Some(nul) = file.iter().position(|byte| *byte == 0) {
        return Reading::refusal(line_at(file, nul));
    }
    let mut reading = Reading::default();
    let mut pending = Pending::default();
    let mut state = State::BeforeKey;
    for (at, byte) in file.iter().copied().enumerate() {
        let is_end = matches!(byte, b'\n' | b'\r');
        if is_end && matches!(state, State::BeforeValue | State::Value) {
            if let Err(line) = finish(std::mem::take(&mut pending), file, &mut reading) {
                return Reading::refusal(line);
            }
            state = State::BeforeKey;
            continue;
        }
        state = pending.take(state, byte, at);
    }
    if !matches!(state, State::BeforeKey | State::Key | State::Comment | State::CommentEscape)
        && let Err(line) = finish(pending, file, &mut reading)
    {
        return Reading::refusal(line);
    }
    // What is no name is dropped without a word, as late as here: a key that is no text refuses the file before.
    reading.values.retain(|key, _| is_name(key));
    reading
}

impl Pending {
    /// The state after a byte that ends no assignment.
    fn take(&mut self, state: State, byte: u8, at: usize) -> State {
        let is_end = matches!(byte, b'\n' | b'\r');
        let is_blank = is_end || matches!(byte, b' ' | b'\t');
        match state {
            State::BeforeKey if matches!(byte, b'#' | b';') => State::Comment,
            State::BeforeKey if is_blank => State::BeforeKey,
            State::BeforeKey => {
                *self = Pending { start: at, key: vec![byte], ..Pending::default() };
                State::Key
            }
            State::Key if is_end => State::BeforeKey,
            State::Key if byte == b'=' => State::BeforeValue,
            State::Key => (self.key.push(byte), State::Key).1,
            State::BeforeValue => match byte {
                b'\'' => State::Single,
                b'"' => State::Double,
                b'\\' => State::Escape,
                _ if is_blank => State::BeforeValue,
                _ => (self.value.push(byte), State::Value).1,
            },
            State::Value if byte == b'\\' => (self.trimmed = None, State::Escape).1,
            State::Value => {
                self.trimmed = if is_blank { self.trimmed.or(Some(self.value.len())) } else { None };
                (self.value.push(byte), State::Value).1
            }
            State::Escape => (self.value.extend((!is_end).then_some(byte)), State::Value).1,
            State::Single if byte == b'\'' => State::BeforeValue,
            State::Single => (self.value.push(byte), State::Single).1,
            State::Double if byte == b'"' => State::BeforeValue,
            State::Double if byte == b'\\' => State::DoubleEscape,
            State::Double => (self.value.push(byte), State::Double).1,
            State::DoubleEscape => {
                match byte {
                    b'"' | b'\\' | b'`' | b'$' => self.value.push(byte),
                    b'\n' => {}
                    _ => self.value.extend([b'\\', byte]),
                }
                State::Double
            }
            State::Comment if byte == b'\\' => State::CommentEscape,
            State::Comment if is_end => State::BeforeKey,
            State::Comment | State::CommentEscape => State::Comment,
        }
    }
}

/// Sets what was put together; a line where it is no text.
fn finish(pending: Pending, file: &[u8], reading: &mut Reading) -> Result<(), usize> {
    let line = line_at(file, pending.start);
    let Pending { key, mut value, trimmed, .. } = pending;
    value.truncate(trimmed.unwrap_or(value.len()));
    let key = text(key).ok_or(line)?;
    let value = text(value).ok_or(line)?;
    reading.values.insert(key.trim_end_matches([' ', '\t']).to_owned(), Got { line, value: Some(value) });
    Ok(())
}

/// systemd takes no noncharacter of Unicode for text either.
fn text(bytes: Vec<u8>) -> Option<String> {
    let is_noncharacter = |c: char| matches!(u32::from(c), 0xfdd0..=0xfdef) || u32::from(c) & 0xfffe == 0xfffe;
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(is_noncharacter))
}

fn is_name(key: &str) -> bool {
    !key.is_empty()
        && !key.starts_with(|c: char| c.is_ascii_digit())
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
