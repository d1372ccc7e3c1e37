//! Objects and packs: broken, missing, far too large.

use super::{Ground, Input, ground, run};

/// A commit of the tip's tree with other words for its head.
fn commit(on: &Ground, change: impl FnOnce(String) -> Vec<u8>) {
    let forge = on.forge();
    let tree = forge.git(&["rev-parse", "main^{tree}"]);
    let text = super::forge::commit_text(&tree, &forge.git(&["rev-parse", "main"]));
    let commit = forge.object("commit", &change(text));
    forge.set("refs/heads/main", &commit);
}

/// The commit with its author's line changed.
fn author(on: &Ground, who: &str) {
    commit(on, |text| text.replacen("Sample <sample@example.org> 1767300000 +0000", who, 1).into_bytes());
}

/// An honest commit, one of whose objects is then damaged by a script that gets its path as $1.
fn damaged(on: &Ground, of: &str, script: &str) {
    on.forge().file("docs/news.txt", "news\n");
    let oid = on.forge().git(&["rev-parse", of]);
    let path = format!("/srv/git/app.git/objects/{}/{}", &oid[..2], &oid[2..]);
    on.host.must(&format!("set -- {path}; chmod u+w $1; {script}"));
}

const REFUSED: &[&str] = &["state: nothing was changed"];
const BROKEN: &[&str] = &["sent an object that git's own check refuses", "state: nothing was changed"];

pub const INPUTS: &[Input] = &[
    Input::refused("a commit whose tree is missing", |on| damaged(on, "main^{tree}", "rm $1"), 1, REFUSED),
    Input::refused("a file that is missing", |on| damaged(on, "main:docs/news.txt", "rm $1"), 1, REFUSED),
    Input::refused("an object cut in two", |on| damaged(on, "main:docs/news.txt", "truncate -s 9 $1"), 1, REFUSED),
    Input::refused(
        "an object that is none",
        |on| damaged(on, "main:docs/news.txt", "head -c 100 /dev/zero > $1"),
        1,
        REFUSED,
    ),
    Input::refused(
        "an object under another's name",
        |on| damaged(on, "main:docs/news.txt", "cp $(find /srv/git/app.git/objects/?? -type f | head -n 1) $1"),
        1,
        REFUSED,
    ),
    Input::refused(
        "a commit with a parent that is missing",
        |on| {
            commit(on, |text| text.replacen("parent ", &format!("parent {}\nparent ", "2".repeat(40)), 1).into_bytes())
        },
        1,
        REFUSED,
    ),
    Input::refused(
        "a commit without an author",
        |on| {
            commit(on, |text| {
                text.lines()
                    .filter(|line| !line.starts_with("author"))
                    .map(|line| format!("{line}\n"))
                    .collect::<String>()
                    .into_bytes()
            })
        },
        1,
        BROKEN,
    ),
    Input::refused("an author with a line end in the name", |on| author(on, "A\nB <x> 1 +0000"), 1, BROKEN),
    Input::refused("an author without an address", |on| author(on, "A 1 +0000"), 1, BROKEN),
    Input::refused("a date of 2^63", |on| author(on, "A <a@b> 9223372036854775808 +0000"), 1, BROKEN),
    Input::refused("a date before 1970", |on| author(on, "A <a@b> -1 +0000"), 1, BROKEN),
    Input::refused(
        "two trees in a commit",
        |on| {
            commit(on, |text| {
                let tree = text.lines().next().unwrap().to_owned();
                format!("{tree}\n{text}").into_bytes()
            })
        },
        1,
        BROKEN,
    ),
    Input::refused("a NUL in the head of a commit", |on| author(on, "A\0B <a@b> 1 +0000"), 1, BROKEN),
    Input::refused("a NUL in a message", |on| commit(on, |text| [text.as_bytes(), b"a\0b\n"].concat()), 1, BROKEN),
    Input::harmless("escapes and bidirectional marks in a message", |on| {
        commit(on, |text| text.replace("Hostile", "\u{1b}]0;x\u{7}\u{1b}[2J\u{202e}Hostile\r\u{9b}31m").into_bytes())
    }),
    Input::harmless("a message of 2 MB", |on| commit(on, |text| [text.as_bytes(), &vec![b'x'; 2_000_000]].concat())),
    Input::refused(
        "a VERSION of 64 MiB of zeros, in 64 KiB of a pack",
        |on| drop(on.forge().file("manager/VERSION", vec![0; 64 << 20])),
        1,
        &["manager/VERSION of the release has 64 MiB, and at most 8 MiB are read", "state: nothing was changed"],
    ),
    Input::refused(
        "a unit of 16 MiB",
        |on| drop(on.forge().file("manager/production/sample-manager.service", vec![b'\n'; 16 << 20])),
        1,
        &["at most 8 MiB are read", "state: nothing was changed"],
    ),
    Input::harmless("a CHANGELOG.md of 16 MiB, which is not shown", |on| {
        drop(on.forge().file("manager/CHANGELOG.md", vec![b'#'; 16 << 20]))
    }),
    Input::refused(
        "a pack cut in two",
        |on| {
            on.forge().file("docs/news.txt", "news\n");
            on.host.must("cd /srv/git/app.git; git -c safe.directory='*' repack -adq; pack=$(ls objects/pack/*.pack); chmod u+w $pack; truncate -s -30 $pack; rm -rf /var/lib/relift/app/mirror.git; chown -R git: .");
        },
        1,
        REFUSED,
    ),
    Input::refused(
        "a remote in another format of objects",
        |on| {
            drop(on.host.must("rm -rf /srv/git/app.git; git init -q --bare --object-format=sha256 /srv/git/app.git; chown -R git: /srv/git/app.git"))
        },
        1,
        REFUSED,
    ),
    Input::refused(
        "grafts and replacements in the remote",
        |on| {
            on.forge().file("docs/news.txt", "news\n");
            let tip = on.forge().git(&["rev-parse", "main"]);
            on.host.must(&format!("echo {tip} > /srv/git/app.git/info/grafts; true"));
        },
        1,
        REFUSED,
    ),
];

#[test]
fn a_hostile_object_is_refused_or_does_no_harm() {
    run("objects", INPUTS, ground::quick);
}
