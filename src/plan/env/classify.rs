//! The three-way comparison: which keys differ, and how.

use std::collections::{BTreeMap, BTreeSet};

use super::lexer::{Assignment, File, Kind};
use super::placeholder::{asks_to_be_replaced, likeness, names, share_a_word};
use super::readers::Reader;
use super::{Class, KeyChange, Shape, dotenv};
use crate::manifest::Dialect;
use crate::text::harmless;

/// What a file says about keys.
pub(super) struct Keys {
    /// Live keys in order of first appearance, with the value of the last assignment.
    pub live: Vec<(String, String)>,
    values: BTreeMap<String, String>,
    /// Keys that are commented out, or named without a value.
    mentioned: BTreeSet<String>,
    /// Keys that are commented out, in order of first appearance.
    documented: Vec<String>,
}

impl Keys {
    pub fn of(file: &File, dialect: Dialect) -> Self {
        let mut values = BTreeMap::new();
        let mut order = Vec::new();
        for (_, assignment) in file.assignments() {
            let key = file.key(&assignment.key).to_owned();
            if values.insert(key.clone(), value(file, assignment, dialect)).is_none() {
                order.push(key);
            }
        }
        let documented = file.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Comment { disabled: Some(key) } => Some(file.key(key).to_owned()),
            _ => None,
        });
        let mut documented: Vec<String> = documented.collect();
        let mut seen = BTreeSet::new();
        documented.retain(|key| !values.contains_key(key) && seen.insert(key.clone()));
        let mentioned = file.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Comment { disabled: Some(key) } | Kind::Mention { key } => Some(file.key(key).to_owned()),
            _ => None,
        });
        // a key that only dotenv libraries see, within what others take for a value, is there as well
        let mentioned = mentioned.chain(dotenv::values(file).into_keys()).collect();
        let live = order.into_iter().map(|key| (key.clone(), values[&key].clone())).collect();
        Keys { live, values, mentioned, documented }
    }

    pub fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    pub fn has(&self, key: &str) -> bool {
        self.values.contains_key(key) || self.mentioned.contains(key)
    }

    fn is_only_mentioned(&self, key: &str) -> bool {
        !self.values.contains_key(key) && self.mentioned.contains(key)
    }
}

/// The three sides of a comparison.
pub(super) struct Sides<'a> {
    pub base: Option<&'a Keys>,
    pub theirs: &'a Keys,
    pub mine: &'a Keys,
    /// Upstream's comments in the new example, by key.
    pub comments: &'a BTreeMap<String, Vec<String>>,
    /// Keys whose values may be shown.
    pub public: &'a [String],
}

impl Sides<'_> {
    /// All changes: in upstream's order, then in the operator's.
    pub fn changes(&self) -> Vec<KeyChange> {
        let mut changes: Vec<KeyChange> =
            self.theirs.live.iter().filter_map(|(key, value)| self.offered(key, value)).collect();
        let mut new: BTreeSet<&str> = changes
            .iter()
            .filter(|change| matches!(change.class, Class::Added { .. }))
            .map(|change| change.key.as_str())
            .filter(|key| self.base.is_some_and(|base| !base.has(key)))
            .collect();
        let mut own = self.newly_documented();
        for (key, _) in &self.mine.live {
            own.extend(self.left_behind(key, &mut new));
        }
        changes.extend(own);
        changes
    }

    /// A key of the new example.
    fn offered(&self, key: &str, default: &str) -> Option<KeyChange> {
        let old = self.base.and_then(|base| base.value(key));
        let class = match self.mine.value(key) {
            Some(mine) => {
                let old = old.filter(|old| *old != default && mine != default)?;
                Class::DefaultChanged { mine_was_default: mine == old }
            }
            None if self.mine.has(key) => return None,
            None => {
                let placeholder = asks_to_be_replaced(default, old);
                // a key that the operator took out stays out, unless upstream now asks for a value
                let newly_asked =
                    placeholder && old.is_some_and(|old| !asks_to_be_replaced(old, None) && old != default);
                (old.is_none() || newly_asked).then_some(())?;
                Class::Added { placeholder }
            }
        };
        Some(self.change(key, class, key))
    }

    /// Keys that the new example documents, commented out, and that neither the old one nor the operator knows.
    fn newly_documented(&self) -> Vec<KeyChange> {
        let Some(base) = self.base else { return Vec::new() };
        let new = self.theirs.documented.iter().filter(|key| !base.has(key) && !self.mine.has(key));
        new.map(|key| self.change(key, Class::NewOptional, key)).collect()
    }

    /// A key of the operator that the new example does not have. Takes the key that it may have become out of `new`.
    fn left_behind(&self, key: &str, new: &mut BTreeSet<&str>) -> Option<KeyChange> {
        let base = self.base?;
        if self.theirs.has(key) {
            return None;
        }
        if !base.has(key) {
            return Some(self.change(key, Class::OnlyMine, ""));
        }
        let Some(to) = self.successor(key, base, new) else {
            return Some(self.change(key, Class::RemovedUpstream, ""));
        };
        new.remove(to.as_str());
        let comment_of = to.clone();
        Some(self.change(key, Class::MaybeRenamed { to }, &comment_of))
    }

    fn successor(&self, old: &str, base: &Keys, new: &BTreeSet<&str>) -> Option<String> {
        let score = |candidate: &str| -> Option<usize> {
            if self.comments.get(candidate).is_some_and(|lines| lines.iter().any(|line| names(line, old))) {
                return Some(1000);
            }
            let same_default = match (base.value(old), self.theirs.value(candidate)) {
                (Some(before), Some(after)) => before == after && before.len() >= 4 && share_a_word(old, candidate),
                _ => false,
            };
            likeness(old, candidate).or(same_default.then_some(50))
        };
        let scored = new.iter().filter_map(|candidate| Some((score(candidate)?, *candidate)));
        scored.max_by_key(|(score, candidate)| (*score, std::cmp::Reverse(*candidate))).map(|(_, to)| to.to_owned())
    }

    fn change(&self, key: &str, class: Class, comment_of: &str) -> KeyChange {
        let is_public = |key: &str| self.public.iter().any(|public| public == key);
        let default = self.theirs.value(comment_of);
        let old = self.base.and_then(|base| base.value(key));
        KeyChange {
            key: key.to_owned(),
            class,
            comment: self.comments.get(comment_of).cloned().unwrap_or_default(),
            asks: default.is_some_and(|default| asks_to_be_replaced(default, old)),
            decided: None,
            mine: self.mine.value(key).map(|value| Shape::of(value, is_public(key))),
            theirs: default.map(|value| Shape::of(value, is_public(comment_of))),
        }
    }

    /// What a person should look at, though no key is added for it.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (key, _) in &self.theirs.live {
            let old = self.base.and_then(|base| base.value(key));
            if self.mine.is_only_mentioned(key) && old.is_none() {
                warnings.push(format!("{key}: new upstream, but commented out here: not added"));
            }
            let legacy = self.mine.live.iter().map(|(key, _)| key).find(|mine| {
                let comment = self.comments.get(key).into_iter().flatten();
                !self.theirs.has(mine)
                    && !self.mine.has(key)
                    && old.is_none()
                    && comment.into_iter().any(|line| names(line, mine))
            });
            warnings.extend(legacy.map(|legacy| {
                format!("{key}: added with upstream's default, and upstream names it beside {legacy}, which is set here: compare them")
            }));
        }
        warnings.extend(
            self.stale().iter().map(|key| {
                format!("{key}: upstream now asks for a value of your own, and here is still the old default")
            }),
        );
        warnings
    }

    /// Keys whose old default is still here, though upstream now asks for a value of one's own.
    pub fn stale(&self) -> Vec<String> {
        let is_stale = |(key, default): &&(String, String)| {
            let old = self.base.and_then(|base| base.value(key));
            let is_old = old.is_some_and(|old| old != default && self.mine.value(key) == Some(old));
            is_old && asks_to_be_replaced(default, old)
        };
        self.theirs.live.iter().filter(is_stale).map(|(key, _)| key.clone()).collect()
    }
}

/// A value as the reader of the file sees it, references to other keys not replaced.
fn value(file: &File, assignment: &Assignment, dialect: Dialect) -> String {
    let alone = || {
        let line = assignment.key.start..assignment.rest.end;
        Reader::Systemd.read(&file.bytes[line]).set().remove(file.key(&assignment.key))
    };
    let by_systemd = if dialect == Dialect::Systemd { alone() } else { None };
    by_systemd.unwrap_or_else(|| dotenv::value(file, assignment))
}

/// The comment block above each key, commented out or not: the comment lines that touch it, without those up to another key that
/// is commented out.
pub(super) fn comments(file: &File) -> BTreeMap<String, Vec<String>> {
    let mut comments = BTreeMap::new();
    for (index, entry) in file.entries.iter().enumerate() {
        let key = match &entry.kind {
            Kind::Assignment(assignment) => file.key(&assignment.key),
            Kind::Comment { disabled: Some(key) } => file.key(key),
            _ => continue,
        };
        if comments.contains_key(key) && !matches!(entry.kind, Kind::Assignment(_)) {
            continue;
        }
        let lines = block_above(file, index).map(|above| {
            let text = file.text(&file.entries[above].body);
            harmless(text.trim().trim_start_matches(['#', ';']).trim())
        });
        comments.insert(key.to_owned(), lines.collect());
    }
    comments
}

/// The entries of the comment block above the assignment, or the key that is commented out, at `index`.
pub(super) fn block_above(file: &File, index: usize) -> std::ops::Range<usize> {
    let own = match &file.entries[index].kind {
        Kind::Assignment(assignment) => file.key(&assignment.key),
        Kind::Comment { disabled: Some(key) } => file.key(key),
        _ => "",
    };
    let belongs = |above: &usize| match &file.entries[*above].kind {
        Kind::Comment { disabled: Some(key) } => file.key(key) == own,
        Kind::Comment { disabled: None } => true,
        _ => false,
    };
    let length = (0..index).rev().take_while(belongs).count();
    index - length..index
}
