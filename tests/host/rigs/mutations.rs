//! The mutations of `tests/mutations` are kept fresh.

use std::process::Command;

#[test]
fn every_mutation_still_applies_to_the_code() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mutations");
    let out = Command::new("python3").args([script, "--check"]).output().expect("this test needs `python3`");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
