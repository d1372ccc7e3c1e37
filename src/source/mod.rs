//! Where releases come from, and what they offer: values that the plan is made from.
//!
//! Every release is a commit in our own private mirror: one of upstream's, or one that we made of what the source has
//! (`snapshot`). So each source has the same comparison, plan, pins, floor, staging and export.

pub mod archive;
pub mod compose;
pub mod git;
pub mod merge;
pub mod packages;
pub mod releases;
pub mod snapshot;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::action::Action;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::fs::{Content, Rooted};
use crate::manifest::{Component, Install, Layout, Source};
use crate::plan::{Blocker, Commit, Plan, Release};
use crate::report::Reporter;
use crate::survey::Survey;
use crate::trust::{Lineage, Standing};
use git::{Checkout, Mirror, Target};

/// Whose releases, and where what is kept of them lies.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The install.
    pub install: &'a Install,
    /// Its owner.
    pub owner: &'a Account,
    /// `/var/lib/relift/NAME`.
    pub state: &'a Path,
    /// `/var/cache/relift/NAME`.
    pub cache: &'a Path,
}

/// What a kind of source does. What is built on it knows no kind.
pub trait Upstream {
    /// What is here; its `head` is a commit of the mirror. Changes nothing that a user or a service sees.
    fn observe(&self, place: &Place) -> Result<Checkout>;

    /// The same once more, of what may have changed since.
    fn glance(&self, place: &Place) -> Result<Checkout> {
        self.observe(place)
    }

    /// Whether a component is installed here. `root`: the install's.
    fn has(&self, place: &Place, component: &Component, root: &Rooted) -> Result<bool> {
        if place.install.layout == Layout::Releases {
            return releases::has(component, root);
        }
        root.exists(component.installed_if.as_ref().unwrap_or(&component.path).as_ref())
    }

    /// Asks where releases come from what there is: one conversation. Called under the lock of fetches.
    fn update(&self, place: &Place, mirror: &Mirror, reporter: &dyn Reporter) -> Result<()>;

    /// The release that is named, or that is offered; the mirror has it afterwards. Without the network where `offline`.
    fn target(
        &self,
        place: &Place,
        mirror: &Mirror,
        to: Option<&str>,
        offline: bool,
        reporter: &dyn Reporter,
    ) -> Result<Target>;

    /// What stops a switch from what is here; with an offer, to that. Pure.
    fn preflight(&self, place: &Place, here: &Checkout, offer: Option<&Offer>) -> Vec<Blocker>;

    /// Adds what only this source knows of a target: its changes, its sections of the plan, where it lies, what stops it.
    fn complete(&self, place: &Place, mirror: &Mirror, survey: &Survey, offer: &mut Offer) -> Result<()>;

    /// *Prepare*: gets and checks everything that the changes need and that is not here yet.
    fn bring(&self, place: &Place, mirror: &Mirror, plan: &Plan, reporter: &dyn Reporter) -> Result<()>;
}

/// The source as what it does.
pub fn of(source: &Source) -> &dyn Upstream {
    match source {
        Source::Git(source) => source,
        Source::Packages(source) => source,
        Source::Compose(source) => source,
        Source::Archive(source) => source,
    }
}

/// A part of the plan that one kind of source has to tell: `packages`, `images`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Its lines, cells of a table each; made harmless.
    pub rows: Vec<Vec<String>>,
}
/// A target and what it would change, read from our own mirror.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The release that the checkout is at.
    pub from: Release,
    /// The target.
    pub to: Release,
    /// What the target stands on.
    pub standing: Standing,
    /// What the release stands on that the checkout is at.
    pub standing_of_present: Standing,
    /// How it lies to the known-good releases.
    pub lineage: Lineage,
    /// Whether the target descends from what is checked out.
    pub direction: Direction,
    /// The newest commits between the two that touch an installed component, newest first.
    pub commits: Vec<Commit>,
    /// How many there are in all.
    pub commits_total: usize,
    /// What it holds for each component asked about, in their order.
    pub components: Vec<ComponentOffer>,
    /// Why this target cannot or may not be switched to.
    pub blockers: Vec<Blocker>,
    /// Paths that the target tracks and the present tree does not, within the components.
    pub added: Vec<String>,
    /// Directories that a whole checkout has and that leave its work tree, since it becomes sparse: the outermost.
    pub leaving: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// The changes by which the source switches to the target, in order; git's is made of the survey.
    pub changes: Vec<Action>,
    /// What the source has to tell of it.
    pub sections: Vec<Section>,
    /// What stands around them.
    pub around: Around,
}

/// What a source adds to a plan elsewhere than where it switches.
#[derive(Debug, Clone, Default)]
pub struct Around {
    /// Changes that come before everything, the backup included, so that they are undone last.
    pub before: Vec<Action>,
    /// Changes that come with the restarts of services, and are undone first.
    pub after: Vec<Action>,
    /// The files that its changes speak of.
    pub contents: Vec<Content>,
    /// What somebody has to have seen: it stops a run with nobody there.
    pub to_be_seen: Vec<Blocker>,
}

/// Where a target lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It is what is checked out.
    Same,
    /// It descends from it.
    Forward,
    /// It is an ancestor of it.
    Back,
    /// Neither descends from the other.
    Diverged,
}

/// A file at the activated revision and in the target.
pub type Sides<T> = (Option<T>, Option<T>);

/// What a target holds for a component.
#[derive(Debug, Clone, Default)]
pub struct ComponentOffer {
    /// Whether the component's directory is in the target.
    pub present: bool,
    /// The version at the activated revision.
    pub from_version: Option<String>,
    /// The version in the target.
    pub to_version: Option<String>,
    /// Paths that differ between the activated revision and the target, relative to the component.
    pub changed: Vec<String>,
    /// The target's changelog (the older release's own, when going back).
    pub changelog: Option<String>,
    /// For each declared configuration file: the example at the activated revision and in the target.
    pub examples: Vec<Sides<Vec<u8>>>,
    /// For each declared unit: the file at the activated revision and in the target.
    pub units: Vec<Sides<String>>,
}
