//! `merge`: what an operator wrote into a configuration file stays, and what the release changes comes in.

use super::platform::{configure, deb, publish, state, with_debs};

const CONF: &str = "/etc/app/app.conf";

#[test]
fn a_configuration_file_is_merged_on_request_and_undone_exactly_and_a_conflict_stops_without_a_secret() {
    let host = with_debs();
    host.must("sed -i s/blue/red/ /etc/app/app.conf; chown app: /etc/app/app.conf; chmod 640 /etc/app/app.conf; setfacl -m u:nobody:r /etc/app/app.conf");
    ["1.1", "1.2", "1.3"].iter().for_each(|version| deb(&host, "app", &format!("{version}-1"), "", ""));
    publish(&host);
    // Misspelt, so that it stands for nothing.
    configure(&host, "merge = [\"/etc/app/app.con\"]");
    let out = host.relift(&["plan", "app", "--to", "1.1"]);
    assert!(out.stdout.contains("names /etc/app/app.con, which is no configuration file"), "{out}");
    assert!(out.stdout.contains("kept: it was edited here"), "{out}");
    configure(&host, "merge = [\"/etc/app/*\"]");
    let (old, was) = (state(&host), host.must("stat -c '%a %U' /etc/app/app.conf; getfacl -p /etc/app/app.conf"));
    let out = host.relift(&["plan", "app", "--to", "1.1"]);
    assert!(out.stdout.contains("merged: your changes stay, and the release's come in"), "{out}");
    // Its engine does not start.
    host.relift(&["upgrade", "app", "--yes", "--to", "1.3"]).exits(3);
    assert_eq!(state(&host), old);

    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    let merged = "color = red\nsize = 3\nshape = round\nport = 80\nversion = 1.1\n";
    assert_eq!(host.read(CONF), merged);
    assert_eq!(host.must("stat -c '%a %U' /etc/app/app.conf; getfacl -p /etc/app/app.conf"), was);
    assert_eq!(host.must("ls /etc/app"), "app.conf\napp.env\nconfigured\nedition\nmotd");
    // What nobody edited is the package's, and what is declared as `env` is not merged by lines.
    assert_eq!(host.read("/etc/app/motd"), "greeting of 1.1\n");

    host.must("sed -i 's/^version.*/password = mine-canary/' /etc/app/app.conf");
    let before = state(&host);
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(1);
    let all = format!("{}{}", out.stdout, out.stderr);
    for part in [
        "conflict in /etc/app/app.conf",
        "<<<<<<< yours",
        "password ***",
        "version ***",
        ">>>>>>> the release's",
        "/etc/app/app.conf: you and the release changed the same lines",
        "nothing was changed",
    ] {
        assert!(all.contains(part), "{part}: {out}");
    }
    assert!(
        !all.contains("canary") && !host.relift(&["plan", "app", "--to", "1.2", "--json"]).stdout.contains("canary")
    );
    assert_eq!(state(&host), before);
    // The command that is named shows the release's.
    let shown = all.split("(git").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    assert!(host.must(&format!("git {shown}")).contains("version = 1.2"), "{shown}");

    // A way back is not stopped by it: what conflicts stays.
    let out = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(out.stdout.contains("stays as it is"), "{out}");
    assert!(host.read(CONF).contains("mine-canary") && host.must("cat /run/engine/a") == "1.0");

    // Forward as if it were not asked for, and then asked for: nobody has merged what lies beside.
    host.must("cd /etc/app && sed -i 's/^password.*/version = 1.0/' app.conf && rm -f app.conf.dpkg-*");
    configure(&host, "");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    configure(&host, "merge = [\"/etc/app/app.conf\"]");
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(1);
    assert!(
        out.stderr.contains("app.conf.dpkg-dist is what the installed version ships, and nobody has merged it"),
        "{out}"
    );
    assert!(out.stderr.contains("diff /etc/app/app.conf /etc/app/app.conf.dpkg-dist"), "{out}");
    host.must("sed -i 's/^version.*/version = 1.1/' /etc/app/app.conf; rm /etc/app/app.conf.dpkg-dist");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    assert_eq!(host.read(CONF), merged.replace("1.1", "1.2"));
    // And back without the network: what was merged for 1.2 goes, what is the operator's stays.
    host.must("rm -r /srv/deb /etc/apt/sources.list.d/app-main.list");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(host.read(CONF), merged);
}
