//! Trees: names, modes and shapes that no honest release has.

use super::{Entry, Ground, Input, ground, run};

const BROKEN: &[&str] = &["sent an object that git's own check refuses", "state: nothing was changed"];
const NOT_A_FILE: &[&str] = &["is no plain file", "state: nothing was changed"];

/// A blob under this name at the top.
fn named(ground: &Ground, name: impl AsRef<[u8]>) {
    let forge = ground.forge();
    let oid = forge.blob("hostile\n");
    forge.plant("", Entry::new("100644", name, &oid));
}

/// A directory under this name at the top, with a hook in it.
fn git_directory(ground: &Ground, name: &str) {
    let forge = ground.forge();
    let hook = forge.blob("#!/bin/sh\ntouch /tmp/owned-$(id -u)\n");
    let hooks = forge.tree(&[Entry::new("100755", "post-merge", &hook)]);
    let config = forge.blob("[core]\n\tfsmonitor = touch /tmp/owned-monitor-$(id -u)\n");
    let tree = forge.tree(&[Entry::new("100644", "config", &config), Entry::new("40000", "hooks", &hooks)]);
    forge.plant("", Entry::new("40000", name, &tree));
}

fn mode(ground: &Ground, mode: &str) {
    let forge = ground.forge();
    let oid = forge.blob("#!/bin/sh\n");
    forge.plant("docs", Entry::new(mode, "program", &oid));
}

/// The tip's top with entries behind all others, not sorted in.
fn appended(ground: &Ground, change: impl FnOnce(&mut Vec<Entry>, &str)) {
    let forge = ground.forge();
    let mut entries = forge.entries("");
    change(&mut entries, &forge.blob("hostile\n"));
    let tree = forge.tree(&entries);
    forge.publish(&tree);
}

fn deep(ground: &Ground, levels: usize, name: &str) {
    let forge = ground.forge();
    let leaf = forge.tree(&[Entry::new("100644", "leaf", &forge.blob("leaf\n"))]);
    let tree = (0..levels).fold(leaf, |tree, _| forge.tree(&[Entry::new("40000", name, &tree)]));
    forge.plant("manager", Entry::new("40000", "a", &tree));
}

fn many(ground: &Ground, count: usize) {
    let forge = ground.forge();
    let oid = forge.blob("x\n");
    let entries: Vec<_> = (0..count).map(|at| Entry::new("100644", format!("{at:06}"), &oid)).collect();
    let tree = forge.tree(&entries);
    forge.plant("manager", Entry::new("40000", "many", &tree));
}

fn attributes(ground: &Ground, text: &str) {
    // What a filter of this name would run, did anybody declare it for root.
    ground.forge().file("manager/.gitattributes", text);
    ground.forge().file("manager/filtered.txt", "$Format:%H$ text\n");
}

pub const INPUTS: &[Input] = &[
    Input::refused("a file .GIT", |on| named(on, ".GIT"), 1, BROKEN),
    Input::refused("a directory .Git with hooks", |on| git_directory(on, ".Git"), 1, BROKEN),
    Input::refused("a directory .git with hooks", |on| git_directory(on, ".git"), 1, BROKEN),
    Input::refused("git~1, as FAT shortens .git", |on| git_directory(on, "git~1"), 1, BROKEN),
    Input::refused(".git with U+200C in it", |on| git_directory(on, ".g\u{200c}it"), 1, BROKEN),
    Input::refused(".git with U+FEFF behind it", |on| git_directory(on, ".git\u{feff}"), 1, BROKEN),
    Input::refused(".git and a blank", |on| git_directory(on, ".git "), 1, BROKEN),
    Input::refused(".git and a dot", |on| git_directory(on, ".git."), 1, BROKEN),
    Input::refused(".git::$INDEX_ALLOCATION", |on| git_directory(on, ".git::$INDEX_ALLOCATION"), 1, BROKEN),
    Input::refused("..", |on| named(on, ".."), 1, BROKEN),
    Input::refused(".", |on| named(on, "."), 1, BROKEN),
    Input::refused("an absolute name", |on| named(on, "/etc/owned"), 1, BROKEN),
    Input::refused("a name with a slash that leads outside", |on| named(on, "../../etc/owned"), 1, BROKEN),
    Input::refused(
        "an empty name",
        |on| named(on, ""),
        1,
        &["talking to file:///srv/git/app.git failed", "state: nothing was changed"],
    ),
    Input::refused(".gitmodules as a link", |on| drop(on.forge().link(".gitmodules", "/etc/shadow")), 1, BROKEN),
    Input::refused(
        "two entries of a name",
        |on| {
            appended(on, |all, oid| {
                all.push(Entry::new("100644", "zz", oid));
                all.push(Entry::new("120000", "zz", oid));
            })
        },
        1,
        BROKEN,
    ),
    Input::refused(
        "a file and a directory of a name",
        |on| {
            let forge = on.forge();
            let tree = forge.entries("docs");
            let tree = forge.tree(&tree);
            appended(on, |all, oid| {
                all.push(Entry::new("100644", "zz", oid));
                all.push(Entry::new("40000", "zz", &tree));
            });
        },
        1,
        BROKEN,
    ),
    Input::refused(
        "a tree out of order",
        |on| appended(on, |all, oid| all.push(Entry::new("100644", "aa", oid))),
        1,
        BROKEN,
    ),
    Input::refused("a name of 4,097 bytes", |on| named(on, "x".repeat(4097)), 1, &["state: nothing was changed"]),
    Input::refused(
        "a name of 256 bytes, too long for any filesystem",
        |on| named(on, "x".repeat(256)),
        1,
        &["File name too long", "state: nothing was changed"],
    ),
    Input::harmless("a name of 255 bytes", |on| named(on, "x".repeat(255))),
    Input::refused(
        "a path of 5,000 bytes",
        |on| deep(on, 50, &"d".repeat(99)),
        1,
        &["File name too long", "state: nothing was changed"],
    ),
    Input::harmless("200 levels of directories", |on| deep(on, 200, "d")),
    Input::harmless("5,000 files in a directory", |on| many(on, 5_000)),
    Input::harmless("names with line ends, control bytes, quotes and dashes", |on| {
        let forge = on.forge();
        let oid = forge.blob("x\n");
        let names: [&[u8]; 8] = [
            b"a\nb",
            b"\x1b[2J",
            b"--force",
            b"-rf",
            b"a\tb",
            b"\"; id; \"",
            b"$(touch owned)",
            b"\xe2\x80\xaetxt.exe",
        ];
        let tree =
            forge.changed("docs", |entries| entries.extend(names.iter().map(|name| Entry::new("100644", name, &oid))));
        forge.publish(&tree);
        let tree = forge
            .changed("manager", |entries| entries.extend(names.iter().map(|name| Entry::new("100644", name, &oid))));
        forge.publish(&tree);
    }),
    Input::harmless("a name that is not UTF-8", |on| {
        let forge = on.forge();
        let oid = forge.blob("x\n");
        forge.plant("manager", Entry::new("100644", b"caf\xe9", &oid));
    }),
    Input::harmless("names that differ in case alone", |on| {
        on.forge().file("manager/readme", "a\n");
        on.forge().file("manager/README", "b\n");
    }),
    Input::harmless("mode 100664", |on| mode(on, "100664")),
    Input::harmless("mode 100777", |on| mode(on, "100777")),
    Input::harmless("mode 104755, set user id", |on| mode(on, "104755")),
    Input::harmless("a link with a NUL in its target", |on| drop(on.forge().link("docs/link", b"/etc/shadow\0x"))),
    Input::harmless("a link to /etc/shadow", |on| drop(on.forge().link("manager/link", "/etc/shadow"))),
    Input::harmless("a link to itself", |on| drop(on.forge().link("manager/link", "link"))),
    Input::refused(
        "a submodule in a component",
        |on| {
            let forge = on.forge();
            forge.plant("manager", Entry::new("160000", "sub", &on.base));
        },
        1,
        &["is a submodule", "state: nothing was changed"],
    ),
    Input::harmless("a submodule outside the cone", |on| {
        let forge = on.forge();
        forge.plant("docs", Entry::new("160000", "sub", &on.base));
    }),
    Input::refused(
        "a component as a submodule",
        |on| {
            let forge = on.forge();
            forge.plant("", Entry::new("160000", "manager", &on.base));
        },
        1,
        &["the release has no file", "state: nothing was changed"],
    ),
    Input::refused(
        "a component as a link that leads outside",
        |on| drop(on.forge().link("manager", "/srv/canary/directory")),
        1,
        &["the release has no file", "state: nothing was changed"],
    ),
    Input::refused(
        "a directory with files of the operator's as a link that leads outside",
        |on| drop(on.forge().link("local", "/srv/canary/directory")),
        1,
        &["local", "state: nothing was changed"],
    ),
    Input::harmless("a directory as a link that leads outside", |on| {
        drop(on.forge().link("runner/plugins", "/srv/canary/directory"))
    }),
    Input::refused(
        "VERSION as a link to /etc/shadow",
        |on| drop(on.forge().link("manager/VERSION", "/etc/shadow")),
        1,
        NOT_A_FILE,
    ),
    Input::harmless("CHANGELOG.md as a link to /etc/shadow", |on| {
        drop(on.forge().link("manager/CHANGELOG.md", "/etc/shadow"))
    }),
    Input::refused(
        ".env.example as a link to /etc/shadow",
        |on| drop(on.forge().link("manager/.env.example", "/etc/shadow")),
        1,
        NOT_A_FILE,
    ),
    Input::refused(
        "a unit as a link to /etc/shadow",
        |on| drop(on.forge().link("manager/production/sample-manager.service", "/etc/shadow")),
        1,
        NOT_A_FILE,
    ),
    Input::refused(
        "a unit as a directory",
        |on| {
            let forge = on.forge();
            let tree = forge.tree(&forge.entries("docs"));
            forge.plant("manager/production", Entry::new("40000", "sample-manager.service", &tree));
        },
        1,
        NOT_A_FILE,
    ),
    Input::refused(
        "a declared artifact as a link that leads outside",
        |on| drop(on.forge().link("manager/build", "/srv/canary/directory")),
        1,
        &["manager/build", "state: nothing was changed"],
    ),
    Input::refused(
        "a tracked .env",
        |on| drop(on.forge().file("manager/.env", "PORT=1\n")),
        1,
        &["manager/.env", "state: nothing was changed"],
    ),
    Input::refused(
        "a .env as a link to a secret of root's",
        |on| drop(on.forge().link("manager/.env", "/srv/canary/secret")),
        1,
        &["manager/.env", "state: nothing was changed"],
    ),
    Input::refused(
        "a file where the operator has one that git does not track",
        |on| drop(on.forge().file("notes.txt", "theirs\n")),
        1,
        &["notes.txt", "state: nothing was changed"],
    ),
    Input::refused(
        "a file in the place of an ignored directory",
        |on| drop(on.forge().file("manager/data", "theirs\n")),
        1,
        &["manager/data", "state: nothing was changed"],
    ),
    Input::harmless("a file in the place of a directory, a directory in that of a file", |on| {
        let forge = on.forge();
        forge.file("runner/plugins", "now a file\n");
        let tree = forge.tree(&forge.entries("docs"));
        forge.plant("manager", Entry::new("40000", "old.txt", &tree));
    }),
    Input::harmless(".gitattributes with filters", |on| attributes(on, "* filter=lfs diff=owned merge=owned\n")),
    Input::harmless(".gitattributes with export-subst, export-ignore and an encoding", |on| {
        attributes(
            on,
            "filtered.txt export-subst export-ignore\nVERSION export-ignore\n*.md working-tree-encoding=UTF-16\n",
        )
    }),
    Input::harmless(".gitignore that ignores nothing any more", |on| drop(on.forge().file(".gitignore", "!*\n"))),
    Input::harmless(".gitignore that ignores everything", |on| drop(on.forge().file(".gitignore", "*\n"))),
    Input::harmless(".lfsconfig with a server and a program of its own", |on| {
        drop(on.forge().file(
            ".lfsconfig",
            "[lfs]\n\turl = http://127.0.0.1:9/\n[lfs \"customtransfer.x\"]\n\tpath = touch\n\targs = /tmp/owned\n",
        ))
    }),
    Input::harmless("a .mailmap and a .gitmodules of a million bytes", |on| {
        on.forge().file(".mailmap", "x".repeat(1_000_000));
        on.forge().file(".gitmodules", "# ".repeat(500_000));
    }),
];

#[test]
fn a_hostile_tree_is_refused_or_does_no_harm() {
    run("trees", INPUTS, ground::quick);
}
