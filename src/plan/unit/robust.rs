//! What holds for any text: the body of the fuzz target, which the tests run over its seeds too.

use super::settings::Settings;
use super::{accounts, compare, diff, install_links, merge, relations, shown_sides};
use crate::text::harmless;

/// Takes bytes for up to three unit files with a NUL between them (upstream's old one, its new one, the installed one), and
/// compares, merges and shows them.
///
/// # Panics
/// Where something that must hold does not.
pub fn any_bytes(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\0');
    let [base, theirs, mine] = [(); 3].map(|()| parts.next().unwrap_or_default());
    for side in [base, theirs, mine] {
        assert_eq!(compare(side, side), [], "a unit is itself");
        relations(side, &[], "a.service");
        accounts(side, &[]);
        install_links(side, &[], "a.service");
    }
    let there: Vec<_> = compare(base, theirs).into_iter().map(|change| (change.section, change.key)).collect();
    let back: Vec<_> = compare(theirs, base).into_iter().map(|change| (change.section, change.key)).collect();
    assert_eq!(there, back, "what differs does so from both sides");
    for shown in [diff(("a", "b"), base, theirs, false), shown_sides(base, theirs).0] {
        assert!(shown.lines().all(|line| harmless(line) == line), "what is shown drives no terminal");
    }
    unchanged_upstream(theirs, mine);
    if let Ok(merged) = merge(Some(base), theirs, mine) {
        assert_eq!(merged.unit, theirs, "upstream's bytes are installed as they are");
    }
    let settled = merge(Some(base), theirs, theirs).expect("who has upstream's unit is in nobody's way");
    assert_eq!(settled.local, None, "a second merge finds nothing to do");
}

/// Where upstream changed nothing, what the operator meant is in effect, and merging what came of it changes nothing more.
fn unchanged_upstream(theirs: &str, mine: &str) {
    let Ok(merged) = merge(Some(theirs), theirs, mine) else { return };
    let local: Vec<&str> = merged.local.as_deref().into_iter().collect();
    assert_eq!(Settings::of(theirs, &local), Settings::of(mine, &[]), "the operator's unit stays in effect: {local:?}");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seeds_of_the_fuzz_target_break_nothing() {
        crate::text::each_seed("unit", super::any_bytes);
    }
}
