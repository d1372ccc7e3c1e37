//! How units are enabled: by `[Install]`, by aliases, and by links of the operator's own.

use crate::harness::{Host, Out};

const SHIPPED: &str = "manager/production/sample-manager.service";

fn upgrade(host: &Host) -> Out {
    host.relift(&["upgrade", "app", "--yes"])
}

/// Every link in the directories of units, with where it points to.
fn links(host: &Host) -> String {
    host.must("cd /etc/systemd/system; find . -type l -printf '%P -> %l\\n' | grep -e sample -e extra | sort")
}

#[test]
fn enabling_again_keeps_the_links_that_the_operator_added_and_undo_brings_back_each() {
    let mut host = Host::with_sample();
    host.must(
        "systemctl --quiet add-wants graphical.target sample-manager.service
         systemctl --quiet add-requires rescue.target sample-manager.service
         ln -s sample-manager.service /etc/systemd/system/sample-by-hand.service; systemctl daemon-reload",
    );
    let own = [
        "graphical.target.wants/sample-manager.service -> /etc/systemd/system/sample-manager.service",
        "rescue.target.requires/sample-manager.service -> /etc/systemd/system/sample-manager.service",
        "sample-by-hand.service -> sample-manager.service",
    ];
    let before = host.snapshot();
    // Another name of a unit is a gain of power, which somebody has to name.
    let install = "WantedBy=timers.target\nAlias=sample-alias.service";
    host.release(|release| {
        let release = release.next("1.1.0").behaviour("manager", "exit-at-once 1");
        release.edit(SHIPPED, |text| text.replace("WantedBy=multi-user.target", install))
    });
    host.relift(&["upgrade", "app", "--yes", "--to", "main"]).exits(3);
    before.assert_same(&host.snapshot());

    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes", "--to", "main"]).exits(0);
    let now = links(&host);
    for link in own {
        assert!(now.contains(link), "{link} is gone:\n{now}");
    }
    assert!(
        now.contains("timers.target.wants/sample-manager.service") && now.contains("sample-alias.service -> "),
        "{now}"
    );
    assert!(!now.contains("multi-user.target.wants/sample-manager"), "{now}");
}

#[test]
fn a_unit_that_only_the_operators_own_link_starts_is_not_enabled_by_its_install_section() {
    let mut host = Host::with_sample();
    host.must("systemctl --quiet disable sample-manager.service; systemctl --quiet add-wants graphical.target sample-manager.service");
    host.release(|release| {
        release.next("1.1.0").edit(SHIPPED, |text| text.replace("multi-user.target", "timers.target"))
    });
    upgrade(&host).exits(0);
    assert_eq!(
        links(&host),
        "graphical.target.wants/sample-manager.service -> /etc/systemd/system/sample-manager.service"
    );
}

#[test]
fn a_unit_that_upstream_drops_is_stopped_and_removed_and_undone_with_all_its_links() {
    let mut host = Host::with_sample();
    let manifest = host.read("/etc/relift/app.toml");
    let extra = "\n[[component.unit]]\nfile = \"production/extra.service\"\nscope = \"system\"\n";
    let place = "\n[[component.unit]]\n";
    host.write("/etc/relift/app.toml", manifest.replacen(place, &format!("{extra}{place}"), 1), 0o644, "root");
    let text =
        "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\nAlias=extra-alias.service\n";
    host.release(|release| release.next("1.1.0").file("manager/production/extra.service", text));
    upgrade(&host).exits(0);
    host.must("systemctl --quiet add-wants graphical.target extra.service; systemctl is-active --quiet extra.service");
    let (before, were) = (host.snapshot(), links(&host));

    host.release(|release| {
        release.next("1.2.0").without("manager/production/extra.service").behaviour("manager", "exit-at-once 1")
    });
    let out = upgrade(&host).exits(3);
    assert!(out.stdout.contains("extra.service (system): removed, stop"), "{out}");
    assert!(out.stdout.contains("the release no longer has it"), "{out}");
    before.assert_same(&host.snapshot());
    assert_eq!(links(&host), were);
    host.must("systemctl is-active --quiet extra.service");

    host.release(|release| release.next("1.3.0").behaviour("manager", "ok"));
    upgrade(&host).exits(0);
    assert!(!links(&host).contains("extra"), "{}", links(&host));
    assert_eq!(host.must("systemctl show -P LoadState -P ActiveState extra.service"), "not-found\ninactive");
    // It stays declared, which is no mistake.
    host.release(|release| release.next("1.4.0"));
    let out = upgrade(&host).exits(0);
    assert!(out.stdout.contains("not installed, and the release does not have it"), "{out}");
    // Rolled back, it is there again.
    host.relift(&["rollback", "app", "--yes", "--to", "1.1.0"]).exits(0);
    host.must("systemctl is-active --quiet extra.service && systemctl is-enabled --quiet extra.service");
}

#[test]
fn links_in_the_user_scope_are_kept_and_brought_back_as_their_owners() {
    let mut host = Host::with_sample();
    let shipped = "runner/production/sample-runner.service";
    host.sh_as("app", "systemctl --user --quiet add-wants timers.target sample-runner.service").exits(0);
    let before = host.snapshot();
    host.release(|release| {
        let release = release.next("1.1.0").behaviour("runner", "exit-at-once 1");
        release.edit(shipped, |text| text.replace("default.target", "basic.target\nAlias=sample-alias.service"))
    });
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.2.0").behaviour("runner", "ok"));
    upgrade(&host).exits(0);
    let links = "cd /home/app/.config/systemd/user; find . -type l -printf '%P %u\\n' | sort";
    assert_eq!(
        host.must(links),
        "basic.target.wants/sample-runner.service app\nsample-alias.service app\ntimers.target.wants/sample-runner.service app"
    );
}
