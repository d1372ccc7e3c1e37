//! Every rule with an entry that breaks it.

use super::*;

fn header(path: &str, kind: Type, link: Option<&'static str>) -> Result<Judged, String> {
    judge(&Header { path: path.as_bytes(), kind, mode: 0o644, size: 0, link: link.map(str::as_bytes) })
}

#[test]
fn what_an_archive_may_not_hold_is_refused() {
    let deep = "d/".repeat(65) + "f";
    let long = "n".repeat(256);
    for (path, kind, link, why) in [
        ("/etc/passwd", Type::File, None, "is an absolute path"),
        ("../x", Type::File, None, "leaves the archive by `..`"),
        ("a/../../x", Type::File, None, "leaves the archive by `..`"),
        ("a/..", Type::Directory, None, "leaves the archive by `..`"),
        ("", Type::File, None, "has no name"),
        (".", Type::File, None, "is the top of the archive, and no directory"),
        ("./", Type::Link, Some("x"), "is the top of the archive, and no directory"),
        (&deep, Type::File, None, "is more than 64 directories deep"),
        (&long, Type::File, None, "has a name of more than 255 bytes"),
        (".git/config", Type::File, None, "has the name of a repository's own directory"),
        ("a/.GiT", Type::Directory, None, "has the name of a repository's own directory"),
        ("a/.git. ", Type::File, None, "has the name of a repository's own directory"),
        ("GIT~1/hooks", Type::File, None, "has the name of a repository's own directory"),
        (".git::$INDEX_ALLOCATION/x", Type::File, None, "has the name of a repository's own directory"),
        ("a\\..\\x", Type::File, None, "has the name of a repository's own directory"),
        ("a\u{1b}[2J", Type::File, None, "has control characters"),
        (".g\u{200c}it", Type::File, None, "has control characters"),
        ("a\nb", Type::File, None, "has control characters"),
        ("dev", Type::Other("a device"), None, "is a device"),
        ("l", Type::Link, Some("/etc/passwd"), "leads out of the archive, to /etc/passwd"),
        ("l", Type::Link, Some("a/../../x"), "leads to a/../../x, with `..` behind a name"),
        ("l", Type::Link, Some("a/.."), "leads to a/.., with `..` behind a name"),
        ("l", Type::Link, None, "leads to no name that can be shown"),
        ("l", Type::Link, Some("a\u{202e}b"), "leads to no name that can be shown"),
        ("h", Type::HardLink, Some("/etc/passwd"), "is a link to what is an absolute path"),
        ("h", Type::HardLink, Some("../x"), "is a link to what leaves the archive by `..`"),
    ] {
        let said = header(path, kind, link).expect_err(path);
        assert!(said.starts_with(why), "{path:?}: {said}");
    }
    let mode = |mode: u32| judge(&Header { path: b"a", kind: Type::File, mode, size: 0, link: None });
    for bits in [0o4755, 0o2755, 0o1777] {
        assert!(mode(bits).unwrap_err().starts_with("is setuid, setgid or sticky"), "{bits:o}");
    }
    assert_eq!(mode(0o755).unwrap().what, What::File { is_program: true });
    assert_eq!(mode(0o644).unwrap().what, What::File { is_program: false });
    let not_utf8 = judge(&Header { path: b"a\xff", kind: Type::File, mode: 0o644, size: 0, link: None });
    assert_eq!(not_utf8.unwrap_err(), "has a name that is not UTF-8");
    let full = judge(&Header { path: b"a", kind: Type::Directory, mode: 0o755, size: 1, link: None });
    assert_eq!(full.unwrap_err(), "is no file, and has content");
}

/// Adds entries to a tree; a name that ends in `/` is a directory, `a -> b` a link, `a = b` a hard link.
fn tree(entries: &[&str]) -> Result<Tree, String> {
    let mut tree = Tree::default();
    for entry in entries {
        let judged = match (entry.split_once(" -> "), entry.split_once(" = ")) {
            (Some((path, target)), _) => judge(&Header {
                path: path.as_bytes(),
                kind: Type::Link,
                mode: 0o777,
                size: 0,
                link: Some(target.as_bytes()),
            }),
            (_, Some((path, of))) => judge(&Header {
                path: path.as_bytes(),
                kind: Type::HardLink,
                mode: 0o644,
                size: 0,
                link: Some(of.as_bytes()),
            }),
            _ if entry.ends_with('/') => header(entry, Type::Directory, None),
            _ => header(entry, Type::File, None),
        }?;
        tree.add(&judged)?;
    }
    Ok(tree)
}

#[test]
fn entries_that_contradict_each_other_are_refused() {
    for (entries, why) in [
        (&["a", "a"][..], "is there twice"),
        (&["./a", "a"], "is there twice"),
        (&["a", "a/"], "is there twice"),
        (&["a/", "a -> b"], "is there twice"),
        (&["a -> b", "a/x"], "is below a, which is no directory"),
        (&["a -> .", "a/b/x"], "is below a, which is no directory"),
        (&["a", "a/x"], "is below a, which is no directory"),
        (&["a/x", "a -> b"], "is no directory, and something before it is below it"),
        (&["h = a", "a"], "is a link to a, which is no file before it"),
        (&["a -> b", "h = a"], "is a link to a, which is no file before it"),
        (&["a/", "h = a"], "is a link to a, which is no file before it"),
    ] {
        assert_eq!(tree(entries).unwrap_err(), why, "{entries:?}");
    }
    assert_eq!(tree(&["./", "a/", "a/", "a/x", "y = a/x", "z = y"]).unwrap().len(), 4);
}

#[test]
fn a_link_stays_within_the_release() {
    let leaving = |entries: &[&str], strips: bool| {
        let tree = tree(entries).unwrap();
        let top = tree.top(strips).map(str::to_owned);
        tree.leaving(top.as_deref())
    };
    assert_eq!(leaving(&["a", "d/l -> ../a", "d/e/l -> ../../a"], true), None);
    assert_eq!(leaving(&["a", "l -> ../a"], true).unwrap(), "l leads out of the release, to ../a");
    assert_eq!(leaving(&["a", "d/l -> ../../a"], true).unwrap(), "d/l leads out of the release, to ../../a");
    assert_eq!(leaving(&["a", "d/l -> .././../a"], true).unwrap(), "d/l leads out of the release, to .././../a");
    // What is stripped is no way out.
    assert_eq!(leaving(&["t/a", "t/l -> ../t/a"], true).unwrap(), "t/l leads out of the release, to ../t/a");
    assert_eq!(leaving(&["t/a", "t/l -> ../t/a"], false), None);
}

#[test]
fn one_directory_at_the_top_is_left_out_and_only_one() {
    let top = |entries: &[&str]| tree(entries).unwrap().top(true).map(str::to_owned);
    assert_eq!(top(&["app-1.0/", "app-1.0/a", "app-1.0/d/b"]).as_deref(), Some("app-1.0"));
    assert_eq!(top(&["./app-1.0/a", "./app-1.0/b"]).as_deref(), Some("app-1.0"));
    assert_eq!(top(&["a/x", "b/x"]), None);
    assert_eq!(top(&["a"]), None, "a file is no directory");
    assert_eq!(top(&["a -> b"]), None);
    let tree = tree(&["t/", "t/e/", "t/d/", "t/d/x", "t/f/g/"]).unwrap();
    assert_eq!(tree.empty(Some("t")), ["e", "f/g"]);
    assert_eq!(tree.empty(None), ["t/e", "t/f/g"]);
}
