//! Files of shell variables: read by a POSIX shell as the account that runs the command, never by us. What they come to is
//! asked for beforehand, so that it is hidden wherever the command says it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::process::Command;
use crate::manifest::writers_of;
use crate::text::is_worth_hiding;

/// How long a shell may take to read them.
const READ: Duration = Duration::from_secs(30);
/// Reads every file before `--`, each variable of it exported, and becomes the command. What the files say themselves is
/// nobody's: it may hold values. Any failure in them ends it before the command.
const RUN: &str =
    r#"set -ae; while [ "$1" != -- ]; do . "$1" >/dev/null 2>&1 </dev/null; shift; done; shift; set +ae; exec "$@""#;
/// The same, and tells what is exported in the end. 66: a file cannot be read, sysexits.h(3head).
const TELL: &str = r#"set -ae; for file in "$@"; do [ -f "$file" ] && [ -r "$file" ] || exit 66; . "$file" >/dev/null 2>&1 </dev/null; done; exec /usr/bin/env -0"#;

/// The command behind a shell that reads the files first.
pub(super) fn wrapped(files: &[PathBuf], run: &[String]) -> Vec<String> {
    if files.is_empty() {
        return run.to_vec();
    }
    let files = files.iter().map(|file| file.display().to_string());
    let shell = ["/bin/sh", "-c", RUN, "sh"].map(str::to_owned);
    shell.into_iter().chain(files).chain(["--".to_owned()]).chain(run.iter().cloned()).collect()
}

/// What the files export, without what the account has anyway; the error says what is wrong with them and shows nothing of them.
pub(super) fn values(files: &[PathBuf], account: &Account, cwd: &Path) -> Result<Vec<String>> {
    let names = files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>();
    let own = account.environment();
    let shell = ["/bin/sh", "-c", TELL, "sh"].map(str::to_owned);
    let mut command = Command::new(shell.into_iter().chain(names.clone())).account(account).cwd(cwd).timeout(READ);
    for (key, value) in &own {
        command = command.env(key, value.clone());
    }
    let output = command.output()?;
    let (who, shown) = (&account.name, names.join(", "));
    if !output.success() {
        let error = match output.status.and_then(|status| status.code()) {
            Some(66) => Error::failed(format!("{shown} is not there, or {who} may not read it"))
                .hint(format!("look at it as {who}: runuser -u {who} -- head -c 0 {shown}")),
            _ => Error::failed(format!("{shown} cannot be read by a shell: it {}", output.ending()))
                .because("`set -a -e; . FILE` failed; nothing of it is shown, since it may hold secrets")
                .hint(format!("see why: runuser -u {who} -- sh -ec '. {shown}'")),
        };
        return Err(error);
    }
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let variables = told.split('\0').filter_map(|variable| variable.split_once('='));
    let theirs = variables.filter(|(key, value)| {
        let is_own = own.iter().any(|(known, was)| known == key && was == value);
        !is_own && !key.starts_with("RELIFT_") && !["PWD", "OLDPWD", "SHLVL", "_", "OPTIND"].contains(key)
    });
    let mut values: Vec<String> = Vec::new();
    for (_, value) in theirs {
        // A line of a value is shown without the others.
        values.extend(value.lines().chain([value]).filter(|text| is_worth_hiding(text)).map(str::to_owned));
    }
    values.sort();
    values.dedup();
    Ok(values)
}

/// What root's shell reads is code that root runs: a file that root alone could have written.
pub(super) fn must_be_roots(file: &Path) -> Result<()> {
    let refused = |why: String| {
        Err(Error::refused(format!("root's shell does not read {}", file.display()))
            .because(why)
            .hint("give it to root, with directories of root's above it; or run the command as the owner"))
    };
    match writers_of(file).map(|writers| writers.into_iter().next()) {
        Ok(None) => Ok(()),
        Ok(Some(who)) => refused(who),
        Err(error) => refused(error.to_string()),
    }
}
