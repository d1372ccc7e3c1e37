//! What a repository's manifest says otherwise than the one before it.

use std::collections::BTreeMap;

use toml::Value;

use super::RepositoryManifest;
use super::merge::named_by;
use crate::text::harmless;

/// How many changes are told one by one.
const TOLD: usize = 200;
/// How much of a value is shown, in characters.
const SHOWN: usize = 100;

/// The differences between two manifests, a line each: `component[app].step[init].run: ["make"] -> ["sh"]`. None where either
/// is no TOML: that is told otherwise.
pub fn changes(old: Option<&RepositoryManifest>, new: Option<&RepositoryManifest>) -> Vec<String> {
    let flat = |manifest: Option<&RepositoryManifest>| {
        let table: toml::Table = manifest.and_then(|manifest| manifest.text.parse().ok()).unwrap_or_default();
        let mut leaves = BTreeMap::new();
        flatten("", "", &Value::Table(table), &mut leaves);
        leaves
    };
    let (old, new) = (flat(old), flat(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let line = |key: &String| match (old.get(key), new.get(key)) {
        (Some(before), Some(after)) if before == after => None,
        (Some(before), Some(after)) => Some(format!("{key}: {before} -> {after}")),
        (None, Some(after)) => Some(format!("{key}: new, {after}")),
        (Some(_), None) => Some(format!("{key}: no longer declared")),
        (None, None) => None,
    };
    let mut lines: Vec<String> = keys.into_iter().filter_map(line).map(|line| harmless(&line)).collect();
    let more = lines.len().saturating_sub(TOLD);
    lines.truncate(TOLD);
    if more > 0 {
        lines.push(format!("and {more} more"));
    }
    lines
}

/// Elements go by their names, so that one more in front changes nothing of the others.
fn flatten(key: &str, name: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                flatten(&key, name, value, leaves);
            }
        }
        Value::Array(list) if list.iter().any(Value::is_table) => {
            for (at, value) in list.iter().enumerate() {
                let by = named_by(name).and_then(|by| value.get(by)?.as_str());
                let element = by.map_or_else(|| at.to_string(), str::to_owned);
                flatten(&format!("{key}[{element}]"), "", value, leaves);
            }
        }
        // Headers may be written out.
        _ if key.contains(".headers.") => drop(leaves.insert(key.to_owned(), "<set>".into())),
        value => {
            let text = value.to_string();
            let text = match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            };
            leaves.insert(key.to_owned(), text);
        }
    }
}
