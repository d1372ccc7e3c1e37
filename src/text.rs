//! Text of others, made harmless for a terminal, and text of ours, freed of secrets.

use std::fmt::Write;

/// What stands in place of a secret.
pub const REDACTED: &str = "<redacted>";

/// Shows what a terminal would act upon instead of passing it on: C0 and C1 controls and escape sequences as `\x1b`, marks that
/// reorder, join or hide text (Unicode TR36: bidirectional controls, zero-width and filler characters, tags) as `\u{202e}`.
/// Line ends and tabs become one space each. What comes out is one line, and unchanged by a second pass.
pub fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => shown.push(' '),
            c if c.is_control() => drop(write!(shown, "\\x{:02x}", u32::from(c))),
            c if is_deceptive(c) => drop(write!(shown, "\\u{{{:x}}}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// `text` as one word of a shell, to be pasted: as it is where that is safe, else in quotes, and in those of bash(1) (`$'...'`,
/// ANSI-C quoting) where it holds what cannot be shown as it is. What comes out is harmless.
pub fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && !text.starts_with(['-', '=']) && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let is_shown = |c: char| !c.is_control() && !is_deceptive(c) && !matches!(c, '\u{2028}' | '\u{2029}');
    if text.chars().all(is_shown) {
        return format!("'{}'", text.replace('\'', "'\\''"));
    }
    let mut quoted = String::from("$'");
    for character in text.chars() {
        match character {
            '\'' | '\\' => quoted.extend(['\\', character]),
            c if is_shown(c) => quoted.push(c),
            c => c.encode_utf8(&mut [0; 4]).bytes().for_each(|byte| quoted.push_str(&format!("\\x{byte:02x}"))),
        }
    }
    quoted + "'"
}

/// `text`, and an ellipsis in place of what is beyond `width` characters.
pub fn shortened(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// A number of bytes as a person reads it: `1.50 MiB`.
pub fn bytes(count: u64) -> String {
    indicatif::BinaryBytes(count).to_string()
}

/// `1 minute`, `2 minutes`.
pub fn minutes(count: u64) -> String {
    if count == 1 { "1 minute".into() } else { format!("{count} minutes") }
}

/// `text` without the sequences that set colours (SGR of ECMA-48); what else would drive a terminal stays for [`harmless`].
pub fn uncoloured(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit() || matches!(c, ';' | ':'));
        match rest.strip_prefix('m') {
            Some(rest) => plain.push_str(rest),
            None => plain.extend(["\x1b[", piece]),
        }
    }
    plain
}

/// `text` in lines of at most `width` characters, broken between words; a longer word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut lines = vec![indent];
    for (at, word) in text.split_whitespace().enumerate() {
        let last = lines.len() - 1;
        let fits = lines[last].chars().count() + 1 + word.chars().count() <= width;
        match (at, fits) {
            (0, _) => lines[last].push_str(word),
            (_, true) => lines[last].extend([" ", word]),
            (_, false) => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Characters that take no space, or change the direction or the grouping of those around them. Variation selectors and
/// combining marks stay: ordinary text of many scripts needs them.
fn is_deceptive(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// `text` with every occurrence of every secret replaced by [`REDACTED`]. Where secrets overlap or touch, all that they cover
/// goes as one, so that no rest of a longer one stays behind a shorter one.
pub fn redact(text: &str, secrets: &[String]) -> String {
    let mut covered: Vec<(usize, usize)> = secrets.iter().flat_map(|secret| occurrences(text, secret)).collect();
    covered.sort_unstable();
    let mut clean = String::with_capacity(text.len());
    let mut shown_to = 0;
    let mut previous_end = None;
    for (start, end) in covered {
        if previous_end.is_none_or(|previous| start > previous) {
            clean.push_str(&text[shown_to..start]);
            clean.push_str(REDACTED);
        }
        shown_to = shown_to.max(end);
        previous_end = Some(shown_to);
    }
    clean.push_str(&text[shown_to..]);
    clean
}

/// Whether a value of a `.env` is to be hidden: not words and numbers that hide nothing, and whose removal would make a log
/// unreadable.
pub fn is_worth_hiding(value: &str) -> bool {
    const COMMON: &[&str] = &[
        "true",
        "false",
        "none",
        "null",
        "auto",
        "enabled",
        "disabled",
        "default",
        "http",
        "https",
        "localhost",
        "127.0.0.1",
        "0.0.0.0",
        "debug",
        "info",
        "warn",
        "warning",
        "error",
        "trace",
        "critical",
        "production",
        "development",
        "staging",
        "test",
        "testing",
        "public",
        "private",
        "local",
        "utf-8",
        "utf8",
        "smtp",
        "ldap",
        "ldaps",
        "sqlite",
        "postgres",
        "mysql",
        "redis",
    ];
    let is_short_number = value.len() < 6 && value.bytes().all(|byte| byte.is_ascii_digit());
    value.chars().count() >= 4 && !is_short_number && !COMMON.contains(&value.to_ascii_lowercase().as_str())
}

/// Where `secret` occurs in `text`, occurrences that overlap each other included.
fn occurrences(text: &str, secret: &str) -> Vec<(usize, usize)> {
    let Some(first) = secret.chars().next() else { return Vec::new() };
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = text[from..].find(secret) {
        let start = from + at;
        found.push((start, start + secret.len()));
        from = start + first.len_utf8();
    }
    found
}

/// Gives every seed of a fuzz target to what it tests.
#[cfg(test)]
pub fn each_seed(target: &str, mut check: impl FnMut(&[u8])) {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let seeds = std::fs::read_dir(&place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    let count = seeds.map(|seed| check(&std::fs::read(seed.unwrap().path()).unwrap())).count();
    assert!(count >= 4, "{count} seeds of {target}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_terminal_is_never_driven_by_text_of_others() {
        assert_eq!(harmless("\x1b[31mred\x1b[0m"), "\\x1b[31mred\\x1b[0m");
        assert_eq!(harmless("\u{9b}2J\u{7}\u{7f}\0"), "\\x9b2J\\x07\\x7f\\x00");
        assert_eq!(harmless("a\r\nb\nc\td\re\u{2028}f"), "a b c d e f");
        assert_eq!(harmless("user\u{202e}txt.exe"), "user\\u{202e}txt.exe");
        for mark in ['\u{61c}', '\u{200b}', '\u{200f}', '\u{202a}', '\u{2066}', '\u{2069}', '\u{feff}', '\u{e0041}'] {
            assert_eq!(harmless(&mark.to_string()), format!("\\u{{{:x}}}", u32::from(mark)));
        }
    }

    #[test]
    fn colours_go_and_what_moves_the_cursor_does_not_go_unseen() {
        assert_eq!(uncoloured("\x1b[1;31m✗ ERROR\x1b[0m: no\x1b[m"), "✗ ERROR: no");
        assert_eq!(harmless(&uncoloured("\x1b[2Jgone\x1b[\x1b[1m31m")), "\\x1b[2Jgone\\x1b[31m");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        assert_eq!(wrapped("  - one two three", 9), ["  - one", "two three"]);
        assert_eq!(wrapped("a-very-long-word x", 5), ["a-very-long-word", "x"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn ordinary_text_of_any_script_stays() {
        for text in ["Grüße, élève — 日本語 العربية עברית हिन्दी", "❤️ 👍🏽 ✓ “quoted”", "e\u{301}", "C:\\dir\\x1b"]
        {
            assert_eq!(harmless(text), text);
        }
    }

    #[test]
    fn the_longest_secret_goes_whole() {
        let secrets = ["abcd".to_owned(), "abcdefgh".to_owned(), "ghij".to_owned()];
        assert_eq!(redact("x abcdefgh y", &secrets), "x <redacted> y");
        assert_eq!(redact("x abcdefghij y", &secrets), "x <redacted> y");
        assert_eq!(redact("abcd, ghij", &secrets), "<redacted>, <redacted>");
        assert_eq!(redact("aXaXa!", &["aXa".to_owned()]), "<redacted>!");
        assert_eq!(redact("nothing", &[String::new()]), "nothing");
    }

    /// Unicode 16: Bidi_Control, Default_Ignorable_Code_Point and Cc, whole; what ordinary text needs of the second is named.
    #[test]
    fn nothing_of_unicodes_lists_goes_through() {
        let lists: &[(u32, u32)] = &[
            (0x00, 0x1f),
            (0x7f, 0x9f),
            (0xad, 0xad),
            (0x34f, 0x34f),
            (0x61c, 0x61c),
            (0x115f, 0x1160),
            (0x17b4, 0x17b5),
            (0x180b, 0x180f),
            (0x200b, 0x200f),
            (0x2028, 0x202e),
            (0x2060, 0x206f),
            (0x3164, 0x3164),
            (0xfe00, 0xfe0f),
            (0xfeff, 0xfeff),
            (0xffa0, 0xffa0),
            (0xfff0, 0xfff8),
            (0x1bca0, 0x1bca3),
            (0x1d173, 0x1d17a),
            (0xe0000, 0xe0fff),
        ];
        let is_needed = |c: char| matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}');
        for c in lists.iter().flat_map(|(first, last)| (*first..=*last).filter_map(char::from_u32)) {
            let shown = harmless(&format!("a{c}b"));
            assert!(is_needed(c) || !shown.contains(c) || c == ' ', "U+{:04X} goes through as {shown:?}", u32::from(c));
            assert!(shown.len() > 2, "U+{:04X} leaves no trace", u32::from(c));
        }
    }

    #[test]
    fn a_word_is_one_word_of_a_shell_with_nothing_that_it_runs() {
        for name in
            ["a b", "$(touch x)", "`id`", "it's", "a\nb; id", "", "\x1b]0;x\x07", "\u{202e}é", "~", "a\\'b\n", "*"]
        {
            let script = format!("printf %s {}", word(name));
            let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&out.stdout), name, "{script}");
            assert_eq!(harmless(&word(name)), word(name));
        }
        assert_eq!(word("/opt/app/a-b_c.d"), "/opt/app/a-b_c.d");
    }

    proptest! {
        #[test]
        fn what_comes_out_is_one_line_without_controls(text in any::<String>()) {
            let once = harmless(&text);
            prop_assert!(!once.chars().any(|c| c.is_control() || is_deceptive(c)));
            prop_assert_eq!(harmless(&once), once);
        }

        #[test]
        fn no_secret_survives(text in "[a-d ]{0,40}", secrets in prop::collection::vec("[a-d]{3,6}", 0..5)) {
            let clean = redact(&text, &secrets);
            for piece in clean.split(REDACTED) {
                for secret in &secrets {
                    prop_assert!(!piece.contains(secret.as_str()));
                }
            }
            let kept: usize = clean.split(REDACTED).map(str::len).sum();
            prop_assert!(kept <= text.len());
            if secrets.iter().all(|secret| !text.contains(secret.as_str())) {
                prop_assert_eq!(clean, text);
            }
        }
    }
}
