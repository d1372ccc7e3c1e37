//! The whole, with the file that each key is from.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::document::{Document, Key};
use super::super::{Install, effective};
use super::Side;
use crate::error::Result;

/// What an install comes to, as TOML, each key with the file that says so in a comment.
pub fn shown(install: &Install) -> Result<String> {
    let text = effective(install)?;
    let document = Document::parse(&text);
    let mut leaves = Vec::new();
    table(&Key::default(), document.tree.get_ref(), &mut leaves);
    leaves.sort_by_key(|(_, end)| std::cmp::Reverse(*end));
    let mut shown = text.clone();
    for (key, end) in leaves {
        let line_end = text[end..].find('\n').map_or(text.len(), |at| end + at);
        shown.insert_str(line_end, &format!("  # {}", source(install, &key)));
    }
    Ok(shown)
}

/// Every key of the whole and the file that it is from, for a program.
pub fn sources(install: &Install) -> Result<BTreeMap<String, String>> {
    let text = effective(install)?;
    let document = Document::parse(&text);
    let mut leaves = Vec::new();
    table(&Key::default(), document.tree.get_ref(), &mut leaves);
    Ok(leaves.into_iter().map(|(key, _)| (key.clone(), source(install, &key))).collect())
}

fn source(install: &Install, key: &str) -> String {
    match install.layered.as_ref().and_then(|layered| Some((layered, layered.keys.get(key)?))) {
        Some((layered, Side::Repository)) => layered.manifest.title(),
        Some((_, Side::Host)) => install.file.display().to_string(),
        None => "default".into(),
    }
}

/// The keys that hold values, and where in the text each ends.
fn table(at: &Key, table: &DeTable<'_>, leaves: &mut Vec<(String, usize)>) {
    for (name, found) in table.iter() {
        value(&at.name(name.get_ref()), found, leaves);
    }
}

fn value(key: &Key, found: &Spanned<DeValue<'_>>, leaves: &mut Vec<(String, usize)>) {
    match found.get_ref() {
        DeValue::Table(inner) => table(key, inner, leaves),
        DeValue::Array(list) if list.iter().any(|value| value.get_ref().is_table()) => {
            for (at, one) in list.iter().enumerate() {
                value(&key.index(at), one, leaves);
            }
        }
        _ => leaves.push((key.to_string(), found.span().end)),
    }
}
