//! What holds for any bytes: the body of the fuzz target, which the tests run over seeded files too.

use std::collections::BTreeMap;

use super::lexer::File;
use super::lint::lint;
use super::readers::Reader;
use super::{Class, Decision, ThreeWay, redacted_diff, secrets, three_way, values};
use crate::manifest::Dialect;

/// Takes bytes for up to three files with a NUL between them (the operator's, the new example, the old one), and compares,
/// merges, lints and redacts them in every dialect.
///
/// # Panics
/// Where something that must hold does not.
pub fn any_bytes(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let [mine, theirs, base] = [(); 3].map(|()| parts.next());
    let mine = mine.unwrap_or_default();
    let file = File::lex(bytes);
    let whole: Vec<u8> = file.entries.iter().flat_map(|entry| bytes[entry.span.clone()].to_vec()).collect();
    assert_eq!(whole, bytes, "the lexer keeps every byte");
    for dialect in [Dialect::Systemd, Dialect::Dotenv, Dialect::Compose] {
        compared(base, theirs, mine, dialect);
        lint(bytes, dialect);
        values(bytes, dialect);
    }
    for reader in Reader::ALL {
        reader.read(bytes);
    }
    secrets(bytes);
}

fn compared(base: Option<&[u8]>, theirs: Option<&[u8]>, mine: &[u8], dialect: Dialect) {
    let none = BTreeMap::new();
    let sides = ThreeWay { base, theirs, mine, dialect, public: &[], decisions: &none };
    let Ok(first) = three_way(&sides) else { return };
    assert!(is_within(mine, &first.merged), "a merge that nobody decided about drops no byte and no order");
    redacted_diff(mine, &first.merged, &[], true);
    // As a person who takes every default, and as one who leaves everything as it is.
    let all = |decision: &Decision| {
        let asked = first
            .changes
            .iter()
            .filter(|change| matches!(change.class, Class::Added { .. } | Class::DefaultChanged { .. }));
        asked.map(|change| (change.key.clone(), decision.clone())).collect::<BTreeMap<_, _>>()
    };
    if let Ok(second) = three_way(&ThreeWay { decisions: &all(&Decision::TakeDefault), ..sides }) {
        let again = three_way(&ThreeWay { mine: &second.merged, ..sides }).expect("what was merged can be merged");
        assert!(
            again.changes.iter().all(|change| !matches!(change.class, Class::Added { .. })),
            "nothing is added twice"
        );
    }
    let left = three_way(&ThreeWay { decisions: &all(&Decision::LeaveOut), ..sides });
    assert!(left.is_ok_and(|left| left.merged == mine), "who leaves everything out changes nothing");
}

/// Whether all bytes of `inner` are in `outer`, in their order.
fn is_within(inner: &[u8], outer: &[u8]) -> bool {
    let mut rest = outer.iter();
    inner.iter().all(|wanted| rest.any(|byte| byte == wanted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::readers::tests::files;
    use super::*;

    #[test]
    fn tricky_files_against_each_other_break_nothing() {
        let all = files::all(1500);
        for (index, mine) in all.iter().enumerate() {
            let other = |step: usize| all[(index * 7 + step) % all.len()].as_slice();
            any_bytes(&[mine, &b"\0"[..], other(1), b"\0", other(13)].concat());
        }
    }

    #[test]
    fn the_seeds_of_the_fuzz_target_break_nothing() {
        crate::text::each_seed("env", any_bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn any_bytes_at_all_break_nothing(bytes in prop::collection::vec(
            prop_oneof![1 => any::<u8>(), 6 => prop::sample::select(b"AB=\"'\\\n\r# \0;$x{}:".to_vec())], 0..120)) {
            any_bytes(&bytes);
        }
    }
}
