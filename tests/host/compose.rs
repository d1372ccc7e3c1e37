//! Compose projects, with a real dockerd, registry and docker-compose in a throw-away host.

use std::path::{Path, PathBuf};

use crate::harness::{Host, Out, needs};

/// Debian packages that `tests/run` fetches: installed on this machine they would run in every throw-away host.
fn debs() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("debs");
    let found = std::fs::read_dir(&directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<PathBuf> = found.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    let has = |name: &str| found.iter().any(|path| path.to_string_lossy().contains(&format!("/{name}_")));
    let all = ["docker.io", "docker-registry", "busybox-static"].iter().all(|name| has(name));
    assert!(all, "{} has not the packages of Docker: tests/run --install fetches them", directory.display());
    found
}

/// A host with Docker, a registry on 127.0.0.1:5000 and nothing in it.
fn with_docker() -> Host {
    needs(&[("docker-compose", "docker-compose")]);
    let host = Host::boot();
    host.write(
        "/etc/docker/daemon.json",
        r#"{ "storage-driver": "vfs", "iptables": false, "ip6tables": false, "bridge": "none", "live-restore": true }"#,
        0o644,
        "root:root",
    );
    let files: Vec<String> = debs().iter().map(|path| path.display().to_string()).collect();
    host.must(&format!("rm -f /usr/sbin/policy-rc.d; dpkg --force-unsafe-io -i {} 2>&1", files.join(" ")));
    host.wait_for("docker version >/dev/null && curl -fs http://127.0.0.1:5000/v2/");
    host
}

/// Builds an image that answers with its version and writes to /data, and publishes it as `tag`; its digest.
fn publish(host: &Host, version: &str, tag: &str, command: &str) -> String {
    let script = format!(
        r#"set -eu; d=$(mktemp -d); mkdir -p $d/bin $d/www $d/data $d/tmp; cp /bin/busybox $d/bin/busybox
           for name in sh cat sleep wget echo; do ln -s busybox $d/bin/$name; done
           echo {version} > $d/www/version; echo ok > $d/www/health
           tar -C $d -c . | docker import -c 'CMD ["/bin/sh", "-c", "{command}"]' -c 'LABEL version={version}' - 127.0.0.1:5000/app:{tag} >/dev/null
           docker push -q 127.0.0.1:5000/app:{tag} >/dev/null
           docker inspect --format '{{{{index .RepoDigests 0}}}}' 127.0.0.1:5000/app:{tag}; rm -rf $d
           docker rmi 127.0.0.1:5000/app:{tag} >/dev/null"#
    );
    host.must(&script).lines().last().unwrap_or_default().to_owned()
}

/// Writes to its data, and answers.
const SERVES: &str = "cat /www/version >> /data/versions; exec /bin/busybox httpd -f -p 8080 -h /www";

const PROJECT: &str = r#"version: "3.7"
services:
  web:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    restart: always
    volumes:
      - ./data:/data
  other:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    command: ["/bin/sleep", "1000000"]
"#;

/// A host on which the project runs 1.0.0, by the manifest of a template.
fn with_project(manifest: &str, policy: &str) -> Host {
    let host = with_docker();
    publish(&host, "1.0.0", "v1.0.0", SERVES);
    host.must("mkdir -p /srv/app/data");
    host.write("/srv/app/docker-compose.yml", PROJECT, 0o644, "root:root");
    host.must("cd /srv/app && docker-compose -p app up -d 2>&1");
    host.write("/etc/relift/app.toml", manifest.replace("soak = \"10s\"", policy), 0o644, "root:root");
    host.wait_for("curl -fs http://127.0.0.1:8080/version");
    host
}

const IMAGE: &str = include_str!("../../templates/manifests/compose-image.toml");

/// What runs: service, image and id of each container.
fn containers(host: &Host) -> String {
    host.must(
        r#"docker ps -a --no-trunc --filter label=com.docker.compose.project=app --format '{{.Label "com.docker.compose.service"}} {{.Image}} {{.State}} {{.ID}}' | sort"#,
    )
}

/// The same without ids: what has to be exactly old or exactly new.
fn state(host: &Host) -> String {
    let told = containers(host);
    let of = |line: &str| line.rsplit_once(' ').map(|(line, _)| line.to_owned()).unwrap_or_default();
    let pins = host.sh("cat /var/lib/relift/app/compose/override.yml 2>/dev/null").stdout;
    told.lines().map(of).collect::<Vec<_>>().join("\n") + &pins + &host.must("cat /srv/app/data/versions | tail -1")
}

fn id_of(told: &str, service: &str) -> String {
    let line = told.lines().find(|line| line.starts_with(&format!("{service} ")));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[track_caller]
fn says(out: &Out, words: &[&str]) {
    let text = format!("{}{}", out.stdout, out.stderr);
    for word in words {
        assert!(text.contains(word), "`{word}` is not said: {out}");
    }
}

#[test]
fn an_image_is_followed_by_digest_and_what_fails_is_put_back_with_its_data() {
    let host = with_project(IMAGE, "soak = \"2s\"");
    let version = || host.wait_for("curl -fs http://127.0.0.1:8080/version");

    // Nothing new: nothing to do.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.0.0");

    let digest = publish(&host, "1.1.0", "v1.1.0", SERVES);
    let before = containers(&host);
    let plan = host.relift(&["plan", "app"]);
    says(&plan, &["1.0.0 -> 1.1.0", "start anew web", "-f /var/lib/relift/app/compose/override.yml"]);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.1.0");
    let after = containers(&host);
    assert!(after.contains(&format!("web {digest} running")), "{after}");
    assert_ne!(id_of(&before, "web"), id_of(&after, "web"), "a new container");
    assert_eq!(id_of(&before, "other"), id_of(&after, "other"), "what did not change goes on");
    println!("{plan}");
}
