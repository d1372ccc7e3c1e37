//! Package managers and what depends on their packages: real transactions of dpkg, apt, rpm, dnf and pacman.

use std::time::Instant;

use crate::harness::{Host, Out, needs};

const MANIFEST: &str = "/etc/relift/app.toml";
/// apt from the repository on this host, and from nowhere else.
const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dir::Etc::SourceList=/srv/deb.list -o Dir::Etc::SourceParts=- -o Dpkg::Use-Pty=0";

/// A host on which the manager maps a library of the package `appruntime`, and the runner's manifest names the package. The units
/// and hooks of relift are installed.
fn depending() -> Host {
    let mut host = Host::with_sample();
    for unit in ["relift-requests.path", "relift-requests.service", "relift-requests.timer"] {
        let text = std::fs::read(format!("{}/units/{unit}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        host.write(&format!("/usr/lib/systemd/system/{unit}"), text, 0o644, "root");
    }
    host.must("rm -f /usr/sbin/policy-rc.d; systemctl daemon-reload; systemctl start relift-requests.path relift-requests.timer");
    build(&host, "appruntime", "1.0");
    host.must("dpkg -i /srv/deb/appruntime_1.0.deb");
    host.release(|release| {
        let preload = "Environment=LD_PRELOAD=/usr/lib/appruntime/libruntime.so";
        release.next("1.1.0").unit_line("manager", "Service", preload)
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let needs = "\n[[component.needs]]\npackages = [\"appruntime*\"]\nsteps = [\"build\"]\n\n[compatibility]";
    let manifest = host.read(MANIFEST).replacen("\n[compatibility]", needs, 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    host
}

/// Builds `/srv/deb/NAME_VERSION.deb` with a library of its own.
fn build(host: &Host, name: &str, version: &str) {
    build_with(host, name, version, "");
}

/// The same with a maintainer script.
fn build_with(host: &Host, name: &str, version: &str, postinst: &str) {
    host.must(&format!(
        "set -e; d=$(mktemp -d); mkdir -p /srv/deb $d/DEBIAN $d/usr/lib/{name}
         printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' > $d/DEBIAN/control
         echo 'const char *const {name}_version = \"{version}\";' | tr - _ | cc -shared -fPIC -x c -o $d/usr/lib/{name}/libruntime.so -
         if [ -n '{postinst}' ]; then printf '#!/bin/sh\\n{postinst}\\n' > $d/DEBIAN/postinst; chmod 755 $d/DEBIAN/postinst; fi
         chmod 755 $d; dpkg-deb -Znone --root-owner-group -b $d /srv/deb/{name}_{version}.deb >/dev/null; rm -r $d"
    ));
}

/// The packages in /srv/deb as a repository.
fn publish(host: &Host) {
    host.must(&format!(
        "set -e; cd /srv/deb; apt-ftparchive packages . > Packages; echo 'deb [trusted=yes] file:/srv/deb ./' > /srv/deb.list; {APT} update"
    ));
}

fn install_apt_hook(host: &Host) {
    let hook = include_str!("../../packaging/deb/root/etc/apt/apt.conf.d/90relift");
    host.write("/etc/apt/apt.conf.d/90relift", hook, 0o644, "root");
}

/// The invocations of both services.
fn invocations(host: &Host) -> [String; 2] {
    let manager = host.must("systemctl show -P InvocationID sample-manager.service");
    let runner = host.sh_as("app", "systemctl --user show -P InvocationID sample-runner.service").exits(0).stdout;
    [manager, runner.trim().to_owned()]
}

/// Waits until the worker has done what it was asked for; nothing is asked for any more, but what waits.
fn settle(host: &Host) {
    host.wait_for(
        "test -z \"$(ls /run/relift/requests/*.json 2>/dev/null)\" && test $(systemctl is-active relift-requests.service) = inactive",
    );
}

/// The runs of the past, newest first: what each did, and its end.
fn runs(host: &Host) -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&host.relift(&["history", "--json"]).stdout).unwrap();
    let text = |run: &serde_json::Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    document["runs"].as_array().unwrap().iter().map(|run| (text(run, "intent"), text(&run["end"], "outcome"))).collect()
}

fn waiting(host: &Host) -> usize {
    host.must("ls /run/relift/requests/waiting/*.json 2>/dev/null | wc -l").parse().unwrap()
}

fn known_good(host: &Host) -> String {
    host.must("git -C /opt/app -c safe.directory=/opt/app for-each-ref --format='%(refname) %(objectname)' refs/tags; cat /var/lib/relift/app/ledger/known-good.json")
}

/// A command with how long it took, milliseconds.
fn timed(host: &Host, script: &str) -> (Out, u128) {
    let begun = Instant::now();
    (host.sh(script), begun.elapsed().as_millis())
}

#[test]
fn an_upgrade_by_apt_restarts_what_depends_on_it_once_and_proves_it() {
    needs(&[("apt-ftparchive", "apt-utils"), ("cc", "gcc")]);
    let host = depending();
    install_apt_hook(&host);
    let (before, good) = (invocations(&host), known_good(&host));
    build(&host, "appruntime", "1.1");
    (0..20).for_each(|number| build(&host, &format!("other{number}"), "1.0"));
    publish(&host);

    let others: String = (0..20).map(|number| format!(" other{number}")).collect();
    host.must(&format!("{APT} install {others}"));
    settle(&host);
    assert_eq!((invocations(&host), runs(&host).len()), (before.clone(), 1), "what nothing depends on starts no run");

    let begun = host.must("date +%s.%N");
    host.must(&format!("{APT} -y dist-upgrade"));
    settle(&host);
    let after = invocations(&host);
    assert!(after[0] != before[0] && after[1] != before[1], "{}", host.journal_of("relift-requests"));
    let starts = host.must(&format!(
        "journalctl --sync; journalctl --output=cat --since '@{begun}' | grep -c '^Started sample-\\(manager\\|runner\\).service' || :"
    ));
    assert_eq!(starts, "2", "each once");
    assert_eq!(runs(&host)[0], ("reconfigure".into(), "done".into()));
    assert_eq!(known_good(&host), good);
    assert_eq!([host.answers("manager"), host.answers("runner")], [Some("1.1.0".to_owned()), Some("1.1.0".to_owned())]);
    let shown = host
        .relift(&["show", &host.must("relift history --json | grep -o '\"run\":[^,]*' | head -1 | cut -d '\"' -f 4")]);
    for words in [
        "reconfigure app at",
        "a library that it runs with was replaced: /usr/lib/appruntime/libruntime.so",
        "appruntime changed since it was started",
        "+ build: sh scripts/build.sh",
    ] {
        assert!(shown.stdout.contains(words), "{words}\n{shown}");
    }
    assert!(host.relift(&["reconfigure", "app"]).exits(0).stdout.contains("nothing that it depends on changed"));
}
