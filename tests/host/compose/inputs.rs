//! What a registry, a tag, a log and a disk can do to a run: each is told, and nothing is changed or everything is put back.

use super::bed::{IMAGE, PROJECT, SERVES, containers, publish, says, state, with_docker};
use crate::harness::{Host, Out};

/// Says that it is ready, and answers.
const READY: &str = "echo ready; cat /www/version >> /data/versions; exec /bin/busybox httpd -f -p 8080 -h /www";
/// Says what it should not.
const PANICS: &str = "echo ready; echo PANIC: no licence; exec /bin/busybox httpd -f -p 8080 -h /www";
/// The images lie on a small disk of their own.
const SMALL_DISK: &str = "mkdir -p /var/lib/docker; mount -t tmpfs -o size=400m,nr_inodes=6000 tmpfs /var/lib/docker; mkdir /var/lib/docker/fill";
/// Where Debian's registry keeps what it has.
const REGISTRY: &str = "/var/lib/docker-registry/docker/registry/v2";

/// A project whose image follows the tag `stable`, and whose log is looked at.
fn following_a_tag() -> Host {
    let host = with_docker(SMALL_DISK);
    publish(&host, "1.0.0", "stable", READY);
    host.must("mkdir -p /srv/app/data");
    host.write("/srv/app/docker-compose.yml", PROJECT.replace("v1.0.0", "stable"), 0o644, "root:root");
    host.must("cd /srv/app && docker-compose -p app up -d 2>&1; touch /var/lib/docker/volumes/app_state/_data/first");
    let manifest = IMAGE
        .replace("tags     = \"v{version}\"", "tag      = \"stable\"")
        .replace("\"10s\"", "\"0s\"\nkeep-known-good = 2");
    let log = "container = \"web\"\n  log       = { wanted = \"^ready$\", unwanted = \"PANIC\" }";
    let manifest = manifest.replace("container = \"web\"", log).replace("2min", "6s");
    host.write("/etc/relift/app.toml", manifest, 0o644, "root:root");
    host.wait_for("curl -fs http://127.0.0.1:8080/version");
    host
}

/// Everything that has to be as it was: the very containers, too.
fn everything(host: &Host) -> String {
    containers(host) + &state(host)
}

#[track_caller]
fn stopped(host: &Host, old: &str, out: Out, words: &[&str]) {
    says(&out.exits(1), words);
    assert_eq!(everything(host), old, "nothing was changed");
}

fn restart_registry(host: &Host) {
    host.must("systemctl restart docker-registry");
    host.wait_for("curl -s http://127.0.0.1:5000/v2/");
}

#[test]
fn a_tag_that_moves_is_followed_and_what_registry_log_and_disk_do_to_a_run_is_told() {
    let host = following_a_tag();
    let upgrade = || host.relift(&["upgrade", "app", "--yes"]);
    let version = || host.wait_for("curl -fs http://127.0.0.1:8080/version");

    // The tag moves: the digest tells. What runs is pinned once, and then there is nothing to do.
    upgrade().exits(0);
    says(&upgrade().exits(0), &["nothing to do"]);
    let digest = publish(&host, "1.1.0", "stable", READY);
    let (_, digits) = digest.split_once("@sha256:").unwrap_or_default();
    says(&host.relift(&["plan", "app"]), &[&format!("-> stable-{}", &digits[..8]), "start anew web"]);
    upgrade().exits(0);
    assert_eq!(version(), "1.1.0");
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains("(release ") && !status.stdout.contains("detached"), "{status}");

    // By what it logs: a line that has to come, and one that must not.
    let old = state(&host);
    for (release, command, words) in
        [("1.2.0", SERVES, "no such line has come in its log"), ("1.3.0", PANICS, "its log says: PANIC: no licence")]
    {
        publish(&host, release, "stable", command);
        says(&upgrade().exits(3), &["container web", words]);
        assert_eq!(state(&host), old, "{words}");
    }

    login(&host);
    assert_eq!(version(), "1.3.1");
    let old = everything(&host);
    let stopped = |out: Out, words: &[&str]| stopped(&host, &old, out, words);
    // What lies in the registry is not what its digest says.
    let digest = publish(&host, "1.4.0", "stable", READY);
    let (_, digits) = digest.split_once("@sha256:").unwrap_or_default();
    let manifest = format!("{REGISTRY}/blobs/sha256/{}/{digits}/data", &digits[..2]);
    host.must(&format!(
        r#"layer=$(python3 -c 'import json; print(json.load(open("{manifest}"))["layers"][0]["digest"][7:])')
           file={REGISTRY}/blobs/sha256/$(echo $layer | cut -c1-2)/$layer/data; cp $file /root/layer; echo $file > /root/layer.name
           python3 -c 'import sys; b = bytearray(open(sys.argv[1], "rb").read()); b[len(b) // 2] ^= 1; open(sys.argv[1], "wb").write(b)' $file"#
    ));
    restart_registry(&host);
    stopped(upgrade(), &["is not what its digest says"]);
    host.must("cp /root/layer $(cat /root/layer.name)");
    // No room: known beforehand, and found in the middle of a pull.
    host.must("cd /var/lib/docker/fill; fallocate -l $(($(df --output=avail -B1 . | tail -1) - (100 << 20))) file");
    stopped(upgrade(), &["MiB are free on the filesystem of /var/lib/docker", "docker system df"]);
    host.must("cd /var/lib/docker/fill; rm file; seq $(($(df --output=iavail . | tail -1) - 10)) | xargs touch");
    stopped(upgrade(), &["does not fit on the disk", "docker system df"]);
    host.must("rm -r /var/lib/docker/fill");
    // The tag is gone.
    host.must(&format!("mv {REGISTRY}/repositories/app/_manifests/tags/stable /root/stable"));
    stopped(upgrade(), &["has not the tag stable", "nothing was changed"]);
    host.must(&format!("mv /root/stable {REGISTRY}/repositories/app/_manifests/tags/stable"));
    // Each was passing. What is no way back any more is let go with it, and what failed as well.
    upgrade().exits(0);
    assert_eq!(version(), "1.4.0");
    let kept = host.must("docker image ls relift/app --format '{{.Tag}}'; docker ps -a --filter label=org.relift.kept=app --format '{{.Image}}'");
    assert_eq!(kept.lines().count(), 4, "two images, each with what keeps it:\n{kept}");
}

/// A registry that needs a login: asked without one, with a wrong one, and with the one that root made.
fn login(host: &Host) {
    publish(host, "1.3.1", "stable", READY);
    let old = everything(host);
    let stopped = |out: Out, words: &[&str]| stopped(host, &old, out, words);
    host.must(
        r#"python3 -c 'import crypt; print("ci:" + crypt.crypt("s3cr3t-canary-registry", crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))' > /etc/docker/registry/htpasswd
           cp /etc/docker/registry/config.yml /root/config.yml
           printf 'auth:\n  htpasswd:\n    realm: app\n    path: /etc/docker/registry/htpasswd\n' >> /etc/docker/registry/config.yml"#,
    );
    restart_registry(host);
    let words = ["it answers 401: this host may not ask", "docker login 127.0.0.1:5000"];
    stopped(host.relift(&["upgrade", "app", "--yes"]), &words);
    let log_in = |password: &str| {
        let auth = host.must(&format!("printf 'ci:{password}' | base64 -w0"));
        host.must("mkdir -p /root/.docker");
        let config = format!(r#"{{ "auths": {{ "127.0.0.1:5000": {{ "auth": "{auth}" }} }} }}"#);
        host.write("/root/.docker/config.json", config, 0o600, "root:root");
    };
    log_in("s3cr3t-canary-wrong");
    let wrong = host.relift(&["upgrade", "app", "--yes"]);
    host.assert_no_secret(&wrong);
    stopped(wrong, &words);
    log_in("s3cr3t-canary-registry");
    let asked = host.relift(&["plan", "app"]).exits(0);
    host.assert_no_secret(&asked);
    // As a timer starts it: without a home.
    let pulled = host.sh("env -u HOME relift upgrade app --yes").exits(0);
    host.assert_no_secret(&pulled);
    host.must("rm -r /root/.docker; cp /root/config.yml /etc/docker/registry/config.yml");
    restart_registry(host);
}
