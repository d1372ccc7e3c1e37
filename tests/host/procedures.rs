//! What a runbook says beyond steps: hooks at their places, migrations release by release, a backlog that is worked off,
//! variables of a shell, peers of other versions.

use relift::sample::Site;

use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";
/// Where every hook says that it ran, with the versions that it was told and the tree that it saw.
const LOG: &str = "/tmp/places";
const PLACES: [&str; 6] = ["preflight", "drain", "quiesce", "migrate", "resume", "verify"];

fn host() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// The manifest of the sample with more at its end.
fn declare(host: &Host, text: &str) {
    let manifest = host.must(&format!("cat /root/app.toml 2>/dev/null || tee /root/app.toml < {MANIFEST}"));
    host.write(MANIFEST, format!("{manifest}\n{text}\n"), 0o644, "root");
}

/// Each place with a hook that tells itself, and does what `/tmp/do-PLACE` says; inverses where there can be any.
fn hooks() -> String {
    let hook = |at: &&str| {
        let undo = match *at {
            "preflight" | "verify" => String::new(),
            at => format!(
                r#"undo = {{ run = ["sh", "-c", "echo un{at} $RELIFT_OLD_VERSION $RELIFT_NEW_VERSION in $(cat manager/VERSION) $(cat $RELIFT_SCRATCH/saved) >> {LOG}"] }}"#
            ),
        };
        format!(
            r#"
[[hook]]
at = "{at}"
run = ["sh", "-c", "echo {at} $RELIFT_OLD_VERSION $RELIFT_NEW_VERSION in $(cat manager/VERSION) >> {LOG}; echo of-{at} > $RELIFT_SCRATCH/saved; ! [ -e /tmp/do-{at} ] || . /tmp/do-{at}"]
timeout = "2s"
{undo}
"#
        )
    };
    // Whatever the order in the manifest is.
    PLACES.iter().rev().map(hook).collect()
}

fn places(host: &Host) -> Vec<String> {
    let lines = host.must(&format!("cat {LOG}; rm {LOG}"));
    lines.lines().map(str::to_owned).collect()
}

fn upgrade(host: &Host) -> Out {
    host.sh("systemctl reset-failed; exec relift upgrade app --yes")
}

#[test]
fn every_place_of_a_run_has_its_hooks_in_order_and_inverses_run_in_reverse() {
    let mut host = host();
    declare(&host, &hooks());
    host.release(|release| release.next("1.1.0"));
    let plan = host.relift(&["plan", "app"]).exits(0);
    let listed = plan.stdout.split_once("  procedures\n").expect("told").1;
    let found: Vec<&str> =
        PLACES.iter().copied().filter(|place| listed.contains(&format!("    {place:<9} "))).collect();
    assert_eq!(found, PLACES, "{plan}");
    assert!(plan.stdout.contains("preflight: sh -c") && plan.stdout.contains("(asked before any change)"), "{plan}");

    upgrade(&host).exits(0);
    let up = |place: &str, tree: &str| format!("{place} 1.0.0 1.1.0 in {tree}");
    let all = [
        up("preflight", "1.0.0"),
        up("drain", "1.0.0"),
        up("quiesce", "1.0.0"),
        up("migrate", "1.1.0"),
        up("resume", "1.1.0"),
        up("verify", "1.1.0"),
    ];
    assert_eq!(places(&host), all);
    assert_eq!(host.must("ls /var/cache/relift/app/scratch 2>/dev/null || :"), "", "what was saved goes with the run");

    host.sh("systemctl reset-failed; exec relift rollback app --yes").exits(0);
    let back: Vec<String> = PLACES
        .iter()
        .zip(["1.1.0", "1.1.0", "1.1.0", "1.0.0", "1.0.0", "1.0.0"])
        .map(|(place, tree)| format!("{place} 1.1.0 1.0.0 in {tree}"))
        .collect();
    assert_eq!(places(&host), back, "a rollback has the same places, old and new exchanged");

    // What is left of a place: those before it, then the inverses in reverse, itself included.
    let undone = |place: &str, tree: &str| format!("un{place} 1.0.0 1.1.0 in {tree} of-{place}");
    let whole_way_back =
        [undone("resume", "1.1.0"), undone("migrate", "1.1.0"), undone("quiesce", "1.0.0"), undone("drain", "1.0.0")];
    let before = host.snapshot();
    for (at, place) in PLACES.iter().enumerate() {
        for what in ["exit 7", "setsid -f sleep 7654; exec sleep 7654"] {
            host.must(&format!("echo '{what}' > /tmp/do-{place}"));
            let out = upgrade(&host).exits(if at == 0 { 1 } else { 3 });
            let why = if what == "exit 7" { "exited with 7" } else { "did not end within 2s" };
            assert!(out.stderr.contains(why), "{out}");
            let gone_back = if at == 0 { &[] } else { &whole_way_back[4_usize.saturating_sub(at)..] };
            assert_eq!(places(&host), [&all[..=at], gone_back].concat(), "{place}, {what}: {out}");
            assert_eq!(host.must("pgrep -f '[s]leep 7654' || :"), "", "nothing of a hook may live on: {place}");
            before.assert_same(&host.snapshot());
        }
        host.must(&format!("rm /tmp/do-{place}"));
    }
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}
