//! Release notes: the sections of a changelog between two versions.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::text::harmless;

/// The notes of one release. All text is harmless for a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseNote {
    /// The version; `None`: unreleased.
    pub version: Option<Version>,
    /// The heading without `#`.
    pub heading: String,
    /// The text below it, lines without the final blank ones.
    pub body: Vec<String>,
}

/// The sections of a changelog (Keep a Changelog, plain `## x.y.z`, `# v1.2.3 (date)`, setext headings) after `after` and up to `upto`,
/// oldest first. `after == None`: only `upto`'s own. `upto == None`: no upper end. `unreleased`: also the unreleased section, last.
///
/// Versions compare by precedence (semver.org, rule 11), build metadata aside. A version that has several sections, as
/// `## manager-v1.7.1` and `## runner-v1.7.1` in one file, keeps them all, in the order of the file.
pub fn between(changelog: &str, after: Option<&Version>, upto: Option<&Version>, unreleased: bool) -> Vec<ReleaseNote> {
    let is_wanted = |version: &Version| match (after, upto) {
        (Some(after), Some(upto)) => version.cmp_precedence(after).is_gt() && version.cmp_precedence(upto).is_le(),
        (Some(after), None) => version.cmp_precedence(after).is_gt(),
        (None, Some(upto)) => version.cmp_precedence(upto).is_eq(),
        (None, None) => false,
    };
    let (mut wanted, rest): (Vec<_>, Vec<_>) =
        sections(changelog).into_iter().partition(|note| note.version.as_ref().is_some_and(is_wanted));
    wanted.sort_by(|a, b| match (&a.version, &b.version) {
        (Some(a), Some(b)) => a.cmp_precedence(b),
        _ => std::cmp::Ordering::Equal,
    });
    wanted.extend(rest.into_iter().filter(|note| unreleased && note.version.is_none()));
    wanted
}

/// A heading: its level from 1, and its text.
struct Heading {
    level: usize,
    text: String,
}

/// What a heading names.
enum Release {
    Version(Version),
    Unreleased,
}

/// All sections in the order of the file.
fn sections(changelog: &str) -> Vec<ReleaseNote> {
    let mut found = Vec::new();
    // the level and the note of the section that is being read
    let mut open: Option<(usize, ReleaseNote)> = None;
    for block in blocks(changelog) {
        match block {
            Block::Line(line) => open.iter_mut().for_each(|(_, note)| note.body.push(harmless(&line))),
            Block::Heading(heading, source) => {
                let level = open.as_ref().map_or(usize::MAX, |(level, _)| *level);
                match release(&heading.text) {
                    Some(release)
                        if heading.level <= level || heading.level <= 3 && stands_below(&open, &heading.text) =>
                    {
                        found.extend(open.take().map(|(_, note)| note));
                        let version = match release {
                            Release::Version(version) => Some(version),
                            Release::Unreleased => None,
                        };
                        let note = ReleaseNote { version, heading: harmless(&plain(&heading.text)), body: Vec::new() };
                        open = Some((heading.level, note));
                    }
                    None if heading.level <= level => found.extend(open.take().map(|(_, note)| note)),
                    _ => {
                        open.iter_mut().for_each(|(_, note)| note.body.extend(source.iter().map(|line| harmless(line))))
                    }
                }
            }
        }
    }
    found.extend(open.map(|(_, note)| note));
    found.iter_mut().for_each(trim);
    found
}

/// Whether a heading below that of a release names one of its own: conventional-changelog writes patches one level below minors,
/// others write all releases of a series below it. "### Tested with Debian 12.5" does not.
fn stands_below(open: &Option<(usize, ReleaseNote)>, heading: &str) -> bool {
    leads_with_version(heading) || open.as_ref().is_some_and(|(_, note)| names_a_series(&note.heading))
}

fn trim(note: &mut ReleaseNote) {
    let is_blank = |line: &String| line.trim().is_empty();
    let lead = note.body.iter().take_while(|line| is_blank(line)).count();
    note.body.drain(..lead);
    note.body.iter_mut().for_each(|line| line.truncate(line.trim_end().len()));
    while note.body.last().is_some_and(is_blank) {
        note.body.pop();
    }
    // what HTML comments and link references leave behind
    note.body.dedup_by(|line, before| is_blank(line) && is_blank(before));
}

/// A piece of Markdown: what matters here is what is a heading and what only looks like one.
enum Block {
    /// A heading, and the lines that it was written in.
    Heading(Heading, Vec<String>),
    Line(String),
}

/// CommonMark's headings outside of code fences and HTML comments. Comments and link reference definitions are left out.
fn blocks(text: &str) -> Vec<Block> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<Fence> = None;
    let mut in_comment = false;
    for raw in text.split(['\n', '\r']) {
        fence = fence.filter(|open| !open.is_left_by(raw));
        if let Some(open) = &fence {
            if open.is_closed_by(raw) {
                fence = None;
            }
            blocks.push(Block::Line(raw.to_owned()));
            continue;
        }
        let was_in_comment = in_comment;
        let line = without_comments(raw, &mut in_comment);
        if (was_in_comment || line != raw) && line.trim().is_empty() || is_link_reference(&line) {
            continue;
        }
        if let Some(opened) = fence_opened(&line) {
            fence = Some(opened);
            blocks.push(Block::Line(line));
        } else if let Some(heading) = atx_heading(&line) {
            blocks.push(Block::Heading(heading, vec![line]));
        } else {
            match (setext_level(&line), blocks.pop()) {
                (Some(level), Some(Block::Line(above))) if is_paragraph(&above) => {
                    let heading = Heading { level, text: above.trim().to_owned() };
                    blocks.push(Block::Heading(heading, vec![above, line]));
                }
                (_, above) => {
                    blocks.extend(above);
                    blocks.push(Block::Line(line));
                }
            }
        }
    }
    blocks
}

/// The line with `<!-- ... -->` taken out.
fn without_comments(line: &str, in_comment: &mut bool) -> String {
    let mut kept = String::new();
    let mut rest = line;
    loop {
        let mark = if *in_comment { "-->" } else { "<!--" };
        let Some((before, after)) = rest.split_once(mark) else {
            if !*in_comment {
                kept.push_str(rest);
            }
            return kept;
        };
        // `<!--` in a code span is text
        if !*in_comment && before.matches('`').count() % 2 == 1 {
            kept.push_str(rest);
            return kept;
        }
        if !*in_comment {
            kept.push_str(before);
        }
        *in_comment = !*in_comment;
        rest = after;
    }
}

/// Less than four blanks in front, else it is code.
fn unindented(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len() < 4).then_some(text)
}

/// A code fence that is open.
struct Fence {
    mark: char,
    length: usize,
    indent: usize,
}

impl Fence {
    fn is_closed_by(&self, line: &str) -> bool {
        unindented(line).is_some_and(|text| {
            let text = text.trim_end();
            text.chars().count() >= self.length && text.chars().all(|c| c == self.mark)
        })
    }

    /// A fence in a list item ends with the item.
    fn is_left_by(&self, line: &str) -> bool {
        self.indent >= 2 && !line.is_empty() && !line.starts_with([' ', '\t'])
    }
}

fn fence_opened(line: &str) -> Option<Fence> {
    let text = unindented(line)?;
    let mark = text.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let length = text.chars().take_while(|c| *c == mark).count();
    let is_span = mark == '`' && text[length..].contains('`');
    (length >= 3 && !is_span).then_some(Fence { mark, length, indent: line.len() - text.len() })
}

fn atx_heading(line: &str) -> Option<Heading> {
    let text = unindented(line)?;
    let level = text.chars().take_while(|c| *c == '#').count();
    let rest = &text[level..];
    if !(1..=6).contains(&level) || !(rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return None;
    }
    let rest = rest.trim();
    let unclosed = rest.trim_end_matches('#');
    let text = if unclosed.is_empty() || unclosed.ends_with([' ', '\t']) { unclosed.trim_end() } else { rest };
    Some(Heading { level, text: text.to_owned() })
}

fn setext_level(line: &str) -> Option<usize> {
    let text = unindented(line)?.trim_end();
    let all = |mark: char| !text.is_empty() && text.chars().all(|c| c == mark);
    all('=').then_some(1).or(all('-').then_some(2))
}

fn is_paragraph(line: &str) -> bool {
    let starts_a_list = |text: &str| text.starts_with(['-', '*', '+', '>']) && text[1..].starts_with(' ');
    unindented(line).is_some_and(|text| !text.trim().is_empty() && !starts_a_list(text) && setext_level(line).is_none())
}

/// `[1.7.1]: https://...`
fn is_link_reference(line: &str) -> bool {
    let label = unindented(line).and_then(|text| text.strip_prefix('['));
    label.and_then(|text| text.split_once("]:")).is_some_and(|(label, target)| {
        !label.is_empty() && !label.starts_with('^') && !label.contains(']') && target.split_whitespace().count() <= 2
    })
}

/// The release that a heading names: the version comes first, after at most a few words and a component's name.
fn release(heading: &str) -> Option<Release> {
    let text = plain(heading);
    let mut words = text.split([' ', '\t', '(', ')', ',', ':', '/']).filter(|word| !word.is_empty());
    let first = words.next()?;
    if first.eq_ignore_ascii_case("unreleased") || first.eq_ignore_ascii_case("upcoming") {
        return Some(Release::Unreleased);
    }
    if let Some(version) = version(first) {
        return Some(Release::Version(version));
    }
    // "Version 1.2.3", "Release v1.2.3", "esup-runner manager 1.2.3"; a sentence that mentions a version is no release
    let lead = [first].into_iter().chain(words).take(4).collect::<Vec<_>>();
    let at = lead.iter().position(|word| version(word).is_some())?;
    let is_name = |word: &&str| !PROSE.contains(&word.to_ascii_lowercase().as_str());
    lead[..at].iter().all(is_name).then(|| version(lead[at]).map(Release::Version)).flatten()
}

/// "0.18" above "0.18.2": what stands over several releases.
fn names_a_series(heading: &str) -> bool {
    let is_full = |word: &str| version(word).is_some() && word.matches('.').count() >= 2;
    !heading.split([' ', ',', '(', ')']).any(is_full)
}

fn leads_with_version(heading: &str) -> bool {
    plain(heading).split_whitespace().next().is_some_and(|first| version(first).is_some())
}

/// Words in front of a version that make a sentence of it.
const PROSE: &[&str] = &[
    "from",
    "to",
    "since",
    "before",
    "after",
    "until",
    "in",
    "of",
    "for",
    "with",
    "migrating",
    "upgrading",
    "upgrade",
    "migration",
    "changes",
    "see",
    "and",
    "breaking",
    "fixed",
    "added",
    "changed",
    "removed",
    "deprecated",
    "security",
    "support",
    "supports",
    "requires",
    "python",
    "node",
    "java",
    "php",
    "postgresql",
    "mysql",
];

/// A version at the end of a word, after `v` or a component's prefix: `1.7.1`, `v1.7`, `manager-v1.7.1-rc.1`.
fn version(word: &str) -> Option<Version> {
    let word = word.trim_end_matches(['.', ';', '*', '_']);
    let starts = word.char_indices().filter(|(at, c)| c.is_ascii_digit() && is_version_start(&word[..*at]));
    starts.map(|(at, _)| &word[at..]).find_map(|text| {
        Version::parse(text).ok().or_else(|| {
            // "1.7" is 1.7.0; a date or a bare number is no version
            let parts = text.split('.').collect::<Vec<_>>();
            let are_numbers =
                parts.iter().all(|part| !part.is_empty() && part.len() < 4 && part.bytes().all(|b| b.is_ascii_digit()));
            (parts.len() == 2 && are_numbers).then(|| Version::parse(&format!("{text}.0")).ok()).flatten()
        })
    })
}

fn is_version_start(before: &str) -> bool {
    let prefix = before.strip_suffix(['v', 'V']).unwrap_or(before);
    prefix.is_empty() || prefix.ends_with(['-', '_', '@', '/']) && prefix.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The text of a heading without Markdown: `[1.2.3](url)`, `[1.2.3][ref]`, `**1.2.3**`, `` `1.2.3` ``.
fn plain(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            ']' => {
                let target = match rest.chars().next() {
                    Some('(') => rest.find(')'),
                    Some('[') => rest.find(']'),
                    _ => None,
                };
                rest = target.map_or(rest, |end| &rest[end + 1..]);
            }
            '[' | '*' | '`' => {}
            c => text.push(c),
        }
    }
    text.trim().to_owned()
}

pub mod robust;
#[cfg(test)]
mod tests;
