//! What systemd does.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::host::account::Account;
use crate::host::process::Command;
use crate::host::systemd::{Manager, Transient, verify};
use crate::manifest::Scope;

/// The bound of the unit that is started to see it ended.
const SHORT: Duration = Duration::from_secs(1);
/// How long a program that only tells something may take.
const BOUND: Duration = Duration::from_secs(10);

/// Starts a transient unit that would go on for long and has a process beside its main one, and waits for its bound. Its result
/// in systemd's words, and how many processes are left of it. `place` is a scratch place for its log.
pub fn bounded_unit(manager: &mut Manager, place: &Path) -> Result<(String, usize)> {
    let name = format!("relift-doctor-{}.service", std::process::id());
    let argv = ["/bin/sh", "-c", "sleep 300 & exec sleep 300"].map(str::to_owned).to_vec();
    let account = Account::root();
    let unit = Transient {
        name: name.clone(),
        description: "relift doctor tries the bound of transient units".into(),
        argv,
        env: account.environment(),
        account,
        cwd: "/".into(),
        timeout: SHORT,
        log: place.join("log"),
        hide: Vec::new(),
        is_quiet: false,
        read_only: None,
    };
    let end = manager.run(&unit)?;
    let processes = std::fs::read_to_string(format!("/sys/fs/cgroup/system.slice/{name}/cgroup.procs"));
    Ok((end.result, processes.map_or(0, |list| list.lines().count())))
}

/// Whether systemd-analyze takes a good unit, and whether it refuses a bad one.
pub fn tells_units_apart() -> Result<(bool, bool)> {
    let check = |text: &str| verify(&[("relift-doctor.service".into(), text.into())], Scope::System, &Account::root());
    check("[Service]\nExecStart=/bin/true\n")?;
    Ok((true, check("[Service]\nExecStart=/bin/true\nUser=\u{1}\nType=nonsense\n").is_err()))
}

/// What a unit is ordered after, by the manager.
pub fn after(unit: &str) -> Vec<String> {
    let output = Command::new(["systemctl", "show", "-P", "After", unit]).timeout(BOUND).output();
    output.map(|output| output.text().split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
}

/// When a timer fires next, as systemd writes times; empty where it does not.
pub fn next_elapse(timer: &str) -> String {
    let output = Command::new(["systemctl", "show", "-P", "NextElapseUSecRealtime", timer]).timeout(BOUND).output();
    output.map(|output| output.text()).unwrap_or_default()
}

/// Whether the journal gives an entry.
pub fn journal_is_readable() -> Result<bool> {
    let output =
        Command::new(["journalctl", "--quiet", "--no-pager", "--lines=1", "-o", "cat"]).timeout(BOUND).succeed()?;
    Ok(!output.stdout.is_empty())
}

/// What `policy-rc.d` answers for a restart, by invoke-rc.d(8).
pub fn policy(program: &Path) -> std::result::Result<i32, String> {
    let output = Command::new([program.as_os_str()]).args(["relift-doctor", "restart"]).timeout(BOUND).output();
    let output = output.map_err(|error| error.to_string())?;
    output.status.and_then(|status| status.code()).ok_or_else(|| output.ending())
}
