//! Errors of the disk: ENOSPC, EIO, EDQUOT and EROFS at every call by which the engine, and git in the checkout, write.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::disk::Kind;
use super::figures::{Ended, Figure, rounds, seed};
use super::power::{Bench, TOGETHER};
use crate::harness::{Out, needs};

const ERRORS: [&str; 4] = ["ENOSPC", "EIO", "EDQUOT", "EROFS"];
/// What writes: data, durability, names.
const CALLS: &str = "write,pwrite64,writev,copy_file_range,fsync,fdatasync,syncfs,rename,renameat,renameat2,mkdir,mkdirat,\
                     link,linkat,symlink,symlinkat,unlink,unlinkat,fchmod,fchown,fchownat,fsetxattr,ftruncate,openat,openat2";
/// What git runs that writes to the checkout or the mirror.
const GIT: [&str; 8] =
    ["merge", "sparse-checkout", "reset", "index-pack", "update-ref", "update-index", "fetch", "init"];

/// git, in one of whose calls is an error when `/tmp/inject` says so: the word that names the command, and strace's options.
const WRAPPER: &str = r#"#!/bin/sh
if [ -r /tmp/inject ]; then
  read -r word rest < /tmp/inject
  case " $* " in *" $word "*) exec strace -f -o /dev/null $rest /usr/bin/git "$@" ;; esac
fi
exec /usr/bin/git "$@"
"#;

/// A call of the engine's main thread: its name, which one of that name it is, and what it did.
type Point = (String, usize, String);

/// The calls of a whole run that write to a file, each with its place among those of its name.
fn points(bench: &Bench) -> Vec<Point> {
    bench.host.must(&format!(
        "systemctl reset-failed; strace -y -s 16 -o /tmp/trace -e trace={CALLS} -e signal=none relift upgrade app --yes"
    ));
    let trace = bench.host.read("/tmp/trace");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((name, rest)) = line.split_once('(') else { continue };
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let is_read = name.starts_with("openat") && !rest.contains("O_CREAT");
        let is_elsewhere = ["<pipe:", "<socket:", "<anon_inode", "</dev/", "</memfd", "</proc", "<UNIX", "1<", "2<"];
        let first = rest.split(',').next().unwrap_or(rest);
        // The last two are where it reports to.
        let is_elsewhere = is_elsewhere.iter().any(|kind| match kind.len() {
            2 => first.starts_with(kind),
            _ => first.contains(kind),
        });
        if !is_read && !is_elsewhere && !line.contains("= ?") {
            points.push((name.to_owned(), *count, line.to_owned()));
        }
    }
    points
}

/// What is wrong with how a run with an error ended; then recovery, which knows no error any more.
fn judged(bench: &Bench, out: &Out) -> Result<Ended, String> {
    let before_recovery = match out.code {
        0 | 1 | 3 => Some(bench.ended()?),
        4 => None,
        code => return Err(format!("exit {code}")),
    };
    match (out.code, before_recovery) {
        (0, Some(Ended::New)) | (1 | 3, Some(Ended::Old)) | (4, _) => {}
        (code, ended) => return Err(format!("exit {code}, and the state is {ended:?}")),
    }
    bench.promised()?;
    if out.code == 4 && !out.stderr.contains("relift recover") {
        return Err("exit 4 does not say what to do".into());
    }
    // A single error is no reason to leave anything: only a release that is proven waits for recovery to record it.
    let is_proven = bench.there().pop().is_some_and(|records| records.iter().any(|record| record.ends_with("-gate")));
    if out.code == 4 && !is_proven {
        return Err("exit 4, though everything could be put back".into());
    }
    bench.recover()?;
    // As an operator would, who was told that a service could not be started.
    bench.boot();
    let ended = bench.ended()?;
    match before_recovery {
        Some(before) if before != ended => Err(format!("recovery made {ended:?} of {before:?}")),
        Some(_) => Ok(ended),
        None => Ok(Ended::Operator),
    }
}

/// Runs an upgrade with an error in it; how it ended.
fn strike(bench: &Bench, what: &str, upgrade: &str) -> Result<Ended, String> {
    let out = bench.host.sh(&format!("systemctl reset-failed; {upgrade}"));
    bench.host.must("rm -f /tmp/inject");
    println!("{what}: exit {}", out.code);
    let ended = judged(bench, &out).map_err(|wrong| format!("{what}: {wrong}\n{out}"));
    if ended != Ok(Ended::Old) {
        bench.restore();
        bench.settled("1.0.0").unwrap();
    }
    ended
}

#[test]
fn an_error_at_any_call_of_the_engine_leaves_the_old_or_the_new_release() {
    needs(&[("strace", "strace")]);
    let bench = Bench::new(Kind::Ext4, TOGETHER);
    let points = points(&bench);
    assert!(points.len() > 300, "only {} calls write: the trace is not read any more", points.len());
    bench.restore();
    bench.settled("1.0.0").unwrap();
    let times = rounds(6, 150);
    // Each with each error, in an order that is the same for the same seed; every k-th of them.
    let all = points.len() * ERRORS.len();
    let (step, mut at) = (all / times, Dice::new(seed()).below(all / times));
    let on = format!("every {step}th of {} calls, {} errors", points.len(), ERRORS.len());
    // The writing of a `.env` first.
    let dotenv = points
        .iter()
        .position(|(call, _, line)| call == "write" && line.contains("/opt/app/manager/.") && line.contains(".env"))
        .unwrap();
    let mut sample = vec![dotenv * ERRORS.len()];
    // The directory of the journal, when a record is in its place: early, and in the middle of the switch.
    let is_record = |point: &&(String, usize, String)| {
        point.0 == "fsync"
            && point.2.contains("/runs/")
            && !point.2.contains("/.tmp-")
            && !point.2.contains("/content")
            && !point.2.contains("/artifacts")
    };
    let records: Vec<usize> = (0..points.len()).filter(|at| is_record(&&points[*at])).collect();
    sample.extend([records[records.len() / 3], records[records.len() / 2]].map(|at| at * ERRORS.len()));
    while at < all {
        sample.push(at);
        // Every call meets another error.
        at += step + usize::from(step % 2 == 0);
    }
    let mut figure = Figure::new("errors in the engine", "ENOSPC, EIO, EDQUOT, EROFS", &on).seeded(seed());
    for at in sample {
        let ((call, turn, line), error) = (&points[at / ERRORS.len()], ERRORS[at % ERRORS.len()]);
        let what = format!("{error} at {call} {turn} ({line})");
        let traced = format!("strace -y -o /tmp/trace -e trace={call} -e signal=none");
        figure.count(
            strike(
                &bench,
                &what,
                &format!("{traced} -e inject={call}:error={error}:when={turn} relift upgrade app --yes"),
            )
            .and_then(|ended| not_retried(&bench).map(|()| ended)),
        );
    }
    figure.publish();
}

/// A temporary file whose fsync failed is not synced again: the kernel may have dropped its pages.
fn not_retried(bench: &Bench) -> Result<(), String> {
    let trace = bench.host.read("/tmp/trace");
    let mut lines = trace.lines().skip_while(|line| !line.contains("INJECTED"));
    let Some(failed) = lines.next().filter(|line| line.starts_with("fsync") && line.contains("/.tmp-")) else {
        return Ok(());
    };
    let file = failed.split(')').next().unwrap_or(failed).split_once('<').map_or("", |(_, file)| file);
    match lines.any(|line| line.contains(file)) {
        true => Err(format!("synced again: {failed}")),
        false => Ok(()),
    }
}

#[test]
fn an_error_at_any_call_of_git_leaves_the_old_or_the_new_release() {
    needs(&[("strace", "strace")]);
    let bench = Bench::new(Kind::Ext4, TOGETHER);
    bench.host.write("/usr/local/bin/git", WRAPPER, 0o755, "root:root");
    let mut dice = Dice::new(seed());
    let calls = ["openat", "write", "fsync", "rename", "mkdir", "link", "unlink"];
    let mut figure =
        Figure::new("errors in git", "ENOSPC, EIO, EDQUOT, EROFS", "merge, sparse-checkout, reset, ... of a run");
    figure = figure.seeded(seed());
    for round in 0..rounds(5, 100) {
        let (word, call) = (GIT[dice.below(GIT.len())], calls[dice.below(calls.len())]);
        let (error, turn) = (ERRORS[dice.below(4)], 1 + dice.below(if call == "openat" { 90 } else { 12 }));
        // The refs of a known-good release first.
        let (word, call, turn) = if round == 0 { ("update-ref", "rename", 1) } else { (word, call, turn) };
        let what = format!("{error} at {call} {turn} of git {word}");
        let options = format!("-e trace={call} -e signal=none -e inject={call}:error={error}:when={turn}");
        bench.host.must(&format!("echo '{word} {options}' > /tmp/inject; chmod 644 /tmp/inject"));
        figure.count(strike(&bench, &what, "relift upgrade app --yes"));
    }
    figure.publish();
}
