//! What the verbs share: an install with its places, its mirror, its candidate and its plan.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::globals::Globals;
use crate::backup;
use crate::error::{Error, Kind, Result, ended};
use crate::hook::Store;
use crate::host::account::Account;
use crate::host::fs::{Rooted, must_be_ours};
use crate::ledger::{Ledger, last_downtime, open_run};
use crate::manifest::{self, Install, Layer, RepositoryManifest, Source};
use crate::plan::{Blocker, Contents, Intent, ManifestPlan, PeerPlan, Plan, Request, build};
use crate::report::Reporter;
use crate::run::{self, Lock};
use crate::source::compose::Project;
use crate::source::git::{
    Mirror, Target, WorkTree, configured_by_us_alone, offer, repository_manifest, unknown_commit, was_shipped,
};
use crate::source::{self, Offer, Place, Upstream};
use crate::survey::Survey;
use crate::trust::{self, Assessment, Memory, Subject};

/// How long a fetch waits for another one.
const FETCH_BOUND: Duration = Duration::from_secs(60);

/// How many files in the way are named.
const OBSTACLES: usize = 5;

/// An install that a verb works on.
pub struct Session {
    /// Its declaration.
    pub install: Install,
    /// Its owner.
    pub owner: Account,
    /// `/var/lib/relift/NAME`.
    pub state: PathBuf,
    /// `/var/cache/relift/NAME`.
    pub cache: PathBuf,
    pub(super) runtime: PathBuf,
}

/// A plan with what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The bytes that it speaks of.
    pub contents: Contents,
    /// What is here.
    pub survey: Survey,
    /// What an operator should know of the source, whether there is anything to do or not.
    pub alarms: Vec<String>,
    /// Whether it would start by itself, where that was asked.
    pub itself: Option<super::itself::Judged>,
}

impl Session {
    /// Opens the named install, or the only one.
    pub fn open(globals: &Globals, name: Option<&str>) -> Result<Session> {
        must_be_root()?;
        let install = manifest::named(&globals.paths(), globals.config.as_deref(), name)?;
        Session::of(globals, install)
    }

    /// Opens an install that was loaded.
    pub fn of(globals: &Globals, install: Install) -> Result<Session> {
        configured_by_us_alone();
        // Which components there are, the release may tell.
        if !install.source.reads_repository_manifest() {
            known_components(globals, &install)?;
        }
        let paths = globals.paths();
        let owner = Account::named(&install.owner)?;
        for place in [paths.states(), paths.state(&install.name), paths.cache(&install.name), paths.runtime()] {
            must_be_ours(&place)?;
        }
        Ok(Session {
            state: paths.state(&install.name),
            cache: paths.cache(&install.name),
            runtime: paths.runtime(),
            owner,
            install,
        })
    }

    /// Where its releases come from.
    pub fn upstream(&self) -> &dyn Upstream {
        source::of(&self.install.source)
    }

    /// Its places.
    pub fn place(&self) -> Place<'_> {
        Place { install: &self.install, owner: &self.owner, state: &self.state, cache: &self.cache }
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger::below(&self.state)
    }

    /// What package managers asked for on this host.
    pub fn requests(&self) -> Store {
        Store::below(&self.runtime)
    }

    /// The mirror, made when it is not there.
    pub fn mirror(&self) -> Result<Mirror> {
        Mirror::open(&self.state, &self.cache, self.install.source.git(), &self.owner)
    }

    /// The same install as a revision declares it, where the host's manifest asks for the repository's own.
    pub fn at(&self, globals: &Globals, mirror: &Mirror, revision: &str) -> Result<Session> {
        let mut install = self.install.clone();
        if self.install.source.reads_repository_manifest() {
            let layer = repository_manifest(mirror, revision)?.map_or(Layer::Absent, Layer::Known);
            install = manifest::at(&install.file, &layer)?;
            known_components(globals, &install)?;
        }
        let (owner, runtime) = (self.owner.clone(), self.runtime.clone());
        Ok(Session { install, owner, state: self.state.clone(), cache: self.cache.clone(), runtime })
    }

    /// The repository's own manifest, where it is read and there is one.
    pub fn repository_manifest(&self) -> Option<&RepositoryManifest> {
        self.install.layered.as_ref().map(|layered| &layered.manifest)
    }

    /// Takes the lock and makes sure that no run is open; an unattended caller recovers it first.
    pub fn lock(&self, globals: &Globals, recover_first: bool, reporter: &dyn Reporter) -> Result<[Lock; 2]> {
        let lock = self.runtime_lock(globals)?;
        let Some(open) = open_run(&self.state)? else { return Ok(lock) };
        if recover_first {
            let recorded = open.start().and_then(|begin| begin.manifest.clone());
            let of_run = || manifest::of_run(&self.install, recorded.clone());
            let recovered = run::recover(&self.state, &of_run, reporter)?;
            crate::host::systemd::boot::let_go(&self.install.name)?;
            if let Some((happening, _)) = super::recover::told(&self.install.name, Ok(&recovered)) {
                super::aftermath::note(&globals.paths(), &self.install, happening);
            }
            return Ok(lock);
        }
        Err(Error::new(
            Kind::NeedsOperator,
            format!("the run {} of {} was interrupted and is still open", open.run(), self.install.name),
        )
        .hint(format!("finish or undo it: relift recover {}", self.install.name)))
    }

    /// Takes the lock, whatever state the install is in.
    pub fn runtime_lock(&self, globals: &Globals) -> Result<[Lock; 2]> {
        run::lock_install(&self.runtime, &self.install.name, &self.install.root, globals.lock_timeout)
    }

    /// What an operator should know of what people were told.
    pub fn notify_remarks(&self) -> Vec<String> {
        crate::notify::remarks(&self.state)
    }

    /// Whether a run, or its recovery, is going on.
    pub fn is_running(&self) -> bool {
        run::is_held(&self.runtime, &self.install.name)
    }

    /// Seconds without service in the newest run that restarted something, as its journal shows.
    pub fn last_downtime(&self) -> Option<u64> {
        last_downtime(&self.state)
    }

    /// The target: what is named, or what the source offers; the mirror has it afterwards.
    pub fn target(&self, mirror: &Mirror, to: Option<&str>, offline: bool, reporter: &dyn Reporter) -> Result<Target> {
        if !offline {
            self.update(mirror, reporter)?;
        }
        self.upstream().target(&self.place(), mirror, to, offline, reporter)
    }

    /// The target, a survey, and the install as the target declares it.
    pub fn aim(
        &self,
        globals: &Globals,
        mirror: &Mirror,
        to: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<(Session, Target, Survey)> {
        if self.install.source.reads_repository_manifest() {
            // What there is to look at is known only when the target is.
            let target = self.target(mirror, to, globals.offline, reporter)?;
            let session = self.at(globals, mirror, &target.revision)?;
            let survey = Survey::take(&session.place())?;
            return Ok((session, target, survey));
        }
        // The one mostly waits for the remote, the other for systemd and for git.
        let (target, survey) = std::thread::scope(|scope| {
            let survey = scope.spawn(|| Survey::take(&self.place()));
            let target = self.target(mirror, to, globals.offline, reporter);
            (target, ended(survey.join()))
        });
        let target = target?;
        Ok((self.at(globals, mirror, &target.revision)?, target, survey?))
    }

    /// Fetches: one conversation. A lock of its own, since a check may run while an upgrade does.
    pub fn update(&self, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        let name = &self.install.name;
        let _lock = run::lock(&self.runtime, &format!("{name}~fetch"), FETCH_BOUND).map_err(|error| {
            Error::new(error.kind, format!("another fetch of {name} does not end"))
                .hint(format!("see what it does: pgrep -af {}", mirror.path().display()))
        })?;
        self.upstream().update(&self.place(), mirror, reporter)
    }

    /// Where backups of the install are kept.
    pub fn backups(&self) -> PathBuf {
        let elsewhere = self.install.backup.as_ref().and_then(|backup| backup.directory.as_ref());
        elsewhere.map_or(self.state.join("backups"), |directory| directory.join(&self.install.name))
    }

    /// What belongs to a backup; `None`: the manifest declares none.
    pub fn backup_scope(&self) -> Result<Option<backup::Scope>> {
        let Some(declared) = self.install.backup.as_ref() else { return Ok(None) };
        let paths = |list: &[manifest::RelPath]| {
            list.iter().map(|path| PathBuf::from(self.install.layout.outliving(path).as_str())).collect()
        };
        let volumes = match &self.install.source {
            Source::Compose(source) if !declared.volumes.is_empty() => {
                Project::of(source, &self.place())?.volumes(&declared.volumes)?
            }
            _ => Vec::new(),
        };
        Ok(Some(backup::Scope { paths: paths(&declared.paths), databases: paths(&declared.sqlite), volumes }))
    }

    fn backup_outlook(&self) -> Result<Option<backup::Outlook>> {
        let Some(scope) = self.backup_scope()? else { return Ok(None) };
        let of_run = |stored: backup::Stored| {
            let listing = stored.listing.ok().filter(|listing| listing.reason == backup::Reason::Run)?;
            Some((listing.run?, listing.id))
        };
        Ok(Some(backup::Outlook {
            measured: backup::measure(&self.install.root, &scope)?,
            scope,
            of_runs: backup::list(&self.backups())?.into_iter().filter_map(of_run).collect(),
            store: self.backups(),
            cache: self.cache.clone(),
        }))
    }

    /// What the repository's manifest says otherwise than the one that is activated.
    fn manifest_changes(&self) -> Result<Option<ManifestPlan>> {
        let activated = self.ledger().repository_manifest()?;
        let target = self.repository_manifest();
        let is_known = activated.is_some() || target.is_some();
        Ok((self.install.source.reads_repository_manifest() && is_known).then(|| ManifestPlan {
            revision: target.map(|manifest| manifest.revision.clone()),
            changes: manifest::changes(activated.as_ref(), target),
        }))
    }

    /// Surveys the host and makes the plan.
    pub fn plan(&self, mirror: &Mirror, target: &Target, request: &Request) -> Result<Planned> {
        let survey = Survey::take(&self.place())?;
        self.plan_on(survey, mirror, target, request)
    }

    /// Makes the plan from a survey that was taken.
    pub fn plan_on(&self, mut survey: Survey, mirror: &Mirror, target: &Target, request: &Request) -> Result<Planned> {
        let (install, upstream, place) = (&self.install, self.upstream(), self.place());
        let installed: Vec<_> = survey
            .installed(install)
            .map(|(_, component, surveyed)| {
                (component, surveyed.activation.as_ref().map(|activation| activation.revision.clone()))
            })
            .collect();
        if installed.is_empty() {
            return Err(Error::failed(format!("no component of {} is installed here", install.name))
                .hint(format!("`installed-if` names what must be there, relative to {}", install.root.display())));
        }
        if mirror.resolve(&survey.checkout.head).is_none() {
            // Nothing to compare the target with; what else is wrong may be why.
            return Err(match (upstream.preflight(&place, &survey.checkout, None).as_slice(), install.checkout()) {
                ([], Some(source)) => unknown_commit(&install.owner, &install.root, source, &survey.checkout),
                ([], None) => {
                    Error::failed(format!("what is installed of {} is no release that is known", install.name))
                }
                (state, _) => refusal(&install.name, state),
            });
        }
        self.see(&target.revision)?;
        let runs_it = installed.iter().all(|(_, activated)| activated.as_ref() == Some(&target.revision));
        let trusted = self.assess(mirror, target, request.intent, (&survey.checkout.head, runs_it))?;
        let (present, wanted) = (survey.checkout.cone.as_deref(), survey.goal_cone(install));
        let root = install.checkout().map(|_| Rooted::open(&install.root)).transpose()?;
        let holds = |directory: &Path| root.as_ref().is_some_and(|root| run::may_be_in_the_way(root, directory));
        let here = WorkTree { present, wanted: wanted.as_deref(), holds: &holds };
        let mut offer = offer(mirror, &survey.checkout.head, target, &installed, &here)?;
        offer.standing = trusted.standing;
        offer.standing_of_present = self.ledger().trust()?.standing(&survey.checkout.head);
        offer.lineage = trust::lineage(mirror.repository(), &target.revision, &survey.known_good);
        // Nothing of what is not trusted is read as code, not even by a check of its units.
        let is_trusted = trusted.blockers.is_empty();
        offer.blockers.extend(trusted.blockers);
        offer.warnings.extend(trusted.alarms.iter().cloned());
        know_older_units(&mut offer, mirror, install, &survey)?;
        offer.blockers.extend(upstream.preflight(&place, &survey.checkout, Some(&offer)));
        if install.checkout().is_some() {
            let obstacles = run::in_the_way(install, &self.owner, &offer.added)?;
            offer.blockers.extend(in_the_way(install, &obstacles));
        }
        survey.backup = self.backup_outlook()?;
        upstream.complete(&place, mirror, &survey, &mut offer)?;
        if request.intent == Intent::Rollback {
            source::releases::reuse(&place, mirror, &mut offer.changes)?;
        }
        let (mut plan, contents) = build(install, &survey, &offer, request)?;
        plan.manifest = self.manifest_changes()?;
        plan.blockers.extend(run::missing_keys(install, &plan, &contents)?);
        if !plan.is_empty() {
            plan.blockers.extend(run::lacking(install)?);
        }
        if !plan.is_empty() && request.intent != Intent::Reconfigure {
            plan.peers = run::ask_peers(install, &plan, &self.owner, request.unattended)?;
            plan.blockers.extend(plan.peers.iter().filter_map(PeerPlan::blocker));
            let tolerated = plan.peers.iter().filter(|peer| !peer.stops).filter_map(PeerPlan::trouble);
            plan.warnings.extend(tolerated);
        }
        if is_trusted {
            let (warnings, refused) = run::foresee_units(&plan, &contents, &self.owner);
            plan.warnings.extend(warnings);
            plan.blockers.extend(refused);
        }
        Ok(Planned { plan, contents, survey, alarms: trusted.alarms, itself: None })
    }

    /// What the target stands on, seen from what is checked out; `is_settled`: every component runs the target already. What
    /// that taught is remembered.
    pub fn assess(
        &self,
        mirror: &Mirror,
        target: &Target,
        intent: Intent,
        (head, is_settled): (&str, bool),
    ) -> Result<Assessment> {
        let subject = Subject {
            revision: &target.revision,
            label: target.label.as_deref(),
            intent,
            is_settled,
            bases: self.ledger().proven()?,
            head,
        };
        let (memory, now) = (self.ledger().trust()?, jiff::Timestamp::now().as_second());
        let found = trust::assess(&self.install, mirror.repository(), &memory, &subject, now)?;
        let mut learnt = memory.clone();
        learnt.learn(found.learned.clone());
        if learnt != memory {
            self.remember(|memory| memory.learn(found.learned.clone()))?;
        }
        Ok(found)
    }

    /// Remembers when a release was first seen here: from then on it ages.
    fn see(&self, revision: &str) -> Result<()> {
        let now = jiff::Timestamp::now().as_second();
        if self.ledger().first_seen(revision)?.is_none_or(|first| first > now) {
            let _lock = run::lock(&self.runtime, &format!("{}~trust", self.install.name), FETCH_BOUND)?;
            self.ledger().see(revision, now)?;
        }
        Ok(())
    }

    /// Changes what is remembered of the source.
    pub fn remember(&self, change: impl FnOnce(&mut Memory)) -> Result<()> {
        let _lock = run::lock(&self.runtime, &format!("{}~trust", self.install.name), FETCH_BOUND)?;
        let mut memory = self.ledger().trust()?;
        change(&mut memory);
        self.ledger().set_trust(&memory)
    }
}

/// `--only` names components that there are.
fn known_components(globals: &Globals, install: &Install) -> Result<()> {
    let known: Vec<&str> = install.components.iter().map(|component| component.name.as_str()).collect();
    match globals.only.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Error::usage(format!("{} has no component {name}", install.name))
            .hint(format!("it has: {}", known.join(", ")))),
    }
}

/// Before the first run an installed unit may be older than the checkout: what upstream shipped is no edit of the operator's.
fn know_older_units(offer: &mut Offer, mirror: &Mirror, install: &Install, survey: &Survey) -> Result<()> {
    for ((_, component, surveyed), offered) in survey.installed(install).zip(&mut offer.components) {
        let units = component.units.iter().zip(&surveyed.units).zip(&mut offered.units);
        for ((unit, here), (base, _)) in units.filter(|_| surveyed.activation.is_none()) {
            let Some(installed) = &here.installed else { continue };
            let path = unit.file.below(&component.path);
            let is_other = base.as_ref().is_none_or(|base| base.as_bytes() != installed.bytes);
            if is_other && was_shipped(mirror, &survey.checkout.head, path.as_str(), &installed.bytes)? {
                *base = Some(String::from_utf8_lossy(&installed.bytes).into_owned());
            }
        }
    }
    Ok(())
}

/// One blocker for each of the first obstacles: a directory of them is told in a line.
fn in_the_way(install: &Install, obstacles: &[String]) -> Vec<Blocker> {
    let is_declared = |path: &str| {
        install
            .components
            .iter()
            .any(|component| component.env.iter().any(|env| env.file.below(&component.path).as_str() == path))
    };
    let blocker = |path: &String| {
        let shown = crate::text::harmless(path);
        if is_declared(path) {
            return Blocker::impossible(
                format!(
                    "{shown} is in the way: the release tracks that path, and what is there is this host's configuration, which git does not track"
                ),
                "ask upstream to take it out of the repository again: it would be overwritten here",
            );
        }
        let full = install.root.join(path).display().to_string();
        let [from, to] = ["", ".kept"].map(|end| crate::text::word(&format!("{}{end}", full.trim_end_matches('/'))));
        Blocker::impossible(
            format!("{shown} is in the way: the release tracks that path, and what is there is not tracked"),
            format!("look at it, then move it aside: mv {from} {to}"),
        )
    };
    let more = obstacles.len().saturating_sub(OBSTACLES);
    let rest =
        (more > 0).then(|| Blocker::impossible(format!("{more} more are in the way"), "move them aside as well"));
    obstacles.iter().take(OBSTACLES).map(blocker).chain(rest).collect()
}

/// The error that tells every blocker.
pub fn refusal(install: &str, blockers: &[Blocker]) -> Error {
    let kind = if blockers.iter().all(|blocker| blocker.refused) { Kind::Refused } else { Kind::Failed };
    let what = match blockers {
        [only] => format!("{install}: {}", only.what),
        many => format!("{install} cannot be upgraded as things are: {} reasons", many.len()),
    };
    let mut error = Error::new(kind, what);
    for blocker in blockers {
        if blockers.len() > 1 {
            error = error.because(&blocker.what);
        }
        if let Some(hint) = &blocker.hint {
            error = error.hint(hint);
        }
    }
    error
}

/// Everything but help, the schema and `try`'s refusal needs root: state and manifests are root's.
pub fn must_be_root() -> Result<()> {
    match nix::unistd::geteuid().is_root() {
        true => Ok(()),
        false => Err(Error::new(Kind::NotPermitted, "this needs root").hint("run it with sudo")),
    }
}
