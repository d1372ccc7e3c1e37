//! The two files as one: the host's value wherever it has one. Tables merge key by key, arrays of tables by what names their
//! elements; an array whose elements have no name is taken whole.

use toml::{Table, Value};

use super::super::document::Key;
use super::{Origins, Side};

/// What names the elements of the arrays that merge.
const NAMED_BY: [(&str, &str); 5] =
    [("component", "name"), ("step", "name"), ("unit", "file"), ("env", "file"), ("peer", "name")];
/// The arrays that are those of both files, the repository's first. Of migrations of one version the host's counts.
const JOINED: [&str; 2] = ["hook", "migration"];

/// The key that an element of an array called `array` is named by.
pub(super) fn named_by(array: &str) -> Option<&'static str> {
    NAMED_BY.iter().find(|(name, _)| *name == array).map(|(_, by)| *by)
}

/// A merge, and where everything in it is from.
#[derive(Default)]
pub(super) struct Merge {
    pub origins: Origins,
}

/// An element or table of one file, and its key there.
type Own<'v, T> = Option<(&'v T, Key)>;

impl Merge {
    /// The file that a key of the whole is from.
    pub fn side(&self, key: &str) -> Option<Side> {
        self.origins.get(key).map(|(side, _)| *side)
    }

    pub fn tables(&mut self, host: Option<&Table>, repository: Option<&Table>) -> Table {
        let top = Key::default();
        self.table(&top, host.map(|table| (table, top.clone())), repository.map(|table| (table, top.clone())))
    }

    fn table(&mut self, at: &Key, host: Own<Table>, repository: Own<Table>) -> Table {
        let mut merged = Table::new();
        let names = host.iter().chain(&repository).flat_map(|(table, _)| table.keys().cloned());
        for name in names.collect::<std::collections::BTreeSet<_>>() {
            let key = at.name(&name);
            let own = |side: &Own<Table>| {
                side.as_ref().and_then(|(table, own)| Some((table.get(&name)?.clone(), own.name(&name))))
            };
            let value = match (own(&host), own(&repository)) {
                (Some((Value::Table(host), host_key)), Some((Value::Table(other), other_key))) => {
                    self.note(&key, Side::Host, &host_key);
                    Value::Table(self.table(&key, Some((&host, host_key)), Some((&other, other_key))))
                }
                (Some((Value::Array(host), host_key)), Some((Value::Array(other), other_key)))
                    if named_by(&name).is_some() || JOINED.contains(&name.as_str()) =>
                {
                    self.note(&key, Side::Host, &host_key);
                    Value::Array(self.array(&name, &key, (&host, &host_key), (&other, &other_key)))
                }
                (Some((value, own)), _) => self.whole(&key, Side::Host, &own, value),
                (None, Some((value, own))) => self.whole(&key, Side::Repository, &own, value),
                (None, None) => continue,
            };
            merged.insert(name, value);
        }
        merged
    }

    /// In the repository's order, then what only the host has.
    fn array(
        &mut self,
        array: &str,
        at: &Key,
        (host, host_key): (&[Value], &Key),
        (repository, repository_key): (&[Value], &Key),
    ) -> Vec<Value> {
        let name_of = |value: &Value| name_of(array, value);
        let mut merged = Vec::new();
        for (number, theirs) in repository.iter().enumerate() {
            let (key, own) = (at.index(merged.len()), repository_key.index(number));
            let ours =
                host.iter().enumerate().find(|(_, ours)| name_of(ours).is_some() && name_of(ours) == name_of(theirs));
            merged.push(match (ours, theirs) {
                // What root runs, or PID 1, the host declares alone.
                (Some((number, ours)), _) if is_hosts_alone(array, ours) => {
                    self.whole(&key, Side::Host, &host_key.index(number), ours.clone())
                }
                (Some((number, Value::Table(ours))), Value::Table(theirs)) => {
                    self.note(&key, Side::Repository, &own);
                    Value::Table(self.table(&key, Some((ours, host_key.index(number))), Some((theirs, own))))
                }
                _ => self.whole(&key, Side::Repository, &own, theirs.clone()),
            });
        }
        for (number, ours) in host.iter().enumerate() {
            if !repository.iter().any(|theirs| name_of(theirs).is_some() && name_of(theirs) == name_of(ours)) {
                let key = at.index(merged.len());
                merged.push(self.whole(&key, Side::Host, &host_key.index(number), ours.clone()));
            }
        }
        merged
    }

    fn whole(&mut self, key: &Key, side: Side, own: &Key, value: Value) -> Value {
        self.note(key, side, own);
        match &value {
            Value::Table(table) => {
                for (name, value) in table {
                    self.whole(&key.name(name), side, &own.name(name), value.clone());
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    self.whole(&key.index(at), side, &own.index(at), value.clone());
                }
            }
            _ => {}
        }
        value
    }

    fn note(&mut self, key: &Key, side: Side, own: &Key) {
        self.origins.insert(key.to_string(), (side, own.clone()));
    }
}

/// What an element is named by.
fn name_of(array: &str, value: &Value) -> Option<String> {
    let text = |key: &str| value.get(key)?.as_str();
    match array {
        "migration" => Some(format!("{} {}", text("component").unwrap_or_default(), text("version")?)),
        _ => text(named_by(array)?).map(str::to_owned),
    }
}

/// A migration, a step that root runs, and a unit of the system manager.
fn is_hosts_alone(array: &str, value: &Value) -> bool {
    let says = |key: &str, word: &str| value.get(key).and_then(Value::as_str) == Some(word);
    match array {
        "step" => says("as", "root"),
        "unit" => says("scope", "system"),
        "migration" => true,
        _ => false,
    }
}

/// The host's file alone, without what only the repository's could make whole.
pub(super) fn without_open_ends(mut merged: Table) -> Table {
    // What names components may name those of the other file.
    for name in ["compatibility", "hook", "migration"] {
        merged.remove(name);
    }
    let mut components = match merged.remove("component") {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    keep(&mut components, &["name", "path"]);
    for component in components.iter_mut().filter_map(Value::as_table_mut) {
        let needs: [(&str, &[&str]); 4] =
            [("step", &["name", "run"]), ("unit", &["file"]), ("env", &["file", "example"]), ("check", &["run"])];
        for (array, keys) in needs {
            if let Some(list) = component.get_mut(array).and_then(Value::as_array_mut) {
                keep(list, keys);
            }
        }
        // It may name steps of the other file.
        component.remove("needs");
    }
    merged.insert("component".into(), Value::Array(components));
    merged
}

fn keep(list: &mut Vec<Value>, keys: &[&str]) {
    list.retain(|value| keys.iter().all(|key| value.get(key).is_some()));
}
