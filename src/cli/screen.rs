//! The last place before the terminal. Whoever makes a text makes what is in it harmless, since only there is it known what is
//! of others; this makes sure that nothing which was forgotten there, or comes through a library, drives a terminal all the same.

use std::borrow::Cow;
use std::fmt::Write;

use crate::text::harmless;

/// The longest line that is shown, in characters: a few screens of a wide terminal. JSON is never cut.
const WIDEST: usize = 2_000;

/// `text` with nothing in it that a terminal acts upon but line ends and the styles that this program uses, and with lines that
/// are far too long cut, which they say.
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_fine = |line: &str| line.len() <= WIDEST && harmless(line) == line;
    if text.split('\n').all(is_fine) {
        return Cow::Borrowed(text);
    }
    let mut page = String::with_capacity(text.len());
    for (at, line) in text.split('\n').enumerate() {
        if at > 0 {
            page.push('\n');
        }
        push(&mut page, line.strip_suffix('\r').unwrap_or(line));
    }
    Cow::Owned(page)
}

/// As [`shown`], for what somebody may keep in a file: no line is cut.
pub fn whole(text: &str) -> String {
    text.split('\n').map(styled).collect::<Vec<_>>().join("\n")
}

fn push(page: &mut String, line: &str) {
    let line = styled(line);
    let mut room = WIDEST;
    let mut rest = line.as_str();
    while let Some(first) = rest.chars().next() {
        let length = style(rest).unwrap_or(first.len_utf8());
        if first != '\x1b' && room == 0 {
            let reset = if line.contains('\x1b') { "\x1b[0m" } else { "" };
            // Writing to a String cannot fail.
            write!(page, "… ({} characters more){reset}", rest.chars().count()).unwrap_or_default();
            return;
        }
        room -= usize::from(first != '\x1b');
        page.push_str(&rest[..length]);
        rest = &rest[length..];
    }
}

/// A line in which only styles of ours are still escape sequences.
fn styled(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\x1b') {
        safe.push_str(&harmless(&rest[..at]));
        let length = style(&rest[at..]);
        match length {
            Some(length) => safe.push_str(&rest[at..at + length]),
            None => safe.push_str("\\x1b"),
        }
        rest = &rest[at + length.unwrap_or(1)..];
    }
    safe + &harmless(rest)
}

/// The length of the style that `text` begins with, where it is one that hides nothing: SGR of ECMA-48 with nothing but weight,
/// underline, and the colours that can be read on any background.
fn style(text: &str) -> Option<usize> {
    let (parameters, _) = text.strip_prefix("\x1b[")?.split_once('m')?;
    let is_plain = |parameter: &str| {
        matches!(parameter, "" | "0" | "1" | "2" | "4" | "22" | "24" | "39")
            || parameter.len() == 2
                && parameter.starts_with(['3', '9'])
                && matches!(parameter.as_bytes()[1], b'1'..=b'6')
    };
    parameters.split(';').all(is_plain).then(|| parameters.len() + 3)
}

/// JSON with everything escaped that a terminal might act upon: valid, and the same value. serde_json escapes C0 alone.
pub fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        // Between values, JSON has no characters but these of ASCII.
        let is_plain = character.is_ascii() && character != '\x7f';
        if is_plain || harmless(character.encode_utf8(&mut [0; 4])).starts_with(character) {
            safe.push(character);
        } else {
            let units = character.encode_utf16(&mut [0; 2]).to_vec();
            units.iter().for_each(|unit| write!(safe, "\\u{unit:04x}").unwrap_or_default());
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn styles_of_ours_stay_and_nothing_else_of_a_terminal_does() {
        assert_eq!(shown("\x1b[1mbold\x1b[0m \x1b[38;5;1mx\n"), "\x1b[1mbold\x1b[0m \\x1b[38;5;1mx\n");
        for evil in
            ["\x1b[8mhidden", "\x1b[30mblack", "\x1b[2J", "\x1b]0;t\x07", "\x1bPq\x1b\\", "\x1b[1", "\u{9b}1m", "a\rb"]
        {
            let shown = shown(evil).into_owned();
            assert!(!shown.contains(['\x1b', '\u{9b}', '\x07', '\r']), "{shown:?}");
        }
        assert_eq!(shown("a\tb\r\nc\u{2028}d\n"), "a b\nc d\n");
        assert!(matches!(shown("plain\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_says_so() {
        let long = format!("\x1b[1m{}\x1b[0m\nshort\n", "é".repeat(100_000));
        let shown = shown(&long).into_owned();
        assert!(shown.len() < 3 * WIDEST && shown.ends_with("characters more)\x1b[0m\nshort\n"), "{}", shown.len());
        assert!(whole(&"x".repeat(100_000)).len() == 100_000);
    }

    proptest! {
        #[test]
        fn nothing_drives_a_terminal_whatever_the_text(text in prop_oneof![any::<String>(), "(\x1b\\[|\x1b|[0-9;mJa\r\n\u{202e}]){0,30}"]) {
            let shown = shown(&text);
            let plain = crate::text::uncoloured(&shown);
            prop_assert_eq!(plain.split('\n').find(|line| harmless(line) != **line), None);
            prop_assert_eq!(super::shown(&shown).into_owned(), shown.clone().into_owned());
        }

        #[test]
        fn json_stays_what_it_was_and_is_safe_to_look_at(text in any::<String>()) {
            let safe = json(&serde_json::to_string(&text).unwrap());
            prop_assert_eq!(&harmless(&safe), &safe);
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), text);
        }
    }
}
