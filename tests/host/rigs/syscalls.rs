//! SIGKILL at each system call that changes something: of the engine, of the recovery, of git, of the steps.
//!
//! strace(1) counts the calls in a run that nobody kills, and then kills at each of them on its entry: what the call before
//! did is there, what this one does is not. Between two such calls nothing changes, so these are all states that there are.

use std::collections::BTreeMap;
use std::thread;

use super::bed::{Bed, FAIL, ROLLBACK, UPGRADE, hosts};
use super::dice::Dice;
use super::figures::{Ended, Figure, rounds, seed};
use crate::crash::killed;
use crate::harness::needs;

/// What changes files, or asks another process to. A call that opens a file to make it changes nothing but by the calls
/// that follow, which are here.
const CALLS: &str = "write,pwrite64,writev,fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,unlink,unlinkat,\
rmdir,mkdir,mkdirat,symlink,symlinkat,chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,setxattr,fsetxattr,lsetxattr,\
ftruncate,utimensat,copy_file_range,sendmsg,connect,clone,clone3,vfork,execve";

/// Who is killed, and while it does what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    /// The engine of an upgrade, from its first record after *prepare* on.
    Upgrade,
    /// The engine of an upgrade that fails, from the beginning of its undo on.
    Undo,
    /// The engine of a rollback, from its first record after *prepare* on.
    Rollback,
    /// Recovery, from its beginning on.
    Recovery,
    /// git or a step, in an upgrade.
    Child,
}

/// A call of a victim: its name, and how often it was made before.
#[derive(Debug, Clone)]
struct Point {
    victim: Victim,
    /// The git verb, `step`, or nothing for an engine.
    of: String,
    call: String,
    number: usize,
}

/// Stands before git and before the steps: says what they call, or kills them where `/tmp/inject` says, with their engine
/// where `/tmp/engine-too` is there.
const WRAPPER: &str = r#"
# A git that a traced one starts is traced with it.
grep -q '^TracerPid:.0$' /proc/$$/status || exec "$@"
[ -e /tmp/counting ] && exec strace -f -qq -o "$(mktemp /tmp/traces/$of.XXXXXX)" -e trace=$(cat /tmp/counting) "$@"
[ "$(cat /tmp/inject-of 2>/dev/null)" = "$of" ] || exec "$@"
strace -f -qq -o /dev/null $(cat /tmp/inject) "$@"; code=$?
if [ $code -ge 128 ] || [ -e /tmp/traces/none ]; then
  : > /tmp/inject-of; echo hit > /tmp/hit
  [ -e /tmp/engine-too ] && { echo 1 > /sys/fs/cgroup/rig/cgroup.kill; sleep 60; }
fi
exit $code
"#;

#[test]
fn an_engine_killed_at_any_system_call_of_a_switch_of_its_undo_or_of_recovery_leaves_nothing_between() {
    // Each takes six seconds or so, and neighbours differ little: all would take hours.
    let figure = Figure::new("system calls, engine", "SIGKILL at every third system call", "run and recovery");
    sweep(figure, engine_points, rounds(5, usize::MAX), 3);
}

#[test]
fn a_git_or_a_step_killed_at_any_system_call_leaves_nothing_between() {
    let figure =
        Figure::new("system calls, children", "SIGKILL of git or a step at each system call", "run and recovery");
    sweep(figure, child_points, rounds(6, usize::MAX), 1);
}

/// Kills at `most` of the points, and of all of them at every `step`th.
fn sweep(mut figure: Figure, find: fn(&Bed) -> Vec<Point>, most: usize, step: usize) {
    needs(&[("strace", "strace")]);
    let hosts = hosts(most);
    let figures: Vec<(Figure, usize, usize)> = thread::scope(|scope| {
        let hosts: Vec<_> =
            (0..hosts).map(|share| scope.spawn(move || swept((share, hosts), find, most, step))).collect();
        hosts.into_iter().map(|host| host.join().unwrap()).collect()
    });
    let (points, struck) = (figures[0].1, figures.iter().map(|(.., struck)| struck).sum::<usize>());
    figures.into_iter().for_each(|(one, ..)| figure.add(one));
    println!("{} of {struck} kills hit, of {points} points", figure.times());
    assert!(points > 50, "only {points} points were found: the release is not rich any more");
    figure.publish();
    // How often a call is made differs a little from run to run.
    assert!(figure.times() * 10 >= struck * 8, "only {} of {struck} kills hit", figure.times());
}

/// The points of one host's share, killed at; how many there are for all, and how many were tried here.
fn swept(
    (share, hosts): (usize, usize),
    find: fn(&Bed) -> Vec<Point>,
    most: usize,
    step: usize,
) -> (Figure, usize, usize) {
    let bed = wrapped();
    let points = find(&bed);
    let all = points.len();
    let chosen: Vec<Point> = match most < all / step {
        true => {
            // Shares of the whole, so that each kind of victim has its turn.
            let mut dice = Dice::new(seed());
            let size = all as f64 / most as f64;
            let mut place = |turn: usize| (turn as f64 + dice.below(1000) as f64 / 1000.0) * size;
            (0..most).map(&mut place).map(|place| points[(place as usize).min(all - 1)].clone()).collect()
        }
        false => points.into_iter().step_by(step).collect(),
    };
    let (mut figure, mut struck) = (Figure::new("", "", ""), 0);
    for (at, point) in chosen.iter().enumerate().filter(|(at, _)| at % hosts == share) {
        bed.calm();
        let ended = strike(&bed, point, at / hosts % 2 == 0);
        if most > 30 {
            println!("{at} of {}: {point:?}: {ended:?}", chosen.len());
        }
        struck += 1;
        let Some(ended) = ended.transpose() else { continue };
        let is_wrong = ended.is_err();
        figure.count(ended.map_err(|wrong| format!("{point:?}: {wrong}")));
        if is_wrong {
            break;
        }
    }
    (figure, all, struck)
}

/// A bed whose git and steps can be counted and killed.
fn wrapped() -> Bed {
    let bed = Bed::new();
    let git = r#"of=none; for word in "$@"; do case $word in merge|sparse-checkout|reset|tag|update-ref|fetch) of=$word; break ;; esac; done
set -- /usr/bin/git "$@""#;
    bed.host.must("mkdir -m 1777 /tmp/traces");
    bed.host.write("/usr/local/bin/git", format!("#!/bin/sh\n{git}\n{WRAPPER}"), 0o755, "root:root");
    bed.host.write("/usr/local/bin/step", format!("#!/bin/sh\nof=step\n{WRAPPER}"), 0o755, "root:root");
    bed.host.must(
        r#"sed -i 's|"sh", "scripts/build.sh"|"/usr/local/bin/step", "sh", "scripts/build.sh"|' /etc/relift/app.toml"#,
    );
    bed
}

/// The calls of git and of the steps, as an upgrade that nobody kills makes them.
fn child_points(bed: &Bed) -> Vec<Point> {
    bed.host.must(&format!("echo {CALLS} > /tmp/counting"));
    bed.host.sh(&format!("relift {UPGRADE}")).exits(0);
    bed.host.must("rm /tmp/counting");
    let calls = |of: &'static str| {
        let traces = bed.host.must(&format!("cat /tmp/traces/{of}.* 2>/dev/null || true"));
        between(Victim::Child, of, &BTreeMap::new(), &counts(traces.lines(), true))
    };
    ["merge", "sparse-checkout", "tag", "update-ref", "step"].into_iter().flat_map(calls).collect()
}

/// The calls of every engine, as runs that nobody kills make them.
fn engine_points(bed: &Bed) -> Vec<Point> {
    let mut points = traced(bed, Victim::Upgrade, UPGRADE, "prepared.json", 0);
    points.extend(traced(bed, Victim::Rollback, ROLLBACK, "prepared.json", 0));
    points.extend(traced(bed, Victim::Undo, FAIL, "abort.json", 3));
    interrupted(bed);
    points.extend(traced(bed, Victim::Recovery, "recover app", "execve", 0));
    points
}

/// The calls that an engine makes after the first one that names `from`.
fn traced(bed: &Bed, victim: Victim, arguments: &str, from: &str, code: i32) -> Vec<Point> {
    bed.calm();
    bed.begin(&format!("exec strace -qq -s 300 -o /tmp/trace -e trace={CALLS}"), arguments).ended().exits(code);
    let trace = bed.host.read("/tmp/trace");
    let lines: Vec<&str> = trace.lines().collect();
    let begins = lines.iter().rposition(|line| line.contains(from) && (line.starts_with("rename") || from == "execve"));
    let begins = begins.unwrap_or_else(|| panic!("{arguments} did not come to {from}"));
    between(victim, "", &counts(lines[..=begins].iter().copied(), false), &counts(lines.iter().copied(), false))
}

/// How often each call was made by the process that made it most.
fn counts<'a>(lines: impl Iterator<Item = &'a str>, has_pid: bool) -> BTreeMap<String, usize> {
    let mut each: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in lines {
        let (pid, rest) = if has_pid { line.split_once(' ').unwrap_or_default() } else { ("", line) };
        if let Some((call, _)) = rest.trim_start().split_once('(')
            && call.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            *each.entry((pid, call)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in each {
        let known: &mut usize = most.entry(call.to_owned()).or_default();
        *known = (*known).max(count);
    }
    most
}

fn between(victim: Victim, of: &str, before: &BTreeMap<String, usize>, all: &BTreeMap<String, usize>) -> Vec<Point> {
    let point = |call: &String, number| Point { victim, of: of.to_owned(), call: call.clone(), number };
    let numbers = |(call, count): (&String, &usize)| {
        let first = before.get(call).copied().unwrap_or_default() + 1;
        (first..=*count).map(|number| point(call, number)).collect::<Vec<_>>()
    };
    all.iter().flat_map(numbers).collect()
}

/// An upgrade that died after both its services were restarted.
fn interrupted(bed: &Bed) {
    bed.calm();
    killed(&bed.host, "before-00028", UPGRADE).exits(137);
}

/// Kills at a point; `None` where the run came past it. A child's engine dies with it where `engine_too` says so.
fn strike(bed: &Bed, point: &Point, engine_too: bool) -> Result<Option<Ended>, String> {
    let Point { victim, of, call, number } = point;
    let at = bed.judge().map_err(|wrong| format!("before it: {wrong}"))?;
    let wanted = if *victim == Victim::Rollback { Ended::New } else { Ended::Old };
    if at != wanted {
        let back = if at == Ended::New { ROLLBACK } else { UPGRADE };
        bed.host.sh(&format!("relift {back}")).exits(0);
        bed.calm();
    }
    let inject = format!("-e trace={call} -e inject={call}:signal=KILL:when={number}");
    let (script, arguments) = match victim {
        Victim::Child => {
            let engine = if engine_too {
                "touch /tmp/engine-too; chmod 666 /sys/fs/cgroup/rig/cgroup.kill"
            } else {
                "rm -f /tmp/engine-too"
            };
            bed.host.must(&format!(
                "rm -f /tmp/hit; mkdir -p /sys/fs/cgroup/rig; echo '{inject}' > /tmp/inject; echo {of} > /tmp/inject-of; chmod 666 /tmp/inject-of; {engine}"
            ));
            ("exec".to_owned(), UPGRADE)
        }
        Victim::Recovery => {
            interrupted(bed);
            (format!("exec strace -qq -o /dev/null {inject}"), "recover app")
        }
        Victim::Upgrade | Victim::Rollback | Victim::Undo => {
            let run = [UPGRADE, ROLLBACK, FAIL]
                [[Victim::Upgrade, Victim::Rollback, Victim::Undo].iter().position(|known| known == victim).unwrap()];
            (format!("exec strace -qq -o /dev/null {inject}"), run)
        }
    };
    let out = bed.begin(&script, arguments).ended();
    bed.host.must("rm -f /tmp/inject-of /tmp/engine-too");
    let is_hit = out.code == 137 || bed.host.sh("test -e /tmp/hit").code == 0;
    let ended = match out.code {
        // Who lives on puts everything back by itself.
        3 => bed.judge().and_then(|ended| match ended {
            Ended::Old => Ok(ended),
            _ => Err(format!("{ended:?} after exit 3\n")),
        }),
        0 => bed.judge(),
        _ => bed.recovered(),
    };
    ended.map(|ended| is_hit.then_some(ended)).map_err(|wrong| format!("{wrong}\nafter {out}"))
}
