//! What systemd and this host will say of the units that a plan installs, before anything is installed.

use std::path::Path;

use nix::unistd::{Group, User};

use crate::action::{Action, Units};
use crate::error::{Error, Result};
use crate::host::account::Account;
use crate::host::fs::Rooted;
use crate::host::systemd;
use crate::manifest::Scope;
use crate::plan::{Blocker, Contents, Plan, unit};

/// Checks the units of a plan, for the plan: warnings, and what stops the run.
pub fn foresee(plan: &Plan, contents: &Contents, owner: &Account) -> (Vec<String>, Option<Blocker>) {
    match units(plan, contents, owner) {
        Ok(warnings) => (warnings, None),
        Err(error) => {
            let hint = error.hints.first().cloned().unwrap_or_else(|| "mend the unit file upstream".into());
            (Vec::new(), Some(Blocker::impossible(error.to_string(), hint)))
        }
    }
}

/// `systemd-analyze verify` on what would be installed, and the accounts that it names. Gives warnings.
pub(super) fn units(plan: &Plan, contents: &Contents, owner: &Account) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let steps = plan.components.iter().flat_map(|component| &component.steps);
    let may_be_made = steps.into_iter().any(|step| step.runs && step.as_root);
    for action in &plan.actions {
        let Action::Units(units) = action else { continue };
        let files = files(units, contents)?;
        // A drop-in alone is no unit that could be verified.
        if files.iter().any(|(name, _)| !name.contains('/')) {
            warnings.extend(systemd::verify(&files, units.scope, owner)?);
            warnings.extend(accounts(&files, units.scope, owner, may_be_made)?);
        }
    }
    Ok(warnings)
}

/// The unit files as the run leaves them, each with all its drop-ins; what is removed needs no leave of systemd's.
fn files(units: &Units, contents: &Contents) -> Result<Vec<(String, String)>> {
    let place = Rooted::open(&units.directory)?;
    let mut files = Vec::new();
    for swap in &units.files {
        let Some(after) = &swap.after else { continue };
        let name = place_of(&swap.path);
        files.push((name.clone(), String::from_utf8_lossy(contents.bytes(after).unwrap_or_default()).into_owned()));
        if name.contains('/') {
            continue;
        }
        let drop_ins = swap.path.with_file_name(format!("{name}.d"));
        for file in place.entries(&drop_ins)? {
            let path = drop_ins.join(&file);
            let is_planned = units.files.iter().any(|swap| swap.path == path);
            let is_drop_in = file.extension().is_some_and(|kind| kind == "conf") && place.link(&path)?.is_none();
            if let Some(content) = (is_drop_in && !is_planned).then(|| place.read(&path)).transpose()?.flatten() {
                files.push((place_of(&path), String::from_utf8_lossy(&content.bytes).into_owned()));
            }
        }
    }
    Ok(files)
}

/// The path of a unit file or a drop-in below the directory of units.
fn place_of(path: &Path) -> String {
    let name = |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    let (parent, file) = (name(path.parent()), name(Some(path)));
    if parent.ends_with(".d") { format!("{parent}/{file}") } else { file }
}

/// Accounts that a unit names and that this host does not have: systemd finds out when it starts the service, which then fails
/// with 217/USER or 216/GROUP. A step of root's may make them.
fn accounts(files: &[(String, String)], scope: Scope, owner: &Account, may_be_made: bool) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (name, text) in files.iter().filter(|(name, _)| !name.contains('/')) {
        let below = format!("{name}.d/");
        let mut drop_ins: Vec<_> = files.iter().filter(|(file, _)| file.starts_with(&below)).collect();
        drop_ins.sort();
        let drop_ins: Vec<&str> = drop_ins.iter().map(|(_, text)| text.as_str()).collect();
        for (key, account) in unit::accounts(text, &drop_ins) {
            let is_user = key == "User" || key == "SocketUser";
            let is_there = match is_user {
                true => User::from_name(&account).map(|user| user.is_some()),
                false => Group::from_name(&account).map(|group| group.is_some()),
            };
            let what = if is_user { "account" } else { "group" };
            let shown = crate::text::harmless(&account);
            if is_there.is_ok_and(|is_there| !is_there) {
                let fault = format!("{name}: {key}={shown}: this host has no {what} {shown}");
                if !may_be_made {
                    let make = if is_user { "useradd --system" } else { "groupadd --system" };
                    return Err(Error::failed(fault).hint(format!(
                        "make it: {make} {shown}; or name another in a drop-in: systemctl edit {name}"
                    )));
                }
                warnings.push(format!("{fault} yet: a step that runs as root has to make it"));
            } else if scope == Scope::User && key == "User" {
                let (code, why) = if account == owner.name { ("216/GROUP", "") } else { ("217/USER", " to another") };
                warnings.push(format!(
                    "{name}: {key}={shown}: a user manager cannot change accounts{why}; the service may fail with {code}"
                ));
            }
        }
    }
    Ok(warnings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str, scope: Scope, may_be_made: bool) -> std::result::Result<Vec<String>, String> {
        let owner = Account { name: "daemon".into(), ..Account::root() };
        let files = [("app.service".to_owned(), text.to_owned())];
        accounts(&files, scope, &owner, may_be_made).map_err(|error| error.to_string())
    }

    #[test]
    fn an_account_that_is_not_there_stops_a_unit_unless_a_step_may_make_it() {
        let unknown = "[Service]\nUser=relift-none\n";
        let fault = "app.service: User=relift-none: this host has no account relift-none".to_owned();
        assert_eq!(told(unknown, Scope::System, false), Err(fault.clone()));
        let warning = format!("{fault} yet: a step that runs as root has to make it");
        assert_eq!(told(unknown, Scope::System, true), Ok(vec![warning]));
        let group = told("[Service]\nUser=daemon\nGroup=relift-none\n", Scope::System, false);
        assert_eq!(group, Err("app.service: Group=relift-none: this host has no group relift-none".into()));
        assert_eq!(told("[Service]\nUser=daemon\nGroup=daemon\n", Scope::System, false), Ok(Vec::new()));
        assert_eq!(told("[Service]\nUser=%i\nDynamicUser=no\n", Scope::System, false), Ok(Vec::new()));
    }

    #[test]
    fn a_user_manager_changes_no_accounts() {
        let own = told("[Service]\nUser=daemon\n", Scope::User, false).unwrap();
        assert!(own[0].contains("may fail with 216/GROUP"), "{own:?}");
        let other = told("[Service]\nUser=root\n", Scope::User, false).unwrap();
        assert!(
            other[0].contains("cannot change accounts to another; the service may fail with 217/USER"),
            "{other:?}"
        );
    }

    #[test]
    fn a_drop_in_lies_in_the_directory_of_its_unit() {
        let place = |path: &str| place_of(Path::new(path));
        assert_eq!(place(".config/systemd/user/app.service"), "app.service");
        assert_eq!(place(".config/systemd/user/app.service.d/50-local.conf"), "app.service.d/50-local.conf");
    }
}
