//! What systemd-analyze(1) says of unit files before they are installed.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Context, Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;
use crate::manifest::Scope;

/// How long systemd-analyze may take.
const VERIFY: Duration = Duration::from_secs(60);

/// Checks unit files (`a.service`) and drop-ins (`a.service.d/50-local.conf`) by name and text, as the manager of `scope`
/// would load them; `account` is whose user manager that is. Returns warnings: what systemd ignores, and programs that are
/// not there yet, which a step may make. A file that the manager would refuse or take for something else is an error.
///
/// What passed a moment ago is not looked at again: a run that nobody had to approve asks twice.
pub fn verify(files: &[(String, String)], scope: Scope, account: &Account) -> Result<Vec<String>> {
    let asked = Passed { files: files.to_owned(), scope, uid: account.uid };
    let known = PASSED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((_, _, warnings)) = known.iter().find(|(passed, at, _)| *passed == asked && at.elapsed() < FRESH) {
        return Ok(warnings.clone());
    }
    let warnings = look(files, scope, account)?;
    let mut known = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    known.retain(|(passed, at, _)| *passed != asked && at.elapsed() < FRESH);
    known.push((asked, Instant::now(), warnings.clone()));
    Ok(warnings)
}

/// How long a verdict holds.
const FRESH: Duration = Duration::from_secs(5);

/// Unit files that passed, when, and with which warnings.
static PASSED: Mutex<Vec<(Passed, Instant, Vec<String>)>> = Mutex::new(Vec::new());

/// What passed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Passed {
    files: Vec<(String, String)>,
    scope: Scope,
    uid: u32,
}

fn look(files: &[(String, String)], scope: Scope, account: &Account) -> Result<Vec<String>> {
    // Not where TMPDIR says: pam_tmpdir(8) makes that a directory which no other account can enter.
    let place = tempfile::Builder::new().prefix("relift-verify-").tempdir_in("/tmp");
    let place = place.context("a temporary directory for unit files cannot be made")?;
    write(place.path(), files)?;
    let units: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).filter(|name| !name.contains('/')).collect();
    let mut command = Command::new(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]).timeout(VERIFY);
    if scope == Scope::User {
        hand_over(place.path(), account)?;
        // The real one may not exist, and systemd-analyze makes a directory in it.
        command = command.account(account).env("XDG_RUNTIME_DIR", place.path().display().to_string()).args(["--user"]);
    }
    let output = command.args(units.iter().map(|unit| place.path().join(unit))).output()?;
    let found: Vec<Finding> = output.stderr.iter().filter_map(|line| finding(line, place.path())).collect();
    let broken: Vec<String> =
        found.iter().filter(|finding| finding.breaks).map(|finding| finding.text.clone()).collect();
    let unexplained = !output.success() && found.is_empty();
    match broken.is_empty() && !unexplained {
        true => Ok(found.into_iter().map(|finding| finding.text).collect()),
        false => Err(Error::failed(format!("systemd would not take {} as it is", units.join(", ")))
            .because(broken.first().cloned().unwrap_or_else(|| format!("systemd-analyze verify {}", output.ending())))
            .detail(broken.into_iter().skip(1))
            .hint("mend the unit file upstream, or override the line in a drop-in")),
    }
}

/// A line of systemd-analyze.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    text: String,
    breaks: bool,
}

fn finding(line: &str, place: &Path) -> Option<Finding> {
    let own = format!("{}/", place.display());
    let text = crate::text::harmless(&line.replace(&own, ""));
    // What a newer systemd knows is left out by an older one, and the unit runs; a value that is not understood makes
    // another unit of it.
    let passes = ["Unknown key", "Unknown section", "is not executable: No such file", "is obsolete", "deprecated"];
    let breaks = !passes.iter().any(|words| text.contains(words));
    // The second line about the same unit says no more than the first.
    let repeats = text.ends_with("has a bad unit file setting.");
    (!text.is_empty() && !repeats).then_some(Finding { text, breaks })
}

fn write(place: &Path, files: &[(String, String)]) -> Result<()> {
    for (name, text) in files {
        let plain = Path::new(name).components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if name.is_empty() || !plain {
            return Err(Error::failed(format!("`{name}` is no name of a unit file")));
        }
        write_one(&place.join(name), text)
            .with_context(|| format!("{name} cannot be written to be checked"))
            .map_err(|error| error.hint(format!("what is free there: df -h {}", place.display())))?;
    }
    Ok(())
}

/// Readable for everybody who gets into the directory, whatever our umask is.
fn write_one(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent().filter(|parent| !parent.exists()) {
        std::fs::create_dir_all(parent)?;
        std::fs::set_permissions(parent, Permissions::from_mode(0o755))?;
    }
    std::fs::write(path, text)?;
    std::fs::set_permissions(path, Permissions::from_mode(0o644))
}

/// Makes the account the owner of the directory, which nobody but us could enter until then.
fn hand_over(place: &Path, account: &Account) -> Result<()> {
    match nix::unistd::geteuid().is_root() {
        true => {
            chown(place, Some(account.uid), Some(account.gid)).context("unit files cannot be given to their account")
        }
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: &str = "[Service]\nExecStart=/bin/true\n";

    fn system(name: &str, text: &str) -> Result<Vec<String>> {
        verify(&[(name.to_owned(), text.to_owned())], Scope::System, &Account::root())
    }

    #[test]
    fn a_good_unit_passes_in_silence() {
        assert_eq!(system("relift-x.service", OK).expect("good"), Vec::<String>::new());
        assert_eq!(system("relift-x@.service", OK).expect("good"), Vec::<String>::new());
    }

    #[test]
    fn what_systemd_ignores_is_a_warning_without_our_path() {
        let warnings = system("relift-x.service", "[Service]\nExecStart=/bin/true\nBogus=1\n").expect("it runs");
        assert_eq!(warnings, ["relift-x.service:3: Unknown key 'Bogus' in section [Service], ignoring."]);
        let warnings =
            system("relift-x.service", "[Service]\nExecStart=/opt/relift-none/x\n").expect("a step may make it");
        assert!(warnings[0].contains("is not executable"), "{warnings:?}");
    }

    #[test]
    fn a_unit_that_would_be_another_is_refused() {
        let error =
            system("relift-x.service", "[Service]\nExecStart=/bin/true\nRestart=sometimes\n").expect_err("no value");
        assert!(error.to_string().contains("relift-x.service:3: Failed to parse"), "{error}");
        let error = system("relift-x.service", "[Service]\nType=simple\n").expect_err("nothing to run");
        assert!(error.to_string().contains("no ExecStart="), "{error}");
        assert!(!format!("{error:?}").contains("relift-verify-"));
    }

    #[test]
    fn drop_ins_are_checked_with_their_unit() {
        let drop_in =
            ("relift-x.service.d/50-local.conf".to_owned(), "[Service]\nTimeoutStopSec=never ever\n".to_owned());
        let files = [("relift-x.service".to_owned(), OK.to_owned()), drop_in];
        let error = verify(&files, Scope::System, &Account::root()).expect_err("no time");
        assert!(error.to_string().contains("50-local.conf:2"), "{error}");
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_refused() {
        assert!(system("../relift-x.service", OK).is_err());
        assert!(system("/etc/relift-x.service", OK).is_err());
    }
}
