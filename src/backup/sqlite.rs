//! SQLite databases: copied by SQLite's own backup, by a child that is the owner, while others write.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::listing::{Archive, Kind};
use super::pack::{Counted, Packed};
use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::process::{Command, tail};

/// How long a copy may take in all.
const BOUND: Duration = Duration::from_secs(1800);
/// How long writers in rollback-journal mode are let through between steps; then they wait for the copy.
const POLITE: Duration = Duration::from_secs(3);
/// How long a lock is waited for.
const LOCKED: Duration = Duration::from_secs(120);
/// Pages of a polite step: some milliseconds.
const PAGES: i32 = 2000;

/// What SQLite keeps beside a database.
pub(super) const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Copies the database `path`, relative to `root`, into the file `name` of a backup's directory. The child works in
/// `scratch`, which is the owner's.
pub(super) fn take(
    owner: &Account,
    root: &Path,
    path: &Path,
    scratch: &Path,
    (directory, name): (&Path, &str),
) -> Result<(Kind, Archive)> {
    let mut packed = Packed::create(directory, name)?;
    let mut child = Command::new(["/proc/self/exe", "internal", "sqlite-copy"])
        .args([root.join(path), scratch.join("copy.db")])
        .account(owner)
        .cwd(scratch)
        .timeout(BOUND)
        .spawn()?;
    let errors = child.child.stderr.take().map(|pipe| std::thread::spawn(|| tail(io::BufReader::new(pipe))));
    let pipe = child.child.stdout.take().ok_or_else(|| Error::failed("the copy has no output"))?;
    let mut counted = Counted::new(pipe);
    let copied = io::copy(&mut counted, &mut packed);
    let size = counted.bytes;
    let (pipe, sha256) = counted.finish();
    drop(pipe);
    let status = child.wait("the copy of the database")?;
    let said = errors.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let what = || format!("the database {} cannot be backed up", path.display());
    if !status.is_some_and(|status| status.success()) && copied.is_ok() {
        let why = said.last().cloned().unwrap_or_else(|| "its copy did not end".into());
        return Err(Error::failed(what()).because(why));
    }
    copied.with_context(what)?;
    let archive = packed.finish().with_context(what)?;
    Ok((Kind::Database { size, sha256, archive: name.to_owned() }, archive))
}

/// What the child does: a consistent copy at `scratch`, checked, and its bytes to `out`.
pub fn copy(source: &Path, scratch: &Path, out: &mut dyn Write) -> Result<()> {
    duplicate(source, scratch).map_err(|error| in_words(&error))?;
    let mut file = std::fs::File::open(scratch).context("the copy cannot be read")?;
    let copied = io::copy(&mut file, out).and_then(|_| out.flush());
    // The next one needs the room; the directory is removed in any case.
    std::fs::remove_file(scratch).context("the copy cannot be removed")?;
    copied.context("the copy cannot be handed over")
}

fn duplicate(source: &Path, scratch: &Path) -> std::result::Result<(), Trouble> {
    // Not read-only: a database that a crash left behind is rolled back first, as by any program that opens it.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NOFOLLOW | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let has_log = std::fs::metadata(super::restore::beside(source, "-wal")).is_ok();
    let from = Connection::open_with_flags(source, flags)?;
    from.busy_timeout(Duration::from_secs(5))?;
    // The last to close a database in WAL mode writes the log back: that is for its own programs to do. Without a log
    // there is nothing to write back, and what the copy made goes.
    from.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, has_log)?;
    let mode: String = from.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    let mut to = Connection::open(scratch)?;
    {
        let backup = Backup::new(&from, &mut to)?;
        let begun = Instant::now();
        loop {
            // A step of all pages reads one state; in WAL mode nobody waits for it.
            let is_whole = mode.eq_ignore_ascii_case("wal") || begun.elapsed() > POLITE;
            match backup.step(if is_whole { -1 } else { PAGES })? {
                StepResult::Done => break,
                StepResult::More => std::thread::sleep(Duration::from_millis(1)),
                _ if begun.elapsed() > LOCKED => return Err(Trouble::Locked),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
    let verdict: String = to.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    // Else the copy's own log would stay beside it.
    to.close().map_err(|(_, error)| error)?;
    if verdict == "ok" { Ok(()) } else { Err(Trouble::Damaged(verdict)) }
}

enum Trouble {
    Sqlite(rusqlite::Error),
    Locked,
    Damaged(String),
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Trouble {
        Trouble::Sqlite(error)
    }
}

fn in_words(trouble: &Trouble) -> Error {
    Error::failed(match trouble {
        Trouble::Locked => "another program keeps it locked".to_owned(),
        Trouble::Damaged(verdict) => format!("it is damaged: {verdict}"),
        Trouble::Sqlite(error) => match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => "it is no SQLite database, or an encrypted one".to_owned(),
            Some(ErrorCode::DatabaseCorrupt) => "it is damaged: database disk image is malformed".to_owned(),
            Some(ErrorCode::CannotOpen) => "its owner cannot open it".to_owned(),
            Some(ErrorCode::DiskFull) => "there is no room for the copy".to_owned(),
            _ => error.to_string(),
        },
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn copied(source: &Path) -> Result<Vec<u8>> {
        let place = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        copy(source, &place.path().join("copy.db"), &mut bytes)?;
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "nothing stays beside the copy");
        Ok(bytes)
    }

    /// Two tables that every transaction changes together: a copy in which they differ is of no moment.
    fn database(path: &Path, mode: &str) -> Connection {
        let db = Connection::open(path).unwrap();
        db.query_row(&format!("PRAGMA journal_mode = {mode}"), [], |_| Ok(())).unwrap();
        db.execute_batch("CREATE TABLE a(n INTEGER, pad BLOB); CREATE TABLE b(n INTEGER);").unwrap();
        db.execute_batch("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c WHERE n < 3000) INSERT INTO a SELECT n, randomblob(900) FROM c; INSERT INTO b SELECT n FROM a;").unwrap();
        db.busy_timeout(Duration::from_secs(30)).unwrap();
        db
    }

    #[test]
    fn a_copy_beside_a_live_writer_is_one_state_of_the_database() {
        for mode in ["wal", "delete"] {
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("app.db");
            let db = database(&path, mode);
            let over = AtomicBool::new(false);
            let written = std::thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    let (db, mut number) = (db, 3000);
                    while !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(5));
                        number += 1;
                        db.execute_batch(&format!("BEGIN IMMEDIATE; INSERT INTO a VALUES ({number}, randomblob(900)); INSERT INTO b VALUES ({number}); COMMIT;")).unwrap();
                    }
                    number
                });
                for _ in 0..2 {
                    let bytes = copied(&path).unwrap();
                    let copy = place.path().join("restored.db");
                    std::fs::write(&copy, bytes).unwrap();
                    let copy = Connection::open(&copy).unwrap();
                    let one = |query: &str| copy.query_row(query, [], |row| row.get::<_, i64>(0)).unwrap();
                    let check: String = copy.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
                    assert_eq!(check, "ok", "{mode}");
                    assert_eq!(one("SELECT sum(n) FROM a"), one("SELECT sum(n) FROM b"), "{mode}");
                    assert!(one("SELECT count(*) FROM a") >= 3000);
                }
                over.store(true, Ordering::Relaxed);
                writer.join().unwrap()
            });
            assert!(written > 3001, "{mode}: the writer was kept waiting all the time: {written}");
        }
    }

    #[test]
    fn what_is_no_database_is_said_so() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("app.db");
        std::fs::write(&path, "x".repeat(4096)).unwrap();
        assert!(copied(&path).unwrap_err().to_string().contains("no SQLite database"));
        let db = database(&place.path().join("good.db"), "delete");
        db.close().unwrap();
        let mut bytes = std::fs::read(place.path().join("good.db")).unwrap();
        bytes.truncate(bytes.len() / 2);
        bytes[5000..9000].fill(7);
        std::fs::write(&path, bytes).unwrap();
        let error = copied(&path).unwrap_err().to_string();
        assert!(error.contains("damaged"), "{error}");
        std::os::unix::fs::symlink("good.db", place.path().join("link.db")).unwrap();
        assert!(copied(&place.path().join("link.db")).is_err(), "a link is not followed");
    }

    #[test]
    fn the_log_of_a_database_in_wal_mode_is_in_the_copy_and_stays_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let (path, other) = (place.path().join("app.db"), place.path().join("killed.db"));
        let db = database(&path, "wal");
        db.execute_batch("INSERT INTO b VALUES (4711)").unwrap();
        // As a program that was killed leaves it.
        for suffix in ["", "-wal"] {
            let name = |path: &Path| format!("{}{suffix}", path.display());
            std::fs::copy(name(&path), name(&other)).unwrap();
        }
        let before = std::fs::read(place.path().join("killed.db-wal")).unwrap();
        let bytes = copied(&other).unwrap();
        assert!(std::fs::read(place.path().join("killed.db-wal")).unwrap() == before, "the log was not written back");
        let copy = place.path().join("restored.db");
        std::fs::write(&copy, bytes).unwrap();
        let found: i64 = Connection::open(&copy)
            .unwrap()
            .query_row("SELECT count(*) FROM b WHERE n = 4711", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, 1);
        // Closed by its programs, it has no log, and gets none.
        db.close().unwrap();
        let names = || std::fs::read_dir(place.path()).unwrap().count();
        let count = names();
        copied(&path).unwrap();
        assert_eq!(names(), count);
    }
}
