use proptest::prelude::*;

use super::*;

fn v(text: &str) -> Version {
    Version::parse(text).expect(text)
}

fn told(changelog: &str, after: &str, upto: &str) -> Vec<String> {
    let notes = between(changelog, Some(&v(after)), Some(&v(upto)), false);
    notes.iter().map(|note| format!("{}: {}", note.heading, note.body.join("|"))).collect()
}

const KEEP_A_CHANGELOG: &str = "# Changelog\n\nAll notable changes. Supports 1.0.0 and later.\n\n## [Unreleased]\n\n### Added\n- next\n\n\
    ## [1.7.1] - 2026-07-17\n\n### Fixed\n\n- a [link][x]\n\n## [1.7.0] - 2026-07-01 [YANKED]\n\n- c\n\n## [1.6.0]\n- d\n\n\
    [Unreleased]: https://example.org/compare/v1.7.1...HEAD\n[1.7.1]: https://example.org/a\n[x]: <https://example.org> \"t\"\n";

#[test]
fn keep_a_changelog_is_read_oldest_first_without_its_links() {
    assert_eq!(
        told(KEEP_A_CHANGELOG, "1.6.0", "1.7.1"),
        ["1.7.0 - 2026-07-01 YANKED: - c", "1.7.1 - 2026-07-17: ### Fixed||- a [link][x]"]
    );
    assert_eq!(told(KEEP_A_CHANGELOG, "1.5.0", "1.6.0"), ["1.6.0: - d"]);
    assert_eq!(told(KEEP_A_CHANGELOG, "1.7.1", "9.0.0"), [""; 0]);
}

#[test]
fn the_unreleased_section_comes_last_and_only_where_it_is_wanted() {
    let notes = between(KEEP_A_CHANGELOG, Some(&v("1.7.0")), None, true);
    let headings: Vec<_> = notes.iter().map(|note| (note.version.clone(), note.heading.as_str())).collect();
    assert_eq!(headings, [(Some(v("1.7.1")), "1.7.1 - 2026-07-17"), (None, "Unreleased")]);
    assert_eq!(notes[1].body, ["### Added", "- next"]);
    assert_eq!(between(KEEP_A_CHANGELOG, None, Some(&v("1.7.0")), false).len(), 1);
    assert_eq!(between(KEEP_A_CHANGELOG, None, None, false), []);
}

#[test]
fn every_usual_way_to_write_a_heading_is_known() {
    for heading in [
        "## 1.7.1",
        "# v1.7.1 (2026-07-17)",
        "## [v1.7.1](https://example.org/9.9.9) (2026-07-17)",
        "### Version 1.7.1",
        "## Release v1.7.1",
        "## manager-v1.7.1",
        "## manager/v1.7.1",
        "## esup-runner manager 1.7.1",
        "## **1.7.1** / 2026-07-17",
        "## `1.7.1` ##",
        "1.7.1\n=====",
        "v1.7.1 - 2026-07-17\n-----",
        "  ## 1.7.1:",
        "##\t1.7.1",
        "## [1.7.1][ref] - x",
        "## 1.7.1, the great one",
        "## manager_1.7.1",
        "## <!-- x --> 1.7.1",
        "## @scope/pkg@1.7.1",
    ] {
        let changelog =
            format!("# Changes\n\ntext\n\n{heading}\n\n- a\n\n{}\n\n- b\n", heading.replace("1.7.1", "1.7.0"));
        let notes = between(&changelog, Some(&v("1.7.0")), Some(&v("1.7.1")), false);
        assert_eq!(notes.len(), 1, "{heading}");
        assert_eq!(notes[0].body, ["- a"], "{heading}");
    }
    assert_eq!(between("## 1.7\n- a\n", None, Some(&v("1.7.0")), false)[0].body, ["- a"]);
}

#[test]
fn what_only_looks_like_a_release_is_text() {
    let changelog = "## 1.7.1\n\n### Migrating from 1.6.0\n\n## Upgrading to 9.9.9\nelsewhere\n\n## 1.7.0\n```sh\n## 1.6.9\n```\n    ## 1.6.8\n\
        ~~~~\n~~~\n# 1.6.7\n~~~~\n<!--\n## 1.6.6\n-->\n`<!--` stays\n#1.6.5\n- item\n---\n| 1.6.4 |\n####### 1.6.3\n#### 1.6.2\nx\n## 2026-07-01\nnot here\n";
    assert_eq!(
        told(changelog, "1.0.0", "1.7.1"),
        [
            "1.7.0: ```sh|## 1.6.9|```|    ## 1.6.8|~~~~|~~~|# 1.6.7|~~~~|`<!--` stays|#1.6.5|- item|---|| 1.6.4 ||####### 1.6.3|#### 1.6.2|x",
            "1.7.1: ### Migrating from 1.6.0",
        ]
    );
}

#[test]
fn order_in_the_file_does_not_matter_and_precedence_does() {
    let changelog = "## 1.7.0\nr\n## 1.10.0\nten\n## 1.7.0-rc.1\nrc\n## 1.9.0\nnine\n## manager-v1.9.0\nagain\n";
    assert_eq!(
        told(changelog, "1.6.0", "1.10.0"),
        ["1.7.0-rc.1: rc", "1.7.0: r", "1.9.0: nine", "manager-v1.9.0: again", "1.10.0: ten"]
    );
    assert_eq!(told(changelog, "1.7.0-rc.1", "1.7.0"), ["1.7.0: r"]);
    assert_eq!(told(changelog, "1.6.0", "1.7.0-rc.1"), ["1.7.0-rc.1: rc"]);
    assert_eq!(told("## 1.7.0+build5\nx\n", "1.6.0", "1.7.0"), ["1.7.0+build5: x"]);
}

#[test]
fn patches_written_below_minors_are_releases_of_their_own() {
    let changelog = "# [1.1.0](https://x) (2026-01-03)\n\n### Features\n\n* f\n\n## [1.0.1](https://x) (2026-01-02)\n\n### Bug Fixes\n\n* b\n\n\
        ### [1.0.0](https://x)\n\n* first\n";
    assert_eq!(
        told(changelog, "0.9.0", "1.1.0"),
        ["1.0.0: * first", "1.0.1 (2026-01-02): ### Bug Fixes||* b", "1.1.0 (2026-01-03): ### Features||* f",]
    );
}

#[test]
fn releases_below_the_heading_of_their_series_are_releases_of_their_own() {
    let changelog = "# Version 1.7\n\nthe series\n\n## Version 1.7.1 (today)\nb\n### Tested with Debian 12.5\nc\n## Version 1.7.0\na\n";
    assert_eq!(
        told(changelog, "1.6.0", "1.7.1"),
        ["Version 1.7: the series", "Version 1.7.0: a", "Version 1.7.1 (today): b|### Tested with Debian 12.5|c",]
    );
}

#[test]
fn a_fence_in_a_list_item_ends_with_the_item() {
    assert_eq!(told("## 1.7.1\n- x\n  ```\n  a\n  ``` (#1)\n## 1.7.0\ny\n", "1.6.0", "1.7.0"), ["1.7.0: y"]);
}

#[test]
fn crlf_and_a_byte_order_mark_make_no_difference() {
    let windows = format!("\u{feff}{}", KEEP_A_CHANGELOG.replace('\n', "\r\n"));
    assert_eq!(told(&windows, "1.0.0", "9.0.0"), told(KEEP_A_CHANGELOG, "1.0.0", "9.0.0"));
    assert_eq!(told("\u{feff}## 1.7.0\r\nx\r\n", "1.6.0", "1.7.0"), ["1.7.0: x"]);
}

#[test]
fn notes_cannot_drive_a_terminal() {
    assert_eq!(
        told("## 1.7.0 \x1b[31m\n\x1b]0;x\x07 \u{202e}a\n", "1.6.0", "1.7.0"),
        ["1.7.0 \\x1b31m: \\x1b]0;x\\x07 \\u{202e}a"]
    );
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic_and_told_harmlessly(
        text in prop_oneof![any::<String>(), "([#=\\-`~ \n\r.v\\[\\]()<!>*:1é]|1\\.2|## 1\\.2\\.3){0,80}"],
        after in "0\\.[0-9]\\.0",
    ) {
        for note in between(&text, Some(&v(&after)), None, true) {
            prop_assert!(note.version.as_ref().is_none_or(|version| *version > v(&after)));
            for line in note.body.iter().chain([&note.heading]) {
                prop_assert_eq!(&harmless(line), line);
            }
            prop_assert!(note.body.last().is_none_or(|line| !line.trim().is_empty()));
        }
    }

    #[test]
    fn every_release_in_between_is_told_once_and_in_order(
        mut versions in prop::collection::btree_set((0..3u64, 0..12u64, 0..12u64), 1..8), from in 0..8usize, to in 0..8usize) {
        let all: Vec<Version> = std::mem::take(&mut versions).into_iter().map(|(a, b, c)| Version::new(a, b, c)).collect();
        let changelog: String = all.iter().rev().map(|version| format!("## [{version}] - 2026-01-02\n\n- of {version}\n\n")).collect();
        let (after, upto) = (&all[from % all.len()], &all[to % all.len()]);
        let expected: Vec<Version> = all.iter().filter(|version| *version > after && *version <= upto).cloned().collect();
        let notes = between(&changelog, Some(after), Some(upto), false);
        prop_assert_eq!(notes.iter().filter_map(|note| note.version.clone()).collect::<Vec<_>>(), expected);
        for note in &notes {
            prop_assert_eq!(&note.body, &vec![format!("- of {}", note.version.clone().expect("a version"))]);
        }
    }
}
