//! What upstream publishes beside its archives: the sums as sha256sum(1) writes them, and the newest version. Pure.

use std::collections::BTreeMap;

use semver::{Version, VersionReq};

use crate::text::harmless;

/// The sums in a file, by the names of their archives. A file that says two things of one name is refused, and so is a line
/// that is none: half of a list would hide what is missing.
pub fn sums(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let (sum, name) = entry(line).ok_or_else(|| format!("line {} is no sum and name: {}", at + 1, shown(line)))?;
        if let Some(other) = found.insert(name.to_owned(), sum.clone())
            && other != sum
        {
            return Err(format!("it has two sums of {}", harmless(name)));
        }
    }
    Ok(found)
}

/// `HEX  NAME` or `HEX *NAME`; a leading `./` of the name says nothing. Names that sha256sum escapes are nobody's archives.
fn entry(line: &str) -> Option<(String, &str)> {
    let (sum, rest) = line.split_at_checked(64)?;
    let name = rest.strip_prefix("  ").or_else(|| rest.strip_prefix(" *"))?;
    let is_sum = sum.chars().all(|c| c.is_ascii_hexdigit());
    let name = name.strip_prefix("./").unwrap_or(name).trim_end_matches('\r');
    (is_sum && !name.is_empty()).then(|| (sum.to_ascii_lowercase(), name))
}

fn shown(line: &str) -> String {
    crate::text::shortened(&harmless(line), 60)
}

/// The version on the first line of a text file, which may begin with `v`.
pub fn newest_of(text: &str) -> Result<Version, String> {
    let line = text.lines().next().unwrap_or_default().trim();
    let version = Version::parse(line.strip_prefix('v').unwrap_or(line));
    version.map_err(|_| format!("its first line is no version: {}", shown(line)))
}

/// The newest version that a range admits. Prereleases are only chosen by a range that names one (semver).
pub fn newest<'a>(versions: impl Iterator<Item = &'a Version>, allow: Option<&VersionReq>) -> Option<&'a Version> {
    versions.filter(|version| allow.map_or(version.pre.is_empty(), |range| range.matches(version))).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_list_is_read_as_sha256sum_writes_it() {
        let list = sums(&format!("{A}  app-1.0.0.tar.gz\n{A} *./app-1.1.0.tar.gz\r\n\n{}  x y\n", A.to_uppercase()));
        let list = list.unwrap();
        assert_eq!(list.keys().collect::<Vec<_>>(), ["app-1.0.0.tar.gz", "app-1.1.0.tar.gz", "x y"]);
        assert!(list.values().all(|sum| sum == A));
    }

    #[test]
    fn a_list_that_is_damaged_or_says_two_things_is_refused() {
        let other = A.replace('e', "f");
        for (text, why) in [
            (format!("{A}  a\n{other}  a\n"), "it has two sums of a"),
            (format!("{A}  a\n<html>\n"), "line 2 is no sum and name: <html>"),
            (format!("{}  a\n", &A[1..]), "line 1 is no sum and name"),
            (format!("\\{A}  a\\nb\n"), "line 1 is no sum and name"),
            (format!("{A}\n"), "line 1 is no sum and name"),
            (format!("{A}  \n"), "line 1 is no sum and name"),
            ("\u{1b}[2J".to_owned(), "line 1 is no sum and name: \\x1b[2J"),
        ] {
            let said = sums(&text).unwrap_err();
            assert!(said.starts_with(why), "{said}");
        }
        assert!(sums(&format!("{A}  a\n{A}  a\n")).is_ok(), "the same twice");
    }

    #[test]
    fn the_newest_version_is_no_prerelease_unless_the_range_names_one() {
        let versions: Vec<Version> =
            ["1.9.0", "1.10.0", "2.0.0-rc.1"].iter().map(|text| Version::parse(text).unwrap()).collect();
        let newest = |allow: Option<&str>| {
            let allow = allow.map(|range| VersionReq::parse(range).unwrap());
            newest(versions.iter(), allow.as_ref()).map(ToString::to_string)
        };
        assert_eq!(newest(None).as_deref(), Some("1.10.0"));
        assert_eq!(newest(Some("~1.9")).as_deref(), Some("1.9.0"));
        assert_eq!(newest(Some(">=2.0.0-rc.0")).as_deref(), Some("2.0.0-rc.1"));
        assert_eq!(newest(Some("^3")), None);
        assert_eq!(newest_of("v1.2.3\nnoise").unwrap().to_string(), "1.2.3");
        assert!(newest_of("latest\u{7}").unwrap_err().ends_with("latest\\x07"));
    }
}
