//! The only part of `doctor` that touches the host: looks, tries, and leaves nothing behind.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::places::{Owner, Place, Role, above};
use super::{Finding, Section, Tried, clock, places, protection, remote, room, services, timers, tools};
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::make_private;
use crate::host::paths::Paths;
use crate::host::probe;
use crate::host::systemd::{self, Manager};
use crate::ledger::history;
use crate::manifest::{Install, Layout, Reach, SHARED, Scope};
use crate::source::git::{answers, without_password};

/// How long a remote and the resolver may take.
const NETWORK: Duration = Duration::from_secs(20);
const RESOLVER: Duration = Duration::from_secs(5);
/// Records, a staged tree and a mirror's growth; locks.
const RUN_WANTS: u64 = 64 << 20;
const LOCK_WANTS: u64 = 1 << 20;

/// How many of the last runs tell whether the clock went back.
const RUNS: usize = 20;

/// An install that is examined; `Err`: its manifest cannot be used.
pub type Examined = (String, Result<Install>);

/// Everything that is found on this host and about these installs, in the order of the sections.
pub fn examine(paths: &Paths, installs: &[Examined], is_offline: bool) -> Vec<Finding> {
    let good: Vec<&Install> = installs.iter().filter_map(|(_, install)| install.as_ref().ok()).collect();
    let tools = TOOLS.map(tool);
    // What is missing cannot be asked, and what another account could have written is not run.
    let is_sound =
        |name: &str| tools.iter().any(|tool| tool.name == name && tool.path.is_some() && tool.writer.is_none());
    let may_ask = is_sound("git") && !is_offline;
    let mut found = tools::judge(&tools);
    found.extend(installs.iter().filter_map(|(name, install)| Some(manifest(name, install.as_ref().err()?))));
    found.extend(files(paths, &good));
    found.extend(disks(paths, &good));
    found.extend(clock::judge(&time(paths, &good)));
    found.extend(services::judge(&systemd(paths), &users(&good)));
    found.extend(timers(&good).iter().map(timers::judge));
    found.extend(good.iter().map(|install| remote::judge(&ask(install, may_ask), is_offline)));
    found.extend(protections(paths, &good));
    found.sort_by_key(|finding| finding.section);
    found
}

const TOOLS: [&str; 4] = ["git", "ssh", "setpriv", "systemd-analyze"];

fn tool(name: &'static str) -> tools::Tool {
    let path = probe::system::find(name);
    let writer = path.as_deref().and_then(other_writer);
    // What another account could have written is not run, not even for its version.
    let said = match name {
        _ if writer.is_some() || path.is_none() => None,
        "git" => probe::system::first_line(&["git", "--version"]),
        "ssh" => probe::system::first_line(&["ssh", "-V"]),
        _ => None,
    };
    tools::Tool { name, path, writer, said }
}

/// Who but root could write a program, or a directory on the way to it.
fn other_writer(path: &Path) -> Option<String> {
    let real = path.canonicalize().ok()?;
    let places = std::iter::once(real.clone()).chain(above(&real));
    places.filter_map(|path| look(&path, Role::Above)).find_map(|place| {
        let finding = places::judge(&place, None);
        (finding.level == super::Level::Problem).then(|| format!("{} {}", finding.subject, finding.what))
    })
}

fn manifest(name: &str, error: &Error) -> Finding {
    let finding = Finding::problem(Section::Files, format!("the manifest of {name}"), error.to_string());
    let finding = finding.means("nothing of this install can be upgraded, recovered or examined");
    finding.mend(
        error.hints.first().cloned().unwrap_or_else(|| format!("relift config check {}", crate::text::word(name))),
    )
}

fn look(path: &Path, role: Role) -> Option<Place> {
    let meta = std::fs::symlink_metadata(path).ok()?;
    let (mode, uid, gid) = (meta.mode() & 0o7777, meta.uid(), meta.gid());
    Some(Place { path: path.to_owned(), role, is_link: meta.is_symlink(), mode, uid, gid })
}

fn owner(install: &Install) -> Option<Owner> {
    let Account { name, uid, gid, .. } = Account::named(&install.owner).ok()?;
    Some(Owner { name, uid, gid })
}

/// Owners and modes. Of directories above, only what is wrong is told: they are many.
fn files(paths: &Paths, installs: &[&Install]) -> Vec<Finding> {
    let mut wanted: Vec<(PathBuf, Role, Option<Owner>)> = Vec::new();
    let mut ours = |path: PathBuf, role: Role| wanted.push((path, role, None));
    ours(paths.manifests(), Role::Rootly);
    for file in std::fs::read_dir(paths.manifests()).into_iter().flatten().flatten() {
        ours(file.path(), Role::Rootly);
    }
    ours(paths.states(), Role::Rootly);
    ours(paths.runtime(), Role::Private);
    crate::host::own::program().into_iter().for_each(|program| ours(program, Role::Rootly));
    for place in ["/etc/systemd/system/relift-recover.service", "/etc/systemd/system/relift-recover.service.d"] {
        ours(place.into(), Role::Rootly);
    }
    for install in installs {
        let state = paths.state(&install.name);
        wanted.push((state.clone(), Role::Private, None));
        for below in ["mirror.git", "runs", "backups", "remote.gitconfig"] {
            wanted.push((state.join(below), Role::Inner, None));
        }
        let owner = owner(install);
        wanted.push((install.root.clone(), Role::Checkout, owner.clone()));
        match install.layout {
            Layout::InPlace => wanted.push((install.root.join(".git"), Role::Checkout, owner.clone())),
            Layout::Releases => {
                wanted.push((install.root.join("releases"), Role::Checkout, owner.clone()));
                wanted.push((install.root.join(SHARED), Role::Checkout, owner.clone()));
            }
        }
        for component in &install.components {
            for env in &component.env {
                wanted.push((install.root.join(install.env_path(component, env)), Role::Secrets, owner.clone()));
            }
            for unit in component.units.iter().filter(|unit| unit.scope == Scope::System && !unit.is_packaged) {
                let installed = Path::new("/etc/systemd/system").join(unit.file.file_name());
                wanted.push((installed, Role::Rootly, None));
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut parents = Vec::new();
    let mut found = Vec::new();
    for (path, role, owner) in wanted {
        // A path that ends with a slash would follow a link.
        let path: PathBuf = path.components().collect();
        let Some(place) = look(&path, role).filter(|_| seen.insert(path.clone())) else { continue };
        found.push(places::judge(&place, owner.as_ref()));
        parents.extend(above(&path).into_iter().map(|parent| (parent, owner.clone())));
    }
    for (parent, owner) in parents {
        let Some(place) = look(&parent, Role::Above).filter(|_| seen.insert(parent)) else { continue };
        found.extend(Some(places::judge(&place, owner.as_ref())).filter(|finding| finding.level != super::Level::Ok));
    }
    found
}

fn disks(paths: &Paths, installs: &[&Install]) -> Vec<Finding> {
    let mut wanted = vec![(paths.states(), RUN_WANTS), (paths.runtime(), LOCK_WANTS)];
    wanted.extend(installs.iter().map(|install| (install.root.clone(), RUN_WANTS)));
    let judge = |(path, wants): (PathBuf, u64)| match probe::system::disk(&path) {
        Ok(([free, total], [inodes, inodes_total], is_read_only)) => {
            room::judge(&room::Disk { path, wants, free, total, inodes, inodes_total, is_read_only })
        }
        Err(error) => Finding::problem(Section::Room, path.display().to_string(), error.to_string()),
    };
    wanted.into_iter().map(judge).collect()
}

fn time(paths: &Paths, installs: &[&Install]) -> clock::Observed {
    let modified = |path: PathBuf| std::fs::metadata(path).ok().map(|meta| meta.mtime());
    let runs = installs.iter().filter_map(|install| history(&paths.state(&install.name), RUNS).ok());
    let newest = runs.flatten().map(|run| run.began).max();
    let zones = installs.iter().flat_map(|install| install.policy.schedule.zones());
    clock::Observed {
        now: jiff::Timestamp::now().as_second(),
        built: crate::host::own::program().ok().and_then(modified),
        newest,
        is_synchronised: probe::system::is_synchronised(),
        zone_fault: jiff::tz::TimeZone::try_system().err().map(|error| error.to_string()),
        unknown_zones: zones.filter(|zone| jiff::tz::TimeZone::get(zone).is_err()).map(str::to_owned).collect(),
        has_zones: jiff::tz::TimeZone::get("Europe/Paris").is_ok(),
        has_locale: probe::system::has_locale(c"C.UTF-8"),
    }
}

fn tried<T>(result: Result<T>) -> Tried<T> {
    result.map_err(|error| error.to_string())
}

fn systemd(paths: &Paths) -> services::Observed {
    const RECOVER: &str = "relift-recover.service";
    let policy = Path::new("/usr/sbin/policy-rc.d");
    let mut manager = tried(Manager::system());
    let transient = match &mut manager {
        Ok(manager) => tried(probe::files::scratch(&paths.runtime()).and_then(|place| {
            let (result, left) = probe::units::bounded_unit(manager, place.path())?;
            Ok(services::Transient { result, left })
        })),
        Err(why) => Err(why.clone()),
    };
    services::Observed {
        is_booted: systemd::is_booted(),
        first_process: std::fs::read_to_string("/proc/1/comm").unwrap_or_default().trim().to_owned(),
        version: probe::system::first_line(&["systemctl", "--version"]),
        recover: manager.as_mut().ok().and_then(|manager| manager.unit(RECOVER).ok()),
        recover_after: probe::units::after(RECOVER),
        answers: manager.map(drop),
        transient,
        policy: policy.exists().then(|| match other_writer(policy) {
            Some(writer) => Err(writer),
            None => probe::units::policy(policy),
        }),
        journal: tried(probe::units::journal_is_readable()).and_then(|is_readable| match is_readable {
            true => Ok(()),
            false => Err("it has no entry".into()),
        }),
        verify: tried(probe::units::tells_units_apart()),
    }
}

/// The timer of all checks, and that of each install's upgrades.
fn timers(installs: &[&Install]) -> Vec<timers::Timer> {
    let mut manager = Manager::system().ok();
    let mut look = |name: &str, what: String, refused_by: Option<String>| {
        let [unit, service] = ["timer", "service"].map(|kind| format!("{name}.{kind}"));
        let state = |manager: &mut Option<Manager>, unit: &str| manager.as_mut()?.unit(unit).ok();
        let (timer, service) = (state(&mut manager, &unit), state(&mut manager, &service));
        let is_stale = [&timer, &service].into_iter().flatten().any(|state| state.needs_reload);
        let next = if timer.is_some() { probe::units::next_elapse(&unit) } else { String::new() };
        timers::Timer { unit, state: timer, is_stale, next, what, refused_by }
    };
    let check = look("relift-check", "what is new is looked for".into(), None);
    let upgrades = installs.iter().map(|install| {
        let is_refused = install.policy.unattended == Reach::None;
        let name = format!("relift-upgrade@{}", install.name);
        look(&name, format!("{} is upgraded", install.name), is_refused.then(|| install.name.clone()))
    });
    std::iter::once(check).chain(upgrades).collect()
}

/// The owners of installs with units in a user manager, each once.
fn users(installs: &[&Install]) -> Vec<services::User> {
    let has_user_units =
        |install: &Install| install.components.iter().flat_map(|one| &one.units).any(|unit| unit.scope == Scope::User);
    let names: BTreeSet<&str> =
        installs.iter().filter(|install| has_user_units(install)).map(|install| install.owner.as_str()).collect();
    let user = |name: &str| {
        let account = tried(Account::named(name));
        services::User {
            name: name.to_owned(),
            lingers: account.clone().and_then(|account| tried(systemd::lingering(&account))),
            answers: account.and_then(|account| tried(Manager::user(&account))).map(drop),
        }
    };
    names.into_iter().map(user).collect()
}

fn ask(install: &Install, may_ask: bool) -> remote::Remote {
    let Some(source) = install.source.git() else {
        return remote::Remote { url: String::new(), host: None, answer: None };
    };
    let url = without_password(&source.url);
    if !may_ask {
        return remote::Remote { url, host: None, answer: None };
    }
    let host = remote::host(&source.url).map(|host| {
        let resolved = probe::system::resolve(&host, RESOLVER);
        (host, resolved)
    });
    let is_unknown = host.as_ref().is_some_and(|(_, resolved)| resolved.is_err());
    let asked = match is_unknown {
        true => Err(Error::failed("not asked")),
        false => Account::named(&install.owner).and_then(|owner| {
            let place = probe::files::scratch(Path::new("/run"))?;
            answers(source, &owner, place.path(), NETWORK)
        }),
    };
    let answer = asked.map_err(|error| (error.to_string(), error.hints.first().cloned()));
    remote::Remote { url, host, answer: Some(answer) }
}

fn protections(paths: &Paths, installs: &[&Install]) -> Vec<Finding> {
    let scratch = |path: &Path| probe::files::scratch(path);
    let state = paths.states();
    let attributes = installs.first().and_then(|install| probe::files::own_place_beside(&install.root));
    let observed = protection::Observed {
        no_links: tried(scratch(&state).and_then(|place| probe::files::refuses_links(place.path()))),
        durable: tried(scratch(&state).and_then(|place| probe::files::writes_durably(place.path()))),
        excludes: tried(scratch(&paths.runtime()).and_then(|place| excludes(place.path()))),
        attributes: attributes
            .map(|place| tried(scratch(&place).and_then(|place| probe::files::keeps_attributes(place.path())))),
        dumps_core: probe::process::dumps_core(),
    };
    let names: BTreeSet<&str> = installs.iter().map(|install| install.owner.as_str()).collect();
    let children: Vec<protection::Child> = names
        .into_iter()
        .map(|name| protection::Child { name: name.to_owned(), seen: tried(child(name, &state)) })
        .collect();
    protection::judge(&observed, &children)
}

/// Whether a lock of ours keeps a second holder out, and is free again afterwards.
fn excludes(place: &Path) -> Result<bool> {
    let held = crate::run::lock(place, "doctor", Duration::ZERO)?;
    let second = crate::run::lock(place, "doctor", Duration::ZERO);
    drop(held);
    Ok(second.is_err() && crate::run::lock(place, "doctor", Duration::ZERO).is_ok())
}

fn child(name: &str, state: &Path) -> Result<protection::Seen> {
    let account = Account::named(name)?;
    let place = probe::files::scratch(state)?;
    let secret = place.path().join("secret/file");
    make_private(&place.path().join("secret"), 0o700)?;
    crate::host::fs::write_durably(&secret, b"not for everybody", 0o600)?;
    let (status, reads_state) = probe::process::as_account(&account, &secret)?;
    let allowed = probe::process::groups_of(&account);
    Ok(seen(&status, &allowed, account.is_root(), reads_state))
}

/// What `/proc/PID/status` says.
fn seen(status: &str, allowed: &[u32], is_root: bool, reads_state: bool) -> protection::Seen {
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or_default().trim().to_owned()
    };
    let is_set = |name: &str| u64::from_str_radix(&field(name), 16).unwrap_or(u64::MAX) != 0;
    let groups = field("Groups");
    // An install of root's own: there is nothing to be kept from it.
    protection::Seen {
        no_new_privileges: is_root || field("NoNewPrivs") == "1",
        has_capabilities: !is_root && ["CapEff", "CapPrm", "CapAmb"].iter().any(|name| is_set(name)),
        extra_groups: groups
            .split_whitespace()
            .filter_map(|gid| gid.parse().ok())
            .filter(|gid| !allowed.contains(gid))
            .collect(),
        reads_state: !is_root && reads_state,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_child_is_read_as_proc_writes_it() {
        let status = |groups: &str, no_new: &str, effective: &str| {
            format!(
                "Name:\tcat\nGroups:\t{groups} \nCapPrm:\t0000000000000000\nCapEff:\t{effective}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t{no_new}\n"
            )
        };
        let none = "0000000000000000";
        let good = protection::Seen { no_new_privileges: true, ..Default::default() };
        assert_eq!(seen(&status("1000 27", "1", none), &[1000, 27], false, false), good);
        assert_eq!(seen(&status("1000 0", "1", none), &[1000], false, false).extra_groups, [0]);
        assert!(seen(&status("", "1", "000001ffffffffff"), &[], false, false).has_capabilities);
        assert!(!seen(&status("", "0", none), &[], false, false).no_new_privileges);
        // What cannot be read does not count as safe.
        assert!(seen("", &[], false, false).has_capabilities);
    }
}
