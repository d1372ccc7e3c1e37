//! The shape of a manifest: which keys there are and of which type. Read from the JSON Schema of the raw structs,
//! so that the schema that editors use and the check here cannot disagree.

use serde_json::{Map, Value, json};
use similar::get_close_matches;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Key};
use super::problem::{Fault, Problem};
use super::raw;

/// The JSON Schema (draft 2020-12) of a manifest. TOML has no null, so the schema has none.
pub fn schema() -> Value {
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

/// Everything in the document that the schema does not know or wants otherwise.
pub(super) fn check(document: &Document<'_>) -> Vec<Problem> {
    check_part(document, |_, _| true)
}

/// The same for a part of a manifest: `needs` tells for a table and a key that the schema requires in it whether it has to be
/// in this part.
pub(super) fn check_part(document: &Document<'_>, needs: fn(&Key, &str) -> bool) -> Vec<Problem> {
    let schema = schema();
    let mut walk = Walk { schema: &schema, document, needs, problems: Vec::new() };
    walk.table(&Key::default(), document.tree.get_ref(), &schema);
    walk.problems
}

struct Walk<'a> {
    schema: &'a Value,
    document: &'a Document<'a>,
    needs: fn(&Key, &str) -> bool,
    problems: Vec<Problem>,
}

impl<'a> Walk<'a> {
    /// The schema itself, behind its reference.
    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
        name.map_or(schema, |name| &self.schema["$defs"][name])
    }

    fn fault(&mut self, key: &Key, fault: Fault) {
        self.problems.push(self.document.problem(key, fault));
    }

    fn value(&mut self, key: &Key, value: &Spanned<DeValue<'_>>, schema: &'a Value) {
        let schema = self.resolve(schema);
        let choices = self.choices(schema);
        let fits = choices.iter().find(|choice| type_of(value.get_ref()) == choice["type"]);
        let Some(choice) = fits else {
            return self.fault(key, wrong_type(key, value.get_ref(), &choices));
        };
        match value.get_ref() {
            DeValue::Table(table) => self.table(key, table, choice),
            DeValue::Array(array) => {
                for (index, value) in array.iter().enumerate() {
                    self.value(&key.index(index), value, &choice["items"]);
                }
            }
            DeValue::String(text) => self.word(key, text, choice),
            _ => {}
        }
    }

    /// What a value may be: one schema, or several behind `anyOf`.
    fn choices(&self, schema: &'a Value) -> Vec<&'a Value> {
        match schema.get("anyOf").and_then(Value::as_array) {
            Some(list) => list.iter().map(|choice| self.resolve(choice)).collect(),
            None => vec![schema],
        }
    }

    fn word(&mut self, key: &Key, text: &str, schema: &Value) {
        let Some(words) = schema.get("enum").and_then(Value::as_array) else { return };
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        if words.contains(&text) {
            return;
        }
        let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
        let help = match get_close_matches(text, &words, 1, 0.6).first() {
            Some(near) => format!("did you mean \"{near}\"? It is one of {list}"),
            None => format!("write one of {list}"),
        };
        self.fault(key, Fault::new(format!("\"{text}\" is not known here")).help(help));
    }

    fn table(&mut self, key: &Key, table: &DeTable<'_>, schema: &'a Value) {
        let known = schema.get("properties").and_then(Value::as_object);
        for (name, value) in table.iter() {
            let below = key.name(name.get_ref());
            match known.and_then(|known| known.get(name.get_ref().as_ref())) {
                Some(schema) => self.value(&below, value, schema),
                None if schema["additionalProperties"].is_object() => {
                    self.value(&below, value, &schema["additionalProperties"]);
                }
                None => {
                    let fault = self.unknown(name.get_ref(), schema);
                    let problem = Problem::at(below.to_string(), name.span(), self.document.text, fault);
                    self.problems.push(problem);
                }
            }
        }
        for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
            if !table.contains_key(name) && (self.needs)(key, name) {
                let meaning = known.and_then(|known| known[name]["description"].as_str()).unwrap_or_default();
                let fault = Fault::new(format!("`{name}` is missing")).help(format!("{name}: {meaning}"));
                self.fault(key, fault);
            }
        }
    }

    fn unknown(&self, name: &str, schema: &Value) -> Fault {
        let known = schema.get("properties").and_then(Value::as_object);
        let names: Vec<&str> = known.into_iter().flat_map(|known| known.keys()).map(String::as_str).collect();
        let fault = Fault::new("this key is not known");
        if let Some(near) = get_close_matches(name, &names, 1, 0.65).first() {
            return fault.help(format!("did you mean `{near}`?"));
        }
        let places = self.places(name, &Key::default(), self.schema);
        match places.is_empty() {
            // TOML reads a key that stands below a table's header as that table's.
            false => fault.help(format!(
                "`{name}` is a key of {}; keys belong to the nearest header above them",
                places.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(" and ")
            )),
            true => fault.help(format!("known here: {}", names.join(", "))),
        }
    }

    /// The tables that have a key called `name`.
    fn places(&self, name: &str, at: &Key, schema: &Value) -> Vec<String> {
        let reference = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.rsplit('/').next());
        let schema = reference.map_or(schema, |name| &self.schema["$defs"][name]);
        let inner = schema.get("items").map(|items| self.places(name, at, items)).unwrap_or_default();
        let properties = schema.get("properties").and_then(Value::as_object);
        let here = properties.is_some_and(|known| known.contains_key(name));
        let here = here.then(|| if at.shape().is_empty() { "the top of the file".into() } else { at.shape() });
        let below = properties.into_iter().flatten().flat_map(|(key, schema)| self.places(name, &at.name(key), schema));
        here.into_iter().chain(inner).chain(below).collect()
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "integer" => "an integer",
        "number" => "a float",
        "boolean" => "true or false",
        "array" => "an array",
        "object" => "a table",
        other => other,
    }
}

fn wrong_type(key: &Key, value: &DeValue<'_>, choices: &[&Value]) -> Fault {
    let mut wanted: Vec<&str> = choices.iter().filter_map(|choice| choice["type"].as_str()).map(in_words).collect();
    wanted.dedup();
    let found = in_words(type_of(value));
    let fault = Fault::new(format!("must be {}, not {found}", wanted.join(" or ")));
    match right_form(key, value, choices) {
        Some(help) => fault.help(help),
        None => fault,
    }
}

fn right_form(key: &Key, value: &DeValue<'_>, choices: &[&Value]) -> Option<String> {
    let shape = key.shape();
    let name = shape.rsplit('.').next().unwrap_or_default();
    let wants = |kind: &str| choices.iter().any(|choice| choice["type"] == kind);
    match value {
        DeValue::String(text) if matches!(name, "run" | "command") => Some(format!(
            "no shell is involved: write the program and its arguments as {name} = {:?}",
            text.split_whitespace().collect::<Vec<_>>()
        )),
        DeValue::String(text) if wants("array") => match choices[0]["items"]["type"] == "string" {
            true => Some(format!("write {name} = [{text:?}]")),
            false => None,
        },
        DeValue::Integer(number) if matches!(name, "timeout" | "within" | "soak" | "splay") => {
            Some(format!("write the unit as well: {name} = \"{}s\"", number.as_str()))
        }
        DeValue::Table(_) if wants("array") && key.shape().starts_with("component") => {
            Some(format!("there may be several: write the header as [[{shape}]]"))
        }
        DeValue::String(text) if name == "version" => Some(format!("write version = {{ file = {text:?} }}")),
        DeValue::String(_) if shape == "schema" => Some("write schema = 1".into()),
        DeValue::String(_) | DeValue::Array(_) if name == "when" => {
            Some("write when = { changed = [\"PATH\"] }".into())
        }
        _ => None,
    }
}
