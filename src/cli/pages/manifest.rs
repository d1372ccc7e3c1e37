//! relift.toml(5): the manifest, table by table, from its schema.

use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use serde_json::Value;

use super::{inline, paragraphs, see_also, terms, title};

const DESCRIPTION: &str = "
A manifest declares one install: where it is, where its releases come from, what belongs to it and how a release proves itself.
It is called as the install is, `/etc/relift/NAME.toml`, belongs to root and is written in TOML. `relift init` writes a first
one, `relift config check` finds mistakes, `relift config show` prints every default.

A key that is not known is an error, never ignored. Durations are numbers with a unit: `90s`, `5min`, `2h`. Paths of a component
are relative to its directory. Commands are lists of words, program first; no shell is involved.";

/// Tables in the order in which one writes them; what is not named here comes after them.
const ORDER: [&str; 4] = ["install", "source", "component", "compatibility"];

pub(super) const EXAMPLE: &str = r#"schema = 1

[install]
root  = "/opt/app"
owner = "app"

[source.git]
url  = "https://git.example.org/app.git"
tags = "v{version}"

[[component]]
name    = "manager"
path    = "manager"
version = { file = "VERSION" }
env     = [{ file = ".env", example = ".env.example" }]

[[component.step]]
name = "sync"
run  = ["make", "sync"]
when = { changed = ["uv.lock", "pyproject.toml"] }
undo = "rerun"

[[component.unit]]
file = "production/app-manager.service"

[[component.health]]
http   = "http://127.0.0.1:${PORT}/api/version"
expect = { status = 200, json = { version = "{version}" } }

[policy]
unattended = "patch"
window     = "Mon..Fri 02:00-04:00 Europe/Paris"
"#;

/// The page.
pub(super) fn page() -> String {
    // Through text: how a schema is held in memory is its library's affair.
    let schema = serde_json::to_value(crate::manifest::schema()).unwrap_or_default();
    let mut roff = Roff::new();
    title(&mut roff, "relift.toml", "5");
    roff.control("SH", ["NAME"]).text([roman("relift.toml - what an install of relift(1) is")]);
    roff.control("SH", ["SYNOPSIS"]).text([bold("/etc/relift/"), italic("NAME"), bold(".toml")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(&mut roff, DESCRIPTION);
    let mut tables = Vec::new();
    table(&schema, &schema, String::new(), false, &mut tables);
    tables.iter().for_each(|table| render(&mut roff, &schema, table));
    roff.control("SH", ["EXAMPLE"]).control("nf", []);
    EXAMPLE.lines().for_each(|line| {
        roff.text([roman(line)]);
    });
    roff.control("fi", []);
    roff.control("SH", ["FILES"]);
    let files = [
        ("/etc/relift/NAME.toml", "The manifest of an install: root's, and writable by nobody else."),
        (
            "relift.toml",
            "At the top of the checkout, where `[source.git] manifest = true` stands in the host's manifest: the repository's own. The host's wins key by key, and says alone what concerns the host.",
        ),
    ];
    terms(&mut roff, files);
    see_also(&mut roff, &["relift(1)", "relift-init(1)", "relift-config(1)", "relift-upgrade(1)", "systemd.time(7)"]);
    roff.to_roff()
}

/// A table of the manifest.
struct Table<'a> {
    /// As it is written, without brackets: `component.step`.
    path: String,
    /// Whether there may be several.
    is_list: bool,
    schema: &'a Value,
}

/// A table and those in it, in the order in which they are shown.
fn table<'a>(whole: &'a Value, schema: &'a Value, path: String, is_list: bool, found: &mut Vec<Table<'a>>) {
    found.push(Table { path: path.clone(), is_list, schema });
    let mut keys: Vec<&String> = schema["properties"].as_object().into_iter().flat_map(|keys| keys.keys()).collect();
    keys.sort_by_key(|key| (ORDER.iter().position(|known| known == *key).unwrap_or(ORDER.len()), *key));
    for key in keys {
        let Some((inner, is_list)) = inner(whole, &schema["properties"][key]) else { continue };
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        table(whole, inner, path, is_list, found);
    }
}

/// The table that a key holds, directly or as a list; `None`: it holds something else.
fn inner<'a>(whole: &'a Value, value: &'a Value) -> Option<(&'a Value, bool)> {
    let (value, is_list) = if value["items"].is_object() { (&value["items"], true) } else { (value, false) };
    let value = resolved(whole, value);
    value["properties"].is_object().then_some((value, is_list))
}

/// What `$ref` points to.
fn resolved<'a>(whole: &'a Value, value: &'a Value) -> &'a Value {
    let target = value["$ref"].as_str().and_then(|text| whole.pointer(text.trim_start_matches('#')));
    target.unwrap_or(value)
}

fn render(roff: &mut Roff, whole: &Value, table: &Table) {
    let heading = match (table.path.as_str(), table.is_list) {
        ("", _) => "TOP LEVEL".to_owned(),
        (path, true) => format!("[[{path}]]"),
        (path, false) => format!("[{path}]"),
    };
    roff.control("SH", [heading.as_str()]);
    if !table.path.is_empty() {
        roff.text(inline(table.schema["description"].as_str().unwrap_or_default()));
    }
    let required: Vec<&str> =
        table.schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut keys: Vec<_> = table.schema["properties"].as_object().into_iter().flatten().collect();
    keys.sort_by_key(|(key, _)| (!required.contains(&key.as_str()), key.as_str()));
    for (key, value) in keys {
        roff.control("TP", []);
        let required = if required.contains(&key.as_str()) { ", required" } else { "" };
        roff.text([bold(key.clone()), roman(format!(" ({}{required})", kind(whole, value)))]);
        roff.text(meaning(whole, value));
    }
}

/// What a key is set to, in a word or two.
fn kind(whole: &Value, value: &Value) -> String {
    let value = resolved(whole, value);
    if let Some(words) = choices(value) {
        return words.join(" | ");
    }
    if let Some(any) = value["anyOf"].as_array() {
        return any.iter().map(|one| kind(whole, one)).collect::<Vec<_>>().join(", or ");
    }
    match value["type"].as_str().unwrap_or_default() {
        "array" if inner(whole, value).is_some() => "tables".into(),
        "array" => format!("list of {}", plural(&kind(whole, &value["items"]))),
        "object" if value["properties"].is_object() => "table".into(),
        "object" => "table of any keys".into(),
        "integer" | "number" => "number".into(),
        "boolean" => "true | false".into(),
        other => other.to_owned(),
    }
}

fn plural(kind: &str) -> String {
    match kind.strip_prefix("list of ") {
        Some(rest) => format!("lists of {rest}"),
        None => format!("{kind}s"),
    }
}

/// The words that a key may be set to.
fn choices(value: &Value) -> Option<Vec<String>> {
    let quoted = |word: &Value| word.as_str().map(|word| format!("\"{word}\""));
    match (&value["enum"], &value["const"], &value["oneOf"]) {
        (Value::Array(words), ..) => words.iter().map(quoted).collect(),
        (_, Value::Null, Value::Array(each)) => each.iter().map(|one| quoted(&one["const"])).collect(),
        (_, constant, _) => quoted(constant).map(|word| vec![word]),
    }
}

fn meaning(whole: &Value, value: &Value) -> Vec<Inline> {
    let own = value["description"].as_str();
    let text = own.or_else(|| resolved(whole, value)["description"].as_str()).unwrap_or_default();
    let default = match &value["default"] {
        Value::Null => String::new(),
        _ if text.contains("Default:") => String::new(),
        default => format!(" Default: `{default}`."),
    };
    inline(&format!("{text}{default}"))
}
