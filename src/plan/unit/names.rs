//! Unit names, systemd.unit(5).

use crate::error::{Error, Result};

/// The suffixes of units that an install may ship.
const SUFFIXES: &[&str] = &["service", "socket", "timer", "path", "target", "mount", "automount", "swap", "slice"];

/// Longest name, in bytes (`UNIT_NAME_MAX` of systemd, without the final NUL).
const LONGEST: usize = 255;

/// Checks that `file` is the name of a unit file, template (`worker@.service`) or instance, and returns it.
///
/// # Errors
/// [`crate::error::Kind::Usage`]: a path, an unknown suffix, a character that systemd does not take, an empty or too long name.
pub fn unit_name(file: &str) -> Result<&str> {
    let wrong = |why: String| Err(Error::usage(format!("\"{}\" is no unit name: {why}", crate::text::harmless(file))));
    if file.contains('/') {
        return wrong("it holds a slash; a unit is named by the file alone".to_owned());
    }
    if file.len() > LONGEST {
        return wrong(format!("it is longer than {LONGEST} bytes"));
    }
    let Some((stem, suffix)) = file.rsplit_once('.') else {
        return wrong("it has no suffix such as .service".to_owned());
    };
    if !SUFFIXES.contains(&suffix) {
        return wrong(format!("the suffix is not one of .{}", SUFFIXES.join(", .")));
    }
    if stem.is_empty() || stem.starts_with('@') {
        return wrong("nothing stands before the suffix or the @".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    match stem.chars().find(|c| !allowed(*c)) {
        Some(c) => wrong(format!("systemd takes letters, digits and :-_.\\@ there, not {:?}", c)),
        None => Ok(file),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_systemd_takes_are_taken() {
        let longest = format!("{}.service", "a".repeat(247));
        for name in [
            "a.service",
            "esup-runner_manager.service",
            "worker@.service",
            "worker@a\\x2db.service",
            "a:b.c.timer",
            &longest,
        ] {
            assert_eq!(unit_name(name).expect(name), name);
        }
    }

    #[test]
    fn anything_else_is_refused_with_the_reason() {
        let long = format!("{}.service", "a".repeat(248));
        for (name, why) in [
            ("a/b.service", "slash"),
            ("../a.service", "slash"),
            ("a", "suffix"),
            ("a.conf", "suffix"),
            (".service", "nothing stands"),
            ("@.service", "nothing stands"),
            ("@a.service", "nothing stands"),
            ("a b.service", "not ' '"),
            ("é.service", "not 'é'"),
            ("a\u{202e}.service", "\\u{202e}"),
            (long.as_str(), "255"),
            ("", "suffix"),
            ("a.service\n", "suffix"),
        ] {
            let error = unit_name(name).expect_err(name);
            assert!(error.what.contains(why), "{name}: {}", error.what);
            assert!(!error.what.contains(['\u{202e}', '\n']), "{}", error.what);
        }
    }
}
