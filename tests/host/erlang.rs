//! An Erlang/OTP release that is upgraded in the running system, by its own release handler: connections stay open, no request
//! is lost, and what fails or is killed in the middle comes back so as well.

use std::path::Path;

use crate::harness::{Host, Out, needs};

/// The releases; 1.2.0 cannot transform a name in capitals, and waits for ever at one that begins with `endless`.
const VERSIONS: &str = "1.0.0 1.1.0 1.2.0";

/// A host on which 1.0.0 runs from `/opt/counter/current` and a client counts over one connection, another over a new one for
/// each request.
struct Counter {
    host: Host,
    /// The service's main process.
    pid: String,
}

impl Counter {
    fn boot() -> Counter {
        needs(&[("dpkg-deb", "dpkg"), ("python3", "python3"), ("tar", "tar")]);
        let host = Host::boot();
        // Unpacked, not installed: its epmd is not wanted.
        host.must(
            "dpkg-deb --fsys-tarfile /var/cache/throw-away-hosts/erlang/erlang-base_*.deb | tar -x -C / --keep-directory-symlink ./usr",
        );
        let source = format!("{}/tests/fixtures/erlang", env!("CARGO_MANIFEST_DIR"));
        host.must(&format!(
            "set -eu; useradd --system --home-dir /var/lib/counter --create-home counter; cp -r {source} /srv/erlang
             /srv/erlang/build /srv/erlang {VERSIONS} /srv/releases; mkdir -p /srv/dist /opt/counter/releases
             for v in {VERSIONS}; do tar -C /srv/releases -czf /srv/dist/counter-$v.tar.gz $v; done
             tar -xf /srv/dist/counter-1.0.0.tar.gz -C /opt/counter/releases; ln -s releases/1.0.0 /opt/counter/current
             chown -hR counter: /opt/counter; cp /opt/counter/current/units/counter.service /etc/systemd/system/
             systemctl daemon-reload; systemctl enable -q --now counter"
        ));
        host.wait_for("curl -sf http://127.0.0.1:7070/version | grep 1.0.0");
        let pid = host.must("systemctl show --property MainPID --value counter");
        let counter = Counter { host, pid };
        counter.offer("1.0.0");
        counter.declare(|template| template);
        counter.count("apple", "keep");
        counter.count("pear", "anew");
        counter
    }

    /// Offers the releases up to this version.
    fn offer(&self, version: &str) {
        let upto = VERSIONS.split(version).next().unwrap_or_default().to_owned() + version;
        let files: Vec<String> = upto.split_whitespace().map(|version| format!("counter-{version}.tar.gz")).collect();
        self.host.must(&format!("cd /srv/dist && sha256sum {} >SHA256SUMS", files.join(" ")));
    }

    /// The template as it is, with this host's addresses.
    fn declare(&self, change: impl FnOnce(String) -> String) {
        let template = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/manifests/archive-hot.toml");
        let text = std::fs::read_to_string(template).unwrap();
        let text = text
            .replace("https://downloads.example.org/counter", "/srv/dist")
            .replace("\"2min\"\nkeep", "\"0s\"\nkeep");
        self.host.write("/etc/relift/counter.toml", change(text), 0o644, "root:root");
    }

    /// A client that counts `name` until something is wrong.
    fn count(&self, name: &str, way: &str) {
        self.host.must(&format!(
            "systemd-run --quiet --unit=client-{name} --property=StandardOutput=truncate:/srv/{name} \
             python3 /srv/erlang/client.py {name} {way}"
        ));
        self.host.wait_for(&format!("test $(wc -l </srv/{name}) -gt 3"));
    }

    /// Ends a client, and removes what it counted.
    fn forget(&self, name: &str) {
        self.host.must(&format!("systemctl stop client-{name}"));
        self.host.must(&format!("runuser -u counter -- /opt/counter/current/bin/counterctl forget {name}"));
    }

    /// Every client is answered, by this version and without a gap, by the process that was there from the beginning.
    #[track_caller]
    fn is_whole(&self, version: &str) {
        let clients =
            self.host.must("systemctl list-units --all --plain --no-legend 'client-*' | sed 's/client-//; s/[.].*//'");
        assert!(clients.contains("apple") && clients.contains("pear"), "{clients}");
        for name in clients.lines() {
            let log = self.host.journal_of(&format!("client-{name}"));
            self.host.must(&format!("systemctl is-active client-{name} || {{ echo '{log}'; false; }}"));
            let before = self.host.must(&format!("wc -l </srv/{name}"));
            self.host.wait_for(&format!("test $(wc -l </srv/{name}) -gt $(({before} + 2))"));
            let last = self.host.must(&format!("tail -n 1 /srv/{name}"));
            assert!(last.starts_with(&format!("{version} ")), "{name} is answered `{last}`, not by {version}");
        }
        let now = self.host.must("systemctl show --property MainPID,NRestarts --value counter | tr '\\n' ' '");
        assert_eq!(now, format!("{} 0", self.pid), "the service was not the same all the time");
        assert_eq!(self.host.must("cat /opt/counter/current/VERSION"), version);
        self.host.must("runuser -u counter -- /opt/counter/current/bin/counterctl preflight");
    }

    fn relift(&self, words: &[&str]) -> Out {
        self.host.relift(words)
    }
}

#[test]
fn a_system_is_upgraded_and_downgraded_while_it_runs() {
    let counter = Counter::boot();
    counter.offer("1.1.0");
    counter.relift(&["check", "counter"]).exits(100);
    let plan = counter.relift(&["plan", "counter"]).exits(0).stdout;
    for words in ["drain", "suspend", "undrain", "upgrade", "downgrade"] {
        assert!(plan.contains(words), "{words}: {plan}");
    }
    assert!(!plan.contains("are not asked"), "the version is not proven: {plan}");
    counter.relift(&["upgrade", "counter", "--yes", "--dry-run"]).exits(0);
    counter.is_whole("1.0.0");

    counter.relift(&["upgrade", "counter", "--yes"]).exits(0);
    counter.is_whole("1.1.0");
    counter.relift(&["upgrade", "counter", "--yes"]).exits(0);
    counter.is_whole("1.1.0");

    counter.relift(&["rollback", "counter", "--yes"]).exits(0);
    counter.is_whole("1.0.0");
    counter.relift(&["upgrade", "counter", "--yes"]).exits(0);
    counter.is_whole("1.1.0");
}

#[test]
fn what_cannot_be_transformed_comes_back_with_code_state_and_connections() {
    let counter = Counter::boot();
    counter.offer("1.1.0");
    counter.relift(&["upgrade", "counter", "--yes"]).exits(0);
    counter.offer("1.2.0");

    // A name that the transform of 1.2.0 has no rule for, in the middle of the others.
    counter.count("banana", "keep");
    counter.count("cHerry", "keep");
    let out = counter.relift(&["upgrade", "counter", "--yes"]).exits(3);
    assert!(out.to_string().contains("a row cannot be transformed: {no_rule_for,<<\"cHerry\">>}"), "{out}");
    counter.is_whole("1.1.0");
    counter.forget("cHerry");

    // One that it waits at for ever: the hook's time is up.
    counter.declare(|text| text.replace("timeout   = \"2min\"", "timeout   = \"5s\""));
    counter.count("endless", "keep");
    let out = counter.relift(&["upgrade", "counter", "--yes"]).exits(3);
    assert!(out.to_string().contains("did not end within 5"), "{out}");
    counter.is_whole("1.1.0");
    counter.host.must("! pgrep -f '[c]ounterctl upgrade'");
    counter.forget("endless");

    // Without them, it is a good release.
    counter.relift(&["upgrade", "counter", "--yes", "--to", "1.2.0"]).exits(0);
    counter.is_whole("1.2.0");
}

#[test]
fn a_run_that_is_killed_in_the_middle_is_recovered_while_the_system_runs() {
    let counter = Counter::boot();
    counter.offer("1.1.0");
    // Each named by what is in the log when relift is killed; the hook's own processes are left to end as they like.
    let points: &[&str] = match std::env::var_os("RELIFT_SOAK") {
        Some(_) => &["drain", "suspend", "upgrade", "resume"],
        None => &["suspend", "upgrade"],
    };
    for command in points {
        let version = counter.host.must("cat /opt/counter/current/VERSION");
        assert_eq!(version, "1.0.0", "before {command}");
        let wait = format!("until pgrep -f '[c]ounterctl {command}' >/dev/null; do sleep 0.02; done; kill -9 $!");
        counter.host.sh(&format!("relift upgrade counter --yes >/srv/log 2>&1 & {wait}; wait $!"));
        let out = counter.relift(&["recover", "counter"]);
        assert!([0, 3].contains(&out.code), "after a kill in {command}: {out}");
        let version = counter.host.must("cat /opt/counter/current/VERSION");
        counter.is_whole(&version);
        if version == "1.1.0" {
            counter.relift(&["rollback", "counter", "--yes"]).exits(0);
        }
        counter.is_whole("1.0.0");
        counter.relift(&["recover", "counter"]).exits(0);
    }
    counter.relift(&["upgrade", "counter", "--yes", "--to", "1.1.0"]).exits(0);
    counter.is_whole("1.1.0");
}
