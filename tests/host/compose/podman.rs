//! podman-compose of Debian 12 and of 13, which do not do what is needed of Compose.

use super::bed::says;
use crate::harness::Host;

const MANIFEST: &str = r#"schema = 1

[install]
root  = "/srv/app"
owner = "root"

[source.compose]
project   = "app"
files     = ["docker-compose.yml"]
reference = "/usr/share/app/compose"
program   = "podman-compose"

[[component]]
name = "app"
path = "."
"#;

#[test]
fn a_podman_compose_that_cannot_say_what_files_come_to_or_change_is_refused_by_name() {
    let host = Host::boot();
    host.must(
        "cd /var/cache/throw-away-hosts/podman; for deb in podman_* podman-compose_* libsubid4_* python3-*; do
           test ! -e $deb || dpkg-deb --fsys-tarfile $deb | tar -C / --keep-directory-symlink -x; done; ldconfig",
    );
    let project = |tag: &str| format!("services:\n  web:\n    image: app:{tag}\n");
    for (path, tag) in [("/srv/app", "1"), ("/usr/share/app/compose", "1")] {
        host.write(&format!("{path}/docker-compose.yml"), project(tag), 0o644, "root");
    }
    host.write("/usr/share/app/compose/VERSION", "1.0.0\n", 0o644, "root");
    host.write("/etc/relift/app.toml", MANIFEST, 0o644, "root");
    host.relift(&["check", "app"]);
    host.write("/usr/share/app/compose/docker-compose.yml", project("2"), 0o644, "root");
    host.write("/usr/share/app/compose/VERSION", "1.1.0\n", 0o644, "root");
    for arguments in [&["plan", "app"][..], &["upgrade", "app", "--yes"]] {
        let out = host.relift(arguments).exits(1);
        says(&out, &["podman-compose 1.0.3 does not do what is needed of Compose", "no `config`", "docker-compose"]);
    }
    host.must(
        "for deb in /var/cache/throw-away-hosts/newer/podman-compose_1.*.deb; do
           dpkg-deb --fsys-tarfile $deb | tar -C / --keep-directory-symlink -x; done",
    );
    for arguments in [&["plan", "app"][..], &["upgrade", "app", "--yes"]] {
        let out = host.relift(arguments).exits(1);
        says(&out, &["podman-compose 1.3.0 does not do what is needed of Compose", "no `config --hash`"]);
    }
    assert_eq!(host.read("/srv/app/docker-compose.yml"), project("1"));
}
