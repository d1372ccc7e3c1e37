//! A unit that moves from the system scope to the user scope between two releases, and exactly back where the run fails.

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";
const SYSTEM: &str = "/etc/systemd/system/sample-runner.service";
const USER: &str = "/home/app/.config/systemd/user/sample-runner.service";
const SHIPPED: &str = "runner/production/sample-runner.service";

/// As upstream ships the runner for the system manager.
fn for_the_system(text: &str) -> String {
    text.replace("[Service]\n", "[Service]\nUser=app\n").replace("default.target", "multi-user.target")
}

/// A host on which the runner is a system unit with an edit, a drop-in and a link of the operator's, and nobody lingers; the next
/// release ships a user unit.
fn before_the_move() -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::with_site(site);
    let shipped = host.read(&format!("/opt/app/{SHIPPED}"));
    host.release(|release| release.next("1.0.1").edit(SHIPPED, |text| for_the_system(&text)));
    // By hand: that release, with its unit.
    let script = format!(
        "set -e
         printf '[safe]\n\tdirectory = *\n' > /run/git.config; export GIT_CONFIG_GLOBAL=/run/git.config
         runuser -l app -s /bin/sh -c 'export XDG_RUNTIME_DIR=/run/user/$(id -u); systemctl --user --quiet disable --now sample-runner.service'
         rm -r /home/app/.config
         runuser -u app -- git -C /opt/app pull --quiet --ff-only
         for component in manager runner; do cd /opt/app/$component; runuser -u app -- sh scripts/build.sh; done
         sed 's/TimeoutStopSec=5/TimeoutStopSec=7/' /opt/app/{SHIPPED} > {SYSTEM}
         mkdir {SYSTEM}.d
         printf '[Service]\\nUMask=0027\\n' > {SYSTEM}.d/20-umask.conf
         systemctl daemon-reload
         systemctl --quiet enable --now sample-runner.service
         systemctl --quiet add-wants graphical.target sample-runner.service
         systemctl restart sample-manager.service
         loginctl disable-linger app
         sed -i '/sample-runner.service/,/restart/s/\"user\"/\"system\"/' {MANIFEST}"
    );
    host.must(&script);
    host.wait_for("! test -S /run/user/$(id -u app)/systemd/private");
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.0.1", "by hand");
    }
    host.must(&format!("sed -i '/sample-runner.service/,/restart/s/\"system\"/\"user\"/' {MANIFEST}"));
    host.release(|release| release.next("1.1.0").file(SHIPPED, &shipped));
    host
}

fn upgrade(host: &Host) -> Out {
    host.relift(&["upgrade", "app", "--yes"])
}

fn shows(out: &Out, words: &[&str]) {
    let plan = out.stdout.replace("\n                ", ": ");
    for word in words {
        assert!(plan.contains(word), "this is missing: {word}\n{out}");
    }
}

/// The runner is a user unit, with all that the operator had made of it.
#[track_caller]
fn assert_moved(host: &Host, context: &str) {
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.1.0", context);
    }
    let left = host.must("cd /etc/systemd/system; ls -d sample-runner* *.wants/sample-runner* 2>/dev/null; :");
    assert_eq!(left, "", "{context}");
    assert_eq!(host.must("loginctl show-user app -P Linger"), "yes", "{context}");
    assert_eq!(host.must(&format!("cmp /opt/app/{SHIPPED} {USER} && echo same")), "same", "{context}");
    let shown = host.sh_as(
        "app",
        "systemctl --user show -P UMask -P TimeoutStopUSec -P UnitFileState -P NeedDaemonReload sample-runner.service",
    );
    assert_eq!(shown.stdout, "7s\n0027\nenabled\nno\n".to_owned(), "{context}: {shown}");
    let owners = host.must("find /home/app/.config ! -user app -o ! -group app");
    assert_eq!(owners, "", "{context}");
}

#[test]
fn a_unit_that_moves_to_the_user_scope_is_moved_whole_and_a_failure_brings_it_back_exactly() {
    let mut host = before_the_move();
    let before = host.snapshot();
    let diff = host.relift(&["units", "diff", "app"]).exits(0);
    assert!(diff.stdout.contains(&format!("--- {SYSTEM}\n+++ {USER}\n")), "{diff}");
    assert!(
        diff.stdout.contains("\n-User=app\n")
            && diff.stdout.contains("\n-WantedBy=multi-user.target\n+WantedBy=default.target\n"),
        "{diff}"
    );
    host.release(|release| release.behaviour("runner", "exit-at-once 1").message("broken"));
    let out = upgrade(&host).exits(3);
    shows(
        &out,
        &[
            "sample-runner.service (system): removed, stop: it moves to the user scope",
            "sample-runner.service (user): installed, enable and start: it moves from the system scope",
            "your edits of the installed unit are kept in sample-runner.service.d/50-local.conf",
            "let app linger: its user manager runs without a login",
            "sample-runner.service moves to the user scope with your drop-ins",
            "sample-runner.service was also wanted by graphical.target, which the user scope does not have",
        ],
    );
    before.assert_same(&host.snapshot());
    host.wait_for_answer("runner", "1.0.1", "undone");

    host.release(|release| release.behaviour("runner", "ok").message("mended"));
    upgrade(&host).exits(0);
    assert_moved(&host, "moved");
    let again = upgrade(&host).exits(0);
    assert_eq!(again.stdout, "app: nothing to do, 1.1.0 is activated\n");
}

#[test]
fn what_the_operator_stopped_or_masked_does_not_run_in_the_other_scope() {
    let host = before_the_move();
    host.must("systemctl stop sample-runner.service");
    let out = upgrade(&host).exits(0);
    shows(
        &out,
        &[
            "sample-runner.service (user): installed, left as it is: it moves from the system scope, where it was stopped",
        ],
    );
    let state = host.sh_as("app", "systemctl --user show -P ActiveState -P UnitFileState sample-runner.service");
    assert_eq!(state.stdout, "inactive\nenabled\n");

    let mut host = before_the_move();
    host.must(&format!(
        "systemctl stop sample-runner.service; mv {SYSTEM} /root; systemctl mask sample-runner.service"
    ));
    let out = upgrade(&host).exits(0);
    shows(&out, &["sample-runner.service (user): left as it is: masked in the system scope"]);
    assert_eq!(host.must(&format!("readlink {SYSTEM}; test -e {USER} || echo none")), "/dev/null\nnone");
    assert_eq!(host.must("test -e /var/lib/systemd/linger/app || echo none"), "none");
    host.release(|release| release.next("1.2.0"));
    upgrade(&host).exits(0);
}

#[test]
fn both_scopes_may_be_declared_and_the_release_says_which() {
    let mut host = before_the_move();
    // The new release has its unit in another place, and both are declared.
    let text = host.read(MANIFEST);
    let at = text.rfind("[[component.unit]]").unwrap();
    let (head, tail) = text.split_at(at);
    let old = "[[component.unit]]\nfile = \"production/sample-runner.service\"\nscope = \"system\"\n\n";
    let tail = tail.replacen("production/sample-runner.service", "production/user/sample-runner.service", 1);
    host.write(MANIFEST, format!("{head}{old}{tail}"), 0o644, "root");
    host.release(|release| {
        let relift::sample::Entry::File(text) = release.files[SHIPPED].clone() else { panic!("no file") };
        let text = String::from_utf8(text).unwrap();
        release
            .without(SHIPPED)
            .file("runner/production/user/sample-runner.service", &text)
            .behaviour("runner", "exit-at-once 1")
    });
    let before = host.snapshot();
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    host.release(|release| release.behaviour("runner", "ok").message("mended"));
    let out = upgrade(&host).exits(0);
    shows(
        &out,
        &[
            "sample-runner.service (system): removed, stop: the release no longer has it",
            "sample-runner.service (user): installed, enable and start: it moves from the system scope",
        ],
    );
    host.must(&format!("ln -s user/sample-runner.service /opt/app/{SHIPPED}"));
    assert_moved(&host, "moved");
    host.must(&format!("rm /opt/app/{SHIPPED}"));
    host.release(|release| release.next("1.2.0"));
    upgrade(&host).exits(0);
    host.wait_for_answer("runner", "1.2.0", "after the move");
}

#[test]
fn a_unit_that_moves_to_the_system_scope_leaves_the_user_scope_as_it_should() {
    let mut host = Host::with_sample();
    host.must(&format!("sed -i '/sample-runner.service/,/restart/s/\"user\"/\"system\"/' {MANIFEST}"));
    host.release(|release| {
        release.next("1.1.0").edit(SHIPPED, |text| for_the_system(&text)).behaviour("runner", "exit-at-once 1")
    });
    let before = host.snapshot();
    upgrade(&host).exits(3);
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.2.0").behaviour("runner", "ok"));
    let out = upgrade(&host).exits(0);
    shows(
        &out,
        &[
            "sample-runner.service (user): removed, stop: it moves to the system scope",
            "sample-runner.service (system): installed, enable and start: it moves from the user scope",
        ],
    );
    host.wait_for_answer("runner", "1.2.0", "moved");
    assert_eq!(
        host.must("systemctl show -P User -P ActiveState -P UnitFileState sample-runner.service"),
        "app\nactive\nenabled"
    );
    assert_eq!(host.must("find /home/app/.config -name 'sample*'"), "");
    let user = host.sh_as("app", "systemctl --user show -P LoadState -P ActiveState sample-runner.service");
    assert_eq!(user.stdout, "not-found\ninactive\n");
}

#[test]
fn a_move_killed_at_any_record_of_its_journal_is_undone_exactly_or_finished() {
    let hosts = 2;
    let points = std::thread::scope(|scope| {
        let shares: Vec<_> = (0..hosts).map(|share| scope.spawn(move || every_point(hosts, share))).collect();
        shares.into_iter().map(|host| host.join().unwrap()).sum::<usize>()
    });
    assert!(points > 30, "only {points} points were reached");
}

/// Kills the move at each record of this share; how many kills there were.
fn every_point(hosts: usize, share: usize) -> usize {
    let host = before_the_move();
    let before = host.snapshot();
    for turn in 0.. {
        let at = turn * hosts + share;
        let point = format!("{}-{:05}", ["before", "after"][at % 2], at / 2 + 1);
        let out = killed(&host, &point, "upgrade app --yes");
        if out.code == 0 {
            assert_moved(&host, &point);
            return turn;
        }
        assert_eq!(out.code, 137, "{point}: {out}");
        let is_committed = host.sh("ls /var/lib/relift/app/runs/*/*-commit.json").code == 0;
        let out = host.relift(&["recover", "app"]).exits(0);
        if is_committed {
            assert_moved(&host, &point);
            return turn + 1;
        }
        let difference = before.difference(&host.snapshot());
        assert!(difference.is_empty(), "{point}: not as before:\n{difference}\n{out}");
        for component in ["manager", "runner"] {
            host.wait_for_answer(component, "1.0.1", &point);
        }
    }
    unreachable!()
}
