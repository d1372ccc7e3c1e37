//! Ninety pairs of units, and what each asks for. The third column is what switch-to-configuration of NixOS decides of the same pair:
//! it was run on them, and where Relift decides otherwise on purpose, the last column says why.

use super::{Impact, compare, impact};

const PAIRS: &str = include_str!("../../../tests/fixtures/units/pairs.tsv");

fn decision(text: &str) -> &'static str {
    match text {
        "nothing" => "nothing",
        "reload" => "reload",
        "restart" => "restart",
        other => panic!("no decision: {other}"),
    }
}

fn ours(before: &str, after: &str) -> &'static str {
    match impact(&compare(before, after)) {
        Impact::Nothing => "nothing",
        Impact::Reenable => "re-enable",
        Impact::Reload => "daemon-reload",
        Impact::Remount => "reload",
        Impact::Restart => "restart",
    }
}

fn text(column: &str) -> String {
    column.replace("\\n", "\n").replace("\\\\", "\\")
}

#[test]
fn pairs_of_units_ask_for_what_the_table_says_and_a_difference_to_nixos_has_its_reason() {
    let mut wrong = Vec::new();
    let lines: Vec<&str> = PAIRS.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() >= 60, "{} pairs", lines.len());
    for line in lines {
        let [before, after, theirs, expected, why] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("five columns: {line}")
        };
        let decided = ours(&text(before), &text(after));
        if decided != expected {
            wrong.push(format!("{after}: {decided}, not {expected}"));
        }
        if (decision(theirs) == expected) != why.is_empty() {
            wrong.push(format!("{after}: theirs {theirs}, ours {expected}, because {why:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
