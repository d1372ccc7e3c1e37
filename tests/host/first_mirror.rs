//! The first fetch asks the remote for no more than the checkout lacks.

use std::fs::File;
use std::io::Read;

use relift::sample::Entry;

use crate::server::GitServer;

/// How much of a release cannot be compressed, in bytes.
const SIZE: u64 = 1 << 20;

#[test]
fn a_first_fetch_over_the_network_needs_no_more_of_it_than_what_is_new() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    let mut noise = Vec::new();
    File::open("/dev/urandom").unwrap().take(SIZE).read_to_end(&mut noise).unwrap();
    server.release(|release| release.next("1.1.0").entry("manager/blob.bin", Entry::File(noise)));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let newest = server.release(|release| release.next("1.2.0").tag("v1.2.0"));
    // What the owner has git run where it packs runs for nobody.
    host.write("/opt/packs", "#!/bin/sh\nid -u >> /tmp/packed; exec \"$@\"\n", 0o755, "root");
    host.must("touch /tmp/packed; chmod 666 /tmp/packed");
    for config in ["--global", "--file /opt/app/.git/config"] {
        host.sh_as("app", &format!("git config {config} uploadpack.packObjectsHook /opt/packs")).exits(0);
    }
    host.must("rm -r /var/lib/relift/app/mirror.git");
    server.behave(&format!("cut {}", SIZE / 8));
    host.relift(&["check", "app"]).exits(100);
    assert_eq!(host.read("/tmp/packed"), "");
    assert_eq!(
        host.must("git --git-dir=/var/lib/relift/app/mirror.git fsck --full --strict --unreachable 2>/dev/null"),
        ""
    );
    assert_eq!(
        host.must("git --git-dir=/var/lib/relift/app/mirror.git rev-parse main 'v1.2.0^{commit}'"),
        format!("{newest}\n{newest}")
    );
    assert_eq!(host.must("ls -A /var/lib/relift/app | grep -E 'seed|^\\.' || :"), "");
    // A commit of the owner's own is no release, and stops a run as ever.
    host.sh_as("app", "cd /opt/app; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m mine").exits(0);
    let own = host.must("git -c safe.directory='*' -C /opt/app rev-parse HEAD");
    host.must("rm -r /var/lib/relift/app/mirror.git");
    let out = host.relift(&["plan", "app"]).exits(1);
    assert!(out.stderr.contains("which upstream does not have"), "{out}");
    let out = host.relift(&["plan", "app", "--to", &own]).exits(1);
    assert!(out.stderr.contains("has no tag, version or commit"), "{out}");
    host.relift(&["upgrade", "app", "--yes"]).exits(1);
    host.sh_as("app", "git -C /opt/app reset -q --hard HEAD~").exits(0);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.2.0"));
}
