//! What systemd makes of a unit file and its drop-ins: the settings in effect, systemd.syntax(7).

use std::collections::{BTreeMap, BTreeSet};

use super::keys::{Nature, Reset, nature, reset};

/// One assignment as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub section: String,
    pub key: String,
    pub value: String,
}

/// The assignments of a file in order. As systemd does it: lines end in LF, CR or CRLF; a backslash at the end joins the next line
/// with a space, comment lines in between do not count, and a blank line ends it; `#` and `;` comment whole lines only; what is
/// outside of a section or has no `=` is ignored, and so are sections and keys that start with `X-`.
pub(super) fn assignments(unit: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut section = None;
    for line in logical_lines(unit) {
        let line = line.trim_matches([' ', '\t']);
        if let Some(name) = line.strip_prefix('[') {
            section = name.strip_suffix(']').map(str::to_owned);
        } else if let (Some(section), Some((key, value))) = (&section, line.split_once('=')) {
            let key = key.trim_matches([' ', '\t']);
            if !key.is_empty() && !section.starts_with("X-") && !key.starts_with("X-") {
                let value = value.trim_matches([' ', '\t']).to_owned();
                found.push(Assignment { section: section.clone(), key: key.to_owned(), value });
            }
        }
    }
    found
}

fn logical_lines(unit: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = String::new();
    for line in unit.trim_start_matches('\u{feff}').split(['\n', '\r', '\0']) {
        let continues = !open.is_empty();
        if line.trim_start_matches([' ', '\t']).starts_with(['#', ';']) {
            continue;
        }
        open.push_str(line);
        if ends_in_backslash(&open) && !line.is_empty() {
            open.pop();
            open.push(' ');
        } else if continues || !open.is_empty() {
            lines.push(std::mem::take(&mut open));
        }
    }
    lines.push(open);
    lines
}

/// Whether a line ends in a backslash that no other one escapes.
pub(super) fn ends_in_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The settings in effect: by section and group, the assignments that count, in order.
///
/// A group is a key by itself, or the keys that share one list, such as `OnCalendar=` and `OnBootSec=`: an empty assignment to one of
/// them resets all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Settings {
    groups: BTreeMap<(String, String), Vec<(String, String)>>,
}

impl Settings {
    /// What is in effect for a unit file with drop-ins, those in the order in which systemd reads them.
    pub fn of(unit: &str, drop_ins: &[&str]) -> Settings {
        let mut settings = Settings::default();
        for text in std::iter::once(&unit).chain(drop_ins) {
            for assignment in assignments(text) {
                settings.assign(assignment);
            }
        }
        settings.groups.retain(|(section, group), values| match nature(section, group) {
            Nature::Single { default: Some(default), .. } => values.iter().any(|(_, value)| value != default),
            _ => !values.is_empty(),
        });
        settings
    }

    fn assign(&mut self, Assignment { section, key, value }: Assignment) {
        let group = super::keys::group(&section, &key).to_owned();
        let nature = nature(&section, &group);
        let values = self.groups.entry((section, group)).or_default();
        match (nature, value.is_empty()) {
            (Nature::Dependencies, true) | (Nature::Single { resets: false, .. }, true) => {}
            (Nature::Single { .. }, true) => values.clear(),
            (Nature::Single { .. }, false) => *values = vec![(key, value)],
            (Nature::Dependencies, false) => {
                for word in value.split_ascii_whitespace() {
                    if values.iter().all(|(_, known)| known != word) {
                        values.push((key.clone(), word.to_owned()));
                    }
                }
                values.sort();
            }
            (Nature::List, _) => {
                let reset = reset(&key, &value);
                // with no capability left, the next one is the first, and there is none to take away
                if key == "CapabilityBoundingSet" && matches!(values.as_slice(), [(_, only)] if only.is_empty()) {
                    match value.strip_prefix('~') {
                        Some("") | None => values.clear(),
                        Some(_) => return,
                    }
                }
                if reset != Reset::No {
                    values.clear();
                }
                if reset != Reset::ToDefault {
                    values.push((key, normal(&value)));
                }
            }
        }
    }

    /// The section and group of all settings of both.
    pub fn groups<'a>(&'a self, other: &'a Settings) -> BTreeSet<&'a (String, String)> {
        self.groups.keys().chain(other.groups.keys()).collect()
    }

    /// The assignments of a group, `(key, value)`.
    pub fn values(&self, group: &(String, String)) -> &[(String, String)] {
        self.groups.get(group).map_or(&[], Vec::as_slice)
    }
}

/// Blanks outside of quotes as one space, as they separate words: a list that is written over several lines is the same list.
fn normal(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut quote = None;
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (_, '\\') => {
                text.push(c);
                text.extend(characters.next());
            }
            (None, ' ' | '\t') if text.ends_with(' ') => {}
            (None, ' ' | '\t') => text.push(' '),
            (None, '"' | '\'') if text.is_empty() || text.ends_with([' ', '=', '-', '+', '!', '@', ':']) => {
                quote = Some(c);
                text.push(c);
            }
            (Some(open), c) if open == c => {
                quote = None;
                text.push(c);
            }
            _ => text.push(c),
        }
    }
    text
}
