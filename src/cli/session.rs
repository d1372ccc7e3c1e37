//! What the verbs share: an install with its places, its mirror, its candidate and its plan.

use std::path::PathBuf;
use std::time::Duration;

use super::globals::Globals;
use crate::backup;
use crate::error::{Error, Kind, Result};
use crate::host::account::Account;
use crate::ledger::{Ledger, last_downtime, open_run};
use crate::manifest::{self, GitSource, Install, Source};
use crate::plan::{Blocker, Contents, Plan, Request, build};
use crate::report::{Reporter, during};
use crate::run::{self, Lock};
use crate::source::Offer;
use crate::source::git::{
    Mirror, Target, candidates, choose, offer, preflight, unknown_commit, was_shipped, without_password,
};
use crate::survey::Survey;

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
    runtime: PathBuf,
}

/// A plan with what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The bytes that it speaks of.
    pub contents: Contents,
    /// What is here.
    pub survey: Survey,
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
        for name in &globals.only {
            if !install.components.iter().any(|component| component.name == *name) {
                let known: Vec<&str> = install.components.iter().map(|component| component.name.as_str()).collect();
                return Err(Error::usage(format!("{} has no component {name}", install.name))
                    .hint(format!("it has: {}", known.join(", "))));
            }
        }
        let paths = globals.paths();
        let owner = Account::named(&install.owner)?;
        Ok(Session {
            state: paths.state(&install.name),
            cache: paths.cache(&install.name),
            runtime: paths.runtime(),
            owner,
            install,
        })
    }

    /// The git source.
    pub fn source(&self) -> &GitSource {
        let Source::Git(source) = &self.install.source;
        source
    }

    /// The ledger.
    pub fn ledger(&self) -> Ledger {
        Ledger::below(&self.state)
    }

    /// The mirror, made when it is not there.
    pub fn mirror(&self) -> Result<Mirror> {
        Mirror::open(&self.state, self.source(), &self.owner)
    }

    /// Takes the lock and makes sure that no run is open; an unattended caller recovers it first.
    pub fn lock(&self, globals: &Globals, recover_first: bool, reporter: &dyn Reporter) -> Result<[Lock; 2]> {
        let lock = self.runtime_lock(globals)?;
        let Some(open) = open_run(&self.state)? else { return Ok(lock) };
        if recover_first {
            run::recover(&self.state, &|| Ok(self.install.clone()), reporter)?;
            crate::host::systemd::boot::let_go(&self.install.name)?;
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
        let source = self.source();
        if !offline {
            self.update(mirror, reporter)?;
        } else if mirror.known(&source.follow).is_empty() {
            return Err(Error::failed(format!("nothing of {} was fetched yet", without_password(&source.url)))
                .hint(format!("once without --offline: relift check {}", self.install.name)));
        }
        let Some(to) = to else { return choose(source, &mirror.known(&source.follow)) };
        for name in candidates(source, to) {
            if let Some(oid) = mirror.resolve(&name) {
                let label = name.strip_prefix("refs/tags/").map(str::to_owned);
                return Ok(Target { revision: oid.to_string(), label });
            }
        }
        let versions = self.by_version(mirror, to)?;
        versions.ok_or_else(|| {
            Error::failed(format!("{} has no tag, version or commit {to}", without_password(&source.url)))
                .hint(format!("what there is: git --git-dir={} tag", mirror.path().display()))
        })
    }

    /// The target, and meanwhile a survey: the one mostly waits for the remote, the other for systemd and for git.
    pub fn target_and_survey(
        &self,
        mirror: &Mirror,
        to: Option<&str>,
        offline: bool,
        reporter: &dyn Reporter,
    ) -> Result<(Target, Survey)> {
        let (target, survey) = std::thread::scope(|scope| {
            let survey = scope.spawn(|| Survey::take(&self.install, &self.owner, &self.state));
            let target = self.target(mirror, to, offline, reporter);
            (target, survey.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        Ok((target?, survey?))
    }

    /// Fetches: one conversation. A lock of its own, since a check may run while an upgrade does.
    pub fn update(&self, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        let name = &self.install.name;
        let _lock = run::lock(&self.runtime, &format!("{name}~fetch"), FETCH_BOUND).map_err(|error| {
            Error::new(error.kind, format!("another fetch of {name} does not end"))
                .hint(format!("see what it does: pgrep -af {}", mirror.path().display()))
        })?;
        during(reporter, "fetch", || mirror.fetch(&self.source().follow, reporter))
    }

    /// A branch that is followed may name a version without a tag: any `*vVERSION` tag will do.
    fn by_version(&self, mirror: &Mirror, to: &str) -> Result<Option<Target>> {
        let wanted = format!("v{}", to.trim_start_matches('v'));
        let Ok(tags) = mirror.repository().tag_names(None) else { return Ok(None) };
        let mut found: Vec<String> =
            tags.iter().flatten().flatten().filter(|tag| tag.ends_with(&wanted)).map(str::to_owned).collect();
        found.retain(|tag| {
            tag.strip_suffix(&wanted).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(['-', '_', '/']))
        });
        let commits: Vec<String> = found
            .iter()
            .filter_map(|tag| mirror.resolve(&format!("refs/tags/{tag}")))
            .map(|oid| oid.to_string())
            .collect();
        match commits.first() {
            Some(first) if commits.iter().all(|commit| commit == first) => {
                Ok(Some(Target { revision: first.clone(), label: found.first().cloned() }))
            }
            Some(_) => Err(Error::usage(format!("{to} is ambiguous: {}", found.join(", "))).hint("name the tag")),
            None => Ok(None),
        }
    }

    /// Where backups of the install are kept.
    pub fn backups(&self) -> PathBuf {
        let elsewhere = self.install.backup.as_ref().and_then(|backup| backup.directory.as_ref());
        elsewhere.map_or(self.state.join("backups"), |directory| directory.join(&self.install.name))
    }

    /// What belongs to a backup; `None`: the manifest declares none.
    pub fn backup_scope(&self) -> Option<backup::Scope> {
        let declared = self.install.backup.as_ref()?;
        let paths = |list: &[manifest::RelPath]| list.iter().map(|path| PathBuf::from(path.as_str())).collect();
        Some(backup::Scope { paths: paths(&declared.paths), databases: paths(&declared.sqlite) })
    }

    fn backup_outlook(&self) -> Result<Option<backup::Outlook>> {
        let Some(scope) = self.backup_scope() else { return Ok(None) };
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

    /// Surveys the host and makes the plan.
    pub fn plan(&self, mirror: &Mirror, target: &Target, request: &Request) -> Result<Planned> {
        let survey = Survey::take(&self.install, &self.owner, &self.state)?;
        self.plan_on(survey, mirror, target, request)
    }

    /// Makes the plan from a survey that was taken.
    pub fn plan_on(&self, mut survey: Survey, mirror: &Mirror, target: &Target, request: &Request) -> Result<Planned> {
        let (install, source) = (&self.install, self.source());
        let (owner, root) = (&install.owner, &install.root);
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
            return Err(match preflight(owner, root, source, &survey.checkout, None).as_slice() {
                [] => unknown_commit(owner, root, source, &survey.checkout),
                state => refusal(&install.name, state),
            });
        }
        let (present, wanted) = (survey.checkout.cone.as_deref(), survey.goal_cone(install));
        let mut offer = offer(mirror, &survey.checkout.head, target, &installed, (present, wanted.as_deref()))?;
        know_older_units(&mut offer, mirror, install, &survey)?;
        offer.blockers.extend(preflight(owner, root, source, &survey.checkout, Some(&offer)));
        let obstacles = run::in_the_way(install, &self.owner, &offer.added)?;
        offer.blockers.extend(in_the_way(install, &obstacles));
        for (path, _) in &survey.discarded {
            offer.warnings.push(format!(
                "{} has local changes, which are set aside and kept with the run (`discard`)",
                path.display()
            ));
        }
        for (directory, file) in &survey.leftovers {
            offer.warnings.push(format!("{directory}/ stays checked out: it holds {file}, which git does not track"));
        }
        survey.backup = self.backup_outlook()?;
        let (mut plan, contents) = build(install, &survey, &offer, request)?;
        plan.blockers.extend(run::missing_keys(install, &plan, &contents)?);
        let (warnings, refused) = run::foresee_units(&plan, &contents, &self.owner);
        plan.warnings.extend(warnings);
        plan.blockers.extend(refused);
        Ok(Planned { plan, contents, survey })
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
        let full = crate::text::harmless(&install.root.join(path).display().to_string());
        Blocker::impossible(
            format!("{shown} is in the way: the release tracks that path, and what is there is not tracked"),
            format!("look at it, then move it aside: mv {0} {0}.kept", full.trim_end_matches('/')),
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
