//! The sparse-checkout cone follows the components, and what releases are called follows the shape of their tags.

use relift::sample::Site;

use crate::harness::Host;

const GIT: &str = "runuser -u app -- git -C /opt/app";
const MANIFEST: &str = "/etc/relift/app.toml";

#[track_caller]
fn sound(host: &Host, cone: &str) {
    assert_eq!(host.must(&format!("{GIT} sparse-checkout list")), cone);
    assert_eq!(host.must(&format!("{GIT} status --porcelain")), "");
    assert_eq!(host.must(&format!("{GIT} fsck --no-dangling --no-progress 2>&1 | grep -v '^notice:' || :")), "");
    assert_eq!(host.must("find /opt/app -user root"), "");
}

#[test]
fn a_cone_is_enabled_without_losing_what_git_does_not_track_and_undone_exactly() {
    let mut host = Host::with_sample();
    let wide = |release: relift::sample::Release| {
        release
            .file("docs/a/README", "docs\n")
            .file("tools/run", "tools\n")
            .file("tools/deep/x", "x\n")
            .file(".gitignore", ".env\nbuild/\ndata/\n*.log\n")
    };
    host.release(|release| wide(release.next("1.0.1")));
    host.must(&format!("sed -i 's|^branch.*|&\\nsparse = false|' {MANIFEST}; relift config check"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.read("/opt/app/docs/a/README"), "docs\n", "the whole tree stays where `sparse` is false");
    host.must(&format!("sed -i '/^sparse/d' {MANIFEST}"));
    host.must("runuser -u app -- sh -c 'echo kept > /opt/app/tools/deep/a.log'");
    host.release(|release| release.next("1.1.0").behaviour("manager", "die-after 300ms"));
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(
        out.stdout.contains("tools/ stays checked out: it holds tools/deep/a.log, which git does not track"),
        "{out}"
    );
    let sparse = "warning: from now on only manager, runner, tools are checked out; docs";
    assert!(out.stdout.contains(sparse) && out.stdout.contains(" the work tree (git sparse-checkout disable"), "{out}");
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    sound(&host, "manager\nrunner\ntools");
    assert_eq!(host.read("/opt/app/tools/deep/a.log"), "kept\n");
    host.sh("test -e /opt/app/docs").exits(1);
    // Once nothing is left there, the directory leaves.
    host.must("rm /opt/app/tools/deep/a.log");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    sound(&host, "manager\nrunner");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.1"));
}

#[test]
fn a_component_of_any_depth_joins_and_leaves_the_cone() {
    let mut host = Host::with_site(Site { sparse: true, ..Site::new("app") });
    host.release(|release| {
        release.next("1.1.0").file("apps/web/VERSION", "1.1.0\n").file("apps/other/x", "x\n").file("apps/README", "r\n")
    });
    host.must(&format!("printf '[[component]]\\nname = \"web\"\\npath = \"apps/web\"\\ninstalled-if = \"web.enabled\"\\nversion = {{ file = \"VERSION\" }}\\n' >> {MANIFEST}; relift config check"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    sound(&host, "manager\nrunner");
    host.sh_as("app", "touch /opt/app/web.enabled; echo web.enabled >> /opt/app/.git/info/exclude").exits(0);
    // What is there already is not git's to replace.
    host.sh_as("app", "mkdir -p /opt/app/apps/web; echo mine > /opt/app/apps/web/VERSION").exits(0);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(out.stderr.contains("mv /opt/app/apps/web/VERSION /opt/app/apps/web/VERSION.kept"), "{out}");
    host.must("rm -r /opt/app/apps");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    sound(&host, "apps/web\nmanager\nrunner");
    assert_eq!(host.must("ls /opt/app/apps"), "README\nweb");
    host.must("rm /opt/app/web.enabled");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    sound(&host, "manager\nrunner");
    host.sh("test -e /opt/app/apps").exits(1);
}

#[test]
fn tags_of_a_shape_are_followed_within_their_range() {
    let mut host = Host::with_sample();
    let first = host.must(&format!("{GIT} rev-parse HEAD"));
    let second = host.release(|release| release.next("1.1.0").tag("manager-v1.1.0").tag("runner-v1.1.0"));
    host.release(|release| release.next("1.2.0-rc.1").tag("manager-v1.2.0-rc.1"));
    host.must(&format!("sed -i 's|^branch.*|tags = \"manager-v{{version}}\"|' {MANIFEST}; relift config check"));
    let out = host.relift(&["check"]).exits(100);
    assert!(out.stdout.contains("manager 1.0.0 -> 1.1.0"), "{out}");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(
        host.must(&format!("{GIT} rev-parse HEAD; {GIT} rev-parse --abbrev-ref HEAD")),
        format!("{second}\nmain")
    );
    host.relift(&["check"]).exits(0);
    // From one tag to another on no branch, also where they lie on different lines of history.
    host.must(&format!("{GIT} checkout -q --detach"));
    host.release(|release| release.next("1.3.0").after(&first).tag("manager-v1.3.0"));
    host.release(|release| release.next("2.0.0").tag("manager-v2.0.0"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(out.stderr.contains("manager 1.1.0 -> 2.0.0 is a major step, which has its own guide"), "{out}");
    host.must(&format!("sed -i 's|^tags.*|&\\nallow = \"^1.1\"|' {MANIFEST}; relift config check"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.3.0"));
    assert_eq!(host.must(&format!("{GIT} status --porcelain --branch")), "## HEAD (no branch)");
    host.relift(&["upgrade", "app", "--to", "2.0.0", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("2.0.0"));
    // Following a branch, a bare version is the tag that ends so, unless there are two of them.
    host.must(&format!(
        "sed -i '/^allow/d; s|^tags.*|branch = \"main\"|' {MANIFEST}; {GIT} switch -q -C main; relift config check"
    ));
    host.release(|release| release.next("2.1.0").tag("manager-v2.1.0"));
    host.release(|release| release.next("2.2.0").tag("runner-v2.1.0"));
    let out = host.relift(&["plan", "app", "--to", "2.1.0"]).exits(2);
    assert!(out.stderr.contains("2.1.0 is ambiguous: manager-v2.1.0, runner-v2.1.0"), "{out}");
    host.relift(&["upgrade", "app", "--to", "manager-v2.1.0", "--yes"]).exits(0);
    assert_eq!(host.answers("runner").as_deref(), Some("2.1.0"));
}
