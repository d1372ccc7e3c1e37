//! A whole upgrade and a rollback beside the same by hand, and the time without service.

use std::cell::RefCell;
use std::path::Path;

use relift::sample::{Release, Site};

use crate::Effort;
use crate::clock::{Sample, Task, duel, host_on};
use crate::harness::Host;
use crate::table::{Row, Target};

const MANIFEST: &str = "/etc/relift/app.toml";
const PORT: u16 = 18080;

/// What an administrator types, or has in a script.
const BY_HAND: &str = r#"
(cd /opt/app && setpriv --reuid=app --regid=app --init-groups env HOME=/home/app git pull --quiet --ff-only)
echo build
(cd /opt/app/manager && setpriv --reuid=app --regid=app --init-groups env HOME=/home/app sh scripts/build.sh >/dev/null)
echo built
cp /opt/app/manager/production/sample-manager.service /etc/systemd/system/
systemctl daemon-reload
echo restart
systemctl restart sample-manager.service
echo restarted
"#;

/// The same with what Relift never leaves out: a timer that would undo it, the unit verified before it is installed, the build
/// saved, what was written made durable, the way back tagged.
const WITH_CARE: &str = r#"
systemd-run --quiet --unit=way-back --on-active=1h true
as="setpriv --reuid=app --regid=app --init-groups env HOME=/home/app"
cd /opt/app
$as git fetch --quiet
new=$($as git rev-parse '@{upstream}')
rm -rf /var/tmp/new
install -d -o app /var/tmp/new
$as git archive $new manager | $as tar -x -C /var/tmp/new
systemd-analyze verify --man=no /var/tmp/new/manager/production/sample-manager.service
$as tar -cf - manager/build >/var/tmp/build.tar
sync -f /opt/app
$as git tag --force before
$as git merge --quiet --ff-only $new
sync -f /opt/app
echo build
(cd manager && $as sh scripts/build.sh >/dev/null)
echo built
sync -f /opt/app
cp manager/production/sample-manager.service /etc/systemd/system/
sync -f /etc/systemd/system
systemctl daemon-reload
echo restart
systemctl restart sample-manager.service
echo restarted
$as git tag --force known-good
systemctl stop way-back.timer
"#;

/// The guide's way back: stop, checkout, sync, start, and see that it answers.
const BACK_BY_HAND: &str = r#"
systemctl stop sample-manager.service
cd /opt/app
as="setpriv --reuid=app --regid=app --init-groups env HOME=/home/app"
$as git checkout --quiet known-good/before
(cd manager && $as sh scripts/build.sh)
cp manager/production/sample-manager.service /etc/systemd/system/
systemctl daemon-reload
systemctl start sample-manager.service
until curl --silent --output /dev/null http://127.0.0.1:18080/; do sleep 0.01; done
"#;

/// What no way back to another unit file can leave out, and as long as a release that was proven once is watched again.
const BACK_AT_LEAST: &str = "systemctl daemon-reload; systemctl restart sample-manager.service; sleep 0.25";

/// What `make sync` is to a Python application: its dependencies, compiled.
const SYNC: &str = "#!/bin/sh
set -eu
rm -rf build; mkdir build
for package in PACKAGES; do cp -r /usr/lib/python3*/$package build/; done
python3 -m compileall -q -f build
cp VERSION build/version
";

pub fn measure(effort: Effort) -> Vec<Row> {
    let mut rows = whole(effort);
    rows.push(activated(effort));
    rows.extend(back(effort));
    rows
}

/// One component with a unit, no `.env` to merge.
fn host(disk: &Path, first: impl FnOnce(Release) -> Release) -> Host {
    let mut host = host_on(disk);
    let mut site = Site::new("app");
    site.soak = 0;
    host.settle(site, first);
    let manifest = host.read(MANIFEST);
    let (head, tail) = manifest.split_once("[[component]]").unwrap();
    let (manager, rest) = tail.split_once("[[component]]").unwrap();
    let policy = rest.split_once("[policy]").unwrap().1;
    host.write(MANIFEST, format!("{head}[[component]]{manager}[policy]{policy}"), 0o644, "root");
    host
}

fn next(release: Release) -> Release {
    let number: u32 = release.version.rsplit('.').next().unwrap().parse().unwrap();
    let limit = format!("LimitNOFILE={}", 4096 + number);
    let change = move |unit: String| {
        let lines = unit.lines().filter(|line| !line.starts_with("LimitNOFILE"));
        lines
            .map(|line| format!("{line}\n"))
            .collect::<String>()
            .replace("[Service]\n", &format!("[Service]\n{limit}\n"))
    };
    release.next(&format!("1.0.{}", number + 1)).edit("manager/production/sample-manager.service", change)
}

/// What a run took without what the operator declared (steps and checks) and without the waits for the service: its restart, and
/// the gate, which watches it for as long as it takes to be believed.
fn own(sample: &Sample) -> f64 {
    let step = |what: &str| {
        let took = sample.between(&format!(r#"start","what":"{what}"#), &format!(r#"done","what":"{what}"#));
        assert!(took > 0.0, "{what}: {:#?}", sample.lines);
        took
    };
    let gate = sample.between(r#""phase":"gate""#, r#""phase":"commit""#);
    // What is done beside the check is ours.
    let check = step("manager: check");
    let beside = sample.between(r#"start","what":"manager: check"#, r#"done","what":"save manager/build"#).min(check);
    sample.wall - step("manager: build") - (check - beside) - step("restart") - gate
}

fn whole(effort: Effort) -> Vec<Row> {
    let disks = [tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap()];
    let [with, without] = disks.each_ref().map(|disk| RefCell::new(host(disk.path(), |first| first)));
    without.borrow().must("git config --system --add safe.directory '*'");
    let upgrade = Task::new(&["relift", "upgrade", "app", "--yes", "--json"]).probing(PORT);
    let restart = Task::sh("systemctl restart sample-manager.service").probing(PORT);
    // The first run of an install makes its mirror and its deadman; it is not what is repeated every week.
    let writes = durable_writes(&mut with.borrow_mut());
    let by_script = |task: &Task| {
        let mut without = without.borrow_mut();
        without.release(next);
        let sample = task.exits(0, &without);
        calm(&without);
        without_steps(&sample)
    };
    let (by_hand, with_care) = (Task::sh(BY_HAND).probing(PORT), Task::sh(WITH_CARE));
    let mut gaps = Vec::new();
    // A gap is as long as two or three slices of the scheduler: its median takes more of them.
    let rounds = if effort.is_short { effort.rounds } else { 2 * effort.rounds };
    let [ours, script, careful, floor, bare] = duel(
        rounds,
        [
            &mut || {
                let mut with = with.borrow_mut();
                with.release(next);
                let sample = upgrade.exits(0, &with);
                gaps.push(sample.gap);
                calm(&with);
                own(&sample)
            },
            &mut || by_script(&by_hand),
            &mut || by_script(&with_care),
            &mut || writes.exits(0, &with.borrow()).wall,
            &mut || {
                let without = without.borrow();
                let gap = restart.exits(0, &without).gap;
                calm(&without);
                gap
            },
        ],
    );
    let scripted = "`git pull`, `cp`, `daemon-reload`, `restart` in a script";
    let taken_care =
        "that script with a timer that undoes, `systemd-analyze verify`, a saved build, tags and `sync -f`";
    let name = "upgrade without steps, restart and gate";
    let row = |against, target, theirs| Row::new(name, against, "ms", target, [ours.clone(), theirs]);
    vec![
        row(scripted, Target::Ratio(1.3), script.clone()),
        row(taken_care, Target::Limit, careful),
        Row::new(&format!("{name}, alone"), scripted, "ms", Target::AtMost(300.0), [ours.clone(), script]),
        row("as many durable writes to this disk, and nothing else", Target::Limit, floor),
        Row::new("time without service in an upgrade", "`systemctl restart`", "ms", Target::Ratio(1.05), [gaps, bare]),
    ]
}

/// The same of a script.
fn without_steps(sample: &Sample) -> f64 {
    sample.wall - sample.between("build", "built") - sample.between("restart", "restarted")
}

/// What the durability of an upgrade costs by itself: as many writes of a block as it and its children make something durable,
/// each waited for.
fn durable_writes(host: &mut Host) -> Task {
    host.release(next);
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    calm(host);
    host.release(next);
    host.must("strace -f -qq -o /tmp/syncs -e trace=fsync,fdatasync,syncfs relift upgrade app --yes >/dev/null");
    calm(host);
    let count = host.must("grep -Ec '(fsync|fdatasync|syncfs)\\(' /tmp/syncs");
    eprintln!("-- an upgrade makes something durable {count} times");
    Task::sh(&format!(
        "cd /var/lib/relift; dd if=/dev/zero of=floor bs=4k count={count} oflag=dsync 2>/dev/null; rm floor"
    ))
}

fn calm(host: &Host) {
    host.must("systemctl reset-failed");
}

/// Behind a socket unit nothing is refused while the service is replaced.
fn activated(effort: Effort) -> Row {
    let disk = tempfile::tempdir_in("/var/tmp").unwrap();
    let socket = "[Socket]\nListenStream=127.0.0.1:18080\n[Install]\nWantedBy=sockets.target\n";
    let mut host = host(disk.path(), |first| first);
    let unit =
        "\n[[component.unit]]\nfile = \"production/sample-manager.socket\"\nscope = \"system\"\n[[component.unit]]";
    let manifest = host.read(MANIFEST).replacen("\n[[component.unit]]", unit, 1);
    host.write(MANIFEST, manifest, 0o644, "root");
    host.release(|release| {
        let path = "manager/production/sample-manager.service";
        let release = release.edit(path, |text| text.replace("[Service]\n", "[Service]\nType=notify\n"));
        next(release).behaviour("manager", "hand-over").file("manager/production/sample-manager.socket", socket)
    });
    let upgrade = Task::new(&["relift", "upgrade", "app", "--yes", "--json"]).probing(PORT);
    upgrade.exits(0, &host);
    let restart = Task::sh("systemctl restart sample-manager.service").probing(PORT);
    let [ours, theirs] = duel(
        effort.rounds.min(5),
        [
            &mut || {
                host.release(next);
                let refused = upgrade.exits(0, &host).refused as f64;
                calm(&host);
                refused
            },
            &mut || 0.0,
        ],
    );
    let mut theirs = theirs;
    for figure in &mut theirs {
        *figure = restart.exits(0, &host).refused as f64;
        calm(&host);
    }
    let name = "connections refused in an upgrade, socket activation";
    Row::new(name, "`systemctl restart`", "refused", Target::AtMost(0.0), [ours, theirs])
}

/// There and back again, each round: the way there is not timed.
fn back(effort: Effort) -> [Row; 2] {
    let disks = [tempfile::tempdir_in("/var/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap()];
    let packages = if effort.is_short { "json" } else { "asyncio unittest email http xml logging json concurrent" };
    let sync = SYNC.replace("PACKAGES", packages);
    let first = |release: Release| release.program("manager/scripts/build.sh", &sync);
    let [mut with, mut without] = disks.each_ref().map(|disk| host(disk.path(), first));
    without
        .must("git config --system --add safe.directory '*'; runuser -u app -- git -C /opt/app tag known-good/before");
    let new = without.release(next);
    with.release(next);
    let there = format!("cd /opt/app; git fetch --quiet; git checkout --quiet {new}; cd manager; sh scripts/build.sh");
    let (there, by_hand, at_least) = (Task::sh(&there).of("app"), Task::sh(BACK_BY_HAND), Task::sh(BACK_AT_LEAST));
    let rollback = Task::new(&["relift", "rollback", "app", "--yes"]);
    let without = RefCell::new(without);
    let [ours, theirs, at_least] = duel(
        effort.rounds,
        [
            &mut || {
                with.relift(&["upgrade", "app", "--yes"]).exits(0);
                calm(&with);
                let time = rollback.exits(0, &with).wall;
                calm(&with);
                time
            },
            &mut || {
                let without = without.borrow();
                there.exits(0, &without);
                without.must("systemctl restart sample-manager.service");
                let time = by_hand.exits(0, &without).wall;
                calm(&without);
                time
            },
            &mut || {
                let without = without.borrow();
                let time = at_least.exits(0, &without).wall;
                calm(&without);
                time
            },
        ],
    );
    let name = "rollback, gate included";
    let limit = "`daemon-reload`, `restart`, and 0.25 s of watching alone";
    [
        Row::new(name, "stop, checkout, sync, start by hand", "ms", Target::Ratio(0.5), [ours.clone(), theirs]),
        Row::new(name, limit, "ms", Target::Limit, [ours, at_least]),
    ]
}
