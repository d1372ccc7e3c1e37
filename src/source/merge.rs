//! Three versions of a file: the release's that is activated, the target's, and the one that is here. Pure.

use git2::{MergeFileInput, MergeFileOptions};

/// What becomes of a file.
#[derive(Debug, PartialEq, Eq)]
pub enum Merged {
    /// It stays as it is here.
    Mine,
    /// It becomes this. `kept`: with local changes in it.
    Taken {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether local changes are kept in it.
        kept: bool,
    },
    /// It goes: the release does not have it any more.
    Gone,
    /// Both changed the same lines: the lines of the conflict, with markers, made to be shown.
    Conflict(Vec<String>),
}

/// How a line is shown: without what may be a secret.
pub type Shown = fn(&str) -> String;

/// Merges by lines. `base`: of the release that is activated; `theirs`: of the target; `mine`: what is here.
pub fn three(base: Option<&[u8]>, theirs: Option<&[u8]>, mine: Option<&[u8]>, shown: Shown) -> Merged {
    match (base, theirs, mine) {
        (base, theirs, _) if base == theirs => Merged::Mine,
        (_, theirs, mine) if theirs == mine => Merged::Mine,
        (_, None, None) => Merged::Mine,
        // Deleted here, and the release goes on: the operator meant that.
        (Some(_), Some(_), None) => Merged::Mine,
        (None, Some(theirs), None) => Merged::Taken { bytes: theirs.to_vec(), kept: false },
        (base, None, Some(mine)) => {
            if base == Some(mine) {
                Merged::Gone
            } else {
                Merged::Mine
            }
        }
        (Some(base), Some(theirs), Some(mine)) if base == mine => Merged::Taken { bytes: theirs.to_vec(), kept: false },
        (base, Some(theirs), Some(mine)) => lines(base.unwrap_or_default(), theirs, mine, shown),
    }
}

const MINE: &str = "<<<<<<< yours";
const BETWEEN: &str = "=======";
const THEIRS: &str = ">>>>>>> the release's";

fn lines(base: &[u8], theirs: &[u8], mine: &[u8], shown: Shown) -> Merged {
    let input = |bytes| {
        let mut input = MergeFileInput::new();
        input.content(bytes);
        input
    };
    let mut options = MergeFileOptions::new();
    options.our_label("yours").their_label("the release's");
    // Where the library gives up it is a conflict: nothing is guessed.
    let Ok(merged) = git2::merge_file(&input(base), &input(mine), &input(theirs), Some(&mut options)) else {
        return Merged::Conflict(sides(base, theirs, mine, shown));
    };
    if merged.is_automergeable() {
        return Merged::Taken { bytes: merged.content().to_vec(), kept: true };
    }
    let text = String::from_utf8_lossy(merged.content()).into_owned();
    let mut inside = false;
    let mut told = Vec::new();
    for line in text.lines() {
        inside |= line.starts_with("<<<<<<<");
        if inside {
            told.push(if is_marker(line) { line.to_owned() } else { shown(line) });
        }
        inside &= !line.starts_with(">>>>>>>");
    }
    Merged::Conflict(told)
}

fn is_marker(line: &str) -> bool {
    [MINE, BETWEEN, THEIRS].contains(&line)
}

/// The lines of either side that are not in the base.
fn sides(base: &[u8], theirs: &[u8], mine: &[u8], shown: Shown) -> Vec<String> {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (base, theirs, mine) = (text(base), text(theirs), text(mine));
    let own = |text: &str| -> Vec<String> {
        text.lines().filter(|line| !base.lines().any(|known| known == *line)).map(shown).collect()
    };
    let head = |line: &str| vec![line.to_owned()];
    [head(MINE), own(&mine), head(BETWEEN), own(&theirs), head(THEIRS)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::compose::redacted;

    const BASE: &str = "services:\n  web:\n    image: app:1\n    ports:\n      - 80:80\n  db:\n    image: db:1\n    environment:\n      DB_PASSWORD: old\n";

    fn merged(theirs: &str, mine: &str) -> Merged {
        three(Some(BASE.as_bytes()), Some(theirs.as_bytes()), Some(mine.as_bytes()), redacted)
    }

    #[test]
    fn what_only_the_release_changed_is_taken_and_what_only_i_changed_is_kept() {
        let theirs = BASE.replace("app:1", "app:2");
        assert_eq!(merged(&theirs, BASE), Merged::Taken { bytes: theirs.clone().into_bytes(), kept: false });
        assert_eq!(merged(BASE, &BASE.replace("80:80", "8080:80")), Merged::Mine);
        assert_eq!(three(None, Some(b"new"), None, redacted), Merged::Taken { bytes: b"new".into(), kept: false });
        assert_eq!(three(Some(b"old"), None, Some(b"old"), redacted), Merged::Gone);
        assert_eq!(three(Some(b"old"), None, Some(b"edited"), redacted), Merged::Mine);
    }

    #[test]
    fn changes_that_do_not_touch_are_merged() {
        let Merged::Taken { bytes, kept } =
            merged(&BASE.replace("app:1", "app:2"), &BASE.replace("db:1", "db:1-local"))
        else {
            panic!("no merge")
        };
        let text = String::from_utf8(bytes).unwrap();
        assert!(kept && text.contains("app:2") && text.contains("db:1-local"), "{text}");
    }

    #[test]
    fn a_conflict_shows_both_sides_and_no_value_of_a_variable() {
        let Merged::Conflict(lines) =
            merged(&BASE.replace("old", "s3cret-theirs"), &BASE.replace("old", "s3cret-mine"))
        else {
            panic!("no conflict")
        };
        let text = lines.join("\n");
        assert!(text.contains("yours") && text.contains("DB_PASSWORD=***") && !text.contains("s3cret"), "{text}");
        let first_contact = three(None, Some(b"a: 1\n"), Some(b"a: 2\n"), redacted);
        assert!(matches!(first_contact, Merged::Conflict(_)), "{first_contact:?}");
    }
}
