//! Compose projects: files that follow a release's reference files, images that follow a registry, or both.

mod difference;
mod known;
mod offer;
mod program;
pub mod project;
mod registry;
pub mod release;
mod shown;
mod volume;

use std::path::Path;

use git2::Repository;

use super::git::{Checkout, Mirror, Target};
use super::{Offer, Place, Upstream, snapshot};
use crate::action::Action;
use crate::error::{Context, Error, Result};
use crate::ledger::{KnownGood, Ledger};
use crate::manifest::ComposeSource;
use crate::plan::{Blocker, Plan};
use crate::report::{Event, Reporter, during};
use crate::survey::Survey;
pub use project::Project;
use release::Pin;
pub use shown::redacted;
pub use volume::Volume;

/// What must be free where images lie before one is pulled, bytes.
const ROOM: u64 = 200 << 20;

impl Upstream for ComposeSource {
    fn observe(&self, place: &Place) -> Result<Checkout> {
        let mirror = Mirror::open(place.state, place.cache, None, place.owner)?;
        let head = known::present(self, place, &mirror)?;
        Ok(Checkout { head, ..Checkout::default() })
    }

    fn update(&self, _: &Place, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        during(reporter, "ask what is released", || {
            let release = known::newest(self, mirror)?;
            snapshot::name(mirror.repository(), known::NEWEST, &release.revision)
        })
    }

    fn target(&self, _: &Place, mirror: &Mirror, to: Option<&str>, offline: bool, _: &dyn Reporter) -> Result<Target> {
        let repository = mirror.repository();
        let Some(to) = to else {
            let newest = snapshot::named(repository, known::NEWEST).ok_or_else(|| {
                Error::failed("no release was looked for yet").hint("once without --offline: relift check")
            })?;
            return Ok(known::target(repository, newest));
        };
        if let Some(oid) = mirror.resolve(to).filter(|oid| snapshot::meta(repository, &oid.to_string()).is_some()) {
            return Ok(known::target(repository, oid.to_string()));
        }
        let version = known::bare(self, to);
        match (offline, snapshot::named(repository, &format!("version/{version}"))) {
            (true, Some(revision)) => Ok(known::target(repository, revision)),
            (true, None) => Err(Error::failed(format!("the release {version} is not known here"))
                .hint(format!("without --offline, where it comes from is asked: relift plan --to {version}"))),
            (false, _) => known::import(self, mirror, Some(&version)),
        }
    }

    fn preflight(&self, _: &Place, _: &Checkout, _: Option<&Offer>) -> Vec<Blocker> {
        Vec::new()
    }

    fn complete(&self, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) -> Result<()> {
        offer::complete(self, place, mirror, survey, offer)
    }

    fn bring(&self, place: &Place, mirror: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()> {
        let Some(up) = plan.actions.iter().find_map(|action| match action {
            Action::ComposeUp(up) => Some(up),
            _ => None,
        }) else {
            return Ok(());
        };
        let project = &up.project;
        project.answers()?;
        if let Some((root, free)) = project.room().filter(|(_, free)| *free < ROOM) {
            return Err(Error::failed(format!(
                "only {} MiB are free on the filesystem of {}",
                free >> 20,
                root.display()
            ))
            .hint("what takes the room: docker system df"));
        }
        let (name, repository) = (&place.install.name, mirror.repository());
        let of = |revision: &str| -> Result<Vec<Pin>> { Ok(release::apart(release::files(repository, revision)?).1) };
        let (now, next) = (of(&plan.from.revision)?, of(&plan.to.revision)?);
        for pin in &next {
            let (image, own) = (pin.reference(), pin.kept(name));
            if project.keep(name, &image, &own)?.is_none() {
                during(reporter, format!("pull {image}"), || project.pull(&image))?;
                project
                    .keep(name, &image, &own)?
                    .ok_or_else(|| Error::failed(format!("the image {image} was pulled, and is not here")))?;
            }
        }
        let is_ours = |image: &&String| next.iter().any(|pin| pin.kept(name) == **image);
        for image in up.images.iter().filter(|image| !is_ours(image)) {
            if project.image(image)?.is_none() && !project.name_again(image)? {
                during(reporter, format!("pull {image}"), || project.pull(image))?;
            }
        }
        for pin in &now {
            if project.keep(name, &pin.reference(), &pin.kept(name))?.is_none() {
                let text = format!("{} is not here any more: going back will need the registry", pin.reference());
                reporter.tell(Event::Warning { text });
            }
        }
        let known_good = Ledger::below(place.state).known_good()?;
        let known_good = known_good.iter().map(|entry| entry.revision.as_str());
        let needed = [plan.from.revision.as_str(), plan.to.revision.as_str()].into_iter().chain(known_good);
        project.let_go(name, &kept(name, repository, needed))
    }
}

/// The names under which the images of these releases are kept. One that the mirror does not have any more keeps nothing.
fn kept<'r>(install: &str, repository: &Repository, revisions: impl Iterator<Item = &'r str>) -> Vec<String> {
    let files = revisions.filter_map(|revision| release::files(repository, revision).ok());
    let pins = files.flat_map(|files| release::apart(files).1);
    pins.map(|pin| pin.kept(install)).collect()
}

/// Lets go of the images of releases that are no way back any more; remarks tell why one stays.
pub fn prune(plan: &Plan, state: &Path, known_good: &[KnownGood]) -> Vec<String> {
    let project = plan.actions.iter().find_map(|action| match action {
        Action::ComposeUp(up) => Some(&up.project),
        _ => None,
    });
    let Some(project) = project else { return Vec::new() };
    let pruned = Repository::open(state.join("mirror.git")).context("the mirror cannot be read").and_then(|mirror| {
        let known_good = known_good.iter().map(|entry| entry.revision.as_str());
        let needed = std::iter::once(plan.to.revision.as_str()).chain(known_good);
        project.let_go(&plan.install, &kept(&plan.install, &mirror, needed))
    });
    pruned.err().map(|error| format!("images of older releases stay until the next run: {error}")).into_iter().collect()
}
