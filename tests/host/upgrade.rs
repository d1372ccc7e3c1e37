//! The main job: an upgrade that is proven, and one that comes back.

use crate::harness::Host;

#[test]
fn an_upgrade_runs_the_new_release_and_leaves_a_checkout_that_stock_git_agrees_with() {
    let mut host = Host::with_sample();
    let commit = host.release(|release| release.next("1.1.0").env_key("manager", "GREETING", "hello", "What it says."));
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.assert_no_secret(&out);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));
    let git = |words: &str| host.sh_as("app", &format!("git -C /opt/app {words}")).exits(0).stdout.trim().to_owned();
    assert_eq!(git("rev-parse HEAD"), commit);
    assert_eq!(git("rev-parse --abbrev-ref HEAD"), "main");
    assert_eq!(git("status --porcelain"), "");
    assert_eq!(git("rev-parse origin/main"), commit);
    assert_eq!(git("sparse-checkout list"), "manager\nrunner");
    assert_eq!(git("tag --points-at HEAD --list 'known-good/*'").lines().count(), 1);
    assert_eq!(host.must("find /opt/app -user root"), "", "nothing in the checkout may be root's");
    assert!(host.read("/opt/app/manager/.env").contains("\n# What it says.\nGREETING=hello\n"));
    assert_eq!(host.must("stat -c '%a %U:%G' /opt/app/manager/.env"), "640 app:app");
    let again = host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert_eq!(again.stdout, "app: nothing to do, 1.1.0 is activated\n");
}

#[test]
fn a_release_that_dies_is_undone_and_the_old_one_answers() {
    let mut host = Host::with_sample();
    host.release(|release| {
        release.next("1.1.0").behaviour("manager", "die-after 300ms").env_key("manager", "NEW_KEY", "x", "New.")
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    host.assert_no_secret(&out);
    assert!(out.stderr.contains("state: everything was put back as it was, and checked"), "{out}");
    before.assert_same(&host.snapshot());
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    assert_eq!(host.answers("runner").as_deref(), Some("1.0.0"));
    let skipped = host.relift(&["upgrade", "app", "--unattended"]).exits(0);
    assert!(skipped.stderr.contains("is skipped: it failed here"), "{skipped}");
}

#[test]
fn a_run_goes_on_to_its_end_when_nobody_reads_it_any_more() {
    for words in ["", "--json"] {
        let mut host = Host::with_sample();
        host.release(|release| release.next("1.1.0"));
        let script = format!("exec 3>&1; {{ relift upgrade app --yes {words} 2>/dev/null; echo $? >&3; }} | true");
        assert_eq!(host.sh(&script).exits(0).stdout, "0\n");
        assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
        assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));
    }
}
