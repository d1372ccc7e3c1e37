//! Releases that bring something a checkout cannot take: what is said, and that nothing is lost.

use crate::checkout::{GIT, IDENTITY, refuses, upgrades};
use crate::harness::Host;

#[test]
fn what_git_does_not_track_is_never_overwritten() {
    let mut host = Host::with_sample();
    host.sh_as("app", IDENTITY).exits(0);
    host.relift(&["check"]).exits(0);
    let first = host.must(&format!("{GIT} rev-parse HEAD"));
    let secrets = host.must("sha256sum /opt/app/*/.env");
    let plain = host.site().first("1.0.0");
    let cases = [
        (
            "manager/.env",
            ":",
            "manager/.env is in the way: the release tracks that path, and what is there is this host's configuration",
            "take it out of the repository again",
        ),
        (
            "manager/data",
            "mkdir -p manager/data; echo precious > manager/data/db",
            "manager/data/ is in the way",
            "mv /opt/app/manager/data /opt/app/manager/data.kept",
        ),
        (
            "manager/notes",
            "echo mine > manager/notes",
            "manager/notes is in the way",
            "mv /opt/app/manager/notes /opt/app/manager/notes.kept",
        ),
        (
            "manager/sub/deep/er/file",
            "echo mine > manager/sub",
            "manager/sub is in the way",
            "mv /opt/app/manager/sub /opt/app/manager/sub.kept",
        ),
        (
            "manager/link/file",
            "ln -s /tmp manager/link",
            "manager/link is in the way",
            "mv /opt/app/manager/link /opt/app/manager/link.kept",
        ),
    ];
    for (path, make, says, hint) in cases {
        host.sh_as("app", &format!("set -e; cd /opt/app; {make}")).exits(0);
        host.release(|_| plain.clone().next("1.1.0").after(&first).file(path, "theirs\n"));
        refuses(&host, says, hint);
        if let Some(command) = hint.starts_with("mv ").then_some(hint) {
            host.must(command);
        }
    }
    assert_eq!(host.must("sha256sum /opt/app/*/.env"), secrets);
    assert_eq!(host.read("/opt/app/manager/data.kept/db"), "precious\n");
    // The last release had nothing but the link in its way.
    host.must("mv /opt/app/manager/*.kept /root");
    upgrades(&host, "1.1.0");
    assert_eq!(host.read("/opt/app/manager/link/file"), "theirs\n");
}

#[test]
fn a_declared_local_change_is_set_aside_and_put_back_by_undo() {
    let mut host = Host::with_sample();
    host.sh_as("app", IDENTITY).exits(0);
    host.must("sed -i 's|^branch.*|&\\ndiscard = [\"manager/Makefile\"]|' /etc/relift/app.toml; relift config check");
    host.must("runuser -u app -- sh -c 'echo mine >> /opt/app/manager/Makefile; chmod 600 /opt/app/manager/Makefile'");
    host.release(|release| {
        release
            .next("1.1.0")
            .behaviour("manager", "die-after 300ms")
            .edit("manager/Makefile", |text| text + "# theirs\n")
    });
    let before = host.snapshot();
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert!(
        out.stdout.contains("manager/Makefile has local changes, which are set aside and kept with the run"),
        "{out}"
    );
    before.assert_same(&host.snapshot());
    host.must(&format!("{GIT} add manager/Makefile"));
    refuses(&host, "tracked files have local changes: manager/Makefile", "git -C /opt/app stash");
    host.must(&format!("{GIT} reset -q"));
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    upgrades(&host, "1.2.0");
    assert!(host.read("/opt/app/manager/Makefile").ends_with("# theirs\n"));
}

#[test]
fn submodules_lfs_pointers_and_rewritten_history_are_not_switched_to() {
    let mut host = Host::with_sample();
    host.sh_as("app", IDENTITY).exits(0);
    host.relift(&["check"]).exits(0);
    let first = host.must(&format!("{GIT} rev-parse HEAD"));
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n";
    host.release(|release| release.next("1.1.0").file("manager/model.bin", pointer));
    refuses(
        &host,
        "manager/model.bin is a Git LFS pointer",
        "ask upstream for a release without LFS in this component",
    );
    host.must(&format!(
        "cd /srv/git/app.work && as='runuser -u git -- git -c user.name=G -c user.email=g@example.org' && $as rm -q --cached manager/model.bin &&
         $as update-index --add --cacheinfo 160000,{first},runner/vendor && $as commit -q -m sub && $as push -q origin HEAD:main"
    ));
    refuses(&host, "runner/vendor is a submodule", "ask upstream for a release without submodules in this component");
    let second = host.release(|release| release.without("manager/model.bin").next("1.1.1").after(&first));
    upgrades(&host, "1.1.1");
    host.release(|release| release.next("1.2.0").after(&first));
    refuses(
        &host,
        "the checkout and the target have diverged: no fast-forward leads there",
        "reset --keep origin/main",
    );
    assert_eq!(host.must(&format!("{GIT} rev-parse HEAD")), second);
    host.must(&format!(
        "export HOME=/home/app; {GIT} fetch -q origin && {GIT} branch local-work && {GIT} reset -q --keep origin/main"
    ));
    upgrades(&host, "1.2.0");
}
