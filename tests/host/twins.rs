//! Twins are whole, apart from their host, and gone afterwards.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use relift::twin::{Disk, Spec, Target, Twin};

use crate::harness::{Host, RELIFT};
use crate::network::Network;

/// Everything of this machine that a twin could change by mistake.
pub fn traces() -> String {
    let script = "find /etc /usr/lib/systemd /var/lib/systemd -xdev -printf '%p %y %m %U:%G %s %T@ %l\\n' | sort | sha256sum
        grep -E 'relift|/tmp/disk' /proc/self/mountinfo; ls -d /tmp/new /run/new /tmp/disk 2>&1; ls -l /dev/null /dev/fuse 2>&1
        hostname; ip -o link | cut -d' ' -f2-3; cat /proc/sys/net/ipv4/ip_forward
        sysctl -a 2>/dev/null | grep -E '^(kernel.(hostname|core_pattern|sysrq|printk)|fs.protected|vm\\.)'";
    let out = Command::new("sh").args(["-c", script]).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

pub fn groups() -> Vec<String> {
    let out = Command::new("find").args(["/sys/fs/cgroup", "-type", "d", "-name", "relift-twin-*"]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn a_twin_can_be_had_here() {
    Twin::possible(RELIFT.as_ref()).unwrap();
}

#[test]
fn the_machine_is_as_before_whatever_a_twin_does() {
    let before = traces();
    let host = Host::boot();
    host.must("echo changed > /etc/passwd.new; rm -r /etc/apt; chmod 600 /dev/null; hostname elsewhere; echo x > /usr/bin/new");
    host.must("ip link add dummy0 type dummy; sysctl -q net.ipv4.ip_forward=1; touch /tmp/new /run/new");
    // Each would set what is already set, should it not be refused.
    host.sh("cat /proc/sys/vm/swappiness > /proc/sys/vm/swappiness").exits(2);
    host.sh("date -s @$(date +%s)").exits(1);
    host.must("systemctl start systemd-tmpfiles-clean.service");
    let bounding = host.must("setpriv --dump | grep '^Capability bounding set'");
    assert!(bounding.contains("sys_admin") && !bounding.contains("sys_time"), "{bounding}");
    let unit = "systemd-run --quiet --wait date -s @$(date +%s)";
    host.sh(unit).exits(1);
    assert_eq!(traces(), before);
    drop(host);
    assert_eq!(traces(), before);
}

#[test]
fn a_twin_leaves_no_process_and_no_group() {
    let host = Host::boot();
    let (init, supervisor) = (host.twin().init(), host.twin().supervisor());
    host.must("systemd-run --quiet sleep 4242");
    let group = format!("relift-twin-{supervisor}");
    assert!(groups().iter().any(|path| path.ends_with(&group)));
    drop(host);
    assert!(!std::path::Path::new(&format!("/proc/{init}")).exists());
    assert!(!groups().iter().any(|path| path.ends_with(&group)), "{:?}", groups());
}

#[test]
fn a_twin_ends_with_whoever_booted_it_however_that_ends() {
    // Its caller goes away without a word: the supervisor tidies up.
    let mut supervisor = supervisor(Command::new(RELIFT).args(["internal", "twin-init"]));
    let init = request_boot(&mut supervisor, &Spec::new("orphan", Target::Own, RELIFT));
    drop(supervisor.stdin.take());
    assert!(supervisor.wait().unwrap().success());
    assert!(!alive(init));
    assert!(groups().iter().all(|path| !path.ends_with(&format!("relift-twin-{}", supervisor.id()))));
}

#[test]
fn a_twin_ends_with_its_supervisor_and_the_next_one_sweeps_up() {
    let mut killed = supervisor(Command::new(RELIFT).args(["internal", "twin-init"]));
    let init = request_boot(&mut killed, &Spec::new("orphan", Target::Own, RELIFT));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while alive(init) {
        assert!(std::time::Instant::now() < deadline, "PID 1 outlives its supervisor");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    drop(Host::boot_as(Target::Own));
    assert!(groups().iter().all(|path| !path.ends_with(&format!("relift-twin-{}", killed.id()))));
}

/// A process that is no zombie has a program.
fn alive(pid: i64) -> bool {
    std::fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

fn supervisor(command: &mut Command) -> std::process::Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_power_cut_keeps_the_disk_and_nothing_else() {
    let left = tempfile::NamedTempFile::new_in("/var/tmp").unwrap();
    let mut host = Host::with_sample();
    host.sh(&format!("test -e {}", left.path().display())).exits(1);
    let old = host.must(
        "cat /etc/machine-id /proc/sys/kernel/random/boot_id; systemctl show -P InvocationID sample-manager.service",
    );
    host.must("echo kept | tee /var/lib/kept > /var/tmp/kept; echo lost > /run/lost; systemd-run --quiet --unit=lost sleep 1000");
    host.cut();
    host.boot_again();
    assert_eq!(host.read("/var/lib/kept"), "kept\n");
    assert_eq!(host.read("/var/tmp/kept"), "kept\n");
    host.sh("test -e /run/lost || systemctl is-active --quiet lost.service").exits(3);
    let new = host.must(
        "cat /etc/machine-id /proc/sys/kernel/random/boot_id; systemctl show -P InvocationID sample-manager.service",
    );
    assert_eq!(old.lines().next(), new.lines().next(), "it is the same machine");
    assert_ne!(old.lines().last(), new.lines().last(), "the service was started anew");
    host.wait_for("curl --silent http://127.0.0.1:18080/healthz && curl --silent http://127.0.0.1:18081/healthz");
    assert_eq!(host.answers("manager").as_deref(), Some("1.0.0"));
    assert_eq!(host.answers("runner").as_deref(), Some("1.0.0"));
}

#[test]
fn twins_do_not_see_each_other_but_over_a_network() {
    let (one, two) = (Host::boot(), Host::boot());
    assert_ne!(one.must("cat /etc/machine-id; hostname"), two.must("cat /etc/machine-id; hostname"));
    one.must("touch /etc/one; systemd-run --quiet --unit=only-one sleep 1000");
    two.sh("test -e /etc/one || systemctl is-active --quiet only-one.service || pgrep -x sleep").exits(1);
    let network = Network::new();
    let (first, second) = (network.join(&one), network.join(&two));
    one.must("systemd-run --quiet python3 -m http.server 8080 -d /etc");
    two.wait_for(&format!("curl --silent --fail --max-time 1 http://{first}:8080/hostname | grep host"));
    two.must(&format!("ip -o addr | grep -q {second}"));
    network.cut(&first);
    two.sh(&format!("curl --silent --max-time 1 http://{first}:8080/")).exits(28);
}

#[test]
fn many_twins_boot_at_once() {
    let names: BTreeSet<String> = std::thread::scope(|scope| {
        let hosts: Vec<_> = (0..8).map(|_| scope.spawn(Host::boot)).collect();
        hosts.into_iter().map(|host| host.join().unwrap().must("hostname; cat /etc/machine-id")).collect()
    });
    assert_eq!(names.len(), 8);
}

#[test]
fn a_disk_in_a_directory_outlives_its_twin() {
    let directory = tempfile::tempdir().unwrap();
    let mut spec = Spec::new("disk", Target::Own, RELIFT);
    spec.disk = Disk::Directory(directory.path().to_owned());
    let twin = Twin::boot(spec.clone()).unwrap();
    twin.command(["sh", "-c", "echo kept > /etc/kept"]).succeed().unwrap();
    twin.down().unwrap();
    let twin = Twin::boot(spec).unwrap();
    assert_eq!(twin.command(["cat", "/etc/kept"]).succeed().unwrap().text(), "kept");
}

#[test]
fn a_disk_in_memory_can_be_small() {
    let mut spec = Spec::new("small", Target::Own, RELIFT);
    spec.disk = Disk::Memory(Some(512 << 20));
    let twin = Twin::boot(spec).unwrap();
    let out = twin.command(["dd", "if=/dev/zero", "of=/var/fill", "bs=1M", "count=1024"]).output().unwrap();
    assert!(out.stderr.concat().contains("No space left on device"), "{:?}", out.stderr);
}

#[test]
fn a_twin_that_does_not_boot_says_why() {
    let mut spec = Spec::new("broken", Target::Own, RELIFT);
    spec.files.push(relift::twin::Copy { from: "/nonexistent".into(), to: "/etc/x".into(), mode: 0o644 });
    assert!(Twin::boot(spec).unwrap_err().to_string().contains("/nonexistent cannot be opened: No such file"));
    let host = Host::boot();
    let broken = "[Service]\nType=oneshot\nExecStart=/bin/false\n[Install]\nWantedBy=multi-user.target\n";
    host.write("/etc/systemd/system/broken.service", broken, 0o644, "root:root");
    host.must("systemctl enable --quiet broken.service");
    let mut host = host;
    // On a host like any other a failed unit is no reason not to be up.
    host.boot_again();
    assert_eq!(host.sh("systemctl is-system-running").stdout, "degraded\n");
}

#[test]
fn where_a_twin_cannot_be_had_one_sentence_says_why() {
    let host = Host::boot();
    let probe =
        |prefix: &str| host.sh(&format!("echo '\"Probe\"' | {prefix} relift internal twin-init")).exits(0).stdout;
    assert!(probe("").contains("Done"), "{}", probe(""));
    let refused = probe("setpriv --bounding-set=-sys_admin");
    assert!(
        refused.contains("this process may not make namespaces of its own")
            && refused.contains("unprivileged container"),
        "{refused}"
    );
    host.must("mount -t tmpfs none /usr/lib/systemd");
    assert!(probe("").contains("this host has no systemd"), "{}", probe(""));
}

/// What a host may have that must not start in a twin of it.
const PLANTED: &str = r#"
set -e
mark() { printf '#!/bin/sh\necho "$0 $*" >> /var/log/marks\n' > "$1"; chmod 755 "$1"; }
mkdir -p /opt/planted; mark /opt/planted/mark
cd /etc/systemd/system
printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/opt/planted/mark service\n[Install]\nWantedBy=multi-user.target\n' > p-service.service
printf '[Service]\nExecStart=/opt/planted/mark timed\n' > p-timed.service
printf '[Timer]\nOnBootSec=0\nOnActiveSec=0\n[Install]\nWantedBy=timers.target\n' > p-timed.timer
printf '[Socket]\nListenStream=127.0.0.1:4242\n[Install]\nWantedBy=sockets.target\n' > p-socket.socket
printf '[Service]\nExecStart=/opt/planted/mark socket\n' > p-socket.service
printf '[Path]\nPathExists=/etc\n[Install]\nWantedBy=paths.target\n' > p-path.path
printf '[Service]\nExecStart=/opt/planted/mark path\n' > p-path.service
printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/opt/planted/mark early\n' > /usr/lib/systemd/system/p-vendor.service
mkdir -p /usr/lib/systemd/system/sysinit.target.wants /usr/lib/systemd/system/basic.target.wants
ln -s ../p-vendor.service /usr/lib/systemd/system/sysinit.target.wants/
ln -s ../p-vendor.service /usr/lib/systemd/system/basic.target.wants/
for unit in systemd-logind.service dbus.service systemd-journald.service user@.service; do
  mkdir -p $unit.d; printf '[Service]\nExecStartPost=-/opt/planted/mark drop-in %s\n' $unit > $unit.d/p.conf; done
mkdir -p multi-user.target.d; printf '[Unit]\nWants=p-timed.service\n' > multi-user.target.d/p.conf
systemctl --quiet enable p-service.service p-timed.timer p-socket.socket p-path.path
printf '#!/bin/sh\n### BEGIN INIT INFO\n# Provides: p-sysv\n# Required-Start:\n# Required-Stop:\n# Default-Start: 2 3 4 5\n# Default-Stop:\n### END INIT INFO\n/opt/planted/mark sysv\n' > /etc/init.d/p-sysv
chmod 755 /etc/init.d/p-sysv; for level in 2 3 4 5; do ln -s ../init.d/p-sysv /etc/rc$level.d/S01p-sysv; done
printf '#!/bin/sh\n/opt/planted/mark rc-local\n' > /etc/rc.local; chmod 755 /etc/rc.local
mkdir -p /etc/systemd/system-generators /usr/local/lib/systemd/system-generators /etc/systemd/user-generators
for d in /etc/systemd/system-generators /usr/local/lib/systemd/system-generators /etc/systemd/user-generators; do mark $d/p-generator; done
mkdir -p /etc/cron.d; echo '* * * * * root /opt/planted/mark cron' > /etc/cron.d/p
echo 'tmpfs /srv tmpfs defaults 0 0' >> /etc/fstab
mkdir -p /etc/tmpfiles.d; echo 'f /var/log/tmpfiles-mark' > /etc/tmpfiles.d/p.conf
useradd -m lingerer; mkdir -p /var/lib/systemd/linger; touch /var/lib/systemd/linger/lingerer
mkdir -p /home/lingerer/.config/systemd/user/default.target.wants /etc/systemd/user/default.target.wants /usr/lib/systemd/user/default.target.wants
printf '[Service]\nExecStart=/bin/sh -c "echo user >> /tmp/user-marks"\n' | tee /home/lingerer/.config/systemd/user/p-user.service /etc/systemd/user/p-global.service > /usr/lib/systemd/user/p-vendor.service
ln -s ../p-user.service /home/lingerer/.config/systemd/user/default.target.wants/
ln -s ../p-global.service /etc/systemd/user/default.target.wants/
ln -s ../p-vendor.service /usr/lib/systemd/user/default.target.wants/
chown -R lingerer: /home/lingerer
rm -f /var/log/marks
"#;

/// Every unit that may be active in a twin of its own target, besides mounts and slices.
const ALLOWED: [&str; 21] = [
    "basic.target",
    "dbus.service",
    "dbus.socket",
    "dbus-broker.service",
    "init.scope",
    "local-fs-pre.target",
    "local-fs.target",
    "multi-user.target",
    "paths.target",
    "relift-twin.target",
    "remote-fs.target",
    "slices.target",
    "sockets.target",
    "swap.target",
    "sysinit.target",
    "systemd-journald-dev-log.socket",
    "systemd-journald.service",
    "systemd-journald.socket",
    "systemd-logind.service",
    "systemd-user-sessions.service",
    "timers.target",
];

#[test]
fn nothing_of_the_host_starts_in_a_twin_of_its_own_target() {
    let outer = Host::boot();
    outer.must(PLANTED);
    // What was planted does start where it belongs: a test that could not fail would prove nothing.
    let mut outer = outer;
    outer.boot_again();
    outer.wait_for("grep -q service /var/log/marks && grep -q early /var/log/marks && grep -q drop-in /var/log/marks");
    outer.must("test -e /var/log/tmpfiles-mark; rm -f /var/log/marks /var/log/tmpfiles-mark");

    let mut parent = supervisor(&mut outer.twin().attached(["relift", "internal", "twin-init"]));
    let init = request_boot(&mut parent, &Spec::new("inner", Target::Own, "/usr/bin/relift"));
    let inner = |script: &str| {
        let enter = format!("nsenter -t {init} -m -u -i -n -p -C -r -w --");
        outer.run(&[enter.split(' ').collect::<Vec<_>>(), vec!["sh", "-c", script]].concat(), b"")
    };
    assert_eq!(
        inner("until [ -S /run/dbus/system_bus_socket ]; do sleep 0.05; done; systemctl is-system-running --wait")
            .exits(0)
            .stdout,
        "running\n"
    );
    // A user manager in it is as empty.
    inner("useradd -m fresh && loginctl enable-linger fresh && until [ -S /run/user/$(id -u fresh)/bus ]; do sleep 0.1; done").exits(0);
    let list = "list-units --all --state=active,activating,failed --plain --no-legend --no-pager";
    let units = inner(&format!("systemctl {list}")).exits(0).stdout;
    let own = |unit: &str| {
        ALLOWED.contains(&unit) || unit.ends_with(".mount") || unit.ends_with(".slice") || unit.starts_with("user")
    };
    let foreign: Vec<_> =
        names(&units).filter(|unit| !own(unit) && *unit != "systemd-tmpfiles-setup.service").collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let user = "runuser -u fresh -- env XDG_RUNTIME_DIR=/run/user/$(id -u fresh) systemctl --user";
    let units = inner(&format!("{user} {list} --type=service,timer,socket,path")).exits(0).stdout;
    assert_eq!(names(&units).collect::<Vec<_>>(), ["dbus.socket"]);
    inner("test -e /var/log/marks").exits(1);
    inner("test -e /tmp/user-marks").exits(1);
    inner("test -e /var/log/tmpfiles-mark").exits(1);
    inner("findmnt --types tmpfs /srv").exits(1);
    assert_eq!(inner("ls /run/user").stdout.lines().count(), 1, "only the fresh account has a user manager");
    assert_eq!(inner("ip -o link").stdout.lines().count(), 1);
    assert!(inner("ip -o addr show lo").stdout.contains("127.0.0.1"));
    drop(parent.stdin.take());
    assert!(parent.wait().unwrap().success());
    outer.sh("test -e /var/log/marks").exits(1);
}

fn names(listing: &str) -> impl Iterator<Item = &str> {
    listing.lines().filter_map(|line| line.split_whitespace().next())
}

/// Speaks to a supervisor as the library does; the pid of PID 1 as the supervisor sees it.
fn request_boot(supervisor: &mut std::process::Child, spec: &Spec) -> i64 {
    let mut replies = BufReader::new(supervisor.stdout.as_mut().unwrap()).lines();
    let stdin = supervisor.stdin.as_mut().unwrap();
    writeln!(stdin, "{}\n\"Boot\"", serde_json::json!({ "Setup": spec })).unwrap();
    stdin.flush().unwrap();
    let mut reply = || serde_json::from_str::<serde_json::Value>(&replies.next().unwrap().unwrap()).unwrap();
    assert_eq!(reply()["Done"], 0);
    let booted = reply();
    booted["Done"].as_i64().unwrap_or_else(|| panic!("no boot: {booted}"))
}
