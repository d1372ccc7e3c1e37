//! Compose projects, with a real dockerd, registry and docker-compose in a throw-away host.

mod bed;
mod files;
mod inputs;
mod plugin;
mod podman;
mod records;
mod refusals;

use bed::{IMAGE, PROGRAM, SERVES, SPOILS, containers, id_of, publish, says, state, with_project};
use files::reference_files;
use refusals::refusals;

use crate::harness::Host;

#[test]
fn an_image_is_followed_by_digest_and_what_fails_is_put_back_with_its_data() {
    let host = with_project(IMAGE, "soak = \"2s\"");
    let version = || host.wait_for("curl -fs http://127.0.0.1:8080/version");

    // Nothing new: nothing to do.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.0.0");

    let digest = publish(&host, "1.1.0", "v1.1.0", SERVES);
    let (_, digits) = digest.split_once("@sha256:").unwrap_or_default();
    let before = containers(&host);
    let plan = host.relift(&["plan", "app"]);
    says(&plan, &["1.0.0 -> 1.1.0", "start anew web", "-f /var/lib/relift/app/compose/override.yml"]);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.1.0");
    let after = containers(&host);
    assert!(after.contains(&format!("web relift/app:web-{} running", &digits[..12])), "{after}");
    assert_ne!(id_of(&before, "web"), id_of(&after, "web"), "a new container");
    assert_eq!(id_of(&before, "other"), id_of(&after, "other"), "what did not change goes on");

    // By hand it comes to the same: no container is made anew.
    host.must("cd /srv/app && docker-compose -p app -f docker-compose.yml -f /var/lib/relift/app/compose/override.yml up -d 2>&1");
    assert_eq!(containers(&host), after);

    // An older release by decision alone, and the newer one again.
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "v1.0.0"]).exits(2);
    says(&out, &["relift upgrade app --to 1.0.0 --allow-downgrades"]);
    assert_eq!(containers(&host), after);
    host.relift(&["upgrade", "app", "--yes", "--to", "v1.0.0", "--allow-downgrades"]).exits(0);
    assert_eq!(version(), "1.0.0");
    host.relift(&["upgrade", "app", "--yes", "--to", "v1.1.0"]).exits(0);
    assert_eq!(version(), "1.1.0");

    // A release that ends at once, and one that is unhealthy: image, containers and data of before.
    let old = state(&host);
    publish(&host, "1.2.0", "v1.2.0", SPOILS);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(&out, &["container web", "restored from backup"]);
    assert_eq!(state(&host), old);
    assert_eq!(version(), "1.1.0");

    refusals(&host, &old);
    restores(&host);
    kills(&host, &old);
    reference_files(&host, PROGRAM);

    // Back, with neither registry nor network, after everything was pruned that nothing uses.
    host.must("systemctl stop docker-registry; docker image prune -af");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.0.0");
}

/// An operator restores a backup: the containers are stopped meanwhile, and a volume that is gone is made again.
fn restores(host: &Host) {
    let first = "cat /var/lib/docker/volumes/app_state/_data/first";
    let live = host.relift(&["backup", "take", "app"]).exits(1);
    says(&live, &["the volume state is in use by app_web_1", "docker stop app_web_1"]);
    let id = host.must("ls /var/lib/relift/app/backups | head -1");
    host.must("echo spoilt > /var/lib/docker/volumes/app_state/_data/first");
    let out = host.relift(&["backup", "restore", "app", &id, "volume:state/first", "--yes"]).exits(0);
    says(&out, &["stop the containers of app", "bring back the containers of app"]);
    assert_eq!(host.must(first), "1.0.0");
    host.wait_for("curl -fs http://127.0.0.1:8080/version");
    let compose =
        "cd /srv/app; docker-compose -p app -f docker-compose.yml -f /var/lib/relift/app/compose/override.yml";
    host.must(&format!("{compose} down -v 2>&1; ! docker volume inspect app_state 2>&1"));
    host.relift(&["backup", "restore", "app", &id, "--yes"]).exits(0);
    assert_eq!(host.must(first), "1.0.0");
    // Compose takes it for its own.
    let up = host.must(&format!("{compose} up -d 2>&1"));
    assert!(!up.contains("volume"), "{up}");
    assert_eq!(host.wait_for("curl -fs http://127.0.0.1:8080/version"), "1.1.0");
    assert_eq!(host.must(first), "1.0.0");
}

/// Whatever is killed, and whenever: exactly old or exactly new.
fn kills(host: &Host, old: &str) {
    let soak = std::env::var_os("RELIFT_SOAK").is_some();
    let rounds: &[(&str, u32)] = match soak {
        false => &[("docker-compose", 300), ("dockerd", 1500)],
        true => &[
            ("relift", 100),
            ("relift", 500),
            ("relift", 900),
            ("relift", 1300),
            ("relift", 1700),
            ("relift", 2500),
            ("docker-compose", 100),
            ("docker-compose", 300),
            ("docker-compose", 600),
            ("docker-compose", 900),
            ("dockerd", 500),
            ("dockerd", 1000),
            ("dockerd", 1500),
            ("dockerd", 2000),
        ],
    };
    for (victim, after) in rounds {
        let context = format!("{victim} killed {after} ms after the switch began");
        let script = format!(
            r#"relift upgrade app --yes >/tmp/out 2>&1 & run=$!
               until grep -q '^switch:' /tmp/out || ! kill -0 $run; do sleep 0.05; done; sleep {}
               case {victim} in
                 relift) kill -9 $run;;
                 docker-compose) for i in $(seq 100); do p=$(pgrep -f '[/]docker-compose.* up -d' | head -1) && break; sleep 0.05; done; kill -9 $p;;
                 dockerd) kill -9 $(pidof dockerd);;
               esac; wait $run; echo $?; systemctl reset-failed docker; systemctl start docker; sleep 0.2; true"#,
            f64::from(*after) / 1000.0
        );
        let ended = host.sh(&script);
        host.wait_for("docker version");
        let recovered = host.relift(&["recover", "app"]);
        let said = host.sh("cat /tmp/out").stdout;
        assert!([0, 3].contains(&recovered.code), "{context}: {ended}\n{said}\n{recovered}");
        host.wait_for("curl -fs http://127.0.0.1:8080/version");
        let now = state(host);
        if now == old {
            continue;
        }
        assert!(
            now.contains("1.3.0") && now.lines().filter(|line| line.contains("running")).count() == 2,
            "{context}: {now}\n{said}\n{recovered}"
        );
        let back = host.relift(&["rollback", "app", "--yes"]).exits(0);
        assert!(back.code == 0, "{context}");
        host.must("echo 1.1.0 >> /srv/app/data/versions");
        host.must("relift trust list app >/dev/null 2>&1; true");
    }
}
