//! What an adversary, an accident or an odd environment does to a run: links, leftovers of root's, signals, dead services.

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::Host;

const MANIFEST: &str = "/etc/relift/app.toml";

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// The point of the journal at which a run of this host has proven the release, and has not recorded it.
fn gate_of(host: &Host) -> String {
    format!("before-{}", host.must("ls /var/lib/relift/app/runs/*/ | sed -n 's/-gate.json//p' | tail -n 1"))
}

fn upgraded(host: &mut Host, version: &str) {
    host.release(|release| release.next(version));
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

#[test]
fn recovery_does_not_call_a_dead_service_as_before() {
    let mut host = quick();
    upgraded(&mut host, "1.1.0");
    host.release(|release| release.next("1.2.0"));
    killed(&host, &gate_of(&host), "upgrade app --yes").exits(137);
    // It starts, as far as `systemctl start` can tell, and dies.
    let drop_in = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 0.3; exit 1'\nRestart=no\n";
    host.write("/etc/systemd/system/sample-manager.service.d/zz.conf", drop_in, 0o644, "root");
    host.must("systemctl daemon-reload");
    let out = host.relift(&["recover", "app"]).exits(4);
    assert!(out.stderr.contains("sample-manager.service") && out.stderr.contains("not healthy"), "{out}");
    let history = host.relift(&["history", "app"]).exits(0).stdout;
    assert!(history.contains("needs the operator"), "{history}");
}

#[test]
fn a_run_that_first_recovered_another_can_be_interrupted() {
    let mut host = quick();
    upgraded(&mut host, "1.1.0");
    host.release(|release| release.next("1.2.0"));
    killed(&host, &gate_of(&host), "upgrade app --yes").exits(137);
    host.release(|release| release.next("1.3.0").behaviour("manager", "slow-start 8s"));
    host.must("systemctl reset-failed; relift upgrade app --unattended >/tmp/out 2>&1 & echo $! >/tmp/pid");
    host.wait_for("[ $(ls -d /var/lib/relift/app/runs/* | wc -l) = 3 ] && ls $(ls -d /var/lib/relift/app/runs/* | tail -n 1)/*-prepared.json; sleep 1");
    host.must("kill -TERM $(cat /tmp/pid) || :; for i in $(seq 300); do kill -0 $(cat /tmp/pid) 2>/dev/null || break; sleep 0.1; done");
    assert!(host.read("/tmp/out").contains("it was interrupted"), "{}", host.read("/tmp/out"));
    host.wait_for_answer("manager", "1.1.0", "after the interruption");
}

#[test]
fn a_unit_that_was_reloaded_reads_the_old_files_again_after_undo() {
    let mut host = Host::boot();
    let mut site = Site::new("app");
    site.soak = 0;
    host.settle(site, |release| {
        release.unit_line("manager", "Service", "ExecReload=+/bin/cp /opt/app/manager/VERSION /run/read-by-manager")
    });
    let manifest = host.read(MANIFEST).replacen("restart = \"if-changed\"", "restart = \"reload\"", 1);
    host.write(MANIFEST, manifest.replace("within  = \"10s\"", "within  = \"2s\""), 0o644, "root");
    let pid = host.must("systemctl show -P MainPID sample-manager");
    // It answers with the old version, since it was not restarted.
    host.release(|release| release.next("1.1.0"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert_eq!(host.must("systemctl show -P MainPID sample-manager"), pid, "{out}");
    assert_eq!(host.must("cat /run/read-by-manager"), "1.0.0", "{out}");
}

#[test]
fn what_a_step_of_root_left_in_an_artifact_does_not_keep_it_from_being_put_back() {
    let mut host = quick();
    host.must("cd /opt/app/manager/build && mkdir -p lib/__pycache__ && echo x > lib/__pycache__/a.pyc && chmod 755 lib && chown -R root: lib");
    host.release(|release| release.next("1.1.0").behaviour("manager", "exit-at-once"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"), "{out}");
    assert_eq!(
        host.must("cat /opt/app/manager/build/version /opt/app/manager/build/lib/__pycache__/a.pyc"),
        "1.0.0\nx"
    );
    assert_eq!(host.must("find /opt/app -name '*relift*'"), "");
}

#[test]
fn a_component_that_gets_one_more_unit_is_no_sick_one() {
    let mut host = quick();
    let unit = "\n[[component.unit]]\nfile = \"production/sample-extra.service\"\nscope = \"system\"\n";
    let manifest = host.read(MANIFEST).replacen("\n[[component.health]]", &format!("{unit}\n[[component.health]]"), 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    let text = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    host.release(|release| {
        release
            .next("1.1.0")
            .file("manager/production/sample-extra.service", text)
            .behaviour("manager", "ready-then-die 300ms")
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(!out.stderr.contains("not healthy before"), "{out}");
    assert!(out.stderr.contains("prove that the old release runs again"), "{out}");
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must("systemctl is-active sample-extra; systemctl reset-failed");
    let status = host.relift(&["status", "app", "--json"]).exits(0).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    assert_eq!(status["installs"][0]["known-good"].as_array().unwrap().len(), 2, "{status}");
}

#[test]
fn an_environment_of_the_callers_own_does_not_matter() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0").unit_line("runner", "Service", "Nice=3"));
    // As pam_tmpdir(8) sets it up: nobody but root gets into it.
    host.must("mkdir -p -m 711 /tmp/user; mkdir -m 700 /tmp/user/0");
    let run =
        "umask 077; exec env TMPDIR=/tmp/user/0 HOME=/nowhere LD_LIBRARY_PATH=/x relift upgrade app --yes <&- >&-";
    let out = host.sh(run).exits(0);
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"), "{out}");
    assert_eq!(host.must("stat -c %a:%U /home/app/.config/systemd/user/sample-runner.service"), "644:app");
    let end = host.must("relift upgrade app --yes --json 2>/dev/null | tail -n 1");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&end).unwrap()["outcome"], "nothing-to-do", "{end}");
}

#[test]
fn a_full_disk_in_prepare_is_no_fault_of_the_release() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    // The staged tree has no room.
    host.must(
        "mkdir -p /var/cache/relift/app && mount -t tmpfs -o mode=755,size=4k,nr_inodes=2 none /var/cache/relift/app",
    );
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(out.stderr.contains("nothing was changed"), "{out}");
    host.must("umount /var/cache/relift/app");
    let out = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"), "{out}");
}

#[test]
fn the_owner_puts_a_link_in_the_place_of_the_checkout() {
    let mut site = Site::new("app");
    site.root = "/home/app/checkout".into();
    site.soak = 0;
    let mut host = Host::with_site(site);
    // Another application, whose configuration the account may not read.
    host.must("mkdir -p /opt/other/manager /opt/other/runner; echo API_TOKEN=s3cr3t-canary-of-the-other >/opt/other/manager/.env; chmod 600 /opt/other/manager/.env");
    let before = host.must("cd /opt/other; find . -printf '%p %U %m %i\\n'; cat manager/.env");
    host.release(|release| {
        release.next("1.1.0").env_key("manager", "GREETING", "hello", "New.").program(
            "manager/scripts/build.sh",
            "#!/bin/sh\nmkdir -p build; cat VERSION > build/version; cd /home/app; mv checkout away; ln -s /opt/other checkout\n",
        )
    });
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(4);
    assert!(out.stderr.contains("is a symbolic link that another account"), "{out}");
    assert_eq!(host.must("cd /opt/other; find . -printf '%p %U %m %i\\n'; cat manager/.env"), before, "{out}");
    host.assert_no_secret(&out);
    host.must("cd /home/app; rm checkout; mv away checkout; systemctl reset-failed");
    host.relift(&["recover", "app"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}
