//! What release archives do as a source.

use super::target::{self, shown};
use crate::error::Result;
use crate::host::fs::Rooted;
use crate::manifest::{ArchiveSource, Component};
use crate::plan::{Blocker, Plan};
use crate::report::{Reporter, during};
use crate::source::git::{Checkout, Mirror, Target};
use crate::source::{Direction, Offer, Place, Section, Upstream, releases, snapshot};
use crate::survey::Survey;

impl Upstream for ArchiveSource {
    fn observe(&self, place: &Place) -> Result<Checkout> {
        releases::checkout(place)
    }

    fn glance(&self, place: &Place) -> Result<Checkout> {
        releases::glance(place)
    }

    fn has(&self, _: &Place, component: &Component, root: &Rooted) -> Result<bool> {
        releases::has(component, root)
    }

    fn update(&self, _: &Place, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        during(reporter, format!("ask {}", self.checksums.shown()), || target::update(self, mirror.repository()))
    }

    fn target(
        &self,
        place: &Place,
        mirror: &Mirror,
        to: Option<&str>,
        offline: bool,
        reporter: &dyn Reporter,
    ) -> Result<Target> {
        target::target(self, place, mirror.repository(), (to, offline), reporter)
    }

    fn preflight(&self, place: &Place, here: &Checkout, _: Option<&Offer>) -> Vec<Blocker> {
        releases::preflight(place, here)
    }

    fn complete(&self, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) -> Result<()> {
        let repository = mirror.repository();
        let (from, to) = (shown(repository, &offer.from.revision), shown(repository, &offer.to.revision));
        snapshot::place(offer, repository, (&from, &to), &survey.known_good);
        offer.from.label.get_or_insert(from);
        if let Some(meta) =
            snapshot::meta(repository, &offer.to.revision).filter(|_| offer.direction != Direction::Same)
        {
            let sum = meta.identity.first().cloned().unwrap_or_default();
            let rows =
                vec![vec!["archive".into(), self.url.name().replace("{version}", &to)], vec!["SHA-256".into(), sum]];
            offer.sections.push(Section { title: "Archive".into(), rows });
        }
        releases::complete(place, mirror, offer)
    }

    fn bring(&self, place: &Place, mirror: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()> {
        releases::bring(place, mirror, plan, reporter)
    }
}
