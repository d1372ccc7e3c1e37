//! The schema of manifests as the raw structs have it, which `schema.json` must be: an editor or a manual that reads one would
//! be wrong otherwise, and so would every check of a manifest.

use serde_json::{Map, Value, json};

use super::raw;

/// The JSON Schema (draft 2020-12) of a manifest. TOML has no null, so the schema has none.
fn generated() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12();
    let mut schema = settings.into_generator().into_root_schema_for::<raw::Manifest>().to_value();
    without_null(&mut schema);
    schema["title"] = json!("relift manifest");
    schema["properties"]["schema"]["const"] = json!(1);
    schema
}

fn without_null(value: &mut Value) {
    match value {
        Value::Object(object) => object_without_null(object),
        Value::Array(list) => list.iter_mut().for_each(without_null),
        _ => {}
    }
}

fn object_without_null(object: &mut Map<String, Value>) {
    let null = json!({ "type": "null" });
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| *choice != null);
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            only.into_iter().for_each(|(key, value)| {
                object.entry(key).or_insert(value);
            });
        }
    }
    if let Some(Value::Array(types)) = object.get("type")
        && let Some(only) = types.iter().find(|name| *name != "null").cloned()
    {
        object.insert("type".into(), only);
    }
    if let Some(Value::String(text)) = object.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    object.values_mut().for_each(without_null);
}

#[test]
fn the_schema_is_that_of_the_raw_structs() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manifest/schema.json");
    let pretty = serde_json::to_string_pretty(&generated()).unwrap();
    // A line for each value, and nothing in the program for how far in it stands.
    let text: String = pretty.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    if std::env::var_os("RELIFT_SCHEMA").is_some() {
        std::fs::write(file, &text).unwrap();
    }
    let is_same = std::fs::read_to_string(file).unwrap() == text;
    assert!(is_same, "the structs have changed; write it anew: RELIFT_SCHEMA=1 cargo test --lib manifest::schema");
    assert_eq!(super::schema(), generated());
}
