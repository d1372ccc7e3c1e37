//! Refs: names, kinds and moves that a remote may offer.

use super::{Ground, Input, ground, run};

const MANIFEST: &str = "/etc/relift/app.toml";

fn set(on: &Ground, names: &[&str]) {
    names.iter().for_each(|name| on.forge().set(name, &on.base));
}

fn tags(on: &Ground, names: &[&str]) {
    on.forge().file("docs/news.txt", "news\n");
    let tip = on.forge().git(&["rev-parse", "main"]);
    names.iter().for_each(|name| on.forge().set(&format!("refs/tags/{name}"), &tip));
}

/// Follows tags, and not the branch.
fn follow_tags(on: &Ground) {
    on.host.must(&format!("sed -i 's/^branch .*/tags = \"v{{version}}\"/' {MANIFEST} && relift config check"));
    on.host.must("runuser -u app -- git -C /opt/app tag v1.0.0; runuser -u app -- git -C /opt/app tag -d v1.0.0");
}

/// A commit of the base's tree without a parent is the branch's tip.
fn forced(on: &Ground) {
    let forge = on.forge();
    let tree = forge.git(&["rev-parse", "main^{tree}"]);
    let text = super::forge::commit_text(&tree, "x").replace("parent x\n", "");
    forge.set("refs/heads/main", &forge.object("commit", text.as_bytes()));
}

pub const INPUTS: &[Input] = &[
    Input::refused(
        "a branch whose history was rewritten",
        forced,
        1,
        &["the checkout and the target have diverged", "state: nothing was changed"],
    ),
    Input::refused(
        "a branch that is gone",
        |on| {
            drop(on.host.must(
                "rm /srv/git/app.git/refs/heads/main; sed -i /main/d /srv/git/app.git/packed-refs 2>/dev/null || :",
            ))
        },
        1,
        &["has no branch main", "state: nothing was changed"],
    ),
    Input::refused(
        "a branch that points at a tree",
        |on| on.forge().set("refs/heads/main", &on.forge().git(&["rev-parse", "main^{tree}"])),
        1,
        &["state: nothing was changed"],
    ),
    Input::refused(
        "a branch that points at a blob",
        |on| on.forge().set("refs/heads/main", &on.forge().blob("x\n")),
        1,
        &["state: nothing was changed"],
    ),
    Input::refused(
        "a branch that points at a tag object",
        |on| {
            let forge = on.forge();
            let tip = forge.file("docs/news.txt", "news\n");
            let text = format!("object {tip}\ntype commit\ntag main\ntagger S <s@example.org> 1767300000 +0000\n\nx\n");
            forge.set("refs/heads/main", &forge.object("tag", text.as_bytes()));
        },
        1,
        &["trying to write non-commit object", "state: nothing was changed"],
    ),
    Input::refused(
        "a branch that points at nothing that is there",
        |on| on.forge().set("refs/heads/main", &"1".repeat(40)),
        1,
        &["state: nothing was changed"],
    ),
    Input::harmless("a tag with the branch's name", |on| {
        on.forge().file("docs/news.txt", "news\n");
        set(on, &["refs/tags/main", "refs/tags/HEAD", "refs/tags/origin/main"]);
    }),
    Input::harmless("branches with the names of others' refs", |on| {
        set(on, &["refs/heads/HEAD", "refs/heads/refs/heads/main", "refs/heads/v1.0.0", "refs/heads/FETCH_HEAD"])
    }),
    Input::harmless("refs with dashes in front", |on| {
        set(
            on,
            &[
                "refs/heads/-x",
                "refs/heads/--upload-pack=touch",
                "refs/tags/--upload-pack=touch",
                "refs/tags/-d",
                "refs/tags/-rf",
            ],
        )
    }),
    Input::harmless("names of a shell's", |on| {
        tags(on, &["v1.2.3;touch$IFS", "v1.0.0-$(id)", "`id`", "v1|id", "v1&id", "'", "\""])
    }),
    Input::harmless("names with bidirectional marks and emoji", |on| {
        tags(on, &["v1.0.0\u{202e}txt", "\u{1f4a9}", "v\u{200b}1.0.0"])
    }),
    Input::harmless("a ref name of 200 levels", |on| tags(on, &[&["d"; 200].join("/")])),
    Input::harmless("refs/relift, refs/replace and refs/known-good of the remote's", |on| {
        on.forge().file("docs/news.txt", "news\n");
        let base = on.base.clone();
        let tip = on.forge().git(&["rev-parse", "main"]);
        for name in [
            format!("refs/replace/{base}"),
            "refs/relift/remote-head".into(),
            "refs/relift/pins/x".into(),
            "refs/known-good/1".into(),
            "refs/notes/commits".into(),
            "refs/original/x".into(),
        ] {
            on.forge().set(&name, &tip);
        }
    }),
    Input::harmless("tags of the remote's that are called known-good", |on| {
        let known: Vec<_> = on
            .host
            .must("git -c safe.directory='*' -C /opt/app tag -l 'known-good/*'")
            .lines()
            .map(str::to_owned)
            .collect();
        let known: Vec<_> = known.iter().map(String::as_str).chain(["known-good/20990101T000000Z"]).collect();
        tags(on, &known);
    }),
    Input::refused(
        "a tag to a tree as the newest version",
        |on| {
            follow_tags(on);
            let tree = on.forge().git(&["rev-parse", "main^{tree}"]);
            on.forge().set("refs/tags/v9.0.0", &tree);
        },
        1,
        &["has no tag of the shape", "state: nothing was changed"],
    ),
    Input::refused(
        "a tag to a blob as the newest version",
        |on| {
            follow_tags(on);
            let blob = on.forge().blob("x\n");
            on.forge().set("refs/tags/v9.0.0", &blob);
        },
        1,
        &["has no tag of the shape", "state: nothing was changed"],
    ),
    Input::refused(
        "a version that no number holds",
        |on| {
            follow_tags(on);
            tags(on, &["v99999999999999999999.0.0"]);
        },
        1,
        &["has no tag of the shape", "state: nothing was changed"],
    ),
    Input::refused(
        "versions that only look like some",
        |on| {
            follow_tags(on);
            tags(on, &["v1.2.3;rm", "v1.0.0-$(id)", "v01.2.3", "v1.2", "v-1.0.0", "v1.2.3\u{202e}"]);
        },
        1,
        &["has no tag of the shape", "state: nothing was changed"],
    ),
    Input::harmless("2,000 tags", |on| {
        let tip = on.forge().file("docs/news.txt", "news\n");
        let lines: String = (0..2000).map(|at| format!("create refs/tags/t{at} {tip}\n")).collect();
        on.forge().git_with(&["update-ref", "--stdin"], lines.as_bytes());
    }),
    Input::harmless("symbolic refs that lead in a circle and outside", |on| {
        on.forge().file("docs/news.txt", "news\n");
        on.host.must("cd /srv/git/app.git/refs; echo 'ref: refs/tags/b' > tags/a; echo 'ref: refs/tags/a' > tags/b; echo 'ref: ../../../../etc/shadow' > tags/c; chown git: tags/*");
    }),
    Input::harmless("a HEAD that leads elsewhere", |on| {
        on.forge().file("docs/news.txt", "news\n");
        on.host.must("echo 'ref: refs/heads/../../../etc/shadow' > /srv/git/app.git/HEAD; echo 'ref: refs/heads/none' > /srv/git/app.git/HEAD");
    }),
];

#[test]
fn a_hostile_ref_is_refused_or_does_no_harm() {
    run("refs", INPUTS, ground::quick);
}

/// What may stand behind `--to`, and on the command line at all: none of it may be an option of git's, a path or a command.
#[test]
fn a_hostile_target_on_the_command_line_is_no_release() {
    let on = Ground::new(ground::quick(), ground::plain);
    let before = on.host.snapshot();
    let long = "x".repeat(100_000);
    for to in [
        "--upload-pack=touch /tmp/owned",
        "-x",
        "@{-1}",
        "HEAD",
        "@",
        ":/Release",
        "main:manager",
        "v1.0.0^{tree}",
        "..",
        "../../etc/shadow",
        "$(touch /tmp/owned)",
        "\u{1b}[2J",
        "",
        "HEAD^{/x}",
        &long,
    ] {
        for verb in ["plan", "upgrade", "rollback"] {
            let argument = format!("--to={to}");
            let words: &[&str] = if verb == "plan" {
                &["relift", "plan", "app", &argument]
            } else {
                &["relift", verb, "app", "--yes", &argument]
            };
            let out = on.host.run(words, b"");
            assert!([0, 1, 2].contains(&out.code), "{to:?}: {out}");
            assert!(out.code != 0 || out.stdout.contains("nothing to do") || verb == "plan", "{to:?}: {out}");
            assert!(!out.stderr.contains('\u{1b}'), "{to:?}");
            assert_eq!(on.host.must("ls /tmp | grep owned; true"), "", "{to:?}");
        }
    }
    before.assert_same(&on.host.snapshot());
}
