//! What root runs: what was verified, from a place that root alone can write; never what the owner has in the checkout.

use relift::sample::{Release, Site};

use crate::crash::killed;
use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// Declares steps for the manager, before its own.
fn declare(host: &Host, text: &str) {
    let manifest = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    let place = "\n[[component.step]]\nname = \"build\"";
    host.write(MANIFEST, manifest.replacen(place, &format!("\n{text}\n{place}"), 1) + "\n", 0o644, "root");
}

/// A step of the owner's that takes long enough for the owner to change what comes after it, and root's.
fn steps(run: &str, undo: &str) -> String {
    format!(
        "[[component.step]]\nname = \"pause\"\nrun = [\"sh\", \"-c\", \"touch /tmp/pausing; for i in $(seq 100); do [ -e /tmp/swapped ] && exit; sleep 0.1; done; exit 1\"]\nundo = \"pure\"\n[[component.step]]\nname = \"init\"\nrun = {run}\nas = \"root\"\nundo = {undo}\n"
    )
}

/// What root does in its step: tells where it is and what it can do there.
const INIT: &str = r#"#!/bin/sh
set -eu
[ "$(id -u)" = 0 ]
{ cat VERSION; pwd; stat -c '%U %a' .env; grep -c API_TOKEN .env; echo "$RELIFT_ROOT $RELIFT_CHECKOUT"
  ls "$RELIFT_CHECKOUT/build" >/dev/null && echo sees the build
  touch scripts/left 2>/dev/null && echo writes here || echo reads only; } > /etc/app-init
"#;
const UNDO: &str = "#!/bin/sh\ncat VERSION >> /etc/app-uninit\n";
const MAKE: &str = "\ninit:\n\tsh scripts/init.sh\n";

fn with_scripts(release: Release, version: &str) -> Release {
    let release =
        release.next(version).program("manager/scripts/init.sh", INIT).program("manager/scripts/undo.sh", UNDO);
    release.edit("manager/Makefile", |text| if text.contains("init:") { text } else { format!("{text}{MAKE}") })
}

/// When the tree is switched to `version`, and the owner's own step runs, the owner puts something else in place of everything that root would run.
fn race(host: &Host, version: &str) {
    let script = format!(
        r#"cd /opt/app/manager || exit
        until [ -e /tmp/pausing ]; do sleep 0.01; done; grep -qx {version} VERSION || exit
        printf '#!/bin/sh\ntouch /etc/canary\n' > evil
        while :; do
          for file in scripts/init.sh scripts/undo.sh; do cp evil $file.new && mv -f $file.new $file; done
          printf 'init:\n\ttouch /etc/canary\n' > Makefile
          touch /tmp/swapped
          sleep 0.02
        done"#
    );
    host.write("/usr/local/bin/race", script, 0o755, "root");
    host.must("rm -f /tmp/swapped /tmp/pausing; systemctl reset-failed race 2>/dev/null; systemd-run --quiet --uid=app --unit=race sh /usr/local/bin/race");
}

fn end_race(host: &Host) {
    host.must("systemctl stop race; rm -rf /tmp/swapped /opt/app/manager/evil /opt/app/manager/scripts/*.new");
}

fn has(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word) || out.stdout.contains(word), "this is missing: {word}\n{out}");
    }
}

#[test]
fn root_runs_the_exported_release_whatever_the_owner_puts_into_the_checkout() {
    let mut host = quick();
    declare(&host, &steps(r#"["make", "init"]"#, r#"{ run = ["sh", "scripts/undo.sh"] }"#));
    let first = host.release(|release| with_scripts(release, "1.1.0"));
    let before = host.snapshot();
    for mode in [["upgrade", "app", "--yes"], ["upgrade", "app", "--unattended"]] {
        let out = host.relift(&mode).exits(2);
        has(
            &out,
            &["root would run code of", "manager: init", "verify", "relift trust pin app", "trust-checkout = true"],
        );
        before.assert_same(&host.snapshot());
    }
    host.relift(&["trust", "pin", "app", &first, "--yes"]).exits(0);
    has(
        &host.relift(&["plan", "app"]).exits(0),
        &[&format!("init: make init as root, from pinned {} (exported)", &first[..10])],
    );

    race(&host, "1.1.0");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must("grep -q canary /opt/app/manager/scripts/init.sh /opt/app/manager/Makefile");
    host.sh("test -e /etc/canary").exits(1);
    let expected = format!(
        "1.1.0\n/var/lib/relift/app/exports/{first}/manager\nroot 600\n1\n/opt/app /opt/app/manager\nsees the build\nreads only\n"
    );
    assert_eq!(host.read("/etc/app-init"), expected, "{out}");
    host.sh("test -e /var/lib/relift/app/exports").exits(1);
    host.assert_no_secret(&out);
    end_race(&host);
    host.sh_as("app", "git -C /opt/app checkout -q -- .").exits(0);

    // What a failing release's step did is undone with the release's own code, too.
    let second = host.release(|release| with_scripts(release, "1.2.0").behaviour("manager", "exit-at-once"));
    host.relift(&["trust", "pin", "app", &second, "--yes"]).exits(0);
    race(&host, "1.2.0");
    host.relift(&["upgrade", "app", "--yes"]);
    host.sh("test -e /etc/canary").exits(1);
    assert_eq!(host.read("/etc/app-uninit"), "1.2.0\n");
    host.sh("test -e /var/lib/relift/app/exports").exits(1);
    end_race(&host);
}

#[test]
fn recovery_undoes_as_root_from_an_export_of_its_own() {
    let mut host = quick();
    declare(&host, &steps(r#"["sh", "scripts/init.sh"]"#, r#"{ run = ["sh", "scripts/undo.sh"] }"#));
    let revision = host.release(|release| with_scripts(release, "1.1.0"));
    host.relift(&["trust", "pin", "app", &revision, "--yes"]).exits(0);
    let before = host.snapshot();
    host.must("touch /tmp/swapped");
    // Killed when the step of root is done: the checkout is the owner's until somebody recovers.
    let plan = host.relift(&["plan", "app", "--json"]).exits(0).stdout;
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let titles: Vec<&str> = plan["actions"].as_array().unwrap().iter().filter_map(|title| title.as_str()).collect();
    let at = titles.iter().position(|title| *title == "manager: init").unwrap();
    // begin, prepared, and two records for each action: the record after the step's own two.
    killed(&host, &format!("after-{:05}-done", 2 + 2 * (at + 1)), "upgrade app --yes").exits(137);
    assert!(host.read("/etc/app-init").starts_with("1.1.0\n"));
    host.sh_as("app", "cd /opt/app/manager/scripts && cp undo.sh kept && printf 'touch /etc/canary\\n' > undo.sh")
        .exits(0);
    host.must("echo half > $(ls -d /var/lib/relift/app/exports/*)/manager/scripts/undo.sh");
    host.relift(&["recover", "app"]);
    host.sh("test -e /etc/canary").exits(1);
    assert_eq!(host.read("/etc/app-uninit"), "1.1.0\n", "from the mirror, not from what was left");
    host.sh("test -e /var/lib/relift/app/exports").exits(1);
    drop(before);
}

#[test]
fn a_host_that_trusts_the_checkout_is_told_so_and_runs_what_is_there() {
    let mut host = quick();
    declare(&host, &steps(r#"["sh", "scripts/init.sh"]"#, "\"pure\""));
    host.must("sed -i 's/^owner = .*/&\\ntrust-checkout = true/' /etc/relift/app.toml");
    host.release(|release| with_scripts(release, "1.1.0"));
    has(
        &host.relift(&["plan", "app"]).exits(0),
        &["init: sh scripts/init.sh as root, from the checkout (trust-checkout)"],
    );
    has(&host.relift(&["config", "check", "app"]).exits(0), &["trust-checkout", "root runs whatever the owner"]);
    race(&host, "1.1.0");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must("test -e /etc/canary");
    end_race(&host);
}

fn good(release: Release) -> Release {
    with_scripts(release, "1.1.0").without("manager/out")
}

#[test]
fn a_program_or_link_that_root_must_not_follow_stops_the_run_before_any_change() {
    let mut host = quick();
    host.must("install -o app -g app -m 755 /bin/true /opt/app/manager/build/tool; ln -s /opt/app/manager/build/tool /usr/local/bin/lent");
    let step =
        |run: &str| format!("[[component.step]]\nname = \"init\"\nrun = {run}\nas = \"root\"\nundo = \"pure\"\n");
    let before = host.snapshot();
    type Change = fn(Release) -> Release;
    let cases: [(&str, Change, &[&str]); 6] = [
        (
            r#"["/opt/app/manager/build/tool"]"#,
            good,
            &["root does not run /opt/app/manager/build/tool for init", "belongs to uid"],
        ),
        (r#"["lent"]"#, good, &["root does not run lent for init", "belongs to uid"]),
        (r#"["build/tool"]"#, good, &["root does not run build/tool", "not in the release"]),
        (r#"["../../../../../../../bin/true"]"#, good, &["leads out of the exported release"]),
        (
            r#"["scripts/init.sh"]"#,
            |it| good(it).link("manager/out", "/etc/passwd"),
            &["manager/out leads out of it, to /etc/passwd"],
        ),
        (r#"["scripts/init.sh"]"#, |it| good(it).link("manager/out", "../../../x"), &["manager/out leads out of it"]),
    ];
    for (run, change, words) in cases {
        declare(&host, &step(run));
        let revision = host.release(change);
        host.relift(&["trust", "pin", "app", &revision, "--yes"]).exits(0);
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
        has(&out, words);
        has(&out, &["state: nothing was changed"]);
        before.assert_same(&host.snapshot());
        host.sh("test -e /var/lib/relift/app/exports").exits(1);
    }
}
