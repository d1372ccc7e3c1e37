//! What `relift init` finds: a checkout, its remote, its components, and what of them this host runs.
//!
//! Nothing here changes anything, and nothing here trusts the owner of the checkout: git runs as the owner, files are
//! opened below the checkout without following a symlink, and no value of a `.env` gets into what is found.

mod component;
mod compose;
mod draft;
mod evidence;
mod git;
mod listening;
mod makefile;
mod packages;
mod releases;
mod sketch;
mod tree;
mod units;

use std::path::{Path, PathBuf};

#[cfg(test)]
mod tests;

pub use draft::draft;
pub use sketch::Sketch;

use crate::error::{Error, Kind, Result};
use crate::host::account::Account;
use crate::manifest::{EnvFile, Follow, RelPath, RestartPolicy, Scope, VersionSource};

/// What was found in and around a checkout.
#[derive(Debug, Clone)]
pub struct Found {
    /// The top directory of the checkout, without symlinks.
    pub root: PathBuf,
    /// Who owns it.
    pub owner: Account,
    /// Where its releases come from.
    pub git: FoundGit,
    /// Its components, installed or not, by path.
    pub components: Vec<FoundComponent>,
    /// What the operator should know about the checkout as a whole.
    pub notes: Vec<String>,
}

/// Where releases come from.
#[derive(Debug, Clone)]
pub struct FoundGit {
    /// The remote's name.
    pub remote: String,
    /// Its URL, without a password.
    pub url: String,
    /// What an upgrade would follow.
    pub follow: Follow,
    /// The newest release tags' shape, where a branch is followed and there are such tags.
    pub tags: Option<String>,
    /// What the operator should know about it.
    pub notes: Vec<String>,
    /// The revision that an upgrade would go to, as far as the last fetch knows.
    pub tip: Option<String>,
}

/// A directory that looks like a component.
#[derive(Debug, Clone)]
pub struct FoundComponent {
    /// A name for it.
    pub name: String,
    /// Its directory, relative to the root.
    pub path: RelPath,
    /// Whether this host has it.
    pub installed: bool,
    /// The configuration file that is there; `installed` without one is by its units.
    pub installed_if: Option<RelPath>,
    /// Its configuration file, and whether upstream ships an example.
    pub env: Option<(EnvFile, bool)>,
    /// Where its version is, and the version.
    pub version: Option<(VersionSource, String)>,
    /// Its changelog, where there is one.
    pub changelog: Option<RelPath>,
    /// What steps make and git ignores.
    pub artifacts: Vec<RelPath>,
    /// A check of the configuration.
    pub check: Option<FoundCheck>,
    /// Steps, in order.
    pub steps: Vec<FoundStep>,
    /// Units that upstream ships.
    pub units: Vec<FoundUnit>,
    /// Where it listens.
    pub port: Option<FoundPort>,
    /// A key of the `.env` that looks like a token for requests.
    pub token: Option<String>,
    /// What the operator should know about it.
    pub notes: Vec<String>,
}

/// A script that checks the configuration.
#[derive(Debug, Clone)]
pub struct FoundCheck {
    /// Program and arguments.
    pub run: Vec<String>,
    /// The revision that has it, where the installed one does not.
    pub only_in: Option<String>,
}

/// A command that belongs to an upgrade.
#[derive(Debug, Clone)]
pub struct FoundStep {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub run: Vec<String>,
    /// The files that make it run.
    pub changed: Vec<String>,
    /// How it is undone, where that could be told.
    pub undo: Option<&'static str>,
    /// Why all this was chosen.
    pub reasons: Vec<String>,
    /// Whether it is only proposed.
    pub proposed: bool,
    /// Lines that would make it run as root, for the operator to decide.
    pub as_root: Vec<String>,
}

/// A unit file of the tree.
#[derive(Debug, Clone)]
pub struct FoundUnit {
    /// The file, relative to the component.
    pub file: RelPath,
    /// The manager that has it and the file there; `None`: it is not installed.
    pub installed: Option<(Scope, PathBuf)>,
    /// The instances of a template that are enabled.
    pub instances: Vec<String>,
    /// The packages of the program that it runs.
    pub packages: Vec<String>,
    /// What an upgrade does to it.
    pub restart: RestartPolicy,
    /// Why, and what else is to be known.
    pub notes: Vec<String>,
}

/// The key of the `.env` that says where the component listens.
#[derive(Debug, Clone)]
pub struct FoundPort {
    /// The key.
    pub key: String,
    /// Whether a process of the owner listens there now, on an address that 127.0.0.1 reaches.
    pub listening: bool,
}

/// What else than a git checkout `path` is: a Compose project, a directory of releases, or what a package installed; with
/// `packages`, those. `None`: a checkout, or nothing that is known.
pub fn sketch(path: &Path, packages: &[String]) -> Result<Option<Sketch>> {
    if !packages.is_empty() {
        return packages::sketch(packages).map(Some);
    }
    let Ok(real) = path.canonicalize() else { return Ok(None) };
    let is_checkout = git::toplevel(&real).is_ok();
    if let Some(root) = releases::root_of(&std::path::absolute(path).unwrap_or_default()).or(releases::root_of(&real)) {
        // A release may itself be a clone; what switches them is the link.
        if root.join(".git").symlink_metadata().is_err() {
            return releases::sketch(&root, &owner_of(&root)?).map(Some);
        }
    }
    if is_checkout {
        return Ok(None);
    }
    if let Some(root) = compose::root_of(&real) {
        return compose::sketch(&root, &owner_of(&root)?.name).map(Some);
    }
    match packages::of(&real) {
        Some(package) => packages::sketch(&[package]).map(Some),
        None => Ok(None),
    }
}

/// Looks at the checkout that `path` is in. Errors are of kind `Failed` where `path` is in no checkout that could be
/// upgraded, `NotPermitted` where the caller is neither root nor the owner.
pub fn discover(path: &Path) -> Result<Found> {
    let root = git::toplevel(path)?;
    let owner = owner_of(&root)?;
    let caller = nix::unistd::geteuid().as_raw();
    if caller != 0 && caller != owner.uid {
        return Err(Error::new(Kind::NotPermitted, format!("{} belongs to {}", root.display(), owner.name))
            .because("git must run as the owner of a checkout")
            .hint("run relift as root"));
    }
    let git = git::Git::open(&root, &owner)?;
    let tree = tree::Tree::open(&git)?;
    let mut found_git = git.found(&tree)?;
    let mut components = component::all(&tree, &owner)?;
    git.prefer_tags_of(&components, &mut found_git)?;
    component::add_checks(&tree, &mut components, found_git.tip.as_deref())?;
    let notes = notes(&git, &tree, &components)?;
    Ok(Found { root, owner, git: found_git, components, notes })
}

fn owner_of(root: &Path) -> Result<Account> {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::symlink_metadata(root)
        .map_err(|error| Error::failed(format!("{} cannot be looked at", root.display())).because(error))?
        .uid();
    let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid))
        .map_err(|errno| Error::failed(format!("uid {uid} cannot be looked up")).because(errno))?;
    let user = user.ok_or_else(|| {
        Error::failed(format!("{} belongs to uid {uid}, which is no account of this host", root.display()))
            .hint(format!("give it to the account that runs the service: chown -R ACCOUNT: {}", root.display()))
    })?;
    Account::named(&user.name)
}

fn notes(git: &git::Git, tree: &tree::Tree<'_>, components: &[FoundComponent]) -> Result<Vec<String>> {
    let mut notes = git.state()?;
    if tree.is_tracked(".gitmodules") {
        notes.push("The repository has submodules; an upgrade does not update them.".into());
    }
    if tree.is_file(".env") {
        notes.push(
            "The .env in the top directory belongs to no component: a component is a directory below the root.".into(),
        );
    }
    for (unit, scope) in tree.units_outside(components).into_iter().filter_map(|unit| {
        let name = unit.rsplit('/').next().unwrap_or_default();
        units::installed(name, git.owner()).map(|(scope, _)| (unit.clone(), scope))
    }) {
        let scope = units::scope_word(scope);
        notes.push(format!("{unit} is installed ({scope} scope) and lies in no component, so it is left alone."));
    }
    Ok(notes)
}
