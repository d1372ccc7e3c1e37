//! Where releases come from, and what they offer: values that the plan is made from.

pub mod git;

use crate::plan::{Blocker, Commit, Release};
use crate::trust::{Lineage, Standing};

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
