//! Backups in real runs: a database that is written to comes back, whatever is killed; what is damaged never does.

use std::thread;

use relift::sample::Site;

use crate::crash::killed;
use crate::harness::{Host, Out};

const MANIFEST: &str = "/etc/relift/app.toml";
/// A program that writes to the database as long as it runs, a row in each of two tables at a time.
const WRITER: &str = r#"import sqlite3, time
db = sqlite3.connect("/opt/app/manager/data/app.db", timeout=60, isolation_level=None)
while True:
    db.execute("BEGIN IMMEDIATE")
    db.execute("INSERT INTO a VALUES ((SELECT max(n) FROM a) + 1)")
    db.execute("INSERT INTO b VALUES ((SELECT max(n) FROM b) + 1)")
    db.execute("COMMIT")
    time.sleep(0.002)
"#;
/// What the new release does to the data: another schema, a file less, a file more.
const MIGRATE: &str = r#"#!/bin/sh
set -eu
python3 - <<'END'
import sqlite3
db = sqlite3.connect("data/app.db", timeout=60)
db.executescript("CREATE TABLE c(n); DROP TABLE b; CREATE TABLE b(n, migrated); INSERT INTO b SELECT n, 1 FROM a;")
END
echo migrated > data/notes
rm data/old
echo new > data/new
"#;

/// Declares more for the manager, before its own step.
fn declare(host: &Host, step: &str, backup: &str) {
    let manifest = host.must("cat /root/app.toml 2>/dev/null || tee /root/app.toml < /etc/relift/app.toml");
    let place = "\n[[component.step]]\nname = \"build\"";
    let manifest = manifest.replacen(place, &format!("\n{step}\n{place}"), 1);
    host.write(MANIFEST, format!("{manifest}\n{backup}\n"), 0o644, "root");
}

fn migrate(undo: &str) -> String {
    format!("[[component.step]]\nname = \"migrate\"\nrun = [\"sh\", \"scripts/migrate.sh\"]\n{undo}\n")
}

const BACKUP: &str =
    "[backup]\npaths = [\"manager/data\", \"manager/.env\"]\nsqlite = [\"manager/data/app.db\"]\nkeep = 3\n";
const RESTORED: &str = "undo = \"restore-backup\"";

/// A host whose manager has data, and a release that changes it and then fails to run.
fn host(mode: &str) -> Host {
    let mut site = Site::new("app");
    site.soak = 0;
    let mut host = Host::boot();
    host.settle(site, |release| release.next("1.0.0"));
    host.write("/root/writer.py", WRITER, 0o644, "root");
    host.must(&format!(
        r#"install -d -o app -g app /opt/app/manager/data && cd /opt/app/manager/data
           runuser -u app -- python3 -c 'import sqlite3; db = sqlite3.connect("app.db"); db.execute("PRAGMA journal_mode={mode}"); db.executescript("CREATE TABLE a(n INTEGER PRIMARY KEY); CREATE TABLE b(n INTEGER PRIMARY KEY); INSERT INTO a VALUES (1); INSERT INTO b VALUES (1);")'
           echo before > notes; echo old > old; chown app:app notes old; chmod 0640 notes
           setfacl -m u:daemon:r notes; setfattr -n user.origin -v here notes; ln -s notes link; ln old second
           truncate -s 8M holes; printf x >> holes; echo roots > roots; chmod 0600 roots; mkfifo pipe"#
    ));
    host.release(|release| {
        release.next("1.1.0").program("manager/scripts/migrate.sh", MIGRATE).behaviour("manager", "exit-at-once 1")
    });
    host
}

/// Everything in the data but the database: names, modes, owners, times, attributes, ACLs, bytes.
fn picture(host: &Host) -> String {
    host.must(
        r#"cd /opt/app/manager/data; find . ! -name 'app.db*' -printf '%p %y %m %U:%G %s %n %l %T@\n' | grep -v '^\. ' | sort
           find . ! -name 'app.db*' -type f -print0 | sort -z | xargs -0 sha256sum; getfacl -p notes; getfattr -d notes
           stat -c '%b blocks of holes' holes"#,
    )
}

/// How many rows both tables have, when the database is whole and of the old schema: in one transaction, since
/// a writer may be at work beside it.
#[track_caller]
fn rows(host: &Host) -> u64 {
    let script = r#"runuser -u app -- python3 -c 'import sqlite3; db = sqlite3.connect("/opt/app/manager/data/app.db", timeout=30); one = lambda q: db.execute(q).fetchone()[0]
db.execute("BEGIN")
assert one("PRAGMA integrity_check") == "ok"
assert one("SELECT count(*) FROM sqlite_master WHERE name = \"c\"") == 0, "migrated"
a, b = one("SELECT count(*) FROM a"), one("SELECT count(*) FROM b")
assert a == b and one("SELECT sum(n) FROM a") == one("SELECT sum(n) FROM b"), (a, b)
print(a)'"#;
    host.must(script).parse().unwrap()
}

fn says(out: &Out, words: &[&str]) {
    for word in words {
        assert!(out.stderr.contains(word), "this is missing: {word}\n{out}");
    }
}

/// The backups' ids and why each was taken, oldest first.
fn backups(host: &Host) -> Vec<(String, String)> {
    let list = host.relift(&["backup", "list", "app", "--json"]).exits(0);
    let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let all = list["backups"].as_array().unwrap();
    all.iter().map(|one| (text(&one["backup"]), text(&one["reason"]))).collect()
}

#[test]
fn a_release_that_fails_after_a_migration_comes_back_with_its_data_while_others_write() {
    for (mode, when) in [("wal", "prepare"), ("delete", "quiesced")] {
        let host = host(mode);
        declare(&host, &migrate(RESTORED), &format!("{BACKUP}when = \"{when}\"\n"));
        // A service of the operator's own that writes all the time, the backup included; it is not told of any stop.
        host.must("install -m 644 /root/writer.py /srv/writer.py; systemd-run --quiet --unit=writer --uid=app -p Restart=always -p RestartSec=100ms -p StartLimitIntervalSec=0 python3 /srv/writer.py");
        let before = picture(&host);
        let first = rows(&host);
        let plan = host.relift(&["plan", "app"]).exits(0);
        assert!(plan.stdout.contains("undone by putting the backup back"), "{plan}");
        assert!(plan.stdout.contains("of which the newest 3 stay"), "{plan}");
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(3);
        says(
            &out,
            &["restored from backup, 1 minute lost", "pipes, sockets and devices are not backed up: manager/data/pipe"],
        );
        host.must("systemctl stop writer");
        assert_eq!(picture(&host), before, "{mode} {out}");
        assert!(rows(&host) >= first, "{mode}");
        for component in ["manager", "runner"] {
            host.wait_for_answer(component, "1.0.0", mode);
        }
        let history = host.relift(&["history", "app"]).exits(0);
        assert!(history.stdout.contains("restored from backup"), "{history}");
        let run = host.must("ls /var/lib/relift/app/runs");
        let show = host.relift(&["show", &run]).exits(0);
        assert!(show.stdout.contains(&format!("backed up and proven: {run}")), "{show}");
        assert!(show.stdout.contains("1 minute lost"), "{show}");
        // What the undone release had made of the data is not lost either.
        let all = backups(&host);
        assert_eq!(all.iter().map(|(_, why)| why.as_str()).collect::<Vec<_>>(), ["run", "before-restore"], "{mode}");
        assert_eq!(all[0].0, run);
        host.relift(&["backup", "verify", "app"]).exits(0);
        host.assert_no_secret(&out);
        host.assert_no_secret(&show);
        assert_eq!(
            host.must(
                "find /var/lib/relift/app/backups \\( -type d ! -perm 700 -o -type f ! -perm 600 -o ! -user root \\)"
            ),
            ""
        );
        assert_eq!(host.must("ls -A /var/cache/relift/app"), "", "nothing stays of the copies");
    }
}

#[test]
fn a_run_that_would_put_a_backup_back_may_be_killed_at_any_record() {
    let points = thread::scope(|scope| {
        // One is killed before the records that the other is killed after.
        let shares: Vec<_> = [("wal", "prepare", 0), ("delete", "quiesced", 1)]
            .map(|(mode, when, share)| scope.spawn(move || every_point(mode, when, share)))
            .into();
        shares.into_iter().map(|share| share.join().unwrap()).sum::<usize>()
    });
    assert!(points > 60, "only {points} points were reached");
}

fn every_point(mode: &str, when: &str, share: usize) -> usize {
    let host = host(mode);
    declare(&host, &migrate(RESTORED), &format!("{BACKUP}when = \"{when}\"\n"));
    let (before, data, count) = (host.snapshot(), picture(&host), rows(&host));
    let mut kills = 0;
    for record in 1.. {
        let point = format!("{}-{record:05}", ["before", "after"][(record + share) % 2]);
        let out = killed(&host, &point, "upgrade app --yes");
        if out.code == 3 {
            break;
        }
        assert_eq!(out.code, 137, "{point}: {out}");
        kills += 1;
        recovers(&host, (&before, &data, count), &format!("{when} {point}"));
    }
    kills
}

#[test]
fn a_restore_that_is_killed_is_begun_again() {
    let host = host("wal");
    declare(&host, &migrate(RESTORED), BACKUP);
    let (before, data, count) = (host.snapshot(), picture(&host), rows(&host));
    for point in ["restore-begins", "restore-ends"] {
        assert_eq!(killed(&host, point, "upgrade app --yes").code, 137, "{point}");
        assert_eq!(killed(&host, point, "recover app").code, 137, "{point} again");
        recovers(&host, (&before, &data, count), point);
    }
}

#[track_caller]
fn recovers(host: &Host, (before, data, count): (&crate::snapshot::Snapshot, &str, u64), context: &str) {
    let out = host.relift(&["recover", "app"]);
    assert_eq!(out.code, 0, "{context}: {out}");
    // A copy that SQLite made has the same content, which `rows` looks at, and another header.
    let difference = before.difference(&host.snapshot());
    let is_database = |line: &&str| line.starts_with("/opt/app/manager/data/app.db: 644");
    let difference = difference.lines().filter(|line| !is_database(line)).collect::<Vec<_>>().join("\n");
    assert!(difference.is_empty(), "{context}: not as before:\n{difference}\n{out}");
    assert_eq!(picture(host), data, "{context}: {out}");
    assert_eq!(rows(host), count, "{context}: {out}");
    for component in ["manager", "runner"] {
        host.wait_for_answer(component, "1.0.0", context);
    }
}

#[test]
fn an_irreversible_step_wants_the_flag_a_terminal_or_yes_and_a_backup() {
    let mut host = host("wal");
    host.release(|release| release.next("1.2.0").behaviour("manager", "ok"));
    let before = host.snapshot();
    declare(&host, &migrate(""), "");
    let out = host.relift(&["upgrade", "app", "--yes", "--allow-irreversible"]).exits(2);
    says(&out, &["no backup is declared: migrate", "under [backup]", "state: nothing was changed"]);
    declare(&host, &migrate(""), BACKUP);
    let out = host.relift(&["upgrade", "app", "--yes"]).exits(2);
    says(&out, &["nothing undoes this step: migrate"]);
    let out = host.relift(&["upgrade", "app", "--unattended", "--allow-irreversible"]).exits(2);
    says(&out, &["nothing undoes this step: migrate"]);
    before.assert_same(&host.snapshot());
    assert_eq!(backups(&host), []);
    // Allowed, it fails past the point of no return: what leads back is named, and does.
    host.release(|release| release.next("1.3.0").behaviour("manager", "exit-at-once 1"));
    let (data, count) = (picture(&host), rows(&host));
    let out = host.relift(&["upgrade", "app", "--yes", "--allow-irreversible"]).exits(4);
    let backup = backups(&host)[0].0.clone();
    says(&out, &[&format!("the data as it was before the run: relift backup restore app {backup}")]);
    let records = host.must("ls /var/lib/relift/app/runs/*/");
    let place =
        |name: &str| records.lines().position(|line| line.contains(name)).unwrap_or_else(|| panic!("{records}"));
    assert!(place("backed-up") < place("point-of-no-return"), "{records}");
    assert_eq!(host.read("/opt/app/manager/data/notes"), "migrated\n");
    host.relift(&["recover", "app", "--close"]).exits(0);
    host.relift(&["backup", "restore", "app", &backup]).exits(2);
    host.relift(&["backup", "restore", "app", &backup, "--yes"]);
    assert_eq!((picture(&host), rows(&host)), (data, count));
}

#[test]
fn backups_are_listed_verified_restored_and_pruned_by_hand() {
    let host = host("wal");
    declare(&host, "", BACKUP);
    says(&host.relift(&["backup", "verify", "app"]).exits(2), &["app has no backups"]);
    let first = backup_now(&host);
    let (data, count) = (picture(&host), rows(&host));
    host.must("cd /opt/app/manager/data; echo later > notes; rm old; echo more > more; runuser -u app -- python3 -c 'import sqlite3; db = sqlite3.connect(\"app.db\"); db.execute(\"DELETE FROM a\"); db.commit()'");
    let process = || host.must("systemctl show -P MainPID sample-manager.service");
    let pid = process();
    says(&host.relift(&["backup", "restore", "app", &first]).exits(2), &["there is no terminal"]);
    says(&host.relift(&["backup", "restore", "app", "NOSUCH", "--yes"]).exits(2), &["app has no backup NOSUCH"]);
    says(&host.relift(&["backup", "restore", "app", &first, "etc/passwd", "--yes"]).exits(2), &["holds no etc/passwd"]);
    assert_eq!(process(), pid, "a refusal stops nothing");
    let out = host.relift(&["backup", "restore", "app", &first, "manager/data/old", "--yes"]).exits(0);
    assert_eq!(host.read("/opt/app/manager/data/old"), "old\n", "{out}");
    assert_eq!(host.read("/opt/app/manager/data/notes"), "later\n", "nothing but what was named");
    let out = host.relift(&["backup", "restore", "app", &first, "--yes"]).exits(0);
    assert_eq!((picture(&host), rows(&host)), (data, count), "{out}");
    assert_ne!(process(), pid, "services were stopped meanwhile");
    host.wait_for_answer("manager", "1.0.0", "after a restore");
    // What was there is the newest backup.
    let all = backups(&host);
    assert_eq!(all.last().unwrap().1, "before-restore");
    host.relift(&["backup", "restore", "app", &all.last().unwrap().0, "--yes"]).exits(0);
    assert_eq!(host.read("/opt/app/manager/data/notes"), "later\n");
    // Three are kept; half a backup and a damaged one are told, and not restored.
    let last = backup_now(&host);
    assert_eq!(backups(&host).len(), 3);
    let archive = format!("/var/lib/relift/app/backups/{last}/db-0.zst");
    host.must(&format!("printf X | dd of={archive} bs=1 seek=100 conv=notrunc status=none"));
    let notes = host.read("/opt/app/manager/data/notes");
    for verb in [&["verify", "app", last.as_str()][..], &["restore", "app", &last, "--yes"]] {
        let out = host.relift(&[&["backup"], verb].concat()).exits(1);
        says(&out, &["is damaged, and nothing of it is restored", "state: nothing was changed"]);
    }
    assert_eq!(host.read("/opt/app/manager/data/notes"), notes);
    host.must(&format!("rm /var/lib/relift/app/backups/{last}/manifest.json"));
    says(&host.relift(&["backup", "restore", "app", &last, "--yes"]).exits(1), &["is half a backup"]);
    let list = host.relift(&["backup", "list", "app"]).exits(0);
    assert!(list.stdout.contains("half a backup"), "{list}");
}

fn backup_now(host: &Host) -> String {
    let out = host.relift(&["backup", "take", "app", "--json"]).exits(0);
    let last = out.stdout.lines().last().unwrap();
    let value: serde_json::Value = serde_json::from_str(last).unwrap();
    value["backup"].as_str().unwrap().to_owned()
}

#[test]
fn what_cannot_be_backed_up_stops_the_run_before_any_change() {
    let host = host("wal");
    host.must("head -c 8192 /dev/urandom > /opt/app/manager/data/noise; ln -s /etc/shadow /opt/app/manager/data/shadow; head -c 3000000 /dev/urandom > /opt/app/manager/data/big");
    let before = host.snapshot();
    let stops = |backup: &str, words: &[&str]| {
        declare(&host, &migrate(RESTORED), backup);
        let out = host.relift(&["upgrade", "app", "--yes"]).exits(1);
        says(&out, words);
        says(&out, &["state: nothing was changed"]);
        before.assert_same(&host.snapshot());
    };
    stops(
        "[backup]\nsqlite = [\"manager/data/noise\"]",
        &["manager/data/noise cannot be backed up", "no SQLite database"],
    );
    stops("[backup]\nsqlite = [\"manager/data/shadow\"]", &["manager/data/shadow is no regular file"]);
    // A filesystem of its own for backups, too small for them.
    host.must("mkdir -p /srv/backups && mount -t tmpfs -o size=101m tmpfs /srv/backups");
    stops(
        &format!("{BACKUP}directory = \"/srv/backups\""),
        &["a backup with its proof of app needs", "bytes) are free", "make room: df -h"],
    );
    assert_eq!(host.must("find /srv/backups -type f"), "", "nothing half stays");
    host.must("mount -o remount,size=400m /srv/backups");
    declare(&host, &migrate(RESTORED), &format!("{BACKUP}directory = \"/srv/backups\""));
    host.relift(&["upgrade", "app", "--yes"]).exits(3);
    assert_eq!(host.must("ls /srv/backups/app | wc -l"), "2");
}
