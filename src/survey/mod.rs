//! The survey: a read-only picture of what is here.

pub mod discover;
pub mod host;
mod readers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::action::{Link, Links};
use crate::backup::Outlook;
use crate::error::{Error, Result, ended};
use crate::host::account::Account;
use crate::host::fs::{Content, NodeKind, Rooted, Times, sha256};
use crate::host::systemd::{self, Manager, UnitState};
use crate::ledger::{Activated, Activation, FailedRelease, KnownGood, Ledger, MigrationRan};
use crate::manifest::{Component, GitSource, Install, Layout, Scope, Unit};
use crate::plan::Blocker;
use crate::source::git::{Checkout, switch};
use crate::source::{self, Place};

pub use readers::ReadFile;

/// What is here.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    /// The owner: uid and gid.
    pub owner_ids: (u32, u32),
    /// The root of the install without links on the way to it.
    pub real_root: PathBuf,
    /// The checkout.
    pub checkout: Checkout,
    /// The name of the release that runs, where each has a directory of its own.
    pub release: Option<String>,
    /// The declared components, in their order.
    pub components: Vec<Surveyed>,
    /// Directories that hold files git does not track and that would leave the cone, with one such file each.
    pub leftovers: BTreeMap<String, String>,
    /// Local changes that the manifest allows to be discarded.
    pub discarded: Vec<(PathBuf, Content)>,
    /// Releases that passed here, oldest first.
    pub known_good: Vec<KnownGood>,
    /// Releases that failed here.
    pub failed: Vec<FailedRelease>,
    /// Hash of the manifest and of every configuration file.
    pub configuration: String,
    /// Whether the owner's user manager runs without a login; `None` where nobody can tell.
    pub lingers: Option<bool>,
    /// Migrations that ran here.
    pub migrations: Vec<MigrationRan>,
    /// Where commands of runs save what they need for their undo.
    pub scratch: PathBuf,
    /// What there is to back up, where the manifest has `[backup]` and a plan is to be made.
    pub backup: Option<Outlook>,
}

/// A component as it is here.
#[derive(Debug, Clone, Default)]
pub struct Surveyed {
    /// Whether it is installed here.
    pub is_installed: bool,
    /// Whether its directory is within the sparse-checkout cone.
    pub is_checked_out: bool,
    /// What was activated by the last run that finished; `None` before the first.
    pub activation: Option<Activation>,
    /// Its configuration files, in the manifest's order; `None`: not there.
    pub env: Vec<Option<Content>>,
    /// When each of them was written; zeros where that is not known.
    pub env_times: Vec<Times>,
    /// Whether each of its artifacts is there.
    pub artifacts: Vec<bool>,
    /// Its units, in the manifest's order.
    pub units: Vec<SurveyedUnit>,
    /// What changed on the host under it; looked at by [`host::look`] alone.
    pub host: host::HostChange,
}

/// A unit as it is here.
#[derive(Debug, Clone, Default)]
pub struct SurveyedUnit {
    /// A directory that is there; `file` is relative to it.
    pub directory: PathBuf,
    /// Where its file is or will be.
    pub file: PathBuf,
    /// What is installed there.
    pub installed: Option<Content>,
    /// It is a link into the checkout, so that it changes with the tree.
    pub is_linked: bool,
    /// The operator's own drop-in `50-local.conf`.
    pub local: Option<Content>,
    /// The texts of all its drop-ins beside it, by file name.
    pub drop_ins: BTreeMap<String, String>,
    /// Its state, or that of each instance of a template.
    pub states: Vec<(String, UnitState)>,
    /// The links by which it is enabled, in the directory of its file.
    pub links: Vec<Link>,
    /// The drop-ins as files, where the whole unit may be moved.
    pub drop_in_files: Vec<(PathBuf, Content)>,
    /// Of a unit that a package installs: each name with the texts of its file and of its drop-ins.
    pub texts: Vec<(String, Vec<String>)>,
    /// The unit of the same name in the other scope, of this install, where this scope has none.
    pub elsewhere: Option<Box<SurveyedUnit>>,
}

impl Survey {
    /// The memory of a release that failed here with the configuration that is here now, or with whatever one there is.
    pub fn failed_with(&self, revision: &str) -> Option<&FailedRelease> {
        let same = |failed: &&FailedRelease| {
            failed.revision == revision
                && (failed.configuration.is_empty() || failed.configuration == self.configuration)
        };
        self.failed.iter().find(same)
    }

    /// Looks at everything.
    pub fn take(place: &Place) -> Result<Survey> {
        let Place { install, owner, state, .. } = *place;
        let upstream = source::of(&install.source);
        // While git is asked, so is the bus; whoever needs it next finds it open.
        let (checkout, lingers) = std::thread::scope(|scope| {
            let lingers = scope.spawn(|| systemd::lingering(owner).ok());
            (upstream.observe(place), ended(lingers.join()))
        });
        let checkout = checkout?;
        let ledger = Ledger::below(state);
        let activated = ledger.activated()?;
        let mut managers = Managers { owner, system: None, user: None };
        let root = Rooted::open(&install.root)?;
        let mut components = Vec::new();
        for component in &install.components {
            let is_installed = upstream.has(place, component, &root)?;
            let here = (install, component, is_installed);
            components.push(component_as_it_is(here, &root, &checkout, &activated, &mut managers)?);
        }
        let release = match install.layout {
            Layout::InPlace => None,
            Layout::Releases => source::releases::current(&root)?,
        };
        let git = install.checkout();
        let discarded = git.map(|git| discarded(git, &root, &checkout)).transpose()?.unwrap_or_default();
        let leftovers = git.map(|git| leftovers(place, git, &checkout, &components)).transpose()?;
        Ok(Survey {
            owner_ids: (owner.uid, owner.gid),
            release,
            real_root: std::fs::canonicalize(&install.root).unwrap_or_else(|_| install.root.clone()),
            leftovers: leftovers.unwrap_or_default(),
            discarded,
            known_good: ledger.known_good()?,
            failed: ledger.failed()?,
            migrations: ledger.migrations()?,
            scratch: place.cache.join(crate::action::SCRATCH),
            configuration: configuration(install, &components),
            lingers,
            backup: None,
            checkout,
            components,
        })
    }

    /// The components that are installed here, with their declarations.
    pub fn installed<'a>(&'a self, install: &'a Install) -> impl Iterator<Item = (usize, &'a Component, &'a Surveyed)> {
        let pairs = install.components.iter().zip(&self.components).enumerate();
        pairs
            .filter(|(_, (_, surveyed))| surveyed.is_installed)
            .map(|(at, (component, surveyed))| (at, component, surveyed))
    }

    /// The cone that the checkout is to have; `None`: the whole tree.
    pub fn goal_cone(&self, install: &Install) -> Option<Vec<String>> {
        let is_sparse = install.checkout().is_some_and(|source| source.sparse);
        if is_sparse { Some(self.wanted_cone(install)) } else { self.checkout.cone.clone() }
    }

    /// Components that count as gone while their units still run: a lost `.env` is no removal.
    pub fn left_running(&self, install: &Install) -> Vec<Blocker> {
        let mut blockers = Vec::new();
        for (component, surveyed) in
            install.components.iter().zip(&self.components).filter(|(_, surveyed)| !surveyed.is_installed)
        {
            let states = component
                .units
                .iter()
                .zip(&surveyed.units)
                .flat_map(|(unit, here)| here.states.iter().map(move |state| (unit.scope, state)));
            for (scope, (name, _)) in states.filter(|(_, (_, state))| state.is_active()) {
                let path = component.installed_if.as_ref().unwrap_or(&component.path);
                let systemctl = if scope == Scope::User { "systemctl --user" } else { "systemctl" };
                blockers.push(Blocker::impossible(
                    format!("{path} is missing, so that {} counts as not installed, but {name} runs", component.name),
                    format!("put {path} back, or remove the component for good: {systemctl} disable --now {name}"),
                ));
            }
        }
        blockers
    }

    /// The cone that the installed components ask for, directories that must not lose files included.
    fn wanted_cone(&self, install: &Install) -> Vec<String> {
        let installed = self.installed(install).map(|(_, component, _)| component.path.as_str().to_owned());
        let mut cone: Vec<String> = installed.chain(self.leftovers.keys().cloned()).collect();
        cone.sort();
        cone.dedup();
        cone
    }
}

/// The connections to systemd, made when first needed: a host without a user manager may have no user units.
struct Managers<'a> {
    owner: &'a Account,
    system: Option<Manager>,
    user: Option<Manager>,
}

impl Managers<'_> {
    /// Whether the scope has a manager that can be asked.
    fn are_there(&self, scope: Scope) -> bool {
        scope == Scope::System || systemd::has_user_manager(self.owner)
    }

    fn unit(&mut self, scope: Scope, name: &str) -> Result<UnitState> {
        self.of(scope)?.unit(name)
    }

    fn matching(&mut self, scope: Scope, pattern: &str) -> Result<Vec<String>> {
        self.of(scope)?.matching(pattern)
    }

    fn of(&mut self, scope: Scope) -> Result<&mut Manager> {
        let owner = self.owner;
        let slot = match scope {
            Scope::System => &mut self.system,
            Scope::User => &mut self.user,
        };
        if slot.is_none() {
            *slot = Some(match scope {
                Scope::System => Manager::system()?,
                Scope::User => Manager::user(owner)?,
            });
        }
        slot.as_mut().ok_or_else(|| Error::failed("no connection to systemd"))
    }
}

fn component_as_it_is(
    (install, component, is_installed): (&Install, &Component, bool),
    root: &Rooted,
    checkout: &Checkout,
    activated: &Activated,
    managers: &mut Managers,
) -> Result<Surveyed> {
    let path = component.path.as_str();
    let is_checked_out = checkout.cone.as_ref().is_none_or(|cone| cone.iter().any(|directory| directory == path));
    let activation = activated.components.get(&component.name).cloned();
    let mut surveyed = Surveyed { is_installed, is_checked_out, activation, ..Surveyed::default() };
    let is_known = surveyed.activation.is_some()
        || component.units.iter().any(|unit| !unit.is_packaged && has_file(unit, managers.owner));
    let is_leftover = is_checked_out && checkout.cone.is_some();
    if !is_installed && !is_known && !is_leftover {
        return Ok(surveyed);
    }
    for env in &component.env {
        let path = install.env_path(component, env);
        surveyed.env.push(root.read(path.as_ref())?);
        surveyed.env_times.push(root.times(path.as_ref()).unwrap_or_default());
    }
    for artifact in &component.artifacts {
        surveyed.artifacts.push(root.exists(artifact.below(&component.path).as_ref())?);
    }
    for unit in &component.units {
        let mut here = unit_as_it_is(unit, managers)?;
        if here.installed.is_none() && !here.is_linked && !unit.is_packaged {
            here.elsewhere = elsewhere(unit, managers, root.path())?.map(Box::new);
        }
        surveyed.units.push(here);
    }
    Ok(surveyed)
}

/// Where an administrator installs units: a directory that is there, and the way from it.
fn unit_place(scope: Scope, owner: &Account) -> (PathBuf, PathBuf) {
    match scope {
        Scope::System => (PathBuf::from("/etc/systemd/system"), PathBuf::new()),
        Scope::User => (owner.home.clone(), PathBuf::from(".config/systemd/user")),
    }
}

fn has_file(unit: &Unit, owner: &Account) -> bool {
    let (directory, below) = unit_place(unit.scope, owner);
    let file = below.join(unit.file.file_name());
    Rooted::open(&directory).and_then(|place| place.node(&file)).is_ok_and(|node| node.is_some())
}

/// The unit of the same name in the other scope, where it is one of this install: it names the checkout.
fn elsewhere(unit: &Unit, managers: &mut Managers, root: &Path) -> Result<Option<SurveyedUnit>> {
    let scope = match unit.scope {
        Scope::System => Scope::User,
        Scope::User => Scope::System,
    };
    let other = Unit { scope, ..unit.clone() };
    if !has_file(&other, managers.owner) || !managers.are_there(scope) {
        return Ok(None);
    }
    let found = unit_as_it_is(&other, managers)?;
    let text = found.installed.as_ref().map(|content| String::from_utf8_lossy(&content.bytes).into_owned());
    let is_masked = found.states.iter().any(|(_, state)| state.is_masked());
    let is_ours = is_masked || text.is_some_and(|text| text.contains(&root.display().to_string()));
    Ok(is_ours.then_some(found))
}

fn unit_as_it_is(unit: &Unit, managers: &mut Managers) -> Result<SurveyedUnit> {
    if unit.is_packaged {
        return packaged(unit, managers);
    }
    let name = unit.file.file_name();
    let (directory, below) = unit_place(unit.scope, managers.owner);
    let file = below.join(name);
    let place = Rooted::open(&directory)?;
    let is_link = place.link(&file)?.is_some();
    let installed = if is_link { None } else { place.read(&file)? };
    let local = place.read(&below.join(format!("{name}.d/50-local.conf")))?;
    let drop_ins = drop_ins(&place, &below.join(format!("{name}.d")))?;
    let mut states = Vec::new();
    // An account may have no user manager before its first unit.
    let is_new = installed.is_none() && !is_link && !managers.are_there(unit.scope);
    for name in unit.names() {
        let state = if is_new { UnitState::default() } else { managers.unit(unit.scope, &name)? };
        states.push((name, state));
    }
    let is_masked = states.iter().any(|(_, state)| state.is_masked());
    let names: BTreeSet<String> = unit.names().into_iter().chain([name.to_owned()]).collect();
    let units = if below == Path::new("") { Path::new(".") } else { &below };
    let links = Links { place: &place, below: units, units: &names }.look()?;
    let mut drop_in_files = Vec::new();
    for path in drop_ins.keys().map(|drop_in| below.join(format!("{name}.d")).join(drop_in)) {
        drop_in_files.extend(place.read(&path)?.map(|content| (path, content)));
    }
    let is_linked = is_link && !is_masked;
    let elsewhere = None;
    let texts = Vec::new();
    Ok(SurveyedUnit {
        directory,
        file,
        installed,
        is_linked,
        local,
        drop_ins,
        states,
        links,
        drop_in_files,
        texts,
        elsewhere,
    })
}

/// A unit whose file is a distribution package's: what runs of it counts, the file is not ours to look at.
fn packaged(unit: &Unit, managers: &mut Managers) -> Result<SurveyedUnit> {
    let (directory, below) = unit_place(unit.scope, managers.owner);
    let mut names = unit.names();
    if unit.has_any_instances() && managers.are_there(unit.scope) {
        let (stem, kind) = unit.file.file_name().split_once("@.").unwrap_or_default();
        names = managers.matching(unit.scope, &format!("{stem}@*.{kind}"))?;
        // An instance that is enabled and was never started is not loaded.
        for wants in Rooted::open(&directory)?.entries(&below).unwrap_or_default() {
            if wants.extension().is_some_and(|end| end == "wants" || end == "requires") {
                let links = Rooted::open(&directory)?.entries(&below.join(&wants)).unwrap_or_default();
                names.extend(links.into_iter().map(|link| link.display().to_string()));
            }
        }
        let is_instance = |name: &String| {
            let instance = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix('@'));
            instance
                .and_then(|rest| rest.strip_suffix(&format!(".{kind}")))
                .is_some_and(|instance| !instance.is_empty())
        };
        names.retain(is_instance);
        names.sort();
        names.dedup();
    }
    let mut states = Vec::new();
    for name in names {
        let state =
            if managers.are_there(unit.scope) { managers.unit(unit.scope, &name)? } else { UnitState::default() };
        states.push((name, state));
    }
    let read = |path: &String| std::fs::read_to_string(path).unwrap_or_default();
    let texts = |(name, state): &(String, UnitState)| {
        (name.clone(), [&state.fragment].into_iter().chain(&state.drop_ins).map(read).collect())
    };
    let texts = states.iter().map(texts).collect();
    Ok(SurveyedUnit { file: below.join(unit.file.file_name()), directory, states, texts, ..SurveyedUnit::default() })
}

/// The drop-ins in a unit's directory. One that is a link, or no text, is the operator's own affair.
fn drop_ins(place: &Rooted, directory: &Path) -> Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for entry in place.entries(directory).unwrap_or_default() {
        let name = entry.to_string_lossy().into_owned();
        let is_plain = || {
            place.node(&directory.join(&entry)).is_ok_and(|node| node.is_some_and(|node| node.kind == NodeKind::File))
        };
        if name.ends_with(".conf")
            && is_plain()
            && let Some(content) = place.read(&directory.join(&name))?
        {
            found.insert(name, String::from_utf8_lossy(&content.bytes).into_owned());
        }
    }
    Ok(found)
}

/// Directories that would leave the cone although they hold something that git does not track: git would delete what
/// it ignores there without a word.
fn leftovers(
    place: &Place,
    source: &GitSource,
    checkout: &Checkout,
    components: &[Surveyed],
) -> Result<BTreeMap<String, String>> {
    let Place { install, owner, state, .. } = *place;
    let pairs = install.components.iter().zip(components);
    let wanted: Vec<&str> =
        pairs.filter(|(_, surveyed)| surveyed.is_installed).map(|(component, _)| component.path.as_str()).collect();
    let is_as_wanted =
        checkout.cone.as_ref().is_some_and(|cone| cone.iter().all(|directory| wanted.contains(&directory.as_str())));
    let mut found = BTreeMap::new();
    if !source.sparse || is_as_wanted {
        return Ok(found);
    }
    for path in switch::leftovers(owner, &install.root, ".")? {
        // The whole directory that leaves: the first one on the way that holds no wanted one.
        let holds_wanted =
            |depth: usize| wanted.iter().any(|directory| directory.starts_with(&format!("{}/", first(&path, depth))));
        let depth = (1..path.matches('/').count() + 1).find(|depth| !holds_wanted(*depth)).unwrap_or(1);
        let directory = first(&path, depth);
        let is_within = wanted.iter().any(|wanted| Path::new(&path).starts_with(wanted));
        if !is_within && path.contains('/') {
            found.entry(directory).or_insert(path);
        }
    }
    let tracked = found.keys().cloned().collect();
    let tracked = switch::directories(owner, (state, &install.root), &checkout.head, tracked)?;
    found.retain(|directory, _| tracked.contains(directory));
    Ok(found)
}

fn first(path: &str, depth: usize) -> String {
    path.split('/').take(depth).collect::<Vec<_>>().join("/")
}

fn discarded(source: &GitSource, root: &Rooted, checkout: &Checkout) -> Result<Vec<(PathBuf, Content)>> {
    let mut found = Vec::new();
    for path in source.discard.iter().filter(|path| checkout.dirty.iter().any(|dirty| dirty.path == path.as_str())) {
        let content =
            root.read(path.as_ref())?.ok_or_else(|| {
                Error::failed(format!("{path} was deleted in the checkout, which `discard` does not cover")).hint(
                    format!("git -C {} checkout HEAD -- {}", root.path().display(), crate::text::word(path.as_str())),
                )
            })?;
        found.push((PathBuf::from(path.as_str()), content));
    }
    Ok(found)
}

fn configuration(install: &Install, components: &[Surveyed]) -> String {
    let manifest = std::fs::read(&install.file).unwrap_or_default();
    let files = components.iter().flat_map(|component| &component.env).flatten();
    let hashes: Vec<String> =
        std::iter::once(sha256(&manifest)).chain(files.map(|file| file.image.sha256.clone())).collect();
    sha256(hashes.join("\n").as_bytes())
}
