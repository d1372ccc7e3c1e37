//! The HTTP probe: status, JSON fields, body.

use std::time::Duration;

use regex::Regex;
use serde_json::Value;

use super::Gate;
use super::probe::Outcome;
use crate::host::http::{self, Fault, Response};
use crate::manifest::Template;

/// How much of a value is shown.
const SHOWN: usize = 100;

/// What an answer must be.
pub(super) struct Expect<'a> {
    pub(super) status: u16,
    pub(super) json: &'a [(String, Template)],
    pub(super) body: Option<&'a Regex>,
}

/// The same with its templates filled.
struct Wanted {
    status: u16,
    json: Vec<Field>,
    body: Option<Regex>,
}

/// A JSON field that must have a value.
struct Field {
    path: String,
    value: String,
    /// The value as a message may show it: as written, unless only the version was filled in.
    shown: String,
}

/// Asks a URL; the error names what cannot be filled.
pub(super) fn ask(
    url: &Template,
    headers: &[(String, Template)],
    expect: &Expect<'_>,
    gate: &Gate,
) -> Result<Box<dyn FnMut(Duration) -> Outcome + Send>, String> {
    let url = gate.fill(url)?;
    let header = |(name, value): &(String, Template)| Ok((name.clone(), gate.fill(value)?));
    let headers = headers.iter().map(header).collect::<Result<Vec<_>, String>>()?;
    let field = |(path, template): &(String, Template)| {
        let value = gate.fill(template)?;
        let shown = if template.0.contains("${") { template.0.clone() } else { value.clone() };
        Ok(Field { path: path.clone(), value, shown })
    };
    let json = expect.json.iter().map(field).collect::<Result<Vec<_>, String>>()?;
    let wanted = Wanted { status: expect.status, json, body: expect.body.cloned() };
    Ok(Box::new(move |bound| match http::get(&url, &headers, bound) {
        Ok(response) => wanted.judge(&response),
        Err(Fault::Unreachable(why)) => Outcome::Failed(why),
        Err(Fault::Unusable(why)) => Outcome::CouldNotRun(why.into()),
    }))
}

impl Wanted {
    fn judge(&self, response: &Response) -> Outcome {
        if response.status != self.status {
            return Outcome::Failed(format!("answered {}, wanted {}", response.status, self.status));
        }
        if !self.json.is_empty() {
            let body = match serde_json::from_slice::<Value>(&response.body) {
                Ok(body) => body,
                Err(_) if response.is_cut => {
                    return Outcome::Failed(format!("the body is longer than {} bytes", http::BODY));
                }
                Err(_) => return Outcome::Failed("the body is no JSON".into()),
            };
            if let Some(fault) = self.json.iter().find_map(|field| field.fault(&body)) {
                return Outcome::Failed(fault);
            }
        }
        match &self.body {
            Some(pattern) if !pattern.is_match(&String::from_utf8_lossy(&response.body)) => {
                Outcome::Failed(format!("the body does not match /{pattern}/"))
            }
            _ => Outcome::Passed,
        }
    }
}

impl Field {
    fn fault(&self, body: &Value) -> Option<String> {
        let Field { path, value, shown } = self;
        let Some(found) = descend(body, path) else {
            return Some(format!("the answer has no field {path}, wanted {shown}"));
        };
        (!equals(found, value)).then(|| format!("{path} is {}, wanted {shown}", brief(found)))
    }
}

/// The value at a path of names and, in arrays, positions from 0.
pub fn descend<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get(part),
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Whether a value is this text, or this number however it is written.
fn equals(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Number(number) => {
            number.to_string() == wanted || wanted.parse::<f64>().is_ok_and(|wanted| number.as_f64() == Some(wanted))
        }
        Value::Bool(flag) => flag.to_string() == wanted,
        Value::Null => wanted == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn brief(value: &Value) -> String {
    match value {
        Value::Array(_) => "an array".into(),
        Value::Object(_) => "an object".into(),
        Value::String(text) => text.chars().take(SHOWN).collect(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, body: &str, fields: &[(&str, &str)], pattern: Option<&str>) -> Outcome {
        let json = fields.iter().map(|(path, value)| Field {
            path: (*path).into(),
            value: (*value).into(),
            shown: (*value).into(),
        });
        let body_pattern = pattern.map(|text| Regex::new(text).expect("a pattern"));
        let wanted = Wanted { status: 200, json: json.collect(), body: body_pattern };
        wanted.judge(&Response { status, body: body.into(), is_cut: false, retry_after: None, challenge: None })
    }

    fn failed(why: &str) -> Outcome {
        Outcome::Failed(why.into())
    }

    #[test]
    fn seen_and_wanted_are_both_said() {
        assert_eq!(judged(503, "", &[], None), failed("answered 503, wanted 200"));
        let old = r#"{"version":"1.6.0"}"#;
        assert_eq!(judged(200, old, &[("version", "1.7.0")], None), failed("version is 1.6.0, wanted 1.7.0"));
        assert_eq!(
            judged(200, old, &[("app.version", "1")], None),
            failed("the answer has no field app.version, wanted 1")
        );
        assert_eq!(judged(200, "<html>", &[("a", "1")], None), failed("the body is no JSON"));
        assert_eq!(judged(200, "degraded", &[], Some("^ok$")), failed("the body does not match /^ok$/"));
    }

    #[test]
    fn fields_are_found_by_path_and_compared_as_text_or_number() {
        let body = r#"{"a":{"b":[{"c":"x"},{"n":1.50,"t":true,"z":null}]}}"#;
        for (path, value) in [("a.b.0.c", "x"), ("a.b.1.n", "1.5"), ("a.b.1.t", "true"), ("a.b.1.z", "null")] {
            assert_eq!(judged(200, body, &[(path, value)], None), Outcome::Passed, "{path}");
        }
        assert_eq!(judged(200, body, &[("a.b.x", "1")], None), failed("the answer has no field a.b.x, wanted 1"));
        assert_eq!(judged(200, body, &[("a.b", "1")], None), failed("a.b is an array, wanted 1"));
        assert_eq!(judged(200, body, &[("a.b.0.c", "x"), ("a.b.1.n", "2")], None), failed("a.b.1.n is 1.5, wanted 2"));
    }

    #[test]
    fn a_number_in_quotes_is_text() {
        assert!(matches!(judged(200, r#"{"n":"1.0"}"#, &[("n", "1")], None), Outcome::Failed(_)));
    }
}
