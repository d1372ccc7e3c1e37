//! `[[component.health]]`.

use std::time::Duration;

use regex::Regex;
use ureq::http::{HeaderName, Uri};

use super::super::document::Key;
use super::super::problem::{Fault, Looked};
use super::super::{Health, Probe, Template, raw, template, words};
use super::Look;

/// How long a health check may take to answer where the manifest says nothing.
const WITHIN: Duration = Duration::from_secs(60);

pub(super) fn health(look: &mut Look<'_>, key: &Key, raw: &raw::Health, component: &raw::Component) -> Option<Health> {
    let within = look.take_or(&key.name("within"), raw.within.as_deref().map(words::bound), WITHIN);
    http_keys_without_http(look, key, raw);
    bound_of_a_number(look, &key.name("below"), raw);
    let given: Vec<&str> = [
        raw.http.is_some().then_some("http"),
        raw.tcp.is_some().then_some("tcp"),
        raw.command.is_some().then_some("command"),
        raw.journal.is_some().then_some("journal"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let probe = match given.as_slice() {
        ["http"] => http(look, key, raw, raw.http.as_deref().unwrap_or_default()),
        ["tcp"] => look
            .take(&key.name("tcp"), tcp(raw.tcp.as_deref().unwrap_or_default()))
            .map(|address| Probe::Tcp { address }),
        ["command"] => {
            let run = raw.command.as_deref().unwrap_or_default();
            let below = raw.below.map(raw::Number::value);
            look.take(&key.name("command"), words::argv(run)).map(|run| Probe::Command { run, below })
        }
        ["journal"] => journal(look, &key.name("journal"), raw.journal.as_ref()?, component),
        [] => {
            let fault = Fault::new("asks nothing");
            look.fault(key, fault.help("give one of http, tcp, command and journal"));
            None
        }
        several => {
            let fault = Fault::new(format!("asks several things: {}", several.join(", ")));
            look.fault(key, fault.help("write a [[component.health]] for each"));
            None
        }
    };
    if let Some(probe) = &probe {
        needs(look, key, probe, component);
    }
    Some(Health { probe: probe?, within: within?, loopback_only: false })
}

fn http_keys_without_http(look: &mut Look<'_>, key: &Key, raw: &raw::Health) {
    let names = [("headers", !raw.headers.is_empty()), ("expect", raw.expect.is_some())];
    for (name, _) in names.into_iter().filter(|(_, given)| *given && raw.http.is_none()) {
        look.fault(&key.name(name), Fault::new("belongs to an `http` check").help("add http = \"http://...\""));
    }
}

fn bound_of_a_number(look: &mut Look<'_>, key: &Key, raw: &raw::Health) {
    match raw.below {
        Some(_) if raw.command.is_none() => {
            let fault = Fault::new("belongs to a `command` that prints a number");
            look.fault(key, fault.help("add command = [...]"));
        }
        Some(bound) if !bound.value().is_finite() => {
            look.fault(key, Fault::new("is no number that anything could be below").help("write one, such as 100"))
        }
        _ => {}
    }
}

/// What a probe names must be there to be named: a `.env`, a version.
fn needs(look: &mut Look<'_>, key: &Key, probe: &Probe, component: &raw::Component) {
    let templates: Vec<&Template> = match probe {
        Probe::Http { url, headers, json, .. } => {
            [url].into_iter().chain(headers.iter().map(|(_, t)| t)).chain(json.iter().map(|(_, t)| t)).collect()
        }
        Probe::Tcp { address } => vec![address],
        Probe::Command { .. } | Probe::Journal { .. } => Vec::new(),
    };
    let first = templates.iter().find_map(|template| template.keys().first().map(|key| key.to_string()));
    if let Some(name) = first.filter(|_| component.env.is_empty()) {
        let fault = Fault::new(format!("`${{{name}}}` cannot be looked up: the component declares no env"));
        look.fault(key, fault.help("add env = [{ file = \".env\", example = \".env.example\" }] to the component"));
    }
    if templates.iter().any(|template| template.names_version()) && component.version.is_none() {
        let fault = Fault::new("`{version}` is not known: the component declares no version");
        look.fault(key, fault.help("add version = { file = \"VERSION\" } to the component"));
    }
}

fn http(look: &mut Look<'_>, key: &Key, raw: &raw::Health, url: &str) -> Option<Probe> {
    let url = look.take(&key.name("http"), http_url(url));
    let headers = headers(look, &key.name("headers"), raw);
    let default = raw::Expect::default();
    let expect = raw.expect.as_ref().unwrap_or(&default);
    let at = key.name("expect");
    let status = look.take_or(&at.name("status"), expect.status.map(status), 200);
    let json = json(look, &at.name("json"), expect);
    let body = look.take_optional(&at.name("body"), expect.body.as_deref().map(pattern));
    Some(Probe::Http { url: url?, headers: headers?, status: status?, json: json?, body: body? })
}

fn headers(look: &mut Look<'_>, key: &Key, raw: &raw::Health) -> Option<Vec<(String, Template)>> {
    let mut seen: Vec<String> = Vec::new();
    let mut taken = Vec::new();
    for (name, value) in &raw.headers {
        let at = key.name(name);
        if seen.contains(&name.to_lowercase()) {
            look.fault(&at, Fault::new("is given twice; the names of headers are the same in any case"));
        }
        seen.push(name.to_lowercase());
        let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
        let fault = || Fault::new("is not the name of a header").help("letters, digits and `-`, as in X-API-Token");
        let parsed = if is_name { header_value(value) } else { Err(fault()) };
        if template::parse(value).is_ok_and(|template| template.keys().is_empty()) && is_secret_name(name) {
            look.warn(format!("`{at}` is written out, and every account may read a manifest: write ${{KEY}} instead"));
        }
        taken.push(look.take(&at, parsed).map(|value| (name.clone(), value)));
    }
    taken.into_iter().collect()
}

/// Never quotes the value: it may be a secret.
fn header_value(text: &str) -> Looked<Template> {
    match text.chars().any(char::is_control) || text.trim() != text {
        true => Err(Fault::new("holds a control character, or begins or ends with a space")),
        false => template::parse(text),
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    ["token", "auth", "key", "secret", "cookie", "passw"].iter().any(|word| name.contains(word))
}

pub(super) fn http_url(text: &str) -> Looked<Template> {
    let template = template::parse(text)?;
    let form = "write http://HOST:PORT/PATH, where ${KEY} may stand for any part";
    // A stand-in of digits fits hosts, ports and paths alike.
    let plain = template::stripped(text, "1");
    if plain.contains("@") && plain.split_once("://").is_some_and(|(_, rest)| authority(rest).contains('@')) {
        return Err(
            Fault::new("holds a name or password before the host").help("send it as a header: headers = { ... }")
        );
    }
    let uri: Uri = plain.parse().map_err(|error| Fault::new(format!("is not a URL: {error}")).help(form))?;
    let scheme_known = matches!(uri.scheme_str(), Some("http" | "https")) || text.starts_with("${");
    match scheme_known && uri.host().is_some_and(|host| !host.is_empty()) && !plain.contains('#') {
        true => Ok(template),
        false => Err(Fault::new("is not a URL that can be asked").help(form)),
    }
}

fn authority(rest: &str) -> &str {
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

fn tcp(text: &str) -> Looked<Template> {
    let template = template::parse(text)?;
    let plain = template::stripped(text, "1");
    let (host, port) = plain.rsplit_once(':').unwrap_or((&plain, ""));
    let host_fits = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@".contains(c));
    let host_fits = host_fits && (!host.contains(':') || (host.starts_with('[') && host.ends_with(']')));
    match host_fits && port.parse::<u16>().is_ok_and(|port| port > 0) {
        true => Ok(template),
        false => Err(Fault::new(format!("\"{text}\" is not a host and a port"))
            .help("write HOST:PORT, such as \"127.0.0.1:${PORT}\"; IPv6 addresses in brackets")),
    }
}

fn status(number: i64) -> Looked<u16> {
    match u16::try_from(number) {
        Ok(number @ 100..=599) => Ok(number),
        _ => Err(Fault::new(format!("{number} is no HTTP status")).help("write a number from 100 to 599")),
    }
}

fn json(look: &mut Look<'_>, key: &Key, expect: &raw::Expect) -> Option<Vec<(String, Template)>> {
    let taken: Vec<_> = expect
        .json
        .iter()
        .map(|(field, value)| {
            let text = match value {
                raw::Scalar::Text(text) => text.clone(),
                raw::Scalar::Bool(truth) => truth.to_string(),
                raw::Scalar::Integer(number) => number.to_string(),
                raw::Scalar::Float(number) => number.to_string(),
            };
            let named = !field.split('.').any(str::is_empty);
            let fault = || Fault::new(format!("\"{field}\" names no field")).help("dots descend: \"app.version\"");
            let value = if named { template::parse(&text) } else { Err(fault()) };
            look.take(&key.name(field), value).map(|value| (field.clone(), value))
        })
        .collect();
    taken.into_iter().collect()
}

fn journal(look: &mut Look<'_>, key: &Key, raw: &raw::Journal, component: &raw::Component) -> Option<Probe> {
    let wanted = look.take_optional(&key.name("wanted"), raw.wanted.as_deref().map(pattern));
    let unwanted = look.take_optional(&key.name("unwanted"), raw.unwanted.as_deref().map(pattern));
    if raw.wanted.is_none() && raw.unwanted.is_none() {
        look.fault(key, Fault::new("looks for nothing").help("give `wanted`, `unwanted` or both"));
    }
    if component.unit.is_empty() {
        look.fault(key, Fault::new("the component has no unit whose journal could be read").help("declare the unit"));
    }
    Some(Probe::Journal { wanted: wanted?, unwanted: unwanted? })
}

fn pattern(text: &str) -> Looked<Regex> {
    Regex::new(text).map_err(|error| {
        // The last line of a parse error is the reason; those above draw the pattern.
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
        Fault::new(format!("`{text}` is not a regular expression: {reason}"))
            .help("the syntax is that of the Rust regex crate; TOML takes it as it is between single quotes: '\\d+'")
    })
}
