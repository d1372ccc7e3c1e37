//! What holds for any text: the body of the fuzz target, which the tests run over its seeds too.

use std::path::Path;

use super::{Install, effective, parse};

/// Takes bytes for a manifest. One that is good is the same when it is written out; one that is not tells where.
///
/// # Panics
/// Where something that must hold does not.
pub fn any_bytes(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match parse("app", Path::new("/etc/relift/app.toml"), text) {
        Ok(install) => written_out(&install),
        Err(problems) => {
            assert!(!problems.list.is_empty(), "what is refused says why");
            let lines: Vec<&str> = text.split('\n').collect();
            for problem in &problems.list {
                let line = lines.get(problem.line - 1).unwrap_or_else(|| panic!("no line {}", problem.line));
                assert!((1..=line.chars().count() + 1).contains(&problem.column), "no column {}", problem.column);
                assert!(problem.span.start <= problem.span.end && problem.span.end <= text.len(), "{:?}", problem.span);
            }
            problems.render(true);
            problems.into_error();
        }
    }
}

fn written_out(install: &Install) {
    let Ok(first) = effective(install) else { return };
    let again = parse("app", Path::new("/etc/relift/app.toml"), &first);
    let again = again.unwrap_or_else(|problems| panic!("not read again:\n{}\n{first}", problems.render(false)));
    assert_eq!(effective(&again).expect("what was written out once"), first, "written out again it is the same");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_seeds_of_the_fuzz_target_break_nothing() {
        crate::text::each_seed("manifest", super::any_bytes);
    }
}
