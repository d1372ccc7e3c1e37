//! `restart = "reload"`, in both scopes: a new release is taken over without a new process, and undone in the same way.

use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";

/// A host at 1.0.1 on which both services reload.
fn reloading() -> Host {
    let mut host = Host::with_sample();
    host.must(&format!("sed -i 's/restart = \"if-changed\"/restart = \"reload\"/' {MANIFEST}"));
    host.release(|release| {
        let reload =
            "Type=notify\nExecReload=/bin/sh -c 'test ! -e /tmp/no-reload'\nExecReload=/bin/kill -HUP $MAINPID";
        let release =
            release.next("1.0.1").unit_line("manager", "Service", reload).unit_line("runner", "Service", reload);
        release.behaviour("manager", "hand-over").behaviour("runner", "hand-over")
    });
    upgrade(&host).exits(0);
    host
}

fn upgrade(host: &Host) -> Out {
    host.relift(&["upgrade", "app", "--yes"])
}

/// The main processes of both services.
fn processes(host: &Host) -> String {
    let runner = host.sh_as("app", "systemctl --user show -P MainPID sample-runner.service").exits(0).stdout;
    format!("{} {}", host.must("systemctl show -P MainPID sample-manager.service"), runner.trim())
}

fn answers(host: &Host) -> [Option<String>; 2] {
    ["manager", "runner"].map(|component| host.answers(component))
}

fn both(version: &str) -> [Option<String>; 2] {
    [Some(version.to_owned()), Some(version.to_owned())]
}

#[test]
fn a_service_that_reloads_keeps_its_process_through_an_upgrade_and_through_an_undo() {
    let mut host = reloading();
    let process = processes(&host);
    host.release(|release| release.next("1.1.0"));
    let out = upgrade(&host).exits(0);
    for unit in ["sample-manager.service (system)", "sample-runner.service (user)"] {
        assert!(out.stdout.contains(&format!("{unit}: reload\n")), "{unit}\n{out}");
    }
    assert_eq!((answers(&host), processes(&host)), (both("1.1.0"), process.clone()), "{out}");
    assert!(out.stdout.contains("without service none: nothing is restarted"), "{out}");

    // It reads the new files and says that it is another version: the old files are back, and read again.
    let before = host.snapshot();
    host.release(|release| release.next("1.2.0").behaviour("manager", "hand-over\nold-version 0.0.1"));
    let out = upgrade(&host).exits(3);
    assert_eq!((answers(&host), processes(&host)), (both("1.1.0"), process.clone()), "{out}");
    before.assert_same(&host.snapshot());

    let out = host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!((answers(&host), processes(&host)), (both("1.0.1"), process), "{out}");
}

#[test]
fn a_reload_that_fails_or_ends_the_service_is_undone() {
    let mut host = reloading();
    // The unit's own command says no, also when it is to read the old files again: it gets a new process.
    host.must("touch /tmp/no-reload");
    host.release(|release| release.next("1.1.0"));
    let before = host.snapshot();
    let out = upgrade(&host).exits(3);
    assert!(out.stderr.contains("reload sample-manager.service cannot be done"), "{out}");
    assert_eq!(answers(&host), both("1.0.1"), "{out}");
    before.assert_same(&host.snapshot());
    host.must("rm /tmp/no-reload");

    // The process ends when it reads the new files.
    host.release(|release| release.next("1.2.0").behaviour("manager", "hand-over\nexit-at-once 3"));
    let out = upgrade(&host).exits(3);
    assert_eq!(answers(&host), both("1.0.1"), "{out}");
    before.assert_same(&host.snapshot());
}
