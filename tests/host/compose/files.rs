//! Files that follow a release's reference files.

use super::bed::{PROGRAM, id_of, says};
use crate::harness::Host;

const FILES: &str = include_str!("../../../templates/manifests/compose-files.toml");

/// The reference files of a release, whose secret is never shown.
fn reference(host: &Host, version: &str, change: impl Fn(String) -> String) {
    let text = r#"version: "3.7"
services:
  web:
    image: 127.0.0.1:5000/app:v1.0.0
    network_mode: host
    stop_grace_period: 1s
    stop_signal: SIGKILL
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
    stop_signal: SIGKILL
    command: ["/bin/sleep", "2000"]
"#;
    host.write("/usr/share/app/compose/docker-compose.yml", change(text.into()), 0o644, "root:root");
    host.write("/usr/share/app/compose/VERSION", format!("{version}\n"), 0o644, "root:root");
    host.write("/usr/share/app/compose/.env.example", format!("LEVEL=info\n# Since {version}\n"), 0o644, "root:root");
}

/// Files follow the release's, local changes stay, a conflict stops, what would be lost needs an operator, undo is exact.
pub fn reference_files(host: &Host, compose: &str) {
    let manifest = FILES.replace("/srv/app", "/srv/files").replace("\"app\"", "\"files\"").replace("10s", "1s");
    let manifest =
        manifest.replace("2min", "5s").replace("[policy]", "[policy]\nallow-unverified = true\nunattended = \"major\"");
    host.must("mkdir -p /srv/files/data /srv/files/cache; echo LEVEL=debug > /srv/files/.env");
    host.write("/etc/relift/files.toml", manifest, 0o644, "root:root");
    reference(host, "1.0.0", |text| text);
    let local = "version: \"3.7\"\nservices:\n  worker:\n    labels:\n      mine: \"yes\"\n";
    host.write("/srv/files/docker-compose.local.yml", local, 0o644, "root:root");
    host.must("cd /srv/files; sed 's/2000/3000/' /usr/share/app/compose/docker-compose.yml > docker-compose.yml");
    host.must(&format!("cd /srv/files; chmod 600 docker-compose.yml; {compose} -p files -f docker-compose.yml -f docker-compose.local.yml up -d 2>&1"));
    let [worker, web] =
        if compose == PROGRAM { ["files_worker_1", "files_web_1"] } else { ["files-worker-1", "files-web-1"] };
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
    assert_eq!(id_of(&first, worker), id_of(&second, worker), "the worker goes on");
    assert_ne!(id_of(&first, web), id_of(&second, web));

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
    says(&lost.exits(2), &["volume /srv/files/cache:/cache", "of web is there now, and would not be afterwards"]);
    assert_eq!(live(), text);
    host.relift(&["upgrade", "files", "--yes"]).exits(0);
    assert!(!live().contains("./cache"));
    host.relift(&["rollback", "files", "--yes"]).exits(0);
    assert_eq!(live(), text, "exactly the files of before");
    assert_ne!(files, text);
}
