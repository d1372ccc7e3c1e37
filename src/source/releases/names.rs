//! What the directory of a release is called.

use crate::plan::{Release, abbreviate};

/// The longest name.
const LONGEST: usize = 100;

/// The first name for a release that nothing has: its label made safe, else the abbreviated commit; then with a number.
pub(super) fn free(release: &Release, is_taken: impl Fn(&str) -> bool) -> String {
    let name = release.label.as_deref().and_then(safe).unwrap_or_else(|| abbreviate(&release.revision).to_owned());
    let numbered = (2u64..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_taken(name)).unwrap_or(name)
}

/// A label as the name of a directory; `None`: nothing of it can be one.
fn safe(label: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' };
    let name: String = label.chars().take(LONGEST).map(plain).collect();
    let name = name.trim_start_matches(['.', '-']).to_owned();
    (!name.is_empty()).then_some(name)
}

/// What a directory is called while it is unpacked.
pub(super) fn temporary(name: &str) -> String {
    format!(".{name}.relift-new")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(label: Option<&str>) -> Release {
        Release { revision: "0123456789abcdef0123456789abcdef01234567".into(), label: label.map(str::to_owned) }
    }

    #[test]
    fn a_release_is_called_by_its_label_made_safe_and_otherwise_by_its_commit() {
        let named = |label: Option<&str>| free(&release(label), |_| false);
        assert_eq!(named(Some("v1.2.0+build.7")), "v1.2.0+build.7");
        assert_eq!(named(Some("release/1.2")), "release-1.2");
        assert_eq!(named(Some("../../etc")), "etc".replace("etc", "-..-etc").trim_start_matches(['.', '-']));
        assert_eq!(named(Some(".hidden")), "hidden");
        assert_eq!(named(Some("-rf")), "rf");
        assert_eq!(named(Some("a b\n\u{1b}[1m")), "a-b---1m");
        for nothing in [None, Some(""), Some("..."), Some("-")] {
            assert_eq!(named(nothing), "0123456789", "{nothing:?}");
        }
        assert_eq!(named(Some(&"x".repeat(400))).len(), 100);
    }

    #[test]
    fn two_releases_of_one_label_have_two_names() {
        let taken = ["v1", "v1-2"];
        assert_eq!(free(&release(Some("v1")), |name| taken.contains(&name)), "v1-3");
    }
}
