//! What stops before anything was changed.

use super::bed::{SERVES, publish, says, state};
use crate::harness::{Host, Out};

/// Each stops before anything was changed, and says why.
pub fn refusals(host: &Host, old: &str) {
    publish(host, "1.3.0", "v1.3.0", SERVES);
    let stopped = |out: Out, words: &[&str]| {
        says(&out.exits(1), words);
        assert_eq!(state(host), old, "nothing was changed");
    };
    stopped(
        host.relift(&["upgrade", "app", "--yes", "--to", "9.9.9"]),
        &["has not the tag v9.9.9", "nothing was changed"],
    );
    // Data that would be written to while it is backed up, and a volume that there is not.
    host.must("docker run -d --name stranger --network none -v app_state:/s $(docker ps --format '{{.Image}}' --filter name=app_web) /bin/sleep 1000");
    stopped(
        host.relift(&["upgrade", "app", "--yes"]),
        &["the volume state is in use by stranger, which is not of app", "docker stop stranger"],
    );
    host.must(
        "docker rm -f stranger; cp /etc/relift/app.toml /root/; sed -i 's/\"state\"/\"lost\"/' /etc/relift/app.toml",
    );
    stopped(
        host.relift(&["upgrade", "app", "--yes"]),
        &["the Compose files of app declare no volume lost", "declared are: state"],
    );
    host.must("cp /root/app.toml /etc/relift/");
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
