//! Templates filled and secrets taken out again: what goes to a service never comes back in a message.

use std::collections::BTreeMap;

use super::Gate;
use crate::manifest::Template;

/// The shortest value that is taken out of texts: a shorter one (`1`, `yes`) is in every other word.
const SHORTEST: usize = 4;

/// Fills `${KEY}` from the values and `{version}`; every other brace stays. The error names the key that is not there.
pub(super) fn fill(template: &Template, gate: &Gate) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), template.0.as_str());
    while let Some(at) = rest.find(['$', '{']) {
        filled.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("{version}") {
            filled.push_str(gate.version.as_deref().ok_or("the version that {version} stands for is not known")?);
            rest = after;
        } else if let Some((key, after)) = rest.strip_prefix("${").and_then(|rest| rest.split_once('}')) {
            filled.push_str(gate.values.get(key).ok_or_else(|| format!("no .env file has the key {key}"))?);
            rest = after;
        } else {
            filled.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The values that no text may show.
#[derive(Debug, Clone, Default)]
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    /// Those of a `.env`.
    pub(super) fn of(values: &BTreeMap<String, String>) -> Secrets {
        let mut values: Vec<String> =
            values.values().filter(|value| value.chars().count() >= SHORTEST).cloned().collect();
        // The longest first: one may hold another.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Secrets(values)
    }

    /// The text without them, and harmless for a terminal.
    pub(super) fn redact(&self, text: &str) -> String {
        let redact = |text: String, secret: &String| text.replace(secret.as_str(), "[redacted]");
        crate::text::harmless(&self.0.iter().fold(text.to_owned(), redact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate() -> Gate {
        let values = [("PORT", "8081"), ("TOKEN", "8081-long-token"), ("A", "yes")];
        Gate {
            component: "manager".into(),
            directory: "/".into(),
            units: Vec::new(),
            probes: Vec::new(),
            version: Some("1.7.1".into()),
            values: values.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            cursor: None,
        }
    }

    #[test]
    fn keys_and_the_version_are_filled_and_other_braces_stay() {
        let filled = |text: &str| fill(&Template(text.into()), &gate());
        assert_eq!(filled("http://h:${PORT}/{version}?q={x}&p=$1{").as_deref(), Ok("http://h:8081/1.7.1?q={x}&p=$1{"));
        assert_eq!(filled("é${A}é").as_deref(), Ok("éyesé"));
        assert_eq!(filled("${NONE}"), Err("no .env file has the key NONE".into()));
        assert_eq!(filled("${PORT").as_deref(), Ok("${PORT"));
    }

    #[test]
    fn a_version_that_is_not_known_is_no_empty_text() {
        let unknown = Gate { version: None, ..gate() };
        assert!(fill(&Template("{version}".into()), &unknown).is_err());
    }

    #[test]
    fn values_are_taken_out_of_texts() {
        let secrets = Secrets::of(&gate().values);
        assert_eq!(secrets.redact("8081-long-token on 8081, yes"), "[redacted] on [redacted], yes");
        assert_eq!(secrets.redact("\x1b[31m"), "\u{fffd}[31m");
    }
}
