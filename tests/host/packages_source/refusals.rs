//! What stops an upgrade before anything changed: each with its words, its exit status and the host as it was.

use super::platform::{
    configure, deb, key, publish, rpm, sign_debs, sign_rpm, state, state_of_rpms, with_debs, with_rpms,
};
use crate::harness::{Host, needs};

/// An upgrade that is refused: its status, what it says, and that nothing changed.
#[track_caller]
fn refused(host: &Host, arguments: &str, code: i32, says: &[&str]) {
    refused_as(host, state, arguments, code, says);
}

#[track_caller]
fn refused_as(host: &Host, state: fn(&Host) -> String, arguments: &str, code: i32, says: &[&str]) {
    let before = state(host);
    let out = host.sh(&format!("relift upgrade app --yes {arguments}")).exits(code);
    for part in says {
        assert!(out.stderr.contains(part) || out.stdout.contains(part), "{part}: {out}");
    }
    assert_eq!(state(host), before, "{out}");
}

/// Somebody else holds a lock until the command that this gives.
fn hold(host: &Host, lock: &str) -> String {
    host.must(&format!(
        "python3 -c 'import fcntl,sys,time; f=open(sys.argv[1],\"w\"); fcntl.lockf(f,fcntl.LOCK_EX); open(\"/run/held\",\"w\"); time.sleep(60)' {lock} >/dev/null 2>&1 & echo $! > /run/holder; until test -e /run/held; do sleep 0.05; done"
    ));
    "kill $(cat /run/holder); while kill -0 $(cat /run/holder) 2>/dev/null; do sleep 0.05; done; rm /run/held"
        .to_owned()
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

    configure(&host, "lock-timeout = \"1s\"");
    let release = hold(&host, "/var/lib/dpkg/lock-frontend");
    refused(&host, "--to 1.1", 75, &["python3 (pid", "holds the lock /var/lib/dpkg/lock-frontend"]);
    host.must(&release);

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
    let out = host.relift(&["upgrade", "app", "-n", "--to", "1.1", "--allow-irreversible"]);
    assert!(out.stdout.contains("not the packages: no file is kept of app 1.0-1"), "{out}");
}

#[test]
fn what_dnf_cannot_or_may_not_do_is_told_before_anything_changes() {
    let host = with_rpms();
    rpm(&host, "appdep", "1.0", "");
    rpm(&host, "other", "2.0", "");
    for (version, header) in
        [("1.1", "appdep"), ("1.4", ""), ("1.6", "Obsoletes: other"), ("1.7", "nowhere"), ("1.8", "Conflicts: other")]
    {
        rpm(&host, "app", version, header);
    }
    host.must("createrepo_c --quiet /srv/rpm");
    let refused = |arguments: &str, code: i32, says: &[&str]| refused_as(&host, state_of_rpms, arguments, code, says);
    refused("--to 1.6", 1, &["the transaction would remove other", "nothing was changed"]);
    refused("--to 1.7", 1, &["dnf finds no way to install these versions", "nowhere"]);
    refused("--to 1.8", 1, &["dnf finds no way to install these versions", "conflicts with other"]);
    refused("--to 9.9", 1, &["the repositories have no app 9.9", "1.8-1"]);
    let out = host.relift(&["plan", "app", "--to", "1.1"]);
    assert!(out.stdout.contains("appdep") && !out.stdout.contains("other"), "nothing unrelated is upgraded: {out}");

    configure(&host, "lock-timeout = \"1s\"");
    let release = hold(&host, "$(rpm --eval %_dbpath)/.rpm.lock");
    refused("--to 1.1", 75, &["python3 (pid", "holds the lock", ".rpm.lock"]);
    host.must(&release);
    host.must(
        "dpkg -i --force-depends /var/cache/throw-away-hosts/dnf/*.deb >/dev/null 2>&1; dnf -q -C versionlock add app",
    );
    refused("--to 1.1", 2, &["app is held on this host", "dnf versionlock delete app"]);
    host.must("dnf -q -C versionlock clear; echo '!appdep-0:1.0-1.*' > /etc/dnf/plugins/versionlock.list");
    refused("--to 1.1", 1, &["appdep 1.0-1 is excluded by versionlock"]);
    host.must("echo '!app-0:1.1-1.*' > /etc/dnf/plugins/versionlock.list");
    refused("--to 1.1", 1, &["the repositories have no app 1.1", "1.8-1"]);
    host.must(": > /etc/dnf/plugins/versionlock.list; sed -i '$a excludepkgs=app' /etc/dnf/dnf.conf");
    refused("--to 1.1", 1, &["the repositories have no app 1.1", "unless it is excluded on this host: excludepkgs"]);
    host.must("sed -i '$d' /etc/dnf/dnf.conf; mv /srv/rpm /srv/away");
    refused("--to 1.1", 1, &["a repository cannot be read", "dnf makecache"]);
    host.must("mv /srv/away /srv/rpm");

    // Signed by another key, not at all, and by the key that the repository names.
    ["app", "stranger"].iter().for_each(|name| key(&host, name));
    sign_rpm(&host, "stranger", "app-1.4-1");
    host.must("createrepo_c --quiet /srv/rpm; rpm --import /srv/keys/app.asc; sed -i 's/gpgcheck=0/gpgcheck=1\\ngpgkey=file:\\/\\/\\/srv\\/keys\\/app.asc/' /etc/yum.repos.d/app-main.repo; rm -rf /var/lib/relift/app/packages");
    refused("--to 1.4", 1, &["signed by a key that dnf does not know here, or not at all", "GPG check FAILED"]);
    sign_rpm(&host, "app", "app-1.4-1");
    host.must("createrepo_c --quiet /srv/rpm");
    // The way back is 1.0, which nobody signed.
    refused("--to 1.4", 1, &["signed by a key that dnf does not know here, or not at all", "not signed"]);
    sign_rpm(&host, "app", "app-1.0-1");
    host.must("createrepo_c --quiet /srv/rpm");
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.4"]).exits(0);
    assert!(out.stdout.contains("its own signature, which dnf verified"), "{out}");
}

#[test]
fn a_repository_of_apt_that_is_signed_is_taken_and_one_that_is_not_or_was_changed_is_not() {
    needs(&[("gpg", "gnupg")]);
    let host = with_debs();
    ["app", "stranger"].iter().for_each(|name| key(&host, name));
    let source = "deb [signed-by=/srv/keys/app.asc] file:/srv/deb ./";
    let unknown = "a repository is signed by a key that apt does not know here, or not at all";
    let set = |version: &str, key: &str| {
        deb(&host, "app", version, "", "");
        publish(&host);
        sign_debs(&host, key);
        host.write("/etc/apt/sources.list.d/app-main.list", format!("{source}\n"), 0o644, "root");
    };
    set("1.1-1", "stranger");
    refused(&host, "--to 1.1", 1, &[unknown, "signed-by, sources.list(5)", "nothing was changed"]);
    host.must("rm /srv/deb/InRelease");
    refused(&host, "--to 1.1", 1, &[unknown]);
    set("1.1-1", "app");
    // The list is not the one that was signed.
    host.must("cp /srv/deb/Packages /srv/kept; sed -i 's/^Size: .*/Size: 1/' /srv/deb/Packages");
    refused(&host, "--to 1.1", 1, &["a repository cannot be read"]);
    host.must("cp /srv/kept /srv/deb/Packages; cp /srv/deb/app_1.1-1_all.deb /srv/kept.deb; printf x >> /srv/deb/app_1.1-1_all.deb");
    refused(&host, "--to 1.1", 1, &["the packages cannot be downloaded"]);
    host.must("cp /srv/kept.deb /srv/deb/app_1.1-1_all.deb");
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    assert!(out.stdout.contains("the signature of its repository, which apt verified"), "{out}");
}

#[test]
fn a_disk_that_is_short_stops_before_anything_changes_or_is_put_back_and_blames_no_release() {
    let host = with_debs();
    let mib = "head -c 3M /dev/urandom > $d/usr/lib/app/large";
    host.must(&format!("echo '{mib}' > /srv/more"));
    deb(&host, "app", "1.1-1", "", "");
    host.must("rm /srv/more");
    deb(&host, "app", "1.2-1", "\\nInstalled-Size: 99999999999", "");
    publish(&host);
    // No room for the files of the packages.
    host.must(
        "install -d -m 700 /var/lib/relift/app/packages; mount -t tmpfs -o size=64k none /var/lib/relift/app/packages",
    );
    let short = "free on the filesystem of /var/lib/relift/app/packages, and the packages need 3.";
    refused(&host, "--to 1.1", 1, &[short, "make room: df -h /var/lib/relift/app/packages"]);
    host.must("umount /var/lib/relift/app/packages");
    // None for what is in them.
    refused(
        &host,
        "--to 1.2",
        1,
        &["free on the filesystem of /usr, and the packages need 93.", "TiB", "make room: df -h /usr"],
    );
    // Where dpkg unpacks it there is less than it looks like: it fails half-way.
    host.must(
        "cp -a /usr/lib/app /srv/lib; mount -t tmpfs -o size=1M none /usr/lib/app; cp -a /srv/lib/. /usr/lib/app/",
    );
    let before = state(&host);
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(3);
    assert!(out.stderr.contains("everything was put back") && out.stderr.contains("No space left on device"), "{out}");
    assert_eq!(state(&host), before);
    host.must("umount /usr/lib/app; systemctl reset-failed");
    // It was the disk: the release is not remembered as one that fails.
    let out = host.relift(&["plan", "app", "--to", "1.1"]);
    assert!(!out.stdout.contains("failed here") && !out.stderr.contains("failed here"), "{out}");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
}
