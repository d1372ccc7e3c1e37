//! In which order units stop and start, sockets that stay open and sockets that are opened, and start limits.

use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";
const SHIPPED: &str = "manager/production/sample-manager.service";

fn upgrade(host: &Host) -> Out {
    host.relift(&["upgrade", "app", "--yes"])
}

/// Declares more units of the manager, before its own.
fn declare(host: &Host, files: &[&str]) {
    let manifest = host.read(MANIFEST);
    let place = "\n[[component.unit]]\n";
    let unit = |file: &&str| format!("{place}file = \"production/{file}\"\nscope = \"system\"\n");
    let units: String = files.iter().map(unit).collect();
    host.write(MANIFEST, manifest.replacen(place, &format!("{units}{place}"), 1), 0o644, "root");
}

/// What systemd told of some units since a moment, in its order: `Started a.service`.
fn told(host: &Host, since: &str, words: &str) -> Vec<String> {
    let journal = host.must(&format!(
        "journalctl --sync; journalctl --output=cat --since '@{since}' _PID=1 | grep -E '{words}' || :"
    ));
    journal.lines().map(|line| line.split(" - ").next().unwrap_or(line).trim_end_matches('.').to_owned()).collect()
}

#[test]
fn units_start_in_the_order_that_they_ask_for_and_stop_in_reverse() {
    let mut host = Host::with_sample();
    let service = |more: &str, number: u32| {
        format!(
            "[Unit]\n{more}\n[Service]\nEnvironment=NUMBER={number}\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
        )
    };
    declare(&host, &["web.service", "db.service", "cache.service"]);
    let units = |release: relift::sample::Release, number: u32| {
        release
            .file(
                "manager/production/web.service",
                &service("After=db.service cache.service\nWants=db.service", number),
            )
            .file("manager/production/cache.service", &service("Before=web.service", number))
            .file("manager/production/db.service", &service("", number))
    };
    let moment = |host: &Host| host.must("date +%s.%N");
    let since = moment(&host);
    host.release(|release| units(release.next("1.1.0"), 1));
    let out = upgrade(&host).exits(0);
    let started = ["Started db.service", "Started cache.service", "Started web.service"];
    assert_eq!(told(&host, &since, "Started (web|db|cache)"), started, "{out}");

    let since = moment(&host);
    host.release(|release| units(release.next("1.2.0"), 2));
    upgrade(&host).exits(0);
    assert_eq!(told(&host, &since, "Started (web|db|cache)"), started);

    let since = moment(&host);
    host.release(|release| {
        let files = ["web", "db", "cache"].map(|name| format!("manager/production/{name}.service"));
        files.iter().fold(release.next("1.3.0"), |release, file| release.without(file))
    });
    upgrade(&host).exits(0);
    let stopped = ["Stopped web.service", "Stopped cache.service", "Stopped db.service"];
    assert_eq!(told(&host, &since, "Stopped (web|db|cache)"), stopped);
    assert_eq!(host.must("systemctl --failed --no-legend"), "");
}

#[test]
fn a_socket_that_changes_is_opened_anew_with_its_service_and_undone() {
    let mut host = Host::with_sample();
    declare(&host, &["sample-manager.socket"]);
    let socket =
        |more: &str| format!("[Socket]\nListenStream=127.0.0.1:18080\n{more}[Install]\nWantedBy=sockets.target\n");
    let file = "manager/production/sample-manager.socket";
    // The service that had the port itself gives it up to the socket.
    host.release(|release| release.next("1.1.0").file(file, &socket("")).behaviour("manager", "hand-over"));
    let out = upgrade(&host).exits(0);
    assert!(out.stdout.contains("sample-manager.socket (system): installed, enable and start"), "{out}");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    let listener = |host: &Host| host.must("ss -Hltne 'sport = :18080' | grep -o 'ino:[0-9]*'");
    let first = listener(&host);

    let before = host.snapshot();
    host.release(|release| {
        release.next("1.2.0").file(file, &socket("Backlog=9\n")).behaviour("manager", "exit-at-once 1")
    });
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    assert_eq!(host.must("systemctl is-active sample-manager.socket sample-manager.service"), "active\nactive");
    host.release(|release| release.next("1.3.0").behaviour("manager", "hand-over"));
    upgrade(&host).exits(0);
    assert_ne!(listener(&host), first);
    assert_eq!(host.answers("manager").as_deref(), Some("1.3.0"));
    assert_eq!(host.must("ss -Hltn 'sport = :18080' | awk '{print $3}'"), "9");

    // Where only the service changes, its socket stays open.
    let open = listener(&host);
    host.release(|release| release.next("1.4.0"));
    upgrade(&host).exits(0);
    assert_eq!(listener(&host), open);

    // A socket that is taken away leaves its service with a port of its own again.
    host.release(|release| release.next("1.5.0").without(file));
    upgrade(&host).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.5.0"));
    assert_eq!(host.must("systemctl show -P LoadState sample-manager.socket"), "not-found");
}

#[test]
fn a_start_limit_that_is_used_up_neither_loses_a_restart_nor_an_undo() {
    let mut host = Host::with_sample();
    host.release(|release| {
        let limit = |text: String| {
            text.replace("StartLimitIntervalSec=20", "StartLimitIntervalSec=1h")
                .replace("StartLimitBurst=3", "StartLimitBurst=1")
        };
        release.next("1.0.1").edit(SHIPPED, limit)
    });
    upgrade(&host).exits(0);
    // Each of these starts would be one too many.
    for version in ["1.1.0", "1.2.0", "1.3.0"] {
        host.release(|release| release.next(version));
        upgrade(&host).exits(0);
        assert_eq!(host.answers("manager").as_deref(), Some(version));
    }
    let before = host.snapshot();
    host.release(|release| release.next("1.4.0").behaviour("manager", "exit-at-once 1"));
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.3.0"));
}

#[test]
fn a_mount_gets_its_new_options_without_being_unmounted() {
    let mut host = Host::with_sample();
    declare(&host, &["srv-data.mount"]);
    let mount = |options: &str| {
        format!(
            "[Mount]\nWhat=tmpfs\nWhere=/srv/data\nType=tmpfs\nOptions={options}\n[Install]\nWantedBy=multi-user.target\n"
        )
    };
    let file = "manager/production/srv-data.mount";
    host.release(|release| release.next("1.1.0").file(file, &mount("size=1M")));
    upgrade(&host).exits(0);
    host.must("echo kept > /srv/data/file");
    let size = |host: &Host| host.must("findmnt -no OPTIONS /srv/data | grep -o 'size=[0-9]*k'");
    assert_eq!(size(&host), "size=1024k");
    let before = host.snapshot();
    host.release(|release| release.next("1.2.0").file(file, &mount("size=2M")).behaviour("manager", "exit-at-once 1"));
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    assert_eq!((size(&host), host.read("/srv/data/file")), ("size=1024k".into(), "kept\n".into()));
    host.release(|release| release.next("1.3.0").behaviour("manager", "ok"));
    let out = upgrade(&host).exits(0);
    assert!(out.stdout.contains("srv-data.mount (system): replaced, reload"), "{out}");
    assert_eq!((size(&host), host.read("/srv/data/file")), ("size=2048k".into(), "kept\n".into()));
}
