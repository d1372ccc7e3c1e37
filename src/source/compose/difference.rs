//! What changes between two outputs of `config`, in Compose's terms. Values of variables are never shown.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::text::harmless;

/// What changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Lines of the plan: service or kind, key, what.
    pub rows: Vec<Vec<String>>,
    /// The services whose containers have to be made anew, new ones among them.
    pub changed: Vec<String>,
    /// The services that the target does not have.
    pub removed: Vec<String>,
    /// What is there now and would not be: ports, volumes, networks, services.
    pub lost: Vec<String>,
}

/// Keys whose entries are compared one by one; what goes from them is lost.
const SETS: [&str; 4] = ["ports", "volumes", "networks", "devices"];
/// Keys whose values are not shown.
const SECRET: [&str; 4] = ["environment", "labels", "build", "secrets"];

/// Compares.
pub fn difference(before: &Value, after: &Value) -> Difference {
    let mut found = Difference::default();
    let (old, new) = (services(before), services(after));
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) if old != new => {
                found.changed.push(name.to_string());
                service(name, old, new, &mut found);
            }
            (None, Some(new)) => {
                found.changed.push(name.to_string());
                let image = new.get("image").map(|image| shown(image)).unwrap_or_default();
                found.row(name, "service", format!("new, {image}"));
            }
            (Some(_), None) => {
                found.removed.push(name.to_string());
                found.lost.push(format!("the service {name}"));
                found.row(name, "service", "removed; its volumes stay".into());
            }
            _ => {}
        }
    }
    for kind in ["volumes", "networks"] {
        let (old, new) = (keys(&before[kind]), keys(&after[kind]));
        for name in old.difference(&new) {
            found.lost.push(format!("{} {name}", &kind[..kind.len() - 1]));
            found.row(kind, name, "not used any more; it stays".into());
        }
        for name in new.difference(&old) {
            found.row(kind, name, "new".into());
        }
        let changed = old.intersection(&new).filter(|name| before[kind][name.as_str()] != after[kind][name.as_str()]);
        for name in changed {
            found.row(kind, name, "changes; Compose does not change one that is there".into());
        }
    }
    found
}

fn service(name: &str, old: &BTreeMap<&str, &Value>, new: &BTreeMap<&str, &Value>, found: &mut Difference) {
    for key in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let (before, after) = (old.get(key), new.get(key));
        if before == after {
            continue;
        }
        if SETS.contains(key) {
            let (before, after) = (entries(before), entries(after));
            for gone in before.difference(&after) {
                found.row(name, key, format!("- {gone}"));
                found.lost.push(format!("{} {gone} of {name}", key.trim_end_matches('s')));
            }
            for new in after.difference(&before) {
                found.row(name, key, format!("+ {new}"));
            }
        } else if SECRET.contains(key) {
            let (before, after) = (variables(before), variables(after));
            for variable in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
                let what = match (before.get(variable), after.get(variable)) {
                    (Some(old), Some(new)) if old == new => continue,
                    (Some(_), Some(_)) => "changes",
                    (None, _) => "new",
                    (_, None) => "goes",
                };
                found.row(name, key, format!("{variable} {what}"));
            }
        } else {
            let word = |value: Option<&&Value>| value.map_or("-".to_owned(), |value| shown(value));
            found.row(name, key, format!("{} -> {}", word(before), word(after)));
        }
    }
}

impl Difference {
    fn row(&mut self, subject: &str, key: &str, what: String) {
        let what = crate::text::shortened(&what, 72);
        self.rows.push([subject, key, &what].map(harmless).into());
    }
}

fn services(config: &Value) -> BTreeMap<&str, BTreeMap<&str, &Value>> {
    let all = config["services"].as_object().into_iter().flatten();
    all.map(|(name, service)| (name.as_str(), map(service))).collect()
}

fn map(value: &Value) -> BTreeMap<&str, &Value> {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value)).collect()
}

fn keys(value: &Value) -> BTreeSet<String> {
    map(value).keys().map(|key| key.to_string()).collect()
}

/// The entries of a list or of a table, as Compose writes both.
fn entries(value: Option<&&Value>) -> BTreeSet<String> {
    match value {
        Some(Value::Array(list)) => list.iter().map(shown).collect(),
        Some(table @ Value::Object(_)) => keys(table),
        _ => BTreeSet::new(),
    }
}

fn variables<'a>(value: Option<&&'a Value>) -> BTreeMap<String, Option<&'a Value>> {
    match value {
        Some(Value::Array(list)) => {
            // `KEY=value`: compared whole, shown by its key.
            let pair = |entry: &'a Value| (shown(entry).split('=').next().unwrap_or_default().to_owned(), Some(entry));
            list.iter().map(pair).collect()
        }
        Some(table) => map(table).into_iter().map(|(key, value)| (key.to_owned(), Some(value))).collect(),
        None => BTreeMap::new(),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Object(mount) if mount.contains_key("target") => {
            let part = |key: &str| mount.get(key).map(|value| value.to_string().replace('"', ""));
            [part("published").or(part("source")), part("target")].into_iter().flatten().collect::<Vec<_>>().join(":")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_lost_port_volume_or_network_is_told_and_no_value_of_a_variable_is() {
        let before = json!({ "services": { "web": {
            "image": "app:1", "ports": ["80:80/tcp", "443:443/tcp"], "volumes": ["data:/data:rw"],
            "networks": { "front": null, "back": null }, "environment": { "TOKEN": "s3cret-a", "SAME": "x" } },
            "db": { "image": "db:1" } }, "volumes": { "data": {} }, "networks": { "front": {}, "back": {} } });
        let after = json!({ "services": { "web": {
            "image": "app:2", "ports": ["80:80/tcp"], "networks": { "front": null },
            "environment": { "TOKEN": "s3cret-b", "SAME": "x", "NEW": "s3cret-c" } },
            "db": { "image": "db:1" } }, "networks": { "front": {} } });
        let found = difference(&before, &after);
        assert_eq!(found.changed, ["web"]);
        assert_eq!(
            found.lost,
            [
                "network back of web",
                "port 443:443/tcp of web",
                "volume data:/data:rw of web",
                "volume data",
                "network back"
            ]
        );
        let text = format!("{:?}", found.rows);
        assert!(
            text.contains("app:1 -> app:2") && text.contains("TOKEN changes") && text.contains("NEW new"),
            "{text}"
        );
        assert!(!text.contains("s3cret") && !text.contains("SAME"), "{text}");
    }

    #[test]
    fn what_is_the_same_changes_nothing() {
        let config = json!({ "services": { "web": { "image": "app:1" } }, "volumes": { "data": null } });
        assert_eq!(difference(&config, &config), Difference::default());
    }

    #[test]
    fn a_service_that_goes_is_a_loss() {
        let found =
            difference(&json!({ "services": { "old": {} } }), &json!({ "services": { "new": { "image": "x" } } }));
        assert_eq!((found.changed, found.removed), (vec!["new".to_owned()], vec!["old".to_owned()]));
        assert_eq!(found.lost, ["the service old"]);
    }
}
