//! Packages of the distribution's package manager: apt and dnf. A release is the versions of the named packages; its tree holds
//! them in `packages`, and below `conffiles/` the configuration files that these versions bring.

mod apt;
mod dnf;
mod dpkg;
mod keep;
mod locks;
mod merged;
mod offered;
mod package;
mod release;
mod repositories;
mod shown;
mod simulated;
mod tool;
mod version;

use super::git::{Checkout, Mirror, Target};
use super::{Offer, Place, Upstream, snapshot};
use crate::error::{Error, Result};
use crate::host::fs::Rooted;
use crate::host::packages::{busy, matches};
use crate::manifest::{Component, PackagesSource};
use crate::plan::{Blocker, Plan};
use crate::report::{Reporter, during};
use crate::survey::Survey;

pub use dnf::{file_name as rpm_file_name, installed as installed_by_rpm};
pub use dpkg::{file_name as deb_file_name, installed as installed_by_dpkg};
pub use keep::wait_for_lock;
pub use package::{Change, Package, Transaction};
pub use tool::{Installed, manager};

impl Upstream for PackagesSource {
    fn observe(&self, place: &Place) -> Result<Checkout> {
        let tool = tool::tool(self, place)?;
        let here = self.here(&tool.installed()?);
        if here.is_empty() {
            return Ok(Checkout::default());
        }
        let mirror = Mirror::open(place.state, place.cache, None, place.owner)?;
        let head = release::observed(place, &mirror, tool.as_ref(), &here)?;
        Ok(Checkout { head, ..Checkout::default() })
    }

    fn has(&self, place: &Place, component: &Component, root: &Rooted) -> Result<bool> {
        if let Some(path) = &component.installed_if {
            return root.exists(path.as_ref());
        }
        let all = tool::tool(self, place)?.installed()?;
        Ok(self.here(&all).iter().any(|package| release::is_of(component, &package.name)))
    }

    fn update(&self, place: &Place, _: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        let tool = tool::tool(self, place)?;
        during(reporter, "ask the repositories", || tool.update())
    }

    fn target(
        &self,
        place: &Place,
        mirror: &Mirror,
        to: Option<&str>,
        offline: bool,
        reporter: &dyn Reporter,
    ) -> Result<Target> {
        if let Some(revision) = to.filter(|to| to.len() == 40)
            && snapshot::meta(mirror.repository(), revision).is_some()
        {
            return Ok(Target { revision: revision.to_owned(), label: release::label(self, mirror, revision) });
        }
        let tool = tool::tool(self, place)?;
        let here = self.here(&tool.installed()?);
        let wanted = offered::wanted(self, tool.as_ref(), &here, to)?;
        if !offline && wanted != here {
            merged::bring_bases(self, place, tool.as_ref(), &here)?;
        }
        let revision = match release::known(place, mirror, &wanted) {
            Some(revision) => revision,
            None if wanted == here => release::observed(place, mirror, tool.as_ref(), &here)?,
            None => {
                let missing: Vec<Package> =
                    wanted.iter().filter(|one| !keep::has(place, tool.as_ref(), one)).cloned().collect();
                if offline && !missing.is_empty() {
                    let names: Vec<String> = missing.iter().map(Package::words).collect();
                    return Err(Error::failed(format!("{} was not downloaded yet", names.join(", ")))
                        .hint(format!("once without --offline: relift check {}", place.install.name)));
                }
                if !missing.is_empty() {
                    let what =
                        format!("download {}", missing.iter().map(Package::words).collect::<Vec<_>>().join(", "));
                    during(reporter, what, || keep::fetch(place, tool.as_ref(), &missing))?;
                }
                release::import(place, mirror, tool.as_ref(), &wanted)?
            }
        };
        Ok(Target { label: release::label(self, mirror, &revision), revision })
    }

    fn preflight(&self, _: &Place, _: &Checkout, _: Option<&Offer>) -> Vec<Blocker> {
        Vec::new()
    }

    fn complete(&self, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) -> Result<()> {
        offered::complete(self, place, mirror, survey, offer)
    }

    fn bring(&self, place: &Place, _: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()> {
        let change = plan.actions.iter().find_map(|action| match action {
            crate::action::Action::Packages(packages) => Some(packages),
            _ => None,
        });
        let Some(change) = change else { return Ok(()) };
        if busy().is_some() {
            during(reporter, "wait for the package manager", || wait_for_lock(self.lock_timeout))?;
        }
        let tool = tool::tool(self, place)?;
        keep::bring(place, tool.as_ref(), plan, change, reporter)
    }
}

impl PackagesSource {
    /// The named packages that are installed, sorted.
    fn here(&self, all: &[Installed]) -> Vec<Package> {
        let is_named = |name: &str| self.packages.iter().any(|pattern| matches(pattern, name));
        let mut here: Vec<Package> =
            all.iter().map(|one| &one.package).filter(|package| is_named(&package.name)).cloned().collect();
        here.sort();
        here
    }
}

/// The first of the packages that the first pattern names: its version is the release's.
fn leading<'a>(source: &PackagesSource, packages: &'a [Package]) -> Option<&'a Package> {
    let named = source.packages.iter().find_map(|pattern| packages.iter().find(|one| matches(pattern, &one.name)));
    named.or(packages.first())
}
