//! Many at once: a hundred starts, managers that execute themselves again, children of a step that want to outlive it.

use std::thread;
use std::time::Duration;

use relift::sample::Site;

use super::bed::{newest, until_record};
use super::figures::{Ended, Figure, rounds};
use crate::harness::Host;

fn quick() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    Host::with_site(site)
}

/// Gives the build step of a component another command.
fn step(host: &Host, component: &str, command: &str) {
    let at = ["manager", "runner"].iter().position(|known| *known == component).unwrap() + 1;
    host.write("/srv/step.sh", format!("#!/bin/sh\n{command}\n"), 0o755, "root:root");
    let script = format!(
        r#"awk '/^run  = .*build.sh/ && ++n == {at} {{ print "run  = [\"/srv/step.sh\"]"; next }} {{ print }}' /etc/relift/app.toml > /srv/app.toml && cp /srv/app.toml /etc/relift/app.toml && grep -q srv/step /etc/relift/app.toml"#
    );
    host.must(&script);
}

#[test]
fn of_a_hundred_upgrades_at_once_exactly_one_runs_and_the_others_say_so() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0"));
    host.must("mkdir -m 1777 /tmp/many");
    // It goes on when all others have ended.
    step(&host, "manager", "until [ -e /tmp/many/go ]; do sleep 0.05; done; exec sh scripts/build.sh");
    let codes = host.must(
        "cd /tmp/many
         for i in $(seq 100); do (relift upgrade app $([ $((i % 2)) = 0 ] && echo --yes || echo --unattended) >out.$i 2>&1; echo $? >code.$i) & done
         until [ $(ls code.* 2>/dev/null | wc -l) -ge 99 ]; do sleep 0.05; done
         touch go; wait; cat code.* | sort | uniq -c",
    );
    let codes: Vec<&str> = codes.split_whitespace().collect();
    assert_eq!(codes, ["1", "0", "99", "75"], "{}", host.must("head -n 5 /tmp/many/out.*"));
    let told = host.must(
        "cd /tmp/many; cat $(grep -lx 75 code.* | sed s/code/out/) | grep -c 'another run of app holds the lock'",
    );
    assert_eq!(told, "99");
    assert_eq!(host.must("ls /var/lib/relift/app/runs | wc -l"), "1");
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}

#[test]
fn managers_that_execute_themselves_again_during_a_step_or_a_restart_change_nothing() {
    let mut host = quick();
    // A restart job takes a second in each manager, a step as well.
    host.release(|release| {
        let release =
            release.next("1.1.0").behaviour("manager", "slow-start 700ms").behaviour("runner", "slow-start 700ms");
        release.unit_line("manager", "Service", "Type=notify").unit_line("runner", "Service", "Type=notify")
    });
    step(&host, "manager", "sleep 0.7; exec sh scripts/build.sh");
    let before = host.snapshot();
    let (mut figure, mut new) =
        (Figure::new("daemon-reexec", "of the system and the user manager, in a step and in restarts", "run"), None);
    for round in 0..rounds(1, 10) {
        // (which, the record after which it comes), from a run's journal: the step and both restarts are its last actions.
        for moment in ["step", "first restart", "second restart"] {
            host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
            let known = newest(&host);
            let out = thread::scope(|scope| {
                let run = scope.spawn(|| host.relift(&["upgrade", "app", "--yes"]));
                let wait = |script: &str| drop(host.wait_for(script));
                until_record(&host, known.as_deref(), "-prepared.json");
                match moment {
                    "step" => wait("ls /sys/fs/cgroup/system.slice | grep '^relift-0'"),
                    "first restart" => wait("[ $(systemctl show -P SubState sample-manager) = start ]"),
                    _ => wait("[ $(systemctl --user -M app@ show -P SubState sample-runner) = start ]"),
                }
                thread::sleep(Duration::from_millis(round as u64 * 50));
                host.must("systemctl daemon-reexec; systemctl --user -M app@ daemon-reexec");
                run.join().unwrap()
            });
            let now = host.snapshot();
            let difference = new.get_or_insert_with(|| now.clone()).difference(&now);
            let serves = ["manager", "runner"].map(|component| host.answers(component));
            let is_new = out.code == 0
                && difference.is_empty()
                && serves.iter().all(|version| version.as_deref() == Some("1.1.0"));
            figure.count(if is_new { Ok(Ended::New) } else { Err(format!("{moment}: {serves:?}\n{difference}{out}")) });
            host.must("systemctl reset-failed; systemctl --user -M app@ reset-failed");
            host.relift(&["rollback", "app", "--yes"]).exits(0);
            host.sh_as("app", "git -C /opt/app sparse-checkout disable").exits(0);
            before.assert_same(&host.snapshot());
        }
    }
    figure.publish();
}

/// What a step leaves behind: whatever hides it, none of it heeds SIGTERM, and each goes on writing into the tree.
const CLINGING: &str = r#"
cat > /tmp/cling/child <<'END'
trap '' TERM HUP INT
while :; do echo late > build/version; mkdir -p build/late; date > /tmp/cling/last.$1; sleep 0.01; done
END
setsid sh /tmp/cling/child 1 &
(nohup sh /tmp/cling/child 2 > /dev/null 2>&1 &) &
(setsid env -i PATH=$PATH sh -c 'sh /tmp/cling/child 3 &' &)
until [ -e /tmp/cling/last.1 ] && [ -e /tmp/cling/last.2 ] && [ -e /tmp/cling/last.3 ]; do sleep 0.01; done
touch /tmp/cling/begun
"#;

#[test]
fn what_a_step_of_a_dead_run_left_behind_is_gone_before_recovery_touches_the_tree() {
    let mut host = quick();
    host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    step(&host, "manager", "");
    let before = host.snapshot();
    // The step still runs when its engine dies, or it has ended and systemd is about to end what it left.
    for ending in ["sleep 60", "exit 0"] {
        host.must("rm -rf /tmp/cling; mkdir -m 1777 /tmp/cling; systemctl reset-failed");
        host.write("/srv/step.sh", format!("#!/bin/sh\n{CLINGING}\n{ending}\n"), 0o755, "root:root");
        host.must(
            "relift upgrade app --yes >/tmp/out 2>&1 & pid=$!
             for i in $(seq 3000); do [ -e /tmp/cling/begun ] && break; kill -0 $pid || { cat /tmp/out >&2; exit 1; }; sleep 0.01; done
             sleep 0.05; kill -9 $pid; wait $pid; touch /tmp/cling/killed; true",
        );
        host.wait_for("for n in 1 2 3; do [ /tmp/cling/last.$n -nt /tmp/cling/killed ] || exit 1; done");
        let out = host.relift(&["recover", "app"]).exits(0);
        assert!(out.stdout.contains("was undone: everything is as before it"), "{out}");
        // What recovery wrote in the tree is newer than the last that any of them did.
        let stamps = "stat -c %.9Y /tmp/cling/last.* | sort -n | tail -n 1";
        let last = host.must(stamps);
        let first = host.must(
            r#"find /opt/app -not -path '*/build*' -newerct "$(stat -c @%.9Y /tmp/cling/killed)" -printf '%C@ %p\n' | sort -n | head -n 1"#,
        );
        let seconds = |text: &str| text.split(' ').next().unwrap().parse::<f64>().unwrap();
        assert!(seconds(&first) > seconds(&last), "{first} was touched while something wrote, at {last}");
        before.assert_same(&host.snapshot());
        host.must("sleep 0.1");
        assert_eq!(host.must(stamps), last, "something writes still");
        assert_ne!(host.sh("pgrep -f [c]ling/child").code, 0, "something lives still");
    }
}
