//! What else watches packages on a host, needrestart(1) and relift's own hook: neither works in the middle of a run of relift's, nor
//! after it once more.

use super::platform::{deb, publish, with_debs};
use crate::harness::Host;

/// How often an engine was started with a version, and what relift has done so far.
fn seen(host: &Host, version: &str) -> (usize, usize, String) {
    host.must("journalctl --sync");
    let starts = host.journal_of("engine@a").matches(&format!("started {version}")).count();
    let document: serde_json::Value = serde_json::from_str(&host.relift(&["history", "--json"]).stdout).unwrap();
    let requests =
        host.must("ls -A /run/relift/requests 2>/dev/null; systemctl show -P InvocationID relift-requests.service");
    (starts, document["runs"].as_array().unwrap().len(), requests)
}

#[test]
fn neither_needrestart_nor_our_own_hook_works_in_the_middle_of_a_run_or_repeats_it() {
    let host = with_debs();
    host.must("cp /bin/sleep /srv/sleeper");
    ["1.1-1", "1.2-1", "1.3-1"].iter().for_each(|version| deb(&host, "app", version, "", ""));
    publish(&host);
    host.must(
        "dpkg -i /var/cache/throw-away-hosts/needrestart/*.deb >/dev/null
         printf '$nrconf{restart} = q(a);\\n$nrconf{kernelhints} = 0;\\n$nrconf{ucodehints} = 0;\\n' > /etc/needrestart/conf.d/test.conf",
    );
    let hook = include_str!("../../../packaging/deb/root/etc/apt/apt.conf.d/90relift");
    host.write("/etc/apt/apt.conf.d/90relift", hook, 0o644, "root");
    for unit in ["relift-requests.path", "relift-requests.service", "relift-requests.timer"] {
        let text = std::fs::read(format!("{}/units/{unit}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        host.write(&format!("/usr/lib/systemd/system/{unit}"), text, 0o644, "root");
    }
    host.must("systemctl daemon-reload; systemctl start relift-requests.path");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    let (starts, runs, requests) = seen(&host, "1.1");
    assert_eq!((starts, runs), (1, 1), "once, by relift, in its turn");

    // Both would: by hand, with a package whose scripts restart nothing.
    host.must("apt-get -qq update; NO_RESTART=1 apt-get -q -y -o Dpkg::Use-Pty=0 --allow-downgrades install --reinstall app=1.1-1");
    host.wait_for("test $(journalctl -u engine@a -o cat | grep -c 'started 1.1') -gt 1");
    host.wait_for(
        "test -z \"$(ls /run/relift/requests/*.json 2>/dev/null)\" && test $(systemctl is-active relift-requests.service) = inactive",
    );
    let by_hand = seen(&host, "1.1");
    assert_ne!(by_hand.2, requests, "the hook asked for something");

    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    let after = seen(&host, "1.2");
    assert_eq!(after, (1, by_hand.1 + 1, by_hand.2.clone()), "{}", host.journal_of("relift-requests"));
    // Undone: the old one is started once more, and that is all.
    host.relift(&["upgrade", "app", "--yes", "--to", "1.3"]).exits(3);
    assert_eq!(seen(&host, "1.2"), (2, by_hand.1 + 2, by_hand.2), "{}", host.journal_of("relift-requests"));
}
