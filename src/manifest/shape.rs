//! The shape of a manifest: which keys there are and of which type. Read from the JSON Schema of the raw structs,
//! so that the schema that editors use and the check here cannot disagree.

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, Key};
use super::problem::{Fault, Problem};
use super::raw;
use crate::diff::nearest;

/// Generated from the raw structs by the tests, which fail when it is another than theirs: making it takes 0.3 MB of code.
const SCHEMA: &str = include_str!("schema.json");

/// The JSON Schema (draft 2020-12) of a manifest. TOML has no null, so the schema has none.
pub fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap_or_default()
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

/// Whether what serde read of a document is, written out again, of the document's own shape; then [`check`] finds nothing. serde
/// refuses keys and words that are not known, and misses what is required, as the schema does; but it takes an array for a
/// table's values in their order, a table for a word, an integer for a float.
pub(super) fn is_as_read(document: &Document<'_>, raw: &raw::Manifest) -> bool {
    toml::Table::try_from(raw).is_ok_and(|read| is_same_table(document.tree.get_ref(), &read))
}

fn is_same_table(written: &DeTable<'_>, read: &toml::Table) -> bool {
    written.iter().all(|(name, value)| is_same(value.get_ref(), read.get(name.get_ref().as_ref())))
}

fn is_same(written: &DeValue<'_>, read: Option<&toml::Value>) -> bool {
    use toml::Value as Read;
    match (written, read) {
        (DeValue::Table(written), Some(Read::Table(read))) => is_same_table(written, read),
        (DeValue::Array(written), Some(Read::Array(read))) => {
            written.len() == read.len()
                && written.iter().zip(read).all(|(one, read)| is_same(one.get_ref(), Some(read)))
        }
        (DeValue::String(_), Some(Read::String(_)))
        | (DeValue::Integer(_), Some(Read::Integer(_)))
        | (DeValue::Float(_), Some(Read::Float(_)))
        | (DeValue::Boolean(_), Some(Read::Boolean(_))) => true,
        // What says no more than the default is not written out.
        (DeValue::Boolean(_), None) => true,
        (DeValue::Array(written), None) => written.is_empty(),
        (DeValue::Table(written), None) => written.is_empty(),
        _ => false,
    }
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
        let help = match nearest(text, &words, 0.6) {
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
        if let Some(near) = nearest(name, &names, 0.65) {
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

#[cfg(test)]
mod tests {
    use toml::Value as Toml;

    use super::*;

    /// What stands in the place of every value of a manifest, in turn.
    const OTHERS: [&str; 12] = [
        "1",
        "1.5",
        "true",
        "\"\"",
        "\"always\"",
        "[]",
        "[\"a\"]",
        "[[]]",
        "{}",
        "{ a = 1 }",
        "{ pure = {} }",
        "1979-05-27",
    ];

    /// Every manifest that is made of one by changing a value, leaving it out, or adding a key.
    fn mutations(value: &Toml, others: &[Toml]) -> Vec<Toml> {
        let mut found: Vec<Toml> = others.to_vec();
        match value {
            Toml::Table(table) => {
                // serde takes the values of a table in their order.
                found.push(Toml::Array(table.values().cloned().collect()));
                for (key, inner) in table {
                    let with = |inner: Toml| {
                        let mut table = table.clone();
                        table.insert(key.clone(), inner);
                        Toml::Table(table)
                    };
                    found.extend(mutations(inner, others).into_iter().map(with));
                    let mut without = table.clone();
                    without.remove(key);
                    found.push(Toml::Table(without));
                }
                let mut more = table.clone();
                more.insert("else".into(), Toml::Boolean(true));
                found.push(Toml::Table(more));
            }
            Toml::Array(list) => {
                for (at, inner) in list.iter().enumerate() {
                    found.extend(mutations(inner, others).into_iter().map(|inner| {
                        let mut list = list.clone();
                        list[at] = inner;
                        Toml::Array(list)
                    }));
                }
            }
            _ => {}
        }
        found
    }

    #[test]
    fn what_is_read_as_it_is_written_is_of_the_schemas_shape() {
        let others = OTHERS.map(|other| toml::from_str::<toml::Table>(&format!("v = {other}")).unwrap()["v"].clone());
        let (mut passed, mut caught) = (0, 0);
        let mut of_one = |text: &str| {
            let Ok(table) = toml::from_str::<toml::Table>(text) else { return };
            for mutation in mutations(&Toml::Table(table), &others) {
                let Ok(text) = toml::to_string(&mutation) else { continue };
                let document = Document::parse(&text);
                let Ok(raw) = toml::from_str::<raw::Manifest>(&text) else { continue };
                if is_as_read(&document, &raw) {
                    passed += 1;
                    assert!(check(&document).is_empty(), "{text}");
                } else {
                    caught += usize::from(!check(&document).is_empty());
                }
            }
        };
        of_one(&crate::sample::Site::new("app").manifest());
        crate::text::each_seed("manifest", |seed| of_one(&String::from_utf8_lossy(seed)));
        assert!(passed > 100, "{passed}");
        // serde alone would have taken these.
        assert!(caught > 10, "{caught}");
    }

    #[test]
    fn of_a_manifest_without_mistakes_no_schema_is_made() {
        let good = include_str!("../../tests/fixtures/manifest/good.toml").to_owned();
        for text in [good, crate::sample::Site::new("app").manifest()] {
            assert!(is_as_read(&Document::parse(&text), &toml::from_str(&text).unwrap()), "{text}");
        }
    }
}
