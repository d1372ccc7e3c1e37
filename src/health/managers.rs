//! The managers that gates ask, each connected to when it is first needed.

use super::Expected;
use crate::error::Result;
use crate::host::account::Account;
use crate::host::systemd::{self, Manager, UnitState};
use crate::manifest::Scope;

/// The system manager and the owner's.
pub(super) struct Managers<'a> {
    owner: &'a Account,
    system: Option<Manager>,
    user: Option<Manager>,
}

impl<'a> Managers<'a> {
    /// None connected to yet.
    pub(super) fn new(owner: &'a Account) -> Managers<'a> {
        Managers { owner, system: None, user: None }
    }

    fn is_there(&self) -> bool {
        self.user.is_some() || systemd::has_user_manager(self.owner) || systemd::lingering(self.owner).unwrap_or(true)
    }

    /// The state of a unit.
    pub(super) fn unit(&mut self, expected: &Expected) -> Result<UnitState> {
        // An account that does not linger has no manager, and no unit that is up.
        if expected.scope == Scope::User && !self.is_there() {
            let [load, active] = ["not-found", "inactive"].map(str::to_owned);
            return Ok(UnitState { load, active, ..UnitState::default() });
        }
        let manager = match expected.scope {
            Scope::System => match &mut self.system {
                Some(manager) => manager,
                none => none.insert(Manager::system()?),
            },
            Scope::User => match &mut self.user {
                Some(manager) => manager,
                none => none.insert(Manager::user(self.owner)?),
            },
        };
        manager.running(&expected.unit)
    }
}
