//! What SECURITY.md says is shown by tests, and the tests are there.

use std::collections::BTreeSet;
use std::path::Path;

const PAGE: &str = include_str!("../SECURITY.md");

/// The names of all functions in the Rust files below a directory.
fn functions(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        match path.is_dir() {
            true => functions(&path, names),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                let text = std::fs::read_to_string(&path).unwrap();
                let found = text.lines().filter_map(|line| line.trim_start().strip_prefix("fn ")?.split_once('('));
                names.extend(found.map(|(name, _)| name.to_owned()));
            }
            false => {}
        }
    }
}

/// What stands between backticks and looks like the name of a test.
fn named() -> Vec<&'static str> {
    let is_name = |text: &&str| {
        text.matches('_').count() >= 2
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
    };
    PAGE.split('`').skip(1).step_by(2).filter(is_name).collect()
}

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut known = BTreeSet::new();
    ["src", "tests"].iter().for_each(|part| functions(&root.join(part), &mut known));
    let named = named();
    assert!(named.len() >= 30, "{named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !known.contains(**name)).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that are not there: {missing:#?}");
}

#[test]
fn every_threat_has_what_stops_it_and_what_shows_it() {
    let rows = PAGE.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| may "));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.trim().is_empty()), "{row}");
        assert!(cells[2].contains('`'), "nothing shows it: {row}");
        count += 1;
    }
    assert!(count >= 25, "{count}");
}
