//! Texts compared: the lines that differ, the words that differ within them, and the word that is nearest to a mistyped one.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, Hunk, InternedInput};

/// Lines that are shown around a change, as diff(1) does.
const CONTEXT: usize = 3;

/// From which share of common words on two versions of lines are shown as one that was changed.
const ALIKE: f64 = 0.5;

/// More words than this in one change are no line that somebody compares by eye.
const MANY_WORDS: usize = 20_000;

/// Two texts by line.
pub struct Compared<'text> {
    /// The lines of the old text, with their ends.
    pub old: Vec<&'text str>,
    /// Those of the new one.
    pub new: Vec<&'text str>,
    hunks: Vec<Hunk>,
}

/// A part of both texts: the lines of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Lines of the old text, from 0.
    pub old: Range<usize>,
    /// Lines of the new one.
    pub new: Range<usize>,
    /// Whether they are the same.
    pub is_same: bool,
}

impl<'text> Compared<'text> {
    /// Compares two texts.
    pub fn of(old: &'text str, new: &'text str) -> Compared<'text> {
        let lines = |text: &'text str| -> Vec<&str> { text.split_inclusive('\n').collect() };
        let (old, new) = (lines(old), lines(new));
        let input = interned(&old, &new);
        let mut diff = Diff::compute(Algorithm::Histogram, &input);
        diff.postprocess_lines(&input);
        let hunks = diff.hunks().collect();
        Compared { old, new, hunks }
    }

    /// Both texts from their first line to their last.
    pub fn parts(&self) -> Vec<Part> {
        self.around(&self.hunks, usize::MAX)
    }

    /// Changes that are near each other, each group with the lines around it.
    fn groups(&self) -> Vec<Vec<Part>> {
        let is_near = |one: &Hunk, next: &Hunk| (next.before.start - one.before.end) as usize <= 2 * CONTEXT;
        self.hunks.chunk_by(is_near).map(|hunks| self.around(hunks, CONTEXT)).collect()
    }

    /// These changes, what is between them, and so many lines before and after.
    fn around(&self, hunks: &[Hunk], context: usize) -> Vec<Part> {
        let [Some(first), Some(last)] = [hunks.first(), hunks.last()] else {
            return vec![same(0, 0, self.old.len())];
        };
        let before = (first.before.start as usize).min(context);
        let (mut old, mut new) = (first.before.start as usize - before, first.after.start as usize - before);
        let mut parts = Vec::new();
        for hunk in hunks {
            let change = Part { old: range(&hunk.before), new: range(&hunk.after), is_same: false };
            parts.push(same(old, new, change.old.start - old));
            (old, new) = (change.old.end, change.new.end);
            parts.push(change);
        }
        let after = (self.old.len() - last.before.end as usize).min(context);
        parts.push(same(old, new, after));
        parts.retain(|part| !part.old.is_empty() || !part.new.is_empty());
        parts
    }
}

fn same(old: usize, new: usize, count: usize) -> Part {
    Part { old: old..old + count, new: new..new + count, is_same: true }
}

fn range(lines: &Range<u32>) -> Range<usize> {
    lines.start as usize..lines.end as usize
}

/// A unified diff, three lines around each change and no header. With `colour`, the words that differ are bold. The texts have to be
/// harmless already.
pub fn unified(old: &str, new: &str, colour: bool) -> String {
    let compared = Compared::of(old, new);
    let mut text = String::new();
    for parts in compared.groups() {
        let header = header(&parts);
        text.push_str(&if colour { format!("\x1b[36m{header}\x1b[0m\n") } else { header + "\n" });
        for part in parts {
            let (old, new) = (&compared.old[part.old], &compared.new[part.new]);
            if part.is_same {
                old.iter().for_each(|line| text.push_str(&format!(" {}\n", unended(line))));
                continue;
            }
            let (removed, added) = if colour { inline(old, new) } else { (plain(old), plain(new)) };
            for (lines, sign, style) in [(removed, '-', "\x1b[31m"), (added, '+', "\x1b[32m")] {
                for line in lines {
                    text.push_str(&if colour {
                        format!("{style}{sign}{line}\x1b[0m\n")
                    } else {
                        format!("{sign}{line}\n")
                    });
                }
            }
        }
    }
    text
}

/// `@@ -1,3 +1,4 @@`: the first line and how many, which is left out where it is one; of no line, the one before.
fn header(parts: &[Part]) -> String {
    let side = |of: fn(&Part) -> &Range<usize>| {
        let (start, end) =
            (parts.first().map_or(0, |part| of(part).start), parts.last().map_or(0, |part| of(part).end));
        match end - start {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        }
    };
    format!("@@ -{} +{} @@", side(|part| &part.old), side(|part| &part.new))
}

fn plain(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| unended(line).to_owned()).collect()
}

/// The lines that went and those that came, the words that differ in bold where they are much the same.
fn inline<'text>(old: &[&'text str], new: &[&'text str]) -> (Vec<String>, Vec<String>) {
    let all = |lines: &[&'text str]| -> Vec<&str> { lines.iter().flat_map(|line| words(line)).collect() };
    let (before, after) = (all(old), all(new));
    let count = before.len() + after.len();
    if old.is_empty() || new.is_empty() || count > MANY_WORDS {
        return (plain(old), plain(new));
    }
    let diff = Diff::compute(Algorithm::Myers, &interned(&before, &after));
    let common = count - (diff.count_removals() + diff.count_additions()) as usize;
    if (common as f64) < ALIKE * count as f64 {
        return (plain(old), plain(new));
    }
    (emphasised(old, |word| diff.is_removed(word)), emphasised(new, |word| diff.is_added(word)))
}

/// Lines with some of their words in bold; words are counted through all of them.
fn emphasised(lines: &[&str], is_bold: impl Fn(u32) -> bool) -> Vec<String> {
    let mut at = 0;
    let mut shown = Vec::new();
    for line in lines {
        let (mut text, mut is_open) = (String::new(), false);
        for word in words(line) {
            let is_wanted = is_bold(at) && !unended(word).is_empty();
            if is_wanted != is_open {
                text.push_str(if is_wanted { "\x1b[1m" } else { "\x1b[22m" });
                is_open = is_wanted;
            }
            text.push_str(unended(word));
            at += 1;
        }
        if is_open {
            text.push_str("\x1b[22m");
        }
        shown.push(text);
    }
    shown
}

/// Runs of letters and digits, runs of blanks, and every other character by itself.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let class = |character: char| match character {
        '\n' | '\r' => 0,
        _ if character.is_alphanumeric() || character == '_' => 1,
        _ if character.is_whitespace() => 2,
        _ => 3,
    };
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = class(rest.chars().next()?);
        let is_end = |&(at, character): &(usize, char)| at > 0 && (first == 3 || class(character) != first);
        let end = rest.char_indices().find(is_end).map_or(rest.len(), |(at, _)| at);
        let word;
        (word, rest) = rest.split_at(end);
        Some(word)
    })
}

/// A line without its end.
pub fn unended(line: &str) -> &str {
    line.trim_end_matches(['\n', '\r'])
}

/// The known word that is nearest to one that is not: twice the characters that both have in the same order, by all characters
/// of both, is at least `least` of 1.
pub fn nearest<'word>(word: &'word str, known: &[&'word str], least: f64) -> Option<&'word str> {
    let characters = |text: &'word str| -> Vec<&str> { text.split_inclusive(|_| true).collect() };
    let one = characters(word);
    let alike = |other: &'word str| {
        let other = characters(other);
        let diff = Diff::compute(Algorithm::MyersMinimal, &interned(&one, &other));
        let all = one.len() + other.len();
        let common = all - (diff.count_removals() + diff.count_additions()) as usize;
        common as f64 / all.max(1) as f64
    };
    let near = known.iter().map(|other| (alike(other), *other)).filter(|(alike, _)| *alike >= least);
    // The first of those that are as near.
    near.reduce(|best, next| if next.0 > best.0 { next } else { best }).map(|(_, other)| other)
}

fn interned<'text>(old: &[&'text str], new: &[&'text str]) -> InternedInput<&'text str> {
    let mut input = InternedInput::default();
    input.update_before(old.iter().copied());
    input.update_after(new.iter().copied());
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn numbers(lines: Range<usize>) -> String {
        lines.map(|number| format!("{number}\n")).collect()
    }

    #[test]
    fn changes_far_from_each_other_are_hunks_of_their_own() {
        let old = numbers(1..30);
        let new = old.replace("2\n3\n", "2\nnew\n3\n").replacen("20\n", "", 1);
        insta::assert_snapshot!(unified(&old, &new, false), @r"
        @@ -1,5 +1,6 @@
         1
         2
        +new
         3
         4
         5
        @@ -17,7 +18,6 @@
         17
         18
         19
        -20
         21
         22
         23
        ");
    }

    #[test]
    fn nothing_and_something_are_counted_as_diff_does() {
        assert_eq!(unified("", "a\nb\n", false), "@@ -0,0 +1,2 @@\n+a\n+b\n");
        assert_eq!(unified("a\n", "", false), "@@ -1 +0,0 @@\n-a\n");
        assert_eq!(unified("a\n", "a\n", false), "");
        assert_eq!(unified("", "", true), "");
    }

    #[test]
    fn only_the_words_that_differ_are_bold_and_none_where_nearly_all_do() {
        let shown = unified("PORT = 8000 # here\n", "PORT = 9000 # here\n", true);
        assert!(shown.contains("\x1b[31m-PORT = \x1b[1m8000\x1b[22m # here\x1b[0m\n"), "{shown:?}");
        assert!(shown.contains("\x1b[32m+PORT = \x1b[1m9000\x1b[22m # here\x1b[0m\n"), "{shown:?}");
        assert!(!unified("one\n", "two three\n", true).contains("\x1b[1m"));
        let end = unified("a b c d", "a b c d e\r\n", true);
        assert!(end.contains("+a b c d\x1b[1m e\x1b[22m\x1b[0m\n"), "{end:?}");
    }

    #[test]
    fn a_mistyped_word_finds_the_nearest_and_a_strange_one_none() {
        let known = ["upgrade", "update", "rollback"];
        assert_eq!(nearest("upgarde", &known, 0.6), Some("upgrade"));
        assert_eq!(nearest("updat", &known, 0.6), Some("update"));
        assert_eq!(nearest("xyz", &known, 0.6), None);
        assert_eq!(nearest("", &known, 0.6), None);
        assert_eq!(nearest("version", &["version"], 1.0), Some("version"));
    }

    proptest! {
        #[test]
        fn the_new_text_can_be_made_of_the_old_one_and_the_diff(old in "([ab]\n){0,12}", new in "([abc]\n){0,12}") {
            let compared = Compared::of(&old, &new);
            let (mut made, mut left) = (String::new(), String::new());
            for part in compared.parts() {
                let (old, new) = (&compared.old[part.old], &compared.new[part.new]);
                prop_assert!(!part.is_same || old == new);
                made.extend(new.iter().copied());
                left.extend(old.iter().copied());
            }
            prop_assert_eq!((left, made), (old.clone(), new.clone()));
            let shown = unified(&old, &new, true);
            let uncoloured = crate::text::uncoloured(&shown);
            prop_assert_eq!(uncoloured, unified(&old, &new, false));
        }

        #[test]
        fn the_words_of_a_line_are_the_line(line in "\\PC{0,40}") {
            prop_assert_eq!(words(&line).collect::<String>(), line);
        }
    }
}
