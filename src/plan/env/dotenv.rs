//! Values as a dotenv library reads them. Lines are cut and values are read as dotenvy 0.15 does it, which tests hold against
//! dotenvy itself; a file that dotenvy would refuse is read leniently, as systemd and python-dotenv read it.

use std::collections::BTreeMap;
use std::ops::Range;

use super::lexer::{Assignment, File, line_end};

/// The last assignment of each key.
pub(super) fn values(file: &File) -> BTreeMap<String, String> {
    strict(file).unwrap_or_else(|| lenient(file))
}

/// The value of one assignment, without substitution.
pub(super) fn value(file: &File, assignment: &Assignment) -> String {
    value_of(&file.text(&assignment.rest), &BTreeMap::new())
}

/// What dotenvy yields, or `None` where it refuses a line.
fn strict(file: &File) -> Option<BTreeMap<String, String>> {
    let text = std::str::from_utf8(&file.bytes[file.mark()..]).ok()?;
    let mut values = BTreeMap::new();
    for (_, line) in logical_lines(text) {
        let line = text[line?].trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, rest) = key_and_rest(line)?;
        let value = if rest.is_empty() || rest.starts_with('#') { String::new() } else { parsed(rest, &values)? };
        values.insert(key.to_owned(), value);
    }
    Some(values)
}

fn lenient(file: &File) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (_, assignment) in file.assignments().filter(|(_, assignment)| assignment.terminated) {
        let value = value_of(&file.text(&assignment.rest), &values);
        values.insert(file.key(&assignment.key).to_owned(), value);
    }
    values
}

fn value_of(rest: &str, known: &BTreeMap<String, String>) -> String {
    let rest = rest.trim();
    if rest.is_empty() || rest.starts_with('#') {
        return String::new();
    }
    parsed(rest, known).unwrap_or_else(|| {
        let end = rest.char_indices().find(|(at, c)| *c == '#' && rest[..*at].ends_with([' ', '\t']));
        rest[..end.map_or(rest.len(), |(at, _)| at)].trim_end().to_owned()
    })
}

/// The key of a line, and what follows `=` and the blanks after it. `None`: dotenvy refuses it.
pub(super) fn key_and_rest(line: &str) -> Option<(&str, &str)> {
    let (mut key, mut rest) = key(line)?;
    rest = rest.trim_start();
    if key == "export" && !rest.starts_with('=') {
        (key, rest) = self::key(rest)?;
        rest = rest.trim_start();
    }
    Some((key, rest.strip_prefix('=')?.trim_start()))
}

fn key(text: &str) -> Option<(&str, &str)> {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(())?;
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Reads a value: quotes anywhere in it, escapes outside single quotes, a comment after a blank. `None`: dotenvy refuses it.
/// `${KEY}` of an earlier key is replaced where it is not single-quoted, as every dotenv library does; any other `$` stays,
/// since they disagree there.
fn parsed(input: &str, known: &BTreeMap<String, String>) -> Option<String> {
    let mut value = String::new();
    let mut quote = None;
    let mut rest = input;
    while let Some(c) = rest.chars().next() {
        let tail = &rest[c.len_utf8()..];
        rest = tail;
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), _) => value.push(c),
            (_, '\\') => match tail.chars().next() {
                Some('n') => (value.push('\n'), rest = &tail[1..]).1,
                Some(escaped @ ('\\' | '\'' | '"' | '$' | ' ')) => (value.push(escaped), rest = &tail[1..]).1,
                Some(_) => return None,
                None => {}
            },
            (_, '$') => match reference(tail).and_then(|(key, after)| Some((known.get(key)?, after))) {
                Some((found, after)) => (value.push_str(found), rest = after).1,
                None => value.push('$'),
            },
            (Some(_), _) => value.push(c),
            (None, '\'' | '"') => quote = Some(c),
            (None, ' ' | '\t') => {
                let after = tail.trim_start_matches([' ', '\t']);
                return (after.is_empty() || after.starts_with('#')).then_some(value);
            }
            (None, _) => value.push(c),
        }
    }
    quote.is_none().then_some(value)
}

fn reference(after_dollar: &str) -> Option<(&str, &str)> {
    after_dollar.strip_prefix('{')?.split_once('}')
}

/// Where each line begins and the line as dotenvy puts it together, without its end and a comment that it cuts off; `None`: the
/// text ends within it.
pub(super) fn logical_lines(text: &str) -> impl Iterator<Item = (usize, Option<Range<usize>>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= text.len() {
            return None;
        }
        let (start, (line, end)) = (at, logical_line(text, at));
        at = end;
        Some((start, line))
    })
}

/// The logical line at `start`, and where the next one starts.
fn logical_line(text: &str, start: usize) -> (Option<Range<usize>>, usize) {
    let mut state = State::Complete;
    let mut from = start;
    loop {
        let (text_end, end) = line_end(text.as_bytes(), from);
        if text[start..end].trim_start().starts_with('#') {
            return (Some(start..start), end);
        }
        for (offset, c) in text[from..end].char_indices() {
            state = state.after(c);
            if state == State::Comment {
                return (Some(start..from + offset), end);
            }
        }
        match state {
            State::Complete => return (Some(start..text_end), end),
            _ if end >= text.len() => return (None, end),
            _ => from = end,
        }
    }
}

/// Whether dotenvy takes the whole text for one line and sees it end.
pub(super) fn is_one_logical_line(text: &str) -> bool {
    matches!(logical_line(text, 0), (Some(_), end) if end == text.len())
}

/// Where dotenvy's line reader is. Its quirks are kept: a second blank ends [`State::Blank`], a line end ends an escape, and a
/// backslash escapes in single quotes as well.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Complete,
    Blank,
    Escape,
    Single,
    SingleEscape,
    Double,
    DoubleEscape,
    Comment,
}

impl State {
    fn after(self, c: char) -> State {
        match (self, c) {
            (State::Blank, '#') => State::Comment,
            (State::Blank | State::Complete, '\\') => State::Escape,
            (State::Blank | State::Complete, '"') => State::Double,
            (State::Blank | State::Complete, '\'') => State::Single,
            (State::Complete, c) if c.is_whitespace() && c != '\n' && c != '\r' => State::Blank,
            (State::Blank | State::Complete | State::Escape, _) => State::Complete,
            (State::Double, '\\') => State::DoubleEscape,
            (State::Double, '"') | (State::Single, '\'') => State::Complete,
            (State::Double | State::DoubleEscape, _) => State::Double,
            (State::Single, '\\') => State::SingleEscape,
            (State::Single | State::SingleEscape, _) => State::Single,
            (State::Comment, _) => State::Comment,
        }
    }
}

/// The offsets at which a physical line starts that dotenvy takes for a part of the one before it. A text that it never gets to
/// the end of has no such line from there on, since dotenvy refuses it anyway.
pub(super) fn continued_lines(file: &File) -> Vec<usize> {
    let Ok(text) = std::str::from_utf8(&file.bytes[file.mark()..]) else { return Vec::new() };
    let mut continued = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let (line, end) = logical_line(text, at);
        if line.is_none() {
            break;
        }
        let mut inner = line_end(text.as_bytes(), at).1;
        while inner < end {
            continued.push(file.mark() + inner);
            inner = line_end(text.as_bytes(), inner).1;
        }
        at = end;
    }
    continued
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> BTreeMap<String, String> {
        values(&File::lex(text.as_bytes()))
    }

    fn oracle(text: &str) -> Option<BTreeMap<String, String>> {
        dotenvy::from_read_iter(text.as_bytes()).collect::<Result<_, _>>().ok()
    }

    #[test]
    fn a_file_that_dotenvy_refuses_is_read_as_systemd_and_python_do() {
        let text = "A=hello world # c\nB=don't\nC=\"x y\"\nD=C:\\dir\nE=ok\nF=\"never";
        assert_eq!(oracle(text), None);
        let found = read(text);
        let pairs: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "hello world"), ("B", "don't"), ("C", "x y"), ("D", "C:\\dir"), ("E", "ok")]);
    }

    #[test]
    fn braces_name_an_earlier_key_and_any_other_dollar_stays() {
        let found = read("H=host\nP=1\nU=http://${H}:${P}/$H\nS='${H}'\nW=\"pa$$w0rd${NONE}\"\nE=\\${H}\n");
        assert_eq!(found["U"], "http://host:1/$H");
        assert_eq!(found["S"], "${H}");
        assert_eq!(found["W"], "pa$$w0rd${NONE}");
        assert_eq!(found["E"], "${H}");
    }

    #[test]
    fn the_last_assignment_wins_and_a_byte_order_mark_is_no_part_of_a_key() {
        assert_eq!(read("\u{feff}A=1\nA=2\n")["A"], "2");
        assert_eq!(read("\u{feff}A=1\r\nB=\r\n").len(), 2);
        assert_eq!(values(&File::lex(b"A=\xff\nB=1\n"))["B"], "1");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn what_dotenvy_accepts_is_read_as_dotenvy_reads_it(lines in prop::collection::vec(prop_oneof![
            "(export )?[AB_]{1,2}[ ]?=[ ]?[a-z0-9#/]{0,6}",
            "[ABC]=\"[a '#\\n]{0,8}\"( #[a'\"]{0,3})?",
            "[ABC]='[a \"#\\n\\\\]{0,8}'",
            "[ABC]=([a-c \t#'\"]|\\\\[n\"' \\\\$]){0,8}",
            "[ ]{0,2}#[ a='\"]{0,6}",
            "[ABC ='\"#\\\\n\u{a0}\u{85}]{0,10}",
            "",
        ], 0..6), end in prop_oneof![Just("\n"), Just("\r\n"), Just("")]) {
            let text = lines.join(if end == "\r\n" { "\r\n" } else { "\n" }) + end;
            if let Some(expected) = oracle(&text) {
                prop_assert_eq!(read(&text), expected, "{:?}", text);
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            let file = File::lex(&bytes);
            prop_assert!(values(&file).len() <= bytes.len());
            prop_assert!(continued_lines(&file).iter().all(|at| *at < bytes.len()));
        }
    }
}
