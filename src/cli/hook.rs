//! `relift hook`: what package managers call, and the worker that does what they ask for.

use std::io::Read;
use std::time::{Duration, Instant};

use clap::Subcommand;

use super::globals::Globals;
use super::reconfigure::Ended;
use super::session::Session;
use super::{error, output, reconfigure};
use crate::error::{Exit, Result};
use crate::hook::{Circumstances, Manager, Pending, Request, Store, is_allowed, is_no, is_yes, told};
use crate::host::{maintenance, packages};
use crate::manifest;

/// How much of what a package manager gives is read, bytes.
const INPUT: u64 = 16 << 20;
/// How long the worker waits for package managers to end; then its requests wait for the timer.
const PATIENCE: Duration = Duration::from_secs(30 * 60);
/// How long no package manager may have held a lock: apt gives its own away and takes it again within a transaction.
const SETTLED: Duration = Duration::from_secs(1);
/// How long the worker waits for a run of an install.
const RUN: Duration = Duration::from_secs(10 * 60);

/// Arguments of `relift hook`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    who: Who,
}

#[derive(Debug, Subcommand)]
enum Who {
    /// For DPkg::Post-Invoke of apt.conf(5)
    Apt(Rest),
    /// For a dpkg trigger: the arguments of the maintainer script
    Dpkg(Rest),
    /// For a file trigger of rpm: paths on standard input
    Rpm(Rest),
    /// For alpm-hooks(5) with NeedsTargets: paths on standard input
    Pacman(Rest),
    /// Do what was asked for, when the package managers have ended
    Run,
}

#[derive(Debug, clap::Args)]
struct Rest {
    /// What the package manager gives
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    given: Vec<String>,
}

/// Leaves requests, or does them.
pub fn run(args: &Args, globals: &Globals) -> Result<Exit> {
    let (manager, rest) = match &args.who {
        Who::Apt(rest) => (Manager::Apt, rest),
        Who::Dpkg(rest) => (Manager::Dpkg, rest),
        Who::Rpm(rest) => (Manager::Rpm, rest),
        Who::Pacman(rest) => (Manager::Pacman, rest),
        Who::Run => return work(globals),
    };
    // Whatever happens here, it is no failure of the package manager's.
    if let Err(error) = ask(manager, &rest.given, globals) {
        output::message(&format!("relift: services are not restarted for what changed: {error}\n"));
    }
    Ok(Exit::Done)
}

/// Leaves a request for each install of this host.
fn ask(manager: Manager, given: &[String], globals: &Globals) -> Result<()> {
    let mut input = Vec::new();
    if matches!(manager, Manager::Rpm | Manager::Pacman) {
        // To its end: who writes is not to be told that nobody reads.
        std::io::stdin().lock().take(INPUT).read_to_end(&mut input).unwrap_or_default();
    }
    let Some(paths) = told(manager, given, &input) else { return Ok(()) };
    if circumstances().silence().is_some() {
        return Ok(());
    }
    let files = manifest::files(&globals.paths())?;
    let names =
        files.iter().filter_map(|file| file.file_stem()?.to_str()).filter(|name| manifest::is_install_name(name));
    let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
    let requests: Vec<Request> = names.map(|name| Request::new(name, manager, now, paths.clone())).collect();
    if requests.is_empty() || !is_allowed(&maintenance::policy_on_restarts()) {
        return Ok(());
    }
    Store::of(&globals.paths()).add(requests)
}

fn circumstances() -> Circumstances {
    let variable = |name: &str| std::env::var(name).ok();
    Circumstances {
        is_root: nix::unistd::geteuid().is_root(),
        is_booted: crate::host::systemd::is_booted(),
        is_pid1s_root: maintenance::is_pid1s_root(),
        is_offline: is_yes(variable("SYSTEMD_OFFLINE").as_deref()),
        has_other_root: variable("DPKG_ROOT").is_some_and(|root| !root.is_empty() && root != "/"),
        is_switched_off: is_no(variable("RELIFT_HOOKS").as_deref()),
    }
}

/// Does everything that is asked for. Nothing stays where the path unit sees it, but what came meanwhile.
fn work(globals: &Globals) -> Result<Exit> {
    super::session::must_be_root()?;
    let store = Store::of(&globals.paths());
    let is_settled = wait_for_package_managers();
    let (pending, garbage) = store.pending()?;
    garbage.iter().for_each(|line| output::message(&format!("{line}\n")));
    let mut worst = Exit::Done;
    for one in pending {
        let exit = match is_settled {
            Ok(()) => reconfigure_one(&store, &one, globals)?,
            Err(lock) => {
                store.set_aside(&one, &format!("a package manager holds {lock}"))?;
                Exit::Busy
            }
        };
        if severity(exit) > severity(worst) {
            worst = exit;
        }
    }
    Ok(worst)
}

fn reconfigure_one(store: &Store, pending: &Pending, globals: &Globals) -> Result<Exit> {
    let name = &pending.request.install;
    let globals = Globals { lock_timeout: globals.lock_timeout.max(RUN), ..globals.clone() };
    let found = manifest::files(&globals.paths())?;
    if !found.iter().any(|file| file.file_stem().is_some_and(|stem| stem == name.as_str())) {
        // Its manifest is gone, and the install with it.
        store.done(pending)?;
        return Ok(Exit::Done);
    }
    let Ended { ended, waits } = match Session::open(&globals, Some(name)) {
        Ok(session) => reconfigure::of_hook(session, &pending.request.touched(), &globals),
        // A manifest with a mistake in it is mended some time.
        Err(error) => Ended { waits: Some(error.what.clone()), ended: Err(error) },
    };
    let exit = ended.unwrap_or_else(|error| {
        error::print(&error, globals.json);
        error.kind.exit()
    });
    match waits {
        Some(why) => store.set_aside(pending, &why)?,
        None => store.done(pending)?,
    }
    Ok(exit)
}

/// How bad an exit status is beside others.
fn severity(exit: Exit) -> usize {
    let order = [Exit::Done, Exit::Busy, Exit::Refused, Exit::Failed, Exit::PutBack, Exit::NeedsOperator];
    order.iter().position(|known| *known == exit).unwrap_or(order.len())
}

/// Until no package manager has held its lock for a moment; the lock that is held at the bound.
fn wait_for_package_managers() -> std::result::Result<(), &'static str> {
    let deadline = Instant::now() + PATIENCE;
    let mut free_since = Instant::now();
    loop {
        match packages::busy() {
            Some(lock) if Instant::now() > deadline => return Err(lock),
            Some(_) => free_since = Instant::now(),
            None if free_since.elapsed() >= SETTLED => return Ok(()),
            None => {}
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
