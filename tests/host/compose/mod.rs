//! Compose projects, with a real dockerd, registry and docker-compose in a throw-away host.

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
fn publish(host: &Host, version: &str, tag: &str, command: &str) -> String {
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
const SERVES: &str = "cat /www/version >> /data/versions; [ -e /state/first ] || cat /www/version > /state/first; cat /www/version > /state/last; exec /bin/busybox httpd -f -p 8080 -h /www";
/// Spoils both, and ends.
const SPOILS: &str = "cat /www/version >> /data/versions; echo spoilt > /state/first; echo more > /state/more; exit 3";

const PROJECT: &str = r#"version: "3.7"
services:
  web:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    restart: always
    stop_grace_period: 1s
    volumes:
      - ./data:/data
      - state:/state
  other:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    command: ["/bin/sleep", "1000000"]
    stop_grace_period: 1s
volumes:
  state:
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
    let data = "tail -1 /srv/app/data/versions; cd /var/lib/docker/volumes/app_state/_data; grep -H . $(find -type f | sort); stat -c '%a %u %Y %n' . first";
    told.lines().map(of).collect::<Vec<_>>().join("\n") + &pins + &host.must(data)
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

    // A release that ends at once, and one that is unhealthy: image, containers and data of before.
    let old = state(&host);
    publish(&host, "1.2.0", "v1.2.0", SPOILS);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    says(&out, &["container web", "restored from backup"]);
    assert_eq!(state(&host), old);
    assert_eq!(version(), "1.1.0");

    refusals(&host, &old);
    kills(&host, &old);
    reference_files(&host);

    // Back, with neither registry nor network, after everything was pruned that nothing uses.
    host.must("systemctl stop docker-registry; docker image prune -af");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(version(), "1.0.0");
}

const FILES: &str = include_str!("../../templates/manifests/compose-files.toml");

/// The reference files of a release, whose secret is never shown.
fn reference(host: &Host, version: &str, change: impl Fn(String) -> String) {
    let text = r#"version: "3.7"
services:
  web:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    stop_grace_period: 1s
    environment:
      DB_PASSWORD: s3cr3t-canary-reference
    command: ["/bin/sleep", "1000"]
    volumes:
      - ./data:/data
      - ./cache:/cache

  worker:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    stop_grace_period: 1s
    command: ["/bin/sleep", "2000"]
"#;
    host.write("/usr/share/app/compose/docker-compose.yml", change(text.into()), 0o644, "root:root");
    host.write("/usr/share/app/compose/VERSION", format!("{version}\n"), 0o644, "root:root");
    host.write("/usr/share/app/compose/.env.example", format!("LEVEL=info\n# Since {version}\n"), 0o644, "root:root");
}

/// Files follow the release's, local changes stay, a conflict stops, what would be lost needs an operator, undo is exact.
fn reference_files(host: &Host) {
    let manifest = FILES.replace("/srv/app", "/srv/files").replace("\"app\"", "\"files\"").replace("10s", "1s");
    let manifest =
        manifest.replace("2min", "5s").replace("[policy]", "[policy]\nallow-unverified = true\nunattended = \"major\"");
    host.must("mkdir -p /srv/files/data /srv/files/cache; echo LEVEL=debug > /srv/files/.env");
    host.write("/etc/relift/files.toml", manifest, 0o644, "root:root");
    reference(host, "1.0.0", |text| text);
    let local = "version: \"3.7\"\nservices:\n  worker:\n    labels:\n      mine: \"yes\"\n";
    host.write("/srv/files/docker-compose.local.yml", local, 0o644, "root:root");
    host.must("cd /srv/files; sed 's/2000/3000/' /usr/share/app/compose/docker-compose.yml > docker-compose.yml");
    host.must("cd /srv/files; chmod 600 docker-compose.yml; docker-compose -p files -f docker-compose.yml -f docker-compose.local.yml up -d 2>&1");
    let ids = || {
        host.must("docker ps -a --no-trunc --filter label=com.docker.compose.project=files --format '{{.Names}} {{.State}} {{.ID}}' | sort")
    };
    let live = || host.must("cd /srv/files; stat -c '%a %n' * .env; cat docker-compose.yml .env");
    let (first, files) = (ids(), live());

    // The same release: the operator's own change is no reason to do anything.
    host.relift(&["upgrade", "files", "--yes"]).exits(0);
    assert_eq!((ids(), live().contains("3000")), (first.clone(), true));

    // Both changed: merged, and only what changed is made anew.
    reference(host, "1.1.0", |text| text.replace("1000", "1001"));
    let plan = host.relift(&["plan", "files"]);
    says(&plan, &["1.0.0 -> 1.1.0", "your changes are kept", "start anew web of files"]);
    host.assert_no_secret(&plan);
    host.relift(&["upgrade", "files", "--yes"]).exits(0);
    let (second, text) = (ids(), live());
    assert!(text.contains("1001") && text.contains("3000") && text.contains("600 docker-compose.yml"), "{text}");
    assert_eq!(id_of(&first, "files_worker_1"), id_of(&second, "files_worker_1"), "the worker goes on");
    assert_ne!(id_of(&first, "files_web_1"), id_of(&second, "files_web_1"));

    // Unhealthy: undone.
    reference(host, "1.2.0", |text| text.replace("\"/bin/sleep\", \"1000\"", "\"/bin/false\""));
    host.relift(&["upgrade", "files", "--yes"]).exits(3);
    assert_eq!(live(), text, "files are as they were");
    assert_eq!(ids().matches("running").count(), 2, "{}", ids());

    // The same lines: both sides are shown, without values, and nothing is changed.
    reference(host, "1.3.0", |text| text.replace("1000", "1001").replace("2000", "4000"));
    says(&host.relift(&["plan", "files"]), &["conflict in docker-compose.yml", "3000", "4000"]);
    let conflict = host.relift(&["upgrade", "files", "--yes"]);
    says(&conflict.exits(1), &["you and the release changed the same lines", "last in `files`"]);

    // A volume that would be lost: not with nobody there.
    reference(host, "1.4.0", |text| text.replace("1000", "1001").replace("      - ./cache:/cache\n", ""));
    let lost = host.relift(&["upgrade", "files", "--unattended"]);
    says(&lost.exits(2), &["volume /srv/files/cache:/cache:rw of web"]);
    assert_eq!(live(), text);
    host.relift(&["upgrade", "files", "--yes"]).exits(0);
    assert!(!live().contains("./cache"));
    host.relift(&["rollback", "files", "--yes"]).exits(0);
    assert_eq!(live(), text, "exactly the files of before");
    assert_ne!(files, text);
}

/// Each stops before anything was changed, and says why.
fn refusals(host: &Host, old: &str) {
    publish(host, "1.3.0", "v1.3.0", SERVES);
    let stopped = |out: Out, words: &[&str]| {
        says(&out.exits(1), words);
        assert_eq!(state(host), old, "nothing was changed");
    };
    stopped(
        host.relift(&["upgrade", "app", "--yes", "--to", "9.9.9"]),
        &["has not the tag v9.9.9", "nothing was changed"],
    );
    host.must("systemctl stop docker-registry");
    stopped(host.relift(&["upgrade", "app", "--yes"]), &["the registry 127.0.0.1:5000 does not answer"]);
    host.must("systemctl start docker-registry");
    host.wait_for("curl -fs http://127.0.0.1:5000/v2/");
    host.must("systemctl stop docker.socket docker");
    let down = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(&down, &["the docker daemon does not answer", "systemctl start docker"]);
    host.must("systemctl start docker.socket docker");
    host.wait_for("docker version");
    // The layers are gone from the registry, and the tag is not.
    let known = host.relift(&["plan", "app"]);
    says(&known, &["1.1.0 -> 1.3.0"]);
    host.must("mv /var/lib/docker-registry /var/lib/gone; systemctl restart docker-registry");
    host.wait_for("curl -fs http://127.0.0.1:5000/v2/");
    stopped(
        host.relift(&["upgrade", "app", "--yes", "--offline"]),
        &["the image 127.0.0.1:5000/app@sha256:", "registry"],
    );
    host.must(
        "rm -rf /var/lib/docker-registry; mv /var/lib/gone /var/lib/docker-registry; systemctl restart docker-registry",
    );
    host.wait_for("curl -fs http://127.0.0.1:5000/v2/");
}

/// Whatever is killed, and whenever: exactly old or exactly new.
fn kills(host: &Host, old: &str) {
    let soak = std::env::var_os("RELIFT_SOAK").is_some();
    let rounds: &[(&str, u32)] = match soak {
        false => &[("relift", 900), ("docker-compose", 300), ("dockerd", 1500)],
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
