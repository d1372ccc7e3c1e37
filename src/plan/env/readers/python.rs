//! python-dotenv 0.21, and docker-compose 1.29, which reads with it. A line that it does not understand is left out and the
//! next one read; `${KEY}` is replaced whatever the quotes.

use super::{Got, Reading, line_at};

/// The characters with the line that each is in. Python turns every kind of line end into one before it looks.
struct Text {
    characters: Vec<(char, usize)>,
    at: usize,
}

/// A binding that is not understood.
struct NotUnderstood;

type Parsed<T> = Result<T, NotUnderstood>;

/// `skips_mark`: a byte order mark at the start belongs to no key.
pub(super) fn read(file: &[u8], skips_mark: bool) -> Reading {
    let text = match std::str::from_utf8(file) {
        Ok(text) => text,
        Err(error) => return Reading::refusal(line_at(file, error.valid_up_to())),
    };
    let text = if skips_mark { text.strip_prefix('\u{feff}').unwrap_or(text) } else { text };
    let mut text = Text::of(text);
    let mut reading = Reading::default();
    loop {
        text.skip(is_space);
        let Some((_, line)) = text.characters.get(text.at).copied() else { return reading };
        match text.binding() {
            Ok(Some((key, value))) => {
                let value = value.map(|value| interpolated(&value, &reading));
                reading.values.insert(key, Got { line, value });
            }
            Ok(None) => {}
            Err(NotUnderstood) => {
                text.skip(|c| c != '\n');
                text.at += usize::from(text.peek().is_some());
            }
        }
    }
}

impl Text {
    fn of(text: &str) -> Text {
        let mut characters = Vec::new();
        let mut line = 1;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            let is_pair = c == '\r' && rest.next_if_eq(&'\n').is_some();
            characters.push((if c == '\r' { '\n' } else { c }, line));
            line += usize::from(is_pair || c == '\n');
        }
        Text { characters, at: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).map(|(c, _)| *c)
    }

    fn skip(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.at += 1;
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let start = self.at;
        self.skip(wanted);
        self.characters[start..self.at].iter().map(|(c, _)| *c).collect()
    }

    /// A comment, or a key with its value; what is not understood leaves the place where it was met.
    fn binding(&mut self) -> Parsed<Option<(String, Option<String>)>> {
        self.export();
        let key = self.key()?;
        self.skip(is_blank);
        let value = match self.peek() {
            Some('=') => {
                self.at += 1;
                self.skip(is_blank);
                Some(self.value()?)
            }
            _ => None,
        };
        let before_comment = self.at;
        self.skip(is_blank);
        match self.peek() {
            Some('#') => self.skip(|c| c != '\n'),
            _ => self.at = before_comment,
        }
        let end = self.at;
        self.skip(is_blank);
        match self.peek() {
            None => {}
            Some('\n') => self.at += 1,
            Some(_) => {
                self.at = end;
                return Err(NotUnderstood);
            }
        }
        Ok(key.map(|key| (key, value)))
    }

    fn export(&mut self) {
        let start = self.at;
        let is_word = "export".chars().all(|wanted| {
            let is_it = self.peek() == Some(wanted);
            self.at += usize::from(is_it);
            is_it
        });
        if is_word && self.peek().is_some_and(is_blank) {
            self.skip(is_blank);
        } else {
            self.at = start;
        }
    }

    fn key(&mut self) -> Parsed<Option<String>> {
        match self.peek() {
            Some('#') => Ok(None),
            Some('\'') => {
                let length = self.characters[self.at + 1..].iter().position(|(c, _)| *c == '\'');
                let length = length.filter(|length| *length > 0).ok_or(NotUnderstood)?;
                self.at += 1;
                let end = self.at + length;
                let key = self.characters[self.at..end].iter().map(|(c, _)| *c).collect();
                self.at = end + 1;
                Ok(Some(key))
            }
            _ => {
                let key = self.take(|c| !matches!(c, '=' | '#') && !is_space(c));
                if key.is_empty() { Err(NotUnderstood) } else { Ok(Some(key)) }
            }
        }
    }

    fn value(&mut self) -> Parsed<String> {
        match self.peek() {
            Some('\'') => Ok(unescaped(&self.quoted('\'')?, "\\'")),
            Some('"') => Ok(unescaped(&self.quoted('"')?, "\\'\"abfnrtv")),
            None | Some('\n') => Ok(String::new()),
            Some(_) => {
                let line = self.take(|c| c != '\n');
                let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with(is_space));
                Ok(line[..comment.map_or(line.len(), |(at, _)| at)].trim_end_matches(is_space).to_owned())
            }
        }
    }

    /// What is between quotes. The first one without a backslash before it closes, or else the last one with it.
    fn quoted(&mut self, quote: char) -> Parsed<String> {
        let inner = &self.characters[self.at + 1..];
        let quotes = inner.iter().enumerate().filter(|(_, (c, _))| *c == quote).map(|(at, _)| at);
        let is_plain = |at: &usize| *at == 0 || inner[*at - 1].0 != '\\';
        let mut hidden = None;
        let closing = quotes.inspect(|at| hidden = Some(*at)).find(is_plain);
        let length = closing.or(hidden).ok_or(NotUnderstood)?;
        let text = inner[..length].iter().map(|(c, _)| *c).collect();
        self.at += length + 2;
        Ok(text)
    }
}

fn unescaped(text: &str, known: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let escaped = if c == '\\' { rest.next_if(|next| known.contains(*next)) } else { None };
        plain.push(match escaped {
            None => c,
            Some('a') => '\x07',
            Some('b') => '\x08',
            Some('f') => '\x0c',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\x0b',
            Some(itself) => itself,
        });
    }
    plain
}

/// `${KEY}` and `${KEY:-default}` replaced by what was set above.
fn interpolated(value: &str, above: &Reading) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(start) = rest.find("${") {
        let inner = &rest[start + 2..];
        let name = &inner[..inner.find(['}', ':']).unwrap_or(inner.len())];
        let after = &inner[name.len()..];
        let (default, end) = match after.strip_prefix(":-").and_then(|default| default.split_once('}')) {
            Some((default, end)) => (default, Some(end)),
            None => ("", after.strip_prefix('}')),
        };
        let Some(end) = end else {
            text.push_str(&rest[..start + 2]);
            rest = inner;
            continue;
        };
        text.push_str(&rest[..start]);
        match above.values.get(name) {
            Some(got) => text.push_str(got.value.as_deref().unwrap_or_default()),
            None => text.push_str(default),
        }
        rest = end;
    }
    text + rest
}

/// What `\s` matches in Python.
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

fn is_blank(c: char) -> bool {
    is_space(c) && c != '\n'
}
