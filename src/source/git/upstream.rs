//! What git does as a source.

use super::checkout::Checkout;
use super::mirror::{Mirror, tree_of};
use super::preflight::{preflight, without_password};
use super::switch;
use super::target::{Target, candidates, choose};
use crate::action::Action;
use crate::error::{Error, Result};
use crate::manifest::{Follow, GitSource, Layout};
use crate::plan::{Blocker, Plan};
use crate::report::{Reporter, during};
use crate::source::{Direction, Offer, Place, Upstream, releases};
use crate::survey::Survey;

impl Upstream for GitSource {
    fn observe(&self, place: &Place) -> Result<Checkout> {
        match place.install.layout {
            Layout::InPlace => {
                Checkout::observe(place.owner, &place.install.root, &|commit| tree_of(place.state, commit))
            }
            Layout::Releases => releases::checkout(place),
        }
    }

    fn glance(&self, place: &Place) -> Result<Checkout> {
        match place.install.layout {
            Layout::InPlace => {
                Checkout::glance(place.owner, &place.install.root, &|commit| tree_of(place.state, commit))
            }
            Layout::Releases => releases::glance(place),
        }
    }

    fn update(&self, place: &Place, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()> {
        // One repository of this host is as near as the other.
        let has_help = place.install.layout == Layout::InPlace && mirror.remote()?.is_far();
        let checkout = has_help.then_some(place.install.root.as_path());
        during(reporter, "fetch", || mirror.fetch(&self.follow, checkout, reporter))
    }

    fn target(
        &self,
        place: &Place,
        mirror: &Mirror,
        to: Option<&str>,
        offline: bool,
        _: &dyn Reporter,
    ) -> Result<Target> {
        if offline && mirror.known(&self.follow).is_empty() {
            return Err(Error::failed(format!("nothing of {} was fetched yet", without_password(&self.url)))
                .hint(format!("once without --offline: relift check {}", place.install.name)));
        }
        let Some(to) = to else { return choose(self, &mirror.known(&self.follow)) };
        for name in candidates(self, to) {
            if let Some(oid) = mirror.resolve(&name) {
                let label = name.strip_prefix("refs/tags/").map(str::to_owned);
                return Ok(Target { revision: oid.to_string(), label });
            }
        }
        by_version(mirror, to)?.ok_or_else(|| {
            Error::failed(format!("{} has no tag, version or commit {to}", without_password(&self.url)))
                .hint(format!("what there is: git --git-dir={} tag", mirror.path().display()))
        })
    }

    fn preflight(&self, place: &Place, here: &Checkout, offer: Option<&Offer>) -> Vec<Blocker> {
        match place.install.layout {
            Layout::InPlace => preflight(&place.install.owner, &place.install.root, self, here, offer),
            Layout::Releases => releases::preflight(place, here),
        }
    }

    fn complete(&self, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) -> Result<()> {
        if place.install.layout == Layout::Releases {
            releases::complete(place, mirror, offer)?;
            offer.blockers.extend(diverged(self, offer));
            return Ok(());
        }
        for (path, _) in &survey.discarded {
            offer.warnings.push(format!(
                "{} has local changes, which are set aside and kept with the run (`discard`)",
                path.display()
            ));
        }
        for (directory, file) in &survey.leftovers {
            offer.warnings.push(format!("{directory}/ stays checked out: it holds {file}, which git does not track"));
        }
        Ok(())
    }

    fn bring(&self, place: &Place, mirror: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()> {
        if place.install.layout == Layout::Releases {
            return releases::bring(place, mirror, plan, reporter);
        }
        if plan.from.revision == plan.to.revision {
            return Ok(());
        }
        let root = &place.install.root;
        during(reporter, "bring the objects into the checkout", || {
            switch::transfer(mirror, place.owner, root, &plan.from.revision, &plan.to.revision)?;
            let tree =
                plan.actions.iter().find_map(|action| if let Action::Tree(tree) = action { Some(tree) } else { None });
            tree.map_or(Ok(()), |tree| switch::both_ways(mirror, place.owner, root, &tree.from, &tree.to))
        })
    }
}

/// A branch is followed fast-forward, whatever the layout.
fn diverged(source: &GitSource, offer: &Offer) -> Option<Blocker> {
    let is_branch = matches!(source.follow, Follow::Branch(_));
    (is_branch && offer.direction == Direction::Diverged).then(|| {
        Blocker::impossible(
            "the release that runs and the target have diverged: no fast-forward leads there",
            "ask upstream whether it rewrote its history; where that is right, follow releases by `tags` instead of `branch`",
        )
    })
}

/// A branch that is followed may name a version without a tag: any `*vVERSION` tag will do.
fn by_version(mirror: &Mirror, to: &str) -> Result<Option<Target>> {
    let wanted = format!("v{}", to.trim_start_matches('v'));
    let Ok(tags) = mirror.repository().tag_names(None) else { return Ok(None) };
    let mut found: Vec<String> =
        tags.iter().flatten().flatten().filter(|tag| tag.ends_with(&wanted)).map(str::to_owned).collect();
    found.retain(|tag| {
        tag.strip_suffix(&wanted).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with(['-', '_', '/']))
    });
    let commits: Vec<String> =
        found.iter().filter_map(|tag| mirror.resolve(&format!("refs/tags/{tag}"))).map(|oid| oid.to_string()).collect();
    match commits.first() {
        Some(first) if commits.iter().all(|commit| commit == first) => {
            Ok(Some(Target { revision: first.clone(), label: found.first().cloned() }))
        }
        Some(_) => Err(Error::usage(format!("{to} is ambiguous: {}", found.join(", "))).hint("name the tag")),
        None => Ok(None),
    }
}
