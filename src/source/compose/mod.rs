//! Compose projects: files that follow a release's reference files, images that follow a registry, or both.

mod difference;
mod known;
mod merge;
mod offer;
pub mod project;
mod registry;
pub mod release;

use super::git::{Checkout, Mirror, Target};
use super::{Offer, Place, Upstream, snapshot};
use crate::action::Action;
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::manifest::ComposeSource;
use crate::plan::{Blocker, Plan, abbreviate};
use crate::report::{Event, Reporter, during};
use crate::survey::Survey;
pub use project::Project;

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
        let name = &place.install.name;
        let (_, now) = release::apart(release::files(mirror.repository(), &plan.from.revision)?);
        let (_, next) = release::apart(release::files(mirror.repository(), &plan.to.revision)?);
        for image in next.iter().map(release::Pin::reference).chain(up.images.iter().cloned()) {
            if project.image(&image)?.is_none() {
                during(reporter, format!("pull {image}"), || project.pull(&image))?;
            }
            if project.image(&image)?.is_none() {
                return Err(Error::failed(format!("the image {image} was pulled, and is not here")));
            }
        }
        during(reporter, "keep the images of both releases", || {
            for (revision, pins) in [(&plan.from.revision, &now), (&plan.to.revision, &next)] {
                for pin in pins {
                    let tag = format!("{}-{}", abbreviate(revision), pin.service);
                    match project.image(&pin.reference())? {
                        Some(_) => project.keep(name, &pin.reference(), &tag)?,
                        None => reporter.tell(Event::Warning {
                            text: format!(
                                "{} is not here any more: going back will need the registry",
                                pin.reference()
                            ),
                        }),
                    }
                }
            }
            let kept = Ledger::below(place.state).known_good()?.into_iter().map(|entry| entry.revision);
            let wanted = kept.chain([plan.from.revision.clone(), plan.to.revision.clone()]);
            let wanted: Vec<String> = wanted.map(|revision| abbreviate(&revision).to_owned()).collect();
            project.let_go(name, &wanted)
        })
    }
}
