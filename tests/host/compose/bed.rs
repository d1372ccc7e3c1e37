//! A throw-away host with a real dockerd, registry and docker-compose, and a project on it.

use std::path::{Path, PathBuf};

use crate::harness::{Host, Out, needs};

/// Debian packages that `tests/run` fetches: installed on this machine they would run in every throw-away host.
fn debs() -> Vec<PathBuf> {
    let directory = Path::new("/var/cache/throw-away-hosts/docker");
    let found = std::fs::read_dir(directory).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<PathBuf> = found.filter(|path| path.extension().is_some_and(|end| end == "deb")).collect();
    let has = |name: &str| found.iter().any(|path| path.to_string_lossy().contains(&format!("/{name}_")));
    let all = ["docker.io", "docker-registry", "busybox-static"].iter().all(|name| has(name));
    assert!(all, "{} has not the packages of Docker: tests/run --install fetches them", directory.display());
    found
}

/// A host with Docker, a registry on 127.0.0.1:5000 and nothing in it; `first` is a script that runs before they start.
pub fn with_docker(first: &str) -> Host {
    needs(&[("docker-compose", "docker-compose")]);
    let host = Host::boot();
    host.write(
        "/etc/docker/daemon.json",
        r#"{ "storage-driver": "vfs", "iptables": false, "ip6tables": false, "bridge": "none", "live-restore": true }"#,
        0o644,
        "root:root",
    );
    host.must(first);
    let files: Vec<String> = debs().iter().map(|path| path.display().to_string()).collect();
    host.write(
        "/etc/systemd/system/docker-registry.service",
        "[Service]\nExecStart=/usr/bin/docker-registry serve /etc/docker/registry/config.yml\n",
        0o644,
        "root:root",
    );
    // Unpacked alone: their scripts would take longer than everything else here.
    host.must(&format!(
        r#"cd /etc/systemd/system; rm -f docker.service docker.socket containerd.service
           for deb in {}; do dpkg-deb --fsys-tarfile $deb | tar -C / --keep-directory-symlink -x; done
           groupadd -r docker; ldconfig; sed -i '/^auth:/,/path:/d' /etc/docker/registry/config.yml; systemctl daemon-reload
           systemctl start docker-registry containerd docker.socket docker || {{ journalctl --no-pager | tail -40; exit 1; }} 2>&1"#,
        files.join(" ")
    ));
    host.wait_for("docker version >/dev/null && curl -fs http://127.0.0.1:5000/v2/");
    host
}

/// Builds an image that answers with its version and writes to /data, and publishes it as `tag`; its digest.
pub fn publish(host: &Host, version: &str, tag: &str, command: &str) -> String {
    let script = format!(
        r#"set -eu; d=$(mktemp -d); mkdir -p $d/bin $d/www $d/data $d/state $d/tmp; cp /bin/busybox $d/bin/busybox
           for name in sh cat sleep wget echo; do ln -s busybox $d/bin/$name; done
           echo {version} > $d/www/version; echo ok > $d/www/health
           tar -C $d -c . | docker import -c 'CMD ["/bin/sh", "-c", "{command}"]' -c 'LABEL version={version}' - 127.0.0.1:5000/app:{tag} >/dev/null
           docker push -q 127.0.0.1:5000/app:{tag} >/dev/null
           docker inspect --format '{{{{index .RepoDigests 0}}}}' 127.0.0.1:5000/app:{tag}; rm -rf $d
           docker rmi 127.0.0.1:5000/app:{tag} >/dev/null"#
    );
    host.must(&script).lines().last().unwrap_or_default().to_owned()
}

/// Writes to its data and to its volume, and answers.
pub const SERVES: &str = "cat /www/version >> /data/versions; [ -e /state/first ] || cat /www/version > /state/first; cat /www/version > /state/last; exec /bin/busybox httpd -f -p 8080 -h /www";
/// Spoils both, and ends.
pub const SPOILS: &str =
    "cat /www/version >> /data/versions; echo spoilt > /state/first; echo more > /state/more; exit 3";

pub const PROJECT: &str = r#"version: "3.7"
services:
  web:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    restart: always
    stop_grace_period: 1s
    stop_signal: SIGKILL
    volumes:
      - ./data:/data
      - state:/state
  other:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    command: ["/bin/sleep", "1000000"]
    stop_grace_period: 1s
    stop_signal: SIGKILL
volumes:
  state:
"#;

/// A host on which the project runs 1.0.0, by the manifest of a template.
pub fn with_project(manifest: &str, policy: &str) -> Host {
    let host = with_docker("");
    start_project(&host, PROGRAM, manifest, policy);
    host
}

/// Compose as a program of its own, version 1.
pub const PROGRAM: &str = "docker-compose";

/// Lets the project run 1.0.0 on a host with Docker, by what carries Compose out.
pub fn start_project(host: &Host, compose: &str, manifest: &str, policy: &str) {
    publish(host, "1.0.0", "v1.0.0", SERVES);
    host.must("mkdir -p /srv/app/data");
    host.write("/srv/app/docker-compose.yml", PROJECT, 0o644, "root:root");
    host.must(&format!("cd /srv/app && {compose} -p app up -d 2>&1"));
    host.write("/etc/relift/app.toml", manifest.replace("soak = \"10s\"", policy), 0o644, "root:root");
    host.wait_for("curl -fs http://127.0.0.1:8080/version");
}

pub const IMAGE: &str = include_str!("../../../templates/manifests/compose-image.toml");

/// What runs: service, image by name and id, state and id of each container.
pub fn containers(host: &Host) -> String {
    host.must(
        r#"docker ps -aq --filter label=com.docker.compose.project=app | xargs -r docker inspect --format \
           '{{index .Config.Labels "com.docker.compose.service"}} {{.Config.Image}} {{.State.Status}} {{.Image}} {{.Id}}' | sort"#,
    )
}

/// The same without ids: what has to be exactly old or exactly new.
pub fn state(host: &Host) -> String {
    let told = containers(host);
    let of = |line: &str| line.rsplit_once(' ').map(|(line, _)| line.to_owned()).unwrap_or_default();
    let pins = host.sh("cat /var/lib/relift/app/compose/override.yml 2>/dev/null").stdout;
    let data = "tail -1 /srv/app/data/versions; cd /var/lib/docker/volumes/app_state/_data; grep -H . $(find -type f | sort); stat -c '%a %u %Y %n' . first";
    told.lines().map(of).collect::<Vec<_>>().join("\n") + &pins + &host.must(data)
}

pub fn id_of(told: &str, service: &str) -> String {
    let line = told.lines().find(|line| line.starts_with(&format!("{service} ")));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned()
}

#[track_caller]
pub fn says(out: &Out, words: &[&str]) {
    let text = format!("{}{}", out.stdout, out.stderr);
    for word in words {
        assert!(text.contains(word), "`{word}` is not said: {out}");
    }
}
