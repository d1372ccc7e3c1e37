//! A unit file as it may be shown.

use std::collections::BTreeSet;

use super::arguments::{secrets, without_secrets};
use super::keys::is_secret;
use super::settings::ends_in_backslash;
use crate::diff::unified;
use crate::text::harmless;

/// A unified diff of two unit files with their names for a person, coloured where asked for; empty where they are the same. Values of `Environment=`,
/// `SetCredential=` and the like, and arguments that look like secrets, are shown as `<set>` or `<changed>`, also where they are
/// commented out.
pub fn diff((old_name, new_name): (&str, &str), before: &str, after: &str, colour: bool) -> String {
    if before == after {
        return String::new();
    }
    let (old, new) = shown_sides(before, after);
    let [old_name, new_name] = [old_name, new_name].map(harmless);
    let (bold, plain) = if colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
    format!("{bold}--- {old_name}{plain}\n{bold}+++ {new_name}{plain}\n{}", unified(&old, &new, colour))
}

/// Two versions of a unit file as [`diff`] shows their lines.
pub fn shown_sides(before: &str, after: &str) -> (String, String) {
    let known: BTreeSet<String> = lines(before)
        .into_iter()
        .flat_map(|(secret, text)| match secret {
            Some(_) => vec![text],
            None => secrets(&text),
        })
        .collect();
    let old = render(before, |_| "<set>");
    let new = render(after, |text| if known.contains(text) { "<set>" } else { "<changed>" });
    (old, new)
}

fn render(unit: &str, value: impl Fn(&str) -> &'static str) -> String {
    let line = |(secret, text): (Option<String>, String)| match secret {
        Some(start) => format!("{}={}\n", harmless(&start), value(&text)),
        None => format!("{}\n", harmless(&without_secrets(&text, &value))),
    };
    lines(unit).into_iter().map(line).collect()
}

/// The lines; an assignment of a secret with all its continuation lines is one, with the text before its `=`.
fn lines(unit: &str) -> Vec<(Option<String>, String)> {
    let mut found: Vec<(Option<String>, String)> = Vec::new();
    let mut is_open = false;
    // A file that is not there has no line, not even an empty one.
    if unit.is_empty() {
        return found;
    }
    let unit = unit.replace("\r\n", "\n");
    for line in unit.strip_suffix('\n').unwrap_or(&unit).split(['\n', '\r', '\0']) {
        let is_comment = line.trim_start().starts_with(['#', ';']);
        match found.last_mut() {
            Some((Some(_), text)) if is_open => text.push_str(&format!("\n{line}")),
            _ => {
                let secret = line.split_once('=').map(|(start, _)| start);
                let secret = secret.filter(|start| is_secret(start.trim_matches(['#', ';', ' ', '\t'])));
                found.push((secret.map(str::to_owned), line.to_owned()));
            }
        }
        // a comment within a continuation does not end it; one that is an assignment has its continuation commented out or not
        is_open = ends_in_backslash(line) || is_open && is_comment;
    }
    found
}
