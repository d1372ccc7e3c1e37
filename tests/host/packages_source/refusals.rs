//! What stops an upgrade before anything changed: each with its words, its exit status and the host as it was.

use super::platform::{deb, publish, state, with_debs};
use crate::harness::Host;

/// An upgrade that is refused: its status, what it says, and that nothing changed.
#[track_caller]
fn refused(host: &Host, arguments: &str, code: i32, says: &[&str]) {
    let before = state(host);
    let out = host.sh(&format!("relift upgrade app --yes {arguments}")).exits(code);
    for part in says {
        assert!(out.stderr.contains(part) || out.stdout.contains(part), "{part}: {out}");
    }
    assert_eq!(state(host), before, "{out}");
}

#[test]
fn what_cannot_be_done_as_the_host_is_is_told_before_anything_changes() {
    let host = with_debs();
    deb(&host, "appdep", "1.0-1", "", "");
    deb(&host, "app", "1.1-1", "appdep", "");
    // Depends carries the rest of the control file.
    deb(&host, "app", "1.6-1", "appdep\\nConflicts: other", "");
    deb(&host, "app", "1.7-1", "nowhere", "");
    publish(&host);
    refused(&host, "", 1, &["apt finds no way", "nowhere"]);
    refused(&host, "--to 1.6", 1, &["would remove other"]);
    refused(&host, "--to 9.9", 1, &["the repositories have no app 9.9", "1.1-1"]);

    host.must("apt-mark hold app");
    refused(&host, "--to 1.1", 2, &["app is held on this host", "apt-mark unhold app"]);
    host.must("apt-mark unhold app");

    let manifest = host.read("/etc/relift/app.toml").replace("# manager = \"dnf\"", "lock-timeout = \"1s\"  #");
    host.write("/etc/relift/app.toml", manifest, 0o644, "root");
    host.must(
        "python3 -c 'import fcntl,time; f=open(\"/var/lib/dpkg/lock-frontend\",\"w\"); fcntl.lockf(f,fcntl.LOCK_EX); open(\"/run/held\",\"w\"); time.sleep(60)' >/dev/null 2>&1 & until test -e /run/held; do sleep 0.05; done",
    );
    refused(&host, "--to 1.1", 75, &["python3 (pid", "holds the lock /var/lib/dpkg/lock-frontend"]);
    host.must("pkill -f lock-frontend; sleep 0.2");

    deb(&host, "half", "1.0-1", "nothing-that-is-there", "");
    host.sh("dpkg -i /srv/deb/half_1.0-1_all.deb");
    refused(&host, "--to 1.1", 1, &["the database of dpkg is not in order: half", "dpkg --configure -a"]);
    host.must("dpkg --purge half; rm /srv/deb/half_*");

    host.must("mv /srv/deb /srv/away; rm -rf /var/cache/relift");
    refused(&host, "--to 1.1", 1, &["a repository cannot be read"]);
    host.must("mv /srv/away /srv/deb; sed -i 's/trusted=yes/arch=amd64/' /etc/apt/sources.list.d/app-main.list");
    refused(&host, "--to 1.1", 1, &["a repository is signed by a key that apt does not know here, or not at all"]);
    host.must("rm /etc/apt/sources.list.d/app-main.list");
    refused(&host, "", 1, &["no repository of this host is one of `repositories`"]);

    // No way back to 1.0: neither the repository nor this host has it any more.
    host.must("rm -rf /srv/deb/app_1.0-1_all.deb /var/lib/relift/app/packages /var/cache/apt/archives/*.deb");
    publish(&host);
    refused(
        &host,
        "--to 1.1",
        2,
        &["this cannot be undone: the repository has no longer app 1.0-1", "--allow-irreversible"],
    );
}
