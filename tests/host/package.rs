//! The packages: what they bring, what they keep, and what is left when they go.

use std::collections::BTreeSet;

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::{CANARY, Host, needs};
use crate::packages::{bare, build, debs, dpkg, rpms, with_deb};

/// Every file where a package could leave one; what dpkg, rpm and man-db keep for themselves is theirs.
const FILES: &str = "find /etc /usr /opt /srv /var/lib /var/cache /run/relift* -xdev \\( -path /var/lib/dpkg -o -path /var/lib/rpm \
     -o -path /var/lib/dnf -o -path /var/cache/man -o -path /var/cache/dnf -o -path /var/cache/ldconfig -o -path /var/lib/systemd/timers \\) \
     -prune -o -print 2>/dev/null | sort";
/// A timer of an administrator's own making, which wins over one that the package brings.
const TIMER: &str = "[Timer]\nOnCalendar=2099-01-01\n[Install]\nWantedBy=timers.target\n";

/// What is there now and was not, or was and is not.
fn difference(before: &str, after: &str) -> Vec<String> {
    let [before, after] = [before, after].map(|text| text.lines().map(str::to_owned).collect::<BTreeSet<_>>());
    before.symmetric_difference(&after).cloned().collect()
}

fn quick() -> Site {
    let mut site = Site::new("app");
    site.soak = 0;
    site
}

fn is_active(host: &Host, unit: &str) -> String {
    host.sh(&format!("systemctl is-active {unit}")).stdout.trim().to_owned()
}

fn is_enabled(host: &Host, unit: &str) -> String {
    host.sh(&format!("systemctl is-enabled {unit}")).stdout.trim().to_owned()
}

#[test]
fn the_same_tree_makes_the_same_packages_byte_for_byte() {
    for (kind, [older, _]) in [("deb", debs()), ("rpm", rpms())] {
        let again = build(kind, "0.1.0", "packages-again");
        assert_ne!(older, &again);
        assert!(std::fs::read(older).unwrap() == std::fs::read(&again).unwrap(), "{kind}: not the same bytes");
        std::fs::remove_file(again).unwrap();
    }
}

#[test]
fn lintian_and_rpmlint_have_nothing_against_the_packages() {
    needs(&[("lintian", "lintian"), ("rpmlint", "rpmlint")]);
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/rpm/rpmlintrc");
    let lintian = ["lintian", "--allow-root", "--fail-on", "error,warning", &debs()[0]];
    let rpmlint = ["rpmlint", "--ignore-unused-rpmlintrc", "-r", rules, &rpms()[0]];
    for argv in [lintian.as_slice(), &rpmlint] {
        let out = std::process::Command::new(argv[0]).args(&argv[1..]).env("LC_ALL", "C.UTF-8").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert!(out.status.success() && !said.contains(" W: "), "{argv:?}: {said}");
    }
}

#[test]
fn a_deb_brings_everything_starts_nothing_and_takes_everything_away() {
    let host = bare();
    let before = host.must(FILES);
    dpkg(&host, &["-i", &debs()[0]]).exits(0);
    let modes =
        host.must("stat -c '%a %U %n' /run/relift /run/relift/requests /var/lib/relift /var/cache/relift /etc/relift");
    let expected = "700 root /run/relift\n700 root /run/relift/requests\n755 root /var/lib/relift\n755 root /var/cache/relift\n755 root /etc/relift";
    assert_eq!(modes, expected);
    let preset = host.read("/usr/lib/systemd/system-preset/90-relift.preset");
    for unit in host.must("cd /usr/lib/systemd/system; grep -l '^.Install' relift-*").lines() {
        let is_wanted = preset.lines().any(|line| line == format!("enable {unit}"));
        assert_eq!(is_enabled(&host, unit), if is_wanted { "enabled" } else { "disabled" }, "{unit}");
        if unit.ends_with(".timer") && !unit.contains('@') {
            assert_eq!(is_active(&host, unit), if is_wanted { "active" } else { "inactive" }, "{unit}");
        }
    }
    assert!(
        preset.contains("enable relift-recover.service\n") && !preset.contains("enable relift-upgrade"),
        "{preset}"
    );
    assert_eq!(
        host.must(
            "systemctl list-units --no-legend --plain 'relift-upgrade@*' relift-check.timer relift-recover.service"
        ),
        ""
    );
    host.relift(&["check"]).exits(0);
    host.relift(&["doctor", "--offline", "--quiet"]);
    // Every verb has a page, and nothing is wrong with how it is written.
    let verbs = host.must("relift --help | sed -n '/^Commands:/,/^$/s/^  \\([a-z][a-z]*\\) .*/\\1/p' | grep -v help");
    assert!(verbs.lines().count() > 15, "{verbs}");
    for verb in verbs.lines() {
        host.must(&format!("man -w relift-{verb}"));
    }
    assert_eq!(host.must("for page in $(man -w relift relift-upgrade relift.toml); do LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -E UTF-8 -l $page 2>&1 >/dev/null; done"), "");
    host.must("python3 -c 'import xml.dom.minidom as x; x.parse(\"/usr/share/polkit-1/actions/org.relift.policy\")'");
    host.must("systemd-analyze verify --man=no /usr/lib/systemd/system/relift-*.service");
    // What a library's upgrade restarts is no run.
    host.must("perl -e 'our %nrconf; defined(do \"/etc/needrestart/conf.d/relift.conf\") or die; my ($k)=keys %{$nrconf{override_rc}}; exit !(\"relift-upgrade\\@app.service\" =~ $k)'");
    // Installing again is nothing new.
    dpkg(&host, &["-i", &debs()[0]]).exits(0);
    let out = dpkg(&host, &["-P", "relift"]).exits(0);
    assert_eq!(difference(&before, &host.must(FILES)), Vec::<String>::new(), "{out}");
    assert_eq!(host.must("systemctl list-units --all --no-legend --plain 'relift*'"), "");
}

#[test]
fn what_the_administrator_enabled_disabled_declared_and_edited_stays_so() {
    let mut host = with_deb();
    host.settle(quick(), |release| release);
    host.release(|release| release.next("1.0.1"));
    host.write("/etc/systemd/system/relift-upgrade@.timer", TIMER, 0o644, "root");
    host.must("systemctl disable relift-recover.service; sed -i '1i# mine' /etc/relift/README");
    host.must("systemctl daemon-reload; systemctl enable --now relift-upgrade@app.timer");
    let shipped = host.must("cd /usr/lib/systemd/system; ls relift-*.timer 2>/dev/null | grep -v @ || true");
    // Every second timer of the package is enabled, the others are not.
    let enabled: Vec<&str> = shipped.lines().step_by(2).collect();
    enabled.iter().for_each(|timer| drop(host.must(&format!("systemctl enable --now {timer}"))));
    let others = shipped.lines().skip(1).step_by(2);
    others.for_each(|timer| drop(host.must(&format!("systemctl disable --now {timer}"))));
    let assert_kept = |host: &Host, is_running: bool, context: &str| {
        assert_eq!(is_enabled(host, "relift-recover.service"), "disabled", "{context}");
        let state = if is_running { "active" } else { "inactive" };
        for timer in enabled.iter().copied().chain(["relift-upgrade@app.timer"]) {
            assert_eq!(is_active(host, timer), state, "{context}: {timer}");
            assert_eq!(is_enabled(host, timer), "enabled", "{context}: {timer}");
        }
        for timer in shipped.lines().skip(1).step_by(2) {
            assert_eq!(
                (is_active(host, timer).as_str(), is_enabled(host, timer).as_str()),
                ("inactive", "disabled"),
                "{context}: {timer}"
            );
        }
    };
    let upgraded = dpkg(&host, &["-i", &debs()[1]]).exits(0);
    assert_eq!(host.must("dpkg-query -W -f '${Version}' relift"), "0.2.0-1");
    assert_kept(&host, true, "after an upgrade");
    assert_eq!(host.must("head -n 1 /etc/relift/README"), "# mine", "{upgraded}");
    host.must("systemctl stop relift-upgrade@app.timer");
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    assert_eq!(
        is_active(&host, "relift-upgrade@app.timer"),
        "inactive",
        "what was stopped is not started by an upgrade"
    );
    host.must("systemctl start relift-upgrade@app.timer");

    // Removed: what is declared and known stays, and nothing fails for want of the program.
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let before = host.snapshot();
    dpkg(&host, &["-r", "relift"]).exits(0);
    host.must("set -e; test ! -e /usr/bin/relift; test -e /etc/relift/app.toml; test -e /var/lib/relift/app/ledger/known-good.json");
    assert_eq!(is_active(&host, "relift-upgrade@app.timer"), "inactive");
    // Not started where the host's policy is against it.
    host.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755, "root");
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    assert_kept(&host, false, "with a policy against it");
    host.must("rm /usr/sbin/policy-rc.d");
    dpkg(&host, &["-r", "relift"]).exits(0);
    dpkg(&host, &["-i", &debs()[0]]).exits(0);
    assert_kept(&host, true, "installed again");
    before.assert_same(&host.snapshot());
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);

    // Purged while a run is open: what ends it is kept.
    host.release(|release| release.next("1.2.0"));
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    let out = dpkg(&host, &["-P", "relift"]).exits(0);
    assert!(out.stderr.contains(" of app is open") && out.stderr.contains("then: relift recover app"), "{out}");
    dpkg(&host, &["-i", &debs()[1]]).exits(0);
    let out = host.relift(&["recover", "app"]).exits(0);
    assert!(out.stdout.contains("was undone"), "{out}");
    // And when none is: all but manifests and backups goes.
    host.must("rm -f /etc/systemd/system/relift-upgrade@.timer; mkdir -p /var/lib/relift/app/backups; echo data > /var/lib/relift/app/backups/precious");
    let out = dpkg(&host, &["-P", "relift"]).exits(0);
    assert!(out.stdout.contains("backups of data are kept: /var/lib/relift/app/backups"), "{out}");
    let left = host.must("find /etc /usr /var /run -xdev -path /var/lib/dpkg -prune -o -path /var/cache/man -prune -o -path /var/log -prune -o -path '*relift*' -print | sort");
    let kept = "/etc/relift\n/etc/relift/app.toml\n/var/lib/relift\n/var/lib/relift/app\n/var/lib/relift/app/backups\n/var/lib/relift/app/backups/precious";
    assert_eq!(left, kept);
}

#[test]
fn in_a_chroot_and_below_another_root_nothing_is_started_and_nothing_fails() {
    let host = bare();
    let before = host.must(FILES);
    // The host's own tree without its /run, /proc and /sys: what an image is built in.
    host.must("mkdir -p /mnt/image && mount --bind / /mnt/image");
    let reloads = "journalctl --sync; journalctl -o cat _PID=1 | grep -c '^Reloading' || true";
    let told = host.must(reloads);
    dpkg(&host, &["--root=/mnt/image", "-i", &debs()[0]]).exits(0);
    dpkg(&host, &["--root=/mnt/image", "-i", &debs()[1]]).exits(0);
    host.must("test -L /etc/systemd/system/multi-user.target.wants/relift-recover.service");
    assert_eq!(host.must(reloads), told, "a chroot is no business of the manager outside");
    dpkg(&host, &["--root=/mnt/image", "-P", "relift"]).exits(0);
    assert_eq!(host.must(reloads), told);
    host.must("umount /mnt/image; rmdir /mnt/image; rm -rf /run/relift-is-installed");
    assert_eq!(difference(&before, &host.must(FILES)), Vec::<String>::new());

    // A root that has no shell: the scripts run out here, and work in there.
    host.must("mkdir -p /mnt/other/var/lib/dpkg/info /mnt/other/var/lib/dpkg/updates /mnt/other/etc; touch /mnt/other/var/lib/dpkg/status");
    let words = ["--root=/mnt/other", "--force-script-chrootless", "--force-depends"];
    dpkg(&host, &[&words, ["-i", &debs()[0]].as_slice()].concat()).exits(0);
    host.must("test -L /mnt/other/etc/systemd/system/multi-user.target.wants/relift-recover.service");
    assert_eq!(host.must("stat -c %a /mnt/other/var/lib/relift /mnt/other/var/cache/relift"), "755\n755");
    dpkg(&host, &[&words, ["-P", "relift"].as_slice()].concat()).exits(0);
    let left = host.must("find /mnt/other -path '*relift*'");
    assert_eq!(left, "");
    assert_eq!(difference(&before, &host.must(FILES)), Vec::<String>::new(), "nothing of it happened out here");
    assert_eq!(host.must(reloads), told);
}

#[test]
fn an_rpm_comes_by_rpm_and_by_dnf_keeps_the_units_as_they_are_and_goes() {
    needs(&[("rpm", "rpm"), ("dnf", "dnf"), ("createrepo_c", "createrepo-c")]);
    let mut host = bare();
    let before = host.must(FILES);
    let rpm = |host: &Host, words: &str| host.sh(&format!("rpm --force-debian --nodeps {words}"));
    rpm(&host, &format!("-i {}", rpms()[0])).exits(0);
    assert_eq!(is_enabled(&host, "relift-recover.service"), "enabled");
    assert_eq!(host.must("stat -c %a /run/relift /run/relift/requests /var/lib/relift"), "700\n700\n755");
    host.settle(quick(), |release| release);
    host.write("/etc/systemd/system/relift-upgrade@.timer", TIMER, 0o644, "root");
    host.must("systemctl disable relift-recover.service; systemctl daemon-reload; systemctl enable --now relift-upgrade@app.timer; sed -i '1i# mine' /etc/relift/README");
    // What Debian has as packages of its own is there for dnf as well, so that it resolves for real.
    host.must(&format!(
        "mkdir -p /srv/rpms; cp {} /srv/rpms
         (printf 'Name: base\\nVersion: 1\\nRelease: 1\\nSummary: x\\nLicense: x\\nBuildArch: noarch\\n'
          rpm -qpR /srv/rpms/relift-*.rpm | sed '/^rpmlib/d; /^config/d; s/ .*/ = 9999/; s/^/Provides: /'
          printf '%%%%description\\nx\\n%%%%files\\n') > /root/base.spec
         rpmbuild -bb --quiet --define '_topdir /root/rpm' --define '_rpmdir /srv/rpms' /root/base.spec && createrepo_c --quiet /srv/rpms",
        rpms()[1]
    ));
    let dnf = "dnf -y -q --disablerepo='*' --repofrompath=local,/srv/rpms --enablerepo=local --nogpgcheck";
    host.sh(&format!("{dnf} install base")).exits(0);
    host.sh(&format!("{dnf} upgrade relift")).exits(0);
    assert!(host.must("rpm -q relift").starts_with("relift-0.2.0-1"));
    assert_eq!(is_enabled(&host, "relift-recover.service"), "disabled");
    assert_eq!(
        (is_active(&host, "relift-upgrade@app.timer").as_str(), is_enabled(&host, "relift-upgrade@app.timer").as_str()),
        ("active", "enabled")
    );
    assert_eq!(host.must("head -n 1 /etc/relift/README"), "# mine");
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.release(|release| release.next("1.2.0"));
    killed(&host, "before-gate", "upgrade app --yes").exits(137);
    let out = rpm(&host, "-e relift").exits(0);
    assert!(out.stderr.contains(" of app is open"), "{out}");
    assert_eq!(is_active(&host, "relift-upgrade@app.timer"), "inactive");
    host.sh(&format!("{dnf} install relift")).exits(0);
    host.relift(&["recover", "app"]).exits(0);
    host.sh(&format!("{dnf} remove relift")).exits(0);
    let left = difference(&before, &host.must(FILES));
    let left: Vec<&str> = left.iter().map(String::as_str).filter(|path| path.contains("relift")).collect();
    // rpm has no purge: what was declared and what is known stays, and what was edited under another name.
    let is_kept = |path: &str| {
        path.starts_with("/var/lib/relift")
            || path.starts_with("/etc/relift")
            || path == "/etc/systemd/system/relift-upgrade@.timer"
            || path.starts_with("/run/relift")
            || path.starts_with("/srv/rpms")
    };
    assert!(left.iter().all(|path| is_kept(path)), "{left:#?}");
    assert!(left.contains(&"/etc/relift/app.toml") && left.contains(&"/etc/relift/README.rpmsave"), "{left:#?}");
}

#[test]
fn shells_offer_verbs_installs_known_goods_and_runs_and_tell_others_nothing() {
    needs(&[("zsh", "zsh"), ("fish", "fish"), ("bash", "bash")]);
    assert!(
        std::path::Path::new("/usr/share/bash-completion/bash_completion").exists(),
        "this test needs bash-completion"
    );
    let mut host = with_deb();
    host.settle(quick(), |release| release);
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let run = host.must("relift history app --json | python3 -c 'import json,sys; print(json.load(sys.stdin)[\"runs\"][0][\"run\"])' 2>/dev/null || ls /var/lib/relift/app/runs | tail -n 1");
    let run = &run[run.len() - 10..];
    let known = host.must("git -C /opt/app -c safe.directory=/opt/app tag --list 'known-good/*' | tail -n 1");
    assert!(known.starts_with("known-good/"), "{known}");
    // As bash does when TAB is pressed, the completion being loaded by bash-completion.
    let bash = |words: &[&str]| {
        format!(
            "bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader relift; COMP_WORDS=(relift {}); COMP_CWORD={}; COMP_TYPE=9
             _clap_complete_relift relift \"${{COMP_WORDS[COMP_CWORD]}}\" x; printf \"%s\\n\" \"${{COMPREPLY[@]}}\"'",
            words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" "),
            words.len()
        )
    };
    let fish = |line: &str| format!("fish -c 'complete -C \"relift {line}\"'");
    let zsh = |words: &[&str]| {
        // What the function asks; that zsh has it for relift is asked of zsh.
        let words_: Vec<_> = words.iter().map(|word| format!("'{word}'")).collect();
        format!(
            "zsh -fc 'autoload -Uz compinit; compinit -u -d /tmp/zcomp-$UID; [ \"$_comps[relift]\" ] || exit 3' && _CLAP_IFS=$(printf '\\n_') _RELIFT_COMPLETE=zsh _CLAP_COMPLETE_INDEX={} relift -- relift {}",
            words.len(),
            words_.join(" ")
        )
    };
    for (words, wanted) in [
        (["up"].as_slice(), "upgrade"),
        (&["upgrade", "a"], "app"),
        (&["rollback", "app", "--to", "known"], known.as_str()),
        (&["show", ""], run),
        (&["backup", ""], "restore"),
        (&["upgrade", "--unat"], "--unattended"),
    ] {
        for script in [bash(words), fish(&words.join(" ")), zsh(words)] {
            let out = host.sh(&script).exits(0);
            assert!(out.stdout.contains(wanted), "{wanted}: {out}");
            assert_eq!(out.stderr, "");
            host.assert_no_secret(&out);
        }
    }
    // Somebody else is told what everybody may know, without a word of error.
    for script in [bash(&["upgrade", "a"]), fish("upgrade a"), zsh(&["upgrade", "a"])] {
        let out = host.sh_as("app", &script).exits(0);
        assert!(out.stdout.contains("app") && out.stderr.is_empty(), "{out}");
    }
    for script in [bash(&["rollback", "--to", ""]), fish("show "), zsh(&["show", ""])] {
        let out = host.sh_as("app", &script).exits(0);
        assert!(!out.stdout.contains(&known) && !out.stdout.contains(run) && out.stderr.is_empty(), "{out}");
        assert!(!out.stdout.contains(CANARY), "{out}");
    }
    // A shell that asks for something odd is told nothing, either.
    let out = host.sh("_RELIFT_COMPLETE=tcsh relift -- relift up; _RELIFT_COMPLETE=bash _CLAP_COMPLETE_INDEX=99 relift -- relift up").exits(0);
    assert_eq!((out.stdout.trim(), out.stderr.as_str()), ("", ""));
    // The fastest of ten: this machine has other things to do.
    let millis = host.must(
        "for i in 1 2 3 4 5 6 7 8 9 10; do t=$(date +%s%N); _RELIFT_COMPLETE=bash _CLAP_COMPLETE_INDEX=3 relift -- relift rollback app --to >/dev/null; echo $((($(date +%s%N)-t)/1000000)); done | sort -n | head -n 1",
    );
    assert!(millis.parse::<u32>().unwrap() < 50, "{millis} ms");
}
