//! Making the plan. Pure: everything it needs to know is in its arguments.

use super::draft::{Draft, draft};
use super::judge::judge;
use super::subject::Case;
use super::{Contents, Plan, Request, backup, configuration, order, procedures};
use crate::error::Result;
use crate::manifest::Install;
use crate::source::Offer;
use crate::survey::Survey;
use crate::text::harmless;

/// How many directories that leave the work tree are named.
const LEAVING: usize = 5;

/// Makes the plan and collects the bytes that it speaks of. `offer.components` follows `survey.installed`.
pub fn build(install: &Install, survey: &Survey, offer: &Offer, request: &Request) -> Result<(Plan, Contents)> {
    let case = Case { install, survey, offer, request, quiesces: false };
    let (plan, contents) = assemble(&case)?;
    match backup::quiesces(&plan) {
        false => Ok((plan, contents)),
        // Once more: whatever runs is stopped for the backup, and has to be started again.
        true => assemble(&Case { quiesces: true, ..case }),
    }
}

fn assemble(case: &Case) -> Result<(Plan, Contents)> {
    let mut contents = Contents::default();
    for content in &case.offer.around.contents {
        contents.keep(content);
    }
    let mut plan = frame(case);
    let mut stages = Vec::new();
    // All configuration first: a unit may read a file of another component.
    let configurations =
        case.parts().map(|part| configuration::plan(case, part, &mut contents)).collect::<Result<Vec<_>>>()?;
    let rewritten = configurations.iter().flat_map(|configuration| configuration.rewritten()).collect();
    for (part, configuration) in case.parts().zip(configurations) {
        let draft: Draft = draft(case, part, (configuration, &rewritten), &mut contents)?;
        plan.components.push(draft.component);
        plan.gates.push(draft.gate);
        plan.staged_checks.extend(draft.staged_checks);
        plan.warnings.extend(draft.warnings);
        plan.blockers.extend(draft.blockers);
        stages.push(draft.stages);
    }
    let procedures = procedures::plan(case, &rewritten);
    plan.actions = order::actions(case, stages, procedures.stages, &mut contents);
    if !plan.actions.is_empty() {
        plan.procedures = procedures.plans;
        plan.preflight = procedures.preflight;
        plan.verify = procedures.verify;
        plan.blockers.extend(procedures.blockers);
    }
    judge(case, &mut plan);
    backup::tell(case, &mut plan);
    Ok((plan, contents))
}

/// What is true of the whole: the releases, and what stops every switch.
fn frame(case: &Case) -> Plan {
    let Case { install, survey, offer, request, .. } = case;
    let mut blockers = offer.blockers.clone();
    blockers.extend(survey.left_running(install));
    let mut warnings = offer.warnings.clone();
    warnings.extend(becomes_sparse(case));
    Plan {
        root: install.root.clone(),
        owner: install.owner.clone(),
        intent: request.intent,
        is_downgrade: case.is_downgrade(),
        from: offer.from.clone(),
        to: offer.to.clone(),
        standing: offer.standing.clone(),
        commits: offer.commits.clone(),
        commits_total: offer.commits_total,
        source: install.source.kind(),
        layout: install.layout,
        sections: offer.sections.clone(),
        soak: install.policy.soak.as_secs(),
        host_changes: case.parts().flat_map(|part| part.surveyed.host.words()).collect(),
        warnings,
        blockers,
        ..Plan::empty(&install.name)
    }
}

/// A whole checkout that is kept to the components from now on: directories disappear, which deserves a line of its own.
fn becomes_sparse(case: &Case) -> Option<String> {
    let cone = case.survey.goal_cone(case.install)?;
    let leaving = &case.offer.leaving;
    let shown = leaving.iter().take(LEAVING).map(|path| harmless(path)).collect::<Vec<_>>().join(", ");
    let more = match leaving.len().saturating_sub(LEAVING) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (leave, them) = if leaving.len() == 1 { ("leaves", "it") } else { ("leave", "them") };
    (!leaving.is_empty()).then(|| {
        format!(
            "from now on only {} {} checked out; {shown}{more} {leave} the work tree (git sparse-checkout disable brings {them} back; `sparse = false` keeps {them})",
            cone.join(", "),
            if cone.len() == 1 { "is" } else { "are" },
        )
    })
}
