//! How many inputs there are in all.

use super::{Input, env, environment, objects, refs, trees, units};

/// Every category, by name.
const CATEGORIES: &[(&str, &[Input])] = &[
    ("trees", trees::INPUTS),
    ("environment", environment::INPUTS),
    ("refs", refs::INPUTS),
    ("objects", objects::INPUTS),
    (".env", env::INPUTS),
    ("units", units::INPUTS),
];
/// How many there must be at the least.
const ENOUGH: usize = 100;

#[test]
fn the_corpus_is_large_enough_and_no_input_is_in_it_twice() {
    let mut names: Vec<_> = CATEGORIES
        .iter()
        .flat_map(|(category, inputs)| inputs.iter().map(move |input| (category, input.name)))
        .collect();
    let total = names.len();
    println!("{total} hostile inputs");
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), total, "a name stands twice");
    assert!(total >= ENOUGH, "only {total} inputs");
}
