//! Versions of packages: their order, and what they are as a semantic version.

use std::cmp::Ordering;

use semver::{BuildMetadata, Prerelease, Version};

/// Which of two whole versions is newer, deb-version(7); rpm's own order is the same where both have the same shape.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (one, other) = (Parts::of(one), Parts::of(other));
    let epochs = one.epoch.cmp(&other.epoch);
    epochs.then_with(|| segments(one.upstream, other.upstream)).then_with(|| segments(one.revision, other.revision))
}

/// Upstream's own version: without epoch and revision of the packaging.
pub fn upstream(version: &str) -> &str {
    Parts::of(version).upstream
}

/// The version as `allow` and a run's reach take it: `2.4-1` is 2.4.0, `1:3.0~rc2-1` is 3.0.0-rc2. `None`: it cannot be compared so.
pub fn semantic(version: &str) -> Option<Version> {
    let upstream = upstream(version);
    // What a packager took out of the sources says nothing of the version: `+dfsg`, `+ds1`.
    let (upstream, build) = upstream.split_once('+').unwrap_or((upstream, ""));
    let (release, pre) = upstream.split_once('~').or_else(|| upstream.split_once('-')).unwrap_or((upstream, ""));
    let mut numbers = release.split('.').map(|text| text.parse::<u64>());
    let mut next = || numbers.next().unwrap_or(Ok(0)).ok();
    let (major, minor, patch) = (next()?, next()?, next()?);
    let is_long = numbers.next().is_some();
    let fits = |text: &str| {
        text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect::<String>()
    };
    let pre = Prerelease::new(&fits(pre)).ok()?;
    let build = BuildMetadata::new(&fits(build)).unwrap_or_default();
    (!is_long).then_some(Version { major, minor, patch, pre, build })
}

struct Parts<'a> {
    epoch: u64,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Parts<'a> {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Parts { epoch: epoch.parse().unwrap_or_default(), upstream, revision }
    }
}

/// Runs of digits as numbers, all else letter by letter: `~` before the end, the end before letters, letters before the rest.
fn segments(mut one: &str, mut other: &str) -> Ordering {
    loop {
        let (a, rest_a) = one.split_at(one.find(|c: char| c.is_ascii_digit()).unwrap_or(one.len()));
        let (b, rest_b) = other.split_at(other.find(|c: char| c.is_ascii_digit()).unwrap_or(other.len()));
        let words = letters(a).cmp(letters(b));
        let (a, after_a) = rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (b, after_b) = rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
        let found = words.then_with(|| a.len().cmp(&b.len())).then_with(|| a.cmp(b));
        if found != Ordering::Equal || (after_a.is_empty() && after_b.is_empty()) {
            return found;
        }
        (one, other) = (after_a, after_b);
    }
}

fn letters(text: &str) -> impl Iterator<Item = u32> + '_ {
    let weight = |c: char| match c {
        '~' => 0,
        c if c.is_ascii_alphabetic() => u32::from(c) + 2,
        c => u32::from(c) + 1000,
    };
    text.chars().map(weight).chain(std::iter::once(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_order_that_dpkg_gives_them() {
        let versions = [
            "1.0~rc1-1",
            "1.0~rc1-2",
            "1.0",
            "1.0-1",
            "1.0-1+b1",
            "1.0-1.1",
            "1.0-2",
            "1.0+dfsg-1",
            "1.0a",
            "1.0.1",
            "1.9",
            "1.10",
            "1.010",
            "02",
            "2.0",
            "1:0.1",
        ];
        for one in versions {
            for other in versions {
                let asked = |word: &str| {
                    let mut dpkg = std::process::Command::new("dpkg");
                    dpkg.args(["--compare-versions", one, word, other]).status().unwrap().success()
                };
                let is = match compare(one, other) {
                    Ordering::Less => "lt",
                    Ordering::Equal => "eq",
                    Ordering::Greater => "gt",
                };
                assert!(asked(is), "{one} {is} {other}");
            }
        }
    }

    #[test]
    fn a_packages_version_is_a_semantic_one_as_well_as_can_be() {
        for (version, is) in [
            ("2.4-1", Some("2.4.0")),
            ("1:3.0~rc2-1", Some("3.0.0-rc2")),
            ("1.2.3+dfsg-4", Some("1.2.3+dfsg")),
            ("7", Some("7.0.0")),
            ("1.02-1", Some("1.2.0")),
            ("2.36.1.2-1", None),
            ("20260101git-1", None),
            ("1.0a-1", None),
        ] {
            assert_eq!(semantic(version).map(|version| version.to_string()).as_deref(), is, "{version}");
        }
        assert_eq!(upstream("1:2.0-rc-3"), "2.0-rc");
    }
}
