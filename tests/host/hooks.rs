//! Package managers and what depends on their packages: real transactions of dpkg, apt, rpm, dnf and pacman.

use crate::harness::{Host, needs};

const MANIFEST: &str = "/etc/relift/app.toml";
/// apt from the repository on this host, and from nowhere else.
const APT: &str = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dir::Etc::SourceList=/srv/deb.list -o Dir::Etc::SourceParts=- -o Dpkg::Use-Pty=0";

/// [`depending_on`] a package of dpkg's.
fn depending() -> Host {
    depending_on(|host| {
        build(host, "appruntime", "1.0");
        host.must("dpkg -i /srv/deb/appruntime_1.0.deb");
    })
}

/// A host on which the manager maps a library of the package `appruntime`, and the runner's manifest names the package. The units
/// of relift are installed.
fn depending_on(install: impl Fn(&Host)) -> Host {
    let mut host = Host::with_sample();
    for unit in ["relift-requests.path", "relift-requests.service", "relift-requests.timer"] {
        let text = std::fs::read(format!("{}/units/{unit}", env!("CARGO_MANIFEST_DIR"))).unwrap();
        host.write(&format!("/usr/lib/systemd/system/{unit}"), text, 0o644, "root");
    }
    host.must("rm -f /usr/sbin/policy-rc.d; systemctl daemon-reload; systemctl start relift-requests.path relift-requests.timer");
    install(&host);
    // Where a hook asked for something, its worker has the lock for a moment, and a run by hand does not wait for it.
    settle(&host);
    host.release(|release| {
        let preload = "Environment=LD_PRELOAD=/usr/lib/appruntime/libruntime.so";
        release.next("1.1.0").unit_line("manager", "Service", preload)
    });
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let needs = "\n[[component.needs]]\npackages = [\"appruntime*\"]\nsteps = [\"build\"]\n\n[compatibility]";
    let manifest = host.read(MANIFEST).replacen("\n[compatibility]", needs, 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    host
}

/// Builds `/srv/deb/NAME_VERSION.deb` with a library of its own.
fn build(host: &Host, name: &str, version: &str) {
    build_with(host, name, version, "");
}

/// The same with a maintainer script.
fn build_with(host: &Host, name: &str, version: &str, postinst: &str) {
    let code = format!("const char *const runtime_version = \"{name} {version}\";");
    build_code(host, (name, version), postinst, &code);
}

/// The same from this source of the library.
fn build_code(host: &Host, (name, version): (&str, &str), postinst: &str, code: &str) {
    host.write("/srv/library.c", code, 0o644, "root");
    host.must(&format!(
        "set -e; d=$(mktemp -d); mkdir -p /srv/deb $d/DEBIAN $d/usr/lib/{name}
         printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' > $d/DEBIAN/control
         cc -shared -fPIC -o $d/usr/lib/{name}/libruntime.so /srv/library.c
         if [ -n '{postinst}' ]; then printf '#!/bin/sh\\n{postinst}\\n' > $d/DEBIAN/postinst; chmod 755 $d/DEBIAN/postinst; fi
         chmod 755 $d; dpkg-deb -Znone --root-owner-group -b $d /srv/deb/{name}_{version}.deb >/dev/null; rm -r $d"
    ));
}

/// The packages in /srv/deb as a repository.
fn publish(host: &Host) {
    host.must(&format!(
        "set -e; cd /srv/deb; apt-ftparchive packages . > Packages; echo 'deb [trusted=yes] file:/srv/deb ./' > /srv/deb.list; {APT} update"
    ));
}

fn install_apt_hook(host: &Host) {
    let hook = include_str!("../../packaging/deb/root/etc/apt/apt.conf.d/90relift");
    host.write("/etc/apt/apt.conf.d/90relift", hook, 0o644, "root");
}

/// The invocations of both services.
fn invocations(host: &Host) -> [String; 2] {
    let manager = host.must("systemctl show -P InvocationID sample-manager.service");
    let runner = host.sh_as("app", "systemctl --user show -P InvocationID sample-runner.service").exits(0).stdout;
    [manager, runner.trim().to_owned()]
}

/// Waits until the worker has done what it was asked for; nothing is asked for any more, but what waits.
fn settle(host: &Host) {
    host.wait_for(
        "test -z \"$(ls /run/relift/requests/*.json 2>/dev/null)\" && test $(systemctl is-active relift-requests.service) = inactive",
    );
}

/// The runs of the past, newest first: what each did, and its end.
fn runs(host: &Host) -> Vec<(String, String)> {
    let document: serde_json::Value = serde_json::from_str(&host.relift(&["history", "--json"]).stdout).unwrap();
    let text = |run: &serde_json::Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    document["runs"].as_array().unwrap().iter().map(|run| (text(run, "intent"), text(&run["end"], "outcome"))).collect()
}

fn waiting(host: &Host) -> usize {
    host.must("ls /run/relift/requests/waiting/*.json 2>/dev/null | wc -l").parse().unwrap()
}

fn known_good(host: &Host) -> String {
    host.must("git -C /opt/app -c safe.directory=/opt/app for-each-ref --format='%(refname) %(objectname)' refs/tags; cat /var/lib/relift/app/ledger/known-good.json")
}

/// Makes sure that what depends on the package was restarted by one run since `seen`: invocations, and the number of runs. It is what
/// is seen then.
#[track_caller]
fn restarted(host: &Host, seen: &mut ([String; 2], usize), context: &str) {
    settle(host);
    let ((before, count), after) = (&*seen, invocations(host));
    let journal = host.journal_of("relift-requests");
    assert!(after[0] != before[0] && after[1] != before[1], "{context}\n{journal}");
    assert_eq!(runs(host).len(), count + 1, "{context}\n{journal}");
    assert_eq!(runs(host)[0], ("reconfigure".into(), "done".into()), "{context}\n{journal}");
    *seen = (after, count + 1);
}

#[test]
fn an_upgrade_by_apt_restarts_what_depends_on_it_once_and_proves_it() {
    needs(&[("apt-ftparchive", "apt-utils"), ("cc", "gcc")]);
    let host = depending();
    install_apt_hook(&host);
    let (before, good) = (invocations(&host), known_good(&host));
    build(&host, "appruntime", "1.1");
    (0..20).for_each(|number| build(&host, &format!("other{number}"), "1.0"));
    publish(&host);

    let others: String = (0..20).map(|number| format!(" other{number}")).collect();
    host.must(&format!("{APT} install {others}"));
    settle(&host);
    assert_eq!((invocations(&host), runs(&host).len()), (before.clone(), 1), "what nothing depends on starts no run");

    let begun = host.must("date +%s.%N");
    host.must(&format!("{APT} -y dist-upgrade"));
    settle(&host);
    let after = invocations(&host);
    assert!(after[0] != before[0] && after[1] != before[1], "{}", host.journal_of("relift-requests"));
    let starts = host.must(&format!(
        "journalctl --sync; journalctl --output=cat --since '@{begun}' | grep -c '^Started sample-\\(manager\\|runner\\).service' || :"
    ));
    assert_eq!(starts, "2", "each once");
    assert_eq!(runs(&host)[0], ("reconfigure".into(), "done".into()));
    assert_eq!(known_good(&host), good);
    assert_eq!([host.answers("manager"), host.answers("runner")], [Some("1.1.0".to_owned()), Some("1.1.0".to_owned())]);
    let shown = host
        .relift(&["show", &host.must("relift history --json | grep -o '\"run\":[^,]*' | head -1 | cut -d '\"' -f 4")]);
    for words in [
        "reconfigure app at",
        "a library that it runs with was replaced: /usr/lib/appruntime/libruntime.so",
        "appruntime changed since it was started",
        "+ build: sh scripts/build.sh",
    ] {
        assert!(shown.stdout.contains(words), "{words}\n{shown}");
    }
    assert!(host.relift(&["reconfigure", "app"]).exits(0).stdout.contains("nothing that it depends on changed"));

    // A package that ships a drop-in for the unit, and tells no manager of it.
    host.must(
        "set -e; mkdir -p /srv/tuning/DEBIAN /srv/tuning/usr/lib/systemd/system/sample-manager.service.d; cd /srv/tuning
         printf 'Package: tuning\\nVersion: 1\\nArchitecture: all\\nMaintainer: x <x@example.org>\\nDescription: x\\n' > DEBIAN/control
         printf '[Service]\\nEnvironment=TUNED=1\\n' > usr/lib/systemd/system/sample-manager.service.d/10-tuning.conf
         dpkg-deb --root-owner-group -b . /srv/deb/tuning_1.deb",
    );
    publish(&host);
    host.must(&format!("{APT} install tuning"));
    settle(&host);
    let journal = host.journal_of("relift-requests");
    assert!(
        journal.contains("the package tuning replaced /usr/lib/systemd/system/sample-manager.service.d/10-tuning.conf"),
        "{journal}"
    );
    let tuned = "tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID sample-manager.service)/environ | grep TUNED";
    assert_eq!((host.must(tuned), &invocations(&host)[1]), ("TUNED=1".into(), &after[1]));
}

#[test]
fn a_hook_leaves_one_request_that_is_roots_alone_and_none_where_nothing_is_to_run() {
    let host = Host::with_sample();
    host.must("rm -f /usr/sbin/policy-rc.d");
    let hook = |prefix: &str, arguments: &str| {
        let out = host.sh(&format!("printf 'usr/lib/a\\n/usr/lib/b\\n' | {prefix} relift hook {arguments}")).exits(0);
        let lines = out.stderr.lines().count() + out.stdout.lines().count();
        (lines, host.must("ls /run/relift/requests 2>/dev/null | grep -c json || :"))
    };
    let silent = (0, "0".to_owned());
    for prefix in ["env RELIFT_HOOKS=no", "env SYSTEMD_OFFLINE=1", "env DPKG_ROOT=/srv/other", "runuser -u app --"] {
        assert_eq!(hook(prefix, "apt"), silent, "{prefix}");
    }
    // A chroot that sees this host's /run and /proc, as a debootstrap's second stage does.
    host.must(
        "set -e; mkdir -p /srv/chroot/usr /srv/chroot/etc /srv/chroot/proc /srv/chroot/run; cd /srv/chroot
         ln -s usr/lib lib; ln -s usr/lib64 lib64; ln -s usr/bin bin; for d in usr etc proc run; do mount --bind /$d $d; done",
    );
    assert_eq!(hook("chroot /srv/chroot", "apt"), silent);
    host.must("umount /srv/chroot/proc");
    assert_eq!(hook("chroot /srv/chroot", "apt"), silent, "without /proc nobody can tell");
    host.must("mv /run/systemd/system /run/systemd/away");
    assert_eq!(hook("", "apt"), silent, "an image is built");
    host.must("mv /run/systemd/away /run/systemd/system");
    let policy = |body: &str| host.write("/usr/sbin/policy-rc.d", format!("#!/bin/sh\n{body}\n"), 0o755, "root");
    for body in ["exit 101", "exit 102", "sleep 60", "echo stop; exit 106", "echo \"$@\" >/run/asked; exit 101"] {
        policy(body);
        assert_eq!(hook("", "apt"), silent, "{body}");
    }
    assert_eq!(host.read("/run/asked"), "relift restart\n");
    host.must("rm /usr/sbin/policy-rc.d");
    for arguments in ["dpkg", "dpkg configure 1.0", "dpkg abort-upgrade --weird"] {
        assert_eq!(hook("", arguments), silent, "{arguments}");
    }

    // The others ask, and become one request.
    let one = (0, "1".to_owned());
    for arguments in ["rpm", "apt", "pacman", "dpkg triggered '/opt /usr/lib'", "apt", "rpm"] {
        assert_eq!(hook("", arguments), one, "{arguments}");
    }
    assert_eq!(host.must("stat -c '%U %a' /run/relift/requests /run/relift/requests/*.json"), "root 700\nroot 600");
    let request: serde_json::Value = serde_json::from_str(&host.must("cat /run/relift/requests/*.json")).unwrap();
    assert_eq!(request["by"], serde_json::json!(["apt", "dpkg", "rpm", "pacman"]));
    assert_eq!(request["paths"], serde_json::json!(["/usr/lib/b", "/usr/lib/a", "/opt", "/usr/lib"]));
    let status = host.relift(&["status", "app"]).exits(0);
    assert!(status.stdout.contains("packages changed: it is looked at"), "{status}");
    // The shortest of some: others use this machine as well.
    let times = "for n in 1 2 3 4 5 6 7 8 9 10; do a=$(date +%s%N); relift hook apt; echo $((($(date +%s%N) - a) / 1000000)); done";
    let shortest = host.must(times).lines().map(|line| line.parse::<u64>().unwrap()).min().unwrap();
    assert!(shortest < 50, "{shortest} ms");

    // A place that is another's, and no room: told in a line, and no failure of the package manager's.
    host.must(
        "mv /run/relift/requests /run/kept; mkdir -m 777 /run/elsewhere; ln -s /run/elsewhere /run/relift/requests",
    );
    assert_eq!(hook("", "apt").0, 1);
    assert_eq!(host.must("ls /run/elsewhere"), "");
    host.must("rm /run/relift/requests; mv /run/kept /run/relift/requests");
    host.must("mount -t tmpfs -o size=16k,mode=700 none /run/relift; head -c 100k /dev/zero > /run/relift/fill || :");
    assert_eq!(hook("", "apt"), (1, "0".to_owned()));
    host.must("umount /run/relift; echo junk > /run/relift/requests/0.json; mv /etc/relift/app.toml /srv");
    let out = host.relift(&["hook", "run"]).exits(0);
    assert!(out.stderr.contains("0.json is removed: it is no request"), "{out}");
    assert_eq!(
        hook("", "apt"),
        silent,
        "what an install that is gone was asked for is gone, and without one nothing is asked"
    );
}

#[test]
fn transactions_that_fail_and_runs_that_wait_lose_nothing_and_block_nobody() {
    needs(&[("apt-ftparchive", "apt-utils"), ("cc", "gcc"), ("python3", "python3")]);
    let host = depending();
    // The dpkg trigger as the package has it, without apt's hook.
    host.must("mkdir -p /srv/hooks/DEBIAN");
    host.write("/srv/hooks/DEBIAN/triggers", include_str!("../../packaging/deb/triggers"), 0o644, "root");
    host.write("/srv/hooks/DEBIAN/postinst", "#!/bin/sh\nrelift hook dpkg \"$@\"\n", 0o755, "root");
    host.write(
        "/srv/hooks/DEBIAN/control",
        "Package: hooks\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n",
        0o644,
        "root",
    );
    host.must("dpkg-deb -b /srv/hooks /srv/hooks.deb && dpkg -i /srv/hooks.deb");
    settle(&host);
    let mut seen = (invocations(&host), runs(&host).len());

    // Another run holds the lock for longer than the transaction: dpkg does not wait, and afterwards it is done.
    build(&host, "appruntime", "1.1");
    host.must("systemd-run --quiet --unit=holder flock /run/relift/app.lock sleep 600; while flock -n /run/relift/app.lock true; do sleep 0.05; done");
    host.must("dpkg -i /srv/deb/appruntime_1.1.deb");
    assert_eq!(host.must("systemctl is-active holder.service"), "active");
    host.must("systemctl stop holder.service");
    restarted(&host, &mut seen, "after the run that held the lock");

    // Interrupted between unpacking and configuring, and finished later.
    build_with(&host, "appruntime", "1.2", "touch /run/configuring; sleep 1");
    host.must(
        "dpkg -i /srv/deb/appruntime_1.2.deb & p=$!; until test -e /run/configuring; do sleep 0.02; done; kill -KILL $p; ! wait $p",
    );
    host.must("dpkg --configure -a");
    restarted(&host, &mut seen, "interrupted, and configured later");

    // Half of it fails: the exit status is dpkg's own, and what was replaced is replaced. apt goes on for seconds after the
    // hook: nothing is restarted under its lock.
    build(&host, "appruntime", "1.3");
    build_with(&host, "broken", "1", "exit 3");
    let status = host.sh("RELIFT_HOOKS=no dpkg -i /srv/deb/broken_1.deb; s=$?; dpkg -P broken; exit $s").code;
    settle(&host);
    host.write(
        "/srv/hold.py",
        "import fcntl, os, time\nf = open('/var/lib/dpkg/lock-frontend', 'w')\nfcntl.lockf(f, fcntl.LOCK_EX)\nopen('/run/held', 'w')\nwhile not os.path.exists('/run/give'): time.sleep(0.05)\n",
        0o644,
        "root",
    );
    host.must("systemd-run --quiet --unit=holding python3 /srv/hold.py");
    host.wait_for("test -e /run/held");
    let at = invocations(&host);
    let both = "DPKG_FRONTEND_LOCKED=1 dpkg -i /srv/deb/appruntime_1.3.deb /srv/deb/broken_1.deb";
    assert!(status != 0 && host.sh(both).code == status);
    host.wait_for("systemctl is-active relift-requests.service | grep -q activating");
    host.must("sleep 2");
    assert_eq!((invocations(&host), host.must("systemctl is-active holding.service")), (at, "active".into()));
    host.must("touch /run/give");
    restarted(&host, &mut seen, "half of it failed, after apt gave its lock away");
}

#[test]
fn what_has_to_wait_waits_out_of_sight_and_what_is_the_operators_to_decide_is_left_to_him() {
    let host = depending();
    let change = |version: &str| {
        build(&host, "appruntime", version);
        host.must(&format!("dpkg -i /srv/deb/appruntime_{version}.deb"));
        host.relift(&["hook", "apt"]).exits(0);
        settle(&host);
    };
    // Held: one request, told, and done when it may be.
    host.relift(&["hold", "app", "--reason", "exams"]).exits(0);
    change("1.1");
    change("1.2");
    assert_eq!((waiting(&host), runs(&host).len()), (1, 1));
    let status = host.relift(&["status", "app"]).exits(0);
    let told = status.stdout.lines().find(|line| line.contains("packages changed: it waits: "));
    assert!(told.is_some_and(|line| line.contains("held") && line.ends_with("exams")), "{status}");
    host.relift(&["unhold", "app"]).exits(0);

    // Where nothing happens by itself, only what the manifest names is done; the rest waits for the operator.
    host.must(&format!("sed -i 's/^unattended .*/unattended = \"none\"/' {MANIFEST}"));
    let at = invocations(&host);
    // As the timer does.
    host.must("systemctl start relift-requests.service");
    let now = invocations(&host);
    assert!(now[0] == at[0] && now[1] != at[1], "{}", host.journal_of("relift-requests"));
    assert_eq!((waiting(&host), runs(&host).len()), (1, 2));
    let status = host.relift(&["status", "app"]).exits(0);
    let says = "it waits: sample-manager.service runs with what was replaced, and unattended = \"none\": relift reconfigure app";
    assert!(status.stdout.contains(says), "{status}");
    host.relift(&["reconfigure", "app", "--yes"]).exits(0);
    host.must("systemctl start relift-requests.service");
    assert_eq!((waiting(&host), runs(&host).len()), (0, 3));
    assert!(invocations(&host)[0] != at[0] && invocations(&host)[1] == now[1]);
}

/// Builds `/srv/rpm/appruntime-VERSION-1.noarch.rpm`.
fn build_rpm(host: &Host, version: &str) {
    let spec = format!(
        "Name: appruntime\nVersion: {version}\nRelease: 1\nAutoReqProv: no\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%install\nmkdir -p %{{buildroot}}/usr/lib/appruntime\n\
         echo 'const char *const version = \"{version}\";' | cc -shared -fPIC -x c -o %{{buildroot}}/usr/lib/appruntime/libruntime.so -\n%files\n/usr/lib/appruntime\n"
    );
    build_spec(host, &spec);
}

fn build_spec(host: &Host, spec: &str) {
    host.write("/srv/a.spec", spec, 0o644, "root");
    host.must(
        "mkdir -p /srv/rpm; rpmbuild --quiet -bb --define '_rpmdir /srv/rpm' --define '_topdir /srv/rpmbuild' --define '_build_name_fmt %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm' \
         --define '__os_install_post :' --define '_binaries_in_noarch_packages_terminate_build 0' /srv/a.spec 2>&1",
    );
}

/// Builds `/srv/pacman/appruntime-VERSION-1-any.pkg.tar`.
fn build_for_pacman(host: &Host, version: &str) {
    host.must(&format!(
        "set -e; mkdir -p /srv/pacman; d=$(mktemp -d); cd $d; mkdir -p usr/lib/appruntime
         printf 'pkgname = appruntime\npkgver = {version}-1\npkgdesc = x\nsize = 1\narch = any\n' > .PKGINFO
         echo 'const char *const version = \"pacman {version}\";' | cc -shared -fPIC -x c -o usr/lib/appruntime/libruntime.so -
         tar -cf /srv/pacman/appruntime-{version}-1-any.pkg.tar .PKGINFO usr"
    ));
}

#[test]
fn rpm_dnf_and_pacman_restart_what_depends_on_their_packages() {
    needs(&[
        ("rpmbuild", "rpm"),
        ("dnf", "dnf"),
        ("createrepo_c", "createrepo-c"),
        ("pacman", "pacman-package-manager"),
        ("cc", "gcc"),
    ]);
    let host = depending_on(|host| {
        // Where distributions of rpm have it; Debian's dnf looks there as well.
        host.write("/etc/rpm/macros.dbpath", "%_dbpath /var/lib/rpm\n", 0o644, "root");
        build_rpm(host, "1.0");
        // What the package's spec has.
        build_spec(
            host,
            "Name: hooks\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n%description\nx\n%files\n\
             %transfiletriggerin -- /usr /opt /etc/systemd\n/usr/bin/relift hook rpm || :\n\
             %transfiletriggerpostun -- /usr /opt /etc/systemd\n[ ! -x /usr/bin/relift ] || /usr/bin/relift hook rpm || :\n",
        );
        host.must("cd /srv/rpm; rpm -U --force-debian --nodeps hooks-1-1.noarch.rpm appruntime-1.0-1.noarch.rpm");
    });
    settle(&host);
    let mut seen = (invocations(&host), runs(&host).len());
    build_rpm(&host, "1.1");
    host.must("rpm -U --force-debian --nodeps /srv/rpm/appruntime-1.1-1.noarch.rpm");
    restarted(&host, &mut seen, "rpm -U");

    build_rpm(&host, "1.2");
    host.must(
        "createrepo_c --quiet /srv/rpm && dnf --quiet --assumeyes --nogpgcheck --setopt=reposdir=/srv/none --repofrompath=local,file:///srv/rpm upgrade appruntime",
    );
    assert_eq!(host.must("rpm -q --queryformat '%{VERSION}' appruntime"), "1.2");
    restarted(&host, &mut seen, "dnf upgrade");

    let hook = include_str!("../../packaging/pacman/relift.hook");
    host.write("/usr/share/libalpm/hooks/relift.hook", hook, 0o644, "root");
    build_for_pacman(&host, "1.3");
    let pacman =
        host.must("pacman --upgrade --noconfirm --overwrite '*' /srv/pacman/appruntime-1.3-1-any.pkg.tar 2>&1");
    assert!(pacman.contains("Asking relift"), "{pacman}");
    restarted(&host, &mut seen, "pacman -U");
}

#[test]
fn a_worker_that_is_killed_begins_again_and_what_does_not_come_back_is_told_with_what_stays() {
    needs(&[("cc", "gcc")]);
    let host = depending();
    host.must(&format!("sed -i 's/^soak .*/soak = \"4s\"/' {MANIFEST}"));
    let before = invocations(&host);
    build(&host, "appruntime", "1.1");
    host.must("dpkg -i /srv/deb/appruntime_1.1.deb");

    // By hand: a plan, a document, and nothing without approval.
    let dry = host.relift(&["reconfigure", "app", "--dry-run"]).exits(0);
    for words in [
        "reconfigure app at ",
        "sample-manager.service (system): restart",
        "  a library that it runs with was replaced: /usr/lib/appruntime/libruntime.so",
        "sample-runner.service (user): restart",
        "  appruntime changed since it was started",
        "+ build: sh scripts/build.sh",
        "can be undone   everything but what the package manager changed",
    ] {
        assert!(dry.stdout.contains(words), "{words}\n{dry}");
    }
    let json = host.relift(&["reconfigure", "app", "--dry-run", "--json"]).exits(0);
    let document: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(document["intent"], "reconfigure");
    assert_eq!(document["host_changes"].as_array().map(Vec::len), Some(3), "{json}");
    let refused = host.relift(&["reconfigure", "app"]).exits(2);
    assert!(refused.stderr.contains("there is no terminal"), "{refused}");
    host.relift(&["reconfigure", "app", "--step", "nothing"]).exits(2);
    assert_eq!(invocations(&host), before);

    // Killed while it watches: recovered, and done from the start.
    host.relift(&["hook", "apt"]).exits(0);
    host.wait_for("journalctl --sync; journalctl --output=cat --unit=relift-requests | grep -qx 'app: soak'");
    host.must("systemctl kill --signal=KILL relift-requests.service");
    host.wait_for(
        "relift history --json | grep -A1 '\"outcome\"' | grep -q done && ! test -e /run/relift/requests/*.json",
    );
    settle(&host);
    let ends: Vec<_> = runs(&host).into_iter().map(|(intent, end)| format!("{intent} {end}")).collect();
    assert_eq!(ends, ["reconfigure done", "reconfigure rolled-back", "upgrade done"]);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));

    // The new library ends every process that loads it.
    let code = "#include <unistd.h>\n__attribute__((constructor)) static void end(void) { _exit(7); }\n";
    build_code(&host, ("appruntime", "2.0"), "", code);
    host.must("dpkg -i /srv/deb/appruntime_2.0.deb");
    host.relift(&["hook", "apt"]).exits(0);
    host.wait_for("systemctl is-failed --quiet relift-requests.service");
    let told = host.journal_of("relift-requests");
    for words in [
        "the reconfiguration of app failed",
        "what the package manager changed stays as it is: sample-manager.service: a library that it runs with was replaced",
        "when the package is mended: relift reconfigure app --restart",
        "see which versions were replaced: less /var/log/dpkg.log",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    assert_eq!(host.must("systemctl show -P ExecMainStatus relift-requests.service"), "4");
    assert_eq!(runs(&host)[0].1, "needs-operator", "{told}");
    assert_eq!(
        (host.must("ls /run/relift/requests"), runs(&host).len()),
        (String::new(), 4),
        "it is not tried for ever"
    );
    assert_eq!(host.answers("runner").as_deref(), Some("1.1.0"));

    // The operator mends the package, and lets relift prove it.
    host.must("dpkg -i /srv/deb/appruntime_1.1.deb");
    host.relift(&["reconfigure", "app", "--restart", "--yes"]).exits(0);
    assert_eq!(host.answers("manager").as_deref(), Some("1.1.0"));
}
