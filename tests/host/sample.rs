//! The sample that the other tests upgrade does what they rely on.

use relift::sample::{Entry, Site};

use crate::harness::{CANARY, Host};

#[test]
fn the_sample_is_installed_runs_and_answers() {
    let host = Host::with_sample();
    host.relift(&["--help"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    assert_eq!(host.answers("runner").as_deref(), Some("1.0.0"));
    assert_eq!(host.must("stat -c '%a %U:%G' /opt/app/manager/.env /opt/app/runner/.env"), "640 app:app\n600 app:app");
    assert!(host.read("/opt/app/manager/.env").contains(CANARY));
    assert_eq!(host.must("stat -c %U /srv/git/app.git /opt/app/.git"), "git\napp");
    assert_eq!(host.sh_as("app", "git -C /opt/app status --porcelain").exits(0).stdout, "");
    assert_eq!(host.must("systemctl is-enabled sample-manager.service"), "enabled");
    assert_eq!(host.sh_as("app", "systemctl --user is-enabled sample-runner.service").exits(0).stdout, "enabled\n");
    assert!(host.read("/etc/relift/app.toml").contains("url    = \"file:///srv/git/app.git\""));
}

#[test]
fn a_sparse_sample_has_its_components_and_no_other() {
    let mut host = Host::with_site(Site { sparse: true, ..Site::new("app") });
    assert_eq!(host.sh_as("app", "git -C /opt/app sparse-checkout list").exits(0).stdout, "manager\nrunner\n");
    host.release(|release| release.next("1.1.0").file("other/README.md", "elsewhere\n"));
    host.must("git config --global --add safe.directory '*' && git -C /opt/app pull --quiet --ff-only");
    host.sh("test -e /opt/app/other").exits(1);
    assert_eq!(host.read("/opt/app/manager/VERSION"), "1.1.0\n");
}

#[test]
fn who_has_no_token_gets_no_version() {
    let host = Host::with_sample();
    let status = "curl --silent -o /dev/null -w '%{http_code}' http://127.0.0.1:18080";
    assert_eq!(host.must(&format!("{status}/api/version")), "401");
    assert_eq!(host.must(&format!("{status}/api/version -H 'X-API-Token: wrong'")), "401");
    assert_eq!(host.must(&format!("{status}/healthz")), "200");
    assert_eq!(host.must(&format!("{status}/elsewhere")), "404");
}

#[test]
fn the_service_behaves_as_its_release_says() {
    let host = Host::with_sample();
    let behave = |lines: &str| {
        host.write("/opt/app/manager/behaviour", lines, 0o644, "app:app");
        host.must("systemctl reset-failed sample-manager.service; systemctl restart sample-manager.service || :");
    };
    let status = |path: &str| {
        let script =
            format!("curl --silent --max-time 1 -o /dev/null -w '%{{http_code}}' http://127.0.0.1:18080{path} || :");
        host.must(&script)
    };
    let result = "systemctl show -P Result sample-manager.service | grep -qx";
    let journal =
        |text: &str| host.wait_for(&format!("journalctl --no-pager -u sample-manager.service | grep -F '{text}'"));

    behave("log \"hello there\"\nold-version 0.9.0");
    journal("hello there");
    host.wait_for("curl --silent http://127.0.0.1:18080/healthz");
    assert_eq!(host.answers("manager").as_deref(), Some("0.9.0"));
    behave("error-500");
    host.wait_for("curl --silent http://127.0.0.1:18080/healthz");
    assert_eq!(status("/healthz"), "500");
    behave("hang");
    host.wait_for("ss -ltn | grep -q :18080");
    assert_eq!(status("/healthz"), "000");
    behave("never-listen");
    assert_eq!(status("/healthz"), "000");
    assert_eq!(host.must("systemctl is-active sample-manager.service"), "active");
    behave("exit-at-once 7");
    host.wait_for(&format!("{result} start-limit-hit || {result} exit-code"));
    behave("port-taken");
    journal("port 18080 cannot be opened: Address already in use");
    behave("strict-env ADMIN");
    journal("ADMIN is missing in .env");
    behave("ready-then-die 1s 9");
    host.wait_for("curl --silent http://127.0.0.1:18080/healthz");
    host.wait_for("systemctl show -P NRestarts sample-manager.service | grep -vx 0");
    behave("slow-start 1s");
    assert_eq!(status("/healthz"), "000");
    host.wait_for("curl --silent http://127.0.0.1:18080/healthz");
}

#[test]
fn a_service_of_type_notify_is_up_when_it_listens() {
    let mut host = Host::with_sample();
    host.release(|release| {
        release.next("1.1.0").unit_line("manager", "Service", "Type=notify").unit_line(
            "manager",
            "Service",
            "TimeoutStartSec=3",
        )
    });
    host.must(
        "git config --global --add safe.directory '*'; cd /opt/app && git pull --quiet --ff-only && sh manager/scripts/build.sh
         cp manager/production/*.service /etc/systemd/system/ && systemctl daemon-reload && systemctl restart sample-manager.service",
    );
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    host.write("/opt/app/manager/behaviour", "never-ready\n", 0o644, "app:app");
    host.sh("systemctl restart sample-manager.service").exits(1);
    // Its `Result` is over as soon as systemd starts it again.
    host.wait_for("journalctl --no-pager -u sample-manager.service | grep -F \"result 'timeout'\"");
}

#[test]
fn a_service_wants_what_was_built_for_its_version() {
    let host = Host::with_sample();
    host.write("/opt/app/manager/build/version", "0.9.0\n", 0o644, "app:app");
    host.must("systemctl restart sample-manager.service");
    host.wait_for("journalctl --no-pager -u sample-manager.service | grep -F 'build/ is of 0.9.0, the tree of 1.0.0'");
}

#[test]
fn a_new_key_with_a_placeholder_fails_the_check() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0").env_key("manager", "ADMIN", "CHANGE_ME", "Who may administer."));
    host.must("git config --global --add safe.directory '*'; cd /opt/app && git pull --quiet --ff-only");
    let out = host.sh("cd /opt/app/manager && make check").exits(2);
    assert!(out.stderr.contains("ADMIN is missing in .env"), "{out}");
    host.must("echo ADMIN=CHANGE_ME >> /opt/app/manager/.env");
    assert!(
        host.sh("cd /opt/app/manager && sh scripts/check_config.sh").exits(2).stderr.contains("ADMIN must be replaced")
    );
    host.must(
        "sed -i s/^ADMIN=.*/ADMIN=alice/ /opt/app/manager/.env; cd /opt/app/manager && sh scripts/check_config.sh",
    );
}

#[test]
fn releases_of_any_shape_are_published() {
    let mut host = Host::with_sample();
    let first = host.must("git --git-dir=/srv/git/app.git -c safe.directory=* rev-parse main");
    let second = host.release(|release| {
        let release =
            release.next("1.1.0").component_version("runner", "1.0.1").tag("manager-v1.1.0").tag("runner-v1.0.1");
        let release = release.without("runner/scripts").link("manager/current", "VERSION").message("Many things");
        release.entry("manager/logo.bin", Entry::Program(vec![0, 159, 146, 150]))
    });
    let git = |words: &str| host.must(&format!("git --git-dir=/srv/git/app.git -c safe.directory=* {words}"));
    assert_eq!(git("log --format=%H --reverse main"), format!("{first}\n{second}"));
    assert_eq!(git("tag --points-at main"), "manager-v1.1.0\nrunner-v1.0.1");
    assert_eq!(git("log -1 --format=%s main"), "Many things");
    assert_eq!(
        git("ls-tree main manager/current manager/logo.bin").lines().map(|l| &l[..6]).collect::<Vec<_>>(),
        ["120000", "100755"]
    );
    assert_eq!(git("ls-tree -r --name-only main runner/scripts"), "");
    assert_eq!(git("show main:runner/VERSION"), "1.0.1");
    assert!(git("show main:manager/CHANGELOG.md").contains("## [1.1.0]"));
    let third = host.release(|release| release.next("1.2.0").on_branch("next"));
    let fourth = host.release(|release| release.next("1.3.0").on_branch("main").after(&first));
    let git = |words: &str| host.must(&format!("git --git-dir=/srv/git/app.git -c safe.directory=* {words}"));
    assert_eq!(git("rev-list --parents -1 next"), format!("{third} {second}"));
    assert_eq!(git("rev-list --parents -1 main"), format!("{fourth} {first}"));
}

#[test]
fn the_same_releases_give_the_same_commits() {
    let publish = || {
        let mut host = Host::with_sample();
        host.release(|release| release.next("1.1.0").note("manager", "Faster."))
    };
    assert_eq!(publish(), publish());
}

#[test]
fn a_snapshot_sees_every_difference() {
    let host = Host::with_sample();
    let before = host.snapshot();
    before.assert_same(&host.snapshot());
    let sees = |change: &str, subject: &str, back: &str| {
        host.must(change);
        let difference = before.difference(&host.snapshot());
        assert!(difference.contains(subject), "{change}: {difference}");
        host.must(back);
        before.assert_same(&host.snapshot());
    };
    sees("chmod 644 /opt/app/runner/.env", "/opt/app/runner/.env: 600", "chmod 600 /opt/app/runner/.env");
    sees(
        "echo >> /opt/app/runner/.env",
        "/opt/app/runner/.env: 600",
        "sed -i '$d' /opt/app/runner/.env; chown app: /opt/app/runner/.env",
    );
    sees("chown root /opt/app/manager/VERSION", "/opt/app/manager/VERSION: 644", "chown app /opt/app/manager/VERSION");
    sees(
        "setfacl -m u:nobody:r /opt/app/README.md",
        "/opt/app/README.md attribute system.posix_acl_access",
        "setfacl -b /opt/app/README.md",
    );
    sees(
        "touch /opt/app/.git/refs/heads/main.lock",
        "main.lock attribute lock",
        "rm /opt/app/.git/refs/heads/main.lock",
    );
    sees("touch /opt/app/new", "git status new: (absent) -> ?? new", "rm /opt/app/new");
    sees("mkdir /opt/app/empty", "/opt/app/empty: (absent)", "rmdir /opt/app/empty");
    sees("systemctl disable sample-manager", "UnitFileState: enabled -> disabled", "systemctl enable sample-manager");
    let user = "runuser -u app -- env XDG_RUNTIME_DIR=/run/user/$(id -u app) systemctl --user";
    sees(
        &format!("{user} stop sample-runner"),
        "user unit sample-runner.service ActiveState: active -> inactive",
        &format!("{user} start sample-runner"),
    );
    let git = "runuser -u app -- git -C /opt/app";
    sees(
        &format!("{git} rm --quiet --cached README.md"),
        "git index README.md: H 100644",
        &format!("{git} add README.md"),
    );
    sees(
        &format!("{git} checkout --quiet -b other"),
        "git branch: main -> other",
        &format!("{git} checkout --quiet main && {git} branch --quiet -d other"),
    );
}

#[test]
fn a_secret_in_the_output_or_the_journal_is_seen() {
    let host = Host::with_sample();
    host.assert_no_secret(&host.sh("echo harmless"));
    let leaks = |out| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| host.assert_no_secret(&out))).is_err();
    assert!(leaks(host.sh("cat /opt/app/manager/.env >&2")));
    assert!(leaks(host.sh("cat /opt/app/manager/.env | systemd-cat; journalctl --sync")));
}
