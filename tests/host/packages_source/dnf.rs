//! dnf and rpm, on a host that has both them and dpkg.

use super::platform::{automatic_rpms, rpm, with_rpms};

#[test]
fn an_upgrade_by_dnf_moves_the_named_packages_and_is_undone_by_the_files_that_were_kept() {
    let host = with_rpms();
    host.must("echo 'color = red' > /etc/app/app.conf");
    rpm(&host, "appdep", "1.0", "");
    rpm(&host, "app", "1.1", "appdep");
    rpm(&host, "app", "1.3", "appdep");
    host.must("createrepo_c --quiet /srv/rpm");
    let rpms = || host.must("rpm -qa | sort");
    let old = rpms();
    let out = host.relift(&["plan", "app", "--to", "1.1"]);
    for part in ["1.0-1", "1.1-1", "appdep", "needed by app 1.1-1", "*.rpmnew"] {
        assert!(out.stdout.contains(part), "{part}: {out}");
    }
    // Its engine does not start.
    host.relift(&["upgrade", "app", "--yes", "--to", "1.3"]).exits(3);
    assert_eq!(rpms(), old);
    assert_eq!(host.must("cat /run/engine/a; ls /etc/app/*.rpmnew 2>/dev/null | wc -l"), "1.0\n0");

    host.must("systemctl reset-failed");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    assert_eq!(rpms(), "app-1.1-1.noarch\nappdep-1.0-1.noarch\nbase-1.0-1.noarch\nother-1.0-1.noarch");
    assert_eq!(
        host.must("cat /run/engine/a /run/engine/b /etc/app/configured /etc/app/app.conf"),
        "1.1\n1.1\n1.1\ncolor = red"
    );
    assert!(host.read("/etc/app/app.conf.rpmnew").contains("version = 1.1"));

    // An older release by decision alone.
    let out = host.relift(&["upgrade", "app", "--yes", "--to", "1.0"]).exits(2);
    assert!(out.stderr.contains("relift upgrade app --to 1.0-1 --allow-downgrades"), "{out}");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.0", "--allow-downgrades"]).exits(0);
    assert!(rpms().starts_with("app-1.0-1"), "{}", rpms());
    assert_eq!(host.must("systemctl reset-failed; cat /run/engine/a"), "1.0");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    assert!(rpms().starts_with("app-1.1-1"), "{}", rpms());

    host.must("rm -r /srv/rpm /etc/yum.repos.d/app-main.repo /var/cache/relift; systemctl reset-failed");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert!(rpms().starts_with("app-1.0-1"), "{}", rpms());
    assert_eq!(host.must("cat /run/engine/a"), "1.0");
}

#[test]
fn who_asked_for_a_package_stays_known_to_dnf_through_upgrades_and_back() {
    let host = with_rpms();
    rpm(&host, "appdep", "1.0", "");
    rpm(&host, "app", "1.1", "appdep");
    host.must("createrepo_c --quiet /srv/rpm");
    let rpms = || host.must("rpm -q app appdep other");
    assert_eq!(automatic_rpms(&host), "");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.1"]).exits(0);
    assert_eq!(automatic_rpms(&host), "appdep", "it came because app needs it");
    rpm(&host, "appdep", "2.0", "");
    rpm(&host, "app", "1.2", "appdep >= 2.0");
    host.must("createrepo_c --quiet /srv/rpm");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    assert_eq!(rpms(), "app-1.2-1.noarch\nappdep-2.0-1.noarch\nother-1.0-1.noarch");
    assert_eq!(automatic_rpms(&host), "appdep");
    host.relift(&["rollback", "app", "--yes"]).exits(0);
    assert_eq!(rpms(), "app-1.1-1.noarch\nappdep-1.0-1.noarch\nother-1.0-1.noarch");
    assert_eq!(automatic_rpms(&host), "appdep");

    // What somebody asked for stays so as well, and is not what `dnf autoremove` takes.
    host.must("dnf -q -C --disablerepo='*' mark install appdep");
    host.relift(&["upgrade", "app", "--yes", "--to", "1.2"]).exits(0);
    assert_eq!(automatic_rpms(&host), "");
    host.must("dnf -q -y -C --disablerepo='*' autoremove");
    assert!(rpms().contains("appdep-2.0-1"));
}
