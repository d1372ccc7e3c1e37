//! What a plan is made from: the whole case, each installed component of it, and what follows at once from the two.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::{Intent, Origin, Request, may_run_as_root, services};
use crate::action::{Action, Layout};
use crate::host::systemd::UnitState;
use crate::manifest::{Component, Install, RunAs};
use crate::source::{ComponentOffer, Direction, Offer, releases};
use crate::survey::{Survey, Surveyed};
use crate::trust;

/// Everything that is known when a plan is made.
pub(super) struct Case<'a> {
    pub install: &'a Install,
    pub survey: &'a Survey,
    pub offer: &'a Offer,
    pub request: &'a Request,
    /// The units are stopped for a backup.
    pub quiesces: bool,
}

impl<'a> Case<'a> {
    /// How `current` is led to the target, where releases have directories of their own.
    pub fn leads(&self) -> Option<&'a Layout> {
        self.offer.changes.iter().find_map(|action| match action {
            Action::Layout(layout) => Some(layout),
            _ => None,
        })
    }

    /// The release's directory that a command works in, relative to the root, where each has one of its own; `of_present`: the
    /// one that the run begins with.
    pub fn base(&self, of_present: bool) -> Option<PathBuf> {
        let layout = self.leads()?;
        let name = if of_present { layout.from.as_deref() } else { Some(layout.to.as_str()) };
        name.map(releases::below)
    }

    /// Whether there is a release that the run begins with.
    pub fn has_present(&self) -> bool {
        self.leads().is_none_or(|layout| layout.from.is_some())
    }

    /// Whether an operator takes a step back to a release that they named, as to one that was never here.
    pub fn is_downgrade(&self) -> bool {
        let request = self.request;
        let is_asked = request.intent == Intent::Upgrade && request.allow_downgrades;
        let is_back = match self.offer.direction {
            Direction::Back => true,
            Direction::Diverged => self.lower().is_some(),
            Direction::Same | Direction::Forward => false,
        };
        is_asked && request.is_explicit && !request.unattended && is_back
    }

    /// A component that would go below what was proven here, in words.
    pub fn lower(&self) -> Option<String> {
        let parts = self.parts();
        let versions = parts.map(|part| (part.component.name.as_str(), part.offer.to_version.as_deref()));
        trust::below(versions, &self.survey.known_good)
    }

    /// The installed components that the request is about.
    pub fn parts(&self) -> impl Iterator<Item = Part<'a>> {
        let only = &self.request.only;
        let installed = self.survey.installed(self.install).zip(&self.offer.components);
        installed
            .map(|((_, component, surveyed), offer)| Part { component, surveyed, offer })
            .filter(move |part| only.is_empty() || only.contains(&part.component.name))
    }
}

/// A component: as it is declared, as it is here, and as the target has it.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub component: &'a Component,
    pub surveyed: &'a Surveyed,
    pub offer: &'a ComponentOffer,
}

/// A component with what its steps, units and services depend on.
pub(super) struct Subject<'a> {
    pub component: &'a Component,
    pub surveyed: &'a Surveyed,
    pub offer: &'a ComponentOffer,
    /// Its directory was not checked out before: everything about it is new.
    pub is_new: bool,
    /// Its `.env` is rewritten, or was edited since it was started.
    pub env_changed: bool,
    /// The configuration files that the whole plan rewrites, relative to the checkout.
    rewritten: &'a BTreeSet<String>,
    case: &'a Case<'a>,
    /// Its process is older than what is checked out.
    pub runs_older: bool,
    /// The owner of the install: uid and gid.
    pub owner_ids: (u32, u32),
    /// The plan goes back to a release of before.
    pub is_rollback: bool,
    /// Its units are stopped for a backup.
    pub quiesces: bool,
}

impl<'a> Subject<'a> {
    /// `rewritten`: the configuration files that the whole plan rewrites, relative to the checkout.
    pub fn new(part: Part<'a>, case: &'a Case<'a>, rewritten: &'a BTreeSet<String>) -> Subject<'a> {
        let survey = case.survey;
        let Part { component, surveyed, offer } = part;
        let head_moved = survey.checkout.head_moved;
        Subject {
            component,
            surveyed,
            offer,
            is_new: !surveyed.is_checked_out,
            env_changed: !surveyed.runs_with_its_env(case.install, component)
                || component.env.iter().any(|env| rewritten.contains(case.install.env_path(component, env).as_str())),
            rewritten,
            case,
            runs_older: surveyed.activation.is_none() && services::run_older_code(surveyed, head_moved),
            owner_ids: survey.owner_ids,
            is_rollback: case.request.intent == Intent::Rollback,
            quiesces: case.quiesces,
        }
    }

    /// Whether a unit of it reads a configuration file, of whatever component, that is another than when the unit was started, or
    /// will be.
    pub fn reads_changed_env(&self, state: &UnitState) -> bool {
        let (survey, install) = (self.case.survey, self.case.install);
        survey.files(install).any(|file| {
            let is_recorded = self.surveyed.activation.is_some();
            survey.reads(install, &self.component.name, state, file)
                && (self.rewritten.contains(&survey.path(install, file))
                    || is_recorded && survey.runs_with_older(install, state, file))
        })
    }

    /// The release's directory that a command works in: see [`Case::base`].
    pub fn base(&self, of_present: bool) -> Option<PathBuf> {
        self.case.base(of_present)
    }

    /// Whether there is a release that the run begins with.
    pub fn has_present(&self) -> bool {
        self.case.has_present()
    }

    /// Whether the directory of the target is there as it was left.
    pub fn is_kept(&self) -> bool {
        let is_unpacked = |action: &Action| matches!(action, Action::Directory(_));
        self.case.leads().is_some() && !self.case.offer.changes.iter().any(is_unpacked)
    }

    /// Where a command is run from that root runs; `of_present`: it is code of the release that the run begins with.
    pub fn origin(&self, run_as: RunAs, of_present: bool) -> Option<Origin> {
        let (offer, trust_checkout) = (self.case.offer, self.case.install.trust_checkout);
        let (release, standing) = match of_present {
            true => (&offer.from, &offer.standing_of_present),
            false => (&offer.to, &offer.standing),
        };
        (run_as == RunAs::Root).then(|| may_run_as_root(release, standing, trust_checkout))
    }

    /// Whether its part of the tree differs from what is activated.
    pub fn tree_changed(&self) -> bool {
        self.is_new || self.runs_older || !self.offer.changed.is_empty()
    }

    /// Whether more than its units differs: what a unit's change asks for, its settings say.
    pub fn code_changed(&self) -> bool {
        let is_unit = |path: &String| self.component.units.iter().any(|unit| unit.file.as_str() == path);
        self.is_new || self.offer.changed.iter().any(|path| !is_unit(path))
    }
}
