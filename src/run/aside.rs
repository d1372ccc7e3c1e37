//! What a run put in another's place and set aside: kept until nothing waits for its removal.

use crate::action::Action;
use crate::error::Result;
use crate::host::fs::Rooted;
use crate::plan::Plan;

/// Removes it. Nothing to remove is no error, so that it may be begun again.
pub(super) fn remove(plan: &Plan) -> Result<()> {
    let artifacts = plan.actions.iter().filter_map(|action| match action {
        Action::Artifact(artifact) if artifact.install.is_some() => Some(artifact),
        _ => None,
    });
    // One that stays keeps no other.
    artifacts.map(|artifact| artifact.clear(&Rooted::open(&plan.root)?)).fold(Ok(()), Result::and)
}
