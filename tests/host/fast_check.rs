//! `relift check` when nothing is new: one conversation, nothing written, and never a wrong answer.

use crate::harness::{Host, needs};
use crate::server::GitServer;

/// Calls that change something, or that make it durable.
const WRITES: &str = "fsync,fdatasync,syncfs,sync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,\
                      chmod,fchmod,fchmodat,chown,fchown,lchown,fchownat,truncate,ftruncate,utimensat,setxattr,fsetxattr,mknod,mknodat,openat,openat2,open,creat,connect";

/// What lists all refs of the server.
const REFS: &str = "GET /app.git/info/refs?service=git-upload-pack";

/// What a check calls of these, it and its children.
fn traced(host: &Host) -> Vec<String> {
    needs(&[("strace", "strace")]);
    host.must(&format!("strace -f -qq -o /tmp/trace -e trace={WRITES} relift check app >/dev/null"));
    host.read("/tmp/trace").lines().map(str::to_owned).collect()
}

/// The programs that a check executes, and the accounts that what it started becomes.
fn started(host: &Host) -> (Vec<String>, Vec<String>) {
    host.must("strace -f -qq -z -o /tmp/trace -e trace=execve,setuid relift check app >/dev/null");
    let trace = host.read("/tmp/trace");
    let after = |call: &str, end: char| -> Vec<String> {
        let calls = trace.lines().filter_map(|line| line.split_once(call));
        calls.filter_map(|(_, rest)| rest.split_once(end)).map(|(word, _)| word.to_owned()).collect()
    };
    let programs = after("execve(\"", '"').iter().map(|path| path.rsplit('/').next().unwrap().to_owned()).collect();
    (programs, after("setuid(", ')'))
}

#[test]
fn a_check_without_news_writes_nothing_starts_one_child_and_connects_once() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    server.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    host.must("git config --global core.attributesFile /tmp/attributes");
    let state = "cd / && find var/lib/relift run/relift opt/app etc -printf '%p %i %T@ %C@\\n' | sort";
    let (before, asked) = (host.must(state), server.requests().len());
    let trace = traced(&host);
    assert_eq!(before, host.must(state), "something was written");
    let requests = server.requests().split_off(asked);
    assert_eq!(requests, [REFS], "one round trip");
    let is_write = |line: &&String| {
        let call = line.split_once(' ').unwrap().1.trim_start();
        let opens = call.starts_with("open");
        let is_opened_to_write = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| call.contains(flag));
        let is_nowhere = call.contains("/dev/null") || call.contains("/dev/tty");
        let is_call = call.starts_with(|first: char| first.is_ascii_lowercase()) && !call.starts_with("connect");
        is_call && (!opens || is_opened_to_write && !is_nowhere)
    };
    let written: Vec<&String> = trace.iter().filter(is_write).collect();
    assert!(written.is_empty(), "{written:#?}");
    let roots: Vec<&String> = trace.iter().filter(|line| line.contains("/root/.gitconfig")).collect();
    assert!(roots.is_empty(), "root's own git is not asked how: {roots:?}");
    let owner = host.must("id -u app").trim().to_owned();
    assert_eq!(started(&host), (vec!["relift".into(), "exe".into()], vec![owner.clone()]), "the owner asks");
    // What configures how, in any way, is git's to read; its helper for HTTP is a program of its own.
    host.must("runuser -u app -- git config --global http.userAgent mine");
    let asked = server.requests().len();
    assert_eq!(started(&host), (["relift", "exe", "git", "git-remote-https"].map(Into::into).to_vec(), vec![owner]));
    assert_eq!(server.requests().split_off(asked), [REFS]);
    host.must("runuser -u app -- git config --global --unset http.userAgent");
    let connected = trace.iter().filter(|line| line.contains("connect(") && line.contains("htons(80)")).count();
    assert_eq!(connected, 1);
    // What is offered next is news, seen in the same one request before anything is fetched.
    let asked = server.requests().len();
    server.release(|release| release.next("1.2.0"));
    host.relift(&["check", "app"]).exits(100);
    assert_eq!(server.requests()[asked], REFS);
    // Where it is known that a plan has to be made, whoever got ready to ask is sent away: the fetch alone asks.
    for agent in ["--unset http.userAgent || :", "http.userAgent mine"] {
        host.must(&format!("runuser -u app -- git config --global {agent}"));
        let asked = server.requests().len();
        host.relift(&["check", "app"]).exits(100);
        assert_eq!(server.requests().split_off(asked), [REFS, "POST /app.git/git-upload-pack"], "{agent}");
    }
}

#[test]
fn a_server_with_many_refs_is_asked_for_those_that_count() {
    let mut server = GitServer::http();
    let host = server.host_with_sample();
    server.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    server.must("cd /srv/git/app.git && at=$(runuser -u git -- git rev-parse main) && seq -f \"create refs/pull/%.0f/head $at\" 600 | runuser -u git -- git update-ref --stdin");
    let asked = || {
        let before = server.requests().len();
        assert!(host.relift(&["check", "app"]).exits(0).stdout.contains("nothing new"));
        server.requests().split_off(before)
    };
    assert_eq!(asked(), [REFS], "nobody knows yet");
    for _ in 0..2 {
        assert_eq!(asked(), [REFS, "POST /app.git/git-upload-pack"], "the capabilities, and one ref");
    }
    server.release(|release| release.next("1.2.0"));
    host.relift(&["check", "app"]).exits(100);
    // It is known of this server, and not of another one.
    host.must("echo http://git.example.org/other.git >/var/lib/relift/app/remote.many-refs");
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let before = server.requests().len();
    host.relift(&["check", "app"]).exits(0);
    assert_eq!(server.requests().split_off(before), [REFS]);
}

#[test]
fn ten_runs_or_hundreds_are_the_same_work_to_whoever_asks_about_the_newest() {
    let mut host = Host::with_sample();
    host.must("sed -i 's/^soak.*/soak = \"0s\"/' /etc/relift/app.toml");
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let opened = |verb: &str| -> usize {
        host.must(&format!(
            "strace -f -qq -o /tmp/trace -e trace=openat,openat2,statx,newfstatat,readlink {verb} >/dev/null"
        ));
        let trace = host.read("/tmp/trace");
        // What the library of accounts and git look at is theirs.
        trace.lines().filter(|line| line.contains("relift/app/runs")).count()
    };
    let verbs = ["relift check app", "relift history app --lines 1", "relift status app"];
    let older = |from: u32, to: u32| {
        host.must(&format!("cd /var/lib/relift/app/runs; newest=$(ls | tail -1); for n in $(seq {from} {to}); do cp -a $newest 01ARZ3NDEKTSV4RRFF00$n; done"))
    };
    // Some look at the newest ten.
    older(100_001, 100_010);
    let few = verbs.map(opened);
    older(100_011, 100_600);
    // Nothing is noted of a directory that has just changed.
    std::thread::sleep(std::time::Duration::from_secs(4));
    host.relift(&["status", "app"]).exits(0);
    for (verb, (many, few)) in verbs.iter().zip(verbs.map(opened).into_iter().zip(few)) {
        assert!(many <= few && few > 0, "{verb}: {many} of many, {few} of few");
        let read = host.must(&format!(
            "strace -f -qq -y -o /tmp/trace -e trace=getdents64 {verb} >/dev/null; grep -c 'relift/app/runs>' /tmp/trace || :"
        ));
        assert_eq!(read.trim(), "0", "{verb} reads the names of all runs");
    }
    // A run that comes is the newest at once.
    host.release(|release| release.next("1.2.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    assert!(host.relift(&["history", "app", "--lines", "1"]).exits(0).stdout.contains("1.2.0"));
}

#[test]
fn times_are_told_in_the_hosts_own_zone_and_no_other_zone_is_looked_at() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    // A quarter of an hour beside most others.
    host.must("ln -sfn /usr/share/zoneinfo/Asia/Kathmandu /etc/localtime");
    let begun = host.must("TZ=UTC relift history app | grep -oE '[0-9]{4}(-[0-9]{2}){2} [0-9:]{8}' | head -1");
    let there = host.must(&format!("date -d '{begun} UTC' '+%F %T'"));
    assert_ne!(begun, there);
    let zones = "strace -f -qq -o /tmp/zones -e trace=openat,getdents64 relift";
    assert!(host.must(&format!("{zones} history app")).contains(&there));
    let looked_at = host.must("grep -E '/zoneinfo|localtime' /tmp/zones");
    assert!(looked_at.lines().count() == 1 && looked_at.contains("/etc/localtime"), "{looked_at}");
    let looked_at = host.must(&format!("{zones} status app >/dev/null; grep /zoneinfo/ /tmp/zones || :"));
    assert_eq!(looked_at, "");
    // Without one a host has UTC, tzset(3).
    host.must("rm /etc/localtime");
    assert!(host.must("relift history app").contains(&begun));
}

#[test]
fn over_ssh_git_is_the_only_child_and_runs_as_who_may_read_it() {
    let mut server = GitServer::ssh();
    let host = server.host_with_sample();
    server.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let (programs, becomes) = started(&host);
    assert_eq!(programs.iter().filter(|program| *program == "git").count(), 1, "{programs:?}");
    assert!(!programs.iter().any(|program| program == "setpriv" || program == "env"), "{programs:?}");
    assert_eq!(becomes.first(), Some(&host.must("id -u app")), "{programs:?}");
}

#[test]
fn of_a_local_repository_the_branch_is_read_and_who_serves_it_is_asked_only_where_that_does_not_tell() {
    let mut host = Host::with_sample();
    host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let alone = |host: &Host| {
        let (programs, becomes) = started(host);
        assert_eq!((programs.as_slice(), becomes.as_slice()), (&["relift".to_owned()][..], &[][..]));
    };
    alone(&host);
    host.must("runuser -u git -- git -C /srv/git/app.git pack-refs --all");
    alone(&host);

    // A ref by another name tells no commit; whoever the upstream belongs to, the account `git`, serves it and is started as it is.
    let refs = "/srv/git/app.git/refs/heads";
    host.must(&format!(
        "runuser -u git -- sh -c 'cd {refs} && git rev-parse main >other && echo ref: refs/heads/other >main'"
    ));
    let (programs, becomes) = started(&host);
    assert_eq!((programs, becomes), (vec!["relift".to_owned(), "git".into()], vec![host.must("id -u git")]));
    assert_eq!(host.relift(&["check"]).exits(0).stdout.lines().count(), 1);

    // What its owner put in the place of a branch is no way to read anything else as root.
    host.must(&format!("runuser -u git -- sh -c 'cd {refs} && rm main && ln -s ../../../../../../etc/shadow main'"));
    let out = host.relift(&["check"]).exits(1);
    assert!(out.stderr.contains("not our ref") && !format!("{out}").contains("root:"), "{out}");
}

#[test]
fn what_makes_a_difference_is_seen_although_nothing_is_new() {
    let mut host = Host::with_sample();
    let commit = host.release(|release| release.next("1.1.0"));
    host.relift(&["upgrade", "app", "--yes"]).exits(0);
    let current = format!("app: nothing new, {} is what the source offers\n", &commit[..10]);
    let is_current = || host.relift(&["check"]).exits(0).stdout == current;
    assert!(is_current());

    // A component that runs another release than what is checked out.
    let ledger = "/var/lib/relift/app/ledger/activated.json";
    host.must(&format!("cp -a {ledger} /tmp/; sed -i 's/{commit}/{}/' {ledger}", "0".repeat(40)));
    host.relift(&["check"]).exits(100);
    host.must(&format!("cp -a /tmp/activated.json {ledger}"));
    assert!(is_current());

    // A checkout that somebody moved back.
    host.must("runuser -u app -- git -C /opt/app reset -q --hard HEAD~1");
    host.relift(&["check"]).exits(100);
    host.must("runuser -u app -- git -C /opt/app merge -q --ff-only @{u}");
    // Packed refs tell the same.
    host.must("runuser -u app -- git -C /opt/app pack-refs --all");
    assert!(is_current());

    // Another branch, another remote: the manifest decides what is asked.
    host.must("sed -i 's/^branch.*/branch = \"gone\"/' /etc/relift/app.toml");
    assert!(host.relift(&["check"]).exits(1).stderr.contains("has no branch gone"));
    host.must(
        "sed -i 's/^branch.*/branch = \"main\"/; s|^url .*|url = \"file:///srv/git/none.git\"|' /etc/relift/app.toml",
    );
    assert!(host.relift(&["check"]).exits(1).stderr.contains("none.git is no git repository"));
    host.must("sed -i 's|^url .*|url = \"file:///srv/git/app.git\"|' /etc/relift/app.toml");
    assert!(is_current());

    // A run that died after its commit: everything is new and it has not ended.
    let newest = host.must("ls -d /var/lib/relift/app/runs/* | tail -1");
    host.must(&format!("mv {newest}/*-end.json /tmp/end.json"));
    for words in [&["check"][..], &["check", "--quiet"]] {
        let out = host.relift(words).exits(0);
        let run = newest.rsplit('/').next().unwrap();
        assert!(out.stdout.contains(&format!("the run {run} was interrupted: relift recover app")), "{out}");
    }
    assert!(host.relift(&["check", "--json"]).exits(0).stdout.contains("interrupted"));
    host.relift(&["recover", "app"]).exits(0);
    assert!(is_current());

    // A mirror that is not as we leave it is made so again, not believed.
    host.must("echo '[core]' >> /var/lib/relift/app/mirror.git/config");
    assert!(is_current());
    assert!(!host.read("/var/lib/relift/app/mirror.git/config").ends_with("[core]\n"));
}
