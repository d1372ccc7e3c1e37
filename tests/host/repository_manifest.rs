//! The repository's own manifest, where the host asks for it.

use relift::sample::{Release, Site};

use crate::harness::{Host, Out};

/// What the host says itself: where, whose, from where, and the unit that PID 1 runs.
const HOST: &str = "schema = 1\n[install]\nroot = \"/opt/app\"\nowner = \"app\"\n[source.git]\nurl = \"file:///srv/git/app.git\"\nbranch = \"main\"\nmanifest = true\n[policy]\nsoak = \"0s\"\n[[component]]\nname = \"manager\"\n[[component.unit]]\nfile = \"production/sample-manager.service\"\nscope = \"system\"\n";

/// The rest of the sample's manifest, as the repository says it, with more steps of the manager's.
fn upstream(steps: &str) -> String {
    let whole = Site::new("app").manifest();
    let from = whole.find("\n[[component]]").unwrap();
    let to = whole.find("\n[policy]").unwrap();
    let unit = whole.find("\n[[component.unit]]").unwrap();
    let end = unit + whole[unit..].find("\n[[component.health]]").unwrap();
    format!("{}{steps}{}", &whole[from..unit], &whole[end..to])
}

fn with(release: Release, steps: &str) -> Release {
    release.file("relift.toml", &upstream(steps))
}

fn has(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stdout.contains(word) || out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

#[test]
fn a_repositorys_manifest_upgrades_and_goes_back_with_its_releases() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.write("/etc/relift/app.toml", HOST, 0o644, "root");
    host.relift(&["status"]).exits(0);
    host.relift(&["config", "check"]).exits(0);
    let first = host.release(|release| with(release.next("1.1.0"), ""));
    let plan = host.relift(&["plan", "app"]).exits(0);
    has(
        &plan,
        &[&format!("relift.toml at {} says otherwise", &first[..10]), "component[runner].path: new, \"runner\""],
    );
    host.relift(&["check"]).exits(100);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));
    has(&host.relift(&["status"]).exits(0), &["manager", "runner", "1.1.0"]);
    let shown = host.relift(&["config", "show", "app"]).exits(0);
    let upstream = format!("  # relift.toml at {}", &first[..10]);
    has(
        &shown,
        &[
            "owner = \"app\"  # /etc/relift/app.toml",
            "scope = \"system\"  # /etc/relift/app.toml",
            &format!("run = [\"sh\", \"scripts/build.sh\"]{upstream}"),
            &format!("lockstep = [[\"manager\", \"runner\"]]{upstream}"),
        ],
    );

    // A step that only the repository declares: told before, run as the owner, undone as its own release says.
    let who = "\n[[component.step]]\nname = \"who\"\nrun = [\"sh\", \"-c\", \"id -un > /tmp/who\"]\nundo = { run = [\"sh\", \"-c\", \"id -un > /tmp/unwho\"] }\n";
    host.release(|release| with(release.next("1.2.0"), who));
    has(
        &host.relift(&["plan", "app"]).exits(0),
        &["component[manager].step[who].run: new, [\"sh\", \"-c\", \"id -un > /tmp/who\"]"],
    );
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.read("/tmp/who"), "app\n");
    let out = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(host.read("/tmp/unwho"), "app\n", "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    let recorded = host.read("/var/lib/relift/app/ledger/manifest.json");
    assert!(recorded.contains(&first) && !recorded.contains("unwho"), "{recorded}");

    // What a `.env` holds does not leave this host either, whatever a release puts into it.
    let leak = upstream_with_leak();
    host.release(|release| {
        release.next("1.3.0").env_key("manager", "WHERE", "80@192.0.2.1", "A port.").file("relift.toml", &leak)
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    has(&out, &["it would ask another host than this one"]);
    host.assert_no_secret(&out);
    before.assert_same(&host.snapshot());
}

fn upstream_with_leak() -> String {
    upstream("").replacen("http://127.0.0.1:${PORT}/api/version", "http://127.0.0.1:${WHERE}/${API_TOKEN}", 1)
}
