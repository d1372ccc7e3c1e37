//! The pages against the command line and the schema that they are made from.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn page(name: &str) -> String {
    let found = all().into_iter().find(|(page, _)| page == name);
    // As a reader sees it: roff writes a hyphen that is one as `\-`.
    found.unwrap_or_else(|| panic!("there is no {name}")).1.replace("\\-", "-").replace("\\fB", "").replace("\\fR", "")
}

#[test]
fn every_verb_has_a_page_with_every_option_and_every_section() {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    assert!(verbs.len() > 15);
    for verb in verbs {
        let text = page(&format!("relift-{}.1", verb.get_name()));
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "FILES", "SEE ALSO"] {
            assert!(
                text.contains(&format!(".SH {section}")) || text.contains(&format!(".SH \"{section}\"")),
                "{section}"
            );
        }
        for form in std::iter::once(verb).chain(verb.get_subcommands().filter(|form| !form.is_hide_set())) {
            for long in form.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long()) {
                assert!(long == "help" || text.contains(&format!("--{long}")), "{}: --{long}", verb.get_name());
            }
        }
        assert!(page("relift.1").contains(&format!("relift-{}", verb.get_name())));
    }
}

#[test]
fn a_verb_is_told_of_in_its_own_words_and_not_in_those_of_its_arguments() {
    let overview = page("relift.1");
    assert!(overview.contains("Is anything new? One network round trip") && !overview.contains("Arguments of"));
    assert!(page("relift-check.1").contains("is anything new? One network round trip"));
    assert!(page("relift-check.1").contains("relift check app --quiet"), "the examples");
}

#[test]
fn what_is_said_of_a_verb_is_said_of_one_that_there_is() {
    let command = Cli::command();
    for verb in prose::verbs().filter(|verb| !verb.is_empty()) {
        assert!(command.find_subcommand(verb).is_some(), "{verb} is described and is no verb");
    }
}

#[test]
fn every_key_of_the_schema_is_in_the_page_of_the_manifest() {
    let schema = serde_json::to_value(crate::manifest::schema()).unwrap();
    let mut keys = BTreeSet::new();
    collect(&schema, &mut keys);
    assert!(keys.len() > 60, "{keys:?}");
    let text = page("relift.toml.5");
    for key in &keys {
        assert!(text.lines().any(|line| line.starts_with(&format!("{key} ("))), "{key} is not in relift.toml(5)");
    }
}

/// The keys of all tables in a schema but those of the alternatives that a key's own text tells of.
fn collect(schema: &Value, keys: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        keys.extend(properties.keys().cloned());
        properties.values().for_each(|value| collect(value, keys));
    }
    schema["$defs"].as_object().into_iter().flatten().for_each(|(_, value)| collect(value, keys));
}

#[test]
fn the_example_of_the_manual_is_a_manifest() {
    let example = manifest::EXAMPLE;
    let parsed = crate::manifest::parse("app", Path::new("/etc/relift/app.toml"), example);
    assert!(parsed.is_ok(), "{:?}", parsed.err());
}

#[test]
fn exit_statuses_are_those_of_the_program() {
    use crate::error::Exit::{Available, Busy, Done, Failed, NeedsOperator, NotPermitted, PutBack, Refused};
    let known = [Done, Failed, Refused, PutBack, NeedsOperator, Busy, NotPermitted, Available];
    let known: Vec<String> = known.iter().map(|exit| (*exit as u8).to_string()).collect();
    let said: Vec<&str> = prose::EXITS.iter().map(|(status, ..)| *status).collect();
    assert_eq!(said, known);
}

#[test]
fn the_scripts_ask_by_the_variable_that_is_answered() {
    for (name, text) in complete::scripts() {
        assert!(text.contains(complete::VARIABLE), "{name}: {text}");
        assert!(!text.contains("env!") && text.len() > 100, "{name}: {text}");
    }
}
