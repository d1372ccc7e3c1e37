//! Recovery: of a power cut, of a git that was killed or lives on, of a step that sleeps, and of recovery itself.

use relift::sample::Site;

use crate::crash::{assert_recovers, assert_runs, killed, rich_host};
use crate::harness::{Host, needs};

#[test]
fn recovery_killed_at_any_of_its_own_records_is_begun_again() {
    let host = rich_host();
    let before = host.snapshot();
    killed(&host, "before-00024", "upgrade app --yes").exits(137);
    let mut kills = 0;
    for record in 24.. {
        let point = format!("{}-{record:05}", if record % 2 == 0 { "before" } else { "after" });
        let out = killed(&host, &point, "recover app");
        if out.code == 0 {
            break;
        }
        assert_eq!(out.code, 137, "{point}: {out}");
        kills += 1;
    }
    assert!(kills > 3, "only {kills} kills");
    assert_recovers(&host, &before, "after many recoveries");
}

#[test]
fn a_power_cut_is_recovered_on_the_next_boot() {
    let mut host = rich_host();
    let before = host.snapshot();
    for point in ["after-00006", "before-00014", "after-00022"] {
        killed(&host, point, "upgrade app --yes").exits(137);
        host.cut();
        host.boot_again();
        host.wait_for("systemctl is-active dbus && test -S /run/user/$(id -u app)/bus");
        assert_recovers(&host, &before, point);
    }
    // The boot recovers by itself, with the project's own unit.
    let unit = include_str!("../../units/relift-recover.service");
    host.write("/usr/lib/systemd/system/relift-recover.service", unit, 0o644, "root:root");
    host.must("systemctl daemon-reload; systemctl enable relift-recover");
    let before = host.snapshot();
    killed(&host, "before-00028", "upgrade app --yes").exits(137);
    host.cut();
    host.boot_again();
    host.wait_for("[ $(systemctl show -P ActiveState relift-recover) = inactive ] && journalctl -u relift-recover | grep 'was undone'");
    assert_eq!(host.must("systemctl show -P Result relift-recover"), "success");
    assert_runs(&host, "1.0.0", "after the boot");
    before.assert_same(&host.snapshot());
    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_runs(&host, "1.1.0", "after power cuts");
}

#[test]
fn a_git_killed_at_any_system_call_of_the_switch_leaves_nothing_between() {
    needs(&[("strace", "strace")]);
    let host = rich_host();
    // git, but one of its system calls is fatal when `inject` says which; it then waits for its engine to be killed, too.
    host.must("mkdir -m 1777 /tmp/late");
    wrap_git(
        &host,
        r#"case " $* " in *" merge "*|*" sparse-checkout set "*)
             if [ -r /tmp/inject ]; then
               strace -f -o /dev/null $(cat /tmp/inject) /usr/bin/git "$@"; code=$?
               [ $code -ge 128 ] && [ -r /tmp/engine-too ] && touch /tmp/late/dead && sleep 60
               exit $code
             fi ;; esac"#,
    );
    let before = host.snapshot();
    let mut kills = 0;
    for (call, turns) in [
        ("rename", vec![1, 2, 3, 4, 6]),
        ("unlink", vec![1, 2, 3, 5, 8]),
        ("openat", vec![20, 40, 50, 60, 70, 80]),
        ("write", vec![1, 2, 4, 6, 9, 12, 15]),
        ("mkdir,rmdir", vec![1, 2, 3]),
        ("fsync", vec![1, 2, 4]),
        ("symlink,link", vec![1]),
    ] {
        for turn in turns {
            let point = format!("{call} {turn}");
            host.must(&format!(
                "systemctl reset-failed; echo '-e trace={call} -e inject={call}:signal=KILL:when={turn}' > /tmp/inject"
            ));
            let is_engine_killed = turn % 2 == 1;
            let upgrade = match is_engine_killed {
                true => {
                    "touch /tmp/engine-too; relift upgrade app --yes & pid=$!
                         until [ -e /tmp/late/dead ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
                         [ -e /tmp/late/dead ] && kill -9 $pid; wait $pid"
                }
                false => "relift upgrade app --yes",
            };
            let out = host.sh(upgrade);
            host.must("rm -f /tmp/inject /tmp/engine-too /tmp/late/dead");
            match out.code {
                // There are fewer such calls.
                0 => {
                    host.relift(&["rollback", "app", "--yes"]).exits(0);
                    host.sh_as("app", "git -C /opt/app sparse-checkout disable").exits(0);
                    before.assert_same(&host.snapshot());
                }
                137 if is_engine_killed => assert_recovers(&host, &before, &point),
                // git alone died: the run itself puts everything back.
                code => {
                    assert_eq!(code, 3, "{point}: {out}");
                    let difference = before.difference(&host.snapshot());
                    assert!(difference.is_empty(), "{point}: {difference}\n{out}");
                }
            }
            kills += usize::from(out.code != 0);
        }
    }
    assert!(kills >= 20, "only {kills} kills hit git");
}

/// Puts a script before git: what it does not answer itself goes on to the real one.
fn wrap_git(host: &Host, body: &str) {
    host.write("/usr/local/bin/git", format!("#!/bin/sh\n{body}\nexec /usr/bin/git \"$@\"\n"), 0o755, "root:root");
}

#[test]
fn nothing_of_a_dead_run_goes_on_while_it_is_recovered() {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    host.release(|release| release.next("1.1.0"));
    let before = host.snapshot();
    // A git that was started before the engine was killed, and that does its work only now; setsid hides it from its group.
    wrap_git(
        &host,
        r#"case " $* " in *" merge "*) [ -e /tmp/late ] && { touch /tmp/late/begun; setsid sh -c 'sleep 3; exec /usr/bin/git "$@"' git "$@"; exit; } ;; esac"#,
    );
    host.must("mkdir -m 1777 /tmp/late; relift upgrade app --yes >/dev/null 2>&1 & pid=$!; while ! [ -e /tmp/late/begun ]; do sleep 0.01; done; kill -9 $pid; wait $pid; true");
    let out = host.relift(&["recover", "app"]).exits(0);
    assert!(out.stdout.contains("was undone: everything is as before it"), "{out}");
    before.assert_same(&host.snapshot());
    host.must("rm -r /tmp/late; sleep 3");
    before.assert_same(&host.snapshot());

    // A step that sleeps and would then write to the tree.
    host.must(r#"sed -i '0,/^run  = .*build.sh.*/s//run  = ["sh", "-c", "touch \/tmp\/step; sleep 3; echo late > VERSION"]/' /etc/relift/app.toml"#);
    host.must("systemctl reset-failed; relift upgrade app --yes >/dev/null 2>&1 & pid=$!; while ! [ -e /tmp/step ]; do sleep 0.01; done; kill -9 $pid; wait $pid; true");
    host.relift(&["recover", "app"]).exits(0);
    before.assert_same(&host.snapshot());
    assert_eq!(host.must("systemctl list-units --all --plain --no-legend 'relift-*' | wc -l"), "0");
    host.must("sleep 3");
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn undoing_a_new_component_keeps_what_git_ignores_in_its_directory_and_leaves_no_unit_behind() {
    let mut site = Site::new("app");
    (site.soak, site.sparse) = (0, true);
    let mut host = Host::with_site(site);
    // The runner was never installed here but for its configuration: outside the cone, ignored, and the operator's.
    host.must(
        "systemctl --user -M app@ disable --now sample-runner; rm -r /home/app/.config/systemd; systemctl --user -M app@ daemon-reload
         cd /opt/app; cp runner/.env /root/; rm -r runner/build runner/.env
         runuser -u app -- git sparse-checkout set --cone --no-sparse-index manager
         install -d -o app -g app runner outside; install -o app -g app -m 600 /root/.env runner/.env; echo kept > outside/data; chown app: outside/data
         rm -f /home/app/.config/systemd/user/sample-runner.service",
    );
    host.release(|release| {
        release.next("1.1.0").behaviour("runner", "die-after 100ms").file("outside/data", "upstream\n")
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
    assert!(out.stderr.contains("outside/data is in the way"), "{out}");
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.1.1").without("outside"));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(out.stderr.contains("sample-runner"), "{out}");
    before.assert_same(&host.snapshot());
    assert_eq!(host.must("cat /opt/app/outside/data"), "kept");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
}

#[test]
fn after_a_power_cut_a_service_starts_only_when_its_tree_is_back() {
    let mut host = rich_host();
    let unit = include_str!("../../units/relift-recover.service");
    host.write("/usr/lib/systemd/system/relift-recover.service", unit, 0o644, "root:root");
    host.must("systemctl daemon-reload; systemctl enable relift-recover");
    let before = host.snapshot();
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    let order = host.read("/etc/systemd/system/relift-recover.service.d/50-app.conf");
    assert!(order.contains("\nBefore=sample-manager.service\n"), "{order}");
    let cut = host.must("date +%s.%N");
    host.cut();
    host.boot_again();
    host.wait_for("[ $(systemctl show -P ActiveState relift-recover) = inactive ] && journalctl -u relift-recover | grep 'was undone'");
    assert_eq!(host.must("systemctl show -P Result relift-recover"), "success");
    // Nothing ran on the new release's tree in between: there was one start, and it came after the tree.
    let starts =
        host.must(&format!("journalctl --sync; journalctl --since=@{cut} -u sample-manager -o cat | grep -c ^Started"));
    assert_eq!(starts, "1", "{}", host.must(&format!("journalctl --sync; journalctl --no-pager --since=@{cut}")));
    assert_runs(&host, "1.0.0", "after the boot");
    before.assert_same(&host.snapshot());
    assert_eq!(host.sh("ls /etc/systemd/system/relift-recover.service.d").code, 2, "the order is left behind");
}

#[test]
fn the_lock_of_a_git_that_lives_is_its_own_and_recovery_says_whose_it_is() {
    let host = rich_host();
    let before = host.snapshot();
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    // An operator who commits by hand, and has the editor open.
    let commit = "cd /opt/app && GIT_EDITOR='sleep 600;:' git -c user.name=a -c user.email=a@b commit --quiet --all --allow-empty";
    host.must(&format!("setsid runuser -u app -- sh -c \"{commit}\" >/dev/null 2>&1 &"));
    host.wait_for("test -e /opt/app/.git/index.lock && pgrep -u app -x sleep");
    let out = host.relift(&["recover", "app"]).exits(4);
    assert!(out.stderr.contains("somebody's git works in /opt/app: git -c"), "{out}");
    assert!(out.stderr.contains("next:  let it end, or end it: kill "), "{out}");
    host.must("test -e /opt/app/.git/index.lock; pkill -KILL -u app -x git; pkill -u app -x sleep; rm -f /opt/app/.git/COMMIT_EDITMSG");
    assert_recovers(&host, &before, "once the commit is given up");
}

#[test]
fn an_index_that_cannot_be_read_is_made_anew_by_recovery() {
    for damage in [": > /opt/app/.git/index", "truncate -s 100 /opt/app/.git/index"] {
        let host = rich_host();
        let before = host.snapshot();
        killed(&host, "before-gate", "upgrade app --yes").exits(137);
        host.must(damage);
        assert_recovers(&host, &before, damage);
    }
}
