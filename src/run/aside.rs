//! What a run put in another's place and set aside: kept until nothing waits for its removal.

use crate::action::Action;
use crate::error::Result;
use crate::host::fs::Rooted;
use crate::plan::Plan;

/// Removes it. Nothing to remove is no error, so that it may be begun again.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    let mut artifacts = plan.actions.iter().filter_map(|action| match action {
        Action::Artifact(artifact) if artifact.install.is_some() => Some(artifact),
        _ => None,
    });
    artifacts.try_for_each(|artifact| artifact.clear(&Rooted::open(&plan.root)?))
}
