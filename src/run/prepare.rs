//! Prepare: everything that can fail without touching the live install.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gates::{self, Side};
use super::record::Body;
use super::{peers, prove, reserve, restore};
use crate::action::{
    Act, Action, Check, Invocation, Place, Rerun, SCRATCH, Site, Tree, With, put_into_export, remove_scratch,
    save_artifact,
};
use crate::error::{Error, Result, ended};
use crate::health;
use crate::host::account::Account;
use crate::host::fs::{Content, Rooted, free_bytes, is_read_only, make_private, sync_filesystem};
use crate::ledger::Ledger;
use crate::manifest::{BackupWhen, Install};
use crate::plan::{Contents, Plan};
use crate::report::{Event, Reporter, during};
use crate::run::Engine;
use crate::source;
use crate::source::git::{Checkout, remove_stage, stage, switch};
use crate::trust;

/// What must stay free on each filesystem that a run writes to, bytes.
const FLOOR: u64 = 100 << 20;
/// The same where units are.
const UNIT_FLOOR: u64 = 1 << 20;
/// The same in /run.
const RUNTIME_FLOOR: u64 = 1 << 20;

/// Why a run stopped before any change.
pub(super) struct Stop {
    /// What happened.
    pub error: Error,
    /// The release's own checks refused: they will again. A full disk says nothing about the release.
    pub is_of_release: bool,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop { error, is_of_release: false }
    }
}

/// What *prepare* found and made.
pub(super) struct Prepared {
    /// The components that are healthy now.
    pub healthy: Vec<String>,
    /// The record of the backup, where one was taken.
    pub backup: Option<Body>,
}

/// Prepares a run.
pub(super) fn prepare(
    engine: &Engine,
    plan: &Plan,
    contents: &Contents,
    site: &mut Site,
) -> std::result::Result<Prepared, Stop> {
    let install = engine.install;
    has_room(engine)?;
    super::require::lacking(install)?
        .into_iter()
        .next()
        .map_or(Ok(()), |missing| Err(missing.hint.into_iter().fold(Error::failed(missing.what), Error::hint)))?;
    unchanged(engine, plan)?;
    trusted(engine, plan)?;
    peers::again(install, plan, &engine.owner)?;
    reserve::take(&site.directory)?;
    // No other run is open: what is there, one left that died after its end.
    remove_scratch(&engine.cache.join(SCRATCH))?;
    let gates = gates::gates(install, plan, |_| !plan.is_first(), Side::From, None, site.secrets())?;
    let findings = during(site.reporter, "measure the health before", || health::baseline(&engine.owner, &gates))?;
    for finding in &findings {
        if let Some(fault) = &finding.fault {
            let text = format!("{} is not healthy before the run: {}: {fault}", finding.component, finding.subject);
            site.reporter.tell(Event::Warning { text });
        }
    }
    let verified = super::verify::units(plan, contents, &engine.owner);
    // The plan told its warnings; what it did not tell came up since.
    for text in verified.map_err(|error| Stop { error, is_of_release: true })? {
        if !plan.warnings.contains(&text) {
            site.reporter.tell(Event::Warning { text });
        }
    }
    export_for_root(plan, site)?;
    gather(engine, plan, contents, site)?;
    prove::ask(&plan.preflight, site)?;
    // What others wrote a moment ago may be in memory alone, as the index after a `git status`: undo relies on it.
    sync_filesystem(&install.root)?;
    // Last: what is written from now on is lost should the backup be put back.
    let backup = restore::planned(plan).filter(|(_, backup)| backup.when == BackupWhen::Prepare);
    let taken = backup
        .map(|(_, backup)| during(site.reporter, format!("{}, and prove it", backup.title()), || backup.take(site)))
        .transpose()?;
    let is_healthy =
        |name: &String| findings.iter().all(|finding| finding.component != *name || finding.fault.is_none());
    let healthy = gates.into_iter().map(|gate| gate.component).filter(is_healthy).collect();
    Ok(Prepared { healthy, backup: taken.as_ref().map(restore::backed_up) })
}

/// Exports what root would run code of, and looks at the programs.
fn export_for_root(plan: &Plan, site: &mut Site) -> Result<()> {
    for hook in plan.preflight.iter().chain(&plan.verify) {
        hook.prepare(site)?;
    }
    for check in &plan.staged_checks {
        if let Some(origin) = &check.origin {
            site.trusts(origin, &check.path, "check", &check.run)?;
        }
    }
    for action in &plan.actions {
        match action {
            Action::Step(step) | Action::Check(Check { command: step }) | Action::Rerun(Rerun { step, .. }) => {
                step.prepare(site)?
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the filesystems that a run writes to have room. What goes wrong without says nothing about the release.
pub(super) fn has_room(engine: &Engine) -> Result<()> {
    room(&engine.install.root, FLOOR)?;
    room(engine.state, FLOOR)
}

/// Whether what a run writes to may be written to: a sandbox of the unit that started it may say otherwise.
pub(super) fn is_writable(engine: &Engine, plan: &Plan) -> Result<()> {
    let of_units = plan.actions.iter().filter_map(|action| match action {
        Action::Units(units) => Some((units.directory.as_path(), UNIT_FLOOR)),
        _ => None,
    });
    // The locks, and what systemd writes for the transient units of steps.
    let places = [(engine.install.root.as_path(), 0), (engine.state, 0), (Path::new("/run"), RUNTIME_FLOOR)];
    for (place, floor) in places.into_iter().chain(of_units) {
        if is_read_only(place)? {
            return Err(Error::failed(format!("{} is read-only here", place.display()))
                .hint(format!("where a filesystem is: findmnt --target {}", place.display()))
                .hint(format!(
                    "where the unit that started this keeps it so: systemctl edit it, with ReadWritePaths={}",
                    place.display()
                )));
        }
        room(place, floor)?;
    }
    Ok(())
}

fn room(place: &Path, floor: u64) -> Result<()> {
    let free = free_bytes(place)?;
    match free >= floor {
        true => Ok(()),
        false => {
            Err(Error::failed(format!("only {} MiB are free on the filesystem of {}", free >> 20, place.display()))
                .hint(format!("at least {} MiB must be: df -h {}", floor >> 20, place.display())))
        }
    }
}

/// Once more, before anything of the target is staged, checked or run: whatever made the plan, a run begins with this.
fn trusted(engine: &Engine, plan: &Plan) -> Result<()> {
    let ledger = Ledger::below(engine.state);
    let (activated, memory) = (ledger.activated()?, ledger.trust()?);
    let is_activated = |name: &String| {
        activated.components.get(name).is_some_and(|activation| activation.revision == plan.to.revision)
    };
    let subject = trust::Subject {
        revision: &plan.to.revision,
        label: plan.to.label.as_deref(),
        intent: plan.intent,
        is_settled: plan.components.iter().all(|component| is_activated(&component.name)),
        bases: ledger.proven()?,
        head: &plan.from.revision,
    };
    let now = jiff::Timestamp::now().as_second();
    let found = trust::assess(engine.install, engine.mirror.repository(), &memory, &subject, now)?;
    match found.blockers.into_iter().next() {
        None => Ok(()),
        Some(blocker) => Err(blocker.hint.into_iter().fold(Error::refused(blocker.what), Error::hint)),
    }
}

/// The approval may have taken a while: what the plan was made from must still hold.
fn unchanged(engine: &Engine, plan: &Plan) -> Result<()> {
    let now = source::of(&engine.install.source).glance(&engine.place())?;
    if now.head != plan.from.revision || !now.locks.is_empty() || now.operation.is_some() {
        return Err(
            Error::failed("the checkout was changed since the plan was made").hint("start again: nothing was changed")
        );
    }
    let root = Rooted::open(&plan.root)?;
    for action in &plan.actions {
        if let Action::Tree(tree) = action {
            unedited(tree, &now, &root)?;
        }
        if let Action::EnvFile(file) = action
            && root.read(&file.swap.path)?.map(|content| content.image) != file.swap.before
        {
            return Err(Error::failed(format!("{} was changed since the plan was made", file.swap.path.display()))
                .hint("start again: nothing was changed"));
        }
    }
    Ok(())
}

/// No tracked file was edited meanwhile, those that are set aside included.
fn unedited(tree: &Tree, now: &Checkout, root: &Rooted) -> Result<()> {
    let edited = |path: &Path| {
        Error::failed(format!("{} was changed since the plan was made", path.display()))
            .hint("start again: nothing was changed")
    };
    for dirty in now.dirty.iter().map(|dirty| Path::new(&dirty.path)) {
        let Some(aside) = tree.set_aside.iter().find(|aside| aside.path == dirty) else { return Err(edited(dirty)) };
        if root.read(dirty)?.map(|content| content.image).as_ref() != Some(&aside.image) {
            return Err(edited(dirty));
        }
    }
    Ok(())
}

/// Brings what the changes need and saves what they replace, while the declared checks run on the staged tree: each waits for
/// others most of its time, and none touches what another looks at.
fn gather(engine: &Engine, plan: &Plan, contents: &Contents, site: &mut Site) -> std::result::Result<(), Stop> {
    let (reporter, archives) = (site.reporter, site.directory.join("artifacts"));
    let bring = || source::of(&engine.install.source).bring(&engine.place(), engine.mirror, plan, reporter);
    // A check may want what another source brings: an image, a release's own directory.
    let is_apart = engine.install.checkout().is_some();
    if !is_apart {
        bring()?;
    }
    let owner = &engine.owner;
    let meanwhile = || -> Result<()> {
        std::thread::scope(|scope| {
            let saved = scope.spawn(|| save_artifacts(owner, plan, &archives, reporter));
            let brought = if is_apart { bring() } else { Ok(()) };
            brought.and(ended(saved.join()))
        })
    };
    if plan.staged_checks.is_empty() {
        return Ok(meanwhile()?);
    }
    let staged = staged(engine, plan, contents);
    let gathered = staged.map_err(Stop::from).and_then(|staged| {
        std::thread::scope(|scope| {
            let checked = scope.spawn(|| check_staged(plan, &staged, site));
            let gathered = meanwhile();
            let checked = ended(checked.join());
            gathered.map_err(Stop::from).and(checked)
        })
    });
    remove_stage(&engine.cache.join("stage"))?;
    gathered
}

/// The new tree aside, with the configuration files that the run would leave.
struct Staged {
    tree: PathBuf,
    files: Vec<(PathBuf, Content)>,
}

fn staged(engine: &Engine, plan: &Plan, contents: &Contents) -> Result<Staged> {
    let files = configured(plan, contents)?;
    let directories: Vec<String> = plan.components.iter().map(|component| component.path.clone()).collect();
    let tree = stage(engine.mirror, &plan.to.revision, &directories, &engine.owner, &engine.cache)?;
    let aside = Rooted::open(&tree)?;
    for (path, content) in &files {
        aside.replace(path, content)?;
    }
    Ok(Staged { tree, files })
}

/// Runs the declared checks on the staged tree. Their refusal is the release's.
fn check_staged(plan: &Plan, staged: &Staged, site: &mut Site) -> std::result::Result<(), Stop> {
    for check in &plan.staged_checks {
        let name = format!("{}: check {} on the staged tree", check.component, check.run.join(" "));
        let reporter = site.reporter;
        let place = match &check.origin {
            None => Place::Staged(staged.tree.clone()),
            Some(origin) => match site.place(origin)? {
                Place::Export(export) => {
                    for (path, content) in &staged.files {
                        put_into_export(&export, path, &content.bytes)?;
                    }
                    Place::Export(export)
                }
                // The checkout is trusted; the tree that is checked is the new one all the same.
                Place::Checkout | Place::Staged(_) => Place::Staged(staged.tree.clone()),
            },
        };
        during(reporter, name, || {
            site.invoke(&Invocation {
                name: "check",
                run: &check.run,
                as_root: check.as_root,
                place,
                base: None,
                path: &check.path,
                timeout: Duration::from_secs(check.timeout),
                component: &check.component,
                with: &With { env_files: check.env_files.clone(), ..With::default() },
            })
        })
        .map_err(|error| Stop { error, is_of_release: true })?;
    }
    Ok(())
}

/// The configuration files as the run would leave them, with their places in the tree.
fn configured(plan: &Plan, contents: &Contents) -> Result<Vec<(PathBuf, Content)>> {
    let live = Rooted::open(&plan.root)?;
    let mut files = Vec::new();
    for env in plan.components.iter().flat_map(|component| &component.env) {
        let path = Path::new(&env.file);
        let Some(mut content) = live.read(path)? else { continue };
        let after = plan.actions.iter().find_map(|action| match action {
            Action::EnvFile(file) if file.swap.path == path => file.swap.after.as_ref(),
            _ => None,
        });
        if let Some(bytes) = after.and_then(|image| contents.bytes(image)) {
            content = content.with_bytes(bytes.to_vec());
        }
        files.push((plan.layout.in_tree(&env.file).into(), content));
    }
    Ok(files)
}

fn save_artifacts(owner: &Account, plan: &Plan, archives: &Path, reporter: &dyn Reporter) -> Result<()> {
    make_private(archives, 0o700)?;
    for action in &plan.actions {
        let Action::Artifact(artifact) = action else { continue };
        if let Some(name) = &artifact.saved {
            during(reporter, format!("save {}", artifact.path.display()), || {
                save_artifact(owner, &plan.root, &artifact.path, &archives.join(name))
            })?;
        }
    }
    Ok(())
}

/// What the switch would destroy because git does not track it: paths of the target that already hold something.
pub fn in_the_way(install: &Install, owner: &Account, added: &[String]) -> Result<Vec<String>> {
    let root = Rooted::open(&install.root)?;
    let mut found = Vec::new();
    for path in added {
        let file = Path::new(path);
        if let Some(obstacle) = not_a_directory(&root, file)? {
            // A tracked file or link may become a directory.
            if !switch::is_tracked(owner, &install.root, &obstacle)? {
                found.push(obstacle.display().to_string());
            }
        } else if root.is_directory(file) {
            // A directory of tracked files may become a file; what git does not track in it may not.
            found.extend(switch::leftovers(owner, &install.root, path)?);
        } else if root.exists(file)? {
            found.push(path.clone());
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether something may be below a directory of the release: it is there, or a file or a link is in its place. What cannot
/// be told, may be.
pub fn may_be_in_the_way(root: &Rooted, directory: &Path) -> bool {
    root.exists(directory).unwrap_or(true) || !matches!(not_a_directory(root, directory), Ok(None))
}

/// The outermost parent of `path` that is there and is no directory: a file, or a link to anything.
fn not_a_directory(root: &Rooted, path: &Path) -> Result<Option<PathBuf>> {
    let mut parents: Vec<&Path> = path.ancestors().skip(1).filter(|parent| *parent != Path::new("")).collect();
    parents.reverse();
    for parent in parents {
        if !root.exists(parent)? {
            return Ok(None);
        }
        if !root.is_directory(parent) {
            return Ok(Some(parent.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_where_nothing_is_at_all_can_nothing_be_in_the_way() {
        let place = tempfile::tempdir().unwrap();
        let top = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("there/deep")).unwrap();
        std::fs::write(top.join("file"), "mine").unwrap();
        std::os::unix::fs::symlink("there", top.join("link")).unwrap();
        std::os::unix::fs::symlink("nowhere", top.join("there/dangling")).unwrap();
        let root = Rooted::open(&top).unwrap();
        let may = |directory: &str| may_be_in_the_way(&root, Path::new(directory));
        for directory in
            ["there", "there/deep", "file", "file/a", "file/a/b", "link", "link/a/b", "there/dangling/a/b/c"]
        {
            assert!(may(directory), "{directory}");
        }
        for directory in ["gone", "gone/a/b", "there/gone", "there/deep/gone/a"] {
            assert!(!may(directory), "{directory}");
        }
    }
}
