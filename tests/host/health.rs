//! Health: what passes, what fails, and that no release counts as good over a service that is not.

use crate::harness::{CANARY, Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";

/// Declares these probes for the manager, before its own.
fn declare(host: &Host, probes: &str) {
    let manifest = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    let place = "\n[[component.health]]\n";
    host.write(MANIFEST, manifest.replacen(place, &format!("\n{probes}{place}"), 1) + "\n", 0o644, "root");
}

fn probe(text: &str) -> String {
    format!("[[component.health]]\nwithin = \"1500ms\"\n{text}\n")
}

fn says(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

#[test]
fn every_kind_of_probe_passes_over_a_service_that_does_what_is_asked() {
    let mut host = Host::with_sample();
    let probes = [
        "http = \"http://127.0.0.1:${PORT}/healthz\"\nexpect = { status = 200, body = \"(?i)ok\" }",
        "http = \"http://127.0.0.1:${PORT}/elsewhere\"\nexpect = { status = 404 }",
        "http = \"http://127.0.0.1:${PORT}/api/version\"\nheaders = { X-API-Token = \"${API_TOKEN}\" }\nexpect = { json = { version = \"{version}\" } }",
        "tcp = \"127.0.0.1:${PORT}\"",
        "command = [\"sh\", \"-c\", \"test $(id -un) = app && test -f VERSION\"]",
        "journal = { wanted = \"listens on port\", unwanted = \"panicked\" }",
    ];
    declare(&host, &probes.map(probe).concat());
    host.release(|release| release.next("1.1.0"));
    let watch = "while :; do cat /proc/[0-9]*/cmdline /proc/[0-9]*/comm; sleep 0.02; done 2>/dev/null | tr '\\0' '\\n' > /root/seen &";
    let out =
        host.sh(&format!("{watch} watch=$!; relift upgrade app --yes; code=$?; kill $watch; exit $code")).exits(0);
    host.assert_no_secret(&out);
    let seen = host.read("/root/seen");
    assert!(seen.contains("upgrade") && !seen.contains(CANARY), "a secret is in an argument list");
    assert!(out.stdout.contains("prove manager: sample-manager.service, 7 probes, for 1 s"), "{out}");
    // A release of the runner alone: the manager goes on, and its journal has nothing new to say.
    host.release(|release| release.component_version("runner", "1.1.1"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(out.stdout.contains("sample-manager.service (system): no restart"), "{out}");
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.1"));
}

#[test]
fn a_probe_that_fails_says_what_it_saw_and_the_old_release_is_proven_again() {
    let mut host = Host::with_sample();
    let get =
        |path: &str, expect: &str| probe(&format!("http = \"http://127.0.0.1:${{PORT}}/{path}\"\nexpect = {expect}"));
    let in_new = |run: &str| probe(&format!("command = [\"sh\", \"-c\", \"grep -qx 1.0.0 VERSION || {{ {run}; }}\"]"));
    let cases: &[(String, &str, &[&str])] = &[
        (get("healthz", "{ status = 200 }"), "error-500", &["/healthz", "500", "200"]),
        (get("healthz", "{ body = \"(?i)ok\" }"), "hang", &["/healthz", "waited"]),
        (String::new(), "old-version 1.0.0", &["/api/version", "version", "1.0.0"]),
        (probe("tcp = \"127.0.0.1:${PORT}\""), "never-listen", &["TCP 127.0.0.1:${PORT}", "refused"]),
        (in_new("echo the queue is stuck >&2; exit 3"), "ok", &["exited with 3", "the queue is stuck"]),
        (in_new("cat .env >&2; exit 3"), "ok", &["exited with 3"]),
        (
            probe("journal = { wanted = \"all workers ready\" }"),
            "ok",
            &["journal with /all workers ready/", "no such line has come"],
        ),
        (
            probe("journal = { unwanted = \"deprecated setting\" }"),
            "log deprecated setting in use",
            &["the journal says: deprecated setting in use"],
        ),
    ];
    for (number, (probes, behaviour, words)) in cases.iter().enumerate() {
        declare(&host, probes);
        host.must("sed -i 's/^within  = \"10s\"/within = \"1500ms\"/' /etc/relift/app.toml");
        let version = format!("1.{}.0", number + 1);
        host.release(|release| release.next(&version).behaviour("manager", behaviour));
        let before = host.snapshot();
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
        says(&out, words);
        says(
            &out,
            &[
                &format!("the upgrade of app to {version} failed"),
                "because manager: ",
                "state: everything was put back as it was, and checked",
            ],
        );
        says(&out, &["next:  journalctl -u sample-manager.service"]);
        before.assert_same(&host.snapshot());
        assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"), "{out}");
        host.assert_no_secret(&out);
    }
    assert_eq!(
        host.sh_as("app", "git -C /opt/app tag --list 'known-good/*'").stdout,
        "",
        "nothing of it became known-good"
    );
}

/// The upstream script of a real project reported success over this dead service.
#[test]
fn a_release_that_is_stricter_about_its_env_never_ends_as_a_success() {
    let mut host = Host::with_sample();
    host.must("cd /opt/app/manager; echo 'ADMIN_USERS__admin=CHANGE_ME_BCRYPT' >> .env; cp /etc/relift/app.toml /root/app.toml");
    host.must("sed -i '/^\\[\\[component.check\\]\\]/,/^at/d' /etc/relift/app.toml");
    host.release(|release| {
        let release = release.next("1.1.0").behaviour("manager", "strict-env ADMIN_USERS__admin");
        release.env_key("manager", "ADMIN_USERS__admin", "CHANGE_ME_BCRYPT", "A bcrypt hash.")
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(
        &out,
        &[
            "because manager: sample-manager.service did not stay up",
            "| error: ADMIN_USERS__admin must be replaced in .env",
            "state: everything was put back as it was, and checked",
        ],
    );
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    let skipped = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    says(&skipped, &["1.1.0 is skipped: it failed here with this configuration"]);

    // With the release's own check declared, nothing is touched at all.
    host.must("cp /root/app.toml /etc/relift/app.toml");
    let pid = || host.must("systemctl show -P MainPID sample-manager.service");
    let (before, process) = (host.snapshot(), pid());
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(
        &out,
        &["| ADMIN_USERS__admin must be replaced in .env", "stopped before any change", "state: nothing was changed"],
    );
    before.assert_same(&host.snapshot());
    assert_eq!(pid(), process, "the service was not touched");
    // Mended, the same release goes in, unattended as well.
    host.must("sed -i 's/^ADMIN_USERS__admin=.*/ADMIN_USERS__admin=hash/' /opt/app/manager/.env");
    host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn what_was_unhealthy_before_is_told_must_be_healthy_after_and_is_not_asked_for_by_undo() {
    let mut host = Host::with_sample();
    // The token was changed by hand, and the service still wants the old one.
    host.must("sed -i 's/^API_TOKEN=.*/API_TOKEN=s3cr3t-canary-other/' /opt/app/manager/.env");
    host.release(|release| release.next("1.1.0").behaviour("manager", "exit-at-once 1"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(&out, &["warning: manager is not healthy before the run", "did not stay up"]);
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}
