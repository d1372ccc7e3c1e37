//! What a repository's manifest may not say, and why. A release decides about itself; it does not decide where it is put, who is
//! trusted, what root does, what a policy allows, what becomes of the host's data, or where its secrets go.
//!
//! | key | reason |
//! |---|---|
//! | `install`, `source` | where things are, whose they are, which remote, which signature, whether this file is read at all |
//! | `policy` | what may happen without being asked |
//! | `notify` | who is told, and what is run or asked to tell them |
//! | `backup` | which data is kept, where, and when older copies are deleted |
//! | `monitoring` | where root writes files for monitoring, and whom it tells of runs |
//! | `as = "root"` | what root runs; a step or a check that only the repository declares runs as the owner; so do hooks and migrations |
//! | how a peer is asked | a plan asks before anybody approved the release; which versions go together may come from here |
//! | `scope = "system"`, or none | a unit of PID 1 runs as whoever it says; where the host declares the file, the rest may come from here |
//! | `needs` | which packages of the host make something run by itself |
//! | `public` | which values may be shown |
//! | probes of other hosts | a URL may hold secrets of the `.env`: they go to loopback alone |
//! | `.git` in a path | git's own files decide what git runs |
//! | long commands | a command line is no place for a program |
//!
//! Absolute paths and `..` no manifest takes for what is in a component.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::super::document::{Document, Key};
use super::super::problem::{Fault, Problem};
use super::merge::named_by;

/// The tables that are the host's alone.
const HOSTS: [&str; 6] = ["install", "source", "policy", "backup", "notify", "monitoring"];
/// The keys that hold paths.
const PATHS: [&str; 9] =
    ["path", "installed-if", "file", "changelog", "example", "artifacts", "changed", "cwd", "env-file"];
/// How long a command may be, its program and arguments together, in bytes.
const LONGEST_COMMAND: usize = 16 << 10;

/// Everything that the repository's file may not say.
pub(super) fn check(document: &Document<'_>, host: &Table) -> Vec<Problem> {
    let mut rules = Rules { document, host, problems: Vec::new() };
    let top = document.tree.get_ref();
    for name in HOSTS.iter().filter(|name| top.contains_key(**name)) {
        rules.fault(&Key::default().name(name), hosts(format!("[{name}]")));
    }
    rules.table(&Key::default(), top);
    for (at, component) in elements(top, "component") {
        rules.component(&Key::default().name("component").index(at), component);
    }
    rules.procedures(top);
    rules.problems
}

struct Rules<'a> {
    document: &'a Document<'a>,
    host: &'a Table,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn fault(&mut self, key: &Key, fault: Fault) {
        self.problems.push(self.document.problem(key, fault));
    }

    fn component(&mut self, key: &Key, component: &DeTable<'_>) {
        let name = text(component, "name").unwrap_or_default();
        for array in ["step", "check"] {
            for (at, one) in elements(component, array) {
                self.as_owner(&key.name(array).index(at), one);
            }
        }
        for (at, unit) in elements(component, "unit") {
            let file = text(unit, "file").unwrap_or_default();
            if text(unit, "scope") != Some("user") && !self.host_declares_unit(name, file) {
                let fault = hosts("a unit of the system manager");
                let help = "write scope = \"user\", or let the host's manifest declare the unit with its `file`";
                self.fault(&key.name("unit").index(at), fault.help(help));
            }
        }
        if component.contains_key("needs") {
            let fault = hosts("what is done when packages of the host change");
            self.fault(&key.name("needs"), fault.help("declare `needs` in the host's manifest"));
        }
        for (at, env) in elements(component, "env") {
            if env.contains_key("public") {
                self.fault(&key.name("env").index(at).name("public"), hosts("which values may be shown"));
            }
        }
        for (at, health) in elements(component, "health") {
            let key = key.name("health").index(at);
            let url = text(health, "http").map(|url| ("http", url.split_once("://").map_or(url, |(_, rest)| rest)));
            for (name, address) in url.into_iter().chain(text(health, "tcp").map(|address| ("tcp", address))) {
                if !is_loopback(address) {
                    let fault = Fault::new("asks another host: what is in a `.env` goes to loopback alone");
                    let help = "write 127.0.0.1, [::1] or localhost, or let the host's manifest declare the probe";
                    self.fault(&key.name(name), fault.help(help));
                }
            }
        }
    }

    fn procedures(&mut self, top: &DeTable<'_>) {
        for array in ["hook", "migration"] {
            for (at, one) in elements(top, array) {
                self.as_owner(&Key::default().name(array).index(at), one);
            }
        }
        let compatibility = top.get("compatibility").and_then(|value| value.get_ref().as_table());
        for (at, peer) in compatibility.map(|table| elements(table, "peer")).unwrap_or_default() {
            let key = Key::default().name("compatibility").name("peer").index(at);
            for name in
                ["http", "json", "command", "unreachable", "within"].iter().filter(|name| peer.contains_key(**name))
            {
                self.fault(&key.name(name), hosts("how a peer is asked").help("say `name` and `accepts` here"));
            }
        }
    }

    fn as_owner(&mut self, key: &Key, command: &DeTable<'_>) {
        if text(command, "as").is_some_and(|who| who != "owner") {
            self.fault(&key.name("as"), hosts("as = \"root\"").help("declare what root runs in the host's manifest"));
        }
    }

    fn host_declares_unit(&self, component: &str, file: &str) -> bool {
        let list = |table: &Table, name: &str| table.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        let is = |value: &Value, key: &str, text: &str| value.get(key).and_then(Value::as_str) == Some(text);
        let mut components = list(self.host, "component").into_iter().filter(|one| is(one, "name", component));
        components.any(|one| {
            one.as_table().is_some_and(|table| list(table, "unit").iter().any(|unit| is(unit, "file", file)))
        })
    }

    /// What holds wherever it stands.
    fn table(&mut self, at: &Key, table: &DeTable<'_>) {
        for (name, value) in table.iter() {
            self.value(&at.name(name.get_ref()), name.get_ref(), value);
        }
    }

    fn value(&mut self, key: &Key, name: &str, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(key, table),
            DeValue::Array(list) => {
                self.twice(key, name, list);
                let texts = list.iter().filter_map(|value| value.get_ref().as_str());
                let length: usize = texts.map(|text| text.len() + 1).sum();
                if matches!(name, "run" | "command") && length > LONGEST_COMMAND {
                    let fault = Fault::new(format!("is a command of more than {} KiB", LONGEST_COMMAND >> 10));
                    self.fault(key, fault.help("put it into a script of the component, and run that"));
                }
                for (at, value) in list.iter().enumerate() {
                    self.value(&key.index(at), name, value);
                }
            }
            DeValue::String(text) if PATHS.contains(&name) && names_git(text) => {
                self.fault(key, Fault::new("git's own files are not the repository's to name"));
            }
            _ => {}
        }
    }
}

impl Rules<'_> {
    /// The host's file would be merged into both.
    fn twice(&mut self, key: &Key, array: &str, list: &[Spanned<DeValue<'_>>]) {
        let Some(by) = named_by(array) else { return };
        let mut seen = std::collections::BTreeSet::new();
        for (at, one) in list.iter().enumerate() {
            let name = one.get_ref().as_table().and_then(|table| text(table, by));
            if let Some(name) = name.filter(|name| !seen.insert(*name)) {
                let fault = Fault::new(format!("the {array} \"{name}\" is declared twice"));
                self.fault(&key.index(at).name(by), fault);
            }
        }
    }
}

fn hosts(what: impl std::fmt::Display) -> Fault {
    Fault::new(format!("{what} is for the host's manifest alone to say"))
}

fn text<'t>(table: &'t DeTable<'_>, key: &str) -> Option<&'t str> {
    table.get(key)?.get_ref().as_str()
}

fn elements<'t, 'd>(table: &'t DeTable<'d>, name: &str) -> Vec<(usize, &'t DeTable<'d>)> {
    let list = table.get(name).and_then(|value| value.get_ref().as_array());
    list.into_iter()
        .flat_map(|list| list.iter().enumerate())
        .filter_map(|(at, one)| Some((at, one.get_ref().as_table()?)))
        .collect()
}

/// Names that other filesystems take for `.git` are those of git-fsck(1), in part; a path is compared without case.
fn names_git(path: &str) -> bool {
    path.split(['/', '\\']).any(|part| part.trim_end_matches(['.', ' ']).eq_ignore_ascii_case(".git"))
}

/// Whether the host of `HOST[:PORT][/...]` is written out and is this one; the port may be `${KEY}`.
fn is_loopback(address: &str) -> bool {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rfind(']') {
        Some(end) => authority.split_at(end + 1),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_key = |text: &str| {
        let inner = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
        inner.is_some_and(|key| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
    };
    let port = port.strip_prefix(':').unwrap_or(port);
    let is_port = port.is_empty() || port.bytes().all(|byte| byte.is_ascii_digit()) || is_key(port);
    crate::host::net::is_loopback(host) && is_port
}
