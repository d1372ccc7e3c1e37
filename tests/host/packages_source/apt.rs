//! apt and dpkg.

use super::platform::{deb, packages, publish, state, with_debs};

const UPGRADE: [&str; 3] = ["upgrade", "app", "--yes"];

#[test]
fn an_upgrade_by_apt_moves_the_named_packages_and_what_they_need_and_comes_back_offline() {
    let host = with_debs();
    host.must("echo 'color = red' > /etc/app/app.conf; sed -i s/WORKERS=2/WORKERS=5/ /etc/app/app.env");
    deb(&host, "app", "1.1-1", "appdep", "");
    deb(&host, "appdep", "1.0-1", "", "");
    deb(&host, "other", "2.0-1", "", "");
    publish(&host);
    let (lists, old) = (host.must("ls -l /var/lib/apt/lists"), state(&host));

    let out = host.relift(&["plan", "app"]);
    for part in [
        "app",
        "1.0-1",
        "1.1-1",
        "appdep",
        "needed by app 1.1-1",
        "/etc/app/motd",
        "nobody edited it",
        "*.dpkg-dist",
        "engine@a.service",
    ] {
        assert!(out.stdout.contains(part), "{part}: {out}");
    }
    assert!(!out.stdout.contains("other"), "{out}");
    assert_eq!(host.must("ls -l /var/lib/apt/lists"), lists, "a check leaves the host's lists alone");
    assert_eq!(state(&host), old);

    let pids = host.must("systemctl show -P MainPID engine@a engine@b");
    host.relift(&UPGRADE).exits(0);
    assert_eq!(packages(&host), "app 1.1-1 ii \nappdep 1.0-1 ii \nother 1.0-1 ii \nappdep");
    assert_eq!(host.must("cat /run/engine/a /run/engine/b /etc/app/configured"), "1.1\n1.1\n1.1");
    assert_ne!(host.must("systemctl show -P MainPID engine@a engine@b"), pids);
    // Started once, and not by a maintainer script before its turn.
    assert_eq!(host.journal_of("engine@a").matches("started 1.1").count(), 1);
    assert_eq!(host.read("/etc/app/app.conf"), "color = red\n");
    assert!(host.read("/etc/app/app.conf.dpkg-dist").contains("version = 1.1"));
    assert_eq!(host.read("/etc/app/motd"), "greeting of 1.1\n");
    let env = host.read("/etc/app/app.env");
    assert!(env.contains("WORKERS=5") && env.contains("KEY_1_1_1=1"), "{env}");
    host.relift(&UPGRADE).exits(0);

    // No network and no repository: what was kept is enough.
    host.must("rm -r /srv/deb /etc/apt/sources.list.d/app-main.list /var/cache/relift");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(packages(&host).starts_with("app 1.0-1 ii"), "{}", packages(&host));
    assert_eq!(host.must("cat /run/engine/a"), "1.0");
    assert_eq!(host.read("/etc/app/app.conf"), "color = red\n");
}

#[test]
fn each_release_on_the_way_is_migrated_once_and_a_change_of_the_first_number_wants_its_guide() {
    let host = with_debs();
    ["1.1-1", "1.2-1", "2.0-1"].iter().for_each(|version| deb(&host, "app", version, "", ""));
    publish(&host);
    let migration = |version: &str| {
        format!(
            "\n[[migration]]\nversion = \"{version}\"\nnote = \"What {version} wants.\"\nurl = \"https://example.org/{version}\"\n\
             run = [\"sh\", \"-c\", \"echo {version} >> /etc/app/migrated\"]\nundo = {{ run = [\"sed\", \"-i\", \"/{version}/d\", \"/etc/app/migrated\"] }}\n"
        )
    };
    let manifest = host.read("/etc/relift/app.toml").replace("allow = \"^1\"\n", "");
    let manifest = ["1.1.0", "1.2.0"].map(migration).iter().fold(manifest, |manifest, one| manifest + one);
    host.write("/etc/relift/app.toml", &manifest, 0o644, "root");
    let out = host.relift(&["plan", "app", "--to", "1.2"]);
    for part in ["What 1.1.0 wants.", "https://example.org/1.1.0", "What 1.2.0 wants."] {
        assert!(out.stdout.contains(part), "{part}: {out}");
    }
    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    assert_eq!(host.read("/etc/app/migrated"), "1.1.0\n1.2.0\n");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(host.read("/etc/app/migrated"), "");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    assert_eq!(host.read("/etc/app/migrated"), "1.1.0\n1.2.0\n", "each once");

    let before = state(&host);
    for arguments in [&UPGRADE[..], &["upgrade", "app", "--yes", "--to", "2.0"]] {
        let out = host.relift(arguments).exits(2);
        assert!(out.stderr.contains("is a change of the first number, and no [[migration]] is a guide to 2"), "{out}");
    }
    host.write("/etc/relift/app.toml", manifest + &migration("2.0.0"), 0o644, "root");
    let out = host.relift(&UPGRADE).exits(2);
    assert!(out.stderr.contains("is a major step, which has its own guide"), "{out}");
    assert_eq!(state(&host), before);
    host.relift(&["upgrade", "app", "--yes", "--to", "2.0"]).exits(0);
    assert_eq!(host.read("/etc/app/migrated"), "1.1.0\n1.2.0\n2.0.0\n");

    // An older release by decision alone, and what newer ones asked for is taken back.
    let before = state(&host);
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(2);
    assert!(out.stderr.contains("relift upgrade app --to 1.1-1 --allow-downgrades"), "{out}");
    assert_eq!(state(&host), before);
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.1", "--allow-downgrades"]).exits(0);
    assert!(out.stdout.contains("downgrade app") && out.stdout.contains("takes back what 2.0.0 asked for"), "{out}");
    assert!(packages(&host).starts_with("app 1.1-1 ii"), "{}", packages(&host));
    assert_eq!(host.read("/etc/app/migrated"), "1.1.0\n");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(packages(&host).starts_with("app 2.0-1 ii"), "{}", packages(&host));
    assert_eq!(host.read("/etc/app/migrated"), "1.1.0\n1.2.0\n2.0.0\n");
}
