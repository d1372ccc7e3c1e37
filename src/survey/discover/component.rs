//! Directories that look like components: those with a `.env`, an example of one, or an installed unit.

use std::collections::BTreeSet;

use super::tree::Tree;
use super::{FoundCheck, FoundComponent, FoundPort, FoundUnit, evidence, listening, units};
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::manifest::{EnvFile, RelPath, VersionSource};

/// The names that examples of a `.env` go by.
const EXAMPLES: [&str; 7] =
    [".env.example", ".env.sample", ".env.dist", ".env.template", ".env.default", "env.example", "env.sample"];
/// Changelogs beside those that need no declaration.
const CHANGELOGS: [&str; 6] =
    ["CHANGELOG.md", "docs/CHANGELOG.md", "CHANGES.md", "docs/CHANGES.md", "HISTORY.md", "NEWS.md"];
/// What package managers make in a checkout.
const ARTIFACTS: [&str; 3] = [".venv", "venv", "node_modules"];
/// Port keys with these words are other services'.
const OTHERS: [&str; 20] = [
    "SMTP",
    "MAIL",
    "IMAP",
    "DB",
    "DATABASE",
    "POSTGRES",
    "POSTGRESQL",
    "PG",
    "MYSQL",
    "MARIADB",
    "REDIS",
    "MONGO",
    "MONGODB",
    "RABBITMQ",
    "AMQP",
    "LDAP",
    "KAFKA",
    "ELASTIC",
    "PROXY",
    "SSH",
];

/// The components of a checkout, installed or not, by path.
pub(super) fn all(tree: &Tree<'_>, owner: &Account) -> Result<Vec<FoundComponent>> {
    let directories = tree.directories();
    let mut paths: Vec<&String> = directories.iter().filter(|path| has_env(tree, path)).collect();
    let outermost = paths.clone();
    paths.retain(|path| !outermost.iter().any(|other| path.starts_with(&format!("{other}/"))));
    for path in directories.iter().filter(|path| !path.contains('/')) {
        let apart = !paths.iter().any(|known| *known == path || known.starts_with(&format!("{path}/")));
        if apart && units::of(tree, owner, path).iter().any(|unit| unit.installed.is_some()) {
            paths.push(path);
        }
    }
    paths.sort();
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for path in paths {
        let Ok(path) = RelPath::parse(path) else { continue };
        let name = unused_name(&path, &mut names);
        found.push(component(tree, owner, (name, path)));
    }
    if found.is_empty() {
        return Err(nothing(tree));
    }
    Ok(found)
}

fn nothing(tree: &Tree<'_>) -> Error {
    let root = tree.git().root().display();
    Error::failed(format!("no component was found in {root}"))
        .because("no directory one or two levels down has a .env, an example of one, or an installed unit")
        .hint("create the .env of what is installed here, then run relift init again")
        .hint("or write the manifest by hand: relift config schema describes it")
}

fn has_env(tree: &Tree<'_>, path: &str) -> bool {
    env_is_there(tree, path) || EXAMPLES.iter().any(|name| tree.is_tracked(&format!("{path}/{name}")))
}

fn env_is_there(tree: &Tree<'_>, path: &str) -> bool {
    let file = format!("{path}/.env");
    tree.is_file(&file) || tree.is_symlink(&file)
}

/// The directory's name as a component's, with its parent's where that is taken.
fn unused_name(path: &RelPath, names: &mut BTreeSet<String>) -> String {
    let plain = |text: &str| {
        let keep = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let text: String = text.to_lowercase().chars().map(|c| if keep(c) { c } else { '-' }).collect();
        text.trim_start_matches(['-', '_']).to_owned()
    };
    let candidates = [plain(path.file_name()), plain(path.as_str())].into_iter();
    let numbered = (2..).map(|number| format!("component-{number}"));
    let name = candidates.chain(numbered).find(|name| !name.is_empty() && !names.contains(name)).unwrap_or_default();
    names.insert(name.clone());
    name
}

fn component(tree: &Tree<'_>, owner: &Account, (name, path): (String, RelPath)) -> FoundComponent {
    let below = |file: &str| format!("{path}/{file}");
    let mut notes = Vec::new();
    let has_file = env_is_there(tree, path.as_str());
    let units = units::of(tree, owner, path.as_str());
    let installed = has_file || units.iter().any(|unit| unit.installed.is_some());
    if tree.is_symlink(&below(".env")) {
        notes.push(".env is a symlink; an upgrade that adds keys to it says so and leaves the link to you.".into());
    }
    let values = tree.file(&below(".env")).map(|text| assignments(&text)).unwrap_or_default();
    let example = EXAMPLES.iter().find(|name| tree.is_tracked(&below(name)));
    let env = (has_file || example.is_some()).then(|| env(example.copied())).flatten();
    let keys = match (values.is_empty(), example.and_then(|name| tree.text(&below(name)))) {
        (true, Some(text)) => assignments(&text),
        _ => values.clone(),
    };
    notes.extend(units::foreign(tree, owner, path.as_str(), &units));
    let makefile = evidence::makefile(tree, path.as_str());
    let steps = evidence::steps(tree, path.as_str(), owner, &makefile);
    notes.extend(evidence::other_targets(&makefile, &units));
    FoundComponent {
        installed_if: has_file.then(|| RelPath::parse(&below(".env")).ok()).flatten(),
        version: version(tree, path.as_str()),
        changelog: CHANGELOGS
            .iter()
            .find(|file| tree.is_tracked(&below(file)))
            .and_then(|file| RelPath::parse(file).ok()),
        artifacts: artifacts(tree, path.as_str()),
        check: None,
        port: port(&keys, &name, owner, installed),
        token: keys.iter().map(|(key, _)| key).find(|key| is_token(key)).cloned(),
        name,
        path,
        installed,
        env,
        steps,
        units,
        notes,
    }
}

fn env(example: Option<&str>) -> Option<(EnvFile, bool)> {
    let file = RelPath::parse(".env").ok()?;
    let example_path = RelPath::parse(example.unwrap_or(".env.example")).ok()?;
    Some((EnvFile { file, example: example_path, dialect: None, public: Vec::new() }, example.is_some()))
}

/// The plain assignments of a `.env`. The values are looked at here and go nowhere else.
fn assignments(text: &str) -> Vec<(String, String)> {
    let assignment = |line: &str| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        let (key, value) = line.split_once('=')?;
        let key = key.trim();
        let named = key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '.');
        named.then(|| (key.to_owned(), value.trim().trim_matches(['"', '\'']).to_owned()))
    };
    text.lines().filter_map(assignment).collect()
}

fn version(tree: &Tree<'_>, path: &str) -> Option<(VersionSource, String)> {
    type Read = fn(&str) -> Option<String>;
    let files: [(&str, Option<&str>, Read); 5] = [
        ("VERSION", None, |text| Some(text.trim().to_owned())),
        ("version.txt", None, |text| Some(text.trim().to_owned())),
        ("pyproject.toml", Some("project.version"), |text| toml_text(text, "project", "version")),
        ("package.json", Some("version"), |text| {
            serde_json::from_str::<serde_json::Value>(text).ok()?["version"].as_str().map(str::to_owned)
        }),
        ("Cargo.toml", Some("package.version"), |text| toml_text(text, "package", "version")),
    ];
    files.into_iter().find_map(|(file, key, read)| {
        let version = read(&tree.text(&format!("{path}/{file}"))?)?;
        semver::Version::parse(&version).ok()?;
        Some((VersionSource { file: RelPath::parse(file).ok()?, key: key.map(str::to_owned) }, version))
    })
}

fn toml_text(text: &str, table: &str, key: &str) -> Option<String> {
    text.parse::<toml::Table>().ok()?.get(table)?.get(key)?.as_str().map(str::to_owned)
}

fn artifacts(tree: &Tree<'_>, path: &str) -> Vec<RelPath> {
    let made = |name: &&&str| {
        let path = format!("{path}/{name}");
        tree.is_directory(&path) && tree.is_ignored(&path)
    };
    ARTIFACTS.iter().filter(made).filter_map(|name| RelPath::parse(name).ok()).collect()
}

/// Looks for checks of the configuration, in what is installed and in what would come.
pub(super) fn add_checks(tree: &Tree<'_>, components: &mut [FoundComponent], tip: Option<&str>) -> Result<()> {
    for component in components {
        component.check = check(tree, component.path.as_str(), tip)?;
    }
    Ok(())
}

fn check(tree: &Tree<'_>, path: &str, tip: Option<&str>) -> Result<Option<FoundCheck>> {
    let script = "scripts/check_config.py";
    let whole = format!("{path}/{script}");
    let has = tree.is_tracked(&whole);
    let newer = match tip {
        Some(tip) if !has => tree.git().has(tip, &whole)?.then(|| tip.to_owned()),
        _ => None,
    };
    let uv = tree.is_tracked(&format!("{path}/uv.lock"));
    let run: &[&str] = if uv { &["uv", "run", script] } else { &["python3", script] };
    let run = run.iter().map(|word| word.to_string()).collect();
    Ok((has || newer.is_some()).then_some(FoundCheck { run, only_in: newer }))
}

/// The key that most likely says where the component itself listens.
fn port(keys: &[(String, String)], name: &str, owner: &Account, installed: bool) -> Option<FoundPort> {
    let own = format!("{}_PORT", name.to_uppercase().replace('-', "_"));
    let is_port = |key: &str| {
        let upper = key.to_uppercase();
        let other = upper.split('_').any(|word| OTHERS.contains(&word));
        (upper == "PORT" || upper.ends_with("_PORT")) && !other
    };
    let rank = |key: &str| [key == own, key == "PORT", key == "HTTP_PORT"].iter().position(|fits| *fits).unwrap_or(9);
    let candidates = keys.iter().filter(|(key, _)| is_port(key));
    let (key, value) = candidates.min_by_key(|(key, _)| rank(key))?;
    let listening = installed && value.parse().is_ok_and(|port| listening::listens(owner.uid, port));
    Some(FoundPort { key: key.clone(), listening })
}

fn is_token(key: &str) -> bool {
    let upper = key.to_uppercase();
    let other = upper.contains("ALLOW") || upper.contains("EXPIR") || upper.contains("ENABLED");
    (upper.contains("TOKEN") || upper.contains("API_KEY")) && !other
}

/// The pairs of installed components whose versions share MAJOR.MINOR.
pub(super) fn in_step(components: &[FoundComponent]) -> Option<Vec<&str>> {
    let of = |component: &FoundComponent| {
        let version = semver::Version::parse(&component.version.as_ref()?.1).ok()?;
        Some((version.major, version.minor))
    };
    let first = components.iter().find_map(of)?;
    let names: Vec<&str> =
        components.iter().filter(|one| of(one) == Some(first)).map(|component| component.name.as_str()).collect();
    (names.len() > 1).then_some(names)
}

/// Whether any unit of the component is installed for the owner's user manager.
pub(super) fn has_user_units(units: &[FoundUnit]) -> bool {
    units.iter().any(|unit| matches!(unit.installed, Some((crate::manifest::Scope::User, _))))
}
