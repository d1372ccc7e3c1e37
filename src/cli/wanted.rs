//! What the verbs about one target take, and the plan for it: `plan`, `env`, `units`.

use super::globals::Globals;
use super::output;
use super::plan::request;
use super::session::{Planned, Session};
use crate::error::Result;
use crate::plan::{Answer, Request};
use crate::run::Lock;
use crate::source::git::{Mirror, Target};

/// An install and a target.
#[derive(Debug, Clone, clap::Args)]
pub struct Wanted {
    /// The install; may be left out when there is only one
    pub name: Option<String>,
    /// A tag, version or commit instead of the candidate
    #[arg(long, value_name = "REV")]
    pub to: Option<String>,
}

/// A plan that is looked at and not executed; the install is locked while this value is there.
pub struct Looked {
    /// The install.
    pub session: Session,
    /// The plan.
    pub planned: Planned,
    pub(super) mirror: Mirror,
    target: Target,
    request: Request,
    _locks: [Lock; 2],
}

impl Wanted {
    /// Plans, telling of progress but on standard error: what these verbs print on standard output is one answer.
    pub fn plan(&self, globals: &Globals, allow_downgrades: bool) -> Result<Looked> {
        let session = Session::open(globals, self.name.as_deref())?;
        let told = Globals { json: false, quiet: globals.quiet || globals.json, ..globals.clone() };
        let reporter = output::reporter(&told);
        let locks = session.lock(globals, false, &*reporter)?;
        let mirror = session.mirror()?;
        let (session, target, survey) = session.aim(globals, &mirror, self.to.as_deref(), &*reporter)?;
        // What an upgrade would be refused for is told by the upgrade; here it is only looked at.
        let request = Request { allow_irreversible: true, allow_downgrades, ..request(globals, self.to.as_deref()) };
        let planned = session.plan_on(survey, &mirror, &target, &request)?;
        Ok(Looked { session, planned, mirror, target, request, _locks: locks })
    }
}

impl Looked {
    /// Makes the plan again with what the operator decided.
    pub fn decide(&mut self, answers: Vec<Answer>) -> Result<()> {
        let request = Request { answers, ..self.request.clone() };
        self.planned = self.session.plan(&self.mirror, &self.target, &request)?;
        Ok(())
    }
}
