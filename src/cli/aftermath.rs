//! After a verb: what it did is told to who is to know. Nothing that fails here changes how the verb ended.

use crate::error::{Exit, Result};
use crate::host::paths::Paths;
use crate::manifest::Install;
use crate::unattended::{Happening, Timeline};

/// Ends what was begun, and tells of it. `install` is its declaration, where it could be read.
pub fn tell(
    paths: &Paths,
    install: Option<&Install>,
    mut happening: Happening,
    timeline: Option<Timeline>,
    ended: &Result<Exit>,
) {
    if let Some(timeline) = timeline {
        timeline.fill(&mut happening);
    }
    let happening = happening.ended(ended, jiff::Timestamp::now().as_second());
    let _ = (paths, install, happening);
}
