//! What holds for any text: the body of the fuzz target, which the tests run over its seeds too.

use semver::Version;

use super::between;
use crate::text::harmless;

/// Takes bytes for a changelog, and reads what is between two versions in it.
///
/// # Panics
/// Where something that must hold does not.
pub fn any_bytes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (low, high) = (Version::new(0, 0, 0), Version::new(2, 0, 0));
    let notes = between(&text, Some(&low), Some(&high), true);
    let versions: Vec<&Version> = notes.iter().filter_map(|note| note.version.as_ref()).collect();
    assert!(versions.is_sorted_by(|a, b| a.cmp_precedence(b).is_le()), "oldest first: {versions:?}");
    let is_within = |version: &&Version| version.cmp_precedence(&low).is_gt() && version.cmp_precedence(&high).is_le();
    assert!(versions.iter().all(is_within), "nothing from outside: {versions:?}");
    let first_open = notes.iter().position(|note| note.version.is_none()).unwrap_or(notes.len());
    assert!(notes[first_open..].iter().all(|note| note.version.is_none()), "what is unreleased comes last");
    // Comments are taken out of the lines that they are in.
    let is_plain = !text.contains("<!--");
    let lines: Vec<String> = text.split(['\n', '\r']).map(|line| harmless(line).trim_end().to_owned()).collect();
    for note in &notes {
        assert!(note.body.iter().chain([&note.heading]).all(|line| harmless(line) == *line), "drives no terminal");
        let mut rest = lines.iter();
        let is_kept = note.body.iter().filter(|line| !line.is_empty()).all(|line| rest.any(|known| known == line));
        assert!(is_kept || !is_plain, "the lines are the changelog's, in its order: {note:?}");
    }
    between(&text, None, Some(&high), false);
    between(&text, Some(&high), None, true);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seeds_of_the_fuzz_target_break_nothing() {
        crate::text::each_seed("changelog", super::any_bytes);
    }
}
