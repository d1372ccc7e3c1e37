//! How many inputs there are in all.

use super::{configs, env, environment, manifests, objects, packs, refs, shapes, signatures, trees, units};

/// The names of a table's inputs; each table has inputs of its own type.
macro_rules! names {
    ($($table:expr),*) => { [$($table.iter().map(|input| input.name).collect::<Vec<_>>()),*].concat() };
}

/// Every category, by name, with the names of its inputs.
fn categories() -> Vec<(&'static str, Vec<&'static str>)> {
    vec![
        ("trees", names!(trees::INPUTS)),
        ("environment", names!(environment::INPUTS)),
        ("limits", names!(environment::LIMITS)),
        ("refs", names!(refs::INPUTS)),
        ("objects", names!(objects::INPUTS)),
        ("packs", names!(packs::INPUTS)),
        (".env", names!(env::INPUTS)),
        ("units", names!(units::INPUTS)),
        ("signatures of tags", names!(signatures::TAGS)),
        ("signatures of commits", names!(signatures::COMMITS)),
        ("manifests", names!(manifests::INPUTS)),
        ("configurations", names!(configs::INPUTS)),
        ("shapes", names!(shapes::INPUTS)),
    ]
}
/// How many there must be at the least.
const ENOUGH: usize = 300;

#[test]
fn the_corpus_is_large_enough_and_no_input_is_in_it_twice() {
    let mut total = 0;
    for (category, mut names) in categories() {
        println!("{:4} {category}", names.len());
        let count = names.len();
        names.sort_unstable();
        names.windows(2).for_each(|two| assert_ne!(two[0], two[1], "it stands twice in {category}"));
        total += count;
    }
    println!("{total} hostile inputs");
    assert!(total >= ENOUGH, "only {total} inputs");
}
