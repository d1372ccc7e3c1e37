//! Compose as Docker's plugin, version 2.

use super::bed::{IMAGE, SERVES, SPOILS, containers, id_of, publish, says, start_project, state, with_docker};
use super::files::reference_files;

const COMPOSE: &str = "docker compose";
/// Of a newer Debian: the plugin in place of the program, of which nothing is left.
const PLUGIN: &str = "rm -f /usr/bin/docker-compose
    for deb in /var/cache/throw-away-hosts/newer/docker-compose_2.*.deb; do
      dpkg-deb --fsys-tarfile $deb | tar -C / --keep-directory-symlink -x ./usr/libexec/docker/cli-plugins/docker-compose; done";

#[test]
fn dockers_plugin_carries_a_project_out_as_the_program_does() {
    let host = with_docker(PLUGIN);
    says(&host.sh("docker compose version"), &["version 2."]);
    start_project(&host, COMPOSE, IMAGE, "soak = \"2s\"");
    let version = || host.wait_for("curl -fs http://127.0.0.1:8080/version");

    // The first run pins what runs; then there is nothing to do, and no container is made anew.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let first = containers(&host);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(containers(&host), first);

    publish(&host, "1.1.0", "v1.1.0", SERVES);
    let plan = host.relift(&["plan", "app"]).exits(0);
    says(&plan, &["1.0.0 -> 1.1.0", "start anew web", "cd /srv/app && docker compose -p app -f docker-compose.yml"]);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.1.0");
    let after = containers(&host);
    assert_ne!(id_of(&first, "web"), id_of(&after, "web"), "a new container");
    assert_eq!(id_of(&first, "other"), id_of(&after, "other"), "what did not change goes on");
    // By hand it comes to the same: no container is made anew.
    host.must("cd /srv/app && docker compose -p app -f docker-compose.yml -f /var/lib/relift/app/compose/override.yml up -d 2>&1");
    assert_eq!(containers(&host), after);

    let old = state(&host);
    publish(&host, "1.2.0", "v1.2.0", SPOILS);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(&out, &["container web", "restored from backup"]);
    assert_eq!(state(&host), old);

    // Killed while Compose makes the container anew.
    publish(&host, "1.3.0", "v1.3.0", SERVES);
    host.sh("relift upgrade app --yes >/tmp/out 2>&1 & run=$!
        for i in $(seq 600); do p=$(pgrep -f '[d]ocker-compose.* up -d' | head -1) && break; sleep 0.05; done; kill -9 $run $p; wait");
    let recovered = host.relift(&["recover", "app"]);
    assert!([0, 3].contains(&recovered.code), "{recovered}");
    assert_eq!(version(), "1.1.0", "{recovered}");
    assert_eq!(state(&host), old);

    reference_files(&host, COMPOSE);
    host.must("systemctl stop docker-registry; docker image prune -af");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.0.0");
}
