//! The lexer: every byte of a file belongs to exactly one entry, so that what is not understood is kept as well.

use std::ops::Range;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file cut into entries that lie side by side and together are the file. Has no `Debug`: it would show values.
pub(super) struct File<'a> {
    pub bytes: &'a [u8],
    pub entries: Vec<Entry>,
}

/// A blank line, a comment, an assignment with all the lines of its value, or something else.
pub(super) struct Entry {
    /// Everything, the line end and a leading byte order mark included.
    pub span: Range<usize>,
    /// The text without mark and line end.
    pub body: Range<usize>,
    /// The number of its first line, from 1.
    pub line: usize,
    pub kind: Kind,
}

pub(super) enum Kind {
    Blank,
    /// `# ...` or `; ...`; `disabled` is the key of a commented-out assignment (`# export KEY=x`).
    Comment {
        disabled: Option<Range<usize>>,
    },
    Assignment(Assignment),
    /// A key in a notation that only Compose reads: `KEY`, `KEY: value`. It counts as being there, and is never shown, since a
    /// stray line of a pasted certificate looks the same.
    Mention {
        key: Range<usize>,
    },
    Junk,
}

pub(super) struct Assignment {
    pub export: bool,
    pub key: Range<usize>,
    /// What follows `=`, up to the end of the entry: blanks, quotes and a comment included.
    pub rest: Range<usize>,
    /// A quote at the start of the value is closed.
    pub terminated: bool,
}

impl<'a> File<'a> {
    /// Cuts any bytes.
    pub fn lex(bytes: &'a [u8]) -> Self {
        let mut file = File { bytes, entries: Vec::new() };
        let (mut at, mut line) = (0, 1);
        while at < bytes.len() {
            let entry = file.entry(at, line);
            line += bytes[entry.span.clone()].iter().filter(|byte| **byte == b'\n').count();
            at = entry.span.end;
            file.entries.push(entry);
        }
        file
    }

    /// The text of a range; what is not UTF-8 is replaced.
    pub fn text(&self, range: &Range<usize>) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(&self.bytes[range.clone()])
    }

    /// A key: the lexer only makes ranges of ASCII for them.
    pub fn key(&self, range: &Range<usize>) -> &'a str {
        std::str::from_utf8(&self.bytes[range.clone()]).unwrap_or_default()
    }

    /// The assignments, in order.
    pub fn assignments(&self) -> impl Iterator<Item = (&Entry, &Assignment)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Assignment(assignment) => Some((entry, assignment)),
            _ => None,
        })
    }

    /// The first assignment whose quote is never closed: it swallows the rest of the file.
    pub fn unterminated(&self) -> Option<&Entry> {
        self.assignments().find(|(_, assignment)| !assignment.terminated).map(|(entry, _)| entry)
    }

    /// The length of a byte order mark at the start.
    pub fn mark(&self) -> usize {
        if self.bytes.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 }
    }

    fn entry(&self, start: usize, line: usize) -> Entry {
        let text_start = if start == 0 { self.mark() } else { start };
        let (text_end, end) = line_end(self.bytes, text_start);
        let body = text_start..text_end;
        match self.kind_of_line(&body) {
            Kind::Assignment(assignment) => self.assignment(assignment, start, text_start, line),
            kind => Entry { span: start..end, body, line, kind },
        }
    }

    fn kind_of_line(&self, body: &Range<usize>) -> Kind {
        let first = skip_blanks(self.bytes, body.start, body.end);
        match self.bytes[first..body.end].first() {
            None => Kind::Blank,
            Some(b'#' | b';') => Kind::Comment { disabled: self.disabled_key(first, body.end) },
            Some(_) => match self.key_at(first, body.end) {
                Some(Key { export, key, separator: Some(separator) }) if self.bytes[separator] == b'=' => {
                    match self.looks_like_encoded_data(&key, separator + 1..body.end) {
                        true => Kind::Junk,
                        false => {
                            let rest = separator + 1..body.end;
                            Kind::Assignment(Assignment { export, key, rest, terminated: true })
                        }
                    }
                }
                Some(Key { key, .. }) => Kind::Mention { key },
                None => Kind::Junk,
            },
        }
    }

    /// The last line of base64 data pasted without quotes ends in `=` and is no key, and would else be shown as one.
    fn looks_like_encoded_data(&self, key: &Range<usize>, rest: Range<usize>) -> bool {
        let key = &self.bytes[key.clone()];
        let rest = self.bytes[rest].trim_ascii();
        (rest.is_empty() || rest == b"=")
            && key.len() >= 16
            && key.iter().all(u8::is_ascii_alphanumeric)
            && key.iter().any(u8::is_ascii_lowercase)
            && key.iter().any(u8::is_ascii_uppercase)
    }

    fn disabled_key(&self, comment: usize, end: usize) -> Option<Range<usize>> {
        let marks = self.bytes[comment..end].iter().take_while(|byte| matches!(byte, b'#' | b';')).count();
        let first = skip_blanks(self.bytes, comment + marks, end);
        let key = self.key_at(first, end)?;
        key.separator.filter(|separator| self.bytes[*separator] == b'=').map(|_| key.key)
    }

    fn key_at(&self, start: usize, end: usize) -> Option<Key> {
        let plain = Key { export: false, ..self.bare_key(start, end)? };
        if &self.bytes[plain.key.clone()] == b"export" && plain.separator.is_none() {
            let first = skip_blanks(self.bytes, plain.key.end, end);
            return if first > plain.key.end {
                self.bare_key(first, end).map(|key| Key { export: true, ..key })
            } else {
                Some(plain)
            };
        }
        let after = skip_blanks(self.bytes, plain.key.end, end);
        // a word followed by another is prose or data
        (plain.separator.is_some() || after == end).then_some(plain)
    }

    fn bare_key(&self, start: usize, end: usize) -> Option<Key> {
        let bytes = &self.bytes[start..end];
        let length =
            bytes.iter().take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')).count();
        let starts_well = bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
        if !starts_well {
            return None;
        }
        let key = start..start + length;
        let next = skip_blanks(self.bytes, key.end, end);
        let separator = match self.bytes[next..end].first() {
            Some(b'=') => Some(next),
            Some(b':') if self.bytes[next + 1..end].first().is_none_or(|byte| *byte == b' ') => Some(next),
            _ => None,
        };
        Some(Key { export: false, key, separator })
    }

    /// Finds the end of a value that may go over several lines. A quote opens only where systemd, dotenv and Compose agree that it
    /// does: at the start of the value, or right after a closed one. `A=don't` is one line.
    fn assignment(&self, mut assignment: Assignment, start: usize, text_start: usize, line: usize) -> Entry {
        let bytes = self.bytes;
        let mut at = assignment.rest.start;
        let mut closed_one = false;
        loop {
            let next = skip_blanks(bytes, at, bytes.len());
            match bytes.get(next) {
                Some(b'"' | b'\'') if next == at || !closed_one => match closing_quote(bytes, next) {
                    Some(end) => (at, closed_one) = (end, true),
                    None => {
                        assignment.terminated = false;
                        at = bytes.len();
                        break;
                    }
                },
                _ => break,
            }
        }
        let (text_end, end) = if assignment.terminated { line_end(bytes, at) } else { (bytes.len(), bytes.len()) };
        assignment.rest.end = text_end;
        Entry { span: start..end, body: text_start..text_end, line, kind: Kind::Assignment(assignment) }
    }
}

struct Key {
    export: bool,
    key: Range<usize>,
    /// Where `=` or `:` is.
    separator: Option<usize>,
}

/// The position after the quote that closes the one at `open`. A backslash hides the next byte in double quotes alone.
fn closing_quote(bytes: &[u8], open: usize) -> Option<usize> {
    let quote = bytes[open];
    let mut at = open + 1;
    while at < bytes.len() {
        match bytes[at] {
            byte if byte == quote => return Some(at + 1),
            b'\\' if quote == b'"' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// The end of the text of the line at `from`, and the end with its line end (LF or CRLF).
pub(super) fn line_end(bytes: &[u8], from: usize) -> (usize, usize) {
    match bytes[from..].iter().position(|byte| *byte == b'\n') {
        Some(length) => {
            let feed = from + length;
            (if feed > from && bytes[feed - 1] == b'\r' { feed - 1 } else { feed }, feed + 1)
        }
        None => (bytes.len(), bytes.len()),
    }
}

fn skip_blanks(bytes: &[u8], from: usize, end: usize) -> usize {
    from + bytes[from..end].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(text: &str) -> String {
        let file = File::lex(text.as_bytes());
        let show = |entry: &Entry| match &entry.kind {
            Kind::Blank => "blank".to_owned(),
            Kind::Comment { disabled: None } => "comment".to_owned(),
            Kind::Comment { disabled: Some(key) } => format!("off {}", file.key(key)),
            Kind::Assignment(found) => format!(
                "{}{}={}{}",
                if found.export { "export " } else { "" },
                file.key(&found.key),
                file.text(&found.rest).escape_debug(),
                if found.terminated { "" } else { " OPEN" }
            ),
            Kind::Mention { key } => format!("mention {}", file.key(key)),
            Kind::Junk => "junk".to_owned(),
        };
        file.entries.iter().map(|entry| format!("{}:{}", entry.line, show(entry))).collect::<Vec<_>>().join("|")
    }

    #[test]
    fn lines_are_what_every_reader_takes_them_for() {
        assert_eq!(shape("A=1\n\n# c\nexport B = 2\r\n"), "1:A=1|2:blank|3:comment|4:export B= 2");
        assert_eq!(shape("\u{feff}A=1"), "1:A=1");
        assert_eq!(shape("export=1\nexport A\nA.b-c=1"), "1:export=1|2:mention A|3:A.b-c=1");
        assert_eq!(shape("#A=1\n## export B=\n;C=2\n# use A=1"), "1:off A|2:off B|3:off C|4:comment");
        assert_eq!(shape("KEY\nKEY: v\n=x\n9=1\nhello world\n"), "1:mention KEY|2:mention KEY|3:junk|4:junk|5:junk");
        assert_eq!(shape("MIIEvQIBADANBgkqhkiG9w0B==\n"), "1:junk");
    }

    #[test]
    fn a_quoted_value_goes_over_lines_and_an_apostrophe_does_not() {
        assert_eq!(shape("A=\"x\ny\" # c\nB=1"), "1:A=\"x\\ny\" # c|3:B=1".replace("\"x\\ny\"", "\\\"x\\ny\\\""));
        assert_eq!(shape("A='x\n\\'\nB=1"), "1:A=\\'x\\n\\\\\\'|3:B=1");
        assert_eq!(shape("A=\"x\\\"\ny\"\nB=1"), "1:A=\\\"x\\\\\\\"\\ny\\\"|3:B=1");
        assert_eq!(shape("A=don't\nB=1"), "1:A=don\\'t|2:B=1");
        assert_eq!(shape("A=\"x\"'y\nz'\nB=1"), "1:A=\\\"x\\\"\\'y\\nz\\'|3:B=1");
        assert_eq!(shape("A=\"x\" 'y\nB=1"), "1:A=\\\"x\\\" \\'y|2:B=1");
        assert_eq!(shape("A=1\nB=\"x\nC=1\n"), "1:A=1|2:B=\\\"x\\nC=1\\n OPEN");
    }

    proptest! {
        #[test]
        fn every_byte_belongs_to_one_entry(bytes in prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"A=\"'\\\n\r# export".to_vec())], 0..200)) {
            let file = File::lex(&bytes);
            let mut at = 0;
            for entry in &file.entries {
                prop_assert_eq!(entry.span.start, at);
                prop_assert!(entry.span.start <= entry.body.start && entry.body.end <= entry.span.end);
                prop_assert!(entry.span.end > at);
                at = entry.span.end;
            }
            prop_assert_eq!(at, bytes.len());
        }
    }
}
