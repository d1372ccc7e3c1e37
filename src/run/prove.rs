//! Proof: that what a run leaves, or what it came back to, runs.

use std::time::Duration;

use super::gates::{self, Side};
use super::journal::Journal;
use crate::action::{Act, Action, Check, Site, Step};
use crate::error::Result;
use crate::health;
use crate::manifest::Install;
use crate::plan::{GatePlan, Plan};
use crate::report::{Event, Phase, during};

/// The gate and the soak: what this run changed, and what was healthy before, runs. `mark` is where in the systemd journal
/// the new release begins.
pub(super) fn new(
    install: &Install,
    plan: &Plan,
    journal: &Journal,
    mark: health::Mark,
    site: &mut Site,
) -> Result<()> {
    site.reporter.tell(Event::Phase { phase: Phase::Gate });
    let healthy = journal.healthy_before();
    let wanted = |gate: &GatePlan| gate.changes || healthy.contains(&gate.component);
    let quiesced = journal.begun().into_iter().find(|(at, _)| matches!(plan.actions[*at], Action::Quiesce(_)));
    let seen = quiesced.map(|(_, seen)| seen);
    let mut gates = gates::gates(install, plan, wanted, Side::To, seen.as_ref(), site.secrets())?;
    for gate in &mut gates {
        gate.mark = mark.clone();
    }
    let soak = Duration::from_secs(plan.soak);
    if plan.verify.is_empty() {
        return health::prove("prove that it runs", &site.owner, &gates, soak, site.reporter);
    }
    // What verifies asks a service that answers; what holds afterwards is looked at as ever.
    health::prove("prove that it runs", &site.owner, &gates, Duration::ZERO, site.reporter)?;
    ask(&plan.verify, site)?;
    match soak {
        Duration::ZERO => Ok(()),
        soak => health::prove("prove that it still runs", &site.owner, &gates, soak, site.reporter),
    }
}

/// Runs hooks that only look, one after the other, until one fails.
pub(super) fn ask(hooks: &[Step], site: &mut Site) -> Result<()> {
    for hook in hooks {
        let check = Check { command: hook.clone() };
        during(site.reporter, format!("{}: {}", check.title(), hook.run.join(" ")), || check.apply(site))?;
    }
    Ok(())
}

/// What was healthy before is healthy again.
pub(super) fn old(install: &Install, plan: &Plan, journal: &Journal, site: &Site) -> Result<()> {
    let healthy = journal.healthy_before();
    let wanted = |gate: &GatePlan| healthy.contains(&gate.component);
    again(&gates::gates(install, plan, wanted, Side::From, None, site.secrets())?, site)
}

/// The units of what was healthy before stay up again: that a job started them says nothing about that. From the journal
/// alone, since the manifest may be another by now.
pub(super) fn old_units(plan: &Plan, journal: &Journal, site: &Site) -> Result<()> {
    again(&gates::old_units(plan, journal.healthy_before(), site.secrets()), site)
}

fn again(gates: &[health::Gate], site: &Site) -> Result<()> {
    health::prove("prove that the old release runs again", &site.owner, gates, Duration::ZERO, site.reporter)
        .map_err(|error| error.while_("the old release is back, but not healthy"))
}
