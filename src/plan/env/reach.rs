//! How far a file and a change of it reach: which units read it, and which values a merge would change.

use std::collections::BTreeMap;
use std::ffi::CString;

use super::Decision;
use super::lexer::File;
use super::readers::{Reader, Reading};
use crate::error::{Error, Result};
use crate::manifest::Dialect;

/// Whether an `EnvironmentFile=` as the manager has it, specifiers resolved, names the file at the absolute `path`. It may be a
/// pattern, glob(7): `*` matches no leading dot and no `/`.
pub fn names(pattern: &str, path: &str) -> bool {
    let (Ok(pattern), Ok(path)) = (CString::new(pattern), CString::new(path)) else { return false };
    // SAFETY: both end in NUL and live for the call, which only reads them.
    unsafe { libc::fnmatch(pattern.as_ptr(), path.as_ptr(), libc::FNM_PATHNAME | libc::FNM_PERIOD) == 0 }
}

/// Makes sure that the merge changes no value that nobody decided about, for any reader that the file has. A value that refers to
/// a new key does change, which is told.
pub(super) fn check(
    mine: &[u8],
    merged: &[u8],
    dialect: Dialect,
    decisions: &BTreeMap<String, Decision>,
) -> Result<Vec<String>> {
    let file = File::lex(mine);
    let mut warnings = Vec::new();
    for reader in Reader::of(dialect) {
        let (before, after) = (reader.read(mine), reader.read(merged));
        if before.refused.is_some() {
            continue;
        }
        // What only this reader takes for a key, such as one behind a byte order mark, is nobody's.
        for (_, assignment) in file.assignments() {
            let key = file.key(&assignment.key);
            let value = |reading: &Reading| reading.values.get(key).map(|got| got.value.clone());
            let is_same = after.refused.is_none() && value(&before) == value(&after);
            if is_same || decisions.contains_key(key) {
                continue;
            }
            if after.refused.is_some() || !mine[assignment.rest.clone()].contains(&b'$') {
                return Err(Error::refused(format!("the merge would change what {} reads as {key}", reader.name()))
                    .because("its line, or one of the new ones, is read in more than one way")
                    .hint("see relift env lint, quote the value, and run this again"));
            }
            warnings.push(format!("{key} refers to a key that changes: {} reads another value", reader.name()));
        }
    }
    warnings.sort();
    warnings.dedup();
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_names_a_file_by_its_path_or_by_a_pattern() {
        for (pattern, is_named) in [
            ("/opt/app/m/.env", true),
            ("/opt/app/m/.e*", true),
            ("/opt/app/?/.env", true),
            ("/opt/app/*/.env", true),
            ("/opt/app/[lm]/.env", true),
            ("/opt/app/m/*", false),
            ("/opt/*/.env", false),
            ("/opt/app/m/.env.local", false),
        ] {
            assert_eq!(names(pattern, "/opt/app/m/.env"), is_named, "{pattern}");
        }
        assert!(names("/opt/app/m/*.env", "/opt/app/m/mail.env"));
    }

    #[test]
    fn a_merge_that_changes_a_value_nobody_decided_about_is_refused() {
        let check =
            |mine: &str, merged: &str| check(mine.as_bytes(), merged.as_bytes(), Dialect::Systemd, &BTreeMap::new());
        assert_eq!(check("A=1\n", "A=1\nB=1\n").expect("the same"), Vec::<String>::new());
        assert!(check("A=s3cret\n", "A=s3creB=1\n").expect_err("changed").what.contains("systemd reads as A"));
        assert!(check("A=1\n", "B=1\n").is_err());
        assert!(check("B=$\nA=1\n", "B=$\nA=2\n").is_err(), "a dollar elsewhere excuses nothing");
        assert!(check("A=1\n", "A=1\n\0").is_err());
    }
}
