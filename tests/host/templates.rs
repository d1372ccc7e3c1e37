//! `templates/manifests`: each is what a test installs and upgrades, so that none can rot. Those of packages, Compose and archives
//! are used by the tests of these sources.

use std::path::Path;

use relift::sample::{Release, Site};

use crate::harness::Host;

const GIT: &str = include_str!("../../templates/manifests/git.toml");

/// The values of this host in the place of those that are to be put in.
const VALUES: [(&str, &str); 11] = [
    ("root  = \"/opt/esup-runner\"", "root  = \"/opt/app\""),
    ("owner = \"esup-runner\"", "owner = \"app\""),
    ("https://git.example.org/esup-runner.git", "file:///srv/git/app.git"),
    ("production/esup-runner-manager.service", "production/sample-manager.service"),
    ("production/esup-runner.service", "production/sample-runner.service"),
    ("scope   = \"user\"", "scope   = \"system\""),
    ("[\"uv\", \"run\", \"scripts/check_config.py\"]", "[\"sh\", \"scripts/check_config.sh\"]"),
    ("artifacts = [\".venv\"]", "artifacts = [\"build\"]"),
    ("MANAGER_PORT", "PORT"),
    ("AUTHORIZED_TOKENS__app", "API_TOKEN"),
    ("soak       = \"2min\"", "soak       = \"0s\""),
];

/// What the template's project has beyond the sample: locks, by which its steps go, and something that root sets up.
fn project(release: Release) -> Release {
    let lock = format!("of {}\n", release.version);
    release.file("manager/uv.lock", &lock).file("runner/uv.lock", &lock).edit("manager/Makefile", |text| {
        match text.contains("init:") {
            true => text,
            false => format!("{text}\ninit:\n\tid -un >> /tmp/set-up\n"),
        }
    })
}

#[test]
fn the_template_of_a_git_checkout_upgrades_it_and_takes_a_bad_release_back() {
    let mut host = Host::boot();
    host.settle(Site { sparse: true, ..Site::new("app") }, project);
    let manifest = VALUES.into_iter().fold(GIT.to_owned(), |text, (of_template, of_host)| {
        assert!(text.contains(of_template), "the template has no {of_template}");
        text.replace(of_template, of_host)
    });
    host.write("/etc/relift/app.toml", manifest, 0o644, "root");
    host.must(
        "cd /opt/app/manager; install -d -o app -g app data; runuser -u app -- python3 -c \"import sqlite3
c = sqlite3.connect('data/app.db'); c.execute('create table t (x)'); c.commit()\"",
    );
    host.relift(&["config", "check", "app"]).exits(0);
    host.release(|release| project(release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says.")));
    // Root runs nothing that nobody vouches for.
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    assert!(out.stderr.contains("relift trust pin app"), "{out}");
    host.relift(&["trust", "pin", "app", "main", "--yes"]).exits(0);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.1.0", "upgraded");
    }
    assert_eq!(host.must("cat /tmp/set-up"), "root");
    assert!(host.read("/opt/app/manager/.env").contains("GREETING=hello"));
    assert_eq!(host.must("ls /var/lib/relift/app/backups | wc -l"), "1");

    host.release(|release| project(release.next("1.2.0").behaviour("manager", "exit-at-once 1")));
    let before = host.snapshot();
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn every_template_is_installed_by_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = String::new();
    let mut directories = vec![root.join("tests/host")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => directories.push(entry.path()),
                false => sources.push_str(&std::fs::read_to_string(entry.path()).unwrap()),
            }
        }
    }
    let templates = std::fs::read_dir(root.join("templates/manifests")).unwrap().flatten();
    let names: Vec<String> = templates.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(names.len() >= 6, "{names:?}");
    for name in names {
        assert!(sources.contains(&format!("templates/manifests/{name}")), "no host test installs {name}");
    }
}
