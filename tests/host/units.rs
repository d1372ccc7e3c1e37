//! Units: what is installed, merged, restarted and left alone, and every way in which a service can fail to be up.

use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";
const UNIT: &str = "/etc/systemd/system/sample-manager.service";
const SHIPPED: &str = "manager/production/sample-manager.service";

fn says(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

fn shows(out: &Out, words: &[&str]) {
    let plan = out.stdout.replace("\n                ", ": ");
    for word in words {
        assert!(plan.contains(word), "this is missing: {word}\n{out}");
    }
}

fn show(host: &Host, property: &str) -> String {
    host.must(&format!("systemctl show -P {property} sample-manager.service"))
}

/// Declares a unit of the manager, beside its own.
fn declare(host: &Host, text: &str) {
    let manifest = host.read(MANIFEST);
    let place = "\n[[component.unit]]\n";
    host.write(MANIFEST, manifest.replacen(place, &format!("\n{text}\n{place}"), 1), 0o644, "root");
}

#[test]
fn a_unit_that_systemd_would_not_take_stops_the_run_before_any_change() {
    let mut host = Host::with_sample();
    let before = host.snapshot();
    host.release(|release| release.next("1.1.0").unit_line("manager", "Service", "Type=sometimes"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(
        &out,
        &[
            "systemd would not take sample-manager.service as it is",
            "Failed to parse",
            "state: nothing was changed",
            "next:  mend the unit file upstream",
        ],
    );
    before.assert_same(&host.snapshot());

    host.release(|release| release.next("1.2.0").without(SHIPPED));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(
        &out,
        &[
            "the release has no file manager/production/sample-manager.service for the unit sample-manager.service",
            "next:  correct `file`",
        ],
    );
    before.assert_same(&host.snapshot());

    // Nothing of the owner's units can be seen or changed without its manager.
    host.must("loginctl disable-linger app; systemctl stop user@$(id -u app).service");
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(&out, &["user manager", "state: nothing was changed", "next:  loginctl enable-linger app"]);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn a_service_that_does_not_stay_up_is_undone_however_it_fails() {
    let mut host = Host::with_sample();
    let cases: &[(&str, &str, &[&str])] = &[
        ("die-after 300ms", "", &["did not stay up", "exited with 1"]),
        ("ready-then-die 2500ms 9", "", &["did not stay up", "| it ends, as it was told", "it was healthy for"]),
        ("port-taken", "", &["did not stay up", "| port 18080 cannot be opened"]),
        ("exit-at-once 7", "RestartSec=1ms", &["exited with 7"]),
        (
            "never-ready",
            "Type=notify\nTimeoutStartSec=2",
            &["restart sample-manager.service cannot be done", "timeout"],
        ),
    ];
    host.must("sed -i 's/^soak .*/soak = \"4s\"/' /etc/relift/app.toml");
    for (number, (behaviour, line, words)) in cases.iter().enumerate() {
        host.release(|release| {
            let release = release.next(&format!("1.{}.0", number + 1)).behaviour("manager", behaviour);
            let fresh = release.edit(SHIPPED, |text| {
                text.lines()
                    .filter(|line| !line.starts_with("RestartSec=1ms"))
                    .map(|line| format!("{line}\n"))
                    .collect()
            });
            if line.is_empty() { fresh } else { fresh.unit_line("manager", "Service", line) }
        });
        let before = host.snapshot();
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
        says(&out, words);
        says(&out, &["state: everything was put back as it was, and checked"]);
        before.assert_same(&host.snapshot());
        assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"), "{out}");
    }
    assert_eq!(host.must("systemctl --failed --no-legend"), "");
}

#[test]
fn what_the_operator_stopped_disabled_or_masked_stays_so_and_what_failed_is_mended() {
    let mut host = Host::with_sample();
    let mut version = 0;
    let mut upgrade = |host: &mut Host| {
        version += 1;
        host.release(|release| release.next(&format!("1.{version}.0")));
        host.relift(&["upgrade", "app", "--yes"]).exits(0)
    };
    host.must("systemctl stop sample-manager.service");
    shows(&upgrade(&mut host), &["sample-manager.service (system): left as it is: stopped"]);
    assert_eq!((show(&host, "ActiveState"), show(&host, "UnitFileState")), ("inactive".into(), "enabled".into()));

    host.must("systemctl disable sample-manager.service");
    shows(&upgrade(&mut host), &["left as it is: disabled and stopped"]);
    assert_eq!((show(&host, "ActiveState"), show(&host, "UnitFileState")), ("inactive".into(), "disabled".into()));

    host.must(&format!("mv {UNIT} /root/unit && systemctl mask sample-manager.service"));
    shows(&upgrade(&mut host), &["left as it is: masked"]);
    assert_eq!((show(&host, "ActiveState"), show(&host, "LoadState")), ("inactive".into(), "masked".into()));
    assert_eq!(host.must(&format!("readlink {UNIT}")), "/dev/null");

    // It runs, though it is disabled: it goes on, and is not enabled.
    host.must(&format!("systemctl unmask sample-manager.service; mv /root/unit {UNIT}; systemctl daemon-reload; systemctl start sample-manager.service"));
    shows(&upgrade(&mut host), &["restart: the component changed"]);
    assert_eq!((show(&host, "ActiveState"), show(&host, "UnitFileState")), ("active".into(), "disabled".into()));
    assert_eq!(host.answers("manager").as_deref(), Some("1.4.0"));

    // It hit its start limit before the run: the release that mends it is started all the same.
    host.must("systemctl stop sample-manager.service; mv /usr/bin/relift /usr/bin/relift.kept; cp /bin/false /usr/bin/relift
        systemctl start sample-manager.service; for i in 1 2 3 4 5; do sleep 0.4; systemctl start sample-manager.service; done; mv -f /usr/bin/relift.kept /usr/bin/relift; :");
    host.wait_for("systemctl is-failed sample-manager.service");
    says(&upgrade(&mut host), &["manager is not healthy before the run: sample-manager.service: failed"]);
    assert_eq!(host.answers("manager").as_deref(), Some("1.5.0"));
}

#[test]
fn only_what_a_change_of_a_unit_asks_for_is_done() {
    let mut host = Host::with_sample();
    let mut process = show(&host, "MainPID");
    let cases = [
        (
            "Description=Sample manager",
            "# Of upstream\nDescription=The manager",
            "replaced, no restart: nothing of it changed",
            false,
        ),
        ("Restart=on-failure", "Restart=always", "replaced, no restart: a daemon-reload is enough", false),
        (
            "WantedBy=multi-user.target",
            "WantedBy=graphical.target",
            "replaced, no restart: nothing of it changed",
            false,
        ),
        ("RestartSec=200ms", "RestartSec=200ms\nLimitNOFILE=4096", "replaced, restart: its unit changed", true),
    ];
    for (old, new, says, restarts) in cases {
        host.release(|release| release.edit(SHIPPED, |text| text.replace(old, new)).message("A unit"));
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
        shows(&out, &[says, "sample-runner.service (user): no restart: nothing of it changed"]);
        let now = show(&host, "MainPID");
        assert_eq!(now != process, restarts, "{old}\n{out}");
        process = now;
        assert_eq!(show(&host, "NeedDaemonReload"), "no");
        assert_eq!(host.must(&format!("cmp /opt/app/{SHIPPED} {UNIT} && echo same")), "same");
    }
    assert_eq!(
        host.must("cd /etc/systemd/system; ls -d *.wants/sample-manager.service"),
        "graphical.target.wants/sample-manager.service"
    );

    // A link into the checkout moves with the tree, and is reloaded with it.
    host.must(&format!("rm {UNIT}; systemctl link /opt/app/{SHIPPED}; systemctl restart sample-manager.service"));
    host.release(|release| {
        release.edit(SHIPPED, |text| text.replace("LimitNOFILE=4096", "LimitNOFILE=8192")).message("A unit")
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    shows(&out, &["sample-manager.service (system): restart: its unit changed"]);
    assert_eq!((show(&host, "LimitNOFILE"), show(&host, "NeedDaemonReload")), ("8192".into(), "no".into()));
    assert_eq!(host.must(&format!("readlink {UNIT}")), format!("/opt/app/{SHIPPED}"));
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn edits_of_the_operator_are_lifted_into_a_drop_in_and_a_conflict_is_refused() {
    let mut host = Host::with_sample();
    host.must(&format!("sed -i 's/^TimeoutStopSec=5/TimeoutStopSec=7\\nNice=3/' {UNIT}; mkdir -p {UNIT}.d; printf '[Service]\\nUMask=0027' > {UNIT}.d/50-local.conf; systemctl daemon-reload"));
    host.release(|release| {
        release.next("1.1.0").unit_line("manager", "Service", "LimitNOFILE=4096").behaviour("manager", "exit-at-once 1")
    });
    let before = host.snapshot();
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    shows(
        &out,
        &[
            "your edits of the installed unit are kept in sample-manager.service.d/50-local.conf",
            "[Service] LimitNOFILE= (not set) -> 4096",
        ],
    );
    assert!(!out.stdout.contains("[Service] Nice="), "what stays in effect did not change\n{out}");
    assert_eq!(host.must(&format!("cmp /opt/app/{SHIPPED} {UNIT} && echo same")), "same");
    for (property, value) in [
        ("Nice", "3"),
        ("TimeoutStopUSec", "7s"),
        ("UMask", "0027"),
        ("LimitNOFILE", "4096"),
        ("NeedDaemonReload", "no"),
    ] {
        assert_eq!(show(&host, property), value, "{property}");
    }
    assert!(host.read(&format!("{UNIT}.d/50-local.conf")).starts_with("[Service]\nUMask=0027\n"));

    host.must(&format!("sed -i 's/^LimitNOFILE=4096/LimitNOFILE=1/' {UNIT}; systemctl daemon-reload"));
    host.release(|release| {
        release.next("1.3.0").edit(SHIPPED, |text| text.replace("LimitNOFILE=4096", "LimitNOFILE=9999"))
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    says(
        &out,
        &[
            "sample-manager.service cannot be merged",
            "the unit was changed here and upstream in different ways: [Service] LimitNOFILE=",
            "here: LimitNOFILE=1",
            "upstream: LimitNOFILE=9999",
            "state: nothing was changed",
            "systemctl edit",
        ],
    );
    before.assert_same(&host.snapshot());
}

#[test]
fn an_older_unit_of_upstreams_is_no_edit_of_the_operators() {
    let mut host = Host::with_sample();
    host.must("chown -R app: /opt/app");
    host.release(|release| {
        release.next("1.1.0").edit(SHIPPED, |text| text.replace("TimeoutStopSec=5", "TimeoutStopSec=9"))
    });
    // By hand, and the unit was forgotten.
    host.must("git config --global --add safe.directory '*'; runuser -u app -- git -c safe.directory='*' -C /opt/app pull --quiet --ff-only
        cd /opt/app/manager && runuser -u app -- sh scripts/build.sh && cd ../runner && runuser -u app -- sh scripts/build.sh");
    host.release(|release| {
        release.next("1.2.0").edit(SHIPPED, |text| text.replace("TimeoutStopSec=9", "TimeoutStopSec=11"))
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(!out.stdout.contains("your edits"), "{out}");
    assert_eq!(show(&host, "TimeoutStopUSec"), "11s");
    host.sh(&format!("test -e {UNIT}.d")).exits(1);
}

#[test]
fn new_units_are_installed_enabled_and_started_and_undone_without_a_trace() {
    let mut host = Host::with_sample();
    let worker = "[Unit]\nDescription=Worker %i\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    let once = "[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo once >> /tmp/once'\n";
    let timer = "[Timer]\nOnCalendar=2099-01-01\n[Install]\nWantedBy=timers.target\n";
    for name in ["worker@.service\"\ninstances = [\"a\", \"b\"]", "tidy.service\"", "tidy.timer\""] {
        declare(
            &host,
            &format!("[[component.unit]]\nfile = \"production/{name}\nscope = \"system\"\nrestart = \"if-changed\""),
        );
    }
    host.release(|release| {
        let release = release
            .next("1.1.0")
            .behaviour("manager", "die-after 1500ms")
            .file("manager/production/worker@.service", worker);
        release.file("manager/production/tidy.service", once).file("manager/production/tidy.timer", timer)
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    shows(
        &out,
        &[
            "worker@a.service (system): installed, enable and start: the unit is new here",
            "tidy.service (system): installed, left as it is",
        ],
    );
    before.assert_same(&host.snapshot());
    assert_eq!(
        host.must("systemctl list-units --all --no-legend 'worker@*' 'tidy*'; systemctl --failed --no-legend"),
        ""
    );

    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let state = "systemctl is-active worker@a.service worker@b.service tidy.timer; systemctl is-enabled worker@a.service worker@b.service tidy.timer";
    assert_eq!(host.must(state), "active\nactive\nactive\nenabled\nenabled\nenabled");
    host.sh("test -e /tmp/once").exits(1);

    // A line of [Install] asks for no restart, but for the new link.
    let pid = |host: &Host| host.must("systemctl show -P MainPID worker@a.service");
    let process = pid(&host);
    host.release(|release| {
        release.edit("manager/production/worker@.service", |text| text.replace("multi-user.target", "graphical.target"))
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    shows(&out, &["worker@a.service (system): replaced, no restart"]);
    assert_eq!(
        host.must("cd /etc/systemd/system; ls -d *.wants/worker@a.service"),
        "graphical.target.wants/worker@a.service"
    );
    assert_eq!(pid(&host), process);
}

#[test]
fn what_systemd_and_the_host_say_of_a_unit_is_in_the_plan() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").unit_line("manager", "Service", "Bogus=1"));
    let out = host.relift(&["plan", "app"]).exits(0);
    shows(&out, &["warning: sample-manager.service:7: Unknown key 'Bogus' in section [Service], ignoring."]);
    let before = host.snapshot();
    host.release(|release| release.next("1.2.0").unit_line("manager", "Service", "Type=sometimes"));
    let out = host.relift(&["plan", "app"]).exits(1);
    shows(&out, &["stops the run: systemd would not take sample-manager.service as it is", "next: mend the unit file"]);

    // systemd-analyze says nothing of an account that is not there; the service would fail with 217/USER.
    host.release(|release| {
        release
            .next("1.3.0")
            .edit(SHIPPED, |text| text.replace("Type=sometimes\n", "").replace("User=app", "User=nobody-here"))
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    says(
        &out,
        &[
            "sample-manager.service: User=nobody-here: this host has no account nobody-here",
            "state: nothing was changed",
            "next:  make it: useradd --system nobody-here",
        ],
    );
    before.assert_same(&host.snapshot());
    // A drop-in of the operator's decides who it runs as.
    host.must(&format!(
        "mkdir {UNIT}.d; printf '[Service]\\nUser=app\\n' > {UNIT}.d/90-user.conf; systemctl daemon-reload"
    ));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(show(&host, "User"), "app");
}

#[test]
fn a_diff_of_units_stands_side_by_side_and_shows_no_secret() {
    let mut host = Host::with_sample();
    host.must(&format!("sed -i 's/^TimeoutStopSec=5/TimeoutStopSec=7/' {UNIT}; systemctl daemon-reload"));
    host.release(|release| {
        release.next("1.1.0").unit_line(
            "manager",
            "Service",
            "Environment=KEY=s3cr3t-canary\nExecStartPre=/bin/true --token=s3cr3t-canary-too\nNice=1",
        )
    });
    let out = host.relift(&["units", "diff", "app"]).exits(0);
    for line in ["+ExecStartPre=/bin/true --token=<changed>", "+Environment=<changed>", "+Nice=1", "50-local.conf"] {
        assert!(out.stdout.contains(line), "{line} is missing\n{out}");
    }
    host.assert_no_secret(&out);
    for arguments in [&["units", "diff", "-y", "app"][..], &["units", "diff", "--side-by-side", "app"]] {
        let out = host.run(&[&["env", "COLUMNS=80", "relift"], arguments].concat(), b"").exits(0);
        host.assert_no_secret(&out);
        for line in [
            &format!("{:38} > Nice=1", ""),
            &format!("{:38} | {}", "TimeoutStopSec=7", "TimeoutStopSec=5"),
            "50-local.conf (new)",
        ] {
            assert!(out.stdout.contains(line), "{line} is missing\n{out}");
        }
        assert!(out.stdout.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
    let plan = host.relift(&["plan", "app"]).exits(0);
    assert!(plan.stdout.contains("[Service] ExecStartPre= (not set) -> /bin/true --token=<changed>"), "{plan}");
    host.assert_no_secret(&plan);
}
