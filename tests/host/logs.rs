//! `relift logs`: engine, steps and services of one run, in order, whatever became of the journal.

use crate::harness::{CANARY, Host, Out};

fn newest(host: &Host) -> String {
    host.must("ls /var/lib/relift/app/runs | tail -n 1")
}

/// Origins and texts, without the times.
fn told(out: &Out) -> Vec<String> {
    out.stdout.lines().map(|line| line.get(24..).unwrap_or(line).to_owned()).collect()
}

fn at(lines: &[String], text: &str) -> usize {
    lines
        .iter()
        .position(|line| line.contains(text))
        .unwrap_or_else(|| panic!("`{text}` is missing:\n{}", lines.join("\n")))
}

#[test]
fn one_run_is_told_in_order_by_engine_steps_and_services_and_no_secret_with_it() {
    let mut host = Host::with_sample();
    host.release(|release| {
        release.next("1.1.0").behaviour("manager", "log \"hello from the service\"").edit("manager/scripts/build.sh", |text| {
            format!("echo 'first words'; cat .env; printf 'raw \\377 bytes\\n'; head -c 60000 /dev/zero | tr '\\0' y; echo; echo 'last words'\n{text}")
        })
    });
    // A service that tells its own secret, of the system and of the user, and somebody who pretends to be the engine.
    let token = host.must("sed -n 's/^API_TOKEN=//p' /opt/app/manager/.env");
    let tell = format!("#!/bin/sh\necho my token is {token}\nprintf 'bin \\377\\n'\n");
    host.write("/usr/local/bin/tell", tell, 0o755, "root");
    let unit = "[Service]\nExecStartPost=/usr/local/bin/tell\n";
    host.write("/etc/systemd/system/sample-manager.service.d/tell.conf", unit, 0o644, "root");
    host.must("systemctl daemon-reload");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let run = newest(&host);
    host.sh_as(
        "app",
        &format!("printf 'MESSAGE=forged line\\nSYSLOG_IDENTIFIER=relift\\nRELIFT_RUN={run}\\n' | logger --journald"),
    );
    host.must("journalctl --sync");

    // Started from a shell: the journal has it all the same, by its fields.
    let field = host.must(&format!("journalctl --no-pager -o cat RELIFT_RUN={run}"));
    assert!(field.contains("done: switch the tree") && field.contains("first words"), "{field}");
    let fields = host.must(&format!("journalctl --no-pager -o json RELIFT_RUN={run} RELIFT_STEP=build | head -n 1"));
    assert!(
        fields.contains("\"RELIFT_INSTALL\":\"app\"") && fields.contains("\"SYSLOG_IDENTIFIER\":\"relift\""),
        "{fields}"
    );

    let out = host.relift(&["logs", &run]).exits(0);
    let lines = told(&out);
    let order = [
        "relift: app: run ",
        "relift: app: switch",
        "manager/build: first words",
        "manager/build: last words",
        "relift: done: manager: build",
        "sample-manager.service: ",
        "relift: app: commit",
        "relift: app: done",
    ];
    let places: Vec<usize> = order.iter().map(|text| at(&lines, text)).collect();
    assert!(places.is_sorted(), "{places:?}\n{out}");
    at(&lines, "manager/build: raw \u{fffd} bytes");
    at(&lines, "sample-manager.service: my token is <redacted>");
    at(&lines, "sample-runner.service: ");
    assert!(!out.stdout.contains(CANARY) && !out.stdout.contains("forged"), "{out}");
    assert_eq!(out.stderr, "", "nothing is missing");

    let steps = host.relift(&["logs", &run, "--only", "steps"]).exits(0);
    assert!(told(&steps).iter().all(|line| line.contains("/")) && steps.stdout.contains("last words"), "{steps}");
    let last = host.relift(&["logs", &run, "--lines", "3"]).exits(0);
    assert_eq!(
        last.stdout.lines().collect::<Vec<_>>(),
        out.stdout.lines().rev().take(3).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>()
    );
    let json = host.relift(&["logs", &run, "--json"]).exits(0).stdout;
    let values: Vec<serde_json::Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&values[0]["run"], values.len()), (&run.clone().into(), lines.len() + 1));
    assert!(!json.contains(CANARY));

    // The journal is gone: what is kept with the run is told, and that it is.
    let kept = |host: &Host, says: &str| {
        let out = host.relift(&["logs", &run]).exits(0);
        assert!(out.stderr.contains(says), "{out}");
        let lines = told(&out);
        let order = [
            "relift: begun by relift",
            "manager/build: first words",
            "manager/build: last words",
            "relift: done   manager: build",
            "relift: end: done",
        ];
        let places: Vec<usize> = order.iter().map(|text| at(&lines, text)).collect();
        assert!(places.is_sorted(), "{places:?}\n{out}");
        assert!(lines.iter().any(|line| line.len() > 50_000) && !out.stdout.contains(CANARY), "a long line is whole");
    };
    host.must("journalctl --rotate && journalctl --vacuum-time=1s && sleep 2 && journalctl --vacuum-time=1s; journalctl --quiet -n 1 || :");
    kept(&host, "the journal does not reach back to this run");
    host.must("systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service; rm -rf /run/log/journal /var/log/journal");
    kept(&host, "note: ");
    // Without a journald a run goes on as ever.
    host.release(|release| release.next("1.2.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
}

#[test]
fn a_flood_a_boot_and_a_run_that_goes_on_are_shown_whole() {
    let mut host = Host::with_sample();
    // 100,000 lines: more than the journal takes of one step.
    host.release(|release| {
        release
            .next("1.1.0")
            .edit("manager/scripts/build.sh", |text| format!("seq -f 'line %.0f' 100000\nsleep 2\n{text}"))
    });
    // A service that never stops talking does not keep the run from ending.
    let talk = "[Service]\nExecStartPost=/bin/sh -c '(while :; do echo still here; sleep 0.1; done) &'\n";
    host.write("/etc/systemd/system/sample-manager.service.d/talk.conf", talk, 0o644, "root");
    host.must("systemctl daemon-reload; systemd-run --quiet --unit=upgrade relift upgrade app --yes");
    host.wait_for("ls /var/lib/relift/app/runs/*/log/*build* && grep -q 'line 100000' /var/lib/relift/app/runs/*/log/*manager-build*");
    let run = newest(&host);
    let followed = host.relift(&["logs", &run, "--follow", "--only", "engine"]).exits(0);
    let lines = told(&followed);
    assert!(at(&lines, "relift: app: prepare") < at(&lines, "relift: app: commit"), "{followed}");
    host.wait_for(&format!("relift show {run} | grep -q 'end: done'"));
    let out = host.sh(&format!("ulimit -v 600000; /usr/bin/env time -f '%M KiB' relift logs {run} --only steps 2>/tmp/err | grep -c 'line '; cat /tmp/err >&2"));
    assert_eq!(out.stdout.trim(), "100000", "{out}");
    assert!(out.stderr.contains("does not have every line of manager/build"), "{out}");

    // A run that died with the power, and was undone after the boot.
    host.release(|release| {
        release.next("1.2.0").edit("manager/scripts/build.sh", |_| "mkdir -p build; cp VERSION build/version\n".into())
    });
    host.must("mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush");
    host.run(&["env", "RELIFT_KILL_AT=before-gate", "relift", "upgrade", "app", "--yes"], b"");
    host.must("journalctl --sync");
    host.cut();
    host.boot_again();
    host.relift(&["recover", "app"]).exits(0);
    host.must("journalctl --sync");
    let run = newest(&host);
    let out = host.relift(&["logs", &run]).exits(0);
    let lines: Vec<String> = out.stdout.lines().map(str::to_owned).collect();
    let order = ["app: switch", "app: soak", "app: undo", "app: put-back"];
    let places: Vec<usize> = order.iter().map(|text| at(&lines, text)).collect();
    assert!(places.is_sorted(), "{places:?}\n{out}");
}
