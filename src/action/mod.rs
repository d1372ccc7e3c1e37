//! Actions: the changes that a plan holds and a run makes. One file per kind; each says what it does, does it, sees
//! whether it is made, and undoes and redoes it any number of times.

mod artifact;
mod backup;
mod check;
mod compose;
mod conffiles;
mod directory;
mod enablement;
mod env_file;
mod env_shell;
mod export;
mod files;
mod layout;
mod linger;
mod packages;
mod quiesce;
mod rerun;
mod service;
mod sight;
mod site;
mod step;
mod tree;
mod units;
mod with;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

pub use artifact::{Artifact, save as save_artifact};
pub use backup::{Backup, in_order_of_stopping, stop_units};
pub use check::Check;
pub use compose::{ComposeFiles, ComposeHold, ComposeUp};
pub use conffiles::Conffiles;
pub use directory::Directory;
pub use enablement::{Link, Links};
pub use env_file::EnvFile;
pub(crate) use export::put as put_into_export;
pub use export::remove_exports;
pub use files::FileSwap;
pub use layout::Layout;
pub use linger::Linger;
pub use packages::{Packages, SeenFiles, packages_of};
pub use quiesce::{Quiesce, UnitWas};
pub use rerun::Rerun;
pub use service::Service;
pub use sight::Sight;
pub use site::{Invocation, Place, Site};
pub use step::Step;
pub use tree::{SetAside, Tree};
pub use units::Units;
pub use with::{MigrationOf, SCRATCH, With, remove_scratch};

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Notes what runs; its undo brings that back.
    Quiesce(Quiesce),
    /// Changes nothing; its undo runs a step again in the old tree.
    Rerun(Rerun),
    /// Takes a backup, where that was not done before; its undo puts the data back.
    Backup(Backup),
    /// Switches the checkout.
    Tree(Tree),
    /// Runs a transaction of the package manager.
    Packages(Packages),
    /// Writes configuration files of packages, merged.
    Conffiles(Conffiles),
    /// Replaces a configuration file.
    EnvFile(EnvFile),
    /// Guards what steps make.
    Artifact(Artifact),
    /// Runs a step.
    Step(Step),
    /// Runs a check on the switched tree.
    Check(Check),
    /// Installs units, reloads the manager, enables what is new.
    Units(Units),
    /// Restarts, reloads or starts a unit.
    Service(Service),
    /// Lets the owner's user manager run without a login.
    Linger(Linger),
    /// Guards the directory of a release that was unpacked for the run.
    Directory(Directory),
    /// Leads `current` to another release.
    Layout(Layout),
    /// Notes the containers of a Compose project; its undo brings them back.
    ComposeHold(ComposeHold),
    /// Writes the files of a Compose project.
    ComposeFiles(ComposeFiles),
    /// Makes containers anew.
    ComposeUp(ComposeUp),
}

/// What only the moment before an action knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seen {
    /// The plan says it all.
    Nothing,
    /// What ran.
    Units(Vec<UnitWas>),
    /// The containers that there were.
    Containers(Vec<crate::source::compose::project::Container>),
    /// Directories that were not there, outermost first, relative to where the action works.
    Missing(Vec<std::path::PathBuf>),
    /// The same, and the links by which units were enabled.
    Enabled {
        /// As in [`Seen::Missing`].
        missing: Vec<std::path::PathBuf>,
        /// The links.
        links: Vec<Link>,
    },
    /// Files as they were, absolute; `None`: not there. Their bytes are with the run.
    Files(SeenFiles),
    /// Whether the account's user manager ran without a login, and whether it ran at all.
    Lingered {
        /// `loginctl show-user -P Linger`.
        lingers: bool,
        /// Its user manager was there.
        runs: bool,
    },
}

/// What every kind of action can do.
pub trait Act {
    /// What it does, for progress and reports: `switch the tree to 1.7.1`.
    fn title(&self) -> String;

    /// What its undo does, in the same way; `None`: nothing that is worth a line.
    fn undo_title(&self) -> Option<String>;

    /// What must be known to undo it and only this moment knows.
    fn seen(&self, _site: &mut Site) -> Result<Seen> {
        Ok(Seen::Nothing)
    }

    /// What is there of its subject. `seen` is what was noted before it was begun; `is_done`: the journal says that it
    /// was made whole.
    fn sight(&self, site: &mut Site, seen: &Seen, is_done: bool) -> Result<Sight>;

    /// Makes the change; its effects are durable when this returns.
    fn apply(&self, site: &mut Site) -> Result<()>;

    /// Makes the change whole after an interruption, whatever of it is there by now.
    fn redo(&self, site: &mut Site, seen: &Seen) -> Result<()> {
        match self.sight(site, seen, false)? {
            Sight::After => Ok(()),
            Sight::Before => self.apply(site),
            Sight::Mixed => {
                self.undo(site, seen)?;
                self.apply(site)
            }
            Sight::Neither => {
                Err(Error::failed(format!("{}: somebody else changed it since it was begun", self.title())))
            }
        }
    }

    /// Undoes the change, whether it was made whole, half or not at all. Remarks tell what could not be put back
    /// exactly, and where a copy of it is.
    fn undo(&self, site: &mut Site, seen: &Seen) -> Result<Vec<String>>;

    /// Whether nothing undoes it.
    fn is_irreversible(&self) -> bool {
        false
    }

    /// Whether it may be made again after an interruption, not knowing how far it came.
    fn is_repeatable(&self) -> bool {
        true
    }
}

impl Action {
    /// The action behind its kind.
    pub fn act(&self) -> &dyn Act {
        match self {
            Action::Quiesce(action) => action,
            Action::Rerun(action) => action,
            Action::Backup(action) => action,
            Action::Tree(action) => action,
            Action::Packages(action) => action,
            Action::Conffiles(action) => action,
            Action::EnvFile(action) => action,
            Action::Artifact(action) => action,
            Action::Step(action) => action,
            Action::Check(action) => action,
            Action::Units(action) => action,
            Action::Service(action) => action,
            Action::Linger(action) => action,
            Action::Directory(action) => action,
            Action::Layout(action) => action,
            Action::ComposeHold(action) => action,
            Action::ComposeFiles(action) => action,
            Action::ComposeUp(action) => action,
        }
    }
}
